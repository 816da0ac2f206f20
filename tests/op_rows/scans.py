"""Rows of the running sums, products and extremes."""

import numpy as np
import torch
from op_rows.row import Row, distinct, normal

from minidl.ops import scans

zeros = np.array([[1.5, 0.0, 2.0, 0.0], [0.0, 0.5, 3.0, -1.0]])  # one, two and no zeros in a row or column
ties = np.array([[1.0, 1.0, 0.0, 2.0, 2.0, 1.0], [3.0, 1.0, 3.0, 1.0, 1.0, 4.0]])


def torch_recurrence(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    y = [b[0]]
    for k in range(1, len(b)):
        y.append(a[k - 1] * y[-1] + b[k])
    return torch.stack(y)


DIFFERENTIABLE = [
    Row(scans.cumulative_sum, (normal(4),), {"axis": 0}, torch=lambda x: x.cumsum(0)),
    Row(scans.cumulative_sum, (normal(2, 3, 4),), {"axis": -2}, torch=lambda x: x.cumsum(-2)),
    Row(scans.cumulative_sum, (normal(3, 0, 2),), {"axis": 0}, torch=lambda x: x.cumsum(0)),
    Row(scans.cumulative_sum, (normal(3, 2).T,), {"axis": 1}, torch=lambda x: x.cumsum(1), label="transposed"),
    Row(scans.cumulative_product, (normal(2, 5),), {"axis": 1}, torch=lambda x: x.cumprod(1)),
    Row(scans.cumulative_product, (zeros,), {"axis": -1}, torch=lambda x: x.cumprod(-1), label="zeros in rows"),
    Row(scans.cumulative_product, (zeros,), {"axis": 0}, torch=lambda x: x.cumprod(0), label="zeros in columns"),
    Row(scans.cumulative_product, (normal(3, 1),), {"axis": 1}, torch=lambda x: x.cumprod(1)),
    Row(scans.cumulative_product, (normal(0, 2),), {"axis": 0}, torch=lambda x: x.cumprod(0)),
    Row(scans.recurrence, (normal(3), normal(4)), {"axis": 0}, torch=torch_recurrence),
    Row(scans.recurrence, (normal(2, 3, 2), normal(2, 4, 2)), {"axis": -2},
        torch=lambda a, b: torch_recurrence(a.transpose(0, 1), b.transpose(0, 1)).transpose(0, 1)),
    Row(scans.recurrence, (normal(2, 0), normal(2, 1)), {"axis": 1}, torch=lambda a, b: b * 1),
]  # fmt: skip

WITHOUT_DERIVATIVE = [
    Row(scans.running_extreme, (ties,), {"axis": 1, "extreme": "maximum"}, torch=lambda x: x.cummax(1).indices),
    Row(scans.running_extreme, (ties,), {"axis": -1, "extreme": "minimum"}, torch=lambda x: x.cummin(-1).indices),
    Row(scans.running_extreme, (distinct(5, 2, 3),), {"axis": 0, "extreme": "maximum"},
        torch=lambda x: x.cummax(0).indices),
    Row(scans.running_extreme, (np.array([2.0, np.nan, 3.0, np.nan, 4.0]),), {"axis": 0, "extreme": "minimum"},
        torch=lambda x: x.cummin(0).indices, label="nan"),
    Row(scans.running_extreme, (normal(2, 0),), {"axis": 1, "extreme": "maximum"},
        torch=lambda x: x.cummax(1).indices),
]  # fmt: skip
