"""Rows of the functions of angles and of hyperbolas."""

import torch
from op_rows.row import Row, distinct, normal, positive

from minidl.ops import trigonometry as t

DIFFERENTIABLE = [
    Row(t.sin, (normal(3),), torch=torch.sin),
    Row(t.cos, (normal(0, 3),), torch=torch.cos),
    Row(t.tan, (normal(2, 3),), torch=torch.tan),
    Row(t.asin, (distinct(2, 4),), torch=torch.asin),
    Row(t.acos, (distinct(4),), torch=torch.acos),
    Row(t.atan, (normal(),), torch=torch.atan),
    Row(t.sinh, (normal(1, 3),), torch=torch.sinh),
    Row(t.cosh, (normal(3),), torch=torch.cosh),
    Row(t.asinh, (normal(3, 2).T,), torch=torch.asinh),
    Row(t.acosh, (1.1 + positive(3),), torch=torch.acosh),
    Row(t.atanh, (distinct(4),), torch=torch.atanh),
    Row(t.sinc, (distinct(5) * 7.3,), torch=torch.sinc),
    Row(t.atan2, (normal(2, 3), normal(3)), torch=torch.atan2),
    Row(t.atan2, (normal(3), normal(2, 1)), torch=torch.atan2),
    Row(t.hypot, (normal(2, 3), normal(3)), torch=torch.hypot),
    Row(t.hypot, (normal(), positive(2, 1)), torch=torch.hypot),
]  # fmt: skip

WITHOUT_DERIVATIVE = [
    Row(t.atan2, (normal(0, 3), normal(3)), torch=torch.atan2),
    Row(t.sinc, (normal(3) * 0,), torch=torch.sinc, label="at 0"),
]  # fmt: skip
