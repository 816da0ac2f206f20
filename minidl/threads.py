"""Long arrays shared out among threads: a loop of NumPy's runs in one, and lets others work meanwhile.

Convolutions and optimizers compute the same bits for any number of threads; what is cut into slices is added up by
BLAS, which may round otherwise where there are more rows or fewer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def in_threads(work: Callable[..., None], parts: Sequence[Any], *given: Any, multiply: bool = False) -> None:
    """work(*part, *given) for each of the parts, in several threads; no two parts may write to the same place.

    `multiply` says that `work` multiplies matrices: each thread then does so alone.
    """
    count = min(get_num_threads(), len(parts)) or 1
    on_gpu = bool(given) and not isinstance(given[0], (np.ndarray, list))
    if on_gpu or hasattr(_here, "helper") or (multiply and not blas.library()):
        count = 1  # a GPU has threads of its own, and a helper would wait for itself

    def some(first: int) -> None:
        for part in parts[first::count]:
            work(*part, *given)

    if count > 1:
        blas.let_sleep()
    with blas.one_thread() if multiply and count > 1 else nullcontext():
        # Each in a copy of the caller's context, where np.errstate is kept.
        others = [_threads().submit(copy_context().run, some, k) for k in range(1, count)]
        try:
            some(0)
        finally:
            for other in others:
                other.result()


def in_slices(function: Callable[..., Any], x: Any, *others: Any, axis: Sequence[int], **settings: Any) -> Any:
    """function(x, *others, axis=axis, **settings), a tuple of arrays; of a long x in slices along another dimension.

    Only for what treats all places in the dimensions that are not in `axis` alike, and keeps these dimensions.
    """
    arrays, words = [x, *others], {"axis": axis, **settings}
    free = [d - x.ndim for d in range(x.ndim) if d not in axis and d - x.ndim not in axis]
    if not all(y is None or isinstance(y, np.ndarray) for y in arrays) or x.size < LONG or not free:
        return function(*arrays, **words)
    d = max(free, key=lambda d: x.strides[d])  # the slowest
    n, nothing = x.shape[d], _part(arrays, d, 0, 0)
    given = {id(part): whole for part, whole in zip(nothing, arrays, strict=True)}  # results that are no new ones
    results = [given.get(id(y), y) for y in function(*nothing, **_part(words, d, 0, 0))]  # says what there will be
    new = [None if any(y is whole for whole in arrays) else _longer(y, d, x) for y in results]
    count = max(1, min(get_num_threads(), x.size // (LONG // 2), n // 2))  # NumPy adds up otherwise where n is 1
    parts = [(n * k // count, n * (k + 1) // count) for k in range(count)]
    in_threads(_slice, parts, new, d, function, arrays, words, multiply=True)  # for sums are products, see sums.py
    return tuple([y if y_new is None else y_new for y, y_new in zip(results, new, strict=True)])


def _longer(y: Any, d: int, x: Any) -> Any:
    """An empty array like y, but as long as x in that dimension."""
    shape = y.shape[:d] + x.shape[d:][:1] + y.shape[y.ndim + d + 1 :]
    return np.empty_like(x) if shape == x.shape else np.empty(shape, y.dtype)


def _slice(start: int, end: int, new: Any, d: int, function: Any, arrays: Any, words: Any) -> None:
    found = function(*_part(arrays, d, start, end), **_part(words, d, start, end))
    for whole, result in zip(new, found, strict=True):
        if whole is not None:
            _part(whole, d, start, end)[...] = result


def _part(x: Any, d: int, start: int, end: int) -> Any:
    """Some places of arrays along a dimension, which is counted from the last; of what has one place there, that."""
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
    if _pool is None:
        many = max(1, get_num_threads() - 1)  # and the one that calls
        _pool = ThreadPoolExecutor(many, "minidl", initializer=partial(setattr, _here, "helper", True))
    return _pool


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # a child has none of its parent's threads
