"""Entry by entry, with broadcasting: functions of PyTorch's that are made of the ops of minidl/ops.

The others, from `add` to `tanh`, are ops themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import get_default_dtype
from minidl.ops.elementwise import (
    add,
    astype,
    clip,
    divide,
    finite,
    floor_divide,
    log,
    multiply,
    power,
    subtract,
    trunc,
    truncating_divide,
    where,
)  # fmt: skip
from minidl.ops.logic import close, equal, greater, less

# -- arithmetic -------------------------------------------------------------------------------------------------------


def positive(input: Tensor) -> Tensor:
    """+input, which is `input` itself."""
    return input


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; `rounding_mode` "floor" rounds it down, "trunc" towards 0; RuntimeError for another word.

    >>> import minidl
    >>> div(minidl.tensor([-7, 7]), 2, rounding_mode="trunc")
    tensor([-3,  3])
    """
    if rounding_mode is None:
        return divide(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(f'div: expected rounding_mode None, "floor" or "trunc", got {rounding_mode!r}')
    return (floor_divide if rounding_mode == "floor" else truncating_divide)(input, other)


def float_power(input: Any, exponent: Any) -> Tensor:
    """input ** exponent, computed in float64 whatever the dtypes are."""
    return power(*(astype(x, dtype="float64") if isinstance(x, Tensor) else float(x) for x in (input, exponent)))


def lerp(input: Any, end: Any, weight: Any) -> Tensor:
    """input + weight·(end - input): the point that lies `weight` of the way from `input` to `end`."""
    return add(input, multiply(subtract(end, input), weight))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """input + value·tensor1·tensor2."""
    return add(input, multiply(tensor1, tensor2), alpha=value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """input + value·tensor1/tensor2."""
    return add(input, divide(tensor1, tensor2), alpha=value)


def floats(x: Tensor) -> Tensor:
    """x, in the default dtype if it holds whole numbers: bytes have no negative ones."""
    return x if x.dtype.kind == "f" else astype(x, dtype=get_default_dtype())


def frac(input: Tensor) -> Tensor:
    """What is behind the point, with the sign of `input`."""
    return subtract(input, trunc(input))


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(input / (1 - input)), the inverse of sigmoid; with `eps`, input is first brought into [eps, 1 - eps]."""
    input = input if eps is None else clamp(input, eps, 1 - eps)
    return subtract(log(input), log(subtract(1.0, input)))


def deg2rad(input: Any) -> Tensor:
    """Degrees as radians: input·π/180."""
    return multiply(input, math.pi / 180)


def rad2deg(input: Any) -> Tensor:
    """Radians as degrees: input·180/π."""
    return multiply(input, 180 / math.pi)


# -- choosing ---------------------------------------------------------------------------------------------------------


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Every entry of `input` brought between `min` and `max`: numbers, tensors that broadcast with it, or None.

    Raises RuntimeError if both are None.

    >>> import minidl
    >>> clamp(minidl.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    if min is None and max is None:
        raise RuntimeError("clamp needs min, max or both")
    if not (hasattr(min, "shape") or hasattr(max, "shape")):
        return clip(input, low=min, high=max)
    x = input if min is None else where(less(input, min), min, input)  # not maximum: x has all the gradient at a bound
    return x if max is None else where(greater(x, max), max, x)


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Every entry of `input`, but at least `min`."""
    return clamp(input, min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Every entry of `input`, but at most `max`."""
    return clamp(input, None, max)


def heaviside(input: Tensor, values: Any) -> Tensor:
    """1 where `input` is above 0, 0 where it is below, and `values` where it is 0."""
    return where(input == 0, values, astype(input > 0, dtype=input.dtype))


def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """`input` with numbers for NaN, infinity and -infinity; for the last two, by default, the largest of the dtype."""
    return finite(input, nan=nan or 0.0, high=posinf, low=neginf)


# -- nearly equal -----------------------------------------------------------------------------------------------------


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol·|other|; an infinity is close to itself only."""
    return close(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def array_equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same numbers: `minidl.equal`."""
    return input.shape == other.shape and bool(equal(input, other).all())


# -- dtypes -----------------------------------------------------------------------------------------------------------


def result_type(tensor1: Any, tensor2: Any) -> np.dtype[Any]:
    """The dtype of the sum of two tensors, or of a tensor and a number."""
    ones = [Tensor(np.ones((1,)[: x.ndim], x.dtype)) if isinstance(x, Tensor) else x for x in (tensor1, tensor2)]
    return add(*ones).dtype
