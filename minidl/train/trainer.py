"""The Trainer: the loop that trains a network, with what every run needs around it.

The loop itself is `_train_epoch`, and is meant to be read; the rest keeps count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidl import nn
from minidl.autograd import Tensor, no_grad
from minidl.backend import CPU, device, manual_seed
from minidl.data import Dataset, IterableDataset, on_device
from minidl.optim.lr_scheduler import ReduceLROnPlateau
from minidl.train.callbacks import Callback, EarlyStopping
from minidl.train.history import History
from minidl.train.meter import Meter
from minidl.train.progress import Progress


class Trainer:
    """Trains `model` with `optimizer` on the loss `criterion(outputs, targets)`, by default cross entropy.

    - `clip_grad_norm`: the largest norm of all gradients together; larger ones are scaled down to it.
    - `schedule`: changes the learning rate after each epoch: an object with a method `step()`, or a function
      from the number of epochs done to a factor on the first rate.  ReduceLROnPlateau is given the validation loss, or
      without one the training loss; what steps with each batch (OneCycleLR, warm-ups) is the callback `EveryStep`'s.

    `history` has a row for each epoch: epoch, lr, loss and accuracy (of the training examples, while the
    network changed), val_loss and val_accuracy, seconds and examples_per_second of the training steps.

    >>> import minidl
    >>> from minidl import nn, optim
    >>> from minidl.data import DataLoader, TensorDataset
    >>> _ = minidl.manual_seed(0)
    >>> xor = TensorDataset([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.1))
    >>> history = trainer.fit(DataLoader(xor, batch_size=4), epochs=50, progress=False)
    >>> history[-1]["accuracy"]
    1.0
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        criterion: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
        *,
        clip_grad_norm: float | None = None,
        schedule: Any = None,
    ) -> None:
        self.model = model
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(f"Trainer: expected an optimizer, as in optim.Adam(model.parameters()), got {optimizer!r}")
        if clip_grad_norm is not None and not clip_grad_norm > 0:
            raise ValueError(f"Trainer: clip_grad_norm must be larger than 0, got {clip_grad_norm}")
        self.optimizer = optimizer
        self.criterion = criterion
        self.clip_grad_norm = clip_grad_norm
        self.schedule = (
            schedule if schedule is None or hasattr(schedule, "step") else _Factor(optimizer, schedule)
        )
        self.history = History()
        self.stop = False  # a callback may set it

    def _train_epoch(self, batches: Iterable[Any], progress: Progress, callbacks: Sequence[Callback]) -> None:
        """One pass over the examples: every batch moves the weights by one step."""
        self.model.train()
        for x, y in batches:
            outputs = self.model(x)  # forward: what the network says
            loss = self.criterion(outputs, y)  # one number: how wrong that is
            self.optimizer.zero_grad()  # gradients add up, so forget those of the step before
            loss.backward()  # backward: the gradient of the loss at every weight
            if self.clip_grad_norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad_norm)
            self.optimizer.step()  # move every weight against its gradient
            progress.note(loss, outputs, y)
            for callback in callbacks:
                callback.on_step(self, loss)

    def fit(
        self,
        train_loader: Any,
        epochs: int,
        validation: Iterable[Any] | None = None,
        *,
        patience: int | None = None,
        seed: int | None = None,
        progress: bool = True,
        unit: str = "examples",
        on_epoch: Callable[[dict[str, float]], object] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> History:
        """Train for `epochs` passes over `train_loader`, which gives batches (inputs, targets).

        - `validation`: batches to measure loss and accuracy with after each epoch.
        - `patience`: stop after so many epochs without a lower validation loss; the weights of the best epoch
          are put back at the end.
        - `seed`: start the default random numbers (shuffling, dropout) anew, so that the run can be repeated.
        - `progress`: draw a bar while an epoch runs (`unit` names what is counted) and print a line after it.
        - `on_epoch`: called with the row of each epoch, in place of printing the line.
        - `callbacks`: what else is done after each step and each epoch, see `train/callbacks.py`.

        Where the model is on a GPU, all batches are brought there (see `data.on_device`).

        A second call goes on where the first ended.  Ctrl-C ends at a whole step: the model is usable and
        `history` has all finished epochs.  A loss that is nan or infinite raises FloatingPointError.
        """
        if not isinstance(epochs, int) or epochs < 1:
            raise ValueError(f"fit(train_loader, epochs): epochs must be a whole number from 1, got {epochs!r}")
        _check_batches("fit", train_loader)
        if patience is not None and validation is None:
            raise ValueError("patience needs validation=...: it is the validation loss that it watches")
        if patience is not None:
            callbacks = [*callbacks, EarlyStopping(patience)]
        if seed is not None:
            manual_seed(seed)
        batches = on_device(train_loader, self._device)
        validation = None if validation is None else on_device(validation, self._device)
        self.stop, last = False, len(self.history) + epochs
        for epoch in range(len(self.history) + 1, last + 1):
            watch = Progress(train_loader, f"epoch {epoch}/{last}", unit, show=progress)
            with watch, np.errstate(all="ignore"):  # a loss that is not finite is reported by `watch`
                self._train_epoch(batches, watch, callbacks)
            row = {"epoch": epoch, "lr": self.optimizer.param_groups[0]["lr"], **watch.result}
            if validation is not None:
                row |= {f"val_{name}": mean for name, mean in self.evaluate(validation).items()}
            self.history.append(row)
            if on_epoch is not None:
                on_epoch(row)
            elif progress:
                print(_line(row, last), flush=True)
            if isinstance(self.schedule, ReduceLROnPlateau):
                self.schedule.step(row.get("val_loss", row["loss"]))
            elif self.schedule is not None:
                self.schedule.step()
            for callback in callbacks:
                callback.on_epoch(self, row)
            if self.stop:
                break
        for callback in callbacks:
            callback.on_end(self)
        return self.history

    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        """The mean loss and, for class labels, the accuracy over `batches`, in evaluation mode.

        The model is left in the mode in which it was.
        """
        _check_batches("evaluate", batches)
        meter = Meter()
        with no_grad(), _evaluating(self.model):
            for x, y in on_device(batches, self._device):
                outputs = self.model(x)
                meter.add(self.criterion(outputs, y), outputs, y)
        return meter.means()

    def predict(self, x: Tensor) -> Tensor:
        """The model's outputs for the inputs `x`, in evaluation mode and without a graph."""
        with no_grad(), _evaluating(self.model):
            (placed,) = on_device([x], self._device)
            return self.model(placed)

    @property
    def _device(self) -> device:
        """Where the model is."""
        return next((weight.device for weight in self.model.parameters()), CPU)


def _check_batches(name: str, batches: Any) -> None:
    if isinstance(batches, Dataset) and not isinstance(batches, IterableDataset):
        kind = type(batches).__name__
        raise TypeError(
            f"{name}: expected batches, got a {kind}, which gives single examples: "
            f"use DataLoader({kind.lower()}, batch_size=64, shuffle={name == 'fit'})"
        )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a block: dropout and batch normalisation behave as in use."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _line(row: dict[str, float], last: int) -> str:
    """One epoch in one line of text."""
    parts = [f"epoch {row['epoch']}/{last}"]
    for prefix, name in (("", "train"), ("val_", "validation")):
        if f"{prefix}loss" in row:
            parts.append(f"{name} loss {row[f'{prefix}loss']:.4f}")
        if f"{prefix}accuracy" in row:
            parts.append(f"accuracy {row[f'{prefix}accuracy']:.2%}")
    return "  ".join([*parts, f"{row['seconds']:.1f} s"])


class _Factor:
    """A schedule from a function: the first learning rate of each group times `factor(epochs done)`."""

    def __init__(self, optimizer: Any, factor: Callable[[int], float]) -> None:
        self.optimizer, self.factor, self.epoch = optimizer, factor, -1
        self.first_rates = [group["lr"] for group in optimizer.param_groups]
        self.step()

    def step(self) -> None:
        """Set the learning rates of the next epoch."""
        self.epoch += 1
        for group, rate in zip(self.optimizer.param_groups, self.first_rates, strict=True):
            group["lr"] = rate * self.factor(self.epoch)
