"""Ops that work along dimensions, under PyTorch's names and words: `dim` and `keepdim`.

NumPy's `axis` and `keepdims` are understood, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minidl.autograd import Op, Tensor
from minidl.ops import fused, reductions
from minidl.ops.elementwise import astype, maximum, minimum, not_equal, sqrt, where
from minidl.ops.indexing import take_along_axis


def _axes(dim: Any, axis: Any) -> Any:
    """The dimensions, under whichever word they came, as NumPy wants them."""
    axis = dim if axis is None else axis
    return tuple(axis) or None if isinstance(axis, (list, tuple)) else axis


def _public(reduce: Op, summary: str) -> Callable[..., Tensor]:
    """The public function of an op that reduces."""

    def function(
        x: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False
    ) -> Tensor:
        return reduce(x, axis=_axes(dim, axis), keepdims=keepdim or keepdims)

    function.__name__ = function.__qualname__ = reduce.__name__
    function.__doc__ = f"{summary} over `dim` (a number, several, or None for all), which `keepdim` keeps as length 1."
    return function


amax = _public(reductions.amax, "The largest entry (equal ones share the gradient)")
amin = _public(reductions.amin, "The smallest entry (equal ones share the gradient)")
logsumexp = _public(reductions.logsumexp, "log(sum(exp(x))), without overflow,")
argmax = _public(reductions.argmax, "The position of the largest entry")
argmin = _public(reductions.argmin, "The position of the smallest entry")
all = _public(reductions.all, "Whether every entry is true")
any = _public(reductions.any, "Whether at least one entry is true")


def sum(
    x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """The sum over `dim` (a number, several, or None for all), which `keepdim` keeps as length 1.

    >>> import minidl
    >>> sum(minidl.ones(2, 3), 1)
    tensor([3., 3.])
    """
    x = x if dtype is None else astype(x, dtype=dtype)
    return reductions.sum(x, axis=_axes(dim, axis), keepdims=keepdim or keepdims)


def mean(
    x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """The mean over `dim` (a number, several, or None for all), which `keepdim` keeps as length 1.

    Raises RuntimeError for whole numbers, whose mean has no dtype of its own: name one with `dtype`.
    """
    x = x if dtype is None else astype(x, dtype=dtype)
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"mean: expected a floating dtype, got {x.dtype}: use mean(dtype=minidl.float32)")
    return reductions.mean(x, axis=_axes(dim, axis), keepdims=keepdim or keepdims)


def var(
    x: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float = 1,
    axis: Any = None, keepdims: bool = False,
) -> Tensor:  # fmt: skip
    """The mean squared distance from the mean, with n - `correction` for n; `unbiased=False` is correction 0."""
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"var: expected a floating dtype, got {x.dtype}: use .float() first")
    correction = correction if unbiased else 0
    return reductions.var(x, axis=_axes(dim, axis), keepdims=keepdim or keepdims, correction=correction)


def std(x: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, **words: Any) -> Tensor:
    """The square root of `var`."""
    variance = var(x, dim, unbiased, keepdim, **words)
    varies = not_equal(variance, 0)  # the slope of sqrt at 0 is infinite: where all entries are equal it counts as 0
    return sqrt(where(varies, variance, 1.0)) * varies


class Extremes(NamedTuple):
    """The extreme values along a dimension, and where they are."""

    values: Tensor
    indices: Tensor


def _extreme(x: Tensor, dim: Any, keepdim: bool, whole: Any, pairwise: Any, position: Any) -> Any:
    if dim is None:
        return whole(x)
    if not isinstance(dim, (int, np.integer)):
        return pairwise(x, dim)
    indices = position(x, dim, True)
    if not x.ndim:
        return Extremes(whole(x), indices)
    values = take_along_axis(x, indices, axis=dim)
    if keepdim:
        return Extremes(values, indices)
    shape = values.shape[: dim % x.ndim] + values.shape[dim % x.ndim + 1 :] if x.ndim else ()
    return Extremes(values.reshape(shape), indices.reshape(shape))


def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest entry; with `dim` (a number) the pair (values, indices) along it; with a tensor, `maximum`.

    >>> import minidl
    >>> max(minidl.tensor([[1.0, 5.0], [7.0, 2.0]]), 1).indices
    tensor([1, 0])
    """
    return _extreme(x, dim, keepdim, amax, maximum, argmax)


def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest entry; with `dim` (a number) the pair (values, indices) along it; with a tensor, `minimum`."""
    return _extreme(x, dim, keepdim, amin, minimum, argmin)


def softmax(x: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """exp(x) scaled so that it sums to 1 along `dim`.

    >>> import minidl
    >>> softmax(minidl.tensor([0.0, 0.0]), 0)
    tensor([0.5, 0.5])
    """
    return fused.softmax(x, axis=_one("softmax", dim if axis is None else axis))


def log_softmax(x: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """The logarithm of `softmax`, computed in one go because log(softmax(x)) loses small probabilities."""
    return fused.log_softmax(x, axis=_one("log_softmax", dim if axis is None else axis))


def _one(name: str, dim: int | None) -> int:
    if dim is None:
        raise TypeError(f"{name} needs the dimension along which to sum to 1, as in {name}(x, dim=1)")
    return dim
