"""Memory for what a recorded step computes: one block, whose places are used again when nobody reads them any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minidl.backend import LINE, Array, aligned
from minidl.replay.notes import Call, arrays_in, place, root

LARGE = 2**14  # bytes: below, NumPy takes longer to see that a result may lie on its operand than the cache gives back


def shared(calls: Sequence[Call], movable: set[int]) -> Callable[[Array], Array]:
    """A function from each array of the calls to the one to be used instead.

    Of the memory that is `movable` (ids of roots) that which the calls write to is moved.
    """
    written = {id(root(call.out)) for call in calls if call.out is not None} & movable
    roots: dict[int, Array] = {}
    first, last = dict[int, int](), dict[int, int]()
    for i, call in enumerate(calls):
        for x in arrays_in((call.inputs, call.words, call.out)):
            owner = root(x)
            if id(owner) in written:
                roots[id(owner)] = owner
                first.setdefault(id(owner), i)
                last[id(owner)] = i
    starts = _starts(calls, roots, first, last)
    block = aligned(np, max((starts[key] + roots[key].nbytes for key in roots), default=0), np.dtype(np.uint8))

    def moved(x: Array) -> Array:
        if (key := id(root(x))) not in starts or not x.size:
            return x
        return np.ndarray(x.shape, x.dtype, block.data, starts[key] + place(x)[0], x.strides)

    return moved


def _starts(
    calls: Sequence[Call], roots: dict[int, Array], first: dict[int, int], last: dict[int, int]
) -> dict[int, int]:
    """Where in the block each root begins: in the place of an operand that it may overwrite, or in the first gap."""
    starts: dict[int, int] = {}
    living: list[tuple[int, int, int]] = []  # begin, end, id
    for key in sorted(roots, key=first.__getitem__):
        now = first[key]
        before = _overwritten(calls[now], key, roots, last, now)
        living = sorted(part for part in living if last[part[2]] >= now and part[2] != before)
        start = starts[before] if before is not None else 0
        if before is None:
            for begin, end, _ in living:
                if start + roots[key].nbytes <= begin:
                    break
                start = max(start, -(-end // LINE) * LINE)
        starts[key] = start
        living.append((start, start + roots[key].nbytes, key))
    return starts


def _overwritten(call: Call, key: int, roots: dict[int, Array], last: dict[int, int], now: int) -> int | None:
    """The root of an operand of an entry-by-entry call that is read for the last time, and lies as the result does."""
    if call.how != "into" or not isinstance(call.function, np.ufunc) or call.function.signature or call.words:
        return None
    out, operands = call.out, list(arrays_in(call.inputs))
    if id(root(out)) != key or root(out).nbytes != out.nbytes or out.nbytes < LARGE:
        return None
    for x in operands:
        owner = id(root(x))
        dying = owner != key and owner in roots and last[owner] == now and root(x).nbytes == x.nbytes
        if dying and all(place(y) == place(out) for y in operands if id(root(y)) == owner):
            return owner
    return None
