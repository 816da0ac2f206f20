"""Rows of what puts entries in order and finds the place of others among them."""

import numpy as np
import torch
from op_rows.row import Row, distinct, whole

from minidl.ops import sorting

ties = np.array([[2.0, 1.0, np.nan, 2.0, 1.0], [np.nan, 3.0, np.nan, -np.inf, 3.0]])
sequences = np.array([[1.0, 2.0, 2.0, 5.0], [0.0, 3.0, 4.0, 4.0]])
numbers = np.array([[2.0, 0.0, 9.0], [4.0, 3.5, -1.0]])


def torch_order(x: torch.Tensor, dim: int, descending: bool = False) -> torch.Tensor:
    return x.sort(dim=dim, descending=descending, stable=True).indices


DIFFERENTIABLE: list[Row] = []

WITHOUT_DERIVATIVE = [
    Row(sorting.order, (distinct(2, 5),), {"axis": 1}, torch=lambda x: torch_order(x, 1)),
    Row(sorting.order, (ties,), {"axis": -1}, torch=lambda x: torch_order(x, -1), label="ties"),
    Row(sorting.order, (ties,), {"axis": 1, "descending": True}, torch=lambda x: torch_order(x, 1, True),
        label="descending ties"),
    Row(sorting.order, (whole(3, 4, 3, 2),), {"axis": -3}, torch=lambda x: torch_order(x, -3), label="whole"),
    Row(sorting.order, (distinct(3, 2).T,), {"axis": 1}, torch=lambda x: torch_order(x, 1), label="transposed"),
    Row(sorting.order, (np.zeros((2, 0)),), {"axis": 1, "descending": True}, torch=lambda x: torch_order(x, 1)),
    Row(sorting.insertion_points, (sequences[0], numbers), {"right": False}, torch=torch.searchsorted),
    Row(sorting.insertion_points, (sequences[0], np.array(2.0)), {"right": True},
        torch=lambda s, x: torch.searchsorted(s, x, right=True)),
    Row(sorting.insertion_points, (sequences, numbers), {"right": False}, torch=torch.searchsorted),
    Row(sorting.insertion_points, (sequences, numbers), {"right": True},
        torch=lambda s, x: torch.searchsorted(s, x, right=True), label="right"),
]  # fmt: skip
