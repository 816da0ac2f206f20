"""Callbacks: what is done beside training, after every step or every epoch of a Trainer.

They are given to `Trainer.fit(callbacks=[...])`; one that sets `trainer.stop = True` ends the training.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from minidl.autograd import Tensor
from minidl.io import save

if TYPE_CHECKING:
    from minidl.train.trainer import Trainer


class Callback:
    """Base class, which does nothing; define what you need.

    >>> class Rates(Callback):
    ...     def on_epoch(self, trainer, row): print(row["epoch"], row["lr"])
    """

    def on_step(self, trainer: Trainer, loss: Tensor) -> None:
        """After each step of the optimizer, with the loss before it."""

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """After each epoch, with its row of the history."""

    def on_end(self, trainer: Trainer) -> None:
        """When the training is over."""


class _Best(Callback):
    """Watches one column of the history, in which less is better, or more with `maximize`."""

    def __init__(self, monitor: str, maximize: bool) -> None:
        self.monitor, self.maximize = monitor, maximize
        self.best = float("inf")

    def improved(self, row: dict[str, Any]) -> bool:
        """Whether this epoch is the best so far."""
        if self.monitor not in row:
            raise KeyError(
                f"{type(self).__name__} watches {self.monitor!r}, but an epoch has only {', '.join(row)}; "
                "columns that begin with val_ need fit(validation=...)"
            )
        value = -row[self.monitor] if self.maximize else row[self.monitor]
        better = value < self.best or self.best != self.best  # whatever comes after NaN is better
        self.best = value if better else self.best
        return better


class EarlyStopping(_Best):
    """Stop after `patience` epochs without a better value of `monitor`; put the weights of the best epoch back.

    ValueError for a patience below 1; KeyError if the history has no such column.
    """

    def __init__(self, patience: int, monitor: str = "val_loss", maximize: bool = False) -> None:
        if patience < 1:
            raise ValueError(f"patience must be a number of epochs from 1, got {patience}")
        super().__init__(monitor, maximize)
        self.patience, self.age = patience, 0
        self.state: dict[str, Tensor] = {}

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        self.age += 1
        if self.improved(row) or not self.state:
            self.age = 0
            self.state = {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}
        elif self.age >= self.patience:
            trainer.stop = True

    def on_end(self, trainer: Trainer) -> None:
        if self.state:
            trainer.model.load_state_dict(self.state)


class Checkpoint(_Best):
    """Save the weights to the file `path` after each epoch that is better than all before it."""

    def __init__(self, path: str | os.PathLike[str], monitor: str = "val_loss", maximize: bool = False) -> None:
        super().__init__(monitor, maximize)
        self.path = path

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        if self.improved(row):
            save(trainer.model.state_dict(), self.path)


class EveryStep(Callback):
    """Advance a learning-rate schedule after every step, as OneCycleLR and warm-ups want it."""

    def __init__(self, schedule: Any) -> None:
        self.schedule = schedule

    def on_step(self, trainer: Trainer, loss: Tensor) -> None:
        self.schedule.step()
