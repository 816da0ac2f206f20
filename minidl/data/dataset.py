"""What a dataset is: something with a length that gives an example for an index, or a batch for several.

A dataset that lies in memory answers `batch(indices)` with one look-up for the whole batch; any other is
asked item by item, and the items are put together by `collate`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor, tensor
from minidl.data.collate import collate


class Dataset:
    """Base class: define `__len__` and `__getitem__(index)`, and the DataLoader can draw batches.

    Define `batch(indices)` as well where a whole batch can be had faster than item by item.  A subclass that
    redefines only `__getitem__` falls back to item by item, so that its new items are what the loader gives.

    >>> class Squares(Dataset):
    ...     def __len__(self): return 10
    ...     def __getitem__(self, index): return float(index), index * index
    >>> numbers, squares = Squares().batch(np.array([2, 3]))
    >>> numbers.tolist(), squares.tolist()
    ([2.0, 3.0], [4, 9])
    """

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "__getitem__" in vars(cls) and "batch" not in vars(cls):
            cls.batch = Dataset.batch  # type: ignore[method-assign]

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} does not say how many examples it has: define __len__(self)")

    def __getitem__(self, index: Any) -> Any:
        raise TypeError(f"{type(self).__name__} gives no examples: define __getitem__(self, index)")

    def batch(self, indices: np.ndarray) -> Any:
        """The examples at `indices` (a one-dimensional array of whole numbers), put together by `collate`."""
        return collate([self[index] for index in indices.tolist()])

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Base class of a stream of examples, which has no indices: define `__iter__`, and `__len__` if it is known.

    With `num_workers` each worker goes through a copy of the whole stream, unless `__iter__` asks `get_worker_info()`
    which share it should take.

    >>> from minidl.data import DataLoader
    >>> class Countdown(IterableDataset):
    ...     def __iter__(self): return iter([3, 2, 1])
    >>> [batch.tolist() for batch in DataLoader(Countdown(), batch_size=2)]
    [[3, 2], [1]]
    """

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{type(self).__name__} gives no examples: define __iter__(self)")

    def __add__(self, other: Any) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Tensors (or NumPy arrays, which are copied) whose first dimension counts the examples.

    Example `i` is the tuple of every tensor's row `i`; any index that a tensor takes can be used.  Tensors of
    different lengths raise AssertionError, as in PyTorch.

    >>> data = TensorDataset(np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))
    >>> x, y = data[np.array([2, 0])]
    >>> x.tolist(), y.tolist()
    ([[4.0, 5.0], [0.0, 1.0]], [0, 0])
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(t if isinstance(t, Tensor) else tensor(t) for t in tensors)
        if not self.tensors or any(t.ndim == 0 for t in self.tensors):
            raise AssertionError("TensorDataset needs tensors, each with a first dimension that counts examples")
        if len({t.shape[0] for t in self.tensors}) > 1:
            shapes = ", ".join(str(tuple(t.shape)) for t in self.tensors)
            raise AssertionError(f"the tensors of a TensorDataset must be equally long, got shapes {shapes}")

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def batch(self, indices: backend.Array) -> tuple[Tensor, ...]:
        """Every tensor's rows at `indices`: one look-up for each tensor."""
        if any(t.tracked or type(t.array) is not type(indices) for t in self.tensors) or indices.dtype.kind != "i":
            return self[indices]
        arrays = [t.array for t in self.tensors]  # looked up in half the time that their tensors take
        return tuple([Tensor(x.take(indices, 0) if x.flags.c_contiguous else x[indices]) for x in arrays])


class Subset(Dataset):
    """The examples of `dataset` at `indices`, in that order; an index out of range raises IndexError.

    >>> evens = Subset([10, 11, 12, 13], [0, 2])
    >>> len(evens), evens[1]
    (2, 12)
    """

    def __init__(self, dataset: Any, indices: Any) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices)
        if self.indices.size == 0:
            self.indices = np.empty(0, np.int64)
        if self.indices.ndim != 1 or self.indices.dtype.kind not in "iu":
            raise TypeError(
                "the indices of a Subset must be a list of whole numbers, "
                f"got an array of {self.indices.dtype} with shape {self.indices.shape}"
            )
        size = len(dataset)
        if (outside := (self.indices < -size) | (self.indices >= size)).any():
            raise IndexError(f"index {self.indices[outside][0]} is outside a dataset of {size} examples")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        chosen = self.indices[index]
        return self.dataset[chosen if chosen.ndim else int(chosen)]

    def batch(self, indices: backend.Array) -> Any:
        """The underlying dataset's batch: as fast as that dataset is."""
        return draw(self.dataset, self.indices[backend.array_module(self.indices).asarray(indices)])


class ConcatDataset(Dataset):
    """Several datasets one after the other; AssertionError for none, as in PyTorch.

    >>> both = ConcatDataset([[1, 2], [3, 4, 5]])
    >>> len(both), both[3], both[-1]
    (5, 4, 5)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: expected at least one dataset, got none")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset: an IterableDataset has no indices, use ChainDataset")
        self.cumulative_sizes = np.cumsum([len(dataset) for dataset in self.datasets]).tolist()

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise (ValueError if index < 0 else IndexError)(f"index {index} is outside {len(self)} examples")
        place = index % len(self)
        part = bisect_right(self.cumulative_sizes, place)
        return self.datasets[part][place - (self.cumulative_sizes[part] - len(self.datasets[part]))]

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([*self.datasets, other])


class ChainDataset(IterableDataset):
    """Several IterableDatasets one after the other; AssertionError for others."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def _checked(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError(f"ChainDataset: {type(dataset).__name__} has indices, use ConcatDataset")
            yield dataset

    def __iter__(self) -> Iterator[Any]:
        for dataset in self._checked():
            yield from dataset

    def __len__(self) -> int:
        return sum(map(len, self._checked()))


class StackDataset(Dataset):
    """Equally long datasets beside each other: examples are tuples, or dictionaries if the datasets have names.

    ValueError for none, for different lengths, and for names beside no names.

    >>> pairs = StackDataset(x=[1.0, 2.0], y=["a", "b"])
    >>> len(pairs), pairs[1]
    (2, {'x': 2.0, 'y': 'b'})
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset: expected datasets, all of them with names or all of them without")
        self.datasets: Any = args or kwargs
        lengths = [len(dataset) for dataset in (args or kwargs.values())]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: the datasets must be equally long, got {lengths}")

    def __len__(self) -> int:
        return len(next(iter(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)


def random_split(
    dataset: Any, lengths: Sequence[float], generator: backend.Generator | None = None
) -> list[Subset]:
    """Cut `dataset` at random into parts of the given `lengths`, which share no example.

    Whole numbers must add up to `len(dataset)`; fractions must add up to 1, and what rounding down leaves
    over goes to the first parts, one each.  Otherwise ValueError.

    >>> train, test = random_split(range(10), [0.75, 0.25], backend.Generator(0))
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    """
    size = len(dataset)
    if min(lengths, default=-1) < 0:
        raise ValueError(f"random_split needs lengths from 0, got {list(lengths)}")
    if any(isinstance(length, float) for length in lengths):
        if abs(sum(lengths) - 1) > 1e-6:
            raise ValueError(f"the fractions given to random_split must add up to 1, got {list(lengths)}")
        counts = [int(size * fraction) for fraction in lengths]
        for part in range(size - sum(counts)):
            counts[part % len(counts)] += 1
    else:
        counts = [int(length) for length in lengths]
    if sum(counts) != size:
        raise ValueError(f"the lengths given to random_split add up to {sum(counts)}, the dataset has {size}")
    order = backend.random_stream(generator).permutation(size)
    edges = np.cumsum([0, *counts]).tolist()
    return [Subset(dataset, order[start:stop]) for start, stop in pairwise(edges)]


def draw(dataset: Any, indices: backend.Array) -> Any:
    """One batch from anything with items: at once where the dataset can, otherwise item by item."""
    if isinstance(dataset, Dataset):
        return dataset.batch(indices)
    return collate([dataset[index] for index in indices.tolist()])
