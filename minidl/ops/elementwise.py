"""Ops that work entry by entry, with broadcasting: arithmetic, functions of one variable, comparisons.

Each is one paragraph: the function on arrays, then its derivatives.  The engine undoes the broadcasting.
"""

from __future__ import annotations

import math
from typing import Any

from minidl import backend
from minidl.autograd import Tensor, op

# -- arithmetic -----------------------------------------------------------------------------------------------


@op
def add(xp, x, y): return x + y
add.vjps(lambda g, out, x, y: g,
         lambda g, out, x, y: g)


@op
def subtract(xp, x, y): return x - y
subtract.vjps(lambda g, out, x, y: g,
              lambda g, out, x, y: -g)


@op
def multiply(xp, x, y): return x * y
multiply.vjps(lambda g, out, x, y: g * y,
              lambda g, out, x, y: g * x)


@op
def divide(xp, x, y): return x / y
divide.vjps(lambda g, out, x, y: g / y,
            lambda g, out, x, y: -g * out / y)


@op
def negative(xp, x): return -x
negative.vjps(lambda g, out, x: -g)


@op
def power(xp, x, y): return x**y
power.vjps(lambda g, out, x, y: g * y * x ** _one_less(y),
           lambda g, out, x, y: g * out * log(where((y >= 0) & (x == 0), 1.0, x)))  # x^y ln x, but 0 for 0^y


def _one_less(y: Any) -> Any:
    """y - 1, but 0 for y = 0, where the derivative y·x^(y-1) is 0 for every x, 0 included."""
    if isinstance(y, (int, float)):
        return y - 1 if y else 0
    return where(y == 0, 0.0, y - 1)


@op
def floor_divide(xp, x, y): return x // y
floor_divide.vjps(lambda g, out, x, y: g * 0,  # flat wherever it has a derivative
                  lambda g, out, x, y: g * 0)


@op
def remainder(xp, x, y): return x % y
remainder.vjps(lambda g, out, x, y: g,
               lambda g, out, x, y: -g * (x // y))


# -- functions of one variable --------------------------------------------------------------------------------


@op
def exp(xp, x): return xp.exp(x)
exp.vjps(lambda g, out, x: g * out)


@op
def expm1(xp, x): return xp.expm1(x)
expm1.vjps(lambda g, out, x: g * (out + 1))


@op
def log(xp, x): return xp.log(x)
log.vjps(lambda g, out, x: g / x)


@op
def log1p(xp, x): return xp.log1p(x)
log1p.vjps(lambda g, out, x: g / (x + 1))


@op
def sqrt(xp, x): return xp.sqrt(x)
sqrt.vjps(lambda g, out, x: g * 0.5 / out)


@op
def square(xp, x): return x * x
square.vjps(lambda g, out, x: g * 2 * x)


@op
def abs(xp, x): return xp.abs(x)
abs.vjps(lambda g, out, x: g * sign(x))


@op
def sign(xp, x): return xp.sign(x)
sign.vjps(lambda g, out, x: g * 0)


@op
def sin(xp, x): return xp.sin(x)
sin.vjps(lambda g, out, x: g * cos(x))


@op
def cos(xp, x): return xp.cos(x)
cos.vjps(lambda g, out, x: -g * sin(x))


@op
def tanh(xp, x): return xp.tanh(x)
tanh.vjps(lambda g, out, x: g * (1 - out * out))


@op
def sigmoid(xp, x): return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(0.0 - xp.abs(x)))  # no overflow
sigmoid.vjps(lambda g, out, x: g * out * (1 - out))


@op
def relu(xp, x): return xp.maximum(x, 0)
relu.vjps(lambda g, out, x: g * astype(out > 0, dtype=g.dtype))  # faster than a product with booleans


@op
def erf(xp, x): return backend.erf(xp, x)
erf.vjps(lambda g, out, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x))


# -- choosing -------------------------------------------------------------------------------------------------


@op
def where(xp, condition, x, y): return xp.where(condition, x, y)
where.vjps(None,
           lambda g, out, condition, x, y: where(condition, g, 0.0),
           lambda g, out, condition, x, y: where(condition, 0.0, g))


@op
def maximum(xp, x, y): return xp.maximum(x, y)
maximum.vjps(lambda g, out, x, y: where(x > y, g, where(x == y, g * 0.5, 0.0)),  # equals share the gradient
             lambda g, out, x, y: where(x < y, g, where(x == y, g * 0.5, 0.0)))


@op
def minimum(xp, x, y): return xp.minimum(x, y)
minimum.vjps(lambda g, out, x, y: where(x < y, g, where(x == y, g * 0.5, 0.0)),
             lambda g, out, x, y: where(x > y, g, where(x == y, g * 0.5, 0.0)))


@op
def clip(xp, x, *, low, high): return xp.clip(x, low, high)
clip.vjps(lambda g, out, x, low, high: where(x == out, g, 0.0))


def clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Every entry of `x` brought between `min` and `max`: numbers, tensors that broadcast with x, or None.

    Raises RuntimeError if both are None.

    >>> import minidl
    >>> clamp(minidl.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    if min is None and max is None:
        raise RuntimeError("clamp needs min, max or both")
    if not (hasattr(min, "shape") or hasattr(max, "shape")):
        return clip(x, low=min, high=max)
    x = x if min is None else where(less(x, min), min, x)  # not maximum: at the bound x has the whole gradient
    return x if max is None else where(greater(x, max), max, x)


# -- dtype and place ---------------------------------------------------------------------------------------------------


@op
def astype(xp, x, *, dtype): return x.astype(dtype)
astype.vjps(lambda g, out, x, dtype: g)  # the engine gives every gradient the dtype of its tensor


@op
def copied(xp, x): return x.copy(order="K")
copied.vjps(lambda g, out, x: g)


@op
def moved(xp, x, *, device, origin): return backend.to_device(x, device)
moved.vjps(lambda g, out, x, device, origin: moved(g, device=origin, origin=device))


# -- rounding: flat wherever it has a derivative ------------------------------------------------------------------


@op
def floor(xp, x): return xp.floor(x)
floor.vjps(lambda g, out, x: g * 0)


@op
def ceil(xp, x): return xp.ceil(x)
ceil.vjps(lambda g, out, x: g * 0)


@op
def round(xp, x, *, decimals=0): return xp.round(x, decimals)
round.vjps(lambda g, out, x, decimals=0: g * 0)


# -- comparisons and logic: no derivative -------------------------------------------------------------------------


@op
def equal(xp, x, y): return x == y


@op
def not_equal(xp, x, y): return x != y


@op
def less(xp, x, y): return x < y


@op
def less_equal(xp, x, y): return x <= y


@op
def greater(xp, x, y): return x > y


@op
def greater_equal(xp, x, y): return x >= y


@op
def logical_and(xp, x, y): return xp.logical_and(x, y)


@op
def logical_or(xp, x, y): return xp.logical_or(x, y)


@op
def logical_not(xp, x): return xp.logical_not(x)


@op
def bitwise_and(xp, x, y): return xp.bitwise_and(x, y)


@op
def bitwise_or(xp, x, y): return xp.bitwise_or(x, y)


@op
def bitwise_xor(xp, x, y): return xp.bitwise_xor(x, y)


@op
def bitwise_not(xp, x): return xp.invert(x)


@op
def isnan(xp, x): return xp.isnan(x)


@op
def isinf(xp, x): return xp.isinf(x)


@op
def isfinite(xp, x): return xp.isfinite(x)
