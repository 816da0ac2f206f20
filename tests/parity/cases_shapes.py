"""Functions that move, repeat, join and cut entries, diagonals and triangles, and padding."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case


def entries(draw: Draw, shape: Sequence[int]) -> np.ndarray:
    """Floats; now and then whole numbers."""
    return draw.integers(shape) if draw.integer(0, 5) == 5 else draw.floats(shape)


def same_size(draw: Draw, shape: Sequence[int]) -> tuple[int, ...]:
    """Another shape of as many entries, one length perhaps -1; now and then a wrong one."""
    left, new = math.prod(shape), []
    while left > 1 and len(new) < 3:
        new.append(draw.one_of(*[n for n in range(1, left + 1) if left % n == 0]))
        left //= new[-1]
    new.append(left)
    if draw.flag():
        new[draw.integer(0, len(new) - 1)] = -1
    return (*new, draw.size(2, 3)) if draw.integer(0, 9) == 9 else tuple(new)


def several(draw: Draw, ndim: int) -> tuple[int, ...]:
    """Some dimensions, most often different ones."""
    count = draw.integer(0, max(ndim, 1))
    return tuple(draw.dim(ndim, wrong=count == 1) for _ in range(count))


# -- shapes -----------------------------------------------------------------------------------------------------------


@case("reshape", "Tensor.reshape")
def reshape(draw: Draw) -> Call:
    shape = draw.shape()
    return call(entries(draw, shape), same_size(draw, shape))


@case("Tensor.view")
def view(draw: Draw) -> Call:  # PyTorch's refuses where memory would have to be copied
    shape = draw.shape()
    return call(np.ascontiguousarray(entries(draw, shape)), same_size(draw, shape))


@case("Tensor.view_as", "Tensor.reshape_as")
def view_as(draw: Draw) -> Call:
    shape = draw.shape(empty=False)
    other = (*shape[::-1], 1) if draw.integer(0, 9) < 9 else (*shape, 2)
    return call(np.ascontiguousarray(entries(draw, shape)), draw.floats(other))


@case("ravel", "squeeze", "Tensor.T")
def whole(draw: Draw) -> Call:
    return call(entries(draw, draw.shape(high=2)))


@case("Tensor.mT")
def transposed(draw: Draw) -> Call:
    return call(entries(draw, draw.shape(1)))


@case("t", "Tensor.t_")
def t(draw: Draw) -> Call:
    return call(entries(draw, draw.shape(0, 3)))


@case("flatten")
def flatten(draw: Draw) -> Call:
    shape = draw.shape()
    return call(entries(draw, shape), draw.dim(len(shape)), draw.dim(len(shape)))


@case("unflatten")
def unflatten(draw: Draw) -> Call:
    shape = draw.shape(1)
    dim = draw.dim(len(shape))
    return call(entries(draw, shape), dim, same_size(draw, shape[dim % len(shape) :][:1]))


@case("permute")
def permute(draw: Draw) -> Call:
    shape = draw.shape(1)
    dims = [int(d) - draw.flag() * len(shape) for d in draw.random.permutation(len(shape))]
    return call(entries(draw, shape), tuple(dims[draw.integer(0, 9) == 9 :]))


@case("transpose", "swapaxes", "swapdims", "Tensor.transpose_", "Tensor.swapaxes_", "Tensor.swapdims_")
def transpose(draw: Draw) -> Call:
    shape = draw.shape()
    return call(entries(draw, shape), draw.dim(len(shape)), draw.dim(len(shape)))


@case("movedim", "moveaxis")
def movedim(draw: Draw) -> Call:
    if draw.flag():
        shape = draw.shape()
        return call(entries(draw, shape), draw.dim(len(shape)), draw.dim(len(shape)))
    shape = draw.shape(1)
    places = draw.random.permutation(len(shape))
    source = several(draw, len(shape))
    return call(entries(draw, shape), source, tuple(int(d) for d in places[: len(source)]))


@case("unsqueeze", "Tensor.unsqueeze_")
def unsqueeze(draw: Draw) -> Call:
    shape = draw.shape()
    return call(entries(draw, shape), draw.dim(len(shape) + 1))


@case("Tensor.squeeze", "Tensor.squeeze_")
def squeeze(draw: Draw) -> Call:
    shape = draw.shape(high=2)
    return call(entries(draw, shape), draw.dim(len(shape)) if draw.flag() else several(draw, len(shape)))


def wider(draw: Draw, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that `shape` expands to, with -1 for lengths that are kept; now and then not."""
    new = [draw.size() if n == 1 else draw.one_of(n, -1) for n in shape]
    lead = [draw.size() for _ in range(draw.integer(0, 2))]
    return (*lead, *new[draw.integer(0, 9) == 9 :])


@case("broadcast_to", "Tensor.expand")
def expand(draw: Draw) -> Call:
    shape = draw.shape(high=2)
    return call(entries(draw, shape), wider(draw, shape))


@case("Tensor.expand_as")
def expand_as(draw: Draw) -> Call:
    shape = draw.shape()
    return call(entries(draw, draw.broadcastable(shape)), draw.floats(shape))


@case("broadcast_tensors")
def broadcast_tensors(draw: Draw) -> Call:
    shape = draw.shape()
    return call(*[entries(draw, draw.broadcastable(shape)) for _ in range(draw.size(1, 3))])


@case("broadcast_shapes")
def broadcast_shapes(draw: Draw) -> Call:
    shape = draw.shape()
    return call(*[draw.broadcastable(shape) for _ in range(draw.integer(0, 3))])


@case("atleast_1d", "atleast_2d", "atleast_3d")
def atleast(draw: Draw) -> Call:
    tensors = [entries(draw, draw.shape()) for _ in range(draw.integer(1, 3))]
    return call(tensors) if draw.flag() else call(*tensors)


# -- repeating and turning --------------------------------------------------------------------------------------------


@case("Tensor.repeat", "tile")
def repeat(draw: Draw) -> Call:
    shape = draw.shape(0, 3)
    return call(entries(draw, shape), tuple(draw.integer(0, 3) for _ in range(draw.integer(1, 4))))


@case("repeat_interleave")
def repeat_interleave(draw: Draw) -> Call:
    shape = draw.shape()
    dim = draw.one_of(None, draw.dim(len(shape), wrong=bool(shape)))
    x = entries(draw, shape)
    count = x.size if dim is None else shape[dim] if -len(shape) <= dim < len(shape) else 1
    repeats = draw.one_of(draw.integer(-1, 3), draw.integers((count,), 0, 3), draw.integers((draw.size(1, 2),), 0, 2))
    return call(x, repeats, dim) if shape or dim is None else call(x, repeats)


@case("flip", "Tensor.flip")
def flip(draw: Draw) -> Call:
    shape = draw.shape()
    return call(entries(draw, shape), several(draw, len(shape)))


@case("fliplr", "flipud")
def mirror(draw: Draw) -> Call:
    return call(entries(draw, draw.shape()))


@case("roll")
def roll(draw: Draw) -> Call:
    shape = draw.shape()
    if draw.flag():
        dim = [draw.dim(len(shape))]
        return call(entries(draw, shape), draw.integer(-5, 5), *dim[: draw.integer(0, 1)])
    dims = several(draw, len(shape)) or (0,)
    return call(entries(draw, shape), tuple(draw.integer(-5, 5) for _ in dims)[draw.integer(0, 9) == 9 :] or 1, dims)


@case("rot90")
def rot90(draw: Draw) -> Call:
    shape = draw.shape(1)
    return call(entries(draw, shape), draw.integer(-5, 5), [draw.dim(len(shape)), draw.dim(len(shape))])


@case("Tensor.unfold")
def unfold(draw: Draw) -> Call:
    shape = draw.shape(1, high=6)
    return call(entries(draw, shape), draw.dim(len(shape)), draw.integer(-1, 4), draw.integer(0, 3))


# -- joining ----------------------------------------------------------------------------------------------------------


def joined(draw: Draw, dim: int, shape: Sequence[int]) -> list[np.ndarray]:
    """Arrays that differ in one length; now and then of other dtypes, of shape (0,), or of one that does not fit."""
    tensors = []
    for i in range(draw.integer(1, 4)):
        new = list(shape)
        if new and -len(new) <= dim < len(new):
            new[dim] = draw.integer(0, 3)
        kind = draw.integer(0, 19) if i else 0
        tensors.append(draw.floats((0,)) if kind == 19 else draw.booleans(new) if kind == 18
                       else draw.floats((*new, 2)) if kind == 17 else entries(draw, new))  # fmt: skip
    return tensors


@case("cat", "concat", "concatenate")
def cat(draw: Draw) -> Call:
    shape = draw.shape()
    dim = draw.dim(len(shape), wrong=bool(shape))
    return call(joined(draw, dim, shape), dim)


@case("hstack", "vstack", "dstack", "column_stack", "row_stack")
def stacks(draw: Draw) -> Call:
    shape = draw.shape()
    return call(joined(draw, draw.one_of(0, 1, 2), shape)) if draw.integer(0, 19) < 19 else call([])


@case("stack")
def stack(draw: Draw) -> Call:
    shape = draw.shape()
    tensors = [entries(draw, shape) for _ in range(draw.integer(0, 4))]
    wrong = [draw.floats((*shape, 1))] if draw.integer(0, 19) == 19 else []
    return call(tensors + wrong, draw.dim(len(shape) + 1, wrong=not wrong))


@case("block_diag")
def block_diag(draw: Draw) -> Call:
    shapes = [draw.shape(0, 2, empty=False) for _ in range(draw.integer(1, 3))]  # whose gradient PyTorch gets wrong
    return call(*[entries(draw, shape) for shape in shapes])


# -- cutting ----------------------------------------------------------------------------------------------------------


@case("split")
def split(draw: Draw) -> Call:
    x = entries(draw, draw.shape(0, 2, high=12))
    if draw.flag():
        return call(x, size := draw.integer(-1, 5), draw.dim(x.ndim, wrong=size > 0))
    dim = draw.dim(x.ndim)
    lengths, left = [], x.shape[dim] if -x.ndim <= dim < x.ndim else 3
    while left:
        lengths.append(draw.integer(0, left))
        left -= lengths[-1]
    return call(x, lengths[draw.integer(0, 9) == 9 :], dim)


@case("chunk")
def chunk(draw: Draw) -> Call:
    x = entries(draw, draw.shape(0, 2, high=12))
    return call(x, draw.integer(0, 13), draw.dim(x.ndim))


@case("tensor_split")
def tensor_split(draw: Draw) -> Call:
    x = entries(draw, draw.shape(0, 2, high=12))
    cuts = draw.integers((draw.integer(0, 3),), -3, 13)
    where: Any = draw.one_of(draw.integer(0, 13), tuple(cuts.tolist()), cuts, draw.integers((), 0, 5))
    return call(x, where, draw.dim(x.ndim))


@case("hsplit", "vsplit", "dsplit")
def even_split(draw: Draw) -> Call:
    x = entries(draw, draw.shape(0, 3, high=6))
    return call(x, draw.one_of(draw.integer(0, 3), tuple(draw.integers((2,), 0, 5).tolist())))


@case("unbind")
def unbind(draw: Draw) -> Call:
    x = entries(draw, draw.shape(0, 3, high=10))
    return call(x, draw.dim(x.ndim))


# -- grids ------------------------------------------------------------------------------------------------------------


@case("meshgrid")
def meshgrid(draw: Draw) -> Call:
    vectors = [draw.floats(draw.shape(0, 1)) for _ in range(draw.integer(1, 3))]
    wrong = [draw.floats((2, 2))] if draw.integer(0, 19) == 19 else []
    return call(*vectors, *wrong, indexing=draw.one_of("ij", "ij", "xy", "xy", "yx"))


@case("cartesian_prod")
def cartesian_prod(draw: Draw) -> Call:
    vectors = [draw.floats(draw.shape(1, 1)) for _ in range(draw.integer(1, 3))]
    return call(*vectors, *[draw.floats((2, 2))][: draw.integer(0, 19) == 19])


@case("combinations")
def combinations(draw: Draw) -> Call:
    return call(entries(draw, draw.shape(1, 1)), draw.integer(0, 3), draw.flag())


# -- diagonals and triangles ------------------------------------------------------------------------------------------


@case("diagonal")
def diagonal(draw: Draw) -> Call:
    shape = draw.shape()
    return call(entries(draw, shape), draw.integer(-4, 4), draw.dim(len(shape)), draw.dim(len(shape)))


@case("linalg.diagonal")
def linalg_diagonal(draw: Draw) -> Call:
    shape = draw.shape()
    return call(entries(draw, shape), offset=draw.integer(-4, 4), dim1=draw.dim(len(shape)))


@case("diag_embed")
def diag_embed(draw: Draw) -> Call:
    shape = draw.shape(1, 3)
    return call(entries(draw, shape), draw.integer(-3, 3), draw.dim(len(shape) + 1), draw.dim(len(shape) + 1))


@case("diag", "tril", "triu", "Tensor.tril_", "Tensor.triu_")
def diag(draw: Draw) -> Call:
    return call(entries(draw, draw.shape(0, 3)), draw.integer(-4, 4))


@case("Tensor.fill_diagonal_")
def fill_diagonal(draw: Draw) -> Call:
    shape = draw.shape(0, 2) if draw.flag() else (draw.size(),) * draw.integer(3, 4)
    return call(entries(draw, shape), draw.integer(-3, 3), *[draw.flag()][: draw.integer(0, 1)])


@case("diagflat")
def diagflat(draw: Draw) -> Call:
    return call(entries(draw, draw.shape(0, 2, high=3)), draw.integer(-3, 3))


@case("trace")
def trace(draw: Draw) -> Call:
    return call(entries(draw, draw.shape(1, 3) if draw.integer(0, 9) == 9 else draw.shape(2, 2)))


@case("tril_indices", "triu_indices")
def triangle_indices(draw: Draw) -> Call:
    return call(draw.integer(-1, 5), draw.integer(0, 5), draw.integer(-5, 5))


# -- padding ----------------------------------------------------------------------------------------------------------


@case("nn.functional.pad")
def pad(draw: Draw) -> Call:
    mode = draw.one_of("constant", "reflect", "replicate", "circular")
    if mode == "constant":
        shape = draw.shape()
        numbers = tuple(draw.integer(-2, 3) for _ in range(2 * draw.integer(0, len(shape))))
        value = draw.one_of(None, 0.0, draw.number())
        return call(entries(draw, shape), numbers[draw.integer(0, 19) == 19 :], mode, value)
    shape = tuple(draw.size(3, 5) for _ in range(draw.integer(1, 5)))  # so that an entry is left
    least = 0 if mode == "circular" else -1  # PyTorch's circular cuts before it pads, ours after
    numbers = tuple(draw.integer(least, 4) for _ in range(2 * draw.integer(1, 3)))
    return call(draw.floats(shape), numbers, mode)
