"""Distances and similarities of vectors, along one dimension or between all pairs.

Where a norm is 0 its gradient counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.autograd import Tensor
from minidl.functional.elementwise import clamp
from minidl.functional.reductions import vector_norm
from minidl.ops import reductions
from minidl.ops.elementwise import where
from minidl.ops.indexing import getitem
from minidl.ops.shapes import broadcast_to


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`: (..., n, ...), (..., n, ...) -> (..., ...).

    A length below `eps` counts as `eps`, with the gradient as if it were not so.  RuntimeError for whole numbers.

    >>> import minidl
    >>> cosine_similarity(minidl.tensor([[1.0, 0.0]]), minidl.tensor([[3.0, 4.0]]))
    tensor([0.6])
    """
    product = x1 * x2
    if product.dtype.kind != "f":
        raise RuntimeError(f"cosine_similarity: expected a floating dtype, got {product.dtype}: use .float() first")
    vectors = [broadcast_to(x.to(product.dtype), shape=product.shape) for x in (x1, x2)]
    length1, length2 = (at_least(vector_norm(x, 2.0, dim), eps) for x in vectors)
    return reductions.sum(product, axis=dim) / (length1 * length2)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The `p`-norm of x1 - x2 + eps along the last dimension: (..., n), (..., n) -> (...), or (..., 1) with `keepdim`.

    `eps` keeps the gradient of equal vectors away from the kink.

    >>> import minidl
    >>> pairwise_distance(minidl.tensor([[3.0, 4.0]]), minidl.zeros(1, 2))
    tensor([5.0000014])
    """
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The `p`-norms of the differences of all pairs of rows: (n, features) -> (n (n - 1) / 2,).

    The order is that of the pairs (0, 1), (0, 2), ..., (1, 2), ...  RuntimeError for another shape or p < 0.

    >>> import minidl
    >>> pdist(minidl.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    if input.ndim != 2 or p < 0:
        raise RuntimeError(f"pdist: expected shape (n, features) and a norm from 0, got {input.shape} and {p}")
    first, second = np.triu_indices(len(input), 1)
    return vector_norm(getitem(input, first) - getitem(input, second), p, 1)


def normalize(input: Tensor, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖, eps), with the `p`-norm along `dim`.

    >>> import minidl
    >>> normalize(minidl.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    return input / clamp(vector_norm(input, p, dim, keepdim=True), min=eps)


def at_least(x: Tensor, bound: float) -> Tensor:
    """x, or `bound` where x is less, but everywhere with the gradient of x."""
    return where(x < bound, x - x.detach() + bound, x)
