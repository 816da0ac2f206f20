"""Rows of what networks do most, each as one op."""

import torch.nn.functional as F
from op_rows.row import Row, distinct, normal, probability, whole

from minidl.ops import fused

DIFFERENTIABLE = [
    Row(fused.linear, (normal(4, 3), normal(2, 3), normal(2)), torch=F.linear),
    Row(fused.linear, (normal(2, 4, 3), normal(2, 3)), torch=F.linear),
    Row(fused.linear, (normal(3), normal(2, 3), normal(2)), torch=F.linear),
    Row(fused.linear, (normal(2, 3, 0), normal(5, 0), normal(5)), torch=F.linear, label="no features"),
    Row(fused.linear, (normal(0), normal(5, 0)), torch=F.linear, label="no features, one row"),
    Row(fused.softmax, (normal(3, 4),), {"axis": 1}, torch=lambda x: x.softmax(1)),
    Row(fused.softmax, (normal(3, 4, 2),), {"axis": 0}, torch=lambda x: x.softmax(0)),
    Row(fused.log_softmax, (normal(3, 4),), {"axis": -1}, torch=lambda x: x.log_softmax(-1)),
    Row(fused.softmax_cross_entropy, (normal(5, 4), whole(4, 5)),
        torch=lambda x, t: F.cross_entropy(x, t, reduction="none")),
    Row(fused.softplus, (normal(2, 3) * 20,), torch=lambda x: F.softplus(x, threshold=1000)),
    Row(fused.hardtanh, (distinct(6),), {"low": -0.2, "high": 0.1}, torch=lambda x: F.hardtanh(x, -0.2, 0.1)),
    Row(fused.binary_cross_entropy, (probability(2, 3), probability(2, 3)),
        torch=lambda p, y: F.binary_cross_entropy(p, y, reduction="none")),
    Row(fused.standardize, (normal(5, 3, 2), normal(1, 3, 1), normal(1, 3, 1)), {"axis": (0, 2), "eps": 1e-3},
        torch=lambda x, w, b: F.batch_norm(x, None, None, w.reshape(3), b.reshape(3), True, eps=1e-3)),
    Row(fused.standardize, (normal(5, 3), normal(3), normal(3)), {"axis": (-1,), "eps": 1e-3},
        torch=lambda x, w, b: F.layer_norm(x, (3,), w, b, eps=1e-3)),
    Row(fused.standardize, (normal(2, 4),), {"axis": (1,), "eps": 1e-3},
        torch=lambda x: F.layer_norm(x, (4,), eps=1e-3), label="no weight"),
]  # fmt: skip
