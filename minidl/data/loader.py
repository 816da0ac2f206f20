"""From a dataset to batches: one pass over a DataLoader is one epoch.

The loader shuffles indices, not examples, and asks the dataset once for every batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import backend
from minidl.data.dataset import draw

if TYPE_CHECKING:
    from concurrent.futures import Future
from minidl.data.sampler import BatchSampler


class DataLoader:
    """Batches of `batch_size` examples; with `shuffle`, in a new random order every epoch.

    `dataset` is anything with `len()` and items: a Dataset, a list, an array.  The last batch may be smaller,
    or is left out with `drop_last`.  The order comes from `seed` (a stream of its own: the same seed gives
    the same orders, epoch after epoch), else from `generator`, else from the stream that
    `minidl.manual_seed` sets; or it is that of `sampler`, which gives indices, or of `batch_sampler`, which gives
    lists of them (see `sampler.py`).  `collate_fn` makes a batch of a list of examples, in place of `collate`.

    With `num_workers` threads the next batches are made while the present one is used, `prefetch_factor` of them for
    each thread and no more; their order stays the same.  Threads help where examples are read or decoded by code that
    lets others run meanwhile, as NumPy, files and zlib do.  `pin_memory`, `timeout`, `worker_init_fn`,
    `multiprocessing_context` and `persistent_workers` are accepted for PyTorch's sake and change nothing.

    The gradient of a step is the mean over its batch: `batch_size=len(dataset)` is gradient descent proper,
    `batch_size=1` the stochastic method of Robbins & Monro (1951), and what lies between is the minibatch.

    >>> loader = DataLoader(list(range(5)), batch_size=2, shuffle=True, seed=0)
    >>> len(loader), [batch.tolist() for batch in loader], [batch.tolist() for batch in loader]
    (3, [[2, 4], [3, 0], [1]], [[4, 1], [2, 0], [3]])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        generator: backend.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        seed: int | None = None,
    ) -> None:
        if batch_size is None or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number from 1, got {batch_size!r}")
        if generator is not None and seed is not None:
            raise ValueError("a DataLoader takes either a seed or a generator, got both")
        if sampler is not None and shuffle:
            raise ValueError("a sampler says the order itself: leave out shuffle=True")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("a batch_sampler says the batches itself: leave out batch_size, shuffle, ...")
        if num_workers < 0 or (prefetch_factor is not None and (prefetch_factor < 1 or not num_workers)):
            raise ValueError(
                "num_workers must be from 0, and prefetch_factor, from 1, goes with at least one worker; "
                f"got {num_workers} and {prefetch_factor}"
            )
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise TypeError(
                "a DataLoader needs a dataset with __len__ and __getitem__, "
                f"got {type(dataset).__name__}; list(...) makes one of anything finite"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.drop_last = drop_last
        self.generator = generator if seed is None else backend.Generator(seed)
        self.collate_fn = collate_fn
        self.num_workers, self.prefetch_factor = num_workers, prefetch_factor or 2

    def __len__(self) -> int:
        """How many batches an epoch has."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        examples: Any = self.dataset if self.sampler is None else self.sampler
        whole, rest = divmod(len(examples), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers:
            return self._made_ahead()
        return map(self._batch, self._batches())

    def _batches(self) -> Iterator[np.ndarray]:
        """The indices of each batch of one epoch."""
        batches = self.batch_sampler
        if self.sampler is not None:
            batches = BatchSampler(self.sampler, self.batch_size, self.drop_last)
        if batches is not None:
            yield from (np.asarray(indices) for indices in batches)
            return
        size = len(self.dataset)
        order = backend.random_stream(self.generator).permutation(size) if self.shuffle else np.arange(size)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield order[start : start + self.batch_size]

    def _batch(self, indices: np.ndarray) -> Any:
        if self.collate_fn is None:
            return draw(self.dataset, indices)
        return self.collate_fn([self.dataset[index] for index in indices.tolist()])

    def _made_ahead(self) -> Iterator[Any]:
        """The batches in their order, made by threads while those before them are used."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self.num_workers) as pool:
            waiting: deque[Future[Any]] = deque()
            try:
                for indices in self._batches():
                    waiting.append(pool.submit(self._batch, indices))
                    if len(waiting) > self.num_workers * self.prefetch_factor:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # the loop was left early: nobody wants the rest
                for batch in waiting:
                    batch.cancel()
