"""Rows of the ops that slide a window over images."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from op_rows.row import Row, distinct, normal

from minidl.ops import convolution, pooling, windows
from minidl.ops.windows import Window

# size, kernel, stride, padding, dilation, out
line = Window((7,), (3,), (2,), (1,), (2,), (3,))
windowed = Window((7, 6), (3, 2), (2, 1), (1, 0), (1, 2), (4, 5))  # the last window reaches beyond the image
volume = Window((3, 4, 3), (2, 2, 3), (1, 2, 1), (0, 0, 1), (1, 1, 1), (2, 2, 3))
pool = Window((6, 6), (2, 2), (2, 2), (0, 0), (1, 1), (3, 3))
overlapping = Window((5, 6), (3, 3), (2, 2), (1, 1), (1, 1), (3, 3))
beyond = Window((6,), (3,), (2,), (0,), (1,), (3,))  # as with ceil_mode


def torch_conv(window: Window, groups: int = 1) -> Callable[..., Any]:
    """PyTorch's convolution of the image in its frame."""
    convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(window.size)]
    around = [
        side
        for n, frame, p in zip(window.size[::-1], window.frame[::-1], window.padding[::-1], strict=True)
        for side in (p, frame - p - n)
    ]
    return lambda x, w, b=None: convolve(F.pad(x, around), w, b, window.stride, 0, window.dilation, groups)


DIFFERENTIABLE = [
    Row(convolution.convolution, (normal(2, 4, 7, 6), normal(3, 4, 3, 2), normal(3)), {"window": windowed},
        torch=torch_conv(windowed)),
    Row(convolution.convolution, (normal(2, 4, 7, 6), normal(6, 2, 3, 2)), {"window": windowed, "groups": 2},
        torch=torch_conv(windowed, 2), label="groups"),
    Row(convolution.convolution, (normal(2, 3, 7), normal(4, 3, 3), normal(4)), {"window": line},
        torch=torch_conv(line), label="1d"),
    Row(convolution.convolution, (normal(2, 2, 3, 4, 3), normal(3, 2, 2, 2, 3), normal(3)), {"window": volume},
        torch=torch_conv(volume), label="3d"),
    Row(convolution.convolution, (normal(0, 3, 7), normal(4, 3, 3)), {"window": line}, torch=torch_conv(line),
        label="empty"),
    Row(convolution.convolution_input, (normal(2, 3, 4, 5), normal(3, 4, 3, 2)), {"window": windowed}),
    Row(convolution.convolution_input, (normal(2, 4, 3), normal(4, 3, 3)), {"window": line},
        torch=lambda g, w: F.conv_transpose1d(g, w, None, 2, 1, 0, 1, 2), label="1d"),
    Row(convolution.convolution_weight, (normal(2, 3, 4, 5), normal(2, 4, 7, 6)), {"window": windowed}),
    Row(windows.unfold, (normal(2, 3, 5, 6),), {"window": overlapping}, torch=lambda x: F.unfold(x, 3, 1, 1, 2)),
    Row(windows.fold, (normal(2, 27, 9),), {"window": overlapping},
        torch=lambda x: F.fold(x, (5, 6), 3, 1, 1, 2)),
    Row(pooling.max_pool, (distinct(2, 3, 6, 6),), {"window": pool}, torch=lambda x: F.max_pool2d(x, 2)),
    Row(pooling.max_pool, (distinct(2, 3, 5, 6),), {"window": overlapping},
        torch=lambda x: F.max_pool2d(x, 3, 2, 1), label="overlapping"),
    Row(pooling.max_pool, (distinct(2, 3, 6),), {"window": beyond},
        torch=lambda x: F.max_pool1d(x, 3, 2, ceil_mode=True), label="beyond"),
    Row(pooling.avg_pool, (normal(2, 3, 6, 6),), {"window": pool, "divisor": 4}, torch=lambda x: F.avg_pool2d(x, 2)),
    Row(pooling.avg_pool, (normal(2, 3, 5, 6),), {"window": overlapping, "divisor": 9},
        torch=lambda x: F.avg_pool2d(x, 3, 2, 1), label="overlapping"),
    Row(pooling.avg_pool, (normal(2, 3, 6),), {"window": beyond, "divisor": 3},
        torch=lambda x: F.avg_pool1d(F.pad(x, (0, 1)), 3, 2), label="beyond"),
    Row(pooling.avg_pool_input, (normal(2, 3, 3, 3),), {"window": pool, "divisor": 4}),
]  # fmt: skip

_pooled = distinct(2, 3, 5, 6)
_largest = pooling.max_pool(_pooled, window=overlapping)
DIFFERENTIABLE += [
    Row(pooling.max_pool_input, (normal(2, 3, 3, 3), _pooled, _largest), {"window": overlapping}, fixed=(1, 2)),
    Row(pooling.max_pool_pick, (normal(2, 3, 5, 6), _pooled, _largest), {"window": overlapping}, fixed=(1, 2)),
]
WITHOUT_DERIVATIVE = [
    Row(pooling.max_pool, (distinct(1, 2, 5, 6).astype(int),), {"window": overlapping},
        torch=lambda x: F.max_pool2d(x.to(torch.int64), 3, 2, 1), label="whole numbers"),
]  # fmt: skip
