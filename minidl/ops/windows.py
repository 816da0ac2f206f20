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

# Columns are made for so many output rows at a time that a block stays in a core's second-level cache.
_BLOCK_BYTES = 1 << 19


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

    def places(self) -> list[tuple[slice, slice]]:
        """For each entry of the kernel, row by row: the places of the padded image that it meets."""
        down, across = (
            [slice(k * dilation, k * dilation + (out - 1) * stride + 1, stride) for k in range(kernel)]
            for out, kernel, stride, dilation in zip(self.out, self.kernel, self.stride, self.dilation, strict=True)
        )
        return [(rows, columns) for rows in down for columns in across]

    @property
    def tiles(self) -> bool:
        """Whether no place is seen twice."""
        return self.dilation == (1, 1) and all(k <= s for k, s in zip(self.kernel, self.stride, strict=True))


def _batch_last(x: Array) -> Array:
    return x.transpose(1, 2, 3, 0)  # (N, C, H, W) -> (C, H, W, N)


def _batch_first(x: Array) -> Array:
    return x.transpose(3, 0, 1, 2)  # (C, H, W, N) -> (N, C, H, W)


def _padded(xp: Any, x: Array, window: Window, value: float = 0) -> Array:
    """x, (C, H, W, N), with a frame of `value` around each image."""
    (top, bottom), (left, right) = window.padding
    if not (top or bottom or left or right):
        return x
    frame = _frame(xp, x.shape[0], x.shape[3], window, x.dtype, value)
    _inner(frame, window)[...] = x
    return frame


def _frame(xp: Any, channels: int, batch: int, window: Window, dtype: Any, value: float = 0) -> Array:
    """An array for padded images, (C, top + H + bottom, left + W + right, N)."""
    (top, bottom), (left, right), (height, width) = *window.padding, window.size
    shape = (channels, top + height + bottom, left + width + right, batch)
    return xp.full(shape, value, dtype) if value else xp.zeros(shape, dtype)


def _inner(x: Array, window: Window) -> Array:
    """The image inside its frame."""
    (top, _), (left, _) = window.padding
    return x[:, top : top + window.size[0], left : left + window.size[1]]


# -- convolution ------------------------------------------------------------------------------------------------
# Three ops that are each other's derivatives: y = x * w is linear in x and in w, and conv2d_input and
# conv2d_weight are its adjoints in them.


def _blocks(xp: Any, x: Array, window: Window, groups: int) -> Iterator[tuple[slice, Array]]:
    """The windows of x (C, H, W, N) as columns, a block of output rows at a time.

    Gives the places of the block among all columns, and the block: (groups, C/groups·kh·kw, rows·Wo·N).
    """
    channels, _, _, batch = x.shape
    (kh, kw), (height, width) = window.kernel, window.out
    (sh, sw), (dh, dw) = window.stride, window.dilation
    c, h, w, n = x.strides
    windows = xp.lib.stride_tricks.as_strided(
        x, (channels, kh, kw, height, width, batch), (c, h * dh, w * dw, h * sh, w * sw, n)
    )
    row_bytes = channels * kh * kw * width * batch * x.itemsize
    step = max(1, _BLOCK_BYTES // max(1, row_bytes)) if xp is np else height  # a GPU takes all at once
    for start in range(0, height, step):
        rows = windows[:, :, :, start : start + step]
        places = slice(start * width * batch, (start + rows.shape[3]) * width * batch)
        yield places, rows.reshape(groups, channels // groups * kh * kw, -1)


def _grouped(xp: Any, g: Array, groups: int) -> Array:
    """(N, O, Ho, Wo) -> (groups, O/groups, Ho·Wo·N)."""
    return xp.ascontiguousarray(_batch_last(g)).reshape(groups, g.shape[1] // groups, -1)


@op
def conv2d(xp, x, w, b=None, *, window, groups=1):
    """The cross-correlation of x (N, C, H, W) with w (O, C/groups, kh, kw), plus b (O,): (N, O, Ho, Wo)."""
    outputs, (height, width), batch = w.shape[0], window.out, x.shape[0]
    out = xp.empty((groups, outputs // groups, height * width * batch), x.dtype)
    w = w.reshape(groups, outputs // groups, -1)
    b = None if b is None else b.reshape(groups, -1, 1)
    for places, columns in _blocks(xp, _padded(xp, _batch_last(x), window), window, groups):
        block = xp.matmul(w, columns, out=out[:, :, places])
        if b is not None:
            block += b
    return _batch_first(out.reshape(outputs, height, width, batch))


@op
def conv2d_input(xp, g, w, *, window, groups=1):
    """The gradient of conv2d at its input: each g (N, O, Ho, Wo) added to all that its window saw: (N, C, H, W)."""
    batch, outputs, channels = g.shape[0], w.shape[0], w.shape[1] * groups
    frame = _frame(xp, channels, batch, window, g.dtype)
    g = _grouped(xp, g, groups)
    w = w.reshape(groups, outputs // groups, channels // groups, -1).transpose(3, 0, 2, 1).copy()
    share = xp.empty((groups, channels // groups, g.shape[2]), g.dtype)
    for place, entry in zip(window.places(), w, strict=True):  # entry: (groups, C/groups, O/groups)
        seen = frame[:, *place]  # what this entry of the kernel met, everywhere
        seen += xp.matmul(entry, g, out=share).reshape(seen.shape)
    return _batch_first(_inner(frame, window))


@op
def conv2d_weight(xp, g, x, *, window, groups=1):
    """The gradient of conv2d at its weight: (N, O, Ho, Wo), (N, C, H, W) -> (O, C/groups, kh, kw)."""
    outputs, channels = g.shape[1], x.shape[1]
    g = _grouped(xp, g, groups)
    total = sum(
        columns @ g[:, :, places].swapaxes(1, 2)
        for places, columns in _blocks(xp, _padded(xp, _batch_last(x), window), window, groups)
    )  # (groups, C/groups·kh·kw, O/groups)
    return total.swapaxes(1, 2).reshape(outputs, channels // groups, *window.kernel)


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
    first, *others = window.places()
    out = x[:, *first].copy()
    for place in others:
        xp.maximum(out, x[:, *place], out=out)
    return _batch_first(out)


@op
def max_unpool2d(xp, g, x, out, *, window):
    """g (N, C, Ho, Wo) added where max_pool2d(x) found out, zeros elsewhere: (N, C, H, W)."""
    g, x = xp.ascontiguousarray(_batch_last(g)), _batch_last(x)
    frame = _frame(xp, x.shape[0], x.shape[3], window, g.dtype)
    for place, chosen in _winners(xp, x, out, window):
        seen = frame[:, *place]
        if window.tiles:
            xp.multiply(g, chosen, out=seen)
        else:
            seen += g * chosen
    return _batch_first(_inner(frame, window))


@op
def max_pick2d(xp, y, x, out, *, window):
    """The entries of y (N, C, H, W) where max_pool2d(x) found out: (N, C, Ho, Wo)."""
    picked, y = xp.zeros_like(_batch_last(out)), _padded(xp, _batch_last(y), window)
    for place, chosen in _winners(xp, _batch_last(x), out, window):
        picked += y[:, *place] * chosen
    return _batch_first(picked)


def _winners(xp: Any, x: Array, out: Array, window: Window) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """For each entry of the kernel: the places it meets, and where it is the first that equals the largest."""
    x, out = _padded(xp, x, window, -np.inf), _batch_last(out)
    free = xp.ones(out.shape, bool)
    for place in window.places():
        chosen = x[:, *place] == out
        chosen &= free
        free ^= chosen
        yield place, chosen


max_pool2d.vjps(lambda g, out, x, window: max_unpool2d(g, x, out, window=window))
max_unpool2d.vjps(lambda g, unpooled, y, x, out, window: max_pick2d(g, x, out, window=window), None, None)
max_pick2d.vjps(lambda g, picked, y, x, out, window: max_unpool2d(g, x, out, window=window), None, None)


# -- average pooling ----------------------------------------------------------------------------------------------


@op
def avg_pool2d(xp, x, *, window):
    """The mean of each window, padding counted as zeros: (N, C, H, W) -> (N, C, Ho, Wo)."""
    x = _padded(xp, _batch_last(x), window)
    first, *others = window.places()
    out = x[:, *first].copy()
    for place in others:
        out += x[:, *place]
    out *= 1 / (window.kernel[0] * window.kernel[1])
    return _batch_first(out)


@op
def avg_unpool2d(xp, g, *, window):
    """Each entry of g (N, C, Ho, Wo) spread evenly over its window: (N, C, H, W)."""
    g = _batch_last(g) * (1 / (window.kernel[0] * window.kernel[1]))
    frame = _frame(xp, g.shape[0], g.shape[3], window, g.dtype)
    for place in window.places():
        seen = frame[:, *place]
        seen += g
    return _batch_first(_inner(frame, window))


avg_pool2d.vjps(lambda g, out, x, window: avg_unpool2d(g, window=window))
avg_unpool2d.vjps(lambda g, out, y, window: avg_pool2d(g, window=window))
