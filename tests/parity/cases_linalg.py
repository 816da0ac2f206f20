"""Linear algebra, on matrices that are far from singular; now and then on what PyTorch refuses."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from parity.cases_products import wrong
from parity.drawing import Call, Draw, call, case, fixed


def square(draw: Draw, singular: bool = True) -> np.ndarray:
    """Square matrices with a dominant diagonal; now and then not square, or zeros if that may be `singular`."""
    batch, n = draw.shape(0, 2), draw.integer(0, 4)
    if draw.integer(0, 14) == 14:
        return draw.floats(draw.one_of((3,), (2, 3), ()))
    if singular and draw.integer(0, 14) == 14:
        return np.zeros((*batch, n, n), draw.dtype)
    x = draw.floats((*batch, n, n), ties=False)
    return x + np.where(draw.random.random(n) < 0.5, -4, 4).astype(x.dtype) * np.eye(n, dtype=x.dtype)


def positive_definite(draw: Draw, singular: bool = True) -> np.ndarray:
    x = square(draw, singular)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or not x.any():
        return x
    x = x @ np.swapaxes(x, -1, -2) / x.shape[-1]
    return x + np.eye(x.shape[-1], dtype=x.dtype)


@case("linalg.inv", "inverse", tolerance=10)
def inverse(draw: Draw) -> Call:
    return call(square(draw))


@case("linalg.det", "det", "linalg.slogdet", "slogdet", tolerance=10)
def det(draw: Draw) -> Call:
    return call(square(draw, singular=False))  # where ours have no gradient


@case("logdet", tolerance=10)
def logdet(draw: Draw) -> Call:
    return call(positive_definite(draw, singular=False))


@case("cholesky", tolerance=10)
def cholesky(draw: Draw) -> Call:
    return call(positive_definite(draw), *[draw.flag()] * draw.flag())


@case("linalg.cholesky", tolerance=10)
def linalg_cholesky(draw: Draw) -> Call:
    return call(positive_definite(draw), upper=draw.flag())


@case("linalg.solve", tolerance=10)
def solve(draw: Draw) -> Call:
    a = square(draw)
    n, batch = (a.shape[-1], a.shape[:-2]) if a.ndim > 1 else (3, ())
    shape: Any = draw.one_of((n,), (*batch, n), (*draw.broadcastable(batch), n + wrong(draw), draw.size()))
    left = draw.integer(0, 3) < 3
    return call(a, draw.floats(shape if left or len(shape) < 2 else (*shape[:-2], *shape[:-3:-1])), left=left)


@case("linalg.matrix_power", "matrix_power", tolerance=10)
def matrix_power(draw: Draw) -> Call:
    x = np.asarray(square(draw) / 4, draw.dtype)
    n = draw.integer(-3, 5)
    return call(x if n else fixed(x), n)


@case("linalg.multi_dot", tolerance=10)
def multi_dot(draw: Draw) -> Call:
    lengths = [draw.integer(1, 4) for _ in range(draw.integer(2, 6))]
    tensors = [draw.floats((n, m)) for n, m in pairwise(lengths)]
    if draw.flag():
        tensors[0] = tensors[0][0]
    if draw.flag() and len(tensors) > 1:
        tensors[-1] = tensors[-1][..., 0] if tensors[-1].ndim > 1 else tensors[-1]
    return call(tensors)


@case("linalg.vector_norm")
def vector_norm(draw: Draw) -> Call:
    shape = draw.shape(empty=False)
    ord = draw.one_of(2, 1, 0, 3, 0.5, 2.5, -1, math.inf, -math.inf)
    x = draw.integers(shape) if draw.integer(0, 19) == 19 else draw.floats(shape, ties=ord != -1)
    return call(x, ord, draw.dims(len(shape)), draw.flag())


ORDERS = ("fro", 1, -1, math.inf, -math.inf, 3, "foo")


@case("linalg.matrix_norm")
def matrix_norm(draw: Draw) -> Call:
    shape = draw.shape(1, empty=False)
    dim = draw.one_of((-2, -1), (draw.dim(len(shape)), draw.dim(len(shape))))
    return call(draw.floats(shape, ties=False), draw.one_of(*ORDERS), dim, draw.flag())


@case("linalg.norm")
def norm(draw: Draw) -> Call:
    shape = draw.shape(empty=False)
    dim = draw.one_of(None, draw.dim(len(shape)), (draw.dim(len(shape)), draw.dim(len(shape))))
    return call(draw.floats(shape, ties=False), draw.one_of(None, *ORDERS), dim, draw.flag())
