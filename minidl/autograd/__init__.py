"""Automatic differentiation: tensors, ops, the backward pass, and checks of derivatives."""

from minidl.autograd.check import gradcheck, gradgradcheck
from minidl.autograd.engine import Op, grad, op
from minidl.autograd.mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minidl.autograd.tensor import Tensor, tensor

__all__ = [
    "Op", "Tensor", "enable_grad", "grad", "gradcheck", "gradgradcheck", "is_grad_enabled", "no_grad", "op",
    "set_grad_enabled", "tensor",
]  # fmt: skip
