"""Races: optimizers walk down the same surface from the same place, and one sees who comes how far, on which way.

They are the classes that train networks, with gradients by automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.autograd import Tensor, tensor
from minidl.optim import Optimizer
from minidl.study import charts, race_page
from minidl.study.surface import Box, Surface, surfaces
from minidl.study.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Objective = str | Surface | Callable[[Tensor], Tensor]
Entry = tuple[type[Optimizer], Mapping[str, Any]]
Optimizers = Mapping[str, Entry | type[Optimizer]]
RATES = tuple(float(f"{10 ** (k / 3):.2g}") for k in range(-12, 4))  # 0.0001, 0.00022, ..., 10: three a power of 10
BOUND = 1e30  # of the weights: beyond it, they grow without end


def race(
    objective: Objective, optimizers: Optimizers, start: Any = None, steps: int = 200, *, search: bool = False,
    tolerance: float = 1e-3, noise: float | None = None, seed: int = 0,
) -> Race:  # fmt: skip
    """Let `optimizers`, {label: (class, options)}, walk `steps` steps down `objective` from `start`.

    `objective` is a name in `study.surfaces`, or a function that takes a tensor of the shape of `start` to a loss.
    With `search`, each gets the best of the same learning rates, as `best_rates` finds it.  An optimizer has arrived
    when only the part `tolerance` of the way down is left, for good: of the way from the value at the start to the
    lowest one (that of the surface, if it is known, and else the lowest that any of them found).  `noise` is the
    standard deviation of what is added to gradients, the same for all, from `seed`; by default that of the surface.

    >>> from minidl import optim, study
    >>> study.race("ravine", {"SGD": (optim.SGD, {"lr": 0.015}), "Nesterov": (optim.Nesterov, {"lr": 0.01})})
    optimizer     lr  steps to tolerance  final value  path length
    SGD        0.015                   -     0.095928       10.969
    Nesterov    0.01                  51   1.9709e-09       13.891
    """
    surface, given = _surface(objective, start, noise), entries(optimizers)
    if search:
        rates = best_rates(surface, optimizers, None, steps, tolerance=tolerance, seed=seed)
        given = {label: (kind, {**options, "lr": rates[label]}) for label, (kind, options) in given.items()}
    return Race(surface, [_run(surface, label, *entry, steps, seed) for label, entry in given.items()], tolerance)


def best_rates(
    objective: Objective, optimizers: Optimizers, start: Any = None, steps: int = 200, *,
    rates: Sequence[float] = RATES, tolerance: float = 1e-3, noise: float | None = None, seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """The learning rate of `rates` with which each optimizer does best; the other options stay as they are given.

    That is the rate with which it arrives in the fewest steps, and if none or several do, the one with the lowest mean
    value over the last quarter of the steps.  Rates with which it climbs to twice the height of the start are the last
    choice.  It is a fair search: each optimizer runs once for each rate.  The other arguments are those of `race`.
    """
    surface, best = _surface(objective, start, noise), {}
    for label, (kind, options) in entries(optimizers).items():
        runs = [_run(surface, label, kind, {**options, "lr": rate}, steps, seed) for rate in rates]
        lowest = _lowest(surface, runs)
        best[label] = min(runs, key=lambda run, lowest=lowest: _badness(run, lowest, tolerance)).lr  # type: ignore[misc]
    return best


@dataclass(frozen=True)
class Run:
    """The way of one optimizer: its `path` (steps + 1, *shape of the start), and the `values` of the surface there.

    It ends early, with the value inf, where the weights grow without end.
    """

    label: str
    lr: float
    path: np.ndarray
    values: np.ndarray

    def arrival(self, lowest: float, tolerance: float) -> int | None:
        """After how many steps only the part `tolerance` of the way down was left, for good; None if never."""
        above = np.flatnonzero(~(self.values - lowest <= tolerance * (self.values[0] - lowest)))
        steps = int(above[-1]) + 1 if len(above) else 0
        return steps if steps < len(self.values) else None

    @property
    def points(self) -> np.ndarray:
        """The path as rows of numbers."""
        return self.path.reshape(len(self.path), -1)

    @property
    def length(self) -> float:
        """How long the path is."""
        return float(np.sqrt((np.diff(self.points, axis=0) ** 2).sum(1)).sum())


class Race:
    """The end of a race: `runs` on a `surface`; `print` shows the table."""

    def __init__(self, surface: Surface, runs: Sequence[Run], tolerance: float) -> None:
        self.surface, self.runs, self.tolerance = surface, list(runs), tolerance
        self.lowest = _lowest(surface, runs)

    def table(self) -> Table:
        """A row for each optimizer: its learning rate, the steps it took to arrive, where it ended, length of its path.

        The steps are None where it did not arrive; the final value is inf where the weights grew without end.
        """
        rows: list[dict[str, Any]] = [
            {"optimizer": run.label, "lr": run.lr, "steps to tolerance": run.arrival(self.lowest, self.tolerance),
             "final value": float(run.values[-1]), "path length": run.length} for run in self.runs
        ]  # fmt: skip
        return Table(rows)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    # -- pictures

    def plot(self, path: str | Path | None = None) -> Figure:
        """All paths on the contours of the surface (if it has two dimensions), and their values over the steps.

        With `path` the picture is saved, in the format of its ending.  ImportError without matplotlib.
        """
        drawn = charts.figure(12.5 if self.is_map else 7.5, 4.8)
        *maps, curves = drawn.subplots(1, 1 + self.is_map, squeeze=False)[0]
        for axes in maps:
            self._draw_map(axes)
        for run, (color, dash) in zip(self.runs, charts.styles(), strict=False):
            arrival = run.arrival(self.lowest, self.tolerance)
            label = f"{run.label}, lr {run.lr:g}: " + ("not there" if arrival is None else f"{arrival} steps")
            curves.plot(self.gaps(run), dash, color=color, label=label, linewidth=1.8)
            for axes in maps:
                axes.plot(*run.points.T, dash, color=color, linewidth=1.8)
                axes.plot(*run.points[-1:].T, "o", color=color, markersize=6, markeredgecolor="white")
        curves.set(yscale="log", ylim=self.span(), xlabel="steps", ylabel="value above the lowest")
        charts.tidy(curves, whole=True)
        title = f"{self.surface.name}: steps to arrive"
        drawn.legend(loc="outside right upper", frameon=False, title=title, alignment="left")
        return charts.save(drawn, path)

    def to_html(self, path: str | Path) -> None:
        """Write a page on which the race runs, with a slider for the time; the file needs no network.

        ImportError without plotly.
        """
        race_page.write(self, path)

    def _draw_map(self, axes: Axes) -> None:
        """The surface from above, the darker the higher, with the start and the lowest places."""
        x, y, heights, levels = self.heights(241 if self.surface.many else 41)
        shades = [f"{1 - 0.22 * i / len(levels):.3f}" for i in range(len(levels) + 1)]
        axes.contourf(x, y, heights, levels, colors=shades, extend="both")
        axes.contour(x, y, heights, levels, colors="#8c959f", linewidths=0.5)
        axes.plot(*self.surface.start.flat, "s", color="black", markersize=7, markeredgecolor="white", zorder=5)
        for place in self.surface.minima:
            axes.plot(*place, "*", color="black", markersize=13, markeredgecolor="white", zorder=5)
        left, right, bottom, top = self.box()
        axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="x", ylabel="y")

    @property
    def is_map(self) -> bool:
        """Whether the surface has two dimensions, so that it can be drawn from above."""
        return self.surface.start.size == 2

    def gaps(self, run: Run) -> np.ndarray:
        """How far above the lowest value a run was after each step; never 0, so that it has a logarithm."""
        return np.maximum(run.values - self.lowest, 1e-12 * (run.values[0] - self.lowest) + 1e-300)

    def span(self) -> tuple[float, float]:
        """From which to which height curves are shown: not all the way up with one that grows without end."""
        gaps = np.concatenate([self.gaps(run) for run in self.runs])
        top = min(gaps[np.isfinite(gaps)].max(), 1e3 * self.gaps(self.runs[0])[0])
        return float(gaps.min()) / 2, float(top) * 2

    def box(self) -> Box:
        """What a picture shows, (left, right, bottom, top): that of the surface, or what holds the paths."""
        if self.surface.box is not None:
            return self.surface.box
        points = np.concatenate([run.points[np.isfinite(run.points).all(1)] for run in self.runs])
        low, high = np.quantile(points, [0.02, 0.98], axis=0)  # without those that flee
        low, high = np.minimum(low, self.surface.start.ravel()), np.maximum(high, self.surface.start.ravel())
        edge = 0.15 * (high - low).max() + 1e-3
        return low[0] - edge, high[0] + edge, low[1] - edge, high[1] + edge

    def heights(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """x and y (count), how far above the lowest value the surface is there (count, count), levels for contours."""
        left, right, bottom, top = self.box()
        x, y = np.linspace(left, right, count), np.linspace(bottom, top, count)
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, *self.surface.start.shape)
        heights = (self.surface.values(points) - self.lowest).reshape(count, count)
        low, high = np.quantile(heights[np.isfinite(heights)], [0.003, 1])
        return x, y, heights, np.geomspace(max(low, 1e-4 * high), high, 16)  # the lower, the closer together


def entries(optimizers: Optimizers) -> dict[str, Entry]:
    """(class, options) by label, where the options may be left out."""
    return {label: (given, {}) if isinstance(given, type) else given for label, given in optimizers.items()}


def _surface(objective: Objective, start: Any, noise: float | None) -> Surface:
    """The surface that is meant, with its start as an array."""
    if isinstance(objective, str):
        if objective not in surfaces:
            raise ValueError(f"there is no surface {objective!r}, only {', '.join(surfaces)}")
        objective = surfaces[objective]
    elif not isinstance(objective, Surface):
        objective = Surface(getattr(objective, "__name__", "objective"), objective)
    start = objective.start if start is None else start
    if start is None:
        raise ValueError("a race on a function of your own needs a start, such as start=[1.0, 2.0]")
    noise = objective.noise if noise is None else noise
    return replace(objective, start=np.array(getattr(start, "array", start), dtype=np.float64), noise=noise)


def _run(surface: Surface, label: str, kind: type[Optimizer], options: Mapping[str, Any], steps: int, seed: int) -> Run:
    """Walk down; the noise depends on the seed only, so that it is the same for all."""
    w = tensor(surface.start, requires_grad=True)
    optimizer, path = kind([w], **options), [w.array.copy()]
    tilts = surface.noise * np.random.default_rng(seed).standard_normal((steps, *w.shape))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = surface.loss(w, len(path) - 1, tensor(tilts[len(path) - 1]) if surface.noise else None)
        loss.backward()
        return loss

    with np.errstate(all="ignore"):
        while len(path) <= steps and abs(w.array).max() < BOUND:
            optimizer.step(closure)
            path.append(w.array.copy())
    values = surface.values(np.array(path))
    values[-1] = values[-1] if abs(w.array).max() < BOUND else np.inf  # nan is beyond it, too
    return Run(label, float(optimizer.param_groups[0]["lr"]), np.array(path), values)


def _lowest(surface: Surface, runs: Sequence[Run]) -> float:
    return min(float(run.values.min()) for run in runs) if surface.lowest is None else surface.lowest


def _badness(run: Run, lowest: float, tolerance: float) -> tuple[bool, float, float]:
    """The smaller, the better the run; the first difference counts."""
    arrival, late = run.arrival(lowest, tolerance), run.values[-(-len(run.values) * 3 // 4) :]
    climbs = bool((run.values - lowest).max() > 2 * (run.values[0] - lowest))
    return climbs, np.inf if arrival is None else arrival, float(late.mean())
