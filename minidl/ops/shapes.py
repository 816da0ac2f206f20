"""Ops that move entries without changing them: reshape, transpose, expand, concatenate.

Those that can are views on the same memory, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl.autograd import Tensor, op


@op
def reshape(xp, x, *, shape): return x.reshape(shape)
reshape.vjps(lambda g, out, x, shape: g.reshape(x.shape))


@op
def transpose(xp, x, *, axes): return x.transpose(axes)
transpose.vjps(lambda g, out, x, axes: transpose(g, axes=_inverse(axes)))


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=[axis % len(axes) for axis in axes].__getitem__))


@op
def broadcast_to(xp, x, *, shape): return xp.broadcast_to(x, shape)
broadcast_to.vjps(lambda g, out, x, shape: g)  # the engine sums over what was broadcast


@op
def spread(xp, x, like):
    """x broadcast to the shape of `like`, and laid out in memory like it."""
    out = xp.empty_like(like, dtype=x.dtype)
    out[...] = x
    return out
spread.vjps(lambda g, out, x, like: g, None)


@op
def concatenate(xp, *arrays, axis): return xp.concatenate(arrays, axis=axis)
concatenate.vjps(every=lambda i, g, out, *arrays, axis: g[_place(i, arrays, axis)])


def _place(i: int, arrays: Sequence[Any], axis: int) -> tuple[slice, ...]:
    """Where array i lies in the concatenation of `arrays`."""
    start = sum(array.shape[axis] for array in arrays[:i])
    return (slice(None),) * (axis % arrays[i].ndim) + (slice(start, start + arrays[i].shape[axis]),)


# -- PyTorch's names ----------------------------------------------------------------------------------------------


def permute(x: Tensor, *dims: Any) -> Tensor:
    """The dimensions of `x` in the order `dims`.

    >>> import minidl
    >>> permute(minidl.zeros(2, 3, 4), 2, 0, 1).shape
    (4, 2, 3)
    """
    return transpose(x, axes=_flat(dims))


def swapaxes(x: Any, dim0: int, dim1: int) -> Any:
    """`x` with two dimensions exchanged; PyTorch calls it `transpose`."""
    dim0, dim1, axes = _checked(dim0, x.ndim), _checked(dim1, x.ndim), list(range(x.ndim))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return transpose(x, axes=tuple(axes))


def expand(x: Tensor, *sizes: Any) -> Tensor:
    """`x` repeated along dimensions of length 1, without copying; -1 keeps a length.

    >>> import minidl
    >>> expand(minidl.zeros(3, 1), -1, 4).shape
    (3, 4)
    """
    wanted = _flat(sizes)
    if len(wanted) < x.ndim or -1 in wanted[: len(wanted) - x.ndim]:
        raise RuntimeError(f"expand: expected a length for each dimension, new ones first, got {wanted} for {x.shape}")
    old = (1,) * (len(wanted) - x.ndim) + x.shape
    return broadcast_to(x, shape=tuple(o if n == -1 else n for o, n in zip(old, wanted, strict=True)))


def squeeze(x: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """`x` without its dimensions of length 1, or without those of `dim` that have length 1."""
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = {_checked(d, x.ndim) for d in dims}
    return reshape(x, shape=tuple(n for d, n in enumerate(x.shape) if n != 1 or d not in gone))


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """`x` with a new dimension of length 1 at `dim`."""
    dim = _checked(dim, x.ndim + 1)
    return reshape(x, shape=x.shape[:dim] + (1,) + x.shape[dim:])


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """`x` with the dimensions from `start_dim` to `end_dim` made into one.

    >>> import minidl
    >>> flatten(minidl.zeros(8, 1, 28, 28), 1).shape
    (8, 784)
    """
    if x.ndim == 0:
        return reshape(x, shape=(1,))
    start, end = _checked(start_dim, x.ndim), _checked(end_dim, x.ndim)
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}, for shape {x.shape}")
    return reshape(x, shape=x.shape[:start] + (math.prod(x.shape[start : end + 1]),) + x.shape[end + 1 :])


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """`tensors` joined along dimension `dim`; their other dimensions must be equal.

    >>> import minidl
    >>> cat([minidl.zeros(2, 3), minidl.zeros(1, 3)]).shape
    (3, 3)
    """
    if not len(tensors):
        raise RuntimeError("cat: expected at least one tensor, got an empty list")
    return concatenate(*tensors, axis=dim if axis is None else axis)


def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """`tensors` of one shape joined along a new dimension `dim`.

    >>> import minidl
    >>> stack([minidl.zeros(3), minidl.ones(3)], 1).shape
    (3, 2)
    """
    if not len(tensors):
        raise RuntimeError("stack: expected at least one tensor, got an empty list")
    if len(shapes := dict.fromkeys(x.shape for x in tensors)) > 1:
        raise RuntimeError(f"stack: expected tensors of one shape, got {' and '.join(map(str, shapes))}")
    dim = dim if axis is None else axis
    return concatenate(*[unsqueeze(x, dim) for x in tensors], axis=dim)


def split(x: Tensor, size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`x` cut along `dim` into views of length `size` (the last may be shorter), or of the given lengths."""
    dim, length = _checked(dim, x.ndim), x.shape[dim]
    if isinstance(size, int):
        if size <= 0:
            raise RuntimeError(f"split: expected a length above 0, got {size}")
        size = [min(size, length - start) for start in range(0, length, size)] or [0]
    if sum(size) != length or any(n < 0 for n in size):
        raise RuntimeError(f"split: the lengths {list(size)} do not add up to {length}, the length of dimension {dim}")
    starts = [sum(size[:i]) for i in range(len(size))]
    return tuple(x[(slice(None),) * dim + (slice(a, a + n),)] for a, n in zip(starts, size, strict=True))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`x` cut along `dim` into at most `chunks` views of equal length (the last may be shorter)."""
    if chunks < 1:
        raise RuntimeError(f"chunk: expected at least one chunk, got {chunks}")
    return split(x, max(1, -(-x.shape[_checked(dim, x.ndim)] // chunks)), dim)


def _flat(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """f(2, 3) and f((2, 3)) mean the same."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def _checked(dim: int, ndim: int) -> int:
    """`dim` counted from the front; IndexError if there is no such dimension."""
    limit = max(ndim, 1)  # a number may be asked for its dimension 0
    if not -limit <= dim < limit:
        raise IndexError(f"dimension out of range: expected {-limit} to {limit - 1}, got {dim}")
    return dim % limit
