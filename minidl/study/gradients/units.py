"""What stands behind a layer as its activation, and at what slope: which units pass no gradient on, and which little.

The slope is found by a piece of the engine's own backward pass, from the end of the activation back to the layer: an
activation may be made of several ops, none of which alone says whether a unit is dead.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minidl.autograd.engine import run_backward
from minidl.backend import array_module
from minidl.study.graphs.graph import Graph, Node
from minidl.study.text import on_host

ENTRYWISE = ("minidl.ops.elementwise", "minidl.ops.trigonometry", "minidl.ops.ufunc")  # where such ops are
PASSING = ("softplus", "hardtanh", "reshape", "transpose", "max_pool", "avg_pool")  # which mix no units either
FLAT = {"tanh": (-0.97, 0.97), "sigmoid": (0.03, 0.97)}  # outside, the slope is below 6 % (tanh) or 3 %


class Activation(NamedTuple):
    """The `slope` of what follows each entry of a layer's output, and the share of those that are `saturated`."""

    slope: np.ndarray
    saturated: float | None  # where a tanh or sigmoid is all that follows


def behind_layer(layer: Node, graph: Graph, users: dict[Node, list[Node]]) -> Activation | None:
    """The activation behind the output of a layer; None where none follows.

    It ends where units are mixed, or meet what comes from elsewhere: at the next layer, a residual sum or a gate.
    """
    region = {layer: None}
    for node in graph.nodes[graph.nodes.index(layer) + 1 :]:
        if _goes_on(node, region):
            region[node] = None
    if len(region) == 1 or not layer.tensor.requires_grad:
        return None
    flat = [
        _saturated(node.value, *FLAT[node.op])
        for node in region
        if node.op in FLAT and len(users[node.inputs[0]]) == 1  # not a factor beside x itself, as in x · sigmoid(x)
    ]
    return Activation(_slope(layer, list(region), users), max(flat, default=None))


def _goes_on(node: Node, region: dict[Node, None]) -> bool:
    """Whether an op only treats each entry of what is in the region, with constants or parameters."""
    module = getattr(getattr(node.tensor.op, "function", None), "__module__", "")
    if not (module in ENTRYWISE or node.op in PASSING) or not any(x in region for x in node.inputs):
        return False
    mask = node.op == "multiply"  # of a dropout
    return all(x in region or x.value.size == 1 or _is_fixed(x) or (mask and x.kind == "data") for x in node.inputs)


def _is_fixed(x: Node) -> bool:
    """Whether x is made of parameters alone."""
    return x.kind == "parameter" or (bool(x.inputs) and all(_is_fixed(y) for y in x.inputs))


def _slope(layer: Node, region: list[Node], users: dict[Node, list[Node]]) -> np.ndarray:
    """By how much the ends of the region change with each entry of the layer, with signs drawn so that none cancel."""
    ends = [x.tensor for x in region if not users[x] or any(y not in region for y in users[x])]
    random, xp = np.random.default_rng(0), array_module(layer.tensor.array)
    seeds = [xp.asarray((random.random(x.shape) + 0.5).astype(x.dtype)) for x in ends]
    hooks = [(x.tensor, x.tensor.hooks) for x in region]
    try:
        for x, _ in hooks:  # this is no pass that anyone waits for
            x.hooks = None
        found = run_backward(ends, seeds, retain_graph=True, wanted=[layer.tensor], since=layer.tensor.order)
    finally:
        for x, kept in hooks:
            x.hooks = kept
    return on_host(found[layer.tensor])


def _saturated(out: np.ndarray, low: float, high: float) -> float:
    return float(((out < low) | (out > high)).mean())
