"""Ops that work entry by entry, with broadcasting: arithmetic, exponentials and logarithms, choices, rounding.

Each is the function on arrays, then its derivatives; `ufunc` names a function of NumPy.  The engine undoes the
broadcasting.  minidl/functional/elementwise.py has what is made of these.
Letters: g the gradient at the result, out the result, x and y the inputs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import backend, kernels, threads
from minidl.autograd import op
from minidl.ops.logic import isfinite, isnan
from minidl.ops.ufunc import ufunc

# -- arithmetic -----------------------------------------------------------------------------------------------


@op
def add(xp, x, y, *, alpha=1): return x + y if alpha == 1 else x + _scaled(x, y, alpha)
add.vjps(lambda g, out, x, y, alpha=1: g,
         lambda g, out, x, y, alpha=1: g if alpha == 1 else g * alpha)


@op
def subtract(xp, x, y, *, alpha=1): return x - y if alpha == 1 else x - _scaled(x, y, alpha)
subtract.vjps(lambda g, out, x, y, alpha=1: g,
              lambda g, out, x, y, alpha=1: g * -alpha)


def _scaled(x: Any, y: Any, alpha: Any) -> Any:
    if isinstance(alpha, float) and _whole(x, y):
        raise ValueError(f"the sum of whole numbers is whole: expected a whole alpha, got {alpha}")
    return y * alpha


def _whole(*values: Any) -> bool:
    """Whether all of them are whole numbers or booleans."""
    return all(x.dtype.kind != "f" if hasattr(x, "dtype") else not isinstance(x, float) for x in values)


@op
def multiply(xp, x, y): return x * y
multiply.vjps(lambda g, out, x, y: g * y,
              lambda g, out, x, y: g * x)


@op
def divide(xp, x, y): return x / y
divide.vjps(lambda g, out, x, y: g / y,
            lambda g, out, x, y: -g * out / y)


@op
def reciprocal(xp, x): return 1.0 / x
reciprocal.vjps(lambda g, out, x: -g * out * out)


negative = ufunc("negative", lambda g, out, x: -g)


@op
def power(xp, x, y): return x**y
power.vjps(lambda g, out, x, y: g * y * x ** _one_less(y),
           lambda g, out, x, y: g * out * _log_unless((y >= 0) & (x == 0), x))  # x^y ln x, but 0 for 0^y


def _log_unless(condition: Any, x: Any) -> Any:
    """ln x, but 0 where the condition holds; of a Python number in full precision, whatever is computed with it."""
    return math.log(x) if isinstance(x, (int, float)) and x > 0 else log(where(condition, 1.0, x))


def _one_less(y: Any) -> Any:
    """y - 1, but 0 for y = 0, where the derivative y·x^(y-1) is 0 for every x, 0 included."""
    return (y - 1 if y else 0) if isinstance(y, (int, float)) else where(y == 0, 0.0, y - 1)


sqrt = ufunc("sqrt", lambda g, out, x: g * 0.5 / out)
square = ufunc("square", lambda g, out, x: g * 2 * x)


@op
def rsqrt(xp, x): return 1.0 / xp.sqrt(x)
rsqrt.vjps(lambda g, out, x: g * -0.5 * out * out * out)


# -- division that rounds -------------------------------------------------------------------------------------


@op
def floor_divide(xp, x, y): return x // _divisor(x, y)
floor_divide.vjps(lambda g, out, x, y: g * 0,  # flat wherever it has a derivative
                  lambda g, out, x, y: g * 0)


@op
def truncating_divide(xp, x, y):
    return (x - xp.fmod(x, _divisor(x, y))) // y if _whole(x, y) else xp.trunc(x / y)  # a float may be too short for it
truncating_divide.vjps(lambda g, out, x, y: g * 0,
                       lambda g, out, x, y: g * 0)


@op
def remainder(xp, x, y): return x % _divisor(x, y)  # it has the sign of y
remainder.vjps(lambda g, out, x, y: g,
               lambda g, out, x, y: -g * (x // y))


@op
def fmod(xp, x, y): return xp.fmod(x, _divisor(x, y))  # it has the sign of x
fmod.vjps(lambda g, out, x, y: g,
          lambda g, out, x, y: -g * trunc(x / y))


def _divisor(x: Any, y: Any) -> Any:
    """y, unless whole numbers would be divided by 0; on a GPU nobody looks, for the host would have to wait."""
    if _whole(x, y) and isinstance(y, (np.ndarray, int)) and not np.all(y) and np.size(x):
        raise ValueError("whole numbers cannot be divided by 0")
    return y


# -- exponentials and logarithms ------------------------------------------------------------------------------

exp = ufunc("exp", lambda g, out, x: g * out)
exp2 = ufunc("exp2", lambda g, out, x: g * out * math.log(2))
expm1 = ufunc("expm1", lambda g, out, x: g * (out + 1))
log = ufunc("log", lambda g, out, x: g / x)
log2 = ufunc("log2", lambda g, out, x: g / (x * math.log(2)))
log10 = ufunc("log10", lambda g, out, x: g / (x * math.log(10)))
log1p = ufunc("log1p", lambda g, out, x: g / (x + 1))
tanh = ufunc("tanh", lambda g, out, x: g * (1 - out * out))
logaddexp = ufunc("logaddexp",
                  lambda g, out, x, y: g * sigmoid(x - y),
                  lambda g, out, x, y: g * sigmoid(y - x))


@op
def xlogy(xp, x, y): return x * xp.log(xp.where((x == 0) & (y == y), 1.0, y))  # 0 for x = 0, unless y is NaN
xlogy.vjps(lambda g, out, x, y: g * _log_unless((x == 0) & (y <= 0), y),
           lambda g, out, x, y: g * x / y)


@op
def sigmoid(xp, x):
    e = xp.exp(xp.minimum(x, 11 if getattr(x, "itemsize", 8) == 2 else 40))  # 1 from there on; more may overflow
    return e / (1 + e)
sigmoid.vjps(lambda g, out, x: g * out * (1 - out))


@op
def erf(xp, x): return backend.erf(xp, x)
erf.vjps(lambda g, out, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x))


@op
def erfc(xp, x): return backend.erfc(xp, x)
erfc.vjps(lambda g, out, x: g * (-2 / math.sqrt(math.pi)) * exp(-x * x))


# -- choosing -------------------------------------------------------------------------------------------------

abs = ufunc("abs", lambda g, out, x: g * sign(x))
copysign = ufunc("copysign",
                 lambda g, out, x, y: g * sign(x) * sign(out),
                 lambda g, out, x, y: g * 0)


@op
def relu(xp, x): return threads.by_entry(xp.maximum, x, 0) if xp is np else kernels.relu(xp, x)
relu.vjps(lambda g, out, x: relu_input(g, out))


@op
def relu_input(xp, g, out):
    """g where out, the result of relu, is above 0, and elsewhere 0."""
    return kernels.relu_input(xp, g, out) if kernels.fit(xp, g, out) else threads.by_entry(_where_positive, g, out)
relu_input.vjps(lambda g, through, y, out: relu_input(g, out), None)


def _where_positive(g: Any, result: Any, out: Any = None) -> Any:
    return np.multiply(g, (result > 0).astype(g.dtype), out=out)  # a product with booleans is slower


@op
def where(xp, condition, x, y): return xp.where(condition, x, y)
where.vjps(None,
           lambda g, out, condition, x, y: where(condition, g, 0.0),
           lambda g, out, condition, x, y: where(condition, 0.0, g))


maximum = ufunc("maximum",
                lambda g, out, x, y: where(x == y, g * 0.5, where(x < y, 0.0, g)),  # equals share the gradient
                lambda g, out, x, y: where(x == y, g * 0.5, where(x > y, 0.0, g)))
minimum = ufunc("minimum",
                lambda g, out, x, y: where(x == y, g * 0.5, where(x > y, 0.0, g)),
                lambda g, out, x, y: where(x == y, g * 0.5, where(x < y, 0.0, g)))
fmax = ufunc("fmax",  # the other number where one is NaN
             lambda g, out, x, y: where((x >= y) | isnan(y), g, 0.0),
             lambda g, out, x, y: where((x >= y) | isnan(y), 0.0, g))
fmin = ufunc("fmin",
             lambda g, out, x, y: where((x <= y) | isnan(y), g, 0.0),
             lambda g, out, x, y: where((x <= y) | isnan(y), 0.0, g))


@op
def clip(xp, x, *, low, high): return xp.clip(x, low, high)
clip.vjps(lambda g, out, x, low, high:  # with low above high every entry becomes `high`
          g * 0 if low is not None and high is not None and low > high else where(x == out, g, 0.0))


@op
def finite(xp, x, *, nan, high, low): return xp.nan_to_num(x, nan=nan, posinf=high, neginf=low)
finite.vjps(lambda g, out, x, nan, high, low: where(isfinite(x), g, 0.0))


# -- dtype and place ---------------------------------------------------------------------------------------------------


@op
def astype(xp, x, *, dtype): return x.astype(dtype)
astype.vjps(lambda g, out, x, dtype: g)  # the engine gives every gradient the dtype of its tensor


@op
def copied(xp, x, *, order="K"): return x.copy(order=order)
copied.vjps(lambda g, out, x, order="K": g)


@op
def moved(xp, x, *, device, origin): return backend.to_device(x, device)
moved.vjps(lambda g, out, x, device, origin: moved(g, device=origin, origin=device))


# -- rounding: flat wherever it has a derivative ------------------------------------------------------------------

floor = ufunc("floor", lambda g, out, x: g * 0)
ceil = ufunc("ceil", lambda g, out, x: g * 0)
trunc = ufunc("trunc", lambda g, out, x: g * 0)
sign = ufunc("sign", lambda g, out, x: g * 0)


@op
def round(xp, x, *, decimals=0): return xp.round(x, decimals)
round.vjps(lambda g, out, x, decimals=0: g * 0)


