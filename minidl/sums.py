"""Sums, and largest entries, of arrays: NumPy's own are slow along short or many dimensions.

What is small, and what lies on a GPU, is left to NumPy and CuPy.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minidl.backend import Array

LARGE = 1 << 14  # entries: below, looking how the array lies takes longer than its sum
BLOCK = 128  # rows: so many are added one to the other
LENGTH = 128  # entries of a row: so many are added up in one product, for among equal numbers errors would pile up
DOTS = 4 * LENGTH  # the same for inner products, which BLAS adds up in many sums side by side


def total(xp: Any, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """x.sum(axis), of whole numbers as int64, of halves as float32; on NumPy of large arrays as products with ones.

    BLAS adds up to eight times as fast, and in blocks loses no digits: where the last dimension stays, NumPy adds row
    to row, and each sum rounds once more than the one before.
    """
    dtype = "int64" if x.dtype.kind != "f" else "float32" if x.dtype.itemsize == 2 else None
    if xp is np and x.size >= LARGE and axis is not None and dtype != "int64":
        order, kept, leading = _order(x, axis)
        if kept == sorted(kept) and (leading or order[x.ndim - len(kept) :] == kept):
            y, count = np.ascontiguousarray(x.transpose(order), dtype), math.prod([x.shape[d] for d in kept])
            sums = _sums_of_rows(y.reshape(count, -1)) if leading else _sum_of_rows(y.reshape(-1, count))
            return sums.reshape([n if d in kept else 1 for d, n in enumerate(x.shape) if keepdims or d in kept])
    return x.sum(axis=axis, keepdims=keepdims, dtype=dtype)


def inner(xp: Any, x: Array, y: Array, axis: Any) -> Array:
    """(x * y).sum(axis), which keeps its dimensions; on NumPy long rows are multiplied and added up in one go."""
    alike = x.shape == y.shape and x.strides == y.strides and x.dtype == y.dtype
    if xp is np and x.size >= LARGE and alike and axis is not None and x.dtype.kind == "f" and x.dtype.itemsize > 2:
        order, kept, leading = _order(x, axis)
        count = math.prod([x.shape[d] for d in kept])
        if kept == sorted(kept) and leading and x.size >= LENGTH * count:  # short rows: BLAS would be called too often
            rows = [z.transpose(order).reshape(count, -1) for z in (x, y)]
            return _dots(*rows).reshape([n if d in kept else 1 for d, n in enumerate(x.shape)])
    return total(xp, x * y, axis, keepdims=True)


def _order(x: Array, axis: Any) -> tuple[list[int], list[int], bool]:
    """The dimensions from the slowest in memory, those of them not in `axis`, and whether these are the slowest."""
    axes = normalize_axis_tuple(axis, x.ndim)
    order = sorted(range(x.ndim), key=[-abs(step) for step in x.strides].__getitem__)
    kept = [d for d in order if d not in axes]
    return order, kept, order[: len(kept)] == kept


def _dots(x: Array, y: Array) -> Array:
    """(m, n), (m, n) -> (m,): the inner products of the rows, in blocks, and then the sums of these."""
    whole = x.shape[1] - x.shape[1] % DOTS
    sums = np.vecdot(x[:, whole:], y[:, whole:])
    if whole:
        blocks = [z[:, :whole].reshape(len(z), -1, DOTS) for z in (x, y)]
        sums += np.vecdot(*blocks).sum(1)
    return sums


def _sum_of_rows(x: Array) -> Array:
    """(n, m) -> (m,): sums of blocks, and then the sum of these."""
    if len(x) <= BLOCK:
        return _ones(len(x), x.dtype) @ x
    whole = len(x) - len(x) % BLOCK
    sums = _sum_of_rows(_ones(BLOCK, x.dtype) @ x[:whole].reshape(-1, BLOCK, x.shape[1]))
    return sums if whole == len(x) else sums + _ones(len(x) - whole, x.dtype) @ x[whole:]


def _sums_of_rows(x: Array) -> Array:
    """(m, n) -> (m,): sums of blocks, and then the sums of these."""
    n = x.shape[1]
    if n <= LENGTH:
        return x @ _ones(n, x.dtype)
    if n < 16 * LENGTH:  # as many calls of BLAS as rows: NumPy is as fast
        return x.sum(1)
    whole = n - n % LENGTH
    sums = _sums_of_rows(x[:, :whole].reshape(len(x), -1, LENGTH) @ _ones(LENGTH, x.dtype))
    return sums if whole == n else sums + x[:, whole:].sum(1)


@lru_cache(256)
def _ones(n: int, dtype: Any) -> Array:
    ones = np.ones(n, dtype)
    ones.flags.writeable = False
    return ones


def largest(xp: Any, x: Array, axis: int) -> Array:
    """x.max(axis), which keeps that dimension."""
    if xp is np and x.size >= LARGE and axis in (-1, x.ndim - 1) and x.shape[-1] < 64 and x.flags.c_contiguous:
        columns = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T)  # NumPy is slow along a short last dimension
        return columns.max(0).reshape(*x.shape[:-1], 1)
    return x.max(axis=axis, keepdims=True)
