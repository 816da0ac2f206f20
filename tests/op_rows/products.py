"""Rows of the matrix products."""

import torch
from op_rows.row import Row, normal

from minidl import functional
from minidl.ops import products

DIFFERENTIABLE = [
    Row(products.matrix_product, (normal(3, 2), normal(2, 4)), torch=torch.matmul),
    Row(products.matrix_product, (normal(5, 3, 2), normal(2, 4)), torch=torch.matmul),
    Row(products.matrix_product, (normal(1, 3, 2), normal(5, 1, 2, 4)), torch=torch.matmul),
    Row(functional.products.matmul, (normal(3), normal(3)), torch=torch.matmul),
    Row(functional.products.matmul, (normal(3), normal(2, 3, 4)), torch=torch.matmul),
    Row(functional.products.matmul, (normal(2, 4, 3), normal(3)), torch=torch.matmul),
]  # fmt: skip
