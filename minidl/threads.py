"""Long arrays shared out among threads: a loop of NumPy's runs in one, and lets others work meanwhile.

What is computed entry by entry is the same to the last bit, however many threads there are; products and sums BLAS may
round otherwise where it works in a thread of minidl's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any

import numpy as np

from minidl import blas

LONG = 1 << 18  # entries of an array that is worth sharing: below, waking the others costs more than they do

_count = 0  # 0: not asked for yet
_pool: ThreadPoolExecutor | None = None
_here = threading.local()


def get_num_threads() -> int:
    """How many threads share long arrays: one for each processor, or OMP_NUM_THREADS, or as `set_num_threads` said."""
    global _count
    if not _count:
        said = os.environ.get("OMP_NUM_THREADS", "")
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _count = int(said) if said.isdecimal() and int(said) else usable
    return _count


def set_num_threads(num: int) -> None:
    """Let `num` threads share long arrays (RuntimeError for less than one); most matrix products have BLAS's own.

    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    """
    global _count
    if isinstance(num, bool) or not hasattr(num, "__index__") or num < 1:
        raise RuntimeError(f"set_num_threads: expected a whole number from 1, got {num!r}")
    _count = int(num)
    _forget_pool()  # its threads end when nobody waits for them any more


def in_threads(work: Callable[..., None], parts: Sequence[Any], *given: Any, multiply: bool = False) -> None:
    """work(*part, *given) for each of the parts, in several threads; no two parts may write to the same place.

    `multiply` says that `work` multiplies matrices: each thread then does so alone, and so do all others meanwhile.
    """
    count = min(get_num_threads(), len(parts)) or 1
    on_gpu = bool(given) and not isinstance(given[0], (np.ndarray, list))
    if on_gpu or hasattr(_here, "helper") or (multiply and not blas.library()):
        count = 1  # a GPU has threads of its own, and a helper would wait for itself

    def some(first: int) -> None:
        for part in parts[first::count]:
            work(*part, *given)

    if count == 1:
        return some(0)
    blas.let_sleep()
    pool, others, own = _threads(), list[Future[None]](), [0]
    with blas.one_thread() if multiply else nullcontext():
        for k in range(1, count):
            try:  # each in a copy of the caller's context, where np.errstate is kept
                others.append(pool.submit(copy_context().run, some, k))
            except RuntimeError:  # at the end of a program nobody takes work any more
                own.append(k)
        try:
            for k in own:
                some(k)
        finally:
            wait(others)  # even if one fails: from here on nobody writes or multiplies any more
        for other in others:
            other.result()


def shares(n: int, size: int) -> list[tuple[int, int]]:
    """0 to n cut into one (start, end) for each thread; into fewer if `size`, of all, is less than LONG for each."""
    count = max(1, min(get_num_threads(), size // LONG, n // 2))
    return [(n * k // count, n * (k + 1) // count) for k in range(count)]


def in_slices(function: Callable[..., Any], x: Any, *others: Any, axis: Sequence[int], **settings: Any) -> Any:
    """function(x, *others, axis=axis, **settings), a tuple of arrays; of a long x in slices along another dimension.

    Only for what treats all places in the dimensions that are not in `axis` alike, and keeps these dimensions.  The
    function is first called on slices of no length: they show what its results are like, and which are its arguments.
    """
    arrays, words = [x, *others], {"axis": axis, **settings}
    free = [d - x.ndim for d in range(x.ndim) if d not in axis and d - x.ndim not in axis]
    long = free and all(y is None or isinstance(y, np.ndarray) for y in arrays) and x.size >= LONG
    if not long:
        return function(*arrays, **words)
    d = max(free, key=lambda d: (x.shape[d] > 1, x.strides[d]))  # the slowest
    n = x.shape[d]
    if len(parts := shares(n, 2 * x.size)) < 2:
        return function(*arrays, **words)
    nothing = _part(arrays, d, 0, 0)
    given = {id(part): whole for part, whole in zip(nothing, arrays, strict=True)}
    results = [given.get(id(y), y) for y in function(*nothing, **_part(words, d, 0, 0))]
    new = [None if any(y is whole for whole in arrays) else _longer(y, d, x) for y in results]
    in_threads(_slice, parts, new, d, function, arrays, words, multiply=True)  # for sums are products, see sums.py
    return tuple([y if y_new is None else y_new for y, y_new in zip(results, new, strict=True)])


def _longer(y: Any, d: int, x: Any) -> Any:
    """An empty array like y, but as long as x in that dimension."""
    shape = y.shape[:d] + x.shape[d:][:1] + y.shape[y.ndim + d + 1 :]
    return np.empty_like(x, y.dtype) if shape == x.shape else np.empty(shape, y.dtype)


def _slice(start: int, end: int, new: Any, d: int, function: Any, arrays: Any, words: Any) -> None:
    found = function(*_part(arrays, d, start, end), **_part(words, d, start, end))
    for whole, result in zip(new, found, strict=True):
        if whole is not None:
            _part(whole, d, start, end)[...] = result


def _part(x: Any, d: int, start: int, end: int) -> Any:
    """x[start:end] along dimension d, counted from the last, of all arrays in x; one with 1 place there stays whole."""
    if type(x) is list:
        return [_part(y, d, start, end) for y in x]
    if type(x) is dict:
        return {name: _part(y, d, start, end) for name, y in x.items()}
    if not isinstance(x, np.ndarray) or x.ndim < -d or x.shape[d] == 1:
        return x
    behind: list[Any] = [slice(None)] * (-1 - d)
    return x[(..., slice(start, end), *behind)]


def _threads() -> ThreadPoolExecutor:
    global _pool
    if (pool := _pool) is None:
        many = max(1, get_num_threads() - 1)  # and the one that calls
        _pool = pool = ThreadPoolExecutor(many, "minidl", initializer=partial(setattr, _here, "helper", True))
    return pool


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # a child has none of its parent's threads
