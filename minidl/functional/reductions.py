"""Functions that make one number of many along dimensions, under PyTorch's names, and softmax.

The ops are those of reductions.py; here they get PyTorch's words, defaults and errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minidl.autograd import Op, Tensor
from minidl.functional.along import along, check_not_empty, picked
from minidl.ops import fused, reductions
from minidl.ops.elementwise import abs, astype, maximum, minimum, sqrt, where
from minidl.ops.linalg import p_norm
from minidl.ops.logic import isnan, logical_not, not_equal
from minidl.ops.shapes import dims_of, squeeze


def _axis(dim: Any) -> Any:
    """The dimensions as NumPy wants them; none are all."""
    return tuple(dim) or None if isinstance(dim, (list, tuple)) else dim


def _in(dtype: Any, input: Tensor) -> Tensor:
    return input if dtype is None else astype(input, dtype=dtype)


def _floating(name: str, input: Tensor) -> Tensor:
    """`input` itself; RuntimeError for whole numbers, whose mean has no dtype of its own."""
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating dtype, got {input.dtype}: use .float() first")
    return input


def _public(reduce: Op, summary: str, may_be_empty: bool = True) -> Callable[..., Tensor]:
    """The public function of an op that reduces."""

    def function(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
        if not may_be_empty:
            check_not_empty(reduce.__name__, input, dim)
        return reduce(input, axis=_axis(dim), keepdims=keepdim)

    function.__name__ = function.__qualname__ = reduce.__name__
    function.__doc__ = f"{summary} over `dim` (a number, several, or None for all), which `keepdim` keeps as length 1."
    return along(function)


amax = _public(reductions.amax, "The largest entry (equal ones share the gradient)", may_be_empty=False)
amin = _public(reductions.amin, "The smallest entry (equal ones share the gradient)", may_be_empty=False)
argmax = _public(reductions.argmax, "The position of the largest entry", may_be_empty=False)
argmin = _public(reductions.argmin, "The position of the smallest entry", may_be_empty=False)
all = _public(reductions.all, "Whether every entry is true")
any = _public(reductions.any, "Whether at least one entry is true")
logsumexp = _public(reductions.logsumexp, "log(sum(exp(input))), without overflow,")


# -- sums and means ------------------------------------------------------------------------------------------------


@along
def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` (a number, several, or None for all), which `keepdim` keeps as length 1.

    >>> import minidl
    >>> sum(minidl.ones(2, 3), 1)
    tensor([3., 3.])
    """
    return reductions.sum(_in(dtype, input), axis=_axis(dim), keepdims=keepdim)


@along
def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` of the entries that are not NaN."""
    return sum(where(isnan(input), 0, input), dim, keepdim, dtype=dtype)


@along
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many entries are not 0 along `dim` (a number, several, or None for all)."""
    return sum(not_equal(input, 0), dim)


@along
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over `dim` (a number, or None for all), which `keepdim` keeps as length 1."""
    if isinstance(dim, (list, tuple)):
        raise TypeError(f"prod: expected one dimension, or None for all, got {dim}")
    return reductions.prod(_in(dtype, input), axis=dim, keepdims=keepdim)


@along
def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` (a number, several, or None for all), which `keepdim` keeps as length 1.

    Raises RuntimeError for whole numbers, whose mean has no dtype of its own: name one with `dtype`.
    """
    return reductions.mean(_floating("mean", _in(dtype, input)), axis=_axis(dim), keepdims=keepdim)


@along
def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` of the entries that are not NaN."""
    input = _floating("nanmean", _in(dtype, input))
    return nansum(input, dim, keepdim) / sum(logical_not(isnan(input)), dim, keepdim)


# -- spread and size -----------------------------------------------------------------------------------------------


@along
def var(
    input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The mean squared distance from the mean, with n - `correction` for n; `unbiased=False` is correction 0."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)  # var(x, False) is PyTorch's, too
    correction = int(unbiased) if correction is None else correction
    return reductions.var(_floating("var", input), axis=_axis(dim), keepdims=keepdim, correction=correction)


@along
def std(input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, **words: Any) -> Tensor:
    """The square root of `var`."""
    variance = var(input, dim, unbiased, keepdim, **words)
    varies = not_equal(variance, 0)  # the slope of sqrt at 0 is infinite: where all entries are equal it counts as 0
    return sqrt(where(varies, variance, 1.0)) * varies


@along
def var_mean(input: Tensor, dim: Any = None, unbiased: Any = True, keepdim: bool = False, **words: Any) -> Any:
    """The pair of `var` and `mean`."""
    return var(input, dim, unbiased, keepdim, **words), mean(input, None if isinstance(dim, bool) else dim, keepdim)


@along
def std_mean(input: Tensor, dim: Any = None, unbiased: Any = True, keepdim: bool = False, **words: Any) -> Any:
    """The pair of `std` and `mean`."""
    return std(input, dim, unbiased, keepdim, **words), mean(input, None if isinstance(dim, bool) else dim, keepdim)


@along


def vector_norm(
    x: Tensor, ord: float = 2, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The length of vectors along `dim` (all entries by default): the `ord`-th root of the sum of |x|^ord.

    `ord` may also be infinity (the largest |x|), minus infinity (the smallest) or 0 (how many entries are not 0).

    >>> import minidl
    >>> vector_norm(minidl.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = x if dtype is None else astype(x, dtype=dtype)
    if x.dtype.kind != "f":
        raise RuntimeError(f"vector_norm: expected a floating dtype, got {x.dtype}: use .float() first")
    axis = dims_of(range(x.ndim) if dim is None or dim == () else dim, x.ndim)
    if math.isinf(ord):
        out = (reductions.amax if ord > 0 else reductions.amin)(abs(x), axis=axis, keepdims=True)
    elif ord == 0:
        out = reductions.sum(astype(not_equal(x, 0), dtype=x.dtype), axis=axis, keepdims=True)
    else:
        out = p_norm(x, p=ord, axis=axis)
    return out if keepdim else squeeze(out, axis)


def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(Σ |x|^p)^(1/p) over `dim`; "fro" is p = 2, inf the largest |x|, -inf the smallest, 0 how many are not 0.

    >>> import minidl
    >>> norm(minidl.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return vector_norm(input, 2 if p in (None, "fro") else p, dim, keepdim, dtype=dtype)


# -- extremes ------------------------------------------------------------------------------------------------------


class MinMax(NamedTuple):
    """The smallest and the largest entry."""

    min: Tensor
    max: Tensor


@along
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The pair (min, max) over `dim` (a number, or None for all)."""
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


@along
def _extreme(input: Tensor, whole: Any, position: Any, *, dim: int | None, keepdim: bool) -> Any:
    return whole(input) if dim is None else picked(input, position(input, dim, True), dim, keepdim)


def max(input: Tensor, dim: Any = None, keepdim: bool = False, **words: Any) -> Any:
    """The largest entry; with `dim` (a number) the pair (values, indices) along it; with a tensor, `maximum`.

    >>> import minidl
    >>> max(minidl.tensor([[1.0, 5.0], [7.0, 2.0]]), 1).indices
    tensor([1, 0])
    """
    if isinstance(dim, Tensor):
        return maximum(input, dim)
    return _extreme(input, amax, argmax, dim=dim, keepdim=keepdim, **words)


def min(input: Tensor, dim: Any = None, keepdim: bool = False, **words: Any) -> Any:
    """The smallest entry; with `dim` (a number) the pair (values, indices) along it; with a tensor, `minimum`."""
    if isinstance(dim, Tensor):
        return minimum(input, dim)
    return _extreme(input, amin, argmin, dim=dim, keepdim=keepdim, **words)


# -- softmax -------------------------------------------------------------------------------------------------------


@along
def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(input) scaled so that it sums to 1 along `dim`.

    >>> import minidl
    >>> softmax(minidl.tensor([0.0, 0.0]), 0)
    tensor([0.5, 0.5])
    """
    return fused.softmax(_in(dtype, input), axis=_one("softmax", dim))


@along
def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, computed in one go because log(softmax(x)) loses small probabilities."""
    return fused.log_softmax(_in(dtype, input), axis=_one("log_softmax", dim))


def _one(name: str, dim: int | None) -> int:
    if dim is None:
        raise TypeError(f"{name} needs the dimension along which to sum to 1, as in {name}(x, dim=1)")
    return dim
