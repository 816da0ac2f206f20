"""Learning rates that fall and rise again, or rise and fall, with the momentum in the opposite direction.

`step()` is called after every batch: what the formulas count as epochs are steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from minidl.optim.optimizer import Group, Optimizer
from minidl.optim.schedule import LRScheduler, for_groups


def between(start: float, end: float, part: float, strategy: str) -> float:
    """From `start` (part = 0) to `end` (part = 1), along half a wave of the cosine ("cos") or a line."""
    return start + (end - start) * ((1 - math.cos(math.pi * part)) / 2 if strategy == "cos" else part)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a wave of the cosine down to `eta_min`, then from the top again (Loshchilov and Hutter 2017, SGDR).

    The first takes `T_0` epochs, each later one `T_mult` times as long.  `step(epoch)` takes parts of epochs, too.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> for epoch in (0.5, 1, 2, 3):
    ...     schedule.step(epoch)
    ...     print(round(optimizer.param_groups[0]["lr"], 3))
    0.854
    0.5
    1.0
    0.5
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if not (isinstance(T_0, int) and T_0 > 0 and isinstance(T_mult, int) and T_mult > 0):
            raise ValueError(f"T_0 and T_mult must be whole numbers from 1, got {T_0} and {T_mult}")
        if not isinstance(eta_min, (int, float)):
            raise ValueError(f"eta_min must be a number, got {eta_min!r}")
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [between(first, self.eta_min, self.T_cur / self.T_i, "cos") for first in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next epoch, or those of `epoch`, such as 3.5; ValueError if that is negative."""
        if epoch is not None and epoch < 0:
            raise ValueError(f"epoch must not be negative, got {epoch}")
        if epoch is None and self.last_epoch >= 0:
            epoch, self.T_cur = self.last_epoch + 1, self.T_cur + 1
        else:
            epoch = self.T_cur = epoch or 0
            self.T_i = self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


class _MomentumLR(LRScheduler):
    """Base of schedules that move the momentum, too (of Adam and its kin β₁): `momenta` are the lowest and the highest.

    `starts` holds what is written into the groups at first: by name, one value for each group.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int, momenta: tuple | None, **starts: list[float]) -> None:
        self.cycle_momentum = momenta is not None
        if momenta is not None:
            if not {"momentum", "betas"} & set(optimizer.defaults):
                raise ValueError(f"{type(optimizer).__name__} has no momentum: use cycle_momentum=False")
            self.base_momentums = starts["base_momentum"] = for_groups(optimizer, "base_momentum", momenta[0])
            self.max_momentums = starts["max_momentum"] = for_groups(optimizer, "max_momentum", momenta[1])
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                group.update({name: values[i] for name, values in starts.items()})
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _set_momentum(group: Group, value: float) -> None:
        group.update({"betas": (value, *group["betas"][1:])} if "betas" in group else {"momentum": value})


class OneCycleLR(_MomentumLR):
    """One cycle (Smith and Topin 2018): from `max_lr` / `div_factor` up to `max_lr`, then down to almost nothing.

    Up in the first `pct_start` of `total_steps` (or `epochs` · `steps_per_epoch`), then down to the first rate /
    `final_div_factor`, with `three_phase` by way of the first rate.  The momentum goes the other way.
    `anneal_strategy` is "cos" or "linear".  ValueError at a step beyond the last.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.6)
    >>> for step in range(4):
    ...     print(round(optimizer.param_groups[0]["lr"], 3), round(optimizer.param_groups[0]["momentum"], 3))
    ...     optimizer.step()
    ...     schedule.step()
    0.04 0.95
    0.52 0.9
    1.0 0.85
    0.5 0.9
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float | list[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        counts: tuple[Any, ...] = (epochs, steps_per_epoch) if total_steps is None else (total_steps,)
        if not all(isinstance(n, int) and n > 0 for n in counts):
            raise ValueError("total_steps, or epochs and steps_per_epoch, must be given, as whole numbers from 1")
        if anneal_strategy not in ("cos", "linear") or not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            got = f"{anneal_strategy!r} and {pct_start!r}"
            raise ValueError(f'expected anneal_strategy "cos" or "linear" and a pct_start from 0.0 to 1.0, got {got}')
        self.total_steps, self._anneal_func_type = math.prod(counts), anneal_strategy
        self.pct_start, self.three_phase = pct_start, three_phase
        highest = for_groups(optimizer, "max_lr", max_lr)
        first = [rate / div_factor for rate in highest]
        rates = dict(initial_lr=first, max_lr=highest, min_lr=[rate / final_div_factor for rate in first])
        super().__init__(optimizer, last_epoch, (base_momentum, max_momentum) if cycle_momentum else None, **rates)

    def get_lr(self) -> list[float]:
        step, up = self.last_epoch, self.pct_start * self.total_steps - 1
        if step > self.total_steps:
            raise ValueError(f"step {step} of a OneCycleLR that was made for total_steps={self.total_steps}")
        knots = [(0.0, "initial_lr"), (up, "max_lr"), (self.total_steps - 1, "min_lr")]
        if self.three_phase:
            knots.insert(2, (2 * up, "initial_lr"))
        (start, old), (end, new) = next((pair for pair in pairwise(knots) if step <= pair[1][0]), knots[-2:])

        def now(group: Group, names: Iterable[str]) -> float:
            first, second = (group[name] for name in names)
            return between(first, second, (step - start) / (end - start), self._anneal_func_type)

        for group in self.optimizer.param_groups if self.cycle_momentum else []:
            momenta = ("base_momentum" if rate == "max_lr" else "max_momentum" for rate in (old, new))
            self._set_momentum(group, now(group, momenta))
        return [now(group, (old, new)) for group in self.optimizer.param_groups]


class CyclicLR(_MomentumLR):
    """Up and down on straight lines between `base_lr` and `max_lr` (Smith 2017), the momentum the other way.

    Up in `step_size_up` steps, down in `step_size_down` (by default as many).  `mode` "triangular" keeps the height of
    the cycles, "triangular2" halves it each time, "exp_range" multiplies it by `gamma` in each step; `scale_fn`
    replaces these by a function of the cycle (from 1) or, with `scale_mode="iterations"`, of the steps done.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], momentum=0.9)
    >>> schedule = CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2, mode="triangular2")
    >>> for step in range(7):
    ...     print(optimizer.param_groups[0]["lr"], end=";")
    ...     optimizer.step()
    ...     schedule.step()
    0.0;0.5;1.0;0.5;0.0;0.25;0.5;
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: float | list[float], max_lr: float | list[float],
        step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8, max_momentum: float | list[float] = 0.9, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f'mode must be "triangular", "triangular2" or "exp_range" without scale_fn, got {mode!r}')
        base_lrs, self.max_lrs = for_groups(optimizer, "base_lr", base_lr), for_groups(optimizer, "max_lr", max_lr)
        self.total_size = float(step_size_up + (step_size_up if step_size_down is None else step_size_down))
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self._scale_fn_custom = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        momenta = (base_momentum, max_momentum) if cycle_momentum else None
        super().__init__(optimizer, last_epoch, momenta, lr=base_lrs)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of cycle x (from 1), or after x steps, as `scale_mode` says; 1 is all of it."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return {"triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}.get(self.mode, 1.0)

    def get_lr(self) -> list[float]:
        cycle, part = divmod(self.last_epoch / self.total_size, 1)
        height = part / self.step_ratio if part <= self.step_ratio else (1 - part) / (1 - self.step_ratio)
        height *= self.scale_fn(cycle + 1 if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            groups = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in groups:
                self._set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]
