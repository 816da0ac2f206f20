"""Running sums, products and extremes along a dimension, and differences.

The ops are those of minidl/ops/scans.py.
"""

from __future__ import annotations

from typing import Any

from minidl.autograd import Tensor
from minidl.autograd.tensor import describe
from minidl.functional.along import Picked, along
from minidl.functional.shapes import cat
from minidl.ops.elementwise import astype, copied, exp, log, subtract, where
from minidl.ops.indexing import take_along_axis
from minidl.ops.logic import bitwise_xor, isfinite
from minidl.ops.scans import EARLIER, LATER, cumulative_product, cumulative_sum, recurrence, running_extreme
from minidl.ops.shapes import cut


@along
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sum of the entries up to each along `dim`; of whole numbers and booleans in int64.

    >>> import minidl
    >>> cumsum(minidl.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    return cumulative_sum(input if dtype is None else astype(input, dtype=dtype), axis=dim)


@along
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The product of the entries up to each along `dim`; of whole numbers and booleans in int64."""
    return cumulative_product(input if dtype is None else astype(input, dtype=dtype), axis=dim)


@along
def cummax(input: Tensor, dim: int) -> Picked:
    """The pair (values, indices) of the largest entries so far along `dim`, the last of equal ones."""
    places = running_extreme(input, axis=dim, extreme="maximum")
    return Picked(take_along_axis(input, places, axis=dim), places)


@along
def cummin(input: Tensor, dim: int) -> Picked:
    """The pair (values, indices) of the smallest entries so far along `dim`, the last of equal ones."""
    places = running_extreme(input, axis=dim, extreme="minimum")
    return Picked(take_along_axis(input, places, axis=dim), places)


@along
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log(cumsum(exp(input))) along `dim`, where neither large nor small numbers are lost."""
    top = cummax(input.detach(), dim).values
    top = where(isfinite(top), top, 0.0)
    shrink = exp(cut(top, dim, EARLIER) - cut(top, dim, LATER))  # of a sum when the largest entry so far grows
    return log(recurrence(shrink, exp(input - top), axis=dim)) + top


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Each entry minus the one before it along `dim`, `n` times, after `prepend` and `append` were joined to the ends.

    Of booleans it is whether they differ.  RuntimeError for a number or a negative n.

    >>> import minidl
    >>> diff(minidl.tensor([1, 3, 6]))
    tensor([2, 3])
    """
    if n < 0 or not input.ndim:
        raise RuntimeError(f"diff: expected n from 0 and a tensor with a dimension, got n={n} and {describe(input)}")
    if n and not (prepend is None and append is None):
        input = cat([x for x in (prepend, input, append) if x is not None], dim)
    for _ in range(n):
        minus = bitwise_xor if input.dtype == bool else subtract
        input = minus(cut(input, dim, LATER), cut(input, dim, EARLIER))
    return input if n else copied(input)
