"""From a dataset to batches: one pass over a DataLoader is one epoch.

The loader shuffles indices, not examples, and asks the dataset once for every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import backend
from minidl.data.dataset import draw


class DataLoader:
    """Batches of `batch_size` examples; with `shuffle`, in a new random order every epoch.

    `dataset` is anything with `len()` and items: a Dataset, a list, an array.  The last batch may be smaller,
    or is left out with `drop_last`.  The order comes from `seed` (a stream of its own: the same seed gives
    the same orders, epoch after epoch), else from `generator`, else from the stream that
    `minidl.manual_seed` sets.  `collate_fn` makes a batch of a list of examples, in place of `collate`.

    The gradient of a step is the mean over its batch: `batch_size=len(dataset)` is gradient descent proper,
    `batch_size=1` the stochastic method of Robbins & Monro (1951), and what lies between is the minibatch.

    >>> loader = DataLoader(list(range(5)), batch_size=2, shuffle=True, seed=0)
    >>> len(loader), [batch.tolist() for batch in loader], [batch.tolist() for batch in loader]
    (3, [[2, 4], [3, 0], [1]], [[4, 1], [2, 0], [3]])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        generator: backend.Generator | None = None,
        seed: int | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number from 1, got {batch_size!r}")
        if generator is not None and seed is not None:
            raise ValueError("a DataLoader takes either a seed or a generator, got both")
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise TypeError(
                "a DataLoader needs a dataset with __len__ and __getitem__, "
                f"got {type(dataset).__name__}; list(...) makes one of anything finite"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator if seed is None else backend.Generator(seed)
        self.collate_fn = collate_fn

    def __len__(self) -> int:
        """How many batches an epoch has."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        size = len(self.dataset)
        order = backend.random_stream(self.generator).permutation(size) if self.shuffle else np.arange(size)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            indices = order[start : start + self.batch_size]
            if self.collate_fn is None:
                yield draw(self.dataset, indices)
            else:
                yield self.collate_fn([self.dataset[index] for index in indices.tolist()])
