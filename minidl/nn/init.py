"""Initial weights: fill a tensor in place with constants or random numbers, and return it.

The numbers are drawn in float64 on the host, so a seed gives the same weights in every dtype and on every device.
fan_in is the number of inputs that one output of a layer adds up, fan_out the number of outputs that one input
reaches; the methods named after their authors choose the spread so that signals keep their size.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.autograd import Tensor, no_grad
from minidl.backend import Generator, random_stream


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw evenly from a to b.  RuntimeError if b is the smaller, and for a tensor of whole numbers."""
    if a > b:
        raise RuntimeError(f"uniform_: expected bounds a <= b, got {a} and {b}")
    _check_floating("uniform_", tensor)
    return _filled(tensor, random_stream(generator).uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from the normal distribution.  RuntimeError for a negative `std`, and for a tensor of whole numbers."""
    if std < 0:
        raise RuntimeError(f"normal_: std must not be negative, got {std}")
    _check_floating("normal_", tensor)
    return _filled(tensor, random_stream(generator).normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number.

    >>> import minidl
    >>> constant_(minidl.zeros(2), 3.0)
    tensor([3., 3.])
    """
    return _filled(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return _filled(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return _filled(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on its diagonal and zeros elsewhere; ValueError for another number of dimensions."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got a tensor of shape {tensor.shape}")
    return _filled(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill the weight (out, in, kernel ...) of a convolution so that it passes its input on, in each of the groups.

    ValueError for other than 3 to 5 dimensions, or if `groups` does not divide the output channels.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: expected the weight of a convolution, 3 to 5 dimensions, got shape {tensor.shape}")
    outputs, inputs, *kernel = tensor.shape
    if outputs % groups:
        raise ValueError(f"dirac_: groups={groups} must divide the {outputs} output channels")
    values, centre = np.zeros(tensor.shape), tuple(n // 2 for n in kernel)
    for group in np.split(values, groups):
        for d in range(min(len(group), inputs)):
            group[(d, d, *centre)] = 1
    return _filled(tensor, values)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill with gain times a random matrix whose rows, or columns if there are more rows, are orthonormal.

    Dimensions after the first count as one.  ValueError for fewer than two.  Source: Saxe, McClelland and Ganguli,
    "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014.

    >>> import minidl
    >>> w = orthogonal_(minidl.zeros(2, 3))
    >>> (w @ w.T).array.round(3) + 0.0
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected at least 2 dimensions, got shape {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    q, r = np.linalg.qr(random_stream(generator).standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))  # without this, not every orthogonal matrix would be as likely
    return _filled(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Draw a matrix from the normal distribution, and set the part `sparsity` of each column to zero.

    ValueError for other than two dimensions.
    Source: Martens, "Deep learning via Hessian-free optimization", ICML 2010, section 5.
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: expected a matrix, got a tensor of shape {tensor.shape}")
    stream = random_stream(generator)
    values = stream.normal(0.0, std, tensor.shape)
    zeros = math.ceil(sparsity * len(values))
    for column in values.T:
        column[stream.permutation(len(values))[:zeros]] = 0
    return _filled(tensor, values)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the normal distribution, again and again until every number lies between a and b.

    ValueError where that would hardly ever happen: a and b on one side, more than 5 std from the mean.
    """
    if not a < b or a > mean + 5 * std or b < mean - 5 * std:
        raise ValueError(f"trunc_normal_: hardly any number of mean {mean} and std {std} lies between {a} and {b}")
    stream = random_stream(generator)
    values = stream.normal(mean, std, tensor.shape)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = stream.normal(mean, std, int(outside.sum()))
    return _filled(tensor, values)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw evenly, with standard deviation gain · √(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 16.
    """
    return _uniform(tensor, _xavier_std(tensor, gain), generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from the normal distribution with standard deviation gain · √(2 / (fan_in + fan_out)).

    Source: as for `xavier_uniform_`.
    """
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw evenly, with standard deviation gain / √fan; `a` is the slope of the leaky ReLU that follows.

    `mode` chooses the fan, "fan_in" or "fan_out"; for the gain see `calculate_gain`.
    Source: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equations 10 and 14.

    >>> import minidl
    >>> weight = kaiming_uniform_(minidl.zeros(100, 600))
    >>> bool(weight.abs().max() <= 0.1)  # √2 · √3 / √600
    True
    """
    return _uniform(tensor, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the normal distribution with standard deviation gain / √fan; see `kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much the weights before `nonlinearity` must be larger to make up for what it takes away.

    `param` is the negative slope of "leaky_relu", 0.01 if left out.  ValueError for an unknown name.

    >>> round(calculate_gain("relu"), 4)
    1.4142
    """
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise ValueError(f"calculate_gain: expected the negative slope as a number, got {param!r}")
    gains = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3,
             "relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / (1 + slope**2)), "selu": 0.75}  # fmt: skip
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: expected one of {', '.join(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's initial weights of Linear and Conv2d: weight and bias drawn evenly from ±1/√fan_in."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(_fans(weight)[0] or 1)
        uniform_(bias, -bound, bound)


def _filled(tensor: Tensor, values: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(Tensor(np.asarray(values)))


def _check_floating(name: str, tensor: Tensor) -> None:
    if tensor.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating tensor, got {tensor.dtype}, which would cut off the fractions")


def _uniform(tensor: Tensor, std: float, generator: Generator | None) -> Tensor:
    bound = math.sqrt(3) * std  # numbers drawn evenly from ±bound have standard deviation bound / √3
    return uniform_(tensor, -bound, bound, generator)


def _fans(tensor: Tensor) -> tuple[int, int]:
    """fan_in and fan_out of a weight of shape (out, in) or (out, in, kernel ...)."""
    if tensor.ndim < 2:
        raise ValueError(f"fan_in and fan_out need a weight of at least 2 dimensions, got shape {tensor.shape}")
    outputs, inputs, *kernel = tensor.shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2 / max(1, sum(_fans(tensor))))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'expected the mode "fan_in" or "fan_out", got {mode!r}')
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, _fans(tensor)[mode == "fan_out"]))
