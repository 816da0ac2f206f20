"""Ops that make one number of many: sums, means, variances, extremes, along any dimensions.

They have NumPy's words, `axis` and `keepdims`; functional/reductions.py gives them PyTorch's, `dim` and `keepdim`.
"""

from __future__ import annotations

import math
from typing import Any

from minidl import sums
from minidl.autograd import op
from minidl.ops.elementwise import exp
from minidl.ops.logic import equal
from minidl.ops.scans import BACKWARDS, EARLIER, FIRST, cumulative_product
from minidl.ops.shapes import concatenate, cut, spread


def _kept(reduced: Any, x: Any, axis: Any) -> Any:
    """A reduction of x with the reduced dimensions put back as length 1, so that it broadcasts against x."""
    if axis is None or reduced.ndim == x.ndim:
        return reduced
    gone = [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    return reduced.reshape(tuple(1 if d in gone else n for d, n in enumerate(x.shape)))


def count(x: Any, axis: Any) -> int:
    """How many entries of x go into each entry of its reduction."""
    if axis is None or not x.ndim:
        return math.prod(x.shape)
    return math.prod(x.shape[a] for a in (axis if isinstance(axis, tuple) else (axis,)))


@op
def sum(xp, x, *, axis=None, keepdims=False): return sums.total(xp, x, axis, keepdims)
sum.vjps(lambda g, out, x, axis=None, keepdims=False: spread(_kept(g, x, axis), x))


@op
def mean(xp, x, *, axis=None, keepdims=False): return sums.total(xp, x, axis, keepdims) / count(x, axis)
mean.vjps(lambda g, out, x, axis=None, keepdims=False: spread(_kept(g, x, axis) / count(x, axis), x))


@op
def inner(xp, x, y, *, axis): return sums.inner(xp, x, y, axis)  # Σ x·y along `axis`, which stays, of length 1
inner.vjps(lambda g, out, x, y, axis: g * y,
           lambda g, out, x, y, axis: g * x)


@op
def prod(xp, x, *, axis=None, keepdims=False):
    return x.prod(axis=axis, keepdims=keepdims, dtype=None if x.dtype.kind == "f" else "int64")
prod.vjps(lambda g, out, x, axis=None, keepdims=False:
          _kept(g, x, axis) * (_others(x.reshape(-1), 0).reshape(x.shape) if axis is None else _others(x, axis)))


def _others(x: Any, axis: int) -> Any:
    """At each entry the product of the others along `axis`; no division, for an entry may be 0."""
    return _before(x, axis) * cut(_before(cut(x, axis, BACKWARDS), axis), axis, BACKWARDS)


def _before(x: Any, axis: int) -> Any:
    """At each entry the product of those before it along `axis`, which of none is 1."""
    return concatenate(cut(x, axis, FIRST) ** 0, cut(cumulative_product(x, axis=axis), axis, EARLIER), axis=axis)


@op
def var(xp, x, *, axis=None, keepdims=False, correction=1):
    squares = xp.square(x - mean.function(xp, x, axis=axis, keepdims=True))
    return sums.total(xp, squares, axis, keepdims) / max(count(x, axis) - correction, 0)
var.vjps(lambda g, out, x, axis=None, keepdims=False, correction=1:
         _kept(g, x, axis) * 2 / (count(x, axis) - correction) * (x - mean(x, axis=axis, keepdims=True)))


@op
def amax(xp, x, *, axis=None, keepdims=False): return x.max(axis=axis, keepdims=keepdims)
amax.vjps(lambda g, out, x, axis=None, keepdims=False: _shared(g, out, x, axis))


@op
def amin(xp, x, *, axis=None, keepdims=False): return x.min(axis=axis, keepdims=keepdims)
amin.vjps(lambda g, out, x, axis=None, keepdims=False: _shared(g, out, x, axis))


def _shared(g: Any, out: Any, x: Any, axis: Any) -> Any:
    """Equal extremes share the gradient."""
    chosen = equal(x, _kept(out, x, axis))
    return _kept(g, x, axis) * chosen / sum(chosen, axis=axis, keepdims=True)


@op
def logsumexp(xp, x, *, axis=None, keepdims=False):
    top = x.max(axis=axis, keepdims=True) if x.size else 0
    top = xp.where(xp.isfinite(top), top, 0)  # all -inf: the result is -inf, not NaN
    total = xp.log(xp.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return total if keepdims else xp.squeeze(total, axis=axis)
logsumexp.vjps(lambda g, out, x, axis=None, keepdims=False: _kept(g, x, axis) * exp(x - _kept(out, x, axis)))


@op
def argmax(xp, x, *, axis=None, keepdims=False): return xp.argmax(x, axis=axis, keepdims=keepdims)


@op
def argmin(xp, x, *, axis=None, keepdims=False): return xp.argmin(x, axis=axis, keepdims=keepdims)


@op
def all(xp, x, *, axis=None, keepdims=False): return xp.all(x, axis=axis, keepdims=keepdims)


@op
def any(xp, x, *, axis=None, keepdims=False): return xp.any(x, axis=axis, keepdims=keepdims)
