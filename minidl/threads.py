"""Long arrays shared out among threads: a loop of NumPy's runs in one, and lets others work meanwhile.

What is computed entry by entry is the same to the last bit, however many threads there are; products and sums BLAS may
round otherwise where it works in a thread of minidl's.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np

from minidl import blas

LONG = 1 << 17  # entries of an array that is worth sharing: below, waking the others costs more than they do

_count = 0  # 0: not asked for yet


class _Here(threading.local):
    """What is true of the present thread."""

    helper = False


_here = _Here()

# What the helpers are to call, each with the queue that waits for its answer: an error, or None.  Handed over in this
# way, work begins in less than half the time that a pool of concurrent.futures takes.
_tasks: SimpleQueue[tuple[Callable[[], None], SimpleQueue[BaseException | None]]] = SimpleQueue()
_helpers, _lock = 0, threading.Lock()


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


def in_threads(work: Callable[..., None], parts: Sequence[Any], *given: Any, multiply: bool = False) -> None:
    """work(*part, *given) for each of the parts, in several threads; no two parts may write to the same place.

    `multiply` says that `work` multiplies matrices: each thread then does so alone, and so do all others meanwhile.
    """
    count = min(get_num_threads(), len(parts)) or 1
    on_gpu = bool(given) and not isinstance(given[0], (np.ndarray, list))
    if on_gpu or _here.helper or (multiply and not blas.library()) or sys.is_finalizing():
        count = 1  # a GPU has threads of its own, a helper would wait for itself, and at the very end nobody helps

    def some(first: int) -> None:
        for part in parts[first::count]:
            work(*part, *given)

    if count == 1:
        return some(0)
    blas.let_sleep()
    count = 1 + _helpers_up_to(count - 1)
    answers = SimpleQueue[BaseException | None]()
    with blas.one_thread() if multiply else nullcontext():
        for k in range(1, count):  # each in a copy of the caller's context, where np.errstate is kept
            _tasks.put((partial(copy_context().run, some, k), answers))
        try:
            some(0)
        finally:  # even if it fails: nobody is to write or multiply behind the caller's back
            errors = [answers.get() for _ in range(1, count)]
    for error in filter(None, errors):
        try:
            raise error
        finally:
            del error, errors  # they hold this frame, and it them: the arrays would stay until garbage is collected


def _helpers_up_to(count: int) -> int:
    """Start the helpers that are missing; how many there are then, at most `count`."""
    global _helpers
    try:
        while _helpers < count:
            with _lock:
                if _helpers < count:
                    threading.Thread(target=_worker, args=(_tasks,), name=f"minidl {_helpers}", daemon=True).start()
                    _helpers += 1
    except RuntimeError:  # at the end of a program, or where the system has no more threads
        pass
    return min(_helpers, count)


def _worker(tasks: SimpleQueue[Any]) -> None:
    """Do what comes, as long as the program runs."""
    _here.helper = True
    while True:
        task, answers = tasks.get()
        try:
            task()
            answers.put(None)
        except BaseException as error:
            answers.put(error)
        del task, answers  # or their arrays would be kept until the next


def shares(n: int, size: int) -> list[tuple[int, int]]:
    """0 to n cut into one (start, end) for each thread; into fewer if `size`, of all, is less than LONG for each."""
    count = max(1, min(get_num_threads(), size // LONG, n // 2))
    return [(n * k // count, n * (k + 1) // count) for k in range(count)]


def rows(x: Any) -> list[tuple[int, int]]:
    """Shares of the first dimension of x, which on a GPU stays whole."""
    return shares(len(x), x.size if isinstance(x, np.ndarray) else 0)


def by_entry(function: Callable[..., Any], x: Any, *others: Any) -> Any:
    """function(x, *others), which works entry by entry; of long arrays of one shape threads ask it for parts, `out`."""
    if x.size < 2 * LONG or not isinstance(x, np.ndarray):
        return function(x, *others)
    arrays = [x, *others]
    d = _slowest(x, range(x.ndim))
    if any(np.shape(y) not in ((), x.shape) for y in others) or len(parts := shares(x.shape[d], x.size)) < 2:
        return function(x, *others)
    out = np.empty_like(x, function(*_part(arrays, d - x.ndim, 0, 0)).dtype)
    in_threads(_fill, parts, out, d - x.ndim, function, arrays)
    return out


def _slowest(x: Any, dims: Sequence[int]) -> int:
    """That of the dimensions whose neighbours lie farthest apart."""
    return max(dims, key=lambda d: (x.shape[d] > 1, abs(x.strides[d])))


def _fill(start: int, end: int, out: Any, d: int, function: Any, arrays: Any) -> None:
    function(*_part(arrays, d, start, end), out=_part(out, d, start, end))


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
    d = _slowest(x, free)
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


def _alone() -> None:
    """A child process has none of its parent's threads."""
    global _tasks, _helpers, _lock
    _tasks, _helpers, _lock = SimpleQueue(), 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alone)
