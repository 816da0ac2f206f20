"""`symptom`: what a classic bug does, beside the right run of the same small example.

Both runs are of minidl itself, one of them under `break_it`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.autograd import Tensor, gradcheck, tensor
from minidl.optim import SGD
from minidl.study import charts
from minidl.study.classic_bugs.breaking import Change, break_it, changes
from minidl.study.classic_bugs.classics import Bug, Curve, Gradients, Numbers, bugs
from minidl.study.table import Table
from minidl.study.text import named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = ("right", "with the bug")
LOOKS = tuple(zip(LABELS, charts.COLORS, ("-", "--"), (-0.2, 0.2), strict=False))  # of each run, as line and as bars
MOST = 12  # rows of a printed curve
ROUNDING = 1e-6  # so much, relative to itself, a number may change by rounding


@dataclass(repr=False)
class Symptom:
    """What a bug does: `right` and `wrong` are the numbers of both runs, by entry of a gradient or along a curve.

    `changes` are the lines of minidl that the bug changes; `error` is what the run with the bug ended with, if it did;
    `gradcheck` what that function says of the example, None where there is no gradient to check.
    """

    bug: Bug
    changes: list[Change]
    right: Numbers
    wrong: Numbers
    error: str
    gradcheck: str | None

    def table(self) -> Table:
        """A row for each number of the two runs; None where one of them has none."""
        what = self.bug.example.x if isinstance(self.bug.example, Curve) else "gradient of"
        runs = dict(zip(LABELS, (self.right, self.wrong), strict=True))
        names = dict.fromkeys([*self.right, *self.wrong])
        rows: list[dict[str, Any]] = [{what: x} | {label: run.get(x) for label, run in runs.items()} for x in names]
        return Table(rows)

    def __repr__(self) -> str:
        rows = self.table()
        step = -(-len(rows) // MOST) if isinstance(self.bug.example, Curve) else 1
        lines = [f"{self.bug.name}: {self.bug.what}"]
        for place, both in groupby(self.changes, lambda change: change.place):
            lines.append(f"  {place}")
            lines += [line for _, right, wrong in both for line in (f"  - {right}", f"  + {wrong}")]
        lines += ["", str(Table(rows[::step])), "", f"seen: {self.bug.seen}"]
        lines += [f"error: {self.error}"] if self.error else []
        lines += [f"gradcheck: {self.gradcheck}"] if self.gradcheck else []
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw both runs, and save that to `path`, in the format of its ending.  ImportError without matplotlib."""
        drawn = charts.figure(6.4, 3.8)
        self.draw(drawn.subplots())
        return charts.save(drawn, path)

    def draw(self, axes: Axes) -> None:
        """Draw both runs into a panel of a picture: curves, or the entries of the gradients as pairs of bars."""
        axes.set_title(self.bug.name.replace("_", " "), loc="left", fontsize=10, fontweight="bold")
        if isinstance(self.bug.example, Curve):
            self._draw_curves(axes, self.bug.example)
        else:
            self._draw_bars(axes)
        charts.tidy(axes)
        axes.legend(frameon=False, fontsize=8)

    def _draw_curves(self, axes: Axes, curve: Curve) -> None:
        for (label, color, dash, _), run in zip(LOOKS, (self.right, self.wrong), strict=True):
            axes.plot(list(run), list(run.values()), dash, color=color, label=label, linewidth=1.8)
            if lost := [x for x, y in run.items() if not np.isfinite(y)]:  # above the frame, as far as it can be shown
                above = axes.get_xaxis_transform()
                axes.plot(lost, [1.0] * len(lost), "^", color=color, clip_on=False, transform=above, label="infinite")
        axes.set(xlabel=curve.x, ylabel=curve.y)
        if "x" in curve.logarithmic:
            axes.set_xscale("log")
        if "y" in curve.logarithmic:
            axes.set_yscale("log")
        values = [y for run in (self.right, self.wrong) for y in run.values() if np.isfinite(y)]
        if np.ptp(values) < ROUNDING * max(map(abs, values)):  # else the noise of rounding would fill the picture
            axes.set_ylim(0, 2 * max(values))

    def _draw_bars(self, axes: Axes) -> None:
        names = list(dict.fromkeys([*self.right, *self.wrong]))
        for (label, color, _, shift), run in zip(LOOKS, (self.right, self.wrong), strict=True):
            places = [names.index(name) + shift for name in run]
            axes.bar(places, list(run.values()), 0.38, color=color, label=label)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(range(len(names)), names, fontsize=8, rotation=90 if len(names) > 6 else 0)
        axes.set_ylabel("gradient")


def symptom(bug: str) -> Symptom:
    """What a bug, one of `study.bugs`, does in a small example, beside the right run: print it, or `plot(path)` it.

    ValueError for a bug that there is not.

    >>> from minidl import study
    >>> study.symptom("wrong_sign").changes[0].wrong
    'return dict(w=w + lr * g, rate=lr)'
    >>> print(study.symptom("forget_accumulation").table())
    gradient of  right  with the bug
    x[0]            12             6
    w[0]             9             9
    """
    found = named("bug", bug, bugs)
    lines = changes(found)
    right, _ = _numbers(found.example)
    with break_it(bug):
        wrong, error = _numbers(found.example)
        checked = _checked(found.example) if isinstance(found.example, Gradients) else None
    return Symptom(found, lines, right, wrong, error, checked)


def _numbers(example: Gradients | Curve) -> tuple[Numbers, str]:
    """What an example gives, and the error with which a step along its gradients ends, if it does."""
    if isinstance(example, Curve):
        return example.numbers(), ""
    inputs = _inputs(example)
    example.function(*inputs.values()).backward()
    gradients = [(name, x.grad.array) for name, x in inputs.items() if x.grad is not None]
    numbers = {f"{name}{list(entry)}": float(g[entry]) for name, g in gradients for entry in np.ndindex(g.shape)}
    try:
        SGD(inputs.items()).step()
    except RuntimeError as error:
        return numbers, f"RuntimeError: {error}"
    return numbers, ""


def _checked(example: Gradients) -> str:
    """What gradcheck says of an example."""
    inputs = _inputs(example)
    example.function(*inputs.values()).backward()
    for name, x in inputs.items():
        if x.grad is not None and x.grad.shape != x.shape:
            return f"cannot compare: the gradient of {name}, of shape {x.shape}, has shape {x.grad.shape}"
    try:
        gradcheck(example.function, list(_inputs(example).values()))
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return "finds nothing"


def _inputs(example: Gradients) -> dict[str, Tensor]:
    arrays = {name: np.array(x, dtype=np.float64) for name, x in example.inputs.items()}
    return {name: tensor(x, requires_grad=True) for name, x in arrays.items()}
