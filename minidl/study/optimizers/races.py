"""Races: optimizers walk down the same surface from the same place, and one sees who comes how far, on which way.

They are the classes that train networks, with gradients by automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.autograd import Tensor, no_grad, tensor
from minidl.ops.shapes import stack
from minidl.optim import Optimizer
from minidl.study import charts
from minidl.study.measuring import bar
from minidl.study.optimizers import race_page
from minidl.study.optimizers.surface import Box, Surface, surfaces
from minidl.study.table import Table
from minidl.study.text import named

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
    tolerance: float = 1e-3, noise: float | None = None, seed: int = 0, progress: bool = True,
) -> Race:  # fmt: skip
    """Let `optimizers`, {label: (class, options)}, walk `steps` steps down `objective` from `start`.

    `objective` is a name in `study.surfaces`, or a function that takes a tensor of the shape of `start` to a loss.
    With `search`, each gets the best of the same learning rates, as `best_rates` finds it.  An optimizer has arrived
    when only the part `tolerance` of the way down is left, for good: of the way from the value at the start to the
    lowest one (that of the surface, if it is known, and else the lowest that any of them found).  `noise` is the
    standard deviation of what is added to gradients, the same for all, from `seed`; by default that of the surface.
    A step of most optimizers computes one gradient, but one of LBFGS up to `max_iter` and more: compare the column
    "gradients computed", not the steps.

    ValueError for a start that is missing, or at which the objective is not finite; TypeError for an objective that
    returns no tensor, and for optimizers that are not given as above.

    >>> from minidl import optim, study
    >>> study.race("ravine", {"SGD": (optim.SGD, {"lr": 0.015}), "Nesterov": (optim.Nesterov, {"lr": 0.01})})
    optimizer     lr  steps to tolerance  gradients computed  final value  path length
    SGD        0.015                   -                 200     0.095928       10.969
    Nesterov    0.01                  51                 200   1.9709e-09       13.891
    """
    surface, given = _surface(objective, start, noise), entries(optimizers)
    if search:
        rates = best_rates(surface, optimizers, None, steps, tolerance=tolerance, seed=seed, progress=progress)
        given = {label: (kind, {**options, "lr": rates[label]}) for label, (kind, options) in given.items()}
    return Race(surface, [_run(surface, label, *entry, steps, seed) for label, entry in given.items()], tolerance)


def best_rates(
    objective: Objective, optimizers: Optimizers, start: Any = None, steps: int = 200, *,
    rates: Sequence[float] = RATES, tolerance: float = 1e-3, noise: float | None = None, seed: int = 0,
    progress: bool = True,
) -> dict[str, float]:  # fmt: skip
    """The learning rate of `rates` with which each optimizer does best; the other options stay as they are given.

    That is the rate with which it arrives in the fewest steps, and if none or several do, the one with the lowest mean
    value over the last quarter of the steps.  Rates with which it climbs to twice the height of the start are the last
    choice.  It is a fair search for those that compute one gradient in a step: each runs once for each rate.  The other
    arguments are those of `race`.
    """
    surface, best = _surface(objective, start, noise), {}
    for label, (kind, options) in bar(entries(optimizers).items(), "learning rates", progress, len(optimizers)):
        runs = _run_all(surface, label, kind, options, rates, steps, seed)
        lowest = _lowest(surface, runs)
        best[label] = min(runs, key=lambda run, lowest=lowest: _badness(run, lowest, tolerance)).lr  # type: ignore[misc]
    return best


@dataclass(frozen=True)
class Run:
    """The way of one optimizer: its `path` (steps + 1, *shape of the start), and the `values` of the surface there.

    It ends early, with the value inf, where the weights grow without end.  `gradients` is how many it computed.
    """

    label: str
    lr: float
    path: np.ndarray
    values: np.ndarray
    gradients: int

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
        with np.errstate(all="ignore"):  # its end may be infinite
            return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


class Race:
    """The end of a race: `runs` on a `surface`; `print` shows the table."""

    floor_text = "lowest that is shown: 1e-12 of the way down"

    def __init__(self, surface: Surface, runs: Sequence[Run], tolerance: float) -> None:
        self.surface, self.runs, self.tolerance = surface, list(runs), tolerance
        self.lowest = _lowest(surface, runs)

    def table(self) -> Table:
        """A row for each optimizer: learning rate, steps it took to arrive, gradients in all, end, length of its path.

        The steps are None where it did not arrive; the final value is inf where the weights grew without end.
        """
        rows: list[dict[str, Any]] = [
            {"optimizer": run.label, "lr": run.lr, "steps to tolerance": run.arrival(self.lowest, self.tolerance),
             "gradients computed": run.gradients, "final value": float(run.values[-1]), "path length": run.length}
            for run in self.runs
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
            steps = "not there" if arrival is None else f"{arrival} step{'s' * (arrival != 1)}"
            label = f"{run.label}, lr {run.lr:g}: {steps}"
            if run.gradients != len(run.path) - 1:
                label += f", {run.gradients} gradients"
            curves.plot(self.gaps(run), dash, color=color, label=label, linewidth=1.8)
            for axes in maps:
                axes.plot(*run.points.T, dash, color=color, linewidth=1.8)
                axes.plot(*run.points[-1:].T, "o", color=color, markersize=6, markeredgecolor="white")
        curves.set(yscale="log", ylim=self.span(), xlabel="steps", ylabel="value above the lowest")
        charts.tidy(curves, whole=True)
        if self.floored:
            curves.axhline(self.floor, color="#57606a", linestyle=":", linewidth=1)
            place = (0.01, self.floor), (0, 3), ("axes fraction", "data"), "offset points"
            curves.annotate(self.floor_text, *place, fontsize=8, bbox={"color": "white", "alpha": 0.8, "pad": 0.5})
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
        x, y, heights, levels = self.heights(601 if self.surface.many else 41)  # fine enough for narrow valleys
        charts.contours(axes, (x, y), heights, levels)
        axes.plot(*self.surface.start.flat, "s", color="black", markersize=7, markeredgecolor="white", zorder=5)
        for place in self.surface.minima:
            axes.plot(*place, "*", color="black", markersize=13, markeredgecolor="white", zorder=5)
        left, right, bottom, top = self.box()
        axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="x", ylabel="y")

    @property
    def is_map(self) -> bool:
        """Whether the surface has two dimensions, so that it can be drawn from above."""
        return self.surface.start.size == 2

    @property
    def floor(self) -> float:
        """No gap is shown below this: a billionth of a thousandth of the way down, where rounding takes over."""
        return 1e-12 * (float(self.runs[0].values[0]) - self.lowest) + 1e-300

    @property
    def floored(self) -> bool:
        """Whether a run came so low."""
        return any(bool((self.gaps(run) <= self.floor).any()) for run in self.runs)

    def gaps(self, run: Run) -> np.ndarray:
        """How far above the lowest value a run was after each step; never 0, so that it has a logarithm."""
        return np.maximum(run.values - self.lowest, self.floor)

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
    """(class, options) by label, where the options may be left out.

    >>> from minidl import optim
    >>> entries({"Adam": ("Adam", {"lr": 0.1})})
    Traceback (most recent call last):
    TypeError: 'Adam': expected (class, options), such as (optim.Adam, {"lr": 0.1}), got ('Adam', {'lr': 0.1})
    """
    form = '{label: (class, options)}, such as {"Adam": (optim.Adam, {"lr": 0.1})}'
    if not isinstance(optimizers, Mapping):
        raise TypeError(f"optimizers: expected {form}, got {type(optimizers).__name__}")
    if not optimizers:
        raise ValueError(f"optimizers: expected at least one, {form}, got none")
    found = {label: given if isinstance(given, tuple) else (given, {}) for label, given in optimizers.items()}
    for label, entry in found.items():
        kind, options = entry if len(entry) == 2 else (None, None)
        if not (isinstance(kind, type) and issubclass(kind, Optimizer) and isinstance(options, Mapping)):
            came = f"{optimizers[label]!r:.60}"
            if isinstance(kind, Optimizer):
                came = f"an optimizer that has its weights already: give its class, optim.{type(kind).__name__}"
            raise TypeError(
                f'{label!r}: expected (class, options), such as (optim.Adam, {{"lr": 0.1}}), got {came}'
            )  # fmt: skip
    return found


def _surface(objective: Objective, start: Any, noise: float | None) -> Surface:
    """The surface that is meant, with its start as an array."""
    if isinstance(objective, str):
        objective = named("surface", objective, surfaces)
    elif not isinstance(objective, Surface):
        if not callable(objective):
            raise TypeError(f"objective: expected a name or a function of a tensor, got {type(objective).__name__}")
        name = getattr(objective, "__name__", "<lambda>")
        objective = Surface("objective" if name == "<lambda>" else name, objective)
    start = objective.start if start is None else start
    if start is None:
        raise ValueError("a race on a function of your own needs a start, such as start=[1.0, 2.0]")
    noise = objective.noise if noise is None else noise
    found = replace(objective, start=np.array(getattr(start, "array", start), dtype=np.float64), noise=noise)
    _check_start(found)
    return found


def _check_start(surface: Surface) -> None:
    """Refuse an objective that cannot be raced on, or not from there."""
    if surface.many and surface.start.size != 2:
        raise ValueError(f"{surface.name} has two dimensions, x and y, got a start of shape {surface.start.shape}")
    with no_grad(), np.errstate(all="ignore"):
        value = surface.loss(tensor(surface.start), 0, None)
    if not isinstance(value, Tensor):
        came = type(value).__name__
        raise TypeError(f"{surface.name}: expected a function that takes a tensor to a tensor, got {came} from it")
    if value.numel() != 1:
        raise RuntimeError(
            f"{surface.name}: expected a single number, got shape {value.shape}: reduce it with .sum() or .mean()"
        )
    if not (np.isfinite(surface.start).all() and np.isfinite(value.item())):
        where = f"{value.item():g} at the start {surface.start.tolist()}"
        raise ValueError(f"{surface.name} is {where}: a race needs a start where it is finite")


def _run(surface: Surface, label: str, kind: type[Optimizer], options: Mapping[str, Any], steps: int, seed: int) -> Run:
    """Walk down; the noise depends on the seed only, so that it is the same for all."""
    w = tensor(surface.start, requires_grad=True)
    optimizer, path, gradients = kind([w], **options), [w.array.copy()], 0
    tilts = _tilts(surface, steps, seed)

    def closure() -> Tensor:
        nonlocal gradients
        gradients += 1
        optimizer.zero_grad()
        loss = surface.loss(w, len(path) - 1, tensor(tilts[len(path) - 1]) if surface.noise else None)
        loss.backward()
        return loss

    with np.errstate(all="ignore"):
        while len(path) <= steps and abs(w.array).max() < BOUND:
            optimizer.step(closure)
            path.append(w.array.copy())
    return _ended(surface, label, float(optimizer.param_groups[0]["lr"]), np.array(path), gradients)


def _run_all(
    surface: Surface, label: str, kind: type[Optimizer], options: Mapping[str, Any], rates: Sequence[float],
    steps: int, seed: int,
) -> list[Run]:  # fmt: skip
    """A run for each rate: side by side where surface and rule allow it, so that one backward pass serves them all."""
    ws = [tensor(surface.start, requires_grad=True) for _ in rates]
    if not surface.many or surface.start.ndim != 1 or not _has_rule(kind):
        return [_run(surface, label, kind, {**options, "lr": rate}, steps, seed) for rate in rates]
    optimizer = kind([{"params": [w], "lr": rate} for w, rate in zip(ws, rates, strict=True)], **options)
    paths, tilts = [np.array([w.array for w in ws])], _tilts(surface, steps, seed)
    with np.errstate(all="ignore"):
        while len(paths) <= steps and (abs(paths[-1]) < BOUND).all(1).any():
            optimizer.zero_grad()
            t, points = len(paths) - 1, stack(ws)  # (rates, 2)
            losses = surface.f(points) if surface.sample is None else surface.sample(points, t)
            (losses.sum() + (tensor(tilts[t]) * points).sum()).backward()
            optimizer.step()
            paths.append(np.array([w.array for w in ws]))
    found = []
    for rate, path in zip(rates, np.moveaxis(np.array(paths), 1, 0), strict=True):
        out = np.flatnonzero(~(abs(path) < BOUND).all(1))
        end = out[0] + 1 if len(out) else len(path)
        found.append(_ended(surface, label, rate, path[:end], end - 1))
    return found


def _has_rule(kind: type[Optimizer]) -> bool:
    """Whether its step is a rule for each weight by itself, which needs no closure."""
    return kind.step is Optimizer.step


def _tilts(surface: Surface, steps: int, seed: int) -> np.ndarray:
    """What noise adds to the gradient in each step."""
    return surface.noise * np.random.default_rng(seed).standard_normal((steps, *surface.start.shape))


def _ended(surface: Surface, label: str, lr: float, path: np.ndarray, gradients: int) -> Run:
    """A run with the values on its path, of which the last is inf where it left all bounds."""
    values = surface.values(path)
    values[-1] = values[-1] if abs(path[-1]).max() < BOUND else np.inf  # nan is beyond it, too
    return Run(label, lr, path, values, gradients)


def _lowest(surface: Surface, runs: Sequence[Run]) -> float:
    return min(float(run.values.min()) for run in runs) if surface.lowest is None else surface.lowest


def _badness(run: Run, lowest: float, tolerance: float) -> tuple[bool, float, float]:
    """The smaller, the better the run; the first difference counts."""
    arrival, late = run.arrival(lowest, tolerance), run.values[min(-(-len(run.values) * 3 // 4), len(run.values) - 1) :]
    climbs = bool((run.values - lowest).max() > 2 * (run.values[0] - lowest))
    return climbs, np.inf if arrival is None else arrival, float(late.mean())
