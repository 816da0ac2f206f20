"""Loss and accuracy over many batches, at next to no cost for each.

A batch only leaves its numbers here, on the device where they are; now and then they are read all at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor


class Meter:
    """The mean loss and, where targets are class labels, the accuracy over the examples of all batches added.

    Outputs are scores (batch, classes, ...), labels whole numbers (batch, ...); the accuracy is the fraction
    of labels that have the highest score.

    >>> import minidl
    >>> meter = Meter()
    >>> meter.add(minidl.tensor(0.5), minidl.tensor([[2.0, 1.0], [2.0, 1.0]]), minidl.tensor([0, 1]))
    >>> meter.means()
    {'loss': 0.5, 'accuracy': 0.5}
    """

    def __init__(self) -> None:
        self.batches = self.examples = 0
        self.first_bad: int | None = None  # the first batch, counted from 1, whose loss is nan or infinite
        self._loss = self._hits = 0.0
        self._labels = 0
        self._waiting: list[tuple[Any, int, Any, int]] = []  # loss, examples, hits and labels of each batch

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Note one batch: its mean loss, the model's outputs and what they should have been."""
        hits, labels = 0, 0
        if targets.dtype.kind in "iu" and outputs.ndim == targets.ndim + 1:
            xp = backend.array_module(targets.array)
            hits = xp.count_nonzero(outputs.array.argmax(1) == targets.array)
            labels = targets.array.size
        self._waiting.append((loss.array, len(targets), hits, labels))

    def read(self) -> None:
        """Bring what was noted since the last time to the host, and add it up."""
        if not self._waiting:
            return
        losses, sizes, hits, labels = zip(*self._waiting, strict=True)
        self._waiting.clear()
        on_host = _numbers(losses)
        if self.first_bad is None and not np.isfinite(on_host).all():
            self.first_bad = self.batches + int(np.flatnonzero(~np.isfinite(on_host))[0]) + 1
        self._loss += float(on_host @ sizes)
        self._hits += float(_numbers(hits).sum())
        self._labels += sum(labels)
        self.batches += len(sizes)
        self.examples += sum(sizes)

    def means(self) -> dict[str, float]:
        """The mean loss and accuracy so far; ValueError if there was no batch."""
        self.read()
        if not self.examples:
            raise ValueError(
                "the loader gave no batches: the dataset is empty, or smaller than batch_size with drop_last"
            )
        means = {"loss": self._loss / self.examples}
        return means | {"accuracy": self._hits / self._labels} if self._labels else means


def _numbers(values: tuple[Any, ...]) -> np.ndarray:
    """Numbers from any device as one float64 array on the host, with a single transfer."""
    return backend.to_device(backend.array_module(*values).asarray(values), "cpu").astype(np.float64)
