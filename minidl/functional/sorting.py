"""Functions that put entries in order, find the k-th of them, and count them, under PyTorch's names.

Gradients flow through the values that were picked; positions and counts have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minidl.autograd import Tensor
from minidl.autograd import tensor as new_tensor
from minidl.autograd.tensor import describe
from minidl.backend import array_module
from minidl.functional.along import IndexOrRuntimeError, Picked, along, check_not_empty, picked
from minidl.functional.picking import gather, narrow
from minidl.functional.shapes import movedim
from minidl.ops.elementwise import astype, ceil, floor, round, where
from minidl.ops.indexing import getitem, take_along_axis
from minidl.ops.logic import equal, greater, isnan
from minidl.ops.reductions import any, argmax, mean, sum
from minidl.ops.shapes import dim_of
from minidl.ops.sorting import insertion_points, order


@along
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Picked:
    """The pair (values, indices): the entries in order along `dim`, and where they were; NaN counts as the largest.

    It is always stable: equal entries stay in their order.

    >>> import minidl
    >>> sort(minidl.tensor([3, 1, 2])).indices
    tensor([1, 2, 0])
    """
    indices = order(input, axis=dim, descending=descending)
    return Picked(take_along_axis(input, indices, axis=dim), indices)


@along
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The positions that sort `input` along `dim`."""
    return order(input, axis=dim, descending=descending)


def msort(input: Tensor) -> Tensor:
    """`input` sorted along its first dimension."""
    return sort(input, 0).values


@along
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Picked:
    """The pair (values, indices) of the `k` largest entries along `dim`, or the smallest, always in order.

    Raises RuntimeError if there are fewer.

    >>> import minidl
    >>> topk(minidl.tensor([3, 1, 2]), 2).values
    tensor([3, 2])
    """
    _check_rank("topk", input, dim, 0, k)
    indices = narrow(order(input, axis=dim, descending=largest), dim, 0, k)
    return Picked(take_along_axis(input, indices, axis=dim), indices)


@along
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Picked:
    """The pair (value, index) of the `k`-th smallest entry along `dim`, from 1 on; RuntimeError if there are fewer."""
    _check_rank("kthvalue", input, dim, 1, k)
    return picked(input, narrow(order(input, axis=dim), dim, k - 1, 1), dim, keepdim)


def _check_rank(name: str, input: Tensor, dim: int, least: int, k: int) -> None:
    n = input.shape[dim_of(dim, input.ndim)]
    if not least <= k <= n:
        raise IndexOrRuntimeError(f"{name}: expected k from {least} to {n}, the length of dimension {dim}, got {k} for "
                                  f"{describe(input)}")  # fmt: skip


def _median(name: str, summary: str, place: Callable[[int, Any], Any]) -> Callable[..., Any]:
    """A median: of n sorted entries, of which the last are NaN, the one at `place(n, how many are NaN)`."""

    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None:
            return function(input.reshape(-1), 0).values if input.numel() else mean(input)
        check_not_empty(name, input, dim)
        places = place(input.shape[dim], sum(isnan(input), axis=dim, keepdims=True))
        return picked(input, take_along_axis(order(input, axis=dim), places, axis=dim), dim, keepdim)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{summary}, the lower of two; with `dim` the pair (values, indices) along it."
    return along(function)


median = _median("median", "The middle entry in order, NaN if one is NaN",
                 lambda n, nans: where(greater(nans, 0), n - nans, (n - 1) // 2))  # fmt: skip
nanmedian = _median("nanmedian", "The middle entry in order of those that are not NaN",
                    lambda n, nans: (n - nans - 1) // 2)  # fmt: skip


@along
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Picked:
    """The pair (value, index) of the entry that is there most often along `dim`, the smallest of several.

    The index is that of its last occurrence.
    """
    check_not_empty("mode", input, dim)
    indices = order(input, axis=dim)
    x = movedim(take_along_axis(input.detach(), indices, axis=dim), dim, -1)
    often = movedim(sum(equal(x[..., None], x[..., None, :]), axis=-1), -1, dim)  # each entry, in order
    first = argmax(often, axis=dim, keepdims=True)
    last = first + take_along_axis(often, first, axis=dim) - 1
    return picked(input, take_along_axis(indices, last, axis=dim), dim, keepdim)


RANKS: dict[str, Callable[[Tensor], Tensor]] = {  # where a quantile lies among the entries, by `interpolation`
    "linear": lambda rank: rank, "lower": floor, "higher": ceil, "nearest": round,
    "midpoint": lambda rank: (floor(rank) + ceil(rank)) / 2,
}  # fmt: skip


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The entry below which the part `q` (from 0 to 1) of the entries along `dim` lies, NaN if one is NaN.

    Between two entries it is interpolated: "linear", "lower", "higher", "nearest" or "midpoint".  A vector q adds a
    first dimension.  RuntimeError for no entries, or for a q outside 0 to 1 or in another dtype.

    >>> import minidl
    >>> quantile(minidl.tensor([1.0, 2.0, 4.0]), minidl.tensor([0.25, 0.5]))
    tensor([1.5, 2. ])
    """
    if input.dtype.kind != "f":
        raise RuntimeError(f"quantile: expected a floating dtype, got {input.dtype}: use .float() first")
    q = q if isinstance(q, Tensor) else new_tensor(q, dtype=input.dtype, device=input.device)
    if not input.numel() or q.ndim > 1 or q.dtype != input.dtype or not ((q.array >= 0) & (q.array <= 1)).all():
        raise RuntimeError(f"quantile: expected entries, and q from 0 to 1 of their dtype, got {describe(input)}, {q}")
    if interpolation not in RANKS:
        raise RuntimeError(f"quantile: expected interpolation among {list(RANKS)}, got {interpolation!r}")
    dim = None if dim is None else dim_of(dim, input.ndim)
    lines = movedim(input, dim, -1) if dim is not None and input.ndim else input.reshape(-1)  # (..., n)
    rank = RANKS[interpolation](q.reshape(-1) * (lines.shape[-1] - 1))  # (q,)
    entries = sort(lines).values
    below, above = (getitem(entries, (..., k.long())) for k in (floor(rank), ceil(rank)))
    out = below + (above - below) * (rank - floor(rank))  # (..., q)
    out = movedim(where(any(isnan(lines), axis=-1, keepdims=True), math.nan, out), -1, 0)
    if keepdim:
        kept = [1 if dim is None or d == dim else n for d, n in enumerate(input.shape)]
        out = out.reshape((-1, *kept))
    return out if q.ndim else out[0]


# -- sets and counts -------------------------------------------------------------------------------------------------


def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different entries, or the different slices across `dim`, always in order.

    On demand also where each entry went, and how often each occurs: (values, inverse, counts).

    >>> import minidl
    >>> unique(minidl.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    words = dict(return_inverse=return_inverse, return_counts=return_counts, axis=dim)
    found = array_module(input.array).unique(input.array, equal_nan=False, **words)
    return tuple(map(Tensor, found)) if isinstance(found, tuple) else Tensor(found)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where `elements` holds one of `test_elements` (where none of them, if `invert`); one of both may be a number.

    >>> import minidl
    >>> isin(minidl.tensor([1, 2, 3]), minidl.tensor([3, 1]))
    tensor([ True, False,  True])
    """
    device = (elements if isinstance(elements, Tensor) else test_elements).device
    x, among = (y if isinstance(y, Tensor) else new_tensor(y, device=device) for y in (elements, test_elements))
    return Tensor(array_module(x.array).isin(x.array, among.array, invert=invert))


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 on occurs in a vector, or the sum of its weights: at least `minlength` long.

    >>> import minidl
    >>> bincount(minidl.tensor([1, 3, 1]))
    tensor([0, 2, 0, 1])
    """
    x, w = input.array, None if weights is None else weights.array
    if x.ndim != 1 or x.dtype.kind not in "iu" or minlength < 0 or (x.size and x.min() < 0):
        raise RuntimeError(f"bincount: expected a vector of numbers from 0 on, and minlength, got {input}, {minlength}")
    if w is not None and w.shape != x.shape:
        raise RuntimeError(f"bincount: expected a weight for each number, got {describe(weights)} for {x.shape}")
    total = array_module(x).bincount(x, w, minlength)
    return Tensor(total if w is None or w.dtype.kind != "f" else total.astype(w.dtype))


def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where each number would be inserted into a sorted sequence: before the entries equal to it, or behind if `right`.

    A sequence of more dimensions has one row for each row of `input`; `sorter` are the positions that sort it.

    >>> import minidl
    >>> searchsorted(minidl.tensor([1, 3, 5]), minidl.tensor([3, 9]))
    tensor([1, 3])
    """
    x = input if isinstance(input, Tensor) else new_tensor(input, device=sorted_sequence.device)
    batch = sorted_sequence.shape[:-1]
    if side not in (None, "left", "right") or (right and side == "left"):
        raise RuntimeError(f'searchsorted: expected side "left" or "right", and as `right` says, got {side!r}')
    if not sorted_sequence.ndim or (batch and batch != x.shape[:-1]):
        raise RuntimeError(f"searchsorted: expected a sequence for all numbers or one for each row, got "
                           f"{describe(sorted_sequence)} for {describe(x)}")  # fmt: skip
    if sorter is not None:
        sorted_sequence = gather(sorted_sequence, -1, sorter)
    found = insertion_points(sorted_sequence, x, right=right or side == "right")
    return astype(found, dtype="int32" if out_int32 else "int64")


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between the boundaries in which each number lies; a boundary belongs to the one below.

    With `right` it belongs to the one above.  RuntimeError if the boundaries are not a vector.
    """
    if boundaries.ndim != 1:
        raise RuntimeError(f"bucketize: expected a vector of boundaries, got {describe(boundaries)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
