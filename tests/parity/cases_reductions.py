"""Functions that make one number of many, and softmax."""

from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, fixed

FLOAT64, INT64 = np.dtype("float64"), np.dtype("int64")


def numbers(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    """Floats mostly, but also whole numbers and booleans."""
    kind = draw.one_of("floats", "floats", "integers", "bytes", "booleans")
    if kind in ("integers", "bytes"):
        return draw.integers(shape, 0, 5, "int64" if kind == "integers" else "uint8")
    return draw.booleans(shape) if kind == "booleans" else draw.floats(shape)


def with_nan(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    """Floats, some of which are NaN."""
    x = draw.floats(shape)
    return np.where(draw.booleans(shape) & draw.booleans(shape), x.dtype.type(np.nan), x)


def reduced(draw: Draw, ndim: int, several: bool = True) -> dict[str, Any]:
    """The dimensions and `keepdim`, in PyTorch's words or NumPy's; nothing now and then."""
    dim = draw.dims(ndim) if several else draw.one_of(None, draw.dim(ndim))
    if dim is None:
        return {}
    words = draw.one_of(("dim", "keepdim"), ("dim", "keepdim"), ("axis", "keepdims"))
    return dict(zip(words, (dim, draw.flag()), strict=True))


@case("sum")
def total(draw: Draw) -> Call:
    x = numbers(draw, draw.shape())
    dims = reduced(draw, x.ndim)
    return call(fixed(x), **dims, dtype=INT64) if draw.flag() else call(x, **dims, dtype=draw.one_of(None, FLOAT64))


@case("nansum")
def total_without_nan(draw: Draw) -> Call:
    x = with_nan(draw, draw.shape())
    return call(x, **reduced(draw, x.ndim), dtype=draw.one_of(None, None, FLOAT64))


@case("mean")
def mean(draw: Draw) -> Call:
    x = numbers(draw, draw.shape())
    return call(x, **reduced(draw, x.ndim), dtype=draw.one_of(None, None, FLOAT64))


@case("nanmean")
def mean_without_nan(draw: Draw) -> Call:
    x = with_nan(draw, draw.shape())
    dims = reduced(draw, x.ndim)
    if dims or np.isnan(x).all():  # where all are NaN, PyTorch's gradient is NaN and ours 0
        x = fixed(x)
    return call(x, **dims, dtype=draw.one_of(None, None, FLOAT64))


@case("prod")
def product(draw: Draw) -> Call:
    x = numbers(draw, draw.shape(max_dims=3))
    dims = reduced(draw, x.ndim, several=False)
    return call(fixed(x), **dims, dtype=INT64) if draw.flag() else call(x, **dims, dtype=draw.one_of(None, FLOAT64))


@case("Tensor.prod")
def product_over_what_is_no_dimension(draw: Draw) -> Call:
    return call(draw.floats((2, 3)), draw.one_of((0, 1), 2, -3, 1))


@case("var", "std", "var_mean", "std_mean")
def variance(draw: Draw) -> Call:
    x = draw.floats(draw.shape(high=5))
    how = draw.one_of({}, {"unbiased": draw.flag()}, {"correction": draw.one_of(0, 1, 2)})
    words = reduced(draw, x.ndim)
    if min(x.shape, default=1) <= how.get("correction", 1):  # of too few numbers, gradients are NaN or infinite
        return call(fixed(x), **words, **how)
    return call(x, draw.flag()) if "unbiased" in how and not words else call(x, **words, **how)


@case("logsumexp")
def logsumexp(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    dim = draw.dims(x.ndim)
    return call(x, 0 if dim is None else dim, keepdim=draw.flag())


@case("all", "any")
def truth(draw: Draw) -> Call:
    shape = draw.shape()
    x = draw.booleans(shape) if draw.flag() else draw.floats(shape)
    return call(x, **reduced(draw, x.ndim))


@case("count_nonzero")
def count(draw: Draw) -> Call:
    x = numbers(draw, draw.shape())
    return call(x, draw.dims(x.ndim))


@case("amax", "amin")
def extreme(draw: Draw) -> Call:
    x = numbers(draw, draw.shape())
    return call(x, **reduced(draw, x.ndim))


@case("aminmax")
def extremes(draw: Draw) -> Call:
    x = numbers(draw, draw.shape())
    return call(x, **reduced(draw, x.ndim, several=False))


@case("argmax", "argmin")
def place(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    return call(x, **reduced(draw, x.ndim, several=False))


@case("max", "min")
def extreme_and_place(draw: Draw) -> Call:
    x = numbers(draw, draw.shape())
    if draw.integer(0, 3) == 3:
        return call(x, draw.floats(draw.broadcastable(x.shape)))
    return call(x, **reduced(draw, x.ndim, several=False))


@case("norm")
def norm(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    p = draw.one_of("fro", 2, 2.0, 1, 3, 1.5, 0, float("inf"), float("-inf"))
    dim = draw.dims(x.ndim)
    if p == "fro" and isinstance(dim, tuple):
        dim = dim[:2]  # PyTorch takes no more
    return call(x, p) if dim is None else call(x, p, dim, draw.flag())


@case("softmax", "log_softmax")
def softmax(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    return call(x, draw.dim(x.ndim), **draw.one_of({}, {"dtype": FLOAT64}))
