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
from minidl.backend import array_module
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.study import charts
from minidl.study.graph import Graph, Node, read
from minidl.study.table import Table
from minidl.study.text import number, on_host

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR = 1e3  # between the gradients of two layers: fainter or stronger is vanishing or exploding
MOST = 0.5  # of the units, dead or saturated
FEW = 8  # examples, of which a ReLU may well be 0 for every one by chance
FLAT = {"tanh": (-0.97, 0.97), "sigmoid": (0.03, 0.97)}  # outside, the slope is below 6 % (tanh) or 3 %
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
    dead: float | None  # of ReLUs: units that are 0 for every example; not measured on a few examples
    saturated: float | None  # of tanh and sigmoid: entries where they are nearly flat
    per_entry: float  # the root mean square of the gradient at the activation, which does not grow with its size
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
            "saturated": self.saturated, "verdict": self.verdict or "fine",
        }  # fmt: skip


PANELS: dict[str, Callable[[Layer], float | None]] = {
    "gradient at the activations, norm": lambda layer: layer.gradient,
    "update / weight": lambda layer: layer.ratio,
    "dead or saturated units, %": lambda layer: layer.idle,
}


class GradientFlow:
    """The layers of a network over one or more looks at it: print it for the last, plot it for all."""

    def __init__(self, model: Module, optimizer: Optimizer | None = None) -> None:
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
        graph = read(loss)
        updates = {} if self.optimizer is None else _updates(self.optimizer, graph)
        users = _users(self.model, graph)
        units = _units({node: name for name, nodes in users.items() for node in nodes}, graph)
        layers = [_measured(name, nodes, updates, units.get(name, [])) for name, nodes in users.items()]
        _judge(layers)
        self.looks.append(layers)
        return self

    def table(self) -> Table:
        """The layers at the last look, a row for each: to be printed, or written `to_csv`."""
        return Table([layer.row() for layer in self.layers])

    def __repr__(self) -> str:
        return str(self.table())

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw all looks, a line for each layer: gradients, updates, and units that are dead or saturated."""
        figure = charts.figure(13.0, 3.8)
        for axes, (title, measure) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            axes.set_title(title, loc="left", fontweight="bold", fontsize=11)
            axes.set_xlabel("look")
            charts.tidy(axes, whole=True)
            drawn = self._lines(axes, measure)
            if title.endswith("%"):
                axes.set_ylim(-3, 103)
            elif any(y > 0 for y in drawn):
                axes.set_yscale("log")
            if not drawn:
                axes.text(0.5, 0.5, "nothing measured", ha="center", color="#57606a", transform=axes.transAxes)
        figure.legend(handles=figure.axes[0].get_lines(), loc="outside right center", frameon=False, title="layer")
        return charts.save(figure, path)

    def _lines(self, axes: Axes, measure: Callable[[Layer], float | None]) -> list[float]:
        """Draw a line for each layer where there is something to draw; all that was drawn."""
        drawn = []
        names = dict.fromkeys(layer.name for layers in self.looks for layer in layers)
        for name, (color, dash) in zip(names, charts.styles(), strict=False):
            looks = [(x, layer) for x, layers in enumerate(self.looks, 1) for layer in layers if layer.name == name]
            known = [(x, y) for x, layer in looks if (y := measure(layer)) is not None]
            if known:
                axes.plot(*zip(*known, strict=True), dash, color=color, label=name, marker="o", markersize=3)
                drawn += [y for _, y in known]
        return drawn


def gradient_flow(model: Module, loss: Tensor, optimizer: Optimizer | None = None) -> GradientFlow:
    """Per layer: norms of activation and gradients, update over weight, dead ReLUs, saturated units, and a verdict.

    Call it before `loss.backward()`; `look(loss)` on the result adds another look, and `plot(path)` draws them all.
    The update is the one that `optimizer` would make, if it is given.  Layers are the modules with parameters of their
    own that the loss was computed with.  No gradient, no weight and no memory of the optimizer changes.

    >>> import minidl
    >>> from minidl import nn, study
    >>> _ = minidl.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> with minidl.no_grad():
    ...     _ = model[0].bias.fill_(-100.0)
    >>> study.gradient_flow(model, model(minidl.randn(16, 4)).sum()).verdicts
    {'0': 'dead: 100% of its ReLUs are 0 for every example'}
    """
    return GradientFlow(model, optimizer).look(loss)


# -- measures -----------------------------------------------------------------------------------------------------


def _users(model: Module, graph: Graph) -> dict[str, list[Node]]:
    """For each layer, in the order of the network, the ops that use its parameters."""
    owner = {
        parameter: path or type(module).__name__
        for path, module in model.named_modules()
        for parameter in module.parameters(recurse=False)
    }
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in dict.fromkeys(owner[x.tensor] for x in node.inputs if x.tensor in owner):
            users.setdefault(name, []).append(node)
    if not users:
        raise RuntimeError("the loss was not computed with this model: none of its parameters is in the graph")
    return users


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
    return updates


def _units(layer_of: dict[Node, str], graph: Graph) -> dict[str, list[Node]]:
    """The ReLUs, tanhs and sigmoids that follow each layer."""
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.op == "relu" or node.op in FLAT:
            before = node
            while before not in layer_of and (inputs := [x for x in before.inputs if x.op]):
                before = inputs[0]
            if before in layer_of:
                found.setdefault(layer_of[before], []).append(node)
    return found


def _measured(name: str, nodes: list[Node], updates: dict[Tensor, np.ndarray], units: list[Node]) -> Layer:
    last = nodes[-1]
    parameters = dict.fromkeys(x for node in nodes for x in node.inputs if x.kind == "parameter")
    gradients = [x.gradient for x in parameters if x.gradient is not None]
    changes = [updates[x.tensor] for x in parameters if x.tensor in updates]
    gradient = np.zeros(1) if last.gradient is None else last.gradient
    relus = [_dead(node.value) for node in units if node.op == "relu" and len(node.value) >= FEW]
    flat = [_saturated(node.value, *FLAT[node.op]) for node in units if node.op in FLAT]
    return Layer(
        name, _norm(last.value), _norm(gradient), _norm(*(x.value for x in parameters)), _norm(*gradients),
        _norm(*changes) if changes else None, min(relus, default=None), max(flat, default=None),
        _norm(gradient) / max(1, gradient.size) ** 0.5,
    )  # fmt: skip


def _norm(*arrays: np.ndarray) -> float:
    with np.errstate(all="ignore"):  # a number too large shows as inf
        return float(np.sqrt(sum((x.astype(np.float64) ** 2).sum() for x in arrays)))


def _dead(out: np.ndarray) -> float:
    """The share of units (N, units) or channels (N, C, *size) that are 0 for every example."""
    others = (0, *range(2, out.ndim)) if out.ndim != 3 else (0, 1)
    return float((out == 0).all(axis=others if out.ndim > 1 else ()).mean())


def _saturated(out: np.ndarray, low: float, high: float) -> float:
    return float(((out < low) | (out > high)).mean())


def _judge(layers: Sequence[Layer]) -> None:
    """Say what is wrong with each layer, if anything is."""
    reference = next((layer.per_entry for layer in reversed(layers) if layer.per_entry), 0.0)
    for layer in layers:
        layer.verdict = _verdict(layer, layer.per_entry / reference if reference else 0.0)


def _verdict(layer: Layer, relative: float) -> str:
    if not np.isfinite([layer.activation, layer.gradient, layer.weight_gradient]).all():
        return "exploding: numbers that are not finite"
    if layer.dead is not None and layer.dead > MOST:
        return f"dead: {layer.dead:.0%} of its ReLUs are 0 for every example"
    if layer.saturated is not None and layer.saturated > MOST:
        return f"saturated: {layer.saturated:.0%} of its units lie where the slope is nearly 0"
    if relative < 1 / FAR:
        return f"vanishing: the gradient is {number(relative)} times that of the last layer"
    if relative > FAR:
        return f"exploding: the gradient is {number(relative)} times that of the last layer"
    if layer.ratio is not None and not STEPS[0] <= layer.ratio <= STEPS[1]:
        size = "large" if layer.ratio > STEPS[1] else "small"
        return f"steps too {size}: the update is {number(layer.ratio)} times the weights, 0.001 is usual"
    return ""
