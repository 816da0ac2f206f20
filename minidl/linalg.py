"""Linear algebra under the names of torch.linalg: what ops/linalg.py has, and what can be made of it.

Every function takes batches of matrices, (..., n, m), and can be differentiated twice where its value is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from minidl.autograd import Tensor
from minidl.autograd.errors import LinAlgError
from minidl.functional import arranging, products
from minidl.functional.arranging import diag_embed
from minidl.functional.creation import arange, ones_like
from minidl.functional.products import matmul
from minidl.functional.reductions import amax, amin, vector_norm
from minidl.functional.shapes import matrices
from minidl.ops import linalg as ops
from minidl.ops.elementwise import copied, where
from minidl.ops.linalg import det, inv
from minidl.ops.shapes import dim_of, squeeze, swapaxes, unsqueeze

__all__ = [
    "LinAlgError", "cholesky", "cross", "det", "diagonal", "inv", "logdet", "matmul", "matrix_norm", "matrix_power",
    "multi_dot", "norm", "slogdet", "solve", "vander", "vecdot", "vector_norm",
]  # fmt: skip


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X with A X = B, or, unless `left`, with X A = B: (..., n, n), (..., n, m) -> (..., n, m).

    B may be a vector (n,), or one for each matrix of a batch, (..., n).  Batches broadcast.  LinAlgError for a singular
    matrix, RuntimeError for shapes that do not fit.

    >>> import minidl
    >>> solve(minidl.tensor([[2.0, 0.0], [0.0, 4.0]]), minidl.tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(f"solve: expected square matrices A, got shape {A.shape}")
    vector = B.ndim == 1 or B.shape == A.shape[:-1]
    if vector and not left:
        raise RuntimeError(f"solve: expected matrices B for left=False, got shape {B.shape}")
    B = unsqueeze(B, -1) if vector else B if left else swapaxes(B, -1, -2)
    if B.shape[-2] != A.shape[-1]:
        raise RuntimeError(f"solve: expected as many equations as unknowns, got A {A.shape} and B {B.shape}")
    X = ops.solution(A if left else swapaxes(A, -1, -2), B)
    return squeeze(X, -1) if vector else X if left else swapaxes(X, -1, -2)


def cholesky(A: Tensor, upper: bool = False) -> Tensor:
    """The lower triangular L with L Lᵀ = A for symmetric positive definite `A`, or Lᵀ: (..., n, n) -> (..., n, n).

    LinAlgError for a matrix that is not positive definite.

    >>> import minidl
    >>> cholesky(minidl.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    factor = ops.cholesky_factor(matrices("cholesky", A))
    return swapaxes(factor, -1, -2) if upper else factor


class SignAndLogarithm(NamedTuple):
    """A determinant as its sign and the logarithm of its absolute value."""

    sign: Tensor
    logabsdet: Tensor


def slogdet(A: Tensor) -> SignAndLogarithm:
    """The sign of the determinant, and the logarithm of its absolute value, which cannot overflow."""
    return SignAndLogarithm(ops.sign_of_det(A), ops.log_abs_det(A))


def logdet(A: Tensor) -> Tensor:
    """The logarithm of the determinant: NaN where that is negative."""
    sign, logarithm = slogdet(A)
    return where(sign < 0, math.nan, logarithm)


def matrix_power(A: Tensor, n: int) -> Tensor:
    """The product of `n` times the square matrix `A`; of its inverse for negative `n`: (..., m, m) -> (..., m, m)."""
    if matrices("matrix_power", A).shape[-1] != A.shape[-2]:
        raise RuntimeError(f"matrix_power: expected square matrices, got shape {A.shape}")
    if n == 0:
        return diag_embed(ones_like(diagonal(A)))
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 1:
        return copied(A)
    half = matrix_power(A, n // 2)
    return half @ half @ A if n % 2 else half @ half


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of a chain of matrices, the first and last of which may be vectors.

    The order of multiplication is the cheapest (Cormen et al., "Introduction to Algorithms", section 14.2).

    >>> import minidl
    >>> multi_dot([minidl.ones(2, 3), minidl.ones(3, 4), minidl.ones(4)]).shape
    (2,)
    """
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot: expected at least two tensors, got {len(tensors)}")
    if any(x.ndim != 2 for x in tensors[1:-1]) or not {tensors[0].ndim, tensors[-1].ndim} <= {1, 2}:
        raise RuntimeError(f"multi_dot: expected matrices, vectors at the ends, got {[x.shape for x in tensors]}")
    n = len(tensors)
    sizes = [1 if x.ndim == 1 and not i else x.shape[0] for i, x in enumerate(tensors)]
    sizes.append(tensors[-1].shape[1] if tensors[-1].ndim == 2 else 1)  # tensor i is (sizes[i], sizes[i + 1])
    cost = {(i, i + 1): 0 for i in range(n)}  # of the product of the tensors from i to before j
    cut: dict[tuple[int, int], int] = {}  # where it is best cut in two
    for i, j in ((i, i + width) for width in range(2, n + 1) for i in range(n - width + 1)):
        cost[i, j], cut[i, j] = min(
            (cost[i, k] + cost[k, j] + sizes[i] * sizes[k] * sizes[j], k) for k in range(i + 1, j)
        )

    def product(i: int, j: int) -> Tensor:
        return tensors[i] if j == i + 1 else matmul(product(i, cut[i, j]), product(cut[i, j], j))

    return product(0, n)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of length 3 along `dim`."""
    return products.cross(input, other, dim)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The inner products of vectors along `dim`."""
    return (x * y).sum(dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, as a view: (..., n, m) -> (..., entries)."""
    return arranging.diagonal(A, offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of every entry, N being the length of the last dimension by default: (..., N).

    >>> import minidl
    >>> vander(minidl.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [1, 2, 4],
            [1, 3, 9]])
    """
    N = x.shape[-1] if N is None and x.ndim else N
    if N is None or N <= 1:
        raise RuntimeError(f"vander: expected at least two powers, got N={N} for shape {x.shape}")
    return unsqueeze(x, -1) ** arange(N, dtype=x.dtype, device=x.device)


# -- norms ----------------------------------------------------------------------------------------------------------


def norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """`vector_norm` along one dimension, or of all entries; `matrix_norm` where `dim` names two or A has two.

    Without `ord`, the square root of the sum of squares along `dim`, whatever that is.
    """
    if ord is None or isinstance(dim, int) or (dim is not None and len(dim) == 1) or (dim is None and A.ndim == 1):
        if isinstance(ord, str):
            raise RuntimeError(f"norm: ord={ord!r} is a norm of matrices, got dim={dim} for shape {A.shape}")
        return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    if dim is None and A.ndim != 2:
        raise RuntimeError(f"norm: ord={ord!r} needs a vector, a matrix, or dim, got shape {A.shape}")
    return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)


def matrix_norm(
    A: Tensor, ord: float | str = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of matrices in the plane of two dimensions, by default the last.

    `ord`: "fro" (the square root of the sum of squares), 1 and -1 (the largest and smallest sum of |A| over a column),
    infinity and minus infinity (over a row).

    >>> import minidl
    >>> matrix_norm(minidl.tensor([[1.0, -2.0], [3.0, 4.0]]), 1)
    tensor(6.)
    """
    if ord not in ("fro", 1, -1, math.inf, -math.inf):
        raise RuntimeError(f'matrix_norm: expected ord "fro", 1, -1, inf or -inf, got {ord!r}')
    if A.ndim < 2 or len(dim) != 2 or (rows := dim_of(dim[0], A.ndim)) == (columns := dim_of(dim[1], A.ndim)):
        raise RuntimeError(f"matrix_norm: expected two different dimensions, got dim={dim} for shape {A.shape}")
    if ord == "fro":
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)  # type: ignore[arg-type]
    sums = vector_norm(A, 1, summed, True, dtype=dtype)
    out = (amax if ord > 0 else amin)(sums, other, True)  # type: ignore[operator]
    return out if keepdim else squeeze(out, (rows, columns))


for _name, _function in dict(
    cholesky=cholesky, det=det, inverse=inv, logdet=logdet, matrix_power=matrix_power, slogdet=slogdet
).items():
    setattr(Tensor, _name, _function)  # these are methods, too
