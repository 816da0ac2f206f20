"""Products of vectors, matrices and arrays of any dimensions; all but the element-wise ones are one `matmul` inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl.autograd import Tensor
from minidl.functional.arranging import diagonal, roll
from minidl.functional.elementwise import clamp
from minidl.functional.reductions import vector_norm
from minidl.functional.shapes import atleast_2d, flat, permute
from minidl.ops.elementwise import sqrt
from minidl.ops.products import matrix_product
from minidl.ops.shapes import (
    broadcast_to,
    dim_of,
    dims_of,
    listed,
    reshape,
    squeeze,
    transpose,
    unsqueeze,
)  # fmt: skip


def matmul(input: Any, other: Any) -> Tensor:
    """The matrix product of `input` (..., n, k) and `other` (..., k, m): (..., n, m), leading dimensions broadcast.

    A vector counts as a row on the left and as a column on the right, and its dimension goes away again.
    Raises RuntimeError if the inner lengths differ, or for a number.

    >>> import minidl
    >>> matmul(minidl.ones(2, 3), minidl.ones(3)).shape
    (2,)
    """
    x, y = input, other
    if not (hasattr(x, "ndim") and hasattr(y, "ndim")):
        raise TypeError(f"matmul: expected two tensors, got {type(x).__name__} and {type(y).__name__}; numbers use *")
    if not (x.ndim and y.ndim):
        raise RuntimeError(f"matmul: expected vectors or matrices, got shapes {x.shape} and {y.shape}; numbers use *")
    if x.dtype == y.dtype == bool:
        raise RuntimeError(f"matmul: expected numbers, got booleans {x.shape} and {y.shape}: use .float() on one")
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise RuntimeError(f"matmul: rows on the left must be as long as columns on the right: {x.shape} @ {y.shape}")
    if x.ndim > 1 and y.ndim > 1:
        return matrix_product(x, y)
    out = matrix_product(unsqueeze(x, 0) if x.ndim == 1 else x, unsqueeze(y, 1) if y.ndim == 1 else y)
    out = squeeze(out, -2) if x.ndim == 1 else out
    return squeeze(out, -1) if y.ndim == 1 else out


def _check(name: str, x: Tensor, y: Tensor, wanted: str) -> None:
    """RuntimeError unless the shapes are as in "nk,km", where a letter stands for the same length everywhere."""
    sizes: dict[str, int] = {}
    for letters, shape in zip(wanted.split(","), (x.shape, y.shape), strict=True):
        if len(letters) != len(shape) or any(sizes.setdefault(d, n) != n for d, n in zip(letters, shape, strict=True)):
            layout = " and ".join(f"({', '.join(term)})" for term in wanted.split(","))
            raise RuntimeError(f"{name}: expected shapes {layout}, got {x.shape} and {y.shape}: matmul takes more")


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices: (n, k), (k, m) -> (n, m); RuntimeError for other shapes."""
    _check("mm", input, mat2, "nk,km")
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of pairs of matrices: (b, n, k), (b, k, m) -> (b, n, m); RuntimeError for other shapes."""
    _check("bmm", input, mat2, "bnk,bkm")
    return matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector: (n, k), (k,) -> (n,); RuntimeError for other shapes."""
    _check("mv", input, vec, "nk,k")
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' entries: (n,), (n,) -> (); RuntimeError for other shapes."""
    _check("dot", input, tensor, "n,n")
    return matmul(input, tensor)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of entries of two vectors: (n,), (m,) -> (n, m); RuntimeError for other shapes."""
    _check("outer", input, vec2, "n,m")
    return unsqueeze(input, 1) * vec2


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every entry of `input` replaced by that entry times `other`.

    >>> import minidl
    >>> kron(minidl.tensor([1, 10]), minidl.tensor([1, 2]))
    tensor([ 1,  2, 10, 20])
    """
    ndim = max(input.ndim, other.ndim)
    blocks, inside = ((1,) * (ndim - x.ndim) + x.shape for x in (input, other))
    x = reshape(input, shape=[n for length in blocks for n in (length, 1)])  # (n, 1, m, 1, ...)
    y = reshape(other, shape=[n for length in inside for n in (1, length)])  # (1, k, 1, l, ...)
    return reshape(x * y, shape=tuple(n * m for n, m in zip(blocks, inside, strict=True)))


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product of vectors of length 3 along `dim`, by default the first dimension of that length.

    >>> import minidl
    >>> cross(minidl.tensor([1, 0, 0]), minidl.tensor([0, 1, 0]))
    tensor([0, 0, 1])
    """
    x, y = input, other
    dim = next((d for d, n in enumerate(x.shape) if n == 3), 0) if dim is None else dim_of(dim, x.ndim)
    if x.ndim != y.ndim or not x.ndim or not x.shape[dim] == y.shape[dim] == 3:
        raise RuntimeError(f"cross: expected as many dimensions, one of length 3, got shapes {x.shape} and {y.shape}")
    return roll(x, -1, dim) * roll(y, -2, dim) - roll(x, -2, dim) * roll(y, -1, dim)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = None) -> Tensor:
    """The distances between all pairs of rows, in the `p`-norm: (..., n, k), (..., m, k) -> (..., n, m).

    `compute_mode` is accepted for PyTorch's sake: the distances are always computed from differences.

    >>> import minidl
    >>> cdist(minidl.tensor([[0.0, 0.0]]), minidl.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1] or p < 0:
        raise RuntimeError(f"cdist: expected rows of one length and p >= 0, got shapes {x1.shape}, {x2.shape}, p={p}")
    return vector_norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, -1)


def dist(input: Tensor, other: Tensor, p: float = 2.0) -> Tensor:
    """The `p`-norm of all entries of input - other, which broadcast."""
    return vector_norm(input - other, p)


def cov(input: Tensor, *, correction: float = 1) -> Tensor:
    """The covariances of the rows, each column being an observation: (variables, n) -> (variables, variables).

    The sums of products of distances from the mean are divided by n - `correction`.  A vector is one variable.

    >>> import minidl
    >>> cov(minidl.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2:
        raise RuntimeError(f"cov: expected rows of observations, got shape {input.shape}")
    if input.dtype.kind == "b":
        raise RuntimeError("cov: expected numbers, got booleans: use .float() first")
    x = atleast_2d(input) * 1.0
    n = x.shape[1]
    x = x - x.sum(1, keepdim=True) / n
    return (x @ x.T / max(n - correction, 0)).squeeze()


def corrcoef(input: Tensor) -> Tensor:
    """The correlations of the rows, from -1 to 1: their covariances over the standard deviations of both."""
    c = cov(input)
    if not c.ndim:
        return c / c
    deviations = sqrt(diagonal(c))
    return clamp(c / unsqueeze(deviations, 1) / deviations, -1, 1)


# -- products that are added to something -----------------------------------------------------------------------------


def _added(input: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    """beta input + alpha product, of the shape of the product; for beta 0, `input` may hold anything, NaN too."""
    scaled = product if alpha == 1 else product * alpha
    input = broadcast_to(input, shape=product.shape)
    return scaled + (input if beta == 1 else input * beta) if beta else scaled


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha (mat1 @ mat2), where `input` broadcasts: (n, m), (n, k), (k, m) -> (n, m)."""
    return _added(input, mm(mat1, mat2), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha (mat @ vec), where `input` broadcasts: (n,), (n, k), (k,) -> (n,)."""
    return _added(input, mv(mat, vec), beta, alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha outer(vec1, vec2), where `input` broadcasts: (n, m), (n,), (m,) -> (n, m)."""
    return _added(input, outer(vec1, vec2), beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha (batch1 @ batch2), where `input` broadcasts: (b, n, m), (b, n, k), (b, k, m) -> (b, n, m)."""
    return _added(input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha times the sum of all (batch1 @ batch2): (n, m), (b, n, k), (b, k, m) -> (n, m)."""
    return _added(input, bmm(batch1, batch2).sum(0), beta, alpha)


# -- sums of products over any dimensions -----------------------------------------------------------------------------


def contracted(x: Tensor, a: Sequence[Any], y: Tensor, b: Sequence[Any], kept: Any = ()) -> tuple[Tensor, list[Any]]:
    """x times y, summed over the dimensions whose labels (in `a` and `b`) are equal and not in `kept`.

    The result has the kept equal ones first, then those of x alone, then those of y alone; its labels come with it.
    One matrix product does it: (kept, x alone, summed) @ (kept, summed, y alone).
    """
    sizes = dict(zip((*a, *b), x.shape + y.shape, strict=True))
    batch, summed = [d for d in a if d in b and d in kept], [d for d in a if d in b and d not in kept]
    left, right = [d for d in a if d not in b], [d for d in b if d not in a]
    n, k, m = (math.prod(sizes[d] for d in labels) for labels in (left, summed, right))
    lead = tuple(sizes[d] for d in batch)
    x = reshape(transpose(x, axes=[a.index(d) for d in batch + left + summed]), shape=(*lead, n, k))
    y = reshape(transpose(y, axes=[b.index(d) for d in batch + summed + right]), shape=(*lead, k, m))
    out = matrix_product(x, y) if summed else x * y
    return reshape(out, shape=[sizes[d] for d in batch + left + right]), batch + left + right


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimensions: (..., k), (others, k) -> (..., others); a number multiplies."""
    x, y = input, other
    if not (x.ndim and y.ndim):
        return x * y
    if x.shape[-1] != y.shape[-1]:
        raise RuntimeError(f"inner: expected last dimensions of one length, got shapes {x.shape} and {y.shape}")
    return tensordot(x, y, ([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over the last `dims` dimensions of `a` and the first of `b`, or over two lists of dimensions.

    >>> import minidl
    >>> tensordot(minidl.ones(2, 3, 4), minidl.ones(3, 4, 5)).shape
    (2, 5)
    >>> tensordot(minidl.ones(2, 3), minidl.ones(2, 5), ([0], [0])).shape
    (3, 5)
    """
    dims = dims.tolist() if isinstance(dims, Tensor) else dims
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot: expected dims from 0 to {min(a.ndim, b.ndim)}, got {dims}")
        dims = [*range(a.ndim - dims, a.ndim)], [*range(dims)]
    left, right = dims_of(list(dims[0]), a.ndim), dims_of(list(dims[1]), b.ndim)
    if len(dims[0]) != len(dims[1]):
        raise RuntimeError(f"tensordot: expected two lists of as many dimensions, got {dims}")
    of_a, of_b = range(a.ndim), [left[right.index(d)] if d in right else d - b.ndim for d in range(b.ndim)]
    sizes = _sizes(f"tensordot over {dims}", [a, b], [of_a, of_b])
    return contracted(*_expanded(a, of_a, sizes), *_expanded(b, of_b, sizes))[0]


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products, named by the letters of the dimensions: "bik,bkj->bij" is a batch of matrix products.

    The letters before the arrow belong to the dimensions of each operand; a letter that is not behind the arrow is
    summed over.  A letter twice in one operand stands for the diagonal, "..." for any other dimensions, which
    broadcast.  Without an arrow, the result has the letters that occur once, in alphabetical order.  Operands are
    multiplied from left to right, two at a time.  RuntimeError for an equation that does not fit the shapes.

    >>> import minidl
    >>> einsum("ij,ij->i", minidl.ones(2, 3), minidl.ones(2, 3))
    tensor([3., 3.])
    >>> einsum("ii", minidl.ones(3, 3))
    tensor(3.)
    """
    tensors = listed("einsum", flat(operands), ValueError)
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(tensors):
        raise RuntimeError(f"einsum: {equation!r} names {len(terms)} operands, got {len(tensors)}")
    labels = [_labels(term, x.shape) for term, x in zip(terms, tensors, strict=True)]
    wide = sorted({d for term in labels for d in term if isinstance(d, int)})  # what "..." stands for: [-2, -1]
    letters = [d for term in labels for d in term if isinstance(d, str)]
    if arrow:
        before, dots, after = output.partition("...")
        wanted = [*before, *(wide if dots else ()), *after]
    else:
        wanted = [*wide, *sorted(d for d in set(letters) if letters.count(d) == 1)]
    if len(set(wanted)) < len(wanted) or not set(wanted) <= {*letters, *wide}:
        raise RuntimeError(f"einsum: the output of {equation!r} must name each of its dimensions once, and none else")
    sizes = _sizes(f"einsum {equation!r}", tensors, labels)
    x, a = _expanded(tensors[0], labels[0], sizes)
    for i in range(1, len(tensors)):
        needed = {*wanted, *(d for term in labels[i + 1 :] for d in term)}
        y, b = _expanded(tensors[i], labels[i], sizes)
        x, a = contracted(*_summed(x, a, {*needed, *b}), *_summed(y, b, {*needed, *a}), needed)
    x, a = _summed(x, a, wanted)
    return permute(x, [a.index(d) for d in wanted])


def _labels(term: str, shape: tuple[int, ...]) -> list[Any]:
    """A label for each dimension: its letter, or, where "..." stands, its number from the end of those: ..., -2, -1."""
    before, dots, after = term.partition("...")
    others = len(shape) - len(before) - len(after)
    if not (before + after + "a").isalpha() or others < 0 or (others and not dots):
        raise RuntimeError(f"einsum: expected a letter for each dimension, or ..., got {term!r} for shape {shape}")
    return [*before, *range(-others, 0), *after]


def _sizes(what: str, tensors: Sequence[Tensor], labels: Sequence[Sequence[Any]]) -> dict[Any, int]:
    """The length of each label's dimension; a length of 1 broadcasts."""
    sizes: dict[Any, int] = {}
    for x, term in zip(tensors, labels, strict=True):
        for i, (d, n) in enumerate(zip(term, x.shape, strict=True)):
            if sizes.get(d, 1) == 1:
                sizes[d] = n
            if n not in (1, sizes[d]) or n != x.shape[term.index(d)]:
                raise RuntimeError(f"{what}: dimension {i} of {x.shape} does not fit length {sizes[d]} of its partner")
    return sizes


def _expanded(x: Tensor, labels: Sequence[Any], sizes: dict[Any, int]) -> tuple[Tensor, list[Any]]:
    """x, expanded to the full sizes, with one dimension for each label: its diagonal where a label occurs twice."""
    labels = list(labels)
    while twice := [d for d in labels if labels.count(d) > 1]:
        first = labels.index(twice[0])
        second = labels.index(twice[0], first + 1)
        x = diagonal(x, 0, first, second)
        labels = [d for i, d in enumerate(labels) if i not in (first, second)] + twice[:1]
    shape = tuple(sizes[d] for d in labels)
    return (x if x.shape == shape else broadcast_to(x, shape=shape)), labels


def _summed(x: Tensor, labels: list[Any], kept: Any) -> tuple[Tensor, list[Any]]:
    """x summed over the dimensions whose labels are not in `kept`."""
    gone = [i for i, d in enumerate(labels) if d not in kept]
    return (x.sum(gone), [d for d in labels if d in kept]) if gone else (x, labels)
