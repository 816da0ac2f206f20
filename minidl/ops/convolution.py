"""Convolution of images with any number of dimensions: three ops that are each other's derivatives.

y = x * w is linear in x and in w, and convolution_input and convolution_weight are its adjoints in them.  What the
window sees is copied into columns and multiplied; see windows.py for the layout in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl import kernels
from minidl.autograd import op
from minidl.backend import Array
from minidl.ops.windows import Window, all_seen, batch_first, batch_last, new_frame

# Columns are made for so many output rows at a time that a block stays in a core's second-level cache; on a GPU, which
# is quickest with all of them, that they do not fill its memory.
_BLOCK_BYTES, _BLOCK_BYTES_ON_GPU = 1 << 19, 1 << 28


def _blocks(xp: Any, x: Array, window: Window, groups: int) -> Iterator[tuple[slice, Array]]:
    """What the window sees of x (N, C, *size) as columns, a block at a time: some rows of the first dimension of out.

    Gives the places of the block among all columns, and the block: (groups, C/groups·kernel, columns).
    """
    images, own = batch_last(x), kernels.fit(xp, x)
    seen: Any = None if own else all_seen(xp, images, window)  # (C, *kernel, *out, N)
    height, row = window.out[0], math.prod(window.out[1:]) * x.shape[0]
    entries = x.shape[1] * math.prod(window.kernel)
    step = max(1, (_BLOCK_BYTES if xp is np else _BLOCK_BYTES_ON_GPU) // max(1, entries * row * x.itemsize))
    before = (slice(None),) * (1 + len(window.kernel))
    for start in range(0, height, step):
        end = min(start + step, height)
        columns = kernels.im2col(xp, images, window, start, end) if own else seen[(*before, slice(start, end))]
        yield slice(start * row, end * row), columns.reshape(groups, entries // groups, (end - start) * row)


def _grouped(xp: Any, g: Array, groups: int) -> Array:
    """(N, O, *out) -> (groups, O/groups, out·N)."""
    return xp.ascontiguousarray(batch_last(g)).reshape(groups, g.shape[1] // groups, math.prod(g.shape[2:]) * len(g))


@op
def convolution(xp, x, w, b=None, *, window, groups=1):
    """The cross-correlation of x (N, C, *size) with w (O, C/groups, *kernel), plus b (O,): (N, O, *out)."""
    outputs, batch = w.shape[0], x.shape[0]
    out = xp.empty((groups, outputs // groups, math.prod(window.out) * batch), x.dtype)
    w = w.reshape(groups, outputs // groups, math.prod(w.shape[1:]))
    b = None if b is None else b.reshape(groups, outputs // groups, 1)
    for places, columns in _blocks(xp, x, window, groups):
        block = kernels.matmul(xp, w, columns, out[:, :, places])
        if b is not None:
            block += b
    return batch_first(out.reshape(outputs, *window.out, batch))


@op
def convolution_input(xp, g, w, *, window, groups=1):
    """The gradient of convolution at its input: each g (N, O, *out) added to all that its window saw: (N, C, *size)."""
    batch, outputs, channels = g.shape[0], w.shape[0], w.shape[1] * groups
    g = _grouped(xp, g, groups)
    w = w.reshape(groups, outputs // groups, channels // groups, len(window.places))
    if kernels.fit(xp, g) and channels * len(window.places) * g.nbytes <= outputs * _BLOCK_BYTES_ON_GPU:
        columns = kernels.matmul(xp, w.reshape(groups, outputs // groups, -1).swapaxes(1, 2), g)
        return batch_first(kernels.col2im(xp, columns.reshape(channels, *window.kernel, *window.out, batch), window))
    frame, w = new_frame(xp, channels, batch, window, g.dtype), w.transpose(3, 0, 2, 1).copy()
    share = xp.empty((groups, channels // groups, g.shape[2]), g.dtype)
    for place, entry in zip(window.places, w, strict=True):  # entry: (groups, C/groups, O/groups)
        seen = frame[place]  # what this entry of the kernel met, everywhere
        seen += kernels.matmul(xp, entry, g, share).reshape(seen.shape)
    return batch_first(frame[window.image])


@op
def convolution_weight(xp, g, x, *, window, groups=1):
    """The gradient of convolution at its weight: (N, O, *out), (N, C, *size) -> (O, C/groups, *kernel)."""
    outputs, channels = g.shape[1], x.shape[1]
    g = _grouped(xp, g, groups)
    products = (
        kernels.product(columns, g[:, :, places].swapaxes(1, 2)) for places, columns in _blocks(xp, x, window, groups)
    )  # (groups, C/groups·kernel, O/groups)
    total = sum(products, next(products))
    return total.swapaxes(1, 2).reshape(outputs, channels // groups, *window.kernel)


convolution.vjps(lambda g, out, x, w, b=None, **settings: convolution_input(g, w, **settings),
                 lambda g, out, x, w, b=None, **settings: convolution_weight(g, x, **settings),
                 lambda g, out, x, w, b=None, **settings: g.sum(axis=(0, *range(2, g.ndim))))
convolution_input.vjps(lambda g, out, y, w, **settings: convolution(g, w, **settings),
                       lambda g, out, y, w, **settings: convolution_weight(y, g, **settings))
convolution_weight.vjps(lambda g, out, y, x, **settings: convolution(x, g, **settings),
                        lambda g, out, y, x, **settings: convolution_input(y, g, **settings))
