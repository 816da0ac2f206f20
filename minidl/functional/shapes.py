"""Shapes: the order and number of dimensions, joining, cutting, and grids.

Made of the ops of minidl/ops/shapes.py, where also those of these functions stand that rules need.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.autograd.tensor import describe
from minidl.backend import array_module
from minidl.ops.elementwise import copied
from minidl.ops.indexing import getitem, put
from minidl.ops.shapes import (
    broadcast_to,
    dim_of,
    dims_of,
    joined,
    listed,
    part,
    reshape,
    stack,
    swapaxes,
    transpose,
    unsqueeze,
)  # fmt: skip


def fresh(result: Tensor, input: Tensor) -> Tensor:
    """`result` in memory of its own, for functions that may give `input` itself, or a view of it, and should not."""
    return copied(result) if array_module(input.array).may_share_memory(result.array, input.array) else result


def flat(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """f(2, 3) and f((2, 3)) mean the same."""
    return tuple(values[0]) if len(values) == 1 and isinstance(values[0], (tuple, list)) else values


def matrices(name: str, x: Tensor) -> Tensor:
    """`x`, if it has at least the two dimensions of a matrix; otherwise RuntimeError."""
    if x.ndim < 2:
        raise RuntimeError(f"{name}: expected matrices, of shape (..., n, m), got shape {x.shape}")
    return x


# -- the order and number of dimensions -------------------------------------------------------------------------------


def permute(input: Tensor, *numbers: Any, dims: Sequence[int] = ()) -> Tensor:
    """The dimensions of `input` in the order `dims`.

    >>> import minidl
    >>> permute(minidl.zeros(2, 3, 4), 2, 0, 1).shape
    (4, 2, 3)
    """
    return transpose(input, axes=flat(numbers) or tuple(dims))


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """`input` with the dimensions `source` at the places `destination`, the others in their old order.

    >>> import minidl
    >>> movedim(minidl.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    moved, places = dims_of(source, input.ndim), dims_of(destination, input.ndim)
    if len(moved) != len(places):
        raise RuntimeError(f"movedim: expected a place for each dimension, got {source} and {destination}")
    order = [d for d in range(input.ndim) if d not in moved]
    for place, d in sorted(zip(places, moved, strict=True)):
        order.insert(place, d)
    return transpose(input, axes=tuple(order))


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or number as it is.  RuntimeError for more dimensions."""
    if input.ndim > 2:
        raise RuntimeError(f"t: expected at most 2 dimensions, got shape {input.shape}: use transpose or mT")
    return transpose(input, axes=tuple(range(input.ndim))[::-1])


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


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """`input` with dimension `dim` made into several of the lengths `sizes`, of which one may be -1.

    >>> import minidl
    >>> unflatten(minidl.zeros(8, 784), 1, (28, -1)).shape
    (8, 28, 28)
    """
    dim = dim_of(dim, input.ndim)
    known = math.prod(n for n in sizes if n != -1)
    sizes = [input.shape[dim] // known if n == -1 and known else n for n in sizes]
    if not input.ndim or not sizes or math.prod(sizes) != input.shape[dim]:
        raise RuntimeError(f"unflatten: sizes {sizes} do not multiply up to dimension {dim} of shape {input.shape}")
    return reshape(input, shape=input.shape[:dim] + tuple(sizes) + input.shape[dim + 1 :])


def ravel(input: Tensor) -> Tensor:
    """All entries of `input` in one dimension."""
    return reshape(input, shape=(-1,))


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


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of these shapes have after broadcasting; RuntimeError if they do not fit together.

    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise RuntimeError("the shapes do not fit together: counted from the end, lengths must be equal, or one of "
                           f"them 1; got {', '.join(map(str, shapes))}") from None  # fmt: skip


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """`tensors` expanded to the one shape that they broadcast to."""
    shape = broadcast_shapes(*[x.shape for x in listed("broadcast_tensors", tensors)])
    return tuple(broadcast_to(x, shape=shape) for x in tensors)


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
    return joined(tensors, dim)


def _each(function: Callable[[Tensor], Tensor], tensors: tuple[Any, ...]) -> Any:
    """f(x) gives one result, f(x, y) and f([x, y]) give a tuple."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return function(tensors[0])
    return tuple(map(function, flat(tensors)))


def atleast_1d(*tensors: Any) -> Any:
    """Numbers as vectors of one entry; what has a dimension as it is.  A list gives a tuple."""
    return _each(lambda x: x if x.ndim else unsqueeze(x, 0), tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Numbers and vectors as matrices of one row: (n,) -> (1, n).  A list gives a tuple."""
    return _each(lambda x: x if x.ndim > 1 else unsqueeze(atleast_1d(x), 0), tensors)


def atleast_3d(*tensors: Any) -> Any:
    """What has fewer than three dimensions with new ones: (n,) -> (1, n, 1), (n, m) -> (n, m, 1)."""
    return _each(lambda x: x if x.ndim > 2 else unsqueeze(atleast_2d(x), 2), tensors)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """`tensors` joined along dimension 1, or end to end if they are vectors or numbers."""
    tensors = atleast_1d(listed("hstack", tensors))
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """`tensors` joined along dimension 0, vectors and numbers being rows."""
    return cat(atleast_2d(listed("vstack", tensors)))


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """`tensors` joined along dimension 2, which vectors, numbers and matrices get as a new one."""
    return cat(atleast_3d(listed("dstack", tensors)), 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """`tensors` joined along dimension 1, vectors and numbers being columns.

    >>> import minidl
    >>> column_stack([minidl.zeros(3), minidl.zeros(3, 2)]).shape
    (3, 3)
    """
    return cat([x if x.ndim > 1 else reshape(x, shape=(-1, 1)) for x in listed("column_stack", tensors)], 1)


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrix with `tensors` (matrices; vectors and numbers being rows) on its diagonal, zeros elsewhere."""
    blocks = atleast_2d(list(listed("block_diag", tensors)))
    stops = [*accumulate(x.shape[1] for x in blocks)]
    places = [(..., slice(stop - x.shape[1], stop)) for x, stop in zip(blocks, stops, strict=True)]
    return cat([put(x, index=at, shape=(len(x), stops[-1])) for x, at in zip(blocks, places, strict=True)])


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


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """`input` cut along `dim` into so many views, the first of which may be longer by one, or at the given positions.

    >>> import minidl
    >>> [len(piece) for piece in tensor_split(minidl.arange(7), 3)]
    [3, 2, 2]
    >>> [len(piece) for piece in tensor_split(minidl.arange(7), (2, 6))]
    [2, 4, 1]
    """
    sections, (dim, whole) = indices_or_sections, length_of("tensor_split", input, dim)
    sections = sections.tolist() if isinstance(sections, Tensor) else sections
    if not isinstance(sections, int):
        return tuple(input[part(dim, start, stop)] for start, stop in pairwise([0, *sections, whole]))
    if sections < 1:
        raise RuntimeError(f"tensor_split: expected at least one section, got {sections}")
    short, longer = divmod(whole, sections)
    return pieces(input, [short + 1] * longer + [short] * (sections - longer), dim)


def length_of(name: str, x: Tensor, dim: int) -> tuple[int, int]:
    """`dim` counted from the front, and its length; RuntimeError for a number, which cannot be cut."""
    if not x.ndim:
        raise RuntimeError(f"{name}: expected a tensor with a dimension to cut along, got a number")
    return dim_of(dim, x.ndim), x.shape[dim]


def _evenly(name: str, input: Tensor, where: Any, dim: int, least: int) -> tuple[Tensor, ...]:
    """`tensor_split` of what has at least so many dimensions, into pieces of one length or at positions."""
    if input.ndim < least:
        raise RuntimeError(f"{name}: expected at least {least} dimensions, got shape {input.shape}")
    if isinstance(where, int) and (where < 1 or input.shape[dim] % where):
        raise RuntimeError(f"{name}: cannot cut dimension {dim} of {input.shape} into {where} equal pieces")
    return tensor_split(input, where, dim)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`input` cut along dimension 1 (a vector along 0) into equal pieces, or at the given positions."""
    return _evenly("hsplit", input, indices_or_sections, 1 if input.ndim > 1 else 0, 1)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`input` cut along dimension 0 into equal pieces, or at the given positions."""
    return _evenly("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`input` cut along dimension 2 into equal pieces, or at the given positions."""
    return _evenly("dsplit", input, indices_or_sections, 2, 3)


# -- grids and choices ------------------------------------------------------------------------------------------------


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinates of all points of a grid, given those along each of its dimensions.

    For `indexing` "ij", the default, grid k has the k-th coordinate and all have shape (n0, n1, ...); for "xy", as
    pictures have it, the first two dimensions are exchanged.

    >>> import minidl
    >>> meshgrid(minidl.tensor([1, 2]), minidl.tensor([3, 4]), indexing="ij")[0]
    tensor([[1, 1],
            [2, 2]])
    """
    lines = [x if x.ndim else unsqueeze(x, 0) for x in listed("meshgrid", flat(tensors))]
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'meshgrid: expected indexing "ij" or "xy", got {indexing!r}')
    if any(x.ndim > 1 for x in lines) or len({x.dtype for x in lines}) > 1:
        raise RuntimeError(f"meshgrid: expected vectors of one dtype, got {', '.join(map(describe, lines))}")
    shape = tuple(len(x) for x in lines)
    columns = (reshape(x, shape=(-1,) + (1,) * (len(lines) - 1 - i)) for i, x in enumerate(lines))
    grids = tuple(broadcast_to(x, shape=shape) for x in columns)
    return tuple(swapaxes(x, 0, 1) for x in grids) if indexing == "xy" and len(grids) > 1 else grids


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one entry from each vector, as rows; of one vector, itself.

    >>> import minidl
    >>> cartesian_prod(minidl.tensor([1, 2]), minidl.tensor([3, 4])).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    if any(x.ndim != 1 for x in tensors):
        raise RuntimeError(f"cartesian_prod: expected vectors, got shapes {[x.shape for x in tensors]}")
    return tensors[0] if len(tensors) == 1 else stack([ravel(x) for x in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` entries of a vector, in its order, as rows; each may be chosen again `with_replacement`.

    >>> import minidl
    >>> combinations(minidl.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    if input.ndim != 1 or r < 0:
        raise RuntimeError(f"combinations: expected a vector and r >= 0, got shape {input.shape} and {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    return getitem(input, np.array([*choose(range(len(input)), r)], int).reshape((-1, r) if r else 0))
