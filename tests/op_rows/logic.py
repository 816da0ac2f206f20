"""Rows of the comparisons, of logic and of operations on bits."""

import numpy as np
import torch
from op_rows.row import Row, normal, whole

from minidl.ops import logic

condition = np.array([[True, False, True], [False, True, True]])
strange = np.array([1.0, np.nan, np.inf, -np.inf])

WITHOUT_DERIVATIVE = [
    Row(logic.equal, (whole(2, 5), whole(2, 5)), torch=torch.eq),
    Row(logic.not_equal, (whole(2, 5), whole(2, 5)), torch=torch.ne),
    Row(logic.less, (normal(5), 0.1), torch=torch.lt),
    Row(logic.less_equal, (whole(3, 5), 1), torch=torch.le),
    Row(logic.greater, (normal(5), 0.1), torch=torch.gt),
    Row(logic.greater_equal, (whole(3, 5), 1), torch=torch.ge),
    Row(logic.logical_and, (condition[0], condition[1]), torch=torch.logical_and),
    Row(logic.logical_or, (condition[0], condition[1]), torch=torch.logical_or),
    Row(logic.logical_not, (condition,), torch=torch.logical_not),
    Row(logic.bitwise_and, (whole(9, 5), whole(9, 5)), torch=torch.bitwise_and),
    Row(logic.bitwise_or, (condition[0], condition[1]), torch=torch.bitwise_or),
    Row(logic.bitwise_xor, (whole(9, 5), 5), torch=torch.bitwise_xor),
    Row(logic.bitwise_not, (whole(9, 5),), torch=torch.bitwise_not),
    Row(logic.isnan, (np.array([1.0, np.nan, np.inf]),), torch=torch.isnan),
    Row(logic.isinf, (np.array([1.0, np.nan, -np.inf]),), torch=torch.isinf),
    Row(logic.isfinite, (np.array([1.0, np.nan, np.inf]),), torch=torch.isfinite),
    Row(logic.less, (normal(2, 0), normal(0)), torch=torch.lt),
    Row(logic.logical_xor, (condition, condition[0]), torch=torch.logical_xor),
    Row(logic.logical_xor, (whole(2, 5), normal(5)), torch=torch.logical_xor),
    Row(logic.left_shift, (whole(9, 5), whole(3, 2, 1)), torch=torch.bitwise_left_shift),
    Row(logic.right_shift, (whole(9, 5), 2), torch=torch.bitwise_right_shift),
    Row(logic.close, (strange, strange * (1 + 1e-6)), {"rtol": 1e-5, "atol": 1e-8, "equal_nan": True},
        torch=lambda x, y: torch.isclose(x, y, equal_nan=True)),
    Row(logic.close, (normal(2, 3), normal(3)), {"rtol": 0.0, "atol": 0.5, "equal_nan": False},
        torch=lambda x, y: torch.isclose(x, y, 0.0, 0.5)),
]  # fmt: skip
