"""Linear algebra on (batches of) square matrices, and norms of vectors; minidl/linalg.py has what is made of these.

The derivatives are those of M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), and for Cholesky of I. Murray, "Differentiation of the Cholesky decomposition" (2016).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.autograd import op
from minidl.ops.arranging import lower_triangle
from minidl.ops.elementwise import abs, where
from minidl.ops.logic import equal
from minidl.ops.products import matrix_product
from minidl.ops.shapes import swapaxes


def _t(x: Any) -> Any:
    return swapaxes(x, -1, -2)


@op
def inv(xp, x):
    """The inverse of square matrices: (..., n, n) -> (..., n, n).  LinAlgError for a singular one."""
    return xp.linalg.inv(x)
inv.vjps(lambda g, out, x: -matrix_product(_t(out), matrix_product(g, _t(out))))


@op
def det(xp, x):
    """The determinant of square matrices: (..., n, n) -> (...).  A singular one has no gradient here."""
    return xp.linalg.det(x)
det.vjps(lambda g, out, x: (g * out)[..., None, None] * _t(inv(x)))


@op
def log_abs_det(xp, x): return xp.linalg.slogdet(x)[1]
log_abs_det.vjps(lambda g, out, x: g[..., None, None] * _t(inv(x)))


@op
def sign_of_det(xp, x): return xp.linalg.slogdet(x)[0]
sign_of_det.vjps(lambda g, out, x: x * 0)


@op
def solution(xp, a, b):
    """Of a @ solution = b: (..., n, n), (..., n, m) -> (..., n, m)."""
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # CuPy does not broadcast here
    return xp.linalg.solve(*(xp.broadcast_to(x, lead + x.shape[-2:]) for x in (a, b)))
solution.vjps(lambda g, out, a, b: -matrix_product(solution(_t(a), g), _t(out)),
              lambda g, out, a, b: solution(_t(a), g))


@op
def cholesky_factor(xp, x): return xp.linalg.cholesky((x + _t(x)) / 2)  # both triangles count, and share the gradient
cholesky_factor.vjps(lambda g, out, x: solution(_t(out), _t(solution(_t(out), _symmetric(matrix_product(_t(out), g))))))


def _symmetric(p: Any) -> Any:
    """Half the symmetric matrix that has the lower triangle of p."""
    return (lower_triangle(p, diagonal=0) + _t(lower_triangle(p, diagonal=-1))) * 0.5


# -- norms ------------------------------------------------------------------------------------------------------------


@op
def p_norm(xp, x, *, p, axis): return (xp.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1 / p)
p_norm.vjps(lambda g, out, x, p, axis: g * x * _size(x, p) ** (p - 2) / where(equal(out, 0), 1.0, out) ** (p - 1))


def _size(x: Any, p: float) -> Any:
    """|x|, but 1 for 0 where its power would be infinite."""
    return abs(x) if p == 2 or p >= 3 else where(equal(x, 0), 1.0, abs(x))


