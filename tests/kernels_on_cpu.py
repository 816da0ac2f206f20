"""CuPy's RawKernel for the stand-in: the CUDA source, built by g++ behind cuda_on_cpu.h, runs on the CPU."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from stand_in_graphs import launch

SHIM = Path(__file__).with_name("cuda_on_cpu.h")
COMPILER = shutil.which("g++")


@cache
def built(code: str) -> ctypes.CDLL:
    """The kernels of a source as functions of the CPU."""
    names = re.findall(r'extern "C" __global__ void (\w+)', code)
    return ctypes.CDLL(str(compiled("\n".join([SHIM.read_text(), code, *[f"LAUNCH({name})" for name in names]]))))


def compiled(text: str) -> Path:
    """The shared library of a source in C++; one that was built before is used again."""
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"minidl-kernels-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{key}.so"
    if not library.exists():
        ours = library.with_suffix(f".{os.getpid()}")
        command = [COMPILER, "-x", "c++", "-std=c++20", "-O1", "-shared", "-fPIC", "-Werror"]
        subprocess.run([*command, "-o", ours, "-"], input=text, text=True, check=True)
        ours.replace(library)
    return library


class RawKernel:
    """A kernel by its name; called as CuPy's with (blocks,), (threads,) and the arguments."""

    def __init__(self, code: str, name: str, options: tuple[str, ...] = ()) -> None:
        self.launch = getattr(built(code), f"launch_{name}")

    def __call__(self, grid: tuple[int], block: tuple[int], args: tuple[Any, ...]) -> None:
        values = [_marshalled(x) for x in args]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(x) for x in values])
        arrays = [x for x in args if hasattr(x, "memory")]
        alive = values, [x.numbers for x in arrays]
        launch(lambda: self.launch(*grid, *block, pointers) or alive, arrays)


def _marshalled(x: Any) -> Any:
    """The argument in the bytes that CuPy hands to CUDA."""
    if type(x) in (int, float):
        return (ctypes.c_int64 if type(x) is int else ctypes.c_double)(x)
    if isinstance(x, np.ndarray):
        assert x.size == 1, "of NumPy's arrays a kernel sees one entry, by value"
        return (ctypes.c_char * x.nbytes).from_buffer_copy(x)
    numbers = x.numbers
    assert numbers.flags.c_contiguous, "a kernel sees nothing of a view"
    return ctypes.c_void_p(numbers.ctypes.data)
