"""Long arrays shared out among threads: a loop of NumPy's runs in one, and lets others work meanwhile.

What is computed entry by entry is the same to the last bit, however many threads there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

LINE = 16  # entries of float32 in a line of the cache: no two threads write to the same one

_count = 0  # 0: not asked for yet
_pool: ThreadPoolExecutor | None = None


def get_num_threads() -> int:
    """How many threads share long arrays: one for each processor, or OMP_NUM_THREADS, or as `set_num_threads` said."""
    global _count
    if not _count:
        said = os.environ.get("OMP_NUM_THREADS", "")
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _count = int(said) if said.isdecimal() and int(said) else usable
    return _count


def set_num_threads(num: int) -> None:
    """Let `num` threads share long arrays (RuntimeError for less than one); matrix products have BLAS's own.

    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    """
    global _count
    if type(num) is not int or num < 1:
        raise RuntimeError(f"set_num_threads: expected a whole number from 1, got {num!r}")
    _count = num
    if _pool is not None:
        _pool.shutdown(wait=False)
    _forget_pool()


def in_threads(work: Callable[[int, int, int], None], n: int, least: int) -> None:
    """work(k, start, end) on equal parts of range(n), of at least `least` entries, the k-th in a thread of its own."""
    count = max(1, min(get_num_threads(), n // least))
    size = -(-n // (count * LINE)) * LINE
    parts = [(k, k * size, min(n, (k + 1) * size)) for k in range(count)]
    # Each in a copy of the caller's context, where np.errstate is kept.
    others = [_threads().submit(partial(copy_context().run, work, *part)) for part in parts[1:]]
    try:
        work(*parts[0])
    finally:
        for other in others:
            other.result()


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, get_num_threads() - 1), "minidl")  # and the one that calls
    return _pool


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # a child has none of its parent's threads
