"""The learning-rate range test: one short run in which the rate grows from step to step, until the loss flies off.

Source: L. N. Smith, "Cyclical learning rates for training neural networks" (2017), section 3.3.  That the rate grows
by the same factor in each step, and not by the same amount, is a later habit: good rates differ by powers of 10.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import backend, nn
from minidl.autograd import Tensor, enable_grad
from minidl.optim import Optimizer
from minidl.study import charts
from minidl.study.measuring import Loss, bar, expect, loss_of, untouched
from minidl.study.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAFETY = 10  # the rate that is suggested is at least so many times smaller than the one at which the loss is lowest
RECENT = 5  # steps over which the mean says whether the loss flies off
WIDTH = 50  # the curve is smoothed over about one part in so many of the steps
SHOWN = 15  # steps that are printed


def lr_range_test(
    model: nn.Module, optimizer: Optimizer, loss: Loss, batches: Iterable[Any] | None = None, *, low: float = 1e-6,
    high: float = 10.0, steps: int = 100, progress: bool = True,
) -> RangeTest:  # fmt: skip
    """Train `model` for at most `steps` steps, with rates from `low` to `high`, and suggest a rate.

    The loss is loss(model(inputs), targets) for the `batches` (inputs, targets), a DataLoader or a list, which begin
    anew when they end; without batches it is loss(model).  All groups of the optimizer get the same rate.  It ends
    early where the loss flies off.  What steps is a copy of the optimizer; the model and the random numbers, too, are
    left as they were.

    ValueError for rates that do not grow, fewer than 10 steps, no batches, or the optimizer of another model.

    >>> import minidl
    >>> from minidl import nn, optim, study
    >>> _ = minidl.manual_seed(0)
    >>> model = nn.Linear(1, 1, bias=False)
    >>> optimizer = optim.SGD(model.parameters())
    >>> test = study.lr_range_test(model, optimizer, lambda model: 10 * (model.weight - 1).square().sum(), low=1e-4)
    >>> 0.002 < test.suggestion < 0.1 < test.lowest  # above 2 / 20, where the curvature is 20, the steps diverge
    True
    """
    expect(nn.Module, model, "lr_range_test")
    expect(Optimizer, optimizer, "lr_range_test")
    if not 0 < low < high:
        raise ValueError(f"the rates must grow, 0 < low < high, got low={low} and high={high}")
    if steps < 2 * RECENT:
        raise ValueError(f"steps must be from {2 * RECENT}, got {steps}")
    params = [p for group in optimizer.param_groups for p in group["params"]]
    rates, losses = np.geomspace(low, high, steps), list[float]()
    with untouched(model, params, _generators(batches)), closing(_endless(batches)) as endless:
        shared = {id(p): p for p in params} | {id(optimizer.watchers): []}
        tried = copy.deepcopy(optimizer, shared)  # on the same weights, with memory of its own, and unwatched
        for rate, batch in bar(zip(rates, endless, strict=False), "learning rates", progress, steps):
            for group in tried.param_groups:
                group["lr"] = float(rate)
            losses.append(_step(tried, model, loss, batch))
            if _flies_off(losses):
                break
    return RangeTest(rates[: len(losses)], np.array(losses), max(1, steps // WIDTH), len(losses) < steps)


def _step(optimizer: Optimizer, model: nn.Module, loss: Loss, batch: Any) -> float:
    """Take one step, and return the loss before it."""
    wanted = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss_of(model, loss, batch)
        value.backward(inputs=wanted)
        if all(p.grad is None for p in wanted):
            raise ValueError(
                "the loss does not depend on the parameters of this optimizer: is it that of another model, or frozen?"
            )
        return value

    with enable_grad(), np.errstate(all="ignore"):
        return optimizer.step(closure).item()


def _endless(batches: Iterable[Any] | None) -> Generator[Any, None, None]:
    """The batches, again and again; None for ever where there are none."""
    if batches is None:
        while True:
            yield None
    while True:
        none = True
        for batch in batches:
            none = False
            yield batch
        if none:
            raise ValueError("there are no batches, or no more: give a DataLoader or a list, which can begin anew")


def _generators(batches: Any) -> list[backend.Generator]:
    """The random streams of their own that a DataLoader and its samplers draw from."""
    holders = [batches, getattr(batches, "sampler", None), getattr(batches, "batch_sampler", None)]
    holders.append(getattr(holders[-1], "sampler", None))
    found = [getattr(holder, "generator", None) for holder in holders]
    return [generator for generator in found if isinstance(generator, backend.Generator)]


def _flies_off(losses: list[float]) -> bool:
    """Whether the last losses are not finite, or far above the lowest: the way that was gained, and as much again."""
    if not np.isfinite(losses[-1]):
        return True
    if len(losses) < 2 * RECENT:
        return False
    means = np.convolve(losses, np.full(RECENT, 1 / RECENT), "valid")
    lowest = means.min()
    return bool(means[-1] > lowest + 2 * max(means[0] - lowest, abs(lowest)))


class RangeTest:
    """The `losses` at the `rates` that were tried, each before the step with that rate; `smooth` is without the noise.

    `lowest` is the rate at which the smooth loss is lowest, `steepest` that at which it falls fastest before, and
    `suggestion` the smaller one of that and a tenth of the lowest, the two that are usually taken: where the loss is
    lowest, it is about to rise, because a rate does its damage some steps before one sees it.  `verdict` says in words
    what was seen, and what to do where that is too little; where nothing was learnt at all, the suggestion is nan.
    """

    def __init__(self, rates: np.ndarray, losses: np.ndarray, width: int, ended: bool) -> None:
        self.rates, self.losses, self.ended = rates, losses, ended
        self.smooth = _smoothed(losses, width)
        self._best = int(np.nanargmin(self.smooth)) if np.isfinite(self.smooth).any() else 0
        slopes = np.gradient(self.smooth, np.log(rates)) if len(rates) > 1 else np.zeros(1)
        self.lowest = float(rates[self._best])
        self.steepest = float(rates[int(np.argmin(slopes[: self._best + 1]))])
        self.suggestion = float(f"{min(self.steepest, self.lowest / SAFETY):.2g}")
        if not np.isfinite(losses[0]) or (losses == losses[0]).all():
            self.suggestion = float("nan")

    @property
    def verdict(self) -> str:
        """One sentence on the test."""
        first, last = (f"{rate:.2g}" for rate in self.rates[[0, -1]])
        if not np.isfinite(self.losses[0]):
            return f"the loss is {self.losses[0]:g} before the first step: look for nan or inf in inputs and weights"
        if (self.losses == self.losses[0]).all():
            return "the loss never changed: the weights do not move, or what they do has no effect; are gradients 0?"
        if self._best == 0:
            return f"the loss never fell: test lower rates, below {first}, or look for what else is wrong"
        if not self.ended and self._best >= len(self.rates) - RECENT:
            return f"the loss fell to the end: test higher rates, above {last}, for what is suggested may be too low"
        ending = f"flew off at {last}" if self.ended else f"did not fly off up to {last}"
        return f"the loss fell fastest at {self.steepest:.2g}, was lowest at {self.lowest:.2g}, and {ending}"

    def table(self) -> Table:
        """A row for each step: the rate, the loss, and the smooth loss."""
        columns = zip(self.rates, self.losses, self.smooth, strict=True)
        return Table({"lr": float(rate), "loss": float(loss), "smooth": float(mean)} for rate, loss, mean in columns)

    def __repr__(self) -> str:
        return f"{self.table().some(SHOWN)}\n{self.verdict}\nsuggested learning rate: {self.suggestion:.2g}"

    def plot(self, path: str | Path | None = None) -> Figure:
        """The loss over the learning rate, with the rates that are named; saved, if `path` names a file.

        ImportError without matplotlib.
        """
        blue, red, green = charts.COLORS[:3]
        drawn = charts.figure(7.0, 4.4)
        axes = drawn.subplots()
        axes.plot(self.rates, self.losses, ".", color="#8c959f", markersize=4, label="loss of each step")
        axes.plot(self.rates, self.smooth, color=blue, linewidth=2, label="smoothed")
        for name, rate, color, dash in (("lowest", self.lowest, red, ":"), ("suggested", self.suggestion, green, "--")):
            axes.axvline(rate, color=color, linestyle=dash, linewidth=2, label=f"{name}: {rate:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        if np.isfinite(self.losses[0]):
            low, high = np.nanmin(self.losses, initial=self.smooth[0]), self.smooth[0]
            edge = 0.6 * (high - low) or 1.0  # what flies off leaves the picture
            axes.set_ylim(low - edge / 4, high + edge)
        axes.legend(frameon=False)
        charts.tidy(axes)
        return charts.save(drawn, path)


def _smoothed(losses: np.ndarray, width: int) -> np.ndarray:
    """Means with the weights of a bell of that many steps to either side, which neither lag nor lead."""
    offsets = np.arange(-3 * width, 3 * width + 1)
    bell, known = np.exp(-((offsets / width) ** 2) / 2), np.isfinite(losses)
    sums, weights = (
        np.convolve(x, bell)[3 * width : 3 * width + len(losses)] for x in (np.where(known, losses, 0.0), known * 1.0)
    )
    return np.where(known, sums / np.maximum(weights, 1e-300), np.nan)
