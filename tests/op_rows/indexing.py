"""Rows of the ops that pick entries by position."""

import numpy as np
import torch
import torch.nn.functional as F
from op_rows.row import Row, normal, whole

from minidl.ops import indexing

repeated = np.array([[0, 2], [2, 2]])
mask = np.array([True, False, True, True])

DIFFERENTIABLE = [
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
    Row(indexing.put, (normal(3, 3),), {"index": mask, "shape": (4, 3)},
        torch=lambda x: torch.zeros(4, 3, dtype=x.dtype).index_put((torch.tensor(mask),), x), label="mask"),
    Row(indexing.put, (normal(2, 1, 2, 2),), {"index": (slice(None), None, repeated), "shape": (2, 4)},
        torch=lambda x: torch.zeros(2, 4, dtype=x.dtype).index_put(
            (torch.arange(2)[:, None, None], torch.tensor(repeated)), x[:, 0], accumulate=True), label="after a slice"),
    Row(indexing.put, (normal(1, 3),), {"index": repeated[0], "shape": (4, 3)},
        torch=lambda x: torch.zeros(4, 3, dtype=x.dtype).index_put((torch.tensor(repeated[0]),), x, accumulate=True),
        label="broadcast"),
    Row(indexing.put, (normal(2, 0),), {"index": repeated[0], "shape": (4, 0)},
        torch=lambda x: torch.cat([x, x])),
    Row(indexing.replaced, (normal(4, 3), normal(3)), {"index": slice(1, 3)},
        torch=lambda x, v: torch.cat([x[:1], v.expand(2, 3), x[3:]])),
    Row(indexing.take_along_axis, (normal(2, 4), whole(4, 2, 5)), {"axis": 1},
        torch=lambda x, i: torch.take_along_dim(x, i, 1)),
    Row(indexing.take_along_axis, (normal(2, 4), whole(4, 1, 3)), {"axis": -1},
        torch=lambda x, i: torch.take_along_dim(x, i, -1), label="index broadcast"),
    Row(indexing.take_along_axis, (normal(1, 4, 2).T, whole(2, 3, 1, 5)), {"axis": 0},
        torch=lambda x, i: torch.take_along_dim(x, i, 0), label="both broadcast"),
    Row(indexing.put_along_axis, (normal(2, 5), whole(4, 2, 5)), {"axis": 1, "length": 4},
        torch=lambda x, i: torch.zeros(2, 4, dtype=x.dtype).scatter_add(1, i, x)),
]  # fmt: skip

WITHOUT_DERIVATIVE = [
    Row(indexing.one_hot_float, (whole(4, 3),), {"classes": 4, "dtype": "float64"},
        torch=lambda i: F.one_hot(i, 4).double()),
    Row(indexing.argwhere, (whole(2, 3, 4),), torch=torch.argwhere),
    Row(indexing.argwhere, (np.array(2.0),), torch=torch.argwhere),
    Row(indexing.argwhere, (np.zeros((0, 2)),), torch=torch.argwhere),
]  # fmt: skip
