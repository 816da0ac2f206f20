"""Linear maps of the last dimension: y = x Wᵀ + b.

The weights are passed in; a layer that remembers them is in nn/linear.py.
"""

from __future__ import annotations

from minidl.autograd import Tensor
from minidl.ops import fused


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: (..., in), (out, in), (out,) -> (..., out); RuntimeError for other shapes.

    >>> import minidl
    >>> linear(minidl.ones(2, 3), minidl.ones(4, 3)).shape
    (2, 4)
    """
    return fused.linear(input, weight, bias)
