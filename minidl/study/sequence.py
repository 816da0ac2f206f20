"""One sequence of gradients, fed to several optimizers: what each makes of the same numbers.

Without a surface nothing comes back, so that the paths differ by the rules only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.autograd import Tensor, tensor
from minidl.study import charts
from minidl.study.races import Optimizers, entries
from minidl.study.table import Table
from minidl.study.trace import OptimizerTrace

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def feed(gradients: Any, optimizers: Optimizers, start: float = 0.0) -> Fed:
    """Feed one number after the other as the gradient of one weight to `optimizers`, {label: (class, options)}.

    >>> from minidl import optim, study
    >>> study.feed([1.0, -0.5], {"SGD": (optim.SGD, {"lr": 0.1}), "Adagrad": (optim.Adagrad, {"lr": 0.1})})
    t  gradient  SGD rate  SGD w  Adagrad rate  Adagrad w
    1         1       0.1   -0.1           0.1       -0.1
    2      -0.5       0.1  -0.05      0.089443  -0.055279
    """
    sequence = np.asarray(gradients, dtype=np.float64)
    traces = {}
    for label, (kind, options) in entries(optimizers).items():
        w = tensor(np.array(start, dtype=np.float64), requires_grad=True)
        optimizer = kind([w], **options)
        with OptimizerTrace(optimizer) as traces[label]:
            for g in sequence:
                w.grad = Tensor(np.array(g))
                optimizer.step()
    return Fed(sequence, traces)


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
        """On the left the effective learning rates over the steps, on the right the weight.

        With `path` the picture is saved, in the format of its ending.  ImportError without matplotlib.
        """
        drawn = charts.figure(11, 4.2)
        left, right = drawn.subplots(1, 2)
        steps = np.arange(1, len(self.gradients) + 1)
        for label, (color, dash) in zip(self.traces, charts.styles(), strict=False):
            dash = "--" if np.ptp(self.rates[label]) == 0 else dash  # one rate for all steps
            left.plot(steps, self.rates[label], dash, color=color, label=label, linewidth=1.8)
            right.plot(steps, self.paths[label], dash, color=color, linewidth=1.8)
        left.set(xlabel="step", ylabel="effective learning rate", yscale="log")
        right.set(xlabel="step", ylabel="weight w")
        for axes in (left, right):
            charts.tidy(axes, whole=True)
        drawn.legend(loc="outside upper center", ncols=len(self.traces), frameon=False)
        return charts.save(drawn, path)
