"""One sequence of gradients, fed to several optimizers: what each makes of the same numbers.

Without a surface nothing comes back, so that the paths differ by the rules only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.autograd import Tensor, tensor
from minidl.optim import Optimizer
from minidl.study import charts
from minidl.study.optimizers.races import Optimizers, entries
from minidl.study.optimizers.trace import OptimizerTrace
from minidl.study.table import Table
from minidl.study.text import on_host

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def feed(gradients: Any, optimizers: Optimizers, start: float = 0.0) -> Fed:
    """Feed one number after the other as the gradient of one weight to `optimizers`, {label: (class, options)}.

    >>> from minidl import optim, study
    >>> study.feed([1.0, -0.5], {"SGD": (optim.SGD, {"lr": 0.1}), "Adagrad": (optim.Adagrad, {"lr": 0.1})})
    t  gradient  SGD rate  SGD w  Adagrad rate  Adagrad w
    1         1       0.1   -0.1           0.1       -0.1
    2      -0.5       0.1  -0.05      0.089443  -0.055279

    ValueError for what is no sequence of numbers; TypeError for an optimizer that asks for gradients itself.
    """
    sequence = _sequence(gradients)
    traces = {}
    for label, (kind, options) in entries(optimizers).items():
        w = tensor(np.array(start, dtype=np.float64), requires_grad=True)
        optimizer = kind([w], **options)
        if kind.step is not Optimizer.step:
            raise TypeError(
                f"{label!r}: {kind.__name__} computes its gradients itself, where it likes, and cannot be fed with them"
            )
        with OptimizerTrace(optimizer) as traces[label]:
            for g in sequence:
                w.grad = Tensor(np.array(g))
                optimizer.step()
    return Fed(sequence, traces)


def _sequence(gradients: Any) -> np.ndarray:
    """The gradients as an array (steps,)."""
    found = on_host(gradients)
    if found.dtype.kind not in "biuf":
        raise ValueError(f"gradients: expected a list of numbers, got {gradients!r:.60}")
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        came = "nan or inf in it" if found.ndim == 1 and found.size else f"shape {found.shape}"
        raise ValueError(f"gradients: expected a list of numbers, one for each step, got {came}")
    return found.astype(np.float64)


class Fed:
    """What the optimizers did: `traces` by label; of each the effective learning `rates` and the `paths` of the weight.

    Both hold one number for each step, the path the weight after it.  A rule that names no `rate` has nan there.
    """

    def __init__(self, gradients: np.ndarray, traces: Mapping[str, OptimizerTrace]) -> None:
        self.gradients, self.traces = gradients, dict(traces)
        columns = {label: trace.table() for label, trace in traces.items()}
        self.rates = {label: np.array([row.get("rate", np.nan) for row in table]) for label, table in columns.items()}
        self.paths = {label: np.array(table.column("w")) for label, table in columns.items()}

    def table(self) -> Table:
        """One row for each step: the gradient, and the rate and the weight of each optimizer."""
        return Table(
            {"t": t + 1, "gradient": g}
            | {f"{label} {name}": numbers[label][t] for label in self.traces
               for name, numbers in (("rate", self.rates), ("w", self.paths))}
            for t, g in enumerate(self.gradients)
        )  # fmt: skip

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def plot(self, path: str | Path | None = None) -> Figure:
        """Left the effective learning rates over the steps, right the weight, below them the gradients that were fed.

        Of lines that lie on each other the first is broad and the others are dashed, so that all can be seen.  With
        `path` the picture is saved, in the format of its ending.  ImportError without matplotlib.
        """
        drawn = charts.figure(11, 5.4)
        panels = drawn.subplot_mosaic([["rate", "w"], ["g", "g"]], height_ratios=[3, 1])
        steps = np.arange(1, len(self.gradients) + 1)
        for axes, lines in ((panels["rate"], self.rates), (panels["w"], self.paths)):
            self._draw(axes, steps, lines)
        panels["g"].axhline(0, color="#8c959f", linewidth=0.8)
        panels["g"].vlines(steps, 0, self.gradients, color="#57606a", linewidth=1.2)
        panels["rate"].set(ylabel="effective learning rate", yscale="log")
        panels["w"].set(ylabel="weight w")
        panels["g"].set(xlabel="step", ylabel="gradient fed")
        for axes in panels.values():
            charts.tidy(axes, whole=True)
        handles, labels = panels["rate"].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=len(self.traces), frameon=False)
        return charts.save(drawn, path)

    def _draw(self, axes: Axes, steps: np.ndarray, lines: Mapping[str, np.ndarray]) -> None:
        """A line for each optimizer."""
        drawn: list[np.ndarray] = []
        for label, (color, dash) in zip(self.traces, charts.styles(), strict=False):
            same = [np.allclose(lines[label], line, equal_nan=True) for line in lines.values()]
            first = not any(np.allclose(lines[label], line, equal_nan=True) for line in drawn)
            broad = first and sum(same) > 1
            dash = "-" if broad else "--" if not first or np.ptp(lines[label]) == 0 else dash
            axes.plot(steps, lines[label], dash, color=color, label=label, linewidth=4.5 if broad else 1.8)
            drawn.append(lines[label])
