"""Padding: more entries at the ends of the last dimensions, constant or taken from the tensor itself.

PyTorch's order of the numbers is kept: those of the last dimension come first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.autograd import Tensor
from minidl.functional.creation import full
from minidl.functional.shapes import cat
from minidl.ops.elementwise import copied
from minidl.ops.indexing import getitem, put, replaced

MODES = {  # which entry of n is taken at position i, counted from -before to n + after - 1; how far that can reach
    "reflect": (lambda i, n: n - 1 - np.abs(n - 1 - np.abs(i)), lambda n: n - 1),  # the end itself stands once
    "replicate": (lambda i, n: np.clip(i, 0, n - 1), lambda n: np.inf if n else 0),
    "circular": (lambda i, n: i % n, lambda n: n),
}


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with more entries before and after its last dimensions; a negative number takes entries away.

    `pad` is (before, after) of the last dimension, then of the one before it, and so on.  `mode`: "constant" (`value`,
    by default 0), or entries of the tensor: "reflect" (mirrored at the end), "replicate" (the end again and again),
    "circular" (from the other end); these pad the last dimensions of (N, C, ...) or (C, ...).  RuntimeError for
    numbers that do not fit.

    >>> import minidl
    >>> pad(minidl.tensor([[1, 2, 3]]), (1, 2))
    tensor([[0, 1, 2, 3, 0, 0]])
    >>> pad(minidl.tensor([[1, 2, 3]]), (2, 1), "reflect")
    tensor([[3, 2, 1, 2, 3, 2]])
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(f"pad: expected two numbers for each dimension, at most {input.ndim} times, got {pad}")
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2) + list(zip(pad[-2::-2], pad[::-2], strict=True))
    if mode == "constant":
        return _with_constant(input, pairs, value or 0)
    if mode not in MODES or value:
        raise RuntimeError(f'pad: expected "constant" and a value, or one of {[*MODES]}, got {mode!r} and {value}')
    if len(pad) not in (2, 4, 6) or input.ndim - len(pad) // 2 not in (1, 2):
        raise RuntimeError(f"pad: {mode!r} needs numbers for all but the first one or two of {input.shape}, got {pad}")
    if not any(pad):
        return copied(input)
    source, reach = MODES[mode]
    for dim, (n, (before, after)) in enumerate(zip(input.shape, pairs, strict=True)):
        if not (before or after):
            continue
        if max(before, after) > reach(n) or before + n + after < 0:
            raise RuntimeError(f"pad: {mode!r} can add {reach(n)} entries to a length of {n} at most, got {pad}")
        i = np.arange(-before, n + after)
        within = slice(max(-before, 0), max(n + min(after, 0), 0))  # a view; only the ends are picked one by one
        parts = [source(i[i < 0], n), within, source(i[i >= n], n)]
        input = cat([getitem(input, (slice(None),) * dim + (part,)) for part in parts], dim)
    return input


def _with_constant(input: Tensor, pairs: Sequence[tuple[int, int]], value: float) -> Tensor:
    """`input` in a larger tensor filled with `value`, and cut where a number of `pairs` is negative."""
    each = [(n, before, after) for n, (before, after) in zip(input.shape, pairs, strict=True)]
    cut = tuple(slice(max(-before, 0), n - max(-after, 0)) for n, before, after in each)
    if any(part.stop < part.start for part in cut):
        raise RuntimeError(f"pad: expected to take away no more entries than there are, got {pairs} for {input.shape}")
    shape = tuple(n + before + after for n, before, after in each)
    place = tuple(slice(max(before, 0), n + before + min(after, 0)) for n, before, after in each)
    if not value:
        return put(input[cut], index=place, shape=shape)
    return replaced(full(shape, value, dtype=input.dtype, device=input.device), input[cut], index=place)
