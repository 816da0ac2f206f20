"""Ops that slide a window over images: convolution and pooling.

Images are (N, C, H, W) to the outside; inside, the batch is the innermost dimension, (C, H, W, N), because long
contiguous runs are what NumPy copies, compares and multiplies fast.  The results are transposed views of such
arrays, so the next window op finds the layout it wants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minidl.autograd import op
from minidl.backend import Array

# Columns are made for so many output rows at a time that one block stays in a core's second-level cache.
_BLOCK_BYTES = 1 << 20


class Window(NamedTuple):
    """How a window moves over an image; each field has two entries, for height and width."""

    size: tuple[int, int]  # of the image
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))  # before and after
    dilation: tuple[int, int] = (1, 1)

    @property
    def out(self) -> tuple[int, int]:
        """How many positions the window takes."""
        rows, columns = (
            (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, (before, after), dilation in zip(*self, strict=True)
        )
        return rows, columns

    def reach(self, i: int, j: int, rows: slice = slice(None)) -> tuple[slice, slice]:
        """The places of the padded image that entry (i, j) of the kernel meets, for the given output rows."""
        start, stop, _ = rows.indices(self.out[0])
        top, left = i * self.dilation[0], j * self.dilation[1]
        return (slice(top + start * self.stride[0], top + (stop - 1) * self.stride[0] + 1, self.stride[0]),
                slice(left, left + (self.out[1] - 1) * self.stride[1] + 1, self.stride[1]))  # fmt: skip

    def offsets(self) -> Iterator[tuple[int, int]]:
        """The entries of the kernel, row by row."""
        return ((i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1]))


def _batch_last(x: Array) -> Array:
    return x.transpose(1, 2, 3, 0)  # (N, C, H, W) -> (C, H, W, N)


def _batch_first(x: Array) -> Array:
    return x.transpose(3, 0, 1, 2)  # (C, H, W, N) -> (N, C, H, W)


def _padded(xp: Any, x: Array, window: Window, value: float = 0) -> Array:
    """x, (C, H, W, N), with a frame of `value` around each image."""
    (top, bottom), (left, right) = window.padding
    if not (top or bottom or left or right):
        return x
    channels, height, width, batch = x.shape
    frame = xp.full((channels, top + height + bottom, left + width + right, batch), value, dtype=x.dtype)
    _inner(frame, window)[...] = x
    return frame


def _inner(x: Array, window: Window) -> Array:
    """The image inside its frame."""
    (top, _), (left, _) = window.padding
    return x[:, top : top + window.size[0], left : left + window.size[1]]


# -- convolution ------------------------------------------------------------------------------------------------
# Three ops that are each other's derivatives: y = x * w is linear in x and in w, and conv2d_input and
# conv2d_weight are its adjoints in them.


def _blocks(xp: Any, x: Array, window: Window, groups: int) -> Iterator[tuple[slice, slice, Array]]:
    """The windows of x as columns, a block of output rows at a time.

    Gives (rows, their places among all columns, columns (groups, C/groups·kh·kw, rows·Wo·N)).
    """
    channels, _, _, batch = x.shape
    (kh, kw), (height, width) = window.kernel, window.out
    (sh, sw), (dh, dw) = window.stride, window.dilation
    c, h, w, n = x.strides
    windows = xp.lib.stride_tricks.as_strided(
        x, (channels, kh, kw, height, width, batch), (c, h * dh, w * dw, h * sh, w * sw, n)
    )
    for rows, places in _row_blocks(xp, window, channels, batch, x.itemsize):
        yield rows, places, windows[:, :, :, rows].reshape(groups, channels // groups * kh * kw, -1)


def _row_blocks(xp: Any, window: Window, channels: int, batch: int, itemsize: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of output rows, and their places among all columns; on a GPU everything at once."""
    (kh, kw), (height, width) = window.kernel, window.out
    row_bytes = channels * kh * kw * width * batch * itemsize
    step = max(1, _BLOCK_BYTES // max(1, row_bytes)) if xp is np else height
    for start in range(0, height, step):
        stop = min(start + step, height)
        yield slice(start, stop), slice(start * width * batch, stop * width * batch)


def _grouped(xp: Any, g: Array, groups: int) -> Array:
    """(N, O, Ho, Wo) -> (groups, O/groups, Ho·Wo·N)."""
    return xp.ascontiguousarray(_batch_last(g)).reshape(groups, g.shape[1] // groups, -1)


@op
def conv2d(xp, x, w, b=None, *, window, groups=1):
    """The cross-correlation of x (N, C, H, W) with w (O, C/groups, kh, kw), plus b (O,): (N, O, Ho, Wo)."""
    outputs, (height, width), batch = w.shape[0], window.out, x.shape[0]
    out = xp.empty((groups, outputs // groups, height * width * batch), x.dtype)
    w = w.reshape(groups, outputs // groups, -1)
    for _, places, columns in _blocks(xp, _padded(xp, _batch_last(x), window), window, groups):
        xp.matmul(w, columns, out=out[:, :, places])
    if b is not None:
        out += b.reshape(groups, -1, 1)
    return _batch_first(out.reshape(outputs, height, width, batch))


@op
def conv2d_input(xp, g, w, *, window, groups=1):
    """The gradient of conv2d at its input: each g (N, O, Ho, Wo) added to all that its window saw: (N, C, H, W)."""
    batch, channels, (height, width) = g.shape[0], w.shape[1] * groups, window.size
    (top, bottom), (left, right) = window.padding
    frame = xp.zeros((channels, top + height + bottom, left + width + right, batch), g.dtype)
    g = _grouped(xp, g, groups)
    w = w.reshape(groups, w.shape[0] // groups, -1).swapaxes(1, 2)
    for rows, places in _row_blocks(xp, window, channels, batch, g.itemsize):
        columns = xp.matmul(w, g[:, :, places])
        columns = columns.reshape(channels, *window.kernel, -1, window.out[1], batch)
        for i, j in window.offsets():
            frame[:, *window.reach(i, j, rows)] += columns[:, i, j]
    return _batch_first(_inner(frame, window))


@op
def conv2d_weight(xp, g, x, *, window, groups=1):
    """The gradient of conv2d at its weight: (N, O, Ho, Wo), (N, C, H, W) -> (O, C/groups, kh, kw)."""
    outputs, channels = g.shape[1], x.shape[1]
    total = xp.zeros((groups, outputs // groups, channels // groups * window.kernel[0] * window.kernel[1]), g.dtype)
    g = _grouped(xp, g, groups)
    for _, places, columns in _blocks(xp, _padded(xp, _batch_last(x), window), window, groups):
        total += xp.matmul(g[:, :, places], columns.swapaxes(1, 2))
    return total.reshape(outputs, channels // groups, *window.kernel)


conv2d.vjps(lambda g, out, x, w, b=None, **settings: conv2d_input(g, w, **settings),
            lambda g, out, x, w, b=None, **settings: conv2d_weight(g, x, **settings),
            lambda g, out, x, w, b=None, **settings: g.sum(axis=(0, 2, 3)))
conv2d_input.vjps(lambda g, out, y, w, **settings: conv2d(g, w, **settings),
                  lambda g, out, y, w, **settings: conv2d_weight(y, g, **settings))
conv2d_weight.vjps(lambda g, out, y, x, **settings: conv2d(x, g, **settings),
                   lambda g, out, y, x, **settings: conv2d_input(y, g, **settings))


# -- max pooling --------------------------------------------------------------------------------------------------
# The gradient goes to the first largest entry of each window; picking those entries from another array is the
# adjoint of that.


@op
def max_pool2d(xp, x, *, window):
    """The largest entry in each window: (N, C, H, W) -> (N, C, Ho, Wo)."""
    x = _padded(xp, _batch_last(x), window, -np.inf)
    first, *others = window.offsets()
    out = x[:, *window.reach(*first)].copy()
    for offset in others:
        xp.maximum(out, x[:, *window.reach(*offset)], out=out)
    return _batch_first(out)


@op
def max_unpool2d(xp, g, x, out, *, window):
    """g (N, C, Ho, Wo) added where max_pool2d(x) found out, zeros elsewhere: (N, C, H, W)."""
    g, x = _batch_last(g), _batch_last(x)
    frame = _padded(xp, xp.zeros_like(x), window)
    for places, chosen in _winners(xp, x, out, window):
        frame[:, *places] += g * chosen
    return _batch_first(_inner(frame, window))


@op
def max_pick2d(xp, y, x, out, *, window):
    """The entries of y (N, C, H, W) where max_pool2d(x) found out: (N, C, Ho, Wo)."""
    picked, y = xp.zeros_like(_batch_last(out)), _padded(xp, _batch_last(y), window)
    for places, chosen in _winners(xp, _batch_last(x), out, window):
        picked += y[:, *places] * chosen
    return _batch_first(picked)


def _winners(xp: Any, x: Array, out: Array, window: Window) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """For each entry of the kernel: the places it meets, and where it is the first that equals the largest."""
    x, out = _padded(xp, x, window, -np.inf), _batch_last(out)
    free = xp.ones(out.shape, bool)
    for offset in window.offsets():
        places = window.reach(*offset)
        chosen = (x[:, *places] == out) & free
        free ^= chosen
        yield places, chosen


max_pool2d.vjps(lambda g, out, x, window: max_unpool2d(g, x, out, window=window))
max_unpool2d.vjps(lambda g, unpooled, y, x, out, window: max_pick2d(g, x, out, window=window), None, None)
max_pick2d.vjps(lambda g, picked, y, x, out, window: max_unpool2d(g, x, out, window=window), None, None)


# -- average pooling ----------------------------------------------------------------------------------------------


@op
def avg_pool2d(xp, x, *, window):
    """The mean of each window, padding counted as zeros: (N, C, H, W) -> (N, C, Ho, Wo)."""
    x = _padded(xp, _batch_last(x), window)
    first, *others = window.offsets()
    out = x[:, *window.reach(*first)].copy()
    for offset in others:
        out += x[:, *window.reach(*offset)]
    out *= 1 / (window.kernel[0] * window.kernel[1])
    return _batch_first(out)


@op
def avg_unpool2d(xp, g, *, window):
    """Each entry of g (N, C, Ho, Wo) spread evenly over its window: (N, C, H, W)."""
    g = _batch_last(g) * (1 / (window.kernel[0] * window.kernel[1]))
    (top, bottom), (left, right) = window.padding
    (height, width), (channels, _, _, batch) = window.size, g.shape
    frame = xp.zeros((channels, top + height + bottom, left + width + right, batch), g.dtype)
    for offset in window.offsets():
        frame[:, *window.reach(*offset)] += g
    return _batch_first(_inner(frame, window))


avg_pool2d.vjps(lambda g, out, x, window: avg_unpool2d(g, window=window))
avg_unpool2d.vjps(lambda g, out, y, window: avg_pool2d(g, window=window))
