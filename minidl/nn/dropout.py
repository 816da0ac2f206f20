"""Dropout: in training, a random part of the entries is set to zero, so that no entry can be relied on."""

from __future__ import annotations

from minidl.autograd import Tensor
from minidl.nn import functional as F
from minidl.nn.module import Module


class Dropout(Module):
    """In training mode each entry is 0 with probability `p` and otherwise x / (1 - p); else x itself.

    ValueError for p outside 0 to 1.  Source: Srivastava et al., "Dropout", JMLR 15 (2014).

    >>> import minidl
    >>> Dropout(0.9).eval()(minidl.ones(3))
    tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"a dropout probability must be from 0 to 1, got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
