"""The classic bugs of whoever writes a framework for the first time, each a change of a line or two of minidl's source.

With each goes an example small enough to be followed by hand, in which it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import optim
from minidl.autograd import Tensor, tensor
from minidl.nn import functional as F
from minidl.ops.reductions import mean

Edits = tuple[tuple[str, str], ...]  # (right, wrong)
Numbers = dict[Any, float]


@dataclass(frozen=True)
class Gradients:
    """An example in which gradients show the bug: those of `function(*inputs)`, by name of the input."""

    function: Callable[..., Tensor]
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Curve:
    """An example in which a curve shows the bug: `numbers()` gives y by x."""

    numbers: Callable[[], Numbers]
    x: str
    y: str
    logarithmic: str = ""  # "x", "y" or both


@dataclass(frozen=True)
class Bug:
    """A bug: its name, what is done wrong, what one sees then, the edits by place, and an example."""

    name: str
    what: str
    seen: str
    edits: Mapping[str, Edits]
    example: Gradients | Curve


# -- gradients ----------------------------------------------------------------------------------------------------

A = np.array([[1.0, 2.0], [0.5, -1.0]])
W = np.array([[0.5, -2.0], [3.0, 1.0]])


def _bypassed(x: Tensor) -> Tensor:
    """A block with a bypass, as in a residual network, behind another op."""
    h = x * x
    return (h + h.tanh()).sum()


# -- curves -------------------------------------------------------------------------------------------------------


def _losses() -> Numbers:
    """The loss of a straight line through eight points, in each step of gradient descent."""
    x = tensor(np.linspace(-1.0, 2.0, 8))
    line = tensor(np.zeros(2), requires_grad=True)  # slope, height
    optimizer, losses = optim.SGD([line], lr=0.1), {}
    for step in range(1, 41):
        optimizer.zero_grad()
        loss = mean((line[0] * x + line[1] - (2 * x - 1)) ** 2)
        loss.backward()
        optimizer.step()
        losses[step] = loss.item()
    return losses


def _first_steps(count: int = 60) -> Numbers:
    """Adam's steps in units of lr while every gradient is 1."""
    return dict(enumerate(_adam_steps(np.ones(count)), 1))


def _steps_by_size() -> Numbers:
    """Adam's first step in units of lr, for gradients of all sizes."""
    return {float(f"{g:.1e}"): next(_adam_steps([g])) for g in np.logspace(-8, 0, 17)}


def _adam_steps(gradients: Iterable[float], lr: float = 0.01) -> Any:
    w = tensor(np.zeros(1), requires_grad=True)
    optimizer = optim.Adam([w], lr=lr)
    for g in gradients:
        before, w.grad = w.item(), tensor(np.full(1, g))
        optimizer.step()
        yield (before - w.item()) / lr


def _losses_by_size() -> Numbers:
    """The cross-entropy of two classes, for scores of all sizes of which the right one is larger by 1."""
    with np.errstate(all="ignore"):
        return {
            size: F.cross_entropy(tensor(np.array([[size, size - 1]])), tensor([0])).item()
            for size in (0.0, 1.0, 10.0, 100.0, 300.0, 600.0, 700.0, 800.0, 1000.0)
        }


# -- the bugs -----------------------------------------------------------------------------------------------------

LOSS = Curve(_losses, "step", "loss", "y")
ENGINE = "minidl.autograd.engine:run_backward"
ALL = (
    Bug(
        "forget_accumulation",
        "The gradient of a tensor is set, where it has to be added to what other uses of the tensor gave.",
        "A tensor that is used twice gets the gradient of one use only; every network without such tensors works.",
        {ENGINE: (("pending[x] = pending[x] + gx", "pending[x] = gx"),)},
        Gradients(lambda x, w: (x * w * x).sum(), {"x": [3.0], "w": [2.0]}),
    ),
    Bug(
        "skip_unbroadcast",
        "An input that was broadcast gets the gradient in the large shape: it is not summed over the copies.",
        "The bias gets a row of gradients for each example.  Nothing complains until its step is taken.",
        {ENGINE: (("gx = _unbroadcast(gx, array.shape, op)", "pass"),)},
        Gradients(lambda x, b: (x + b).sum(), {"x": A, "b": [0.5, -0.5]}),
    ),
    Bug(
        "wrong_order",
        "The backward pass goes on from a tensor as soon as a gradient reaches it, and never comes back.",
        "What reaches a tensor later is lost to all before it: of a block and its bypass only one gets through.",
        {ENGINE: (("(-x.order, x)", "(x.order, x)"), ("g = pending.pop(node)", "g = pending[node]"))},
        Gradients(_bypassed, {"x": [0.5, 1.0]}),
    ),
    Bug(
        "missing_transposition",
        "The gradient of a matrix product is g · w, and not g · wᵀ.",
        "Square matrices hide it: every shape fits, and the numbers are wrong.  Others raise an error.",
        {"minidl.ops.products:matrix_product.vjps": (("swapaxes(y, -1, -2)", "y"),)},
        Gradients(lambda x, w: (x @ w).square().sum(), {"x": A, "w": W}),
    ),
    Bug(
        "input_for_output",
        "The derivative of the sigmoid, σ · (1 - σ), is computed from the input, and not from the output σ.",
        "Gradients have the wrong size, and the wrong sign where the input is negative.",
        {"minidl.ops.elementwise:sigmoid.vjps": (("g * out * (1 - out)", "g * x * (1 - x)"),)},
        Gradients(lambda x: x.sigmoid().sum(), {"x": [-2.0, -0.5, 0.5, 2.0]}),
    ),
    Bug(
        "forget_the_mean",
        "The gradient of a mean is not divided by the number of examples.",
        "It is N times too large, as if the learning rate were: what learnt before grows without end.",
        {"minidl.ops.reductions:mean.vjps": ((" / count(x, axis), x)", ", x)"),)},
        Gradients(lambda x: mean(x * x), {"x": [1.0, -2.0, 3.0, 0.5]}),
    ),
    Bug(
        "forget_zero_grad",
        "Gradients are not forgotten before the next backward pass, which adds to them.",
        "Each step goes along the sum of all gradients so far, which never fades: the loss swings for good.",
        {
            "minidl.optim.optimizer:Optimizer.zero_grad": (
                ("p.grad = None if set_to_none else", "_ = None if set_to_none else"),
            ),
            "minidl.nn.module:Module.zero_grad": (("parameter.grad = None if", "_ = None if"),),
        },
        LOSS,
    ),
    Bug(
        "wrong_sign",
        "The step goes along the gradient, and not against it.",
        "The loss climbs, the faster the higher it is.",
        {"minidl.optim.descent:SGD.rule": (("w=w - lr * g", "w=w + lr * g"),)},
        LOSS,
    ),
    Bug(
        "no_bias_correction",
        "Adam takes its averages m and v as they are, though both start at 0.",
        "v forgets its start a hundred times slower than m, so the first steps are several times too large.",
        {"minidl.optim.adaptive:Adam.rule": (("m / (1 - b1**t)", "m"), ("v / (1 - b2**t)", "v"))},
        Curve(_first_steps, "step", "step / lr"),
    ),
    Bug(
        "epsilon_inside",
        "Adam divides by √(v + ε), and not by √v + ε.",
        "ε acts as its root does, 1e-4 instead of 1e-8: weights with gradients below that hardly move.",
        {"minidl.optim.adaptive:Adam.rule": (("(xp.sqrt(v_hat) + eps)", "xp.sqrt(v_hat + eps)"),)},
        Curve(_steps_by_size, "gradient", "first step / lr", "x"),
    ),
    Bug(
        "overflowing_softmax",
        "Softmax takes exp of the scores as they are, without the largest taken away first.",
        "exp overflows above 709 (88 in float32): the loss is infinite, its gradient is nan, and so are all weights.",
        {
            "minidl.ops.fused:_shifted": (("return x - sums.largest(xp, x, axis) if", "return x if"),),
            "minidl.ops.fused:softmax_cross_entropy": (("x = x - x.max(axis=1, keepdims=True)", "x = x"),),
        },
        Curve(_losses_by_size, "larger score", "loss"),
    ),
)
bugs = {bug.name: bug for bug in ALL}
