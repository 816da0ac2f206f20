"""What all learning rate schedules share: counting epochs, writing the rates into the optimizer, saving and resuming.

A schedule is a formula; the formulas are in `lr_scheduler` and `cycles`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from minidl.optim.optimizer import Optimizer


class LRScheduler:
    """Base of all schedules; one of your own needs `get_lr()`, which returns the rate of each group of the optimizer.

    There `last_epoch` is the number of epochs (or steps) done, `base_lrs` are the rates at the start.  A new schedule
    counts from 0; made with `last_epoch`, it goes on after that epoch, on an optimizer whose state was loaded before
    (KeyError if its groups have no "initial_lr").  TypeError if `optimizer` is none.

    >>> import minidl
    >>> from minidl import optim
    >>> class Halving(LRScheduler):
    ...     def get_lr(self):
    ...         return [rate / 2**self.last_epoch for rate in self.base_lrs]
    >>> optimizer = optim.SGD([minidl.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = Halving(optimizer)
    >>> for epoch in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.125]
    """

    get_lr: Callable[[], list[float]]
    _is_initial = False  # whether this step is the one that `__init__` takes

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(optimizer)
        for k, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"group {k} has no 'initial_lr': load the optimizer's state, or leave out last_epoch")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch: float = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count, self._is_initial = 0, True
        self.step()
        self._is_initial = False

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next epoch, or those of `epoch`; to be called after `optimizer.step()`."""
        if self._step_count == 1 and not self.optimizer.stepped and hasattr(self.optimizer, "rule"):
            message = "lr_scheduler.step() came before optimizer.step(), so the first rate of the schedule was not used"
            warnings.warn(message, UserWarning, stacklevel=2)
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: float | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set(self.get_lr() if epoch is None else self._get_closed_form_lr())

    def _get_closed_form_lr(self) -> list[float]:
        """The rates of `last_epoch`, whatever they are now."""
        return self.get_lr()

    def _set(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one for each group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """All but the optimizer, under PyTorch's names; of what can be called, its attributes, None for a function."""
        return {name: _state(value) for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict()`, of minidl or of PyTorch; that of the optimizer is to be loaded, too."""
        for name, value in state_dict.items():
            setattr(self, name, _loaded(vars(self).get(name), value))


class FactorLR(LRScheduler):
    """Rates `eta_min` + (first rate - `eta_min`) · share(epoch), in steps that can be chained with other schedules.

    Such a step multiplies the rate that it finds by share(epoch) / share(epoch - 1).
    """

    share: Callable[[float], float]
    eta_min = 0.0
    jumps = False  # at single epochs, and then in `__init__`, too, when the epoch after `last_epoch` is one of them

    def get_lr(self) -> list[float]:
        rates, low, epoch = [group["lr"] for group in self.optimizer.param_groups], self.eta_min, self.last_epoch
        if epoch > 0 and self._is_initial and not self.jumps:
            return rates
        before, now = self.share(epoch - 1) if epoch > 0 else 1.0, self.share(epoch)
        if before == 0:
            return [rate + (first - low) * now for rate, first in zip(rates, self.base_lrs, strict=True)]
        return [low + (rate - low) * (now / before) for rate in rates]

    def _get_closed_form_lr(self) -> list[float]:
        return [self.eta_min + (first - self.eta_min) * self.share(self.last_epoch) for first in self.base_lrs]


def checked(optimizer: Any) -> Optimizer:
    """The optimizer; TypeError if it is none."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a schedule changes the rates of an optimizer, got {type(optimizer).__name__}")
    return optimizer


def for_groups(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """One value for each group of the optimizer, from a list of them or one for all; ValueError for another number."""
    count = len(checked(optimizer).param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{name}: expected one value, or one for each of {count} groups, got {len(values)}")
    return values


def _state(value: Any) -> Any:
    """What is saved of an attribute."""
    if isinstance(value, (list, tuple)):
        return [_state(x) for x in value]
    if isinstance(value, LRScheduler):
        return value.state_dict()
    return (dict(vars(value)) or None) if callable(value) else value


def _loaded(old: Any, saved: Any) -> Any:
    """The attribute `old` as it was when it was `saved`."""
    if isinstance(old, (list, tuple)) and len(old) == len(saved):
        return [_loaded(*pair) for pair in zip(old, saved, strict=True)]
    if isinstance(old, LRScheduler):
        old.load_state_dict(saved)
    elif callable(old):
        vars(old).update(saved or {})
    else:
        return saved
    return old
