"""From a dataset to batches: one pass over a DataLoader is one epoch.

The loader shuffles indices, not examples, and asks the dataset once for every batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from typing import Any

import numpy as np

from minidl import backend, cuda
from minidl.data.collate import collate, default_convert, each_part
from minidl.data.dataset import IterableDataset, draw
from minidl.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from minidl.data.whole import place_of
from minidl.data.workers import made_ahead


class DataLoader:
    """Batches of `batch_size` examples; with `shuffle`, in a new random order every epoch.

    `dataset` is anything with `len()` and items: a Dataset, a list, an array.  The last batch may be smaller,
    or is left out with `drop_last`.  The order comes from `seed` (a stream of its own: the same seed gives
    the same orders, epoch after epoch), else from `generator`, else from the stream that
    `minidl.manual_seed` sets; or it is that of `sampler`, which gives indices, or of `batch_sampler`, which gives
    lists of them (see `sampler.py`).  `collate_fn` makes a batch of a list of examples, in place of `collate`.
    With `batch_size=None` each example comes by itself.  An IterableDataset gives its examples in its own order.

    With `num_workers` threads the next batches are made while the present one is used, `prefetch_factor` of them for
    each thread and no more; their order stays the same.  Threads help where examples are read or decoded by code that
    lets others run meanwhile, as NumPy, files and zlib do.  `worker_init_fn(number)` is called in each when it starts.
    With `pin_memory` batches lie in page-locked memory, from which `batch.to("cuda", non_blocking=True)` copies while
    the host goes on; without a GPU that is left out with a UserWarning.  A set that lies on a GPU is looked up there.
    `timeout`, `multiprocessing_context`, `persistent_workers`, `pin_memory_device` and `in_order` are accepted for
    PyTorch's sake and change nothing.

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
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: backend.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
    ) -> None:
        _check(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if generator is not None and seed is not None:
            raise ValueError("a DataLoader takes either a seed or a generator, got both")
        if num_workers < 0 or ((prefetch_factor is not None or persistent_workers) and not num_workers):
            raise ValueError(
                "num_workers must be from 0, and prefetch_factor and persistent_workers go with at least one worker; "
                f"got {num_workers}, {prefetch_factor} and {persistent_workers}"
            )
        if prefetch_factor is not None and prefetch_factor < 1:
            raise ValueError(f"prefetch_factor must be a whole number from 1, got {prefetch_factor}")
        self.dataset, self.drop_last, self.collate_fn = dataset, drop_last, collate_fn
        self.generator = generator if seed is None else backend.Generator(seed)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self._shuffled = bool(shuffle) if sampler is None and batch_sampler is None else None
        self.batch_size = None if batch_size is None or batch_sampler is not None else int(batch_size)
        if not self._streams and sampler is None:
            self.sampler = RandomSampler(dataset, generator=self.generator) if shuffle else SequentialSampler(dataset)
        if not self._streams and self.batch_size is not None:
            self.batch_sampler = BatchSampler(self.sampler, self.batch_size, drop_last)  # type: ignore[arg-type]
        self.num_workers, self.prefetch_factor = num_workers, prefetch_factor or 2
        self.worker_init_fn, self.pin_memory = worker_init_fn, pin_memory

    @property
    def _streams(self) -> bool:
        return isinstance(self.dataset, IterableDataset)

    def __len__(self) -> int:
        """How many batches an epoch has; TypeError for a stream that does not say how long it is."""
        if not self._streams:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        whole, rest = divmod(len(self.dataset), self.batch_size or 1)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        fetcher = self._fetcher
        if self.pin_memory and cuda.is_available():
            fetcher = self._pinning
        elif self.pin_memory:
            warnings.warn("DataLoader: without a GPU, pin_memory=True has no effect", UserWarning, stacklevel=2)
        if not self.num_workers:
            return map(fetcher(self.dataset), self._batches())  # a stream ends it by StopIteration
        return made_ahead(self.dataset, self._batches(), fetcher, self.num_workers, self.prefetch_factor,
                          self.worker_init_fn, self.generator)  # fmt: skip

    def _batches(self) -> Iterator[Any]:
        """The indices of each batch of one epoch; without batches, of each example."""
        if self._streams:
            yield from repeat(None)
        elif self.batch_sampler is None or self._shuffled is None or self.batch_size is None:
            given: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
            yield from given
        else:  # the same as the samplers, with one array in place of many lists
            size = len(self.dataset)
            order = backend.random_stream(self.generator).permutation(size) if self._shuffled else np.arange(size)
            if self.collate_fn is None:
                order = backend.to_device(order, place_of(self.dataset))
            for start in range(0, len(self) * self.batch_size, self.batch_size):
                yield order[start : start + self.batch_size]

    def _fetcher(self, dataset: Any) -> Callable[[Any], Any]:
        """The function that makes the next batch (or, without batches, the next example) of its indices."""
        if not self._streams:
            return lambda indices: self._looked_up(dataset, indices)
        examples = iter(dataset)
        return lambda _: self._read(examples)

    def _pinning(self, dataset: Any) -> Callable[[Any], Any]:
        """The same in page-locked memory."""
        fetch = self._fetcher(dataset)
        return lambda indices: each_part(_pinned, fetch(indices))

    def _looked_up(self, dataset: Any, indices: Any) -> Any:
        if self.batch_sampler is None:
            return (self.collate_fn or default_convert)(dataset[indices])
        if self.collate_fn is None:
            return draw(dataset, indices if backend.on_gpu(indices) else np.asarray(indices))
        return self.collate_fn([dataset[index] for index in np.asarray(indices).tolist()])

    def _read(self, examples: Iterator[Any]) -> Any:
        """What comes next of a stream; StopIteration at its end."""
        if self.batch_size is None:
            return (self.collate_fn or default_convert)(next(examples))
        batch = list(islice(examples, self.batch_size))
        if not batch or (self.drop_last and len(batch) < self.batch_size):
            raise StopIteration
        return (self.collate_fn or collate)(batch)


def _pinned(part: Any) -> Any:
    return part.pin_memory() if hasattr(part, "pin_memory") else part


def _check(
    dataset: Any, batch_size: Any, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    """Refuse what does not go together, and what is no dataset."""
    if batch_size is None and drop_last:
        raise ValueError("batch_size=None makes no batches: leave out drop_last=True")
    if batch_size is not None and (not isinstance(batch_size, int | np.integer) or batch_size < 1):
        raise ValueError(f"batch_size must be a whole number from 1 (or None: no batches), got {batch_size!r}")
    if isinstance(dataset, IterableDataset):
        if shuffle or sampler is not None or batch_sampler is not None:
            raise ValueError("an IterableDataset says the order itself: leave out shuffle=True, sampler, batch_sampler")
        return
    if sampler is not None and shuffle:
        raise ValueError("a sampler says the order itself: leave out shuffle=True")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("a batch_sampler says the batches itself: leave out batch_size, shuffle, ...")
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise TypeError(
            "a DataLoader needs a dataset with __len__ and __getitem__ (or an IterableDataset), "
            f"got {type(dataset).__name__}; list(...) makes one of anything finite"
        )
