"""Matrix products, for all ranks as NumPy has them."""

from __future__ import annotations

from minidl import kernels
from minidl.autograd import op
from minidl.ops.shapes import swapaxes


@op
def matrix_product(xp, x, y): return kernels.matmul(xp, x, y)  # (..., n, k), (..., k, m) -> (..., n, m)
matrix_product.vjps(lambda g, out, x, y: matrix_product(g, swapaxes(y, -1, -2)),
                    lambda g, out, x, y: matrix_product(swapaxes(x, -1, -2), g))


