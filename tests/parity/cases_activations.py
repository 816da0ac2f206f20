"""Activations as functions and as layers: the same draws for both."""

from collections.abc import Callable
from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, layer


def numbers(draw: Draw, min_dims: int = 0) -> np.ndarray:
    """Small and large numbers; among the small whole multiples of ½ and 3, where most activations have their kinks."""
    x = draw.floats(draw.shape(min_dims))
    return np.asarray(x * draw.one_of(1.0, 0.5, 3.0, 100.0, 1000.0), x.dtype)


def both(function: str, layer_name: str, **how: Any) -> Callable[..., Any]:
    """The options drawn are arguments of the function behind the input, and arguments of the layer."""

    def decorate(draw_options: Callable[[Draw], dict[str, Any]]) -> None:
        case(f"nn.functional.{function}", **how)(lambda draw: call(numbers(draw), **draw_options(draw)))
        layer(f"nn.{layer_name}", **how)(lambda draw: (call(**draw_options(draw)), call(numbers(draw))))

    return decorate


PLAIN = {
    "relu": "ReLU", "relu6": "ReLU6", "hardswish": "Hardswish", "selu": "SELU", "silu": "SiLU", "mish": "Mish",
    "logsigmoid": "LogSigmoid", "tanhshrink": "Tanhshrink", "softsign": "Softsign", "tanh": "Tanh",
    "sigmoid": "Sigmoid",
}  # fmt: skip
for function, layer_name in PLAIN.items():
    both(function, layer_name)(lambda draw: {})
both("hardsigmoid", "Hardsigmoid", tolerance=100)(lambda draw: {})  # PyTorch has the slope 1/6 in float32 only

both("leaky_relu", "LeakyReLU")(lambda draw: dict(negative_slope=draw.number()))
both("elu", "ELU")(lambda draw: dict(alpha=draw.number()))
ALPHAS = {"float64": (1.0, 0.5, 4.0, -2.0, 0.0), "float32": (1.0, 0.5, 4.0, 0.0)}  # ours overflows a factor -2 earlier
both("celu", "CELU")(lambda draw: dict(alpha=draw.one_of(*ALPHAS[draw.dtype])))  # PyTorch has 1 / alpha in float32
both("gelu", "GELU")(lambda draw: dict(approximate=draw.one_of("none", "tanh", "none", "tanh", "foo")))
both("hardshrink", "Hardshrink")(lambda draw: dict(lambd=draw.number()))
both("softshrink", "Softshrink")(lambda draw: dict(lambd=draw.number(-0.1)))
both("softplus", "Softplus")(lambda draw: dict(beta=draw.one_of(1.0, 0.3, -2.0), threshold=draw.one_of(20.0, 1.0)))
both("threshold", "Threshold")(lambda draw: dict(threshold=draw.number(), value=draw.number()))
both("hardtanh", "Hardtanh")(lambda draw: dict(min_val=draw.number(-3, 0.5), max_val=draw.number(0, 3)))


@case("nn.functional.rrelu")
def rrelu(draw: Draw) -> Call:
    lower = draw.number()
    training = draw.flag()
    return call(numbers(draw), lower, lower if training else draw.number(), training)  # one slope only: no chance


@layer("nn.RReLU")
def rrelu_layer(draw: Draw) -> tuple[Call, Call]:
    lower = draw.number()
    return call(lower, lower), call(numbers(draw))


@case("nn.functional.prelu")
def prelu(draw: Draw) -> Call:
    x = numbers(draw)
    shape = draw.one_of((), (1,), x.shape[1:2] or (1,), x.shape[1:2] or (1,), (5,), (1, 1))
    return call(x, draw.floats(shape))


@layer("nn.PReLU")
def prelu_layer(draw: Draw) -> tuple[Call, Call]:
    x = numbers(draw)
    return call(draw.one_of(1, x.shape[1] if x.ndim > 1 else 1, 5), init=draw.number()), call(x)


def _halves(draw: Draw) -> tuple[np.ndarray, int]:
    x = numbers(draw)
    dim = draw.dim(x.ndim)
    if -x.ndim <= dim < x.ndim and draw.integer(0, 9):  # now and then an odd length may stay
        x = np.concatenate([x, 0.5 - x], axis=dim)
    return x, dim


@case("nn.functional.glu")
def glu(draw: Draw) -> Call:
    return call(*_halves(draw))


@layer("nn.GLU")
def glu_layer(draw: Draw) -> tuple[Call, Call]:
    x, dim = _halves(draw)
    return call(dim), call(x)


@case("nn.functional.softmax", "nn.functional.softmin", "nn.functional.log_softmax")
def softmax(draw: Draw) -> Call:
    x = numbers(draw)
    options = {} if draw.flag() else dict(dtype=np.dtype("float64"))
    return call(x, draw.dim(x.ndim), **options)


@layer("nn.Softmax", "nn.Softmin", "nn.LogSoftmax")
def softmax_layer(draw: Draw) -> tuple[Call, Call]:
    x = numbers(draw)
    return call(draw.dim(x.ndim)), call(x)


@layer("nn.Softmax2d")
def softmax2d(draw: Draw) -> tuple[Call, Call]:
    return call(), call(numbers(draw, 2))


@case("nn.functional.gumbel_softmax")
def gumbel_softmax(draw: Draw) -> Call:
    x = draw.distinct(draw.shape(1, empty=False)) * 1e5  # the noise changes nothing: what is largest is chosen
    return call(x, tau=draw.one_of(1.0, 0.3, 2.0), hard=draw.flag(), dim=draw.dim(x.ndim))
