"""The threads that compute NumPy's matrix products, where OpenBLAS does it, as in the wheels for Linux and macOS.

After each product they keep a processor busy for some 30 ms, waiting for the next one.  That serves small networks,
but where minidl's own threads share a step's work with them, it would cost more than all threads can gain.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

TIMEOUT = "14"  # they wait for 2 to the power of this, in cycles of the processor: about 6 microseconds
_SETTINGS = {"OPENBLAS_THREAD_TIMEOUT", "GOTO_THREAD_TIMEOUT", "THREAD_TIMEOUT"}
_PTHREADS = 1  # what OpenBLAS calls threads of its own; others would belong to OpenMP

_lock = threading.Lock()
_inside, _before = 0, 0  # how many blocks of `one_thread` there are, and the number of threads before the first


@cache
def library() -> Any:
    """`get_num_threads` and its like of OpenBLAS, by these names; None if NumPy's products are computed by another."""
    try:
        found = ctypes.CDLL(importlib.import_module("numpy._core._multiarray_umath").__file__ or "")
    except (ImportError, OSError, AttributeError):
        return None
    for name in ("scipy_openblas_{}64_", "openblas_{}64_", "openblas_{}"):  # as NumPy's wheels name them, and others
        if hasattr(found, name.format("get_parallel")) and found[name.format("get_parallel")]() == _PTHREADS:
            return {word: found[name.format(word)] for word in ("get_num_threads", "set_num_threads")} | {"all": found}
    return None


@cache
def let_sleep() -> None:
    """Tell the threads to sleep from now on when there is nothing to do; every product then has to wake them.

    Nobody is told where an environment variable of OpenBLAS says how long they are to wait.
    """
    if _SETTINGS & os.environ.keys() or not (openblas := library()):
        return
    os.environ["OPENBLAS_THREAD_TIMEOUT"] = TIMEOUT
    try:
        openblas["all"].openblas_read_env()
        openblas["all"].blas_thread_shutdown_()  # as before a fork; the next product starts them anew
    except AttributeError:  # a version that hides them
        pass
    finally:
        del os.environ["OPENBLAS_THREAD_TIMEOUT"]


@contextmanager
def one_thread() -> Iterator[None]:
    """In the block, whoever asks for a matrix product computes it alone."""
    global _inside, _before
    openblas = library()
    with _lock:
        if not _inside:
            _before = openblas["get_num_threads"]()
            openblas["set_num_threads"](1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                openblas["set_num_threads"](_before)
