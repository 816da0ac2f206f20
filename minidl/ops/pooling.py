"""Pooling of images with any number of dimensions: the largest entry or the sum of what a window sees.

Each op's derivative has a name of its own; see windows.py for the layout in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl import kernels, threads
from minidl.autograd import op
from minidl.backend import Array, array_module
from minidl.ops.windows import Window, batch_first, batch_last, framed, new_frame


def _joined(xp: Any, join: Any, x: Array, window: Window) -> Array:
    """What each window sees, joined by `join`, say np.add: (C, *frame, N) -> (C, *out, N)."""
    out = xp.empty((len(x), *window.out, x.shape[-1]), x.dtype)
    threads.in_threads(_join, threads.rows(x), out, x, join, window)
    return out


def _join(start: int, end: int, out: Array, x: Array, join: Any, window: Window) -> None:
    (first, *others), out, x = window.places, out[start:end], x[start:end]
    out[...] = x[first]
    for place in others:
        join(out, x[place], out=out)


# -- the largest entry --------------------------------------------------------------------------------------------
# The gradient goes to the first largest entry of each window; picking those entries from another array is the
# adjoint of that.


def _lowest(dtype: Any) -> float:
    """What surrounds the image, so that no window finds it the largest."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


@op
def max_pool(xp, x, *, window):
    """The largest entry in each window: (N, C, *size) -> (N, C, *out)."""
    if kernels.fit(xp, x):
        return batch_first(kernels.max_pool(xp, batch_last(x), window))
    return batch_first(_joined(xp, xp.maximum, framed(xp, batch_last(x), window, _lowest(x.dtype)), window))


@op
def max_pool_input(xp, g, x, out, *, window):
    """g (N, C, *out) added where max_pool(x) found out, zeros elsewhere: (N, C, *size)."""
    g, x = xp.ascontiguousarray(batch_last(g)), batch_last(x)
    if kernels.fit(xp, g, x):
        return batch_first(kernels.max_pool_input(xp, g, x, batch_last(out), window))
    x = framed(xp, x, window, _lowest(x.dtype))
    covered = window.tiles and x.size == g.size * len(window.places)  # each place is seen once, and written to
    frame = (xp.empty if covered else xp.zeros)(x.shape, g.dtype)
    threads.in_threads(_give_to_winners, threads.rows(x), frame, g, x, batch_last(out), window)
    return batch_first(frame[window.image])


def _give_to_winners(start: int, end: int, frame: Array, g: Array, x: Array, out: Array, window: Window) -> None:
    """Add g to the frame where x equals out, of some channels."""
    frame, g = frame[start:end], g[start:end]
    for place, chosen in _winners(x[start:end], out[start:end], window):
        if window.tiles:
            array_module(g).multiply(g, chosen, out=frame[place])
        else:
            frame[place] += g * chosen


@op
def max_pool_pick(xp, y, x, out, *, window):
    """The entries of y (N, C, *size) where max_pool(x) found out: (N, C, *out)."""
    if kernels.fit(xp, x, y):
        return batch_first(kernels.max_pool_pick(xp, batch_last(y), batch_last(x), batch_last(out), window))
    picked, y = xp.zeros_like(batch_last(out)), framed(xp, batch_last(y), window)
    for place, chosen in _winners(framed(xp, batch_last(x), window, _lowest(x.dtype)), batch_last(out), window):
        picked += y[place] * chosen
    return batch_first(picked)


def _winners(x: Array, out: Array, window: Window) -> Iterator[tuple[tuple[slice, ...], Array]]:
    """For each entry of the kernel: the places in x it meets, and where it is the first that equals out."""
    free = array_module(x).ones(out.shape, bool)
    for place in window.places:
        chosen = x[place] == out
        chosen &= free
        free ^= chosen
        yield place, chosen


max_pool.vjps(lambda g, out, x, window: max_pool_input(g, x, out, window=window))
max_pool_input.vjps(lambda g, spread, y, x, out, window: max_pool_pick(g, x, out, window=window), None, None)
max_pool_pick.vjps(lambda g, picked, y, x, out, window: max_pool_input(g, x, out, window=window), None, None)


# -- the mean -----------------------------------------------------------------------------------------------------


@op
def avg_pool(xp, x, *, window, divisor):
    """The sum of each window, zeros around the image, over `divisor`: (N, C, *size) -> (N, C, *out)."""
    if kernels.fit(xp, x):
        return batch_first(kernels.sum_pool(xp, batch_last(x), window) * (1 / divisor))
    wide = x.astype(np.float32) if x.dtype == np.float16 else x  # the sum of a window may be too large for a half
    out = _joined(xp, xp.add, framed(xp, batch_last(wide), window), window)
    return batch_first(xp.multiply(out, 1 / divisor, out=out)).astype(x.dtype, copy=False)


@op
def avg_pool_input(xp, g, *, window, divisor):
    """Each entry of g (N, C, *out), over `divisor`, added to all that its window saw: (N, C, *size)."""
    g = batch_last(g) * (1 / divisor)
    if kernels.fit(xp, g):
        return batch_first(kernels.sum_pool_input(xp, g, window))
    frame = new_frame(xp, g.shape[0], g.shape[-1], window, g.dtype)
    for place in window.places:
        frame[place] += g
    return batch_first(frame[window.image])


avg_pool.vjps(lambda g, out, x, **settings: avg_pool_input(g, **settings))
avg_pool_input.vjps(lambda g, out, y, **settings: avg_pool(g, **settings))
