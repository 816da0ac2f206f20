"""Ops that pick entries by position: x[index], its adjoint, assignment, positions along a dimension, one_hot.

Reading and adding back to the same places are each other's derivative.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.autograd import Tensor, op
from minidl.backend import array_module


@op
def take(xp, x, *, index):
    out = x[index]
    if isinstance(out, xp.ndarray):
        return out
    return x[(*index, ...) if isinstance(index, tuple) else (index, ...)]  # a view, where NumPy gives a copied number
take.vjps(lambda g, out, x, index: put(g, index=index, shape=x.shape))


@op
def put(xp, x, *, index, shape):
    """Zeros of `shape` to which x is added at `index`; a place that is named twice receives both."""
    out = xp.zeros(shape, x.dtype)
    if _names_no_place_twice(index):
        out[index] = x
    else:
        places = _places(xp, index, shape)
        xp.add.at(out.reshape(-1), places.reshape(-1), xp.broadcast_to(x, places.shape).reshape(-1))
    return out
put.vjps(lambda g, out, x, index, shape: g[index])


def _names_no_place_twice(index: Any) -> bool:
    """Numbers, slices and masks do not."""
    return all(
        part is None or part is ... or isinstance(part, (int, slice)) or getattr(part, "dtype", "") == "bool"
        for part in (index if isinstance(index, tuple) else (index,))
    )


def _places(xp: Any, index: Any, shape: Sequence[int]) -> Any:
    """Where the entries of x[index] lie in memory, for an x of `shape`: with these add.at is four times faster."""
    rows = tuple(shape if isinstance(index, tuple) else shape[:1])  # a large table is not numbered entry by entry
    row = tuple(shape[len(rows) :])
    first = (xp.arange(math.prod(rows)) * math.prod(row)).reshape(rows)[index]
    return first.reshape(first.shape + (1,) * len(row)) + xp.arange(math.prod(row)).reshape(row)


def getitem(x: Any, index: Any) -> Any:
    """`x[index]` with slices, numbers, None, ..., boolean masks, or arrays (or tensors) of whole numbers."""
    for step in steps(plain(index, x)):
        x = take(x, index=step)
    return x


def assigned(x: Tensor, value: Any, index: Any) -> Tensor:
    """`x` after `x[index] = value`."""
    first, *rest = steps(index)
    return replaced(x, replaced(take(x, index=first), value, index=rest[0]) if rest else value, index=first)


def plain(index: Any, x: Tensor) -> Any:
    """The index with arrays in place of tensors, and on the device of x in place of lists and NumPy arrays."""
    if isinstance(index, tuple):
        return tuple([plain(part, x) for part in index])
    if isinstance(index, (int, slice)) or index is None or index is ...:
        return index
    if isinstance(index, Tensor):
        index = index.array.copy() if x.tracked else index.array  # backward reads it again, whatever becomes of it
    elif isinstance(index, (list, np.ndarray)):
        index = array_module(x.array).array(index, dtype=int if isinstance(index, list) and not index else None)
    if getattr(getattr(index, "dtype", None), "kind", "i") not in "iub":
        raise IndexError(f"an index must hold whole numbers or booleans, got {index.dtype}")
    return index.astype(bool) if getattr(index, "dtype", None) == np.uint8 else index  # bytes are a mask


def steps(index: Any) -> list[Any]:
    """The index, in two steps where it has numbers and arrays: PyTorch picks by the numbers first.

    NumPy picks by both at once, which gives another order of dimensions where a slice stands between them.
    """
    if type(index) is not tuple or len(index) < 3 or not (any(map(_is_array, index)) and any(map(_is_number, index))):
        return [index]
    index = [int(part) if _is_number(part) else part for part in index]  # NumPy copies what a 0-d array picks
    numbers = [[slice(None)] * (p.ndim if p.dtype == bool else 1) if _is_array(p) else [p] for p in index]
    arrays = [part if _is_array(part) or part is ... else slice(None) for part in index if not _is_number(part)]
    return [tuple(itertools.chain(*numbers)), tuple(arrays)]


def _is_array(part: Any) -> bool:
    return getattr(part, "ndim", 0) > 0


def _is_number(part: Any) -> bool:
    return type(part) is int or (getattr(part, "shape", None) == () and part.dtype != bool)


@op
def replaced(xp, x, value, *, index):
    """A copy of x with `value` at `index`."""
    out = xp.array(x)
    out[index] = value
    return out
replaced.vjps(lambda g, out, x, value, index: replaced(g, 0, index=index),
              lambda g, out, x, value, index: g[index])


# -- along one dimension --------------------------------------------------------------------------------------------


@op
def take_along_axis(xp, x, index, *, axis): return xp.take_along_axis(x, index, axis)
take_along_axis.vjps(lambda g, out, x, index, axis: put_along_axis(g, index, axis=axis, length=x.shape[axis]), None)


@op
def put_along_axis(xp, x, index, *, axis, length):
    """Zeros, `length` long in `axis`, to which x is added at the places that `index` names along it."""
    shape = x.shape[: axis % x.ndim] + (length,) + x.shape[axis % x.ndim + 1 :]
    return put(x, index=grid(xp.broadcast_to(index, x.shape), axis % x.ndim), shape=shape)
put_along_axis.vjps(lambda g, out, x, index, axis, length: take_along_axis(g, index, axis=axis), None)


def grid(index: Any, axis: int) -> tuple[Any, ...]:
    """For each entry of an array of positions along `axis` the whole index: in the other dimensions its own place."""
    own = [array_module(index).arange(n).reshape((-1,) + (1,) * (index.ndim - d)) for d, n in enumerate(index.shape, 1)]
    return (*own[:axis], index, *own[axis + 1 :])


@op
def argwhere(xp, x):
    """The places of the entries that are not 0, one a row: (...) -> (places, dimensions)."""
    return xp.argwhere(x)


@op
def one_hot_float(xp, index, *, classes, dtype): return (index[..., None] == xp.arange(classes)).astype(dtype)


