"""cuBLAS for the stand-in: fake_cublas.cpp, built by g++, checks what it is asked to do, and does it on the CPU."""

import ctypes
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_streams
from kernels_on_cpu import COMPILER, compiled
from stand_in_graphs import capturing, launch

from minidl.kernels import cublas

MULTIPLYING = ("cublasGemmEx_64", "cublasGemmStridedBatchedEx_64")


class Pointer(int):
    """Where the numbers of an array begin; as on a device, that keeps nobody's memory."""

    array: weakref.ref[Any]


def pointer(array: Any) -> Pointer:
    place = Pointer(array.numbers.ctypes.data)
    place.array = weakref.ref(array)
    return place


def install(cupy: Any) -> None:
    """Let minidl find the fake where CuPy's module is linked with cuBLAS; without g++ there is none to be found."""
    if COMPILER is None:
        return
    source = Path(__file__).with_name("fake_cublas.cpp").read_text()
    cupy.cuda.cublas = SimpleNamespace(__file__=str(compiled(source)))
    library = cublas.library(cupy)
    library.stream_of.argtypes, library.stream_of.restype = (ctypes.c_void_p,), ctypes.c_void_p
    for name in MULTIPLYING:
        setattr(library, name, _launched(library, getattr(library, name)))


def _launched(library: ctypes.CDLL, function: Any) -> Callable[..., int]:
    """The function of the fake, run by the "GPU": at once, or noted while a graph is being captured."""

    def call(handle: ctypes.c_void_p, *given: Any) -> int:
        assert (library.stream_of(handle) or 0) == fake_streams.current().ptr, "cuBLAS works on another stream"
        arrays = [x.array() for x in given if isinstance(x, Pointer)]
        assert all(x is not None for x in arrays), "cuBLAS is given memory that was freed"
        plain = [int(x) if isinstance(x, Pointer) else x for x in given]
        noted, alive, status = capturing(), [x.numbers for x in arrays], 0

        def multiply() -> None:
            nonlocal status
            status = function(handle, *plain)
            assert alive and not (noted and status), f"a recorded product fails with status {status}"

        launch(multiply, arrays)
        return status

    return call
