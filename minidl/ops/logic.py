"""Comparisons and logic, entry by entry: ops whose results are booleans or bits, and that have no derivative.

NaN equals nothing, itself included, unless `equal_nan` says so.
"""

from __future__ import annotations

from minidl.autograd import op
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


@op
def close(xp, x, y, *, rtol, atol, equal_nan): return xp.isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan)
