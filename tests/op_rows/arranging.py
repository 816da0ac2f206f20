"""Rows of the ops that turn, shift and repeat entries, and of diagonals and triangles."""

import torch
from op_rows.row import Row, normal

from minidl.ops import arranging as a

DIFFERENTIABLE = [
    Row(a.flipped, (normal(2, 3, 4),), {"axis": (0, -1)}, torch=lambda x: x.flip(0, -1)),
    Row(a.flipped, (normal(3),), {"axis": ()}, torch=lambda x: x.flip(()), label="no dimension"),
    Row(a.rolled, (normal(3, 4),), {"shift": (1, -2), "axis": (0, 1)}, torch=lambda x: x.roll((1, -2), (0, 1))),
    Row(a.rolled, (normal(3, 4),), {"shift": (5, 2), "axis": (0, 0)}, torch=lambda x: x.roll((5, 2), (0, 0)),
        label="twice"),
    Row(a.tiled, (normal(2, 3),), {"reps": (2, 1, 3)}, torch=lambda x: x.repeat(2, 1, 3)),
    Row(a.diagonals, (normal(2, 3, 4),), {"offset": 0}, torch=lambda x: x.diagonal(0, -2, -1)),
    Row(a.diagonals, (normal(3, 4),), {"offset": 2}, torch=lambda x: x.diagonal(2), label="above"),
    Row(a.diagonals, (normal(3, 4),), {"offset": -1}, torch=lambda x: x.diagonal(-1), label="below"),
    Row(a.diagonal_matrices, (normal(2, 3),), {"offset": 0, "shape": (2, 3, 3)}, torch=torch.diag_embed),
    Row(a.diagonal_matrices, (normal(2),), {"offset": -1, "shape": (3, 3)}, torch=lambda x: torch.diag_embed(x, -1),
        label="below"),
    Row(a.lower_triangle, (normal(2, 3, 4),), {"diagonal": 0}, torch=torch.tril),
    Row(a.lower_triangle, (normal(4, 3),), {"diagonal": -1}, torch=lambda x: x.tril(-1), label="below"),
    Row(a.upper_triangle, (normal(3, 4),), {"diagonal": 1}, torch=lambda x: x.triu(1)),
]  # fmt: skip
