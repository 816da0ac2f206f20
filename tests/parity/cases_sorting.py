"""Functions that sort, select by order, and count."""

import numpy as np
from parity.cases_reductions import numbers, with_nan
from parity.drawing import Call, Draw, call, case, fixed


def any_order(draw: Draw) -> tuple[object, int]:
    """Numbers with repetitions or NaN among them, or floats that differ; and how many dimensions they have."""
    shape = draw.shape(high=5)
    x = draw.one_of(lambda: numbers(draw, shape), lambda: fixed(with_nan(draw, shape)), lambda: draw.distinct(shape))()
    return x, len(shape)


@case("sort")
def sort(draw: Draw) -> Call:
    x, ndim = any_order(draw)
    if draw.integer(0, 3) == 3:
        return call(x)
    return call(x, dim=draw.dim(ndim), descending=draw.flag(), stable=True)  # otherwise equal ones may change places


@case("argsort")
def argsort(draw: Draw) -> Call:
    x, ndim = any_order(draw)
    return call(x, dim=draw.dim(ndim), descending=draw.flag(), stable=True)


@case("topk")
def topk(draw: Draw) -> Call:
    x = draw.distinct(draw.shape(high=5))
    k = draw.integer(-1, 5) if x.ndim else 1
    return call(x, k, draw.dim(x.ndim), draw.flag())


@case("kthvalue")
def kthvalue(draw: Draw) -> Call:
    x = draw.distinct(draw.shape(high=5))
    return call(x, draw.integer(-1, 5), draw.dim(x.ndim), draw.flag())


@case("msort")
def msort(draw: Draw) -> Call:
    return call(any_order(draw)[0])


@case("mode")
def mode(draw: Draw) -> Call:
    x = numbers(draw, draw.shape(high=5))
    return call(x, draw.dim(x.ndim), draw.flag()) if draw.flag() else call(x)


@case("quantile")
def quantile(draw: Draw) -> Call:
    x = draw.distinct(draw.shape(high=5))
    if x.size and draw.integer(0, 4) == 4:
        x.flat[0] = np.nan
    q = draw.positive((3,), 0.0, 1.0) if draw.flag() else draw.one_of(0.5, 0.0, 1.0, draw.number(-0.1, 1.1))
    options = {} if draw.flag() else {"dim": draw.dim(x.ndim), "keepdim": draw.flag()}
    word = draw.one_of("linear", "lower", "higher", "nearest", "midpoint", "between")
    if isinstance(q, np.ndarray) and (word != "linear" or np.isnan(x).any()):
        q = fixed(q)  # whose gradient is 0 with the other words, and in PyTorch None
    return call(fixed(x) if np.isnan(x).any() else x, q, **options, interpolation=word)


@case("median", "nanmedian")
def median(draw: Draw) -> Call:
    x = draw.distinct(draw.shape(high=5))
    if draw.flag():
        return call(fixed(with_nan(draw, x.shape)) if draw.flag() else x)
    return call(x, draw.dim(x.ndim), draw.flag())


@case("unique", gradients=False)  # PyTorch has none either: it raises in backward
def unique(draw: Draw) -> Call:
    x = numbers(draw, draw.shape())
    parts = {"return_inverse": draw.flag(), "return_counts": draw.flag()}
    if draw.flag():
        return call(x, **parts)
    return call(x, dim=draw.dim(x.ndim), **parts) if x.ndim and x.size else call(x, True)


@case("isin")
def isin(draw: Draw) -> Call:
    make = draw.one_of(draw.integers, draw.floats)
    x, among = make(draw.shape()), np.ascontiguousarray(make(draw.shape(max_dims=2)))  # PyTorch's refuses others
    options = {name: True for name in ("assume_unique", "invert") if draw.flag()}
    if options.pop("assume_unique", False):
        x, among = np.unique(x), np.unique(among)
        options["assume_unique"] = True
    return call(*draw.one_of((x, among), (x, 1), (1, among)), **options)


@case("bincount")
def bincount(draw: Draw) -> Call:
    n = draw.integer(0, 6)
    x = draw.integers((n,) if draw.integer(0, 9) < 9 else (n, 2), draw.one_of(0, 0, 0, -1), 5)
    minlength = draw.integer(-1, 8)
    if n == 0 or draw.flag():
        return call(x, minlength=minlength)
    weights = draw.integers((n,), 0, 9) if draw.flag() else draw.floats((n if draw.integer(0, 9) < 9 else n + 1,))
    return call(x, fixed(weights) if weights.dtype.kind == "f" else weights, minlength)


@case("searchsorted")
def searchsorted(draw: Draw) -> Call:
    batch = draw.shape(max_dims=2, empty=False) if draw.flag() else ()
    make = draw.floats if draw.flag() else draw.integers
    sequence = np.sort(make((*batch, draw.integer(0, 5))), -1)
    other = draw.one_of(batch, batch, batch, (*batch, 2), batch[1:])
    values = make((*other, draw.size())) if draw.integer(0, 9) < 9 else draw.number()
    how = draw.one_of({}, {"right": draw.flag()}, {"side": draw.one_of("left", "right", "middle")},
                      {"right": True, "side": draw.one_of("left", "right")})  # fmt: skip
    if draw.integer(0, 3) == 3:
        how["sorter"] = np.argsort(sequence, -1)
    return call(sequence, values, out_int32=draw.flag(), **how)


@case("bucketize")
def bucketize(draw: Draw) -> Call:
    boundaries = np.sort(draw.floats((draw.integer(0, 5),) if draw.integer(0, 9) < 9 else (2, 3)), -1)
    x = draw.floats(draw.shape()) if draw.flag() else draw.number()
    return call(x, boundaries, out_int32=draw.flag(), right=draw.flag())
