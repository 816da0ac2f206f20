"""Products of vectors, matrices and batches of them."""

import numpy as np
from parity.cases_shapes import several
from parity.drawing import Call, Draw, call, case, fixed


def wrong(draw: Draw) -> int:
    """Now and then 1, to be added to a length that must fit."""
    return int(draw.integer(0, 14) == 14)


def length(draw: Draw) -> int:
    return draw.one_of(1, 2, 3, 4, 0)


@case("matmul")
def matmul(draw: Draw) -> Call:
    n, k, m = length(draw), length(draw), length(draw)
    batch = draw.shape(0, 2, empty=False)
    x = draw.floats((k,) if draw.flag() else (*batch, n, k))
    return call(x, draw.floats((k + wrong(draw),) if draw.flag() else (*draw.broadcastable(batch), k + wrong(draw), m)))


@case("mm")
def mm(draw: Draw) -> Call:
    n, k, m = length(draw), length(draw), length(draw)
    return call(draw.floats((n, k)), draw.floats((k + wrong(draw), m, *[2] * wrong(draw))))


@case("bmm")
def bmm(draw: Draw) -> Call:
    b, n, k, m = (length(draw) for _ in range(4))
    return call(draw.floats((b, n, k)), draw.floats((b + wrong(draw), k + wrong(draw), m, *[2] * wrong(draw))))


@case("mv")
def mv(draw: Draw) -> Call:
    n, k = length(draw), length(draw)
    return call(draw.floats((n, k)), draw.floats((k + wrong(draw), *[2] * wrong(draw))))


@case("dot", "vdot")
def dot(draw: Draw) -> Call:
    n = length(draw)
    return call(draw.floats((n,)), draw.floats((n + wrong(draw), *[2] * wrong(draw))))


@case("outer", "ger")
def outer(draw: Draw) -> Call:
    return call(draw.floats((length(draw),)), draw.floats((length(draw), *[2] * wrong(draw))))


@case("inner")
def inner(draw: Draw) -> Call:
    k = length(draw)
    x, y = (draw.shape(0, 2) for _ in range(2))
    return call(draw.floats((*x, k)[: draw.size()]), draw.floats((*y, k + wrong(draw))[: draw.size()]))


@case("kron")
def kron(draw: Draw) -> Call:
    x, y = (draw.floats(draw.shape(0, 3, high=3)) for _ in range(2))
    return call(np.ascontiguousarray(x), np.ascontiguousarray(y))  # PyTorch's refuses transposed memory


@case("cross")
def cross(draw: Draw) -> Call:
    shape = draw.shape(0, 3, high=3)
    shape = (*shape, 3)[:: draw.one_of(1, -1)]
    other = tuple(1 if n != 3 and draw.flag() else n for n in shape)
    dim = [draw.dim(len(shape))] * draw.flag()
    return call(draw.floats(shape), draw.floats(other[wrong(draw) :]), *dim)


@case("linalg.cross")
def linalg_cross(draw: Draw) -> Call:
    shape = (*draw.shape(0, 3), 3)
    return call(draw.floats(shape), draw.floats(shape[wrong(draw) :]), dim=draw.one_of(-1, -1, draw.dim(len(shape))))


@case("linalg.vecdot")
def vecdot(draw: Draw) -> Call:
    shape = draw.shape(1)
    return call(draw.floats(shape), draw.floats(shape), dim=draw.dim(len(shape), wrong=False))


def scales(draw: Draw) -> dict[str, float]:
    """`alpha` and `beta`; PyTorch gives the first argument a gradient of zeros at beta 0, ours none."""
    return dict(beta=draw.one_of(1, 2, -0.5), alpha=draw.one_of(1, 0, 2.5))


@case("addmm")
def addmm(draw: Draw) -> Call:
    n, k, m = length(draw), length(draw), length(draw)
    first = draw.one_of((n, m), (m,), (1, m), (n, 1), (), (2, n, m))
    return call(draw.floats(first), draw.floats((n, k)), draw.floats((k + wrong(draw), m)), **scales(draw))


@case("addmv")
def addmv(draw: Draw) -> Call:
    n, k = draw.size(), draw.size()
    first = draw.floats(draw.one_of((n,), (1,)))
    return call(first, draw.floats((n, k)), draw.floats((k + wrong(draw),)), **scales(draw))


@case("addr")
def addr(draw: Draw) -> Call:
    n, m = length(draw), length(draw)
    return call(draw.floats(draw.one_of((n, m), (m,), ())), draw.floats((n,)), draw.floats((m,)), **scales(draw))


@case("baddbmm", "addbmm")
def baddbmm(draw: Draw) -> Call:
    b, n, k, m = (draw.size() for _ in range(4))
    x, y = draw.floats((b, n, k)), draw.floats((b, k + wrong(draw), m))
    return call(draw.floats(draw.one_of((n, m), (m,), (1, 1))), x, y, **scales(draw))


@case("tensordot")
def tensordot(draw: Draw) -> Call:
    shared, left, right = draw.shape(0, 2), draw.shape(0, 2), draw.shape(0, 2)
    if draw.flag():
        return call(draw.floats((*left, *shared)), draw.floats((*shared, *right)), len(shared) + wrong(draw))
    a, b = (*left, *shared), (*right, *shared)
    order_a, order_b = ([int(i) for i in draw.random.permutation(len(shape))] for shape in (a, b))
    dims = ([order_a.index(len(left) + i) for i in range(len(shared))],
            [order_b.index(len(right) + i) - draw.flag() * len(b) for i in range(len(shared))])  # fmt: skip
    dims = (list(several(draw, len(a))), list(several(draw, len(b)))) if wrong(draw) else dims
    return call(draw.floats([a[i] for i in order_a]), draw.floats([b[i] for i in order_b]), dims)


@case("einsum")
def einsum(draw: Draw) -> Call:
    """An equation of some of four letters and perhaps an ellipsis; now and then one that does not fit."""
    sizes = {letter: draw.one_of(1, 2, 3, 0 if letter == "b" else 2) for letter in "abcA"}
    around = draw.shape(0, 2, empty=False)
    terms, shapes, seen = [], [], ""
    for _ in range(draw.integer(1, 3)):
        letters = [draw.one_of(*sizes) for _ in range(draw.integer(0, 3))]
        term, shape = [*letters], [(sizes[d] + wrong(draw),) for d in letters]
        if draw.flag():
            at = draw.integer(0, len(letters))
            term.insert(at, "...")
            shape.insert(at, draw.broadcastable(around))
        terms.append("".join(term))
        shapes.append(tuple(n for part in shape for n in part))
        seen += "".join(letters)
    equation = ",".join(terms)
    if draw.flag():
        output = [d for d in dict.fromkeys(seen) if draw.flag()]
        output = [output[i] for i in draw.random.permutation(len(output))]
        output.insert(draw.integer(0, len(output)), draw.one_of("...", "...", "", "z" if wrong(draw) else "..."))
        equation += draw.one_of("->", " -> ") + "".join(output)
    return call(equation, *[draw.floats(shape) for shape in shapes])


@case("cov")
def cov(draw: Draw) -> Call:
    x = draw.integers(draw.shape(0, 2)) if draw.flag() else draw.floats(draw.shape(0, 3), ties=False)
    return call(x, correction=draw.integer(0, 2))


@case("corrcoef", tolerance=100)  # of standard deviations that may be small
def corrcoef(draw: Draw) -> Call:
    return call(draw.floats(draw.one_of((4,), (1, 3), (3, 4), (2, 6), (2, 2, 2)), ties=False))


@case("dist")
def dist(draw: Draw) -> Call:
    shape = draw.shape()
    x, y = draw.floats(shape, ties=False), draw.floats(draw.broadcastable(shape), ties=False)
    return call(x, y, *[draw.one_of(2, 1.0, 3.0, float("inf"), 2.5)][: draw.integer(0, 1)])


@case("cdist")
def cdist(draw: Draw) -> Call:
    n, m, k = length(draw), length(draw), draw.size()
    batch = draw.shape(0, 2, empty=False)
    x = draw.floats((*batch, n, k), ties=False)
    y = draw.floats((*draw.broadcastable(batch), m, k + wrong(draw)), ties=False)
    p = draw.one_of(2.0, 1.0, 3.0, float("inf"), 0.0, 2.5)
    return call(x, y, p) if p else call(fixed(x), fixed(y), p)  # without slope: PyTorch's gradient is 0, ours none


@case("linalg.vander")
def vander(draw: Draw) -> Call:
    return call(draw.floats(draw.shape(1, 3)), N=draw.one_of(None, 1, 2, 4))
