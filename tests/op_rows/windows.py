"""Rows of the ops that slide a window over images."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from op_rows.row import Row, distinct, normal

from minidl.ops import windows
from minidl.ops.windows import Window

windowed = Window((7, 6), (3, 2), (2, 1), ((1, 2), (0, 1)), (1, 2))
pool = Window((6, 6), (2, 2), (2, 2))
overlapping = Window((5, 6), (3, 3), (2, 2), ((1, 1), (1, 1)))


def torch_conv(window: Window, groups: int = 1) -> Callable[..., Any]:
    (top, bottom), (left, right) = window.padding
    return lambda x, w, b=None: F.conv2d(
        F.pad(x, (left, right, top, bottom)), w, b, window.stride, 0, window.dilation, groups
    )


DIFFERENTIABLE = [
    Row(windows.conv2d, (normal(2, 4, 7, 6), normal(3, 4, 3, 2), normal(3)), {"window": windowed},
        torch=torch_conv(windowed)),
    Row(windows.conv2d, (normal(2, 4, 7, 6), normal(6, 2, 3, 2)), {"window": windowed, "groups": 2},
        torch=torch_conv(windowed, 2), label="groups"),
    Row(windows.conv2d_input, (normal(2, 3, 4, 5), normal(3, 4, 3, 2)), {"window": windowed}),
    Row(windows.conv2d_weight, (normal(2, 3, 4, 5), normal(2, 4, 7, 6)), {"window": windowed}),
    Row(windows.max_pool2d, (distinct(2, 3, 6, 6),), {"window": pool}, torch=lambda x: F.max_pool2d(x, 2)),
    Row(windows.max_pool2d, (distinct(2, 3, 5, 6),), {"window": overlapping},
        torch=lambda x: F.max_pool2d(x, 3, 2, 1), label="overlapping"),
    Row(windows.avg_pool2d, (normal(2, 3, 6, 6),), {"window": pool}, torch=lambda x: F.avg_pool2d(x, 2)),
    Row(windows.avg_pool2d, (normal(2, 3, 5, 6),), {"window": overlapping},
        torch=lambda x: F.avg_pool2d(x, 3, 2, 1), label="overlapping"),
    Row(windows.avg_unpool2d, (normal(2, 3, 3, 3),), {"window": pool}),
]  # fmt: skip

_pooled = distinct(2, 3, 5, 6)
_largest = windows.max_pool2d(_pooled, window=overlapping)
DIFFERENTIABLE += [
    Row(windows.max_unpool2d, (normal(2, 3, 3, 3), _pooled, _largest), {"window": overlapping}, fixed=(1, 2)),
    Row(windows.max_pick2d, (normal(2, 3, 5, 6), _pooled, _largest), {"window": overlapping}, fixed=(1, 2)),
]
