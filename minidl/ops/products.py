"""Matrix products, for all ranks as NumPy has them."""

from __future__ import annotations

from typing import Any

from minidl.autograd import Tensor, op
from minidl.ops.shapes import squeeze, swapaxes, unsqueeze


@op
def matrix_product(xp, x, y): return xp.matmul(x, y)  # (..., n, k), (..., k, m) -> (..., n, m)
matrix_product.vjps(lambda g, out, x, y: matrix_product(g, swapaxes(y, -1, -2)),
                    lambda g, out, x, y: matrix_product(swapaxes(x, -1, -2), g))


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
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise RuntimeError(f"matmul: rows on the left must be as long as columns on the right: {x.shape} @ {y.shape}")
    if x.ndim > 1 and y.ndim > 1:
        return matrix_product(x, y)
    out = matrix_product(unsqueeze(x, 0) if x.ndim == 1 else x, unsqueeze(y, 1) if y.ndim == 1 else y)
    out = squeeze(out, -2) if x.ndim == 1 else out
    return squeeze(out, -1) if y.ndim == 1 else out
