"""The threads that compute NumPy's matrix products, where OpenBLAS does it, as in NumPy's wheels for Linux.

After each product they keep a processor busy for some 30 ms, waiting for the next one.  That serves small networks,
but where minidl's own threads share a step's work with them, it would cost more than all threads can gain.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

TIMEOUT = "14"  # they wait for 2 to the power of this, in cycles of the processor: about 6 microseconds
_SETTINGS = {"OPENBLAS_THREAD_TIMEOUT", "GOTO_THREAD_TIMEOUT", "THREAD_TIMEOUT"}
_PTHREADS = 1  # what OpenBLAS calls threads of its own; others would belong to OpenMP

_WAITING = os.path.dirname(threading.__file__), os.path.join(os.path.dirname(__file__), "threads.py")

_told = False
_lock = threading.Lock()
_inside, _before = 0, 0  # how many blocks of `one_thread` there are, and the number of threads before the first


class OpenBLAS(NamedTuple):
    """The library, and two of its functions, whose names differ."""

    library: Any
    get_num_threads: Any
    set_num_threads: Any


@cache
def library() -> OpenBLAS | None:
    """None if NumPy's products are computed by another library, or its functions cannot be found."""
    try:  # PyDLL: no thread of Python can begin a product during a call
        found = ctypes.PyDLL(importlib.import_module("numpy._core._multiarray_umath").__file__ or "")
    except (ImportError, OSError, AttributeError):
        return None
    for name in ("scipy_openblas_{}64_", "openblas_{}64_", "openblas_{}"):  # as NumPy's wheels name them, and others
        if hasattr(found, name.format("get_parallel")) and found[name.format("get_parallel")]() == _PTHREADS:
            return OpenBLAS(found, found[name.format("get_num_threads")], found[name.format("set_num_threads")])
    return None


def let_sleep() -> None:
    """Tell the threads to sleep from now on when there is nothing to do; every product then has to wake them.

    Nobody is told where an environment variable of OpenBLAS says how long they are to wait.  While another thread of
    Python may be waiting for a product, which it would then do forever, this waits for a later call.
    """
    global _told
    if _told:
        return
    openblas = library()
    with _lock:
        if _told or not all(map(_waits, sys._current_frames().items())):
            return
        _told = True
        if not openblas or _SETTINGS & os.environ.keys():
            return
        os.environ["OPENBLAS_THREAD_TIMEOUT"] = TIMEOUT
        try:
            openblas.library.openblas_read_env()
            openblas.library.blas_thread_shutdown_()  # as before a fork; the next product starts them anew
        except AttributeError:  # a version that hides them
            pass
        finally:
            del os.environ["OPENBLAS_THREAD_TIMEOUT"]


def _waits(thread: tuple[int, Any]) -> bool:
    """Whether a thread is this one, or waits for something else than a product: for work, say, or to draw a bar."""
    number, frame = thread
    code = frame.f_code
    idle = code.co_name in ("wait", "get", "select", "_worker") and code.co_filename.startswith(_WAITING)
    return number == threading.get_ident() or idle or f"{os.sep}ipykernel{os.sep}" in code.co_filename


@contextmanager
def one_thread() -> Iterator[None]:
    """In the block, whoever asks for a matrix product computes it alone; there must be OpenBLAS."""
    global _inside, _before
    openblas = library()
    assert openblas
    with _lock:
        if not _inside:
            _before = openblas.get_num_threads()
            openblas.set_num_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                openblas.set_num_threads(_before)


def _as_before() -> None:
    """A child was forked while threads of its parent, which it does not have, multiplied alone."""
    global _lock, _inside
    if _inside and (openblas := library()):
        openblas.set_num_threads(_before)
    _lock, _inside = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_as_before)
