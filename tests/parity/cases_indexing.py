"""Functions that pick entries by position or by a mask, and put others in their places."""

from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, fixed


def either(draw: Draw, x: np.ndarray) -> Any:
    """With a graph, or without."""
    return x if draw.flag() else fixed(x)


def positions(draw: Draw, shape: Any, length: int, *, low: int = 0) -> np.ndarray:
    """Whole numbers from `low` to length - 1; now and then one outside."""
    index = draw.integers(shape, low, max(length - 1, low))
    if index.size and draw.integer(0, 14) == 14:
        index.flat[0] = draw.one_of(length, low - 1)
    return index


def lines(draw: Draw, low: int = 0) -> tuple[np.ndarray, int, np.ndarray]:
    """An array, one of its dimensions, and a vector of positions along it."""
    x = draw.floats(draw.shape(1, 3, empty=False))
    dim = draw.dim(x.ndim)
    shape = (draw.integer(0, 5),) if draw.integer(0, 9) < 9 else draw.one_of((2, 2), ())
    return x, dim, positions(draw, shape, x.shape[dim] if -x.ndim <= dim < x.ndim else 1, low=low)


def differing(index: np.ndarray) -> np.ndarray:
    """The index without repetitions: of a place that is named twice it is not said which value it gets."""
    return np.unique(index) if index.ndim == 1 else index


def source_for(draw: Draw, x: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    """An array that fits into x at the index, almost always."""
    shape = list(x.shape)
    if -x.ndim <= dim < x.ndim:
        shape[dim] = index.size
    if draw.integer(0, 19) == 19:
        shape[draw.integer(0, x.ndim - 1)] += 1
    return draw.floats(shape)


# -- whole lines


@case("narrow")
def narrow(draw: Draw) -> Call:
    x = draw.floats(draw.shape(high=5))
    start = draw.integer(-6, 6)
    length = draw.integer(-1, 4)
    return call(x, draw.dim(x.ndim, wrong=length >= 0), draw.one_of(start, np.array(start)), length)


@case("select")
def select(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    return call(x, draw.dim(x.ndim), draw.integer(-4, 4))


@case("index_select")
def index_select(draw: Draw) -> Call:
    return call(*lines(draw))


@case("index_add", "Tensor.index_add_")
def index_add(draw: Draw) -> Call:
    x, dim, index = lines(draw)
    source = source_for(draw, x, dim, index)
    return call(either(draw, x), dim, index, either(draw, source), **draw.one_of({}, {"alpha": 2}, {"alpha": -0.5}))


@case("index_copy", "Tensor.index_copy_")
def index_copy(draw: Draw) -> Call:
    x, dim, index = lines(draw)
    index = differing(index)
    return call(either(draw, x), dim, index, either(draw, source_for(draw, x, dim, index)))


@case("index_fill", "Tensor.index_fill_")
def index_fill(draw: Draw) -> Call:
    if draw.flag():
        x, dim, index = lines(draw, low=-1)
        return call(either(draw, x), dim, index, draw.number())
    x, dim, index = lines(draw)  # PyTorch has no gradient of the value for positions from the end
    return call(either(draw, x), dim, np.asarray(np.abs(index)), np.array(draw.number(), draw.dtype))


# -- single entries


def entries(draw: Draw) -> tuple[np.ndarray, int, np.ndarray]:
    """An array, one of its dimensions, and positions along it in an array that is no longer in the others, mostly."""
    x = draw.floats(draw.shape(1, 3, empty=False))
    dim = draw.dim(x.ndim)
    inside = -x.ndim <= dim < x.ndim
    long = draw.integer(0, 19) == 19
    shape = [draw.size(1, n + long) for n in x.shape]
    if inside:
        shape[dim] = draw.integer(long, 4)
    return x, dim, positions(draw, shape, x.shape[dim] if inside else 1)


def source_of(draw: Draw, index: np.ndarray) -> Any:
    """Entries for the places of the index; of more or fewer, PyTorch computes no gradient."""
    if draw.flag():
        return draw.floats(index.shape)
    return fixed(draw.floats([n + draw.one_of(0, 0, 0, 1, 1, 1, -1 if index.size else 0) for n in index.shape]))


@case("gather")
def gather(draw: Draw) -> Call:
    if draw.integer(0, 9) == 9:
        return call(draw.floats(()), 0, np.array(0))
    return call(*entries(draw))


@case("scatter", "Tensor.scatter_")
def scatter(draw: Draw) -> Call:
    x, dim, index = entries(draw)
    kind = draw.one_of("number", "value", "source", "source")
    if kind != "source":
        value = draw.number()
        return call(either(draw, x), dim, index, **{"value": value}) if kind == "value" else call(x, dim, index, value)
    places = positions(draw, index.shape, 1) * 0
    if -x.ndim <= dim < x.ndim:  # no place twice
        room = min(x.shape[dim], index.shape[dim])
        index = index.take(range(room), dim)
        places = np.argsort(draw.random.random(x.shape), dim)[tuple(map(slice, index.shape))]
    return call(either(draw, x), dim, places if places.shape == index.shape else index, source_of(draw, index))


@case("scatter_add", "Tensor.scatter_add_")
def scatter_add(draw: Draw) -> Call:
    x, dim, index = entries(draw)
    return call(either(draw, x), dim, index, source_of(draw, index))


@case("take")
def take(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    return call(x, positions(draw, draw.shape(max_dims=2), x.size, low=-x.size))


@case("take_along_dim")
def take_along_dim(draw: Draw) -> Call:
    x = draw.floats(draw.shape(1, 3, empty=False))
    if draw.integer(0, 4) == 4:
        indices = draw.integers(draw.shape(max_dims=2), 0, x.size - 1)
        return call(*map(np.ascontiguousarray, (x, indices)))  # PyTorch refuses some transposed memory
    dim = draw.integer(-x.ndim, x.ndim - 1)
    shape = [n if draw.flag() else 1 for n in x.shape]
    shape[dim] = draw.integer(0, 4)
    n, other = x.shape[dim], (dim + 1) % x.ndim
    if x.ndim > 1 and draw.integer(0, 14) == 14:
        shape[other] = draw.integer(1, 4)
    x = x.take([0], other) if x.ndim > 1 and draw.flag() else x
    return call(np.ascontiguousarray(x), draw.integers(shape, -n, n - 1), dim)


@case("index_put", "Tensor.index_put_")
def index_put(draw: Draw) -> Call:
    x = draw.floats(draw.shape(1, 3, empty=False))
    accumulate = draw.flag()
    if draw.integer(0, 3) == 3:
        return call(either(draw, x), (draw.booleans(x.shape),), np.array(2.5, draw.dtype), accumulate)
    shape = draw.shape(1, 2, empty=False)
    index = tuple(positions(draw, shape, n, low=-n) for n in x.shape[: draw.integer(1, x.ndim)])
    values = draw.floats((*shape, *x.shape[len(index) :]) if accumulate else ())
    return call(either(draw, x), index, either(draw, values), accumulate)


# -- masks


@case("masked_fill", "Tensor.masked_fill_")
def masked_fill(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    mask = draw.booleans(draw.broadcastable(x.shape)) if draw.integer(0, 9) < 9 else draw.integers(x.shape, 0, 1)
    value = draw.one_of(draw.number(), float("-inf"), np.array(draw.number(), draw.dtype), np.array([2.0]), 3)
    return call(either(draw, x), mask, value)


@case("Tensor.masked_scatter", "Tensor.masked_scatter_")
def masked_scatter(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    mask = draw.booleans(draw.broadcastable(x.shape))
    return call(either(draw, x), mask, either(draw, draw.floats((draw.integer(0, 3), x.size))))


@case("masked_select")
def masked_select(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    return call(x, draw.booleans(draw.broadcastable(x.shape)))


@case("nonzero")
def nonzero(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    return call(x)


@case("argwhere")
def argwhere(draw: Draw) -> Call:
    return call(draw.booleans(draw.shape()) if draw.flag() else draw.floats(draw.shape()))


@case("Tensor.nonzero")
def nonzero_as_tuple(draw: Draw) -> Call:
    return call(draw.floats(draw.shape()), as_tuple=draw.flag())


@case("nn.functional.one_hot")
def one_hot(draw: Draw) -> Call:
    index = draw.integers(draw.shape(), 0 if draw.integer(0, 9) < 9 else -1, 4)
    return call(index, *draw.one_of((), (-1,), (5,), (7,), (3,)))


# -- x[index]


def index_of(draw: Draw, shape: tuple[int, ...]) -> tuple[Any, bool]:
    """An index of numbers, slices, None, ..., masks and arrays, and whether a place may be named twice."""
    common = draw.shape(1, 2, empty=False)
    parts: list[Any] = []
    arrays = draw.one_of("none", "mask", "several", "several")
    for n in shape[: draw.integer(0, len(shape))]:
        kind = draw.one_of("number", "slice", "all", "array", "array")
        if kind == "array" and arrays == "several":
            parts.append(positions(draw, draw.one_of(common, common[1:], common[-1:]), n, low=-n))
        elif kind == "array" and arrays == "mask":
            parts.append(draw.booleans((n,)))
            arrays = "none"
        elif kind == "number":
            parts.append(draw.integer(-n, n if draw.integer(0, 14) == 14 else n - 1))
        elif kind == "slice":
            start, stop = sorted((draw.integer(0, n), draw.integer(0, n + 1)))
            if arrays == "several":  # where a slice picks nothing, PyTorch does not look at positions
                start, stop = min(start, n - 1), max(stop, 1)
            parts.append(slice(draw.one_of(None, start, start - n), stop, draw.one_of(None, 1, 2)))
        else:
            parts.append(slice(None))
    repeated = any(isinstance(part, np.ndarray) and part.dtype != bool for part in parts)
    if draw.integer(0, 3) == 3:
        parts.insert(draw.integer(0, len(parts)), None)
    if draw.integer(0, 3) == 3:
        parts.append(...)
        parts += [slice(None)] * draw.integer(0, len(shape) - sum(part is not None for part in parts[:-1]))
    return (parts[0] if len(parts) == 1 else tuple(parts)), repeated


@case("Tensor.__getitem__")
def getitem(draw: Draw) -> Call:
    x = draw.floats(draw.shape(0, 4, empty=False))
    return call(x, index_of(draw, x.shape)[0])


@case("Tensor.__setitem__")
def setitem(draw: Draw) -> Call:
    x = draw.floats(draw.shape(0, 4, empty=False))
    index, repeated = index_of(draw, x.shape)
    if repeated or draw.flag():
        return call(either(draw, x), index, draw.one_of(draw.number(), np.array(1.5, draw.dtype)))
    try:
        value = draw.floats(x[index].shape)
    except IndexError:
        value = draw.floats(())
    return call(either(draw, x), index, value if draw.flag() else value[..., :1] if value.ndim else value)
