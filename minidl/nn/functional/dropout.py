"""Dropout: entries that are left out at random while a network is trained.

What is kept is scaled up, so that evaluation needs no change.
"""

from __future__ import annotations

from minidl.autograd import Tensor
from minidl.ops import fused


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each entry becomes 0 with probability `p` and otherwise x / (1 - p); without `training` nothing happens.

    ValueError for p outside 0 to 1.  Source: Srivastava et al., "Dropout", JMLR 15 (2014).
    """
    return fused.dropout(input, p, training)
