"""Running sums, products and extremes, and differences."""

import numpy as np
from parity.cases_reductions import numbers, with_nan
from parity.drawing import Call, Draw, call, case, fixed


@case("cumsum", "cumprod")
def running(draw: Draw) -> Call:
    x = numbers(draw, draw.shape(high=5))
    words = {draw.one_of("dim", "axis"): draw.dim(x.ndim)}
    if draw.flag():
        return call(fixed(x), **words, dtype=np.dtype("int64"))
    return call(x, **words, dtype=draw.one_of(None, np.dtype("float64")))


@case("cummax", "cummin")
def running_extreme(draw: Draw) -> Call:
    shape = draw.shape(high=5)
    dim = draw.dim(len(shape), wrong=0 not in shape)  # where nothing is to do, PyTorch does not look at it
    return call(numbers(draw, shape) if draw.flag() else fixed(with_nan(draw, shape)), dim)


@case("Tensor.cumsum_", "Tensor.cumprod_")
def running_in_place(draw: Draw) -> Call:
    """Not of booleans, which have no room for a sum."""
    x = draw.one_of(draw.floats, draw.integers)(draw.shape(high=5))
    return call(x, draw.dim(x.ndim))


@case("logcumsumexp")
def running_logsumexp(draw: Draw) -> Call:
    x = draw.floats(draw.shape(high=5)) * draw.one_of(1, 1, 300)
    return call(np.asarray(x, draw.dtype), draw.dim(x.ndim))


@case("diff")
def difference(draw: Draw) -> Call:
    x = numbers(draw, draw.shape(high=5))
    dim = draw.dim(x.ndim)
    if draw.flag() or not x.ndim or not -x.ndim <= dim < x.ndim or x.dtype.kind != "f":
        return call(x, draw.integer(-1, 5), dim)
    sides = [list(x.shape) for _ in range(2)]
    for side in sides:
        side[dim] = draw.size(0, 2)
    ends = {word: draw.floats(side) for word, side in zip(("prepend", "append"), sides, strict=True) if draw.flag()}
    return call(x, draw.integer(0, 3), dim, **ends)
