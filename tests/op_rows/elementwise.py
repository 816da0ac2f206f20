"""Rows of the ops that work entry by entry."""

import numpy as np
import torch
from op_rows.row import Row, distinct, normal, positive, whole

from minidl.ops import elementwise as e

condition = np.array([[True, False, True], [False, True, True]])

DIFFERENTIABLE = [
    Row(e.add, (normal(2, 3), normal(2, 3)), torch=torch.add),
    Row(e.add, (normal(2, 3), normal(3)), torch=torch.add),
    Row(e.subtract, (normal(2, 1), normal(3)), torch=torch.sub),
    Row(e.multiply, (normal(4, 1, 3), normal(2, 1)), torch=torch.mul),
    Row(e.multiply, (normal(2, 3), 2.5), torch=torch.mul),
    Row(e.divide, (normal(2, 3), positive(3)), torch=torch.div),
    Row(e.divide, (1.5, positive(3)), torch=torch.div),
    Row(e.negative, (normal(3),), torch=torch.neg),
    Row(e.power, (positive(2, 3), normal(3)), torch=torch.pow),
    Row(e.power, (normal(3), 2), torch=torch.pow, label="square"),
    Row(e.power, (normal(3), 3.0), torch=torch.pow, label="cube"),
    Row(e.power, (positive(3), -0.5), torch=torch.pow, label="inverse root"),
    Row(e.power, (2.0, normal(3)), torch=torch.pow, label="number to the x"),
    Row(e.floor_divide, (distinct(5), 0.7)),
    Row(e.remainder, (distinct(5), 0.7), torch=torch.remainder),
    Row(e.exp, (normal(3),), torch=torch.exp),
    Row(e.expm1, (normal(3),), torch=torch.expm1),
    Row(e.log, (positive(3),), torch=torch.log),
    Row(e.log1p, (positive(3),), torch=torch.log1p),
    Row(e.sqrt, (positive(3),), torch=torch.sqrt),
    Row(e.square, (normal(3),), torch=torch.square),
    Row(e.abs, (distinct(4),), torch=torch.abs),
    Row(e.floor, (distinct(5),), torch=torch.floor),
    Row(e.ceil, (distinct(5),), torch=torch.ceil),
    Row(e.round, (distinct(5),), torch=torch.round),
    Row(e.round, (distinct(5) * 1.01,), {"decimals": 1}, torch=lambda x: torch.round(x, decimals=1), label="decimals"),
    Row(e.sign, (distinct(4),), torch=torch.sign),
    Row(e.sin, (normal(3),), torch=torch.sin),
    Row(e.cos, (normal(3),), torch=torch.cos),
    Row(e.tanh, (normal(3),), torch=torch.tanh),
    Row(e.sigmoid, (normal(3),), torch=torch.sigmoid),
    Row(e.relu, (distinct(4),), torch=torch.relu),
    Row(e.erf, (np.array([-5.0, -2.0, -0.3, 0.2, 0.9, 3.0]),), torch=torch.erf),
    Row(e.where, (condition, normal(2, 3), normal(3)), torch=torch.where),
    Row(e.maximum, (distinct(2, 3), distinct(2, 3) + 0.03), torch=torch.maximum),
    Row(e.minimum, (distinct(2, 3), distinct(3) + 0.03), torch=torch.minimum),
    Row(e.clip, (distinct(6),), {"low": -0.2, "high": 0.1}, torch=lambda x: torch.clamp(x, -0.2, 0.1)),
    Row(e.clip, (distinct(6),), {"low": None, "high": 0.1}, torch=lambda x: torch.clamp(x, max=0.1), label="above"),
    Row(e.astype, (normal(3),), {"dtype": np.dtype(np.float64)}, torch=lambda x: x.double()),
    Row(e.copied, (normal(3),), torch=torch.clone),
    Row(e.moved, (normal(3),), {"device": "cpu", "origin": "cpu"}, torch=lambda x: x.to("cpu")),
]  # fmt: skip

WITHOUT_DERIVATIVE = [
    Row(e.floor_divide, (whole(9, 5), 2), torch=torch.floor_divide),
    Row(e.astype, (whole(9, 3),), {"dtype": np.dtype(np.float64)}, torch=lambda x: x.double(), label="whole"),
    Row(e.equal, (whole(2, 5), whole(2, 5)), torch=torch.eq),
    Row(e.not_equal, (whole(2, 5), whole(2, 5)), torch=torch.ne),
    Row(e.less, (normal(5), 0.1), torch=torch.lt),
    Row(e.less_equal, (whole(3, 5), 1), torch=torch.le),
    Row(e.greater, (normal(5), 0.1), torch=torch.gt),
    Row(e.greater_equal, (whole(3, 5), 1), torch=torch.ge),
    Row(e.logical_and, (condition[0], condition[1]), torch=torch.logical_and),
    Row(e.logical_or, (condition[0], condition[1]), torch=torch.logical_or),
    Row(e.logical_not, (condition,), torch=torch.logical_not),
    Row(e.bitwise_and, (whole(9, 5), whole(9, 5)), torch=torch.bitwise_and),
    Row(e.bitwise_or, (condition[0], condition[1]), torch=torch.bitwise_or),
    Row(e.bitwise_xor, (whole(9, 5), 5), torch=torch.bitwise_xor),
    Row(e.bitwise_not, (whole(9, 5),), torch=torch.bitwise_not),
    Row(e.isnan, (np.array([1.0, np.nan, np.inf]),), torch=torch.isnan),
    Row(e.isinf, (np.array([1.0, np.nan, -np.inf]),), torch=torch.isinf),
    Row(e.isfinite, (np.array([1.0, np.nan, np.inf]),), torch=torch.isfinite),
]  # fmt: skip
