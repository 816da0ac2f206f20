"""Ops whose entry k is made of the entries up to k along a dimension: running sums, products and extremes.

The slope of a running product is a recurrence, and so is the stable sum behind logcumsumexp.
"""

from __future__ import annotations

from typing import Any

from minidl.autograd import op
from minidl.ops.shapes import concatenate, cut

FIRST, LATER, EARLIER, BACKWARDS = slice(None, 1), slice(1, None), slice(None, -1), slice(None, None, -1)


@op
def cumulative_sum(xp, x, *, axis):
    kind = "float" if x.dtype.kind == "f" else "int"  # float32 would lose digits of long sums
    return xp.cumsum(x, axis=axis, dtype=f"{kind}64").astype(x.dtype if kind == "float" else "int64", copy=False)
cumulative_sum.vjps(lambda g, out, x, axis: cut(cumulative_sum(cut(g, axis, BACKWARDS), axis=axis), axis, BACKWARDS))


@op
def cumulative_product(xp, x, *, axis): return xp.cumprod(x, axis=axis, dtype=None if x.dtype.kind == "f" else "int64")
cumulative_product.vjps(lambda g, out, x, axis: _product_slope(_backwards(cut(x, axis, LATER), g, axis), out, axis))


def _product_slope(worth: Any, out: Any, axis: int) -> Any:
    """What follows an entry, times the product of what is before it; no division, for an entry may be 0."""
    return concatenate(cut(worth, axis, FIRST), cut(worth, axis, LATER) * cut(out, axis, EARLIER), axis=axis)


@op
def recurrence(xp, a, b, *, axis):
    """y[k] = a[k-1] y[k-1] + b[k] along `axis`, from y[0] = b[0]; a is one shorter than b."""
    a, y = xp.moveaxis(a, axis, 0), xp.moveaxis(b, axis, 0).copy()
    for k in range(1, len(y)):
        y[k] += a[k - 1] * y[k - 1]
    return xp.moveaxis(y, 0, axis)
recurrence.vjps(lambda g, out, a, b, axis: cut(_backwards(a, g, axis), axis, LATER) * cut(out, axis, EARLIER),
                lambda g, out, a, b, axis: _backwards(a, g, axis))


def _backwards(a: Any, g: Any, axis: int) -> Any:
    """The recurrence from the end: s[k] = a[k] s[k+1] + g[k]."""
    return cut(recurrence(cut(a, axis, BACKWARDS), cut(g, axis, BACKWARDS), axis=axis), axis, BACKWARDS)


@op
def running_extreme(xp, x, *, axis, extreme):
    """The place of the largest entry so far (the smallest, if `extreme` is "minimum"), the last of equal ones."""
    x = xp.moveaxis(x, axis, 0)
    k = xp.arange(len(x)).reshape((-1,) + (1,) * (x.ndim - 1))
    reached = (x == _running(xp, extreme, x)) | (x != x)  # NaN stays the extreme
    return xp.moveaxis(_running(xp, "maximum", xp.where(reached, k, 0)), 0, axis)


def _running(xp: Any, extreme: str, x: Any) -> Any:
    """The extreme of the rows up to each row, in log2(rows) steps; CuPy has no maximum.accumulate."""
    step = 1
    while step < len(x):
        x = xp.concatenate((x[:step], getattr(xp, extreme)(x[step:], x[:-step])))
        step *= 2
    return x
