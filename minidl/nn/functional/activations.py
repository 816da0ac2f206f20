"""Activations as functions: of one number without weights, and softmax.

`inplace` is accepted for PyTorch's sake and changes nothing: a result always has memory of its own, so that backward
finds the input as it was.
"""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd import Tensor
from minidl.ops import elementwise, functions
from minidl.ops.elementwise import clamp, erf, expm1


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return elementwise.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where it is positive, negative_slope · x elsewhere.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> import minidl
    >>> leaky_relu(minidl.tensor([-2.0, 3.0]), 0.1)
    tensor([-0.2,  3. ])
    """
    return elementwise.relu(input) + negative_slope * clamp(input, max=0)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, alpha · (exp(x) - 1) elsewhere.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear
    units", ICLR 2016.
    """
    return elementwise.relu(input) + alpha * expm1(clamp(input, max=0))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), where Φ is the distribution function of the normal distribution.

    With `approximate="tanh"` Φ is 0.5 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).  RuntimeError for another word.
    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate == "none":
        return 0.5 * input * (1 + erf(input * math.sqrt(0.5)))
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
        return 0.5 * input * (1 + elementwise.tanh(inner))
    raise RuntimeError(f'gelu: approximate must be "none" or "tanh", got {approximate!r}')


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also called swish.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", Neural Networks 107 (2018).
    """
    return input * elementwise.sigmoid(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return elementwise.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return elementwise.tanh(input)


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """exp(x) scaled so that it sums to 1 along `dim`, which has to be given (TypeError)."""
    return functions.softmax(input if dtype is None else input.astype(dtype), dim)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, without its rounding errors."""
    return functions.log_softmax(input if dtype is None else input.astype(dtype), dim)
