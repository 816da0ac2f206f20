"""Ops that move entries without changing them: reshape, transpose, expand, concatenate.

Those that can are views on the same memory, as in NumPy.
"""

from __future__ import annotations

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
    return part(axis % arrays[i].ndim, start, start + arrays[i].shape[axis])


def part(dim: int, start: int, stop: int) -> tuple[slice, ...]:
    """The index of the entries from `start` to `stop` along dimension `dim`."""
    return (slice(None),) * dim + (slice(start, stop),)


def cut(x: Any, axis: int, part: slice) -> Any:
    """`x[part]` along `axis`."""
    return x[(slice(None),) * dim_of(axis, x.ndim) + (part,)]


def swapaxes(input: Any, dim0: int, dim1: int) -> Any:
    """`input` with two dimensions exchanged; PyTorch calls it `transpose`."""
    dim0, dim1, axes = dim_of(dim0, input.ndim), dim_of(dim1, input.ndim), list(range(input.ndim)) or [0]
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return transpose(input, axes=tuple(axes[: input.ndim]))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """`input` without its dimensions of length 1, or without those of `dim` that have length 1."""
    gone = range(input.ndim) if dim is None else dims_of(dim, input.ndim)
    return reshape(input, shape=tuple(n for d, n in enumerate(input.shape) if n != 1 or d not in gone))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """`input` with a new dimension of length 1 at `dim`."""
    dim = dim_of(dim, input.ndim + 1)
    return reshape(input, shape=input.shape[:dim] + (1,) + input.shape[dim:])


def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """`tensors` of one shape joined along a new dimension `dim`.

    >>> import minidl
    >>> stack([minidl.zeros(3), minidl.ones(3)], 1).shape
    (3, 2)
    """
    if len(shapes := dict.fromkeys(x.shape for x in listed("stack", tensors))) > 1:
        raise RuntimeError(f"stack: expected tensors of one shape, got {' and '.join(map(str, shapes))}")
    dim = dim_of(dim if axis is None else axis, tensors[0].ndim + 1)
    return joined([unsqueeze(x, dim) for x in tensors], dim)


def joined(tensors: Sequence[Tensor], dim: int) -> Tensor:
    """`tensors` joined along `dim`; many in groups, as each gradient looks at all that were joined with it."""
    if len(tensors) <= 32:
        return concatenate(*tensors, axis=dim)
    return joined([joined(tensors[i : i + 32], dim) for i in range(0, len(tensors), 32)], dim)


def listed(name: str, tensors: Sequence[Tensor], error: type[Exception] = RuntimeError) -> Sequence[Tensor]:
    """`tensors`, if that is a list of at least one."""
    if not isinstance(tensors, (tuple, list)) or not all(hasattr(x, "shape") for x in tensors):
        raise TypeError(f"{name}: expected a list of tensors, got {tensors!s:.60}")
    if not tensors:
        raise error(f"{name}: expected at least one tensor, got an empty list")
    return tensors


# -- dimensions as they are given -------------------------------------------------------------------------------------


def dim_of(dim: int, ndim: int) -> int:
    """`dim` counted from the front; IndexError if there is no such dimension."""
    limit = max(ndim, 1)  # a number may be asked for its dimension 0
    if not -limit <= dim < limit:
        raise IndexError(f"dimension {dim} is out of range: the {ndim} dimensions are {-limit} to {limit - 1}")
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
