"""`gradient_flow`: how activations, gradients and updates pass through the layers of a network, and what is ill there.

Source of the measures: X. Glorot & Y. Bengio, "Understanding the difficulty of training deep feedforward neural
networks" (2010).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.backend import Array, array_module
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.study import charts
from minidl.study.gradients.units import behind_layer
from minidl.study.gradients.uses import Use, uses
from minidl.study.graphs.graph import Graph, Node, behind, gradients_of, read
from minidl.study.measuring import expect
from minidl.study.table import Table, evenly
from minidl.study.text import number, on_host

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR = 1e3  # between the gradients of two layers: fainter or stronger is vanishing or exploding
MOST = 0.5  # of the units, dead or saturated
FEW = 8  # examples: a ReLU may well be 0 for every one of them by chance
MOST_NAMED = 40  # layers under the bars
STEPS = (1e-6, 0.1)  # update over weight: below nothing moves, above nothing stays


@dataclass
class Layer:
    """One layer at one moment; norms are of all its entries, `dead` and `saturated` shares of its units."""

    name: str
    activation: float
    gradient: float  # of the loss at the activation
    weight: float
    weight_gradient: float
    update: float | None  # what the optimizer would change the weights by
    dead: float | None  # units behind which the activation has slope 0 for every example; not measured on a few
    saturated: float | None  # of tanh and sigmoid: entries where they are nearly flat
    per_entry: float  # the root mean square of the gradient at the activation, which does not grow with its size
    calls: int = 1
    note: str = ""
    verdict: str = ""

    @property
    def ratio(self) -> float | None:
        """Update over weight; about 0.001 is usual."""
        return None if self.update is None or not self.weight else self.update / self.weight

    @property
    def idle(self) -> float | None:
        """Dead or saturated units, in percent."""
        return max((100 * share for share in (self.dead, self.saturated) if share is not None), default=None)

    def row(self) -> dict[str, Any]:
        """The layer as a row of a table."""
        return {
            "layer": self.name, "activation": self.activation, "gradient": self.gradient, "weight": self.weight,
            "its gradient": self.weight_gradient, "update/weight": self.ratio, "dead": self.dead,
            "saturated": self.saturated, "calls": self.calls, "verdict": self.verdict or "fine", "note": self.note,
        }  # fmt: skip


PANELS: dict[str, Callable[[Layer], float | None]] = {
    "gradient at the activations, norm": lambda layer: layer.gradient,
    "update / weight": lambda layer: layer.ratio,
    "dead or saturated units, %": lambda layer: layer.idle,
}


class GradientFlow:
    """The layers of a network over one or more looks at it: print it for the last, plot it for all."""

    def __init__(self, model: Module, optimizer: Optimizer | None = None) -> None:
        expect(Module, model, "gradient_flow")
        if optimizer is not None:
            expect(Optimizer, optimizer, "gradient_flow")
        self.model, self.optimizer = model, optimizer
        self.looks: list[list[Layer]] = []

    @property
    def layers(self) -> list[Layer]:
        """The layers at the last look."""
        return self.looks[-1]

    @property
    def verdicts(self) -> dict[str, str]:
        """What is wrong at the last look, by the name of the layer; empty if all is well."""
        return {layer.name: layer.verdict for layer in self.layers if layer.verdict}

    def look(self, loss: Tensor) -> GradientFlow:
        """Measure the network behind `loss`, before its graph is freed; nothing changes."""
        graph = read(loss, {}, gradients_of(loss, behind(loss)))
        users: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node in graph.nodes:
            for x in node.inputs:
                users[x].append(node)
        updates = {} if self.optimizer is None else _updates(self.optimizer, graph)
        found = uses(self.model, graph, users)
        layers = [_measured(name, use, updates, graph, users) for name, use in found.items()]
        _judge(layers)
        self.looks.append(layers)
        return self

    def table(self) -> Table:
        """The layers at the last look, a row for each: to be printed, or written `to_csv`.

        "calls" and "note" are left out where every layer was called once, and nothing is to be noted.
        """
        usual = {"calls": 1, "note": ""}
        rows = [layer.row() for layer in self.layers]
        told = [name for name in rows[0] if name not in usual or any(row[name] != usual[name] for row in rows)]
        return Table({name: row[name] for name in told} for row in rows)

    def __repr__(self) -> str:
        return str(self.table())

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw gradients, updates, and dead or saturated units: of one look a bar, of several a line for each layer."""
        figure = charts.figure(13.0, 3.8 if len(self.looks) > 1 else 4.4)
        for axes, (title, measure) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            axes.set_title(title, loc="left", fontweight="bold", fontsize=11)
            drawn = self._lines(axes, measure) if len(self.looks) > 1 else self._bars(axes, measure)
            if title.endswith("%"):
                axes.set_ylim(-3, 103)
                if drawn and not any(drawn):
                    axes.text(0.5, 0.5, "none", ha="center", color="#57606a", transform=axes.transAxes)
            elif any(y > 0 for y in drawn):
                axes.set_yscale("log")
            if not drawn:
                axes.text(0.5, 0.5, "nothing measured", ha="center", color="#57606a", transform=axes.transAxes)
        if len(self.looks) > 1:
            figure.legend(handles=figure.axes[0].get_lines(), loc="outside right center", frameon=False, title="layer")
        return charts.save(figure, path)

    def _bars(self, axes: Axes, measure: Callable[[Layer], float | None]) -> list[float]:
        """Draw a bar for each layer where there is something to draw; all that was drawn."""
        known = [(place, y) for place, layer in enumerate(self.layers) if (y := measure(layer)) is not None]
        axes.bar(*zip(*known or [(0, 0)], strict=True), color=charts.COLORS[0])
        names = [layer.name for layer in self.layers]
        places = evenly(len(names), MOST_NAMED)
        axes.set_xticks(places, [names[i] for i in places], rotation=90, fontsize=8)
        axes.set(xlim=(-0.7, len(names) - 0.3), xlabel="layer")
        charts.tidy(axes)
        return [y for _, y in known]

    def _lines(self, axes: Axes, measure: Callable[[Layer], float | None]) -> list[float]:
        """Draw a line for each layer where there is something to draw; all that was drawn."""
        drawn = []
        axes.set_xlabel("look")
        charts.tidy(axes, whole=True)
        names = dict.fromkeys(layer.name for layers in self.looks for layer in layers)
        for name, (color, dash) in zip(names, charts.styles(), strict=False):
            looks = [(x, layer) for x, layers in enumerate(self.looks, 1) for layer in layers if layer.name == name]
            known = [(x, y) for x, layer in looks if (y := measure(layer)) is not None]
            if known:
                axes.plot(*zip(*known, strict=True), dash, color=color, label=name, marker="o", markersize=3)
                drawn += [y for _, y in known]
        return drawn


def gradient_flow(model: Module, loss: Tensor, optimizer: Optimizer | None = None) -> GradientFlow:
    """Per layer: norms of activation and gradients, update over weight, dead and saturated units, and a verdict.

    Call it before `loss.backward()`; `look(loss)` on the result adds another look, and `plot(path)` draws them all.
    The update is the one that `optimizer` would make, if it is given.  Layers are the modules with parameters of their
    own that the loss was computed with; those that share one, and have no other, are a single layer.  The activation
    is what a layer returned (of several tensors the first; of several `calls` the last).  For modules of your own, and
    cells, compute the loss inside `study.record(model)`: without, they are seen at the last op with their parameters,
    and a note says so.  No gradient, no weight and no memory of the optimizer changes.

    RuntimeError for a loss of several numbers, without a graph or of another model; ValueError for the optimizer of
    another model.

    >>> import minidl
    >>> from minidl import nn, study
    >>> _ = minidl.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> with minidl.no_grad():
    ...     _ = model[0].bias.fill_(-100.0)
    >>> study.gradient_flow(model, model(minidl.randn(16, 4)).sum()).verdicts
    {'0': 'dead: 100% of its units pass no gradient: what follows has slope 0 for every example'}
    """
    return GradientFlow(model, optimizer).look(loss)


# -- measures -----------------------------------------------------------------------------------------------------


def _updates(optimizer: Optimizer, graph: Graph) -> dict[Tensor, np.ndarray]:
    """What the optimizer's next step would add to each parameter."""
    updates = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p in graph.of and graph.of[p].gradient is not None:
                kept, p.grad = p.grad, Tensor(array_module(p.array).asarray(graph.of[p].gradient))
                try:
                    updates[p] = on_host(optimizer.preview(p)["w"]) - graph.of[p].value
                finally:
                    p.grad = kept
    if not updates:
        raise ValueError("the optimizer has none of the parameters behind the loss: is it that of another model?")
    return updates


def _measured(
    name: str, use: Use, updates: dict[Tensor, np.ndarray], graph: Graph, users: dict[Node, list[Node]]
) -> Layer:  # fmt: skip
    end, parameters = use.end, use.parameters
    gradients = [x.gradient for x in parameters if x.gradient is not None]
    changes = [updates[x.tensor] for x in parameters if x.tensor in updates]
    gradient = np.zeros(1) if end.gradient is None else end.gradient
    share, after = None, behind_layer(end, graph, users)
    if after is not None and after.slope.ndim > 1 and len(after.slope) >= FEW:
        share = float(dead(after.slope, next(iter(parameters)).value).mean())
    return Layer(
        name, _norm(end.value), _norm(gradient), _norm(*(x.value for x in parameters)), _norm(*gradients),
        _norm(*changes) if changes else None, share, None if after is None else after.saturated,
        _norm(gradient) / max(1, gradient.size) ** 0.5, use.calls, use.note,
    )  # fmt: skip


def _norm(*arrays: np.ndarray) -> float:
    with np.errstate(all="ignore"):  # a number too large shows as inf
        return float(np.sqrt(sum((x.astype(np.float64) ** 2).sum() for x in arrays)))


def dead(out: Array, weight: Array) -> Array:
    """Which units of (N, units) or (N, L, units), or channels of (N, C, *size), are 0 for every example.

    The weight of the layer has a row for each of them, which tells (N, L, units) from (N, C, L).
    """
    at_the_end = out.ndim == 3 and (weight.ndim == 2 or weight.shape[:1] != out.shape[1:2])
    others = (0, 1) if at_the_end else (0, *range(2, out.ndim))
    return (out == 0).all(axis=others if out.ndim > 1 else ())


def _judge(layers: Sequence[Layer]) -> None:
    """Say what is wrong with each layer, if anything is."""
    reference = next((layer.per_entry for layer in reversed(layers) if layer.per_entry), 0.0)
    for layer in layers:
        layer.verdict = _verdict(layer, layer.per_entry / reference if reference else 0.0)


def _verdict(layer: Layer, relative: float) -> str:
    if not np.isfinite([layer.activation, layer.gradient, layer.weight_gradient]).all():
        return "exploding: numbers that are not finite"
    if layer.dead is not None and layer.dead > MOST:
        return f"dead: {layer.dead:.0%} of its units pass no gradient: what follows has slope 0 for every example"
    if layer.saturated is not None and layer.saturated > MOST:
        return f"saturated: {layer.saturated:.0%} of its units lie where the slope is nearly 0"
    if relative < 1 / FAR:
        return f"vanishing: per entry, the gradient is {number(relative)} times that of the last layer"
    if relative > FAR:
        return f"exploding: per entry, the gradient is {number(relative)} times that of the last layer"
    if layer.ratio is not None and not STEPS[0] <= layer.ratio <= STEPS[1]:
        size = "large" if layer.ratio > STEPS[1] else "small"
        return f"steps too {size}: the update is {number(layer.ratio)} times the weights, 0.001 is usual"
    return ""
