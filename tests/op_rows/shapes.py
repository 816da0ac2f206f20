"""Rows of the ops that move entries."""

import torch
from op_rows.row import Row, normal

from minidl.ops import shapes

DIFFERENTIABLE = [
    Row(shapes.reshape, (normal(2, 6),), {"shape": (3, -1)}, torch=lambda x: x.reshape(3, -1)),
    Row(shapes.transpose, (normal(2, 3, 4),), {"axes": (2, 0, 1)}, torch=lambda x: x.permute(2, 0, 1)),
    Row(shapes.transpose, (normal(2, 3, 4),), {"axes": (-1, 0, 1)}, torch=lambda x: x.permute(-1, 0, 1), label="-1"),
    Row(shapes.broadcast_to, (normal(3, 1),), {"shape": (2, 3, 4)}, torch=lambda x: x.expand(2, 3, 4)),
    Row(shapes.spread, (normal(3, 1), normal(2, 3, 4)), torch=lambda x, like: x.expand_as(like), fixed=(1,)),
    Row(shapes.concatenate, (normal(2, 3), normal(2, 1), normal(2, 2)), {"axis": 1},
        torch=lambda *x: torch.cat(x, 1)),
    Row(shapes.concatenate, (normal(1, 2), normal(3, 2)), {"axis": -2}, torch=lambda *x: torch.cat(x, -2)),
]  # fmt: skip
