"""Distances as layers, for losses and for networks that compare vectors.

The formulas stand with the functions of nn.functional.
"""

from __future__ import annotations

from minidl.autograd import Tensor
from minidl.nn import functional as F
from minidl.nn.module import Module


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim`; `F.cosine_similarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The `p`-norm of the difference of vectors along the last dimension; `F.pairwise_distance`.

    >>> import minidl
    >>> PairwiseDistance(p=1, eps=0)(minidl.zeros(1, 2), minidl.tensor([[3.0, 4.0]]))
    tensor([7.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim  # PyTorch calls p so, too

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
