"""How a window slides over images, and the two ops that take what it sees apart and put it together again.

Images have any number of dimensions.  To the outside they are (N, C, *size), as (N, C, H, W); inside, the batch is
the innermost dimension, (C, *size, N), because long contiguous runs are what NumPy copies, compares and multiplies
fast.  The results are transposed views of such arrays, so the next window op finds the layout it wants.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from minidl import kernels
from minidl.autograd import op
from minidl.backend import Array


@dataclass(frozen=True)
class Window:
    """How a window moves over an image; each field has one entry per dimension of the image.

    The image lies in a frame: `padding` places before it, and behind it as many as the last window reaches.
    """

    size: tuple[int, ...]  # of the image
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    out: tuple[int, ...]  # how many positions the window takes

    @cached_property
    def frame(self) -> tuple[int, ...]:
        """The size of the image in its frame."""
        reach = [(o - 1) * s + d * (k - 1) + 1 for k, s, d, o in self._moves]
        return tuple(max(p + n, end) for p, n, end in zip(self.padding, self.size, reach, strict=True))

    @cached_property
    def image(self) -> tuple[slice, ...]:
        """Where the image lies in its frame (C, *frame, N)."""
        return (slice(None), *[slice(p, p + n) for p, n in zip(self.padding, self.size, strict=True)])

    @cached_property
    def places(self) -> list[tuple[slice, ...]]:
        """For each entry of the kernel, in order: the places of the frame (C, *frame, N) that it meets."""
        sides = [[slice(i * d, i * d + (o - 1) * s + 1, s) for i in range(k)] for k, s, d, o in self._moves]
        return [(slice(None), *place) for place in itertools.product(*sides)]

    @cached_property
    def tiles(self) -> bool:
        """Whether no place is seen twice."""
        return all(d == 1 and k <= s for k, s, d, _ in self._moves)

    @property
    def _moves(self) -> list[tuple[int, int, int, int]]:
        return list(zip(self.kernel, self.stride, self.dilation, self.out, strict=True))


def batch_last(x: Array) -> Array:
    return x.transpose((*range(1, x.ndim), 0))  # (N, C, *size) -> (C, *size, N)


def batch_first(x: Array) -> Array:
    return x.transpose((x.ndim - 1, *range(x.ndim - 1)))  # (C, *size, N) -> (N, C, *size)


def framed(xp: Any, x: Array, window: Window, value: float = 0) -> Array:
    """x, (C, *size, N), in a frame of `value`: (C, *frame, N)."""
    if window.frame == window.size:
        return x
    frame = new_frame(xp, x.shape[0], x.shape[-1], window, x.dtype, value)
    frame[window.image] = x
    return frame


def new_frame(xp: Any, channels: int, batch: int, window: Window, dtype: Any, value: float = 0) -> Array:
    """An array for framed images, (C, *frame, N), full of `value`."""
    shape = (channels, *window.frame, batch)
    return xp.full(shape, value, dtype) if value else xp.zeros(shape, dtype)


def all_seen(xp: Any, x: Array, window: Window) -> Array:
    """What each entry of the kernel meets at each position of x (C, *size, N): (C, *kernel, *out, N).

    On NumPy a view of the image in its frame, to be copied in blocks; on a GPU a copy.
    """
    if kernels.fit(xp, x):
        return kernels.im2col(xp, x, window)
    x = framed(xp, x, window)
    channel, *steps, batch = x.strides
    shape = (x.shape[0], *window.kernel, *window.out, x.shape[-1])
    inside = [step * d for step, d in zip(steps, window.dilation, strict=True)]
    onwards = [step * s for step, s in zip(steps, window.stride, strict=True)]
    return xp.lib.stride_tricks.as_strided(x, shape, (channel, *inside, *onwards, batch))


@op
def unfold(xp, x, *, window):
    """What the window sees at each position as a column: (N, C, *size) -> (N, C·kernel, out), both flattened."""
    seen = all_seen(xp, batch_last(x), window)
    rows, columns = x.shape[1] * math.prod(window.kernel), math.prod(window.out)
    return batch_first(seen.reshape(rows, columns, x.shape[0]))


@op
def fold(xp, columns, *, window):
    """Columns added to all that their windows saw: (N, C·kernel, out) -> (N, C, *size)."""
    batch, channels = columns.shape[0], columns.shape[1] // math.prod(window.kernel)
    seen = batch_last(columns).reshape(channels, len(window.places), *window.out, batch)
    if kernels.fit(xp, columns):
        return batch_first(kernels.col2im(xp, seen, window))
    frame = new_frame(xp, channels, batch, window, columns.dtype)
    for i, place in enumerate(window.places):
        frame[place] += seen[:, i]
    return batch_first(frame[window.image])


unfold.vjps(lambda g, out, x, window: fold(g, window=window))
fold.vjps(lambda g, out, columns, window: unfold(g, window=window))
