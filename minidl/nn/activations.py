"""Activations as layers: functions of one number without weights, softmax and its relatives, and PReLU, which learns.

The formulas and their sources stand with the functions of the same names in nn.functional, which also says what
`inplace` means here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, dataclass_transform

from minidl.autograd import Tensor
from minidl.functional.creation import zeros
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter


@dataclass_transform(eq_default=False)
class _Activation(Module):
    """A layer whose options are declared once, as the fields of a dataclass: `__init__` and the text follow."""

    def __init_subclass__(cls) -> None:
        dataclass(eq=False, repr=False)(cls)

    def extra_repr(self) -> str:
        options = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return ", ".join(f"{name}={value!r}" for name, value in options.items() if name != "inplace" or value)


# -- straight lines that bend at 0 --------------------------------------------------------------------------------


class ReLU(_Activation):
    """max(x, 0).

    >>> import minidl
    >>> ReLU()(minidl.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


class LeakyReLU(_Activation):
    """x where it is positive, negative_slope · x elsewhere."""

    negative_slope: float = 0.01
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class PReLU(Module):
    """x where it is positive, weight · x elsewhere; the weight, one for all or one per channel, is learned.

    Parameter: `weight` (num_parameters,), at first `init` everywhere.

    >>> PReLU(3)
    PReLU(num_parameters=3)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(zeros(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to `init`."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(_Activation):
    """x where it is positive, slope · x elsewhere; in training the slopes are drawn from `lower` to `upper`."""

    lower: float = 1 / 8
    upper: float = 1 / 3
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


# -- exponentials below 0 -----------------------------------------------------------------------------------------


class ELU(_Activation):
    """x where it is positive, alpha · (exp(x) - 1) elsewhere."""

    alpha: float = 1.0
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)


class SELU(_Activation):
    """ELU scaled so that a deep network keeps mean 0 and variance 1 of its activations."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class CELU(_Activation):
    """x where it is positive, alpha · (exp(x / alpha) - 1) elsewhere."""

    alpha: float = 1.0
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)


# -- smooth gates -------------------------------------------------------------------------------------------------


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class LogSigmoid(_Activation):
    """log sigmoid(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Softplus(_Activation):
    """log(1 + exp(beta · x)) / beta, and x itself where beta · x is above `threshold`."""

    beta: float = 1.0
    threshold: float = 20.0

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)


class SiLU(_Activation):
    """x · sigmoid(x)."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)


class Mish(_Activation):
    """x · tanh(log(1 + exp(x)))."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


class GELU(_Activation):
    """x · Φ(x), with the normal distribution function Φ itself or, with approximate="tanh", close to it."""

    approximate: str = "none"

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)


class GLU(_Activation):
    """a · sigmoid(b), where a and b are the two halves of the input along `dim`."""

    dim: int = -1

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)


class Tanh(_Activation):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Tanhshrink(_Activation):
    """x - tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Softsign(_Activation):
    """x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


# -- straight lines in pieces -------------------------------------------------------------------------------------


class Threshold(_Activation):
    """x where it is above `threshold`, `value` elsewhere."""

    threshold: float
    value: float
    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)


class Hardtanh(_Activation):
    """x brought between `min_val` and `max_val`, the larger one (else AssertionError)."""

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False

    def __post_init__(self) -> None:
        if not self.min_val < self.max_val:
            raise AssertionError(f"Hardtanh: min_val must be below max_val, got {self.min_val} and {self.max_val}")

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class ReLU6(_Activation):
    """x brought between 0 and 6."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, self.inplace)


class Hardsigmoid(_Activation):
    """x / 6 + 1/2 brought between 0 and 1."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_Activation):
    """x · hardsigmoid(x)."""

    inplace: bool = False

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)


class Hardshrink(_Activation):
    """x where |x| is above `lambd`, 0 elsewhere."""

    lambd: float = 0.5

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(_Activation):
    """x brought nearer to 0 by `lambd`, 0 where |x| is less."""

    lambd: float = 0.5

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


# -- softmax ------------------------------------------------------------------------------------------------------


class Softmax(_Activation):
    """exp(x) scaled so that it sums to 1 along `dim`; TypeError when it runs without one.

    >>> import minidl
    >>> Softmax(dim=1)(minidl.zeros(1, 4))
    tensor([[0.25, 0.25, 0.25, 0.25]])
    """

    dim: int | None = None

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class Softmin(_Activation):
    """Softmax of -x along `dim`; TypeError when it runs without one."""

    dim: int | None = None

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class LogSoftmax(_Activation):
    """The logarithm of softmax along `dim`; TypeError when it runs without one."""

    dim: int | None = None

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class Softmax2d(_Activation):
    """Softmax over the channels at each place of images (N, C, H, W) or (C, H, W); ValueError for another shape."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected shape (N, C, H, W) or (C, H, W), got {input.shape}")
        return F.softmax(input, -3)
