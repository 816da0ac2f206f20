"""Worker threads, which make batches while those before them are used.

Each has a copy of the dataset and a stream of random numbers of its own: the same seed gives the same batches, however
the threads take turns.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.data.dataset import Dataset

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_END = object()  # what comes in place of a batch when a stream of examples has ended


class WorkerInfo(NamedTuple):
    """Which worker this is, of how many, the seed of its random numbers, and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Here(threading.local):
    info: WorkerInfo | None = None


_here = _Here()


def get_worker_info() -> WorkerInfo | None:
    """The worker that calls this, None outside of all workers: an IterableDataset asks which share is its own."""
    return _here.info


class Worker:
    """A thread that makes batches with what `fetcher(dataset)` returns: a function that makes one of its indices."""

    def __init__(
        self, pool: ThreadPoolExecutor, info: WorkerInfo, fetcher: Callable[[Any], Callable[[Any], Any]],
        init: Callable[[int], Any] | None,
    ) -> None:  # fmt: skip
        self._pool, self._info, self._fetcher, self._init = pool, info, fetcher, init
        self._fetch = pool.submit(self._start).result()

    def _start(self) -> Callable[[Any], Any]:
        _here.info = self._info
        backend.use_in_this_thread(backend.Generator(self._info.seed))
        if self._init is not None:
            self._init(self._info.id)
        return self._fetcher(self._info.dataset)

    def submit(self, indices: Any) -> Future[Any]:
        """A batch that is going to be made, or _END."""
        return self._pool.submit(self._fetched, indices)

    def _fetched(self, indices: Any) -> Any:
        try:
            return self._fetch(indices)
        except StopIteration:
            return _END


def made_ahead(
    dataset: Any, batches: Iterable[Any], fetcher: Callable[[Any], Callable[[Any], Any]], num_workers: int,
    prefetch_factor: int, init: Callable[[int], Any] | None, generator: backend.Generator | None,
) -> Iterator[Any]:  # fmt: skip
    """The batches in their order, made by workers in turn; it ends with `batches`, or when all streams have ended."""
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import ExitStack

    source: Any = backend.random_stream(generator).bit_generator.seed_seq
    seeds = source.spawn(num_workers)  # takes no number from the stream, so that its order stays the same
    turns, waiting = deque[Worker](), deque[tuple[Worker, "Future[Any]"]]()
    with ExitStack() as pools:
        for number, seed in enumerate(seeds):
            own = copy.copy(dataset) if isinstance(dataset, Dataset) else dataset
            info = WorkerInfo(number, num_workers, int(seed.generate_state(1, np.uint64)[0] >> 1), own)
            turns.append(Worker(pools.enter_context(ThreadPoolExecutor(1)), info, fetcher, init))
        try:
            for indices in batches:
                if not turns:
                    break
                waiting.append((turns[0], turns[0].submit(indices)))
                turns.rotate(-1)
                if len(waiting) > num_workers * prefetch_factor:
                    yield from _next(waiting, turns)
            while waiting:
                yield from _next(waiting, turns)
        finally:  # the loop was left early: nobody wants the rest
            for _, batch in waiting:
                batch.cancel()


def _next(waiting: deque[tuple[Worker, Future[Any]]], turns: deque[Worker]) -> Iterator[Any]:
    """The batch that has waited longest; a worker whose stream has ended gets no further turn."""
    worker, future = waiting.popleft()
    if (batch := future.result()) is not _END:
        yield batch
    elif worker in turns:
        turns.remove(worker)
