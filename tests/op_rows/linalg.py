"""Rows of linear algebra; a matrix plus a multiple of the identity is far from singular."""

import numpy as np
import torch
from op_rows.row import Row, distinct, normal

from minidl.ops import linalg


def regular(*shape: int) -> np.ndarray:
    return normal(*shape) + 3 * np.eye(shape[-1])


def positive_definite(*shape: int) -> np.ndarray:
    x = normal(*shape)
    return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])


def p_norm(p: float, *axis: int):
    return dict(p=p, axis=axis), lambda x: torch.linalg.vector_norm(x, p, axis, True)


DIFFERENTIABLE = [
    Row(linalg.inv, (regular(3, 3),), torch=torch.linalg.inv),
    Row(linalg.inv, (regular(2, 2, 2),), torch=torch.linalg.inv),
    Row(linalg.det, (regular(3, 3),), torch=torch.linalg.det),
    Row(linalg.det, (regular(2, 1, 2, 2),), torch=torch.linalg.det),
    Row(linalg.log_abs_det, (regular(2, 3, 3),), torch=lambda x: torch.linalg.slogdet(x).logabsdet),
    Row(linalg.sign_of_det, (-regular(2, 3, 3),), torch=lambda x: torch.linalg.slogdet(x).sign),
    Row(linalg.solution, (regular(3, 3), normal(3, 2)), torch=torch.linalg.solve),
    Row(linalg.solution, (regular(3, 3), normal(2, 3, 1)), torch=torch.linalg.solve),
    Row(linalg.solution, (regular(2, 3, 3), normal(3, 2)), torch=torch.linalg.solve),
    Row(linalg.cholesky_factor, (positive_definite(3, 3),), torch=torch.linalg.cholesky),
    Row(linalg.cholesky_factor, (positive_definite(2, 2, 2),), torch=torch.linalg.cholesky),
    *[Row(linalg.p_norm, (distinct(2, 3, 4),), settings, torch=theirs, label=f"{settings['p']}")
      for settings, theirs in (p_norm(2, 0, 1, 2), p_norm(1, 1), p_norm(0.5, 0), p_norm(3.5, -1), p_norm(-1, 0, 2))],
]  # fmt: skip
