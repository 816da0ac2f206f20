"""Convolution of images with any number of dimensions: three ops that are each other's derivatives.

y = x * w is linear in x and in w, and convolution_input and convolution_weight are its adjoints in them.  What the
window sees is copied into columns and multiplied; see windows.py for the layout in memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import kernels, threads
from minidl.autograd import op
from minidl.backend import Array, array_module
from minidl.ops.reductions import sum as total
from minidl.ops.shapes import part
from minidl.ops.windows import Window, all_seen, batch_first, batch_last, new_frame

# Columns are made for so many output rows at a time that a block stays in a core's second-level cache, those of the
# input's gradient in the third, for longer products; on a GPU, quickest with all, that they do not fill its memory.
_BLOCK_BYTES, _INPUT_BLOCK_BYTES, _BLOCK_BYTES_ON_GPU = 1 << 19, 1 << 22, 1 << 28


def _blocks(x: Array, channels: int, window: Window, most: int) -> list[tuple[int, int]]:
    """The rows of out that are treated at once: whose columns have about `most` bytes, for images as many as in x."""
    row = channels * math.prod(window.kernel) * math.prod(window.out[1:]) * len(x) * x.itemsize
    step, height = max(1, most // max(1, row)), window.out[0]
    return [(start, min(start + step, height)) for start in range(0, height, step)]


def _seen_in_blocks(xp: Any, x: Array, window: Window) -> tuple[Array, list[tuple[int, int]]]:
    """What `_columns` makes columns of, for images x (N, C, *size), and the blocks to do so in."""
    blocks = _blocks(x, x.shape[1], window, _BLOCK_BYTES if xp is np else _BLOCK_BYTES_ON_GPU)
    return batch_last(x) if kernels.fit(xp, x) else all_seen(xp, batch_last(x), window), blocks


def _columns(seen: Array, start: int, end: int, window: Window, groups: int) -> tuple[slice, Array]:
    """The columns of some rows of out: their places among all, and the block (groups, C/groups·kernel, columns)."""
    if kernels.fit_without_xp(seen):  # images
        block = kernels.im2col(array_module(seen), seen, window, start, end)
    else:
        block = seen[part(1 + len(window.kernel), start, end)]
    row, entries = math.prod(window.out[1:]) * seen.shape[-1], seen.shape[0] * math.prod(window.kernel) // groups
    return slice(start * row, end * row), block.reshape(groups, entries, (end - start) * row)


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
    seen, blocks = _seen_in_blocks(xp, x, window)
    threads.in_threads(_convolve, blocks, out, seen, w, b if xp is np else None, window, multiply=True)
    if b is not None and xp is not np and not kernels.bias_and_relu(xp, out, b):
        out += b
    return batch_first(out.reshape(outputs, *window.out, batch))


def _convolve(start: int, end: int, out: Array, seen: Array, w: Array, b: Array | None, window: Window) -> None:
    places, columns = _columns(seen, start, end, window, len(w))
    block = kernels.matmul(array_module(w), w, columns, out[:, :, places])
    if b is not None:
        block += b  # while it is in the cache


@op
def convolution_input(xp, g, w, *, window, groups=1):
    """The gradient of convolution at its input: each g (N, O, *out) added to all that its window saw: (N, C, *size)."""
    batch, outputs, channels = g.shape[0], w.shape[0], w.shape[1] * groups
    blocks = _blocks(g, channels, window, _INPUT_BLOCK_BYTES if xp is np else _BLOCK_BYTES_ON_GPU)
    g, w = _grouped(xp, g, groups), w.reshape(groups, outputs // groups, channels // groups, len(window.places))
    if kernels.fit(xp, g) and len(blocks) == 1:
        columns = kernels.matmul(xp, w.reshape(groups, outputs // groups, -1).swapaxes(1, 2), g)
        return batch_first(kernels.col2im(xp, columns.reshape(channels, *window.kernel, *window.out, batch), window))
    frame, w = new_frame(xp, channels, batch, window, g.dtype), w.transpose(0, 2, 3, 1)
    entries, axis = g.shape[-1] * channels * len(window.places), int(groups == 1)
    # Of the groups, or of the channels; four entries of columns are as little work as one of what is shared elsewhere.
    parts = [(part(axis, *share),) for share in threads.shares(w.shape[axis], entries // 4 if xp is np else 0)]
    in_groups = frame.reshape(*w.shape[:2], *frame.shape[1:])
    threads.in_threads(_give_back, parts, in_groups, g, w, blocks, window, multiply=True)
    return batch_first(frame[window.image])


def _give_back(some: Any, frame: Array, g: Array, w: Array, blocks: list[tuple[int, int]], window: Window) -> None:
    """Add some of the columns wᵀ g, (groups, C/groups, kernel, out·N), where the window saw them, block by block."""
    frame, g, w, row = frame[some], g[some[:1]], w[some], g.shape[-1] // window.out[0]
    for start, end in blocks:
        x, y = w.reshape(len(w), -1, w.shape[-1]), g[:, :, start * row : end * row]
        # NumPy leaves matrix products along a single entry to a slow loop.
        columns = kernels.matmul(array_module(w), x, y) if w.shape[-1] != 1 else x * y
        columns = columns.reshape(*w.shape[:-1], end - start, *window.out[1:], frame.shape[-1])
        for i, place in enumerate(window.places):
            frame[(slice(None), *place)][:, :, start:end] += columns[:, :, i]


@op
def convolution_weight(xp, g, x, *, window, groups=1):
    """The gradient of convolution at its weight: (N, O, *out), (N, C, *size) -> (O, C/groups, *kernel)."""
    (seen, blocks), outputs, channels = _seen_in_blocks(xp, x, window), g.shape[1], x.shape[1]
    entries = channels // groups * math.prod(window.kernel)
    # During a product of up to 500 entries NumPy lets no other thread work; large ones are slow to add up.
    count = min(len(blocks), 8 if 500 < entries * outputs < 1 << 20 else 1)
    strips = [(i, blocks[i::count]) for i in range(count)]
    sums = xp.empty((count, groups, entries, outputs // groups), x.dtype)
    threads.in_threads(_correlate, strips, sums, seen, _grouped(xp, g, groups), window, multiply=True)
    return (sums[0] if count == 1 else sums.sum(0)).swapaxes(1, 2).reshape(outputs, channels // groups, *window.kernel)


def _correlate(i: int, blocks: list[tuple[int, int]], sums: Array, seen: Array, g: Array, window: Window) -> None:
    for start, end in blocks:
        places, columns = _columns(seen, start, end, window, len(g))
        kernels.matmul(array_module(g), columns, g[:, :, places].swapaxes(1, 2), sums[i], add=start > blocks[0][0])


convolution.vjps(lambda g, out, x, w, b=None, **settings: convolution_input(g, w, **settings),
                 lambda g, out, x, w, b=None, **settings: convolution_weight(g, x, **settings),
                 lambda g, out, x, w, b=None, **settings: total(g, axis=(0, *range(2, g.ndim))))
convolution_input.vjps(lambda g, out, y, w, **settings: convolution(g, w, **settings),
                       lambda g, out, y, w, **settings: convolution_weight(y, g, **settings))
convolution_weight.vjps(lambda g, out, y, x, **settings: convolution(x, g, **settings),
                        lambda g, out, y, x, **settings: convolution_input(y, g, **settings))
