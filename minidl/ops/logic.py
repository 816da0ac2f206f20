"""Comparisons and logic, entry by entry: ops whose results are booleans or bits, and that have no derivative.

NaN equals nothing, itself included, unless `equal_nan` says so.
"""

from __future__ import annotations

from typing import Any

from minidl.autograd import Tensor, op
from minidl.ops.ufunc import ufunc

equal = ufunc("equal")
not_equal = ufunc("not_equal")
less = ufunc("less")
less_equal = ufunc("less_equal")
greater = ufunc("greater")
greater_equal = ufunc("greater_equal")

logical_and = ufunc("logical_and")
logical_or = ufunc("logical_or")
logical_xor = ufunc("logical_xor")
logical_not = ufunc("logical_not")

bitwise_and = ufunc("bitwise_and")
bitwise_or = ufunc("bitwise_or")
bitwise_xor = ufunc("bitwise_xor")
bitwise_not = ufunc("invert")
left_shift = ufunc("left_shift")
right_shift = ufunc("right_shift")

isnan = ufunc("isnan")
isinf = ufunc("isinf")
isfinite = ufunc("isfinite")


# -- nearly equal -------------------------------------------------------------------------------------------------


@op
def close(xp, x, y, *, rtol, atol, equal_nan): return xp.isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan)


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol·|other|; an infinity is close to itself only."""
    return close(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def array_equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same numbers: `minidl.equal`."""
    return input.shape == other.shape and bool(equal(input, other).all())
