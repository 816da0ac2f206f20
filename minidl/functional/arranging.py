"""Arrangement: entries turned, shifted and repeated, windows, diagonals and triangles of matrices.

Made of the ops of minidl/ops/arranging.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.functional.creation import arange, from_numpy
from minidl.functional.shapes import flat, matrices, movedim, ravel
from minidl.ops import arranging as ops
from minidl.ops.elementwise import copied
from minidl.ops.indexing import getitem
from minidl.ops.shapes import dim_of, dims_of, many, reshape, swapaxes

# -- turning and shifting ---------------------------------------------------------------------------------------------


def flip(input: Tensor, *numbers: Any, dims: Sequence[int] = ()) -> Tensor:
    """`input` with the entries along each of `dims` in reverse order.

    >>> import minidl
    >>> flip(minidl.tensor([1, 2, 3]), 0)
    tensor([3, 2, 1])
    """
    return ops.flipped(input, axis=dims_of(flat(numbers) or dims, input.ndim))


def fliplr(input: Tensor) -> Tensor:
    """`input` (at least 2-D, otherwise RuntimeError) with its columns in reverse order."""
    return flip(matrices("fliplr", input), 1)


def flipud(input: Tensor) -> Tensor:
    """`input` (at least 1-D, otherwise RuntimeError) with its rows in reverse order."""
    if not input.ndim:
        raise RuntimeError("flipud: expected at least one dimension, got a number")
    return flip(input, 0)


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """`input` shifted along `dims`, what leaves at one end coming in at the other; without `dims`, as one long row.

    >>> import minidl
    >>> roll(minidl.tensor([1, 2, 3, 4]), 1)
    tensor([4, 1, 2, 3])
    """
    if dims is None or dims == ():
        return reshape(roll(ravel(input), shifts, 0), shape=input.shape)
    shift, axis = many(shifts), many(dims)
    if len(shift) != len(axis):
        raise RuntimeError(f"roll: expected as many shifts as dimensions, got {shifts} and {dims}")
    if not input.ndim:
        raise IndexError(f"roll: a number has no dimension to shift along, got dims {dims}")
    return ops.rolled(input, shift=shift, axis=tuple(dim_of(d, input.ndim) for d in axis)) if input.numel() else input


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """`input` turned `k` times by 90 degrees in the plane of two dimensions, from the first towards the second.

    >>> import minidl
    >>> rot90(minidl.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2 or input.ndim < 2:
        raise RuntimeError(f"rot90: expected two dimensions to turn in, got {dims} of shape {input.shape}")
    a, b = dims_of(dims, input.ndim)
    turned = ops.flipped(input, axis=((), (b,), (a, b), (a,))[k % 4])
    return swapaxes(turned, a, b) if k % 2 else turned


# -- repeating, and windows -------------------------------------------------------------------------------------------


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """Copies of `input` side by side, as many along each dimension as `repeats` says, new dimensions first."""
    reps = flat(repeats)
    if len(reps) < input.ndim:
        raise RuntimeError(f"repeat: expected a number for each dimension, got {reps} for shape {input.shape}")
    return ops.tiled(input, reps=reps)


def tile(input: Tensor, *dims: Any) -> Tensor:
    """Copies of `input` side by side, as many as `dims` says along its last dimensions.

    >>> import minidl
    >>> tile(minidl.tensor([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return repeat(input, (1,) * (input.ndim - len(flat(dims))) + flat(dims))


def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Each slice of `input` along `dim` `repeats` times (a number, or one for each); without `dim`, each entry.

    A tensor of numbers alone gives the positions that these repeats would take.

    >>> import minidl
    >>> repeat_interleave(minidl.tensor([5, 6]), minidl.tensor([1, 3]))
    tensor([5, 6, 6, 6])
    """
    if repeats is None:
        input, repeats = arange(len(input), dtype=input.dtype, device=input.device), input
    input, dim = (ravel(input), 0) if dim is None else (input, dim_of(dim, input.ndim))
    n = input.shape[dim]
    counts = np.asarray(repeats.cpu().array if isinstance(repeats, Tensor) else repeats)
    if counts.dtype.kind != "i" or counts.ndim > 1 or counts.size not in (1, n) or (counts < 0).any():
        raise RuntimeError(f"repeat_interleave: expected whole numbers from 0, one or {n}, got {repeats}")
    return getitem(input, (slice(None),) * dim + (np.repeat(np.arange(n), counts),))


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of length `size` along a dimension, every `step` entries: (..., n, ...) -> (..., windows, ..., size).

    >>> import minidl
    >>> unfold(minidl.arange(5), 0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    dim = dim_of(dimension, input.ndim)
    if not 0 <= size <= input.shape[dim] or step < 1:
        raise RuntimeError(f"unfold: expected 0 <= size <= {input.shape[dim]} and step >= 1, got {size} and {step}")
    starts = np.arange(0, input.shape[dim] - size + 1, step)
    return movedim(getitem(input, (slice(None),) * dim + (starts[:, None] + np.arange(size),)), dim + 1, -1)


# -- diagonals and triangles ------------------------------------------------------------------------------------------


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of `input` in the plane of two dimensions, as its last dimension: a view.

    `offset` counts from the main diagonal towards the end of `dim2`.
    """
    return ops.diagonals(movedim(input, (dim1, dim2), (-2, -1)), offset=offset)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Zeros with the last dimension of `input` on the diagonal of `dim1` and `dim2`: (..., n) -> (..., n, n).

    >>> import minidl
    >>> diag_embed(minidl.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    n = input.shape[-1] + abs(offset)
    return movedim(ops.diagonal_matrices(input, offset=offset, shape=input.shape[:-1] + (n, n)), (-2, -1), (dim1, dim2))


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal.  RuntimeError for anything else."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"diag: expected a vector or a matrix, got shape {input.shape}: use diagonal or diag_embed")
    return diag_embed(input, diagonal) if input.ndim == 1 else copied(ops.diagonals(input, offset=diagonal))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all entries of `input` on its diagonal."""
    return diag_embed(ravel(input), offset)


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix; RuntimeError for anything else."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, got shape {input.shape}")
    return ops.diagonals(input, offset=0).sum()


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros elsewhere; `diagonal` counts upwards from the main diagonal.

    >>> import minidl
    >>> tril(minidl.ones(2, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    return ops.lower_triangle(matrices("tril", input), diagonal=diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros elsewhere; `diagonal` counts upwards from the main diagonal."""
    return ops.upper_triangle(matrices("triu", input), diagonal=diagonal)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: Any = None) -> Tensor:
    """The positions of the lower triangle of a matrix, rows over columns: (2, entries)."""
    return _positions("tril_indices", np.tril_indices, row, col, offset, dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: Any = None) -> Tensor:
    """The positions of the upper triangle of a matrix, rows over columns: (2, entries)."""
    return _positions("triu_indices", np.triu_indices, row, col, offset, dtype, device)


def _positions(name: str, find: Callable[..., Any], row: int, col: int, offset: int, dtype: Any, device: Any) -> Tensor:
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: expected numbers of rows and columns from 0, got {row} and {col}")
    found = from_numpy(np.stack(find(row, offset, col)).astype(dtype))
    return found if device is None else found.to(device)
