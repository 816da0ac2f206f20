"""Ops that pick entries by position: x[index], gather, one_hot.

Reading and adding back to the same places are each other's derivative.
"""

from __future__ import annotations

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
    if _is_basic(index):
        out[index] = x  # slices name no place twice
    else:
        xp.add.at(out, index, x)
    return out
put.vjps(lambda g, out, x, index, shape: g[index])


def getitem(x: Any, index: Any) -> Any:
    """`x[index]` with slices, numbers, None, ..., boolean masks, or arrays (or tensors) of whole numbers."""
    return take(x, index=plain(index, x))


def plain(index: Any, x: Tensor) -> Any:
    """The index with arrays in place of tensors, and on the device of x in place of lists and NumPy arrays."""
    if isinstance(index, tuple):
        return tuple(plain(part, x) for part in index)
    if isinstance(index, Tensor):
        index = index.array.copy() if x.tracked else index.array  # backward reads it again, whatever becomes of it
    elif isinstance(index, (list, np.ndarray)):
        index = array_module(x.array).array(index, dtype=int if isinstance(index, list) and not index else None)
    if getattr(getattr(index, "dtype", None), "kind", "i") not in "iub":
        raise IndexError(f"an index must hold whole numbers or booleans, got {index.dtype}")
    return index


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is ... or isinstance(part, (int, slice)) for part in parts)


@op
def replaced(xp, x, value, *, index):
    """A copy of x with `value` at `index`."""
    out = x.copy(order="K")
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
    out = xp.zeros(x.shape[: axis % x.ndim] + (length,) + x.shape[axis % x.ndim + 1 :], x.dtype)
    places = list(xp.indices(index.shape))
    places[axis] = index
    xp.add.at(out, tuple(places), x)
    return out
put_along_axis.vjps(lambda g, out, x, index, axis, length: take_along_axis(g, index, axis=axis), None)


@op
def one_hot_float(xp, index, *, classes, dtype): return (index[..., None] == xp.arange(classes)).astype(dtype)


def one_hot(index: Tensor, num_classes: int = -1) -> Tensor:
    """Whole numbers as rows of int64 zeros with a single 1: (...) -> (..., classes).

    `num_classes` is one more than the largest number unless given; RuntimeError for a number outside it.

    >>> import minidl
    >>> one_hot(minidl.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"one_hot: expected whole numbers, got {index.dtype}")
    low, high = (int(index.array.min()), int(index.array.max())) if index.numel() else (0, -1)
    classes = high + 1 if num_classes == -1 else num_classes
    if low < 0 or high >= classes:
        raise RuntimeError(f"one_hot: expected numbers from 0 to {classes - 1}, got {low if low < 0 else high}")
    return one_hot_float(index, classes=classes, dtype="int64")
