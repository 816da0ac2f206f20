"""Functions that pick entries by position or by a mask, or put others in their places, under PyTorch's names.

Each makes an index; what is picked by it, and the derivatives, are those of minidl/ops/indexing.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.autograd import Tensor
from minidl.autograd.tensor import describe
from minidl.backend import array_module
from minidl.functional import bounds
from minidl.functional.along import IndexOrRuntimeError, along
from minidl.functional.shapes import unbind
from minidl.ops import elementwise, indexing
from minidl.ops.elementwise import astype
from minidl.ops.indexing import argwhere, getitem, grid, one_hot_float, plain, put, replaced, take_along_axis
from minidl.ops.logic import equal
from minidl.ops.shapes import broadcast_to, cut, dim_of

# -- parts ---------------------------------------------------------------------------------------------------------


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` entries along `dim` from `start` on (from the end if negative), as a view.

    Raises an error, which is an IndexError and a RuntimeError, for what leads out of the dimension.

    >>> import minidl
    >>> narrow(minidl.arange(5), 0, 1, 2)
    tensor([1, 2])
    """
    size = input.shape[dim_of(dim, input.ndim)] if input.ndim else -1
    start = int(start) + (size if start < 0 else 0)
    if not (0 <= start <= size and 0 <= length <= size - start):
        raise IndexOrRuntimeError(f"narrow: expected a part of dimension {dim}, got {start} to {start + length} "
                                  f"for {describe(input)}")  # fmt: skip
    return cut(input, dim, slice(start, start + length))


def select(input: Tensor, dim: int, index: Any) -> Tensor:
    """Entry `index` along `dim`, without that dimension, as a view; IndexError if there is no such entry."""
    return getitem(input, (slice(None),) * dim_of(dim, input.ndim) + (int(index),))


def _check(name: str, index: Tensor, low: int, size: int) -> None:
    """Raise unless the index holds whole numbers from `low` to `size - 1`: a GPU would not complain."""
    what = f"{name}: expected an index of whole numbers"
    if index.dtype.kind != "i":
        raise IndexOrRuntimeError(f"{what} from {low} to {size - 1}, got {index.dtype}")
    bounds.check(index.array, low, size, IndexOrRuntimeError, what)


# -- whole lines ---------------------------------------------------------------------------------------------------


def _lines(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor | None = None, low: int = 0) -> Any:
    """The index x[:, :, index], with as many colons as `dim` says, if index and source fit."""
    dim = dim_of(dim, input.ndim)
    shape = input.shape[:dim] + (index.numel(),) + input.shape[dim + 1 :]
    if index.ndim > 1 or (source is not None and (source.shape, source.dtype) != (shape, input.dtype)):
        wanted, given = ("", "") if source is None else (f" and {input.dtype} {shape}", f" and {describe(source)}")
        raise IndexOrRuntimeError(f"{name}: expected an index in one dimension{wanted}, got {describe(index)}{given}")
    _check(name, index, low, input.shape[dim])
    return (slice(None),) * dim + (index.array.reshape(-1).copy(),)


@along
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The lines across `dim` that `index`, a vector of whole numbers, names.

    >>> import minidl
    >>> index_select(minidl.tensor([[1, 2, 3], [4, 5, 6]]), 1, minidl.tensor([2, 0]))
    tensor([[3, 1],
            [6, 4]])
    """
    return indexing.take(input, index=_lines("index_select", input, dim, index))


@along
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """`input` with `alpha` times line i of `source` added to line `index[i]` across `dim`, for each i."""
    lines = _lines("index_add", input, dim, index, source)
    return input + put(source if alpha == 1 else source * alpha, index=lines, shape=input.shape)


@along
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with line i of `source` in the place of line `index[i]` across `dim`, for each i."""
    return replaced(input, source, index=_lines("index_copy", input, dim, index, source))


@along
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`input` with the number `value` all over the lines across `dim` that `index` names."""
    *_, line = _lines("index_fill", input, dim, index, low=-input.shape[dim_of(dim, input.ndim)])
    mask = array_module(line).zeros(input.shape[dim], bool)
    mask[line] = True
    return masked_fill(input, Tensor(mask.reshape((-1,) + (1,) * (input.ndim - dim % input.ndim - 1))), value)


# -- single entries ------------------------------------------------------------------------------------------------


def _entries(name: str, input: Tensor, dim: int, index: Tensor, source: Any = None) -> tuple[Any, Any]:
    """The index of input[i, j, index[i, j, k]] (for dim=2), and the part of the source that belongs there."""
    if input.ndim == 1:  # a number is taken as if it had one dimension
        index, source = (x.reshape(1) if isinstance(x, Tensor) and not x.ndim else x for x in (index, source))
    dim, given = dim_of(dim, input.ndim), isinstance(source, Tensor)
    room = input.shape[:dim] + (max(index.shape, default=0),) + input.shape[dim + 1 :]
    for shape in (room, source.shape) if given else (room,):
        if len(index.shape) != len(shape) or any(map(int.__gt__, index.shape, shape)):
            raise RuntimeError(f"{name}: expected an index no longer than {shape} in any dimension, got {index.shape}")
    if given and source.dtype != input.dtype:
        raise RuntimeError(f"{name}: expected one dtype, got {describe(source)} for {describe(input)}")
    _check(name, index, 0, input.shape[dim])
    return grid(index.array.copy(), dim), getitem(source, tuple(map(slice, index.shape))) if given else source


@along
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Entry [i, j, k] is input[i, j, index[i, j, k]] for dim=2, and so on; its shape is that of `index`.

    >>> import minidl
    >>> gather(minidl.tensor([[1, 2], [3, 4]]), 1, minidl.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    return indexing.take(input, index=_entries("gather", input, dim, index)[0]).reshape(index.shape)


@along
def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """`input` with src[i, j, k], or the number `value`, in the place [i, j, index[i, j, k]] for dim=2, and so on.

    Of a place that is named twice it is not said which entry it gets.
    """
    places, src = _entries("scatter", input, dim, index, value if src is None else src)
    return replaced(input, src, index=places)


@along
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with src[i, j, k] added in the place [i, j, index[i, j, k]] for dim=2, and so on."""
    places, src = _entries("scatter_add", input, dim, index, src)
    return input + put(src, index=places, shape=input.shape)


def take(input: Tensor, index: Tensor) -> Tensor:
    """The entries of `input`, laid out in one line, at the positions in `index`, whose shape the result has."""
    _check("take", index, -input.numel(), input.numel())
    return getitem(input.reshape(-1), index)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Like `gather`, but the other dimensions broadcast, and positions may count from the end.

    Without `dim` both are laid out in one line.
    """
    if dim is None:
        return take(input, indices.reshape(-1))
    size = input.shape[dim_of(dim, input.ndim)]
    if input.ndim != indices.ndim:
        raise RuntimeError(f"take_along_dim: expected as many dimensions, got {describe(input)}, {describe(indices)}")
    equal(cut(input, dim, slice(1)), cut(indices, dim, slice(1)))  # RuntimeError if they do not broadcast
    _check("take_along_dim", indices, -size, size)
    return take_along_axis(input, indices, axis=dim)


def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Tensor:
    """`input` after `input[indices] = values`, or after += if `accumulate`, where a place named twice receives both."""
    index = plain(tuple(indices), input)
    return input + put(values, index=index, shape=input.shape) if accumulate else replaced(input, values, index=index)


# -- masks ---------------------------------------------------------------------------------------------------------


def _check_mask(name: str, mask: Tensor) -> None:
    if mask.dtype != bool:
        raise RuntimeError(f"{name}: expected a mask of booleans, got {describe(mask)}: compare it with something")


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`input` with the number `value` where the mask, which broadcasts, is true."""
    _check_mask("masked_fill", mask)
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"masked_fill: expected a number as value, got {describe(value)}: use where()")
    out = elementwise.where(mask, value, input)
    return out if out.dtype == input.dtype else astype(out, dtype=input.dtype)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`input` with the first entries of `source` where the mask, which broadcasts, is true; RuntimeError if too few."""
    _check_mask("masked_scatter", mask)
    if source.dtype != input.dtype:
        raise RuntimeError(f"masked_scatter: expected one dtype, got {describe(source)} for {describe(input)}")
    shape = equal(input, mask).shape
    places = broadcast_to(mask, shape=shape).array
    if source.numel() < (count := int(places.sum())):
        raise RuntimeError(f"masked_scatter: expected at least {count} entries in the source, got {describe(source)}")
    return replaced(broadcast_to(input, shape=shape), getitem(source.reshape(-1), slice(count)), index=places.copy())


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The entries where the mask, which broadcasts with `input`, is true, in one line.

    >>> import minidl
    >>> masked_select(minidl.tensor([1, 2, 3]), minidl.tensor([True, False, True]))
    tensor([1, 3])
    """
    _check_mask("masked_select", mask)
    shape = equal(input, mask).shape
    return getitem(broadcast_to(input, shape=shape), broadcast_to(mask, shape=shape))


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the entries that are not 0, one a row; `as_tuple` one tensor a dimension, which are an index.

    >>> import minidl
    >>> nonzero(minidl.tensor([0, 7, 0, 8]))
    tensor([[1],
            [3]])
    """
    return unbind(argwhere(input if input.ndim else input.reshape(1)), 1) if as_tuple else argwhere(input)


def where(condition: Tensor, *values: Any) -> Any:
    """The first value where the condition holds, the second elsewhere; without them where it holds, as an index."""
    return elementwise.where(condition, *values) if values else nonzero(condition, as_tuple=True)


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
    classes = num_classes
    if classes == -1:
        classes = int(index.array.max()) + 1 if index.numel() else 0
    if classes <= 0:
        raise RuntimeError(f"one_hot: expected at least one class, got {classes}")
    bounds.check(index.array, 0, classes, RuntimeError, "one_hot: expected numbers")
    return one_hot_float(index, classes=classes, dtype="int64")
