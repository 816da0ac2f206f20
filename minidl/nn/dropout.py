"""Dropout: in training, a random part of the entries is set to zero, so that no entry can be relied on.

The formulas and their sources stand with the functions of the same names in nn.functional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from minidl.autograd import Tensor
from minidl.nn import functional as F
from minidl.nn.module import Module


class _Dropout(Module):
    """What the layers share; they differ in what is left out, and in what it becomes."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"a dropout probability must be from 0 to 1, got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return self.function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training mode each entry is 0 with probability `p` and otherwise x / (1 - p); else x itself.

    ValueError for p outside 0 to 1.  Source: Srivastava et al., "Dropout", JMLR 15 (2014).

    >>> import minidl
    >>> Dropout(0.9).eval()(minidl.ones(3))
    tensor([1., 1., 1.])
    """

    function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """Dropout of whole channels of (N, C, L) or (C, L)."""

    function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (N, C, H, W)."""

    function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of SELU."""

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels: (N, C, ...)."""

    function = staticmethod(F.feature_alpha_dropout)
