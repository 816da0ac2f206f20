"""Ops that move entries without changing them: reshape, transpose, expand, concatenate.

Those that can are views on the same memory, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
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
    return part(axis % arrays[i].ndim, start, start + arrays[i].shape[axis])


def part(dim: int, start: int, stop: int) -> tuple[slice, ...]:
    """The index of the entries from `start` to `stop` along dimension `dim`."""
    return (slice(None),) * dim + (slice(start, stop),)


# -- the order of dimensions ----------------------------------------------------------------------------------------


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions of `input` in the order `dims`.

    >>> import minidl
    >>> permute(minidl.zeros(2, 3, 4), 2, 0, 1).shape
    (4, 2, 3)
    """
    return transpose(input, axes=flat(dims))


def swapaxes(input: Any, dim0: int, dim1: int) -> Any:
    """`input` with two dimensions exchanged; PyTorch calls it `transpose`."""
    dim0, dim1, axes = dim_of(dim0, input.ndim), dim_of(dim1, input.ndim), list(range(input.ndim)) or [0]
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return transpose(input, axes=tuple(axes[: input.ndim]))


# -- the lengths of dimensions ----------------------------------------------------------------------------------------


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """`input` repeated along dimensions of length 1, without copying; -1 keeps a length.

    >>> import minidl
    >>> expand(minidl.zeros(3, 1), -1, 4).shape
    (3, 4)
    """
    wanted, shape = flat(sizes), input.shape
    if len(wanted) < len(shape) or -1 in wanted[: len(wanted) - len(shape)]:
        raise RuntimeError(f"expand: expected a length for each dimension, new ones first, got {wanted} for {shape}")
    old = (1,) * (len(wanted) - len(shape)) + shape
    return broadcast_to(input, shape=tuple(o if n == -1 else n for o, n in zip(old, wanted, strict=True)))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """`input` without its dimensions of length 1, or without those of `dim` that have length 1."""
    gone = range(input.ndim) if dim is None else dims_of(dim, input.ndim)
    return reshape(input, shape=tuple(n for d, n in enumerate(input.shape) if n != 1 or d not in gone))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """`input` with a new dimension of length 1 at `dim`."""
    dim = dim_of(dim, input.ndim + 1)
    return reshape(input, shape=input.shape[:dim] + (1,) + input.shape[dim:])


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """`input` with the dimensions from `start_dim` to `end_dim` made into one.

    >>> import minidl
    >>> flatten(minidl.zeros(8, 1, 28, 28), 1).shape
    (8, 784)
    """
    start, end = dim_of(start_dim, input.ndim), dim_of(end_dim, input.ndim)
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}, for shape {input.shape}")
    shape = input.shape
    return reshape(input, shape=shape[:start] + (math.prod(shape[start : end + 1]),) + shape[end + 1 :])


# -- joining ----------------------------------------------------------------------------------------------------------


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """`tensors` joined along dimension `dim`; their other dimensions must be equal, but shape (0,) fits everywhere.

    >>> import minidl
    >>> cat([minidl.zeros(2, 3), minidl.zeros(1, 3)]).shape
    (3, 3)
    """
    shapes = [x.shape for x in listed("cat", tensors, ValueError)]
    shape = next((shape for shape in shapes if shape != (0,)), (0,))
    dim = dim_of(dim if axis is None else axis, len(shape))
    if not shape or any(len(other) != len(shape) and other != (0,) for other in shapes):
        raise RuntimeError(f"cat: expected tensors of equally many dimensions, at least 1, got shapes {shapes}")
    empty = shape[:dim] + (0,) + shape[dim + 1 :]
    tensors = [reshape(x, shape=empty) if x.shape == (0,) else x for x in tensors]
    return _joined(tensors, dim)


def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """`tensors` of one shape joined along a new dimension `dim`.

    >>> import minidl
    >>> stack([minidl.zeros(3), minidl.ones(3)], 1).shape
    (3, 2)
    """
    if len(shapes := dict.fromkeys(x.shape for x in listed("stack", tensors))) > 1:
        raise RuntimeError(f"stack: expected tensors of one shape, got {' and '.join(map(str, shapes))}")
    dim = dim_of(dim if axis is None else axis, tensors[0].ndim + 1)
    return _joined([unsqueeze(x, dim) for x in tensors], dim)


def _joined(tensors: Sequence[Tensor], dim: int) -> Tensor:
    """`tensors` joined along `dim`; many in groups, as each gradient looks at all that were joined with it."""
    if len(tensors) <= 32:
        return concatenate(*tensors, axis=dim)
    return _joined([_joined(tensors[i : i + 32], dim) for i in range(0, len(tensors), 32)], dim)


def listed(name: str, tensors: Sequence[Tensor], error: type[Exception] = RuntimeError) -> Sequence[Tensor]:
    """`tensors`, if that is a list of at least one."""
    if not isinstance(tensors, (tuple, list)) or not all(hasattr(x, "shape") for x in tensors):
        raise TypeError(f"{name}: expected a list of tensors, got {tensors}")
    if not tensors:
        raise error(f"{name}: expected at least one tensor, got an empty list")
    return tensors


# -- cutting ----------------------------------------------------------------------------------------------------------


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`tensor` cut along `dim` into views of one length (the last may be shorter), or of the given lengths."""
    lengths, (dim, whole) = split_size_or_sections, length_of("split", tensor, dim)
    if isinstance(lengths, int):
        if lengths < (1 if whole else 0):
            raise RuntimeError(f"split: expected a length above 0, got {lengths}")
        lengths = [min(lengths, whole - start) for start in range(0, whole, lengths or 1)] or [0]
    if sum(lengths) != whole or any(n < 0 for n in lengths):
        raise RuntimeError(f"split: lengths {list(lengths)} do not add up to {whole}, the length of dimension {dim}")
    return pieces(tensor, lengths, dim)


def pieces(x: Tensor, lengths: Sequence[int], dim: int) -> tuple[Tensor, ...]:
    """`x` cut into pieces of these lengths.

    Many pieces are cut from halves of halves: as each gradient is laid into zeros of the length of what it was cut
    from, backward would otherwise take time with the square of their number.
    """
    if len(lengths) <= 8:
        stops = [0, *accumulate(lengths)]
        return tuple(x[part(dim, start, stop)] for start, stop in pairwise(stops))
    half = len(lengths) // 2
    first, second = pieces(x, (sum(lengths[:half]), sum(lengths[half:])), dim)
    return pieces(first, lengths[:half], dim) + pieces(second, lengths[half:], dim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`input` cut along `dim` into at most `chunks` views of equal length (the last may be shorter)."""
    if chunks < 1:
        raise RuntimeError(f"chunk: expected at least one chunk, got {chunks}")
    return split(input, -(-length_of("chunk", input, dim)[1] // chunks) or [0] * chunks, dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices of `input` along `dim`, without that dimension."""
    if not input.ndim:
        raise IndexError("unbind: expected a tensor with a dimension to cut along, got a number")
    dim = dim_of(dim, input.ndim)
    before = (slice(None),) * dim
    return tuple(some[(*before, i)] for some in split(input, 8, dim) for i in range(some.shape[dim]))


# -- dimensions as they are given -------------------------------------------------------------------------------------


def flat(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """f(2, 3) and f((2, 3)) mean the same."""
    return tuple(values[0]) if len(values) == 1 and isinstance(values[0], (tuple, list)) else values


def dim_of(dim: int, ndim: int) -> int:
    """`dim` counted from the front; IndexError if there is no such dimension."""
    limit = max(ndim, 1)  # a number may be asked for its dimension 0
    if not -limit <= dim < limit:
        raise IndexError(f"dimension out of range: expected {-limit} to {limit - 1}, got {dim}")
    return dim % limit


def many(values: int | Sequence[int]) -> tuple[int, ...]:
    """f(2) and f((2,)) mean the same."""
    return (values,) if isinstance(values, int) else tuple(values)


def dims_of(dims: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """One or several different dimensions counted from the front; of a number, none."""
    found = tuple(dim_of(d, ndim) for d in many(dims))
    if len(set(found)) < len(found):
        raise RuntimeError(f"expected different dimensions, got {dims} of {ndim}")
    return found[:ndim]


def length_of(name: str, x: Tensor, dim: int) -> tuple[int, int]:
    """`dim` counted from the front, and its length; RuntimeError for a number, which cannot be cut."""
    if not x.ndim:
        raise RuntimeError(f"{name}: expected a tensor with a dimension to cut along, got a number")
    return dim_of(dim, x.ndim), x.shape[dim]


def matrices(name: str, x: Tensor) -> Tensor:
    """`x`, if it has at least the two dimensions of a matrix; otherwise RuntimeError."""
    if x.ndim < 2:
        raise RuntimeError(f"{name}: expected matrices, of shape (..., n, m), got shape {x.shape}")
    return x
