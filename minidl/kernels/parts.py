"""Many arrays treated by one kernel: the table that says where each of them lies, and the norm of all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from minidl.backend import Array, address
from minidl.kernels import THREADS, contiguous, launch

PARTS = 96  # arrays in a launch: their table must stay below the 4 KiB that a kernel can be given
EACH = 16  # entries that a thread adds up, at least
_TABLE = np.dtype([*[(name, "i8", PARTS) for name in ("w", "g", "start", "end")], ("count", "i8")])


def tables(ws: Sequence[Array], gs: Sequence[Array], starts: Sequence[int]) -> Iterator[tuple[Array, int, int]]:
    """The structs of parts.cu for contiguous arrays that start at these places, with the first place and the length."""
    for few in [slice(first, first + PARTS) for first in range(0, len(ws), PARTS)]:
        addresses = tuple([address(w) for w in ws[few]]), tuple([address(g) for g in gs[few]])
        places, sizes = tuple(starts[few]), tuple([w.size for w in ws[few]])
        yield _table(*addresses, places, sizes), places[0], places[-1] + sizes[-1] - places[0]


@lru_cache(256)
def _table(ws: tuple[int, ...], gs: tuple[int, ...], places: tuple[int, ...], sizes: tuple[int, ...]) -> Array:
    """Memory is used again, so that most steps find their gradients where the last one did."""
    table, start = np.zeros(1, _TABLE), [place - places[0] for place in places]
    fields = dict(w=ws, g=gs, start=start, end=[a + n for a, n in zip(start, sizes, strict=True)])
    for name, values in fields.items():
        table[name][0, : len(ws)] = values
    table["count"] = len(ws)
    return table


def clipped(xp: Any, gs: Sequence[Array], max_norm: float) -> tuple[Array, list[Array]]:
    """The norm of the arrays as one vector, and the arrays scaled so that it is at most `max_norm`."""
    gs = [contiguous(xp, g) for g in gs]
    *starts, total = accumulate([g.size for g in gs], initial=0)
    dtype, found = gs[0].dtype, [*tables(gs, gs, starts)]
    sums, norm, out = (xp.empty(n, dtype) for n in (-(-total // (EACH * THREADS)) + len(found), 2, total))
    used = 0
    for table, _, count in found:
        blocks = -(-count // (EACH * THREADS))
        launch(xp, "parts", "squares", blocks, THREADS, (table,), sums[used : used + blocks], count)
        used += blocks
    launch(xp, "parts", "clipping", 1, THREADS, (sums[:used],), norm, used, float(max_norm))
    for table, start, count in found:
        place = out[start : start + count]
        launch(xp, "parts", "scaled", -(-count // THREADS), THREADS, (table, norm), place, count)
    smaller = [out[start : start + g.size].reshape(g.shape) for start, g in zip(starts, gs, strict=True)]
    return norm[:1].reshape(()), smaller
