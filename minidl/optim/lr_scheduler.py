"""Schedules: learning rates as formulas of the number of epochs (or of steps, for `step()` counts what you count).

Call `scheduler.step()` after `optimizer.step()`; it writes "lr" into the groups of the optimizer.  Most multiply the
rate that they find, so that two on one optimizer work together.  `schedule` is what all share, `cycles` holds those
that go up and down.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minidl.optim.cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from minidl.optim.optimizer import Optimizer
from minidl.optim.schedule import FactorLR, LRScheduler, checked, for_groups

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip

Function = Callable[[Any], float]


class LambdaLR(LRScheduler):
    """The first rate times `lr_lambda(epoch)`, or for each group the function at its place in the list `lr_lambda`.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> optimizer.step()
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"]
    0.25
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | list[Function], last_epoch: int = -1) -> None:
        self.lr_lambdas = for_groups(optimizer, "lr_lambda", lr_lambda)
        if not all(callable(function) for function in self.lr_lambdas):
            raise TypeError(f"lr_lambda must be a function of the epoch, or a list of such, got {lr_lambda!r}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [rate * f(self.last_epoch) for rate, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LambdaLR):
    """The rate before, times `lr_lambda(epoch)`."""

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return rates
        return [rate * f(self.last_epoch) for rate, f in zip(rates, self.lr_lambdas, strict=True)]


class StepLR(FactorLR):
    """Times `gamma` after every `step_size` epochs.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(5):
    ...     print(optimizer.param_groups[0]["lr"], end=";")
    ...     optimizer.step()
    ...     schedule.step()
    1.0;1.0;0.5;0.5;0.25;
    """

    jumps = True

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: float) -> float:
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(FactorLR):
    """Times `gamma` at each of the epochs `milestones`."""

    jumps = True

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: float) -> float:
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), epoch)


class ConstantLR(FactorLR):
    """Times `factor` in the first `total_iters` epochs, a cold start; ValueError if `factor` is not from 0 to 1."""

    jumps = True

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"factor must be from 0 to 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: float) -> float:
        return self.factor if epoch < self.total_iters else 1.0


class LinearLR(FactorLR):
    """Times a factor that goes from `start_factor` to `end_factor` in `total_iters` epochs: a warm-up.

    ValueError if these are not from 0 to 1, or the first is 0.
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not (0 < start_factor <= 1 and 0 <= end_factor <= 1):
            raise ValueError(f"factors must be from 0 to 1, the first above 0, got {start_factor} and {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: float) -> float:
        done = epoch / self.total_iters if epoch < self.total_iters else 1.0
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ExponentialLR(FactorLR):
    """Times `gamma` after every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: float) -> float:
        return self.gamma**epoch


class PolynomialLR(FactorLR):
    """Times (1 - epoch / `total_iters`) to the power `power`, down to 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: float) -> float:
        left = 1 - epoch / self.total_iters if epoch < self.total_iters else 0.0
        return left**self.power


class CosineAnnealingLR(FactorLR):
    """Half a wave of the cosine, from the first rate down to `eta_min` in `T_max` epochs, and then up again.

    η = η_min + (η_0 - η_min) · (1 + cos(π · epoch / T_max)) / 2  (Loshchilov and Hutter 2017, SGDR, without restarts).
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def share(self, epoch: float) -> float:
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class ReduceLROnPlateau(LRScheduler):
    """Times `factor` when what `step(metrics)` is given has not become better for more than `patience` epochs.

    Better is lower (`mode` "min") or higher ("max") than the best so far by `threshold`, a share of it
    (`threshold_mode` "rel") or a difference ("abs").  After a change nothing counts for `cooldown` epochs; no rate goes
    below `min_lr`, nor changes by `eps` or less.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> optimizer.param_groups[0]["lr"]
    0.1
    """

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10, threshold: float = 1e-4,
        threshold_mode: str = "rel", cooldown: int = 0, min_lr: float | list[float] = 0, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        if factor >= 1:
            raise ValueError(f"factor must be below 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f'modes are "min" or "max" and "rel" or "abs", got {mode!r} and {threshold_mode!r}')
        self.optimizer, self.min_lrs = checked(optimizer), for_groups(optimizer, "min_lr", min_lr)
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.best = math.inf if mode == "min" else -math.inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any, epoch: float | None = None) -> None:  # type: ignore[override]
        """Take note of the loss or score `metrics` of an epoch, and lower the rates if it is time to."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self.num_bad_epochs += 1
        if self._is_better(float(metrics)):
            self.best, self.num_bad_epochs = float(metrics), 0
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            lower = [max(rate * self.factor, least) for rate, least in zip(rates, self.min_lrs, strict=True)]
            rates = [new if old - new > self.eps else old for old, new in zip(rates, lower, strict=True)]
        self._set(rates)

    def _is_better(self, metric: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        change = sign * self.threshold
        return sign * metric > sign * (self.best * (1 + change) if self.threshold_mode == "rel" else self.best + change)


class SequentialLR(LRScheduler):
    """One schedule after the other: `schedulers[i]` begins at epoch `milestones[i - 1]`.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    >>> parts = [LinearLR(optimizer, 0.25, total_iters=3), ExponentialLR(optimizer, 0.5)]
    >>> schedule = SequentialLR(optimizer, parts, milestones=[3])
    >>> for epoch in range(5):
    ...     print(optimizer.param_groups[0]["lr"], end=";")
    ...     optimizer.step()
    ...     schedule.step()
    0.25;0.5;0.75;1.0;0.5;
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        _check_parts(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(f"{len(schedulers)} schedules need a milestone between each two, got {len(milestones)}")
        self.optimizer, self._schedulers, self._milestones = optimizer, schedulers, milestones
        self.last_epoch = last_epoch + 1
        self._set([group["initial_lr"] for group in optimizer.param_groups])
        _undo(self)
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Take a step of the schedule whose turn it is."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            self._schedulers[i]._update_lr(0)
        else:
            self._schedulers[i].step()
        self._last_lr = self._schedulers[i].get_last_lr()


class ChainedScheduler(LRScheduler):
    """Several schedules that all take their step, one after the other, on the rate that the one before has set."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        _check_parts(schedulers, optimizer)
        self._schedulers, self.optimizer = schedulers, schedulers[0].optimizer
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:  # type: ignore[override]
        """Take a step of each schedule."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def _check_parts(schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
    if not schedulers:
        raise ValueError("expected at least one schedule, got none")
    for i, scheduler in enumerate(schedulers):
        if not hasattr(scheduler, "optimizer"):
            raise TypeError(f"schedule {i} is of type {type(scheduler).__name__}, which has no optimizer")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(f"schedule {i} is ReduceLROnPlateau, whose step() needs a metric: call it by itself")
        if scheduler.optimizer is not (optimizer or schedulers[0].optimizer):
            raise ValueError(f"schedule {i}, {type(scheduler).__name__}, belongs to another optimizer")


def _undo(scheduler: LRScheduler) -> None:
    """Take back the step that the schedules in a `SequentialLR` took when they were made."""
    for part in getattr(scheduler, "_schedulers", ()):
        _undo(part)
    if not hasattr(scheduler, "_schedulers"):
        scheduler.last_epoch -= 1
