"""Samplers: the order in which a DataLoader asks for examples.

A sampler gives indices, one after the other; a batch sampler gives lists of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from minidl.backend import Generator, random_stream


class Sampler:
    """Base class: define `__iter__`, which gives the indices of one epoch, and `__len__`, how many they are."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{type(self).__name__} gives no indices: define __iter__(self)")


class SequentialSampler(Sampler):
    """0, 1, 2, … of a dataset."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """The indices of a dataset in a new random order each epoch, or drawn one by one with `replacement`.

    `num_samples` is how many an epoch has, by default as many as the dataset.  ValueError if that is not above 0.

    >>> sorted(RandomSampler(range(5)))
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self, data_source: Any, replacement: bool = False, num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples
        if self.num_samples <= 0:
            raise ValueError(f"RandomSampler: num_samples must be above 0, got {self.num_samples}")

    @property
    def num_samples(self) -> int:
        """How many indices an epoch has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        return islice(self._endless(), self.num_samples)

    def _endless(self) -> Iterator[int]:
        """As many indices as are asked for: `num_samples` may be more than anyone waits for."""
        random, size = random_stream(self.generator), len(self.data_source)
        while True:
            yield from (random.integers(size, size=size) if self.replacement else random.permutation(size)).tolist()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in a new random order each epoch."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        return (int(self.indices[i]) for i in random_stream(self.generator).permutation(len(self.indices)))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """`num_samples` indices, index i with a probability proportional to `weights[i]`: rare classes as often as others.

    ValueError for a number of samples not above 0, for weights below 0, and, without `replacement`, for fewer
    weights above 0 than samples.

    >>> list(WeightedRandomSampler([0.0, 1.0, 0.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        self.weights = np.asarray(getattr(weights, "array", weights), np.float64)
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator
        if self.weights.ndim != 1 or not (self.weights >= 0).all() or not self.weights.sum() > 0:
            raise ValueError("WeightedRandomSampler: expected a list of weights from 0, not all of them 0")
        if not isinstance(num_samples, int) or num_samples <= 0:
            raise ValueError(f"WeightedRandomSampler: num_samples must be a whole number above 0, got {num_samples!r}")
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise ValueError(
                f"WeightedRandomSampler: {num_samples} samples without replacement need as many weights above 0, "
                f"got {np.count_nonzero(self.weights)}"
            )

    def __iter__(self) -> Iterator[int]:
        share = self.weights / self.weights.sum()
        chosen = random_stream(self.generator).choice(len(share), self.num_samples, self.replacement, share)
        return iter(chosen.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """The indices of another sampler in lists of `batch_size`; `drop_last` leaves out a last one that is shorter.

    >>> list(BatchSampler(SequentialSampler(range(5)), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"BatchSampler: batch_size must be a whole number from 1, got {batch_size!r}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return whole + (rest > 0 and not self.drop_last)
