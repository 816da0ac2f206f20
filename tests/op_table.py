"""The table of ops: every generic test runs over each row.  A new op joins by a row here.

A row names the op, inputs on which it is smooth, its settings, and the function of PyTorch that it must equal.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from minidl.ops import elementwise as e
from minidl.ops import fused, indexing, products, reductions, shapes, windows
from minidl.ops.windows import Window


@dataclass
class Row:
    op: Callable[..., Any]
    inputs: tuple[Any, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    torch: Callable[..., Any] | None = None  # of the inputs alone; None: an adjoint, checked as its op's derivative
    label: str = ""
    fixed: tuple[int, ...] = ()  # positions of float inputs that the op is not differentiable in

    def __str__(self) -> str:
        shapes = "x".join(str(getattr(x, "shape", x)).replace(" ", "") for x in self.inputs)
        return f"{self.op.__name__}-{self.label or shapes}"


_random = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return _random.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    return _random.uniform(0.5, 2.0, shape)


def distinct(*shape: int) -> np.ndarray:
    """No two entries nearer than 0.1, and none nearer to 0 than 0.05: finite differences see no kink."""
    size = int(np.prod(shape))
    return (_random.permutation(size).reshape(shape) - size // 2 + 0.5) * 0.1


def whole(high: int, *shape: int) -> np.ndarray:
    return _random.integers(0, high, shape)


condition = np.array([[True, False, True], [False, True, True]])
repeated = np.array([[0, 2], [2, 2]])
mask = np.array([True, False, True, True])
windowed = Window((7, 6), (3, 2), (2, 1), ((1, 2), (0, 1)), (1, 2))
pool = Window((6, 6), (2, 2), (2, 2))
overlapping = Window((5, 6), (3, 3), (2, 2), ((1, 1), (1, 1)))


def torch_conv(window: Window, groups: int = 1) -> Callable[..., Any]:
    (top, bottom), (left, right) = window.padding
    return lambda x, w, b=None: F.conv2d(
        F.pad(x, (left, right, top, bottom)), w, b, window.stride, 0, window.dilation, groups
    )


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
    Row(shapes.reshape, (normal(2, 6),), {"shape": (3, -1)}, torch=lambda x: x.reshape(3, -1)),
    Row(shapes.transpose, (normal(2, 3, 4),), {"axes": (2, 0, 1)}, torch=lambda x: x.permute(2, 0, 1)),
    Row(shapes.transpose, (normal(2, 3, 4),), {"axes": (-1, 0, 1)}, torch=lambda x: x.permute(-1, 0, 1), label="-1"),
    Row(shapes.broadcast_to, (normal(3, 1),), {"shape": (2, 3, 4)}, torch=lambda x: x.expand(2, 3, 4)),
    Row(shapes.spread, (normal(3, 1), normal(2, 3, 4)), torch=lambda x, like: x.expand_as(like), fixed=(1,)),
    Row(shapes.concatenate, (normal(2, 3), normal(2, 1), normal(2, 2)), {"axis": 1},
        torch=lambda *x: torch.cat(x, 1)),
    Row(shapes.concatenate, (normal(1, 2), normal(3, 2)), {"axis": -2}, torch=lambda *x: torch.cat(x, -2)),
    Row(indexing.take, (normal(4, 3),), {"index": (slice(1, None), 0)}, torch=lambda x: x[1:, 0], label="slices"),
    Row(indexing.take, (normal(4, 3),), {"index": (..., None)}, torch=lambda x: x[..., None], label="new dimension"),
    Row(indexing.take, (normal(4, 3),), {"index": mask}, torch=lambda x: x[torch.tensor(mask)], label="mask"),
    Row(indexing.take, (normal(4, 3),), {"index": repeated}, torch=lambda x: x[torch.tensor(repeated)],
        label="repeated"),
    Row(indexing.take, (normal(4, 3),), {"index": (repeated, repeated.T)},
        torch=lambda x: x[torch.tensor(repeated), torch.tensor(repeated.T)], label="pairs"),
    Row(indexing.put, (normal(2, 2, 3),), {"index": repeated, "shape": (4, 3)},
        torch=lambda x: torch.zeros(4, 3, dtype=x.dtype).index_put((torch.tensor(repeated),), x, accumulate=True)),
    Row(indexing.put, (normal(2, 3),), {"index": slice(1, 3), "shape": (4, 3)},
        torch=lambda x: F.pad(x, (0, 0, 1, 1)), label="slice"),
    Row(indexing.replaced, (normal(4, 3), normal(3)), {"index": slice(1, 3)},
        torch=lambda x, v: torch.cat([x[:1], v.expand(2, 3), x[3:]])),
    Row(indexing.take_along_axis, (normal(2, 4), whole(4, 2, 5)), {"axis": 1},
        torch=lambda x, i: torch.take_along_dim(x, i, 1)),
    Row(indexing.put_along_axis, (normal(2, 5), whole(4, 2, 5)), {"axis": 1, "length": 4},
        torch=lambda x, i: torch.zeros(2, 4, dtype=x.dtype).scatter_add(1, i, x)),
    Row(reductions.sum, (normal(2, 3, 4),), torch=torch.sum),
    Row(reductions.sum, (normal(2, 3, 4),), {"axis": (0, -1)}, torch=lambda x: x.sum((0, -1)), label="two"),
    Row(reductions.sum, (normal(2, 3),), {"axis": 1, "keepdims": True}, torch=lambda x: x.sum(1, True), label="kept"),
    Row(reductions.mean, (normal(2, 3, 4),), torch=torch.mean),
    Row(reductions.mean, (normal(2, 3, 4),), {"axis": 1}, torch=lambda x: x.mean(1), label="one"),
    Row(reductions.var, (normal(2, 5),), torch=torch.var),
    Row(reductions.var, (normal(2, 5, 3),), {"axis": (0, 2), "keepdims": True, "correction": 0},
        torch=lambda x: x.var((0, 2), correction=0, keepdim=True), label="two"),
    Row(reductions.amax, (distinct(2, 3, 4),), torch=torch.amax),
    Row(reductions.amax, (distinct(2, 3, 4),), {"axis": (0, 2)}, torch=lambda x: x.amax((0, 2)), label="two"),
    Row(reductions.amin, (distinct(3, 4),), {"axis": -1, "keepdims": True}, torch=lambda x: x.amin(-1, True)),
    Row(reductions.logsumexp, (normal(3, 4),), {"axis": 1}, torch=lambda x: x.logsumexp(1)),
    Row(reductions.logsumexp, (normal(3, 4),), torch=lambda x: x.logsumexp((0, 1)), label="all"),
    Row(products.matrix_product, (normal(3, 2), normal(2, 4)), torch=torch.matmul),
    Row(products.matrix_product, (normal(5, 3, 2), normal(2, 4)), torch=torch.matmul),
    Row(products.matrix_product, (normal(1, 3, 2), normal(5, 1, 2, 4)), torch=torch.matmul),
    Row(products.matmul, (normal(3), normal(3)), torch=torch.matmul),
    Row(products.matmul, (normal(3), normal(2, 3, 4)), torch=torch.matmul),
    Row(products.matmul, (normal(2, 4, 3), normal(3)), torch=torch.matmul),
    Row(fused.linear, (normal(4, 3), normal(2, 3), normal(2)), torch=F.linear),
    Row(fused.linear, (normal(2, 4, 3), normal(2, 3)), torch=F.linear),
    Row(fused.linear, (normal(3), normal(2, 3), normal(2)), torch=F.linear),
    Row(fused.softmax, (normal(3, 4),), {"axis": 1}, torch=lambda x: x.softmax(1)),
    Row(fused.softmax, (normal(3, 4, 2),), {"axis": 0}, torch=lambda x: x.softmax(0)),
    Row(fused.log_softmax, (normal(3, 4),), {"axis": -1}, torch=lambda x: x.log_softmax(-1)),
    Row(fused.softmax_cross_entropy, (normal(5, 4), whole(4, 5)),
        torch=lambda x, t: F.cross_entropy(x, t, reduction="none")),
    Row(fused.binary_cross_entropy, (_random.uniform(0.1, 0.9, (2, 3)), _random.uniform(0.1, 0.9, (2, 3))),
        torch=lambda p, y: F.binary_cross_entropy(p, y, reduction="none")),
    Row(fused.normalize, (normal(5, 3), normal(3), positive(3), normal(3), normal(3)), {"eps": 1e-3},
        torch=lambda x, m, v, w, b: (x - m) / torch.sqrt(v + 1e-3) * w + b),
    Row(fused.normalize, (normal(5, 3), normal(3), positive(3)), {"eps": 1e-3},
        torch=lambda x, m, v: (x - m) / torch.sqrt(v + 1e-3), label="no weight"),
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
    Row(reductions.argmax, (distinct(3, 4),), {"axis": 1}, torch=lambda x: x.argmax(1)),
    Row(reductions.argmin, (distinct(3, 4),), torch=torch.argmin),
    Row(reductions.all, (condition,), {"axis": 0}, torch=lambda x: x.all(0)),
    Row(reductions.any, (condition,), torch=torch.any),
    Row(indexing.one_hot_float, (whole(4, 3),), {"classes": 4, "dtype": "float64"},
        torch=lambda i: F.one_hot(i, 4).double()),
]  # fmt: skip
