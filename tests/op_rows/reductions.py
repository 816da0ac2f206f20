"""Rows of the ops that make one number of many."""

import numpy as np
import torch
from op_rows.row import Row, distinct, normal

from minidl.ops import reductions

zeros = np.array([[1.5, 0.0, 2.0], [0.0, 0.5, 0.0]])  # one zero in a row, two in the other
condition = np.array([[True, False, True], [False, True, True]])

DIFFERENTIABLE = [
    Row(reductions.sum, (normal(2, 3, 4),), torch=torch.sum),
    Row(reductions.sum, (normal(2, 3, 4),), {"axis": (0, -1)}, torch=lambda x: x.sum((0, -1)), label="two"),
    Row(reductions.sum, (normal(2, 3),), {"axis": 1, "keepdims": True}, torch=lambda x: x.sum(1, True), label="kept"),
    Row(reductions.mean, (normal(2, 3, 4),), torch=torch.mean),
    Row(reductions.mean, (normal(2, 3, 4),), {"axis": 1}, torch=lambda x: x.mean(1), label="one"),
    Row(reductions.mean, (normal(4, 1),), {"axis": -1, "keepdims": True}, torch=lambda x: x.mean(-1, True)),
    Row(reductions.sum, (normal(3, 0, 2),), {"axis": 1}, torch=lambda x: x.sum(1)),
    Row(reductions.sum, (np.array(1.5),), {"axis": 0}, torch=lambda x: x.sum(0)),
    Row(reductions.inner, (normal(3, 4), normal(3, 4)), {"axis": 1}, torch=lambda x, y: (x * y).sum(1, True)),
    Row(reductions.inner, (normal(2, 3, 4), normal(2, 3, 4)), {"axis": (0, 2)},
        torch=lambda x, y: (x * y).sum((0, 2), keepdim=True), label="two"),
    Row(reductions.prod, (normal(2, 3, 2),), torch=torch.prod),
    Row(reductions.prod, (normal(2, 3, 2),), {"axis": -2}, torch=lambda x: x.prod(-2), label="one"),
    Row(reductions.prod, (zeros,), torch=torch.prod, label="zeros"),
    Row(reductions.prod, (zeros,), {"axis": 1, "keepdims": True}, torch=lambda x: x.prod(1, True), label="zeros kept"),
    Row(reductions.prod, (normal(3, 2).T,), {"axis": 0}, torch=lambda x: x.prod(0), label="transposed"),
    Row(reductions.prod, (normal(3, 0),), {"axis": 1}, torch=lambda x: x.prod(1)),
    Row(reductions.prod, (np.array(1.5),), torch=torch.prod),
    Row(reductions.var, (normal(2, 5),), torch=torch.var),
    Row(reductions.var, (normal(2, 5, 3),), {"axis": (0, 2), "keepdims": True, "correction": 0},
        torch=lambda x: x.var((0, 2), correction=0, keepdim=True), label="two"),
    Row(reductions.amax, (distinct(2, 3, 4),), torch=torch.amax),
    Row(reductions.amax, (distinct(2, 3, 4),), {"axis": (0, 2)}, torch=lambda x: x.amax((0, 2)), label="two"),
    Row(reductions.amin, (distinct(3, 4),), {"axis": -1, "keepdims": True}, torch=lambda x: x.amin(-1, True)),
    Row(reductions.logsumexp, (normal(3, 4),), {"axis": 1}, torch=lambda x: x.logsumexp(1)),
    Row(reductions.logsumexp, (normal(3, 4),), torch=lambda x: x.logsumexp((0, 1)), label="all"),
]  # fmt: skip

WITHOUT_DERIVATIVE = [
    Row(reductions.argmax, (distinct(3, 4),), {"axis": 1}, torch=lambda x: x.argmax(1)),
    Row(reductions.argmin, (distinct(3, 4),), torch=torch.argmin),
    Row(reductions.all, (condition,), {"axis": 0}, torch=lambda x: x.all(0)),
    Row(reductions.any, (condition,), torch=torch.any),
]  # fmt: skip
