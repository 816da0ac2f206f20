"""Automatic differentiation: tensors, ops, the backward pass, and checks of derivatives."""

from minidl.autograd import function, functional
from minidl.autograd.anomaly import detect_anomaly, set_detect_anomaly
from minidl.autograd.check import gradcheck, gradgradcheck
from minidl.autograd.engine import Op, op
from minidl.autograd.function import Function
from minidl.autograd.gradients import backward, grad
from minidl.autograd.mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from minidl.autograd.tensor import Tensor, tensor

__all__ = [
    "Function", "Op", "Tensor", "backward", "detect_anomaly", "enable_grad", "function", "functional", "grad",
    "gradcheck", "gradgradcheck", "inference_mode", "is_grad_enabled", "no_grad", "op",
    "set_detect_anomaly", "set_grad_enabled", "tensor",
]  # fmt: skip
