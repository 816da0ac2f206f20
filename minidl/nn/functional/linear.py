"""Linear maps of the last dimension: y = x Wᵀ + b, and of two inputs at once.

The weights are passed in; a layer that remembers them is in nn/linear.py.
"""

from __future__ import annotations

from minidl.autograd import Tensor
from minidl.functional.products import matmul
from minidl.ops import fused


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: (..., in), (out, in), (out,) -> (..., out); RuntimeError for other shapes, and for two float dtypes.

    >>> import minidl
    >>> linear(minidl.ones(2, 3), minidl.ones(4, 3)).shape
    (2, 4)
    """
    if input.dtype != weight.dtype and input.dtype.kind == "f":
        raise RuntimeError(
            f"linear: the input is {input.dtype} and the weight {weight.dtype}: use input.to(minidl.{weight.dtype}) "
            f"or model.to(minidl.{input.dtype})"
        )
    return fused.linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x₁ᵀ W x₂ + b for each output: (..., in1), (..., in2), (out, in1, in2), (out,) -> (..., out).

    RuntimeError for shapes that do not fit.

    >>> import minidl
    >>> bilinear(minidl.ones(5, 2), minidl.ones(5, 3), minidl.ones(4, 2, 3)).shape
    (5, 4)
    """
    if weight.ndim != 3 or input1.shape[:-1] != input2.shape[:-1] or (
        input1.shape[-1:] + input2.shape[-1:] != weight.shape[1:]
    ):
        raise RuntimeError(
            f"bilinear: expected inputs (..., in1) and (..., in2) for a weight (out, in1, in2) {weight.shape}, "
            f"got {input1.shape} and {input2.shape}"
        )
    outputs, in1, in2 = weight.shape
    left = matmul(input1, weight.permute(1, 0, 2).reshape(in1, outputs * in2))  # (..., out·in2)
    out = matmul(left.reshape(*input1.shape[:-1], outputs, in2), input2.reshape(*input2.shape, 1)).squeeze(-1)
    return out if bias is None else out + bias
