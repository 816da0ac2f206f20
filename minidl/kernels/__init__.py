"""Kernels of minidl's own, for what takes CuPy many small steps: CUDA sources (.cu), and a function that calls each.

The op that needs a kernel asks `fit` first, and else computes as on NumPy.  Nothing here waits for the GPU.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backend import Array

THREADS = 256  # in a block, at most; as many fit into the shared memory that softmax.cu asks for
_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


def fit(xp: Any, *arrays: Array) -> bool:
    """Whether there are kernels for these arrays: on a GPU, and all of float32 or all of float64."""
    return xp is not np and arrays[0].dtype in _TYPES and all(x.dtype == arrays[0].dtype for x in arrays)


def source(file: str, dtype: Any, entries: int = 0) -> str:
    """The CUDA source of a file of kernels, for numbers of `dtype` in arrays of at most so many entries."""
    types = f"typedef {_TYPES[np.dtype(dtype)]} T;\ntypedef {'int' if entries < 2**30 else 'long long'} INDEX;\n"
    return types + "".join(Path(__file__).with_name(name).read_text("utf-8") for name in ("common.cu", f"{file}.cu"))


@cache
def _kernel(xp: Any, file: str, name: str, dtype: Any, large: bool) -> Any:
    return xp.RawKernel(source(file, dtype, large * 2**30), name)  # compiled when it is first called on a device


def _launch(xp: Any, file: str, name: str, blocks: int, threads: int, inputs: Any, out: Array, *numbers: Any) -> Array:
    """`out`, filled by the kernel, which is given the inputs, out, and the numbers."""
    arrays = [xp.ascontiguousarray(x) for x in inputs]
    if out.size:
        kernel = _kernel(xp, file, name, out.dtype, max(x.size for x in (*arrays, out)) >= 2**30)
        kernel((blocks,), (threads,), (*arrays, out, *numbers))
    return out


# -- windows: images are (C, *size, N), what comes of windows is (C, *out, N) -----------------------------------------


@lru_cache(4096)
def _placed(xp: Any, device: int, window: Any) -> Array:
    """How the window moves, in three dimensions, as the struct in windows.cu, on the device."""
    missing = 3 - len(window.size)
    fields = ((window.size, 1), (window.kernel, 1), (window.stride, 1), (window.padding, 0), (window.dilation, 1),
              (window.out, 1))  # fmt: skip
    with xp.cuda.Device(device):
        return xp.array([number for field, none in fields for number in (*(none,) * missing, *field)], dtype=np.int32)


def _over_window(xp: Any, name: str, shape: tuple[int, ...], window: Any, *inputs: Array) -> Array:
    """What the kernel of windows.cu makes of the inputs, an array of that shape; a thread for each of its entries."""
    out = xp.empty(shape, inputs[0].dtype)
    where = _placed(xp, out.device.id, window)
    return _launch(xp, "windows", name, -(-out.size // THREADS), THREADS, inputs, out, out.size, shape[-1], where)


def _image(x: Array, window: Any) -> tuple[int, ...]:
    return (x.shape[0], *window.size, x.shape[-1])


def im2col(xp: Any, x: Array, window: Any) -> Array:
    """All that the windows see: (C, *size, N) -> (C, *kernel, *out, N), zeros outside of the image."""
    return _over_window(xp, "im2col", (x.shape[0], *window.kernel, *window.out, x.shape[-1]), window, x)


def col2im(xp: Any, columns: Array, window: Any) -> Array:
    """Columns added to all that their windows saw: (C, *kernel, *out, N) -> (C, *size, N)."""
    return _over_window(xp, "col2im", _image(columns, window), window, columns)


def sum_pool(xp: Any, x: Array, window: Any) -> Array:
    """The sum of what each window sees."""
    return _over_window(xp, "sum_pool", (x.shape[0], *window.out, x.shape[-1]), window, x)


def sum_pool_input(xp: Any, g: Array, window: Any) -> Array:
    """Each entry of g added to all that its window saw."""
    return _over_window(xp, "sum_pool_input", _image(g, window), window, g)


def max_pool(xp: Any, x: Array, window: Any) -> Array:
    """The largest entry that each window sees."""
    return _over_window(xp, "max_pool", (x.shape[0], *window.out, x.shape[-1]), window, x)


def max_pool_input(xp: Any, g: Array, x: Array, out: Array, window: Any) -> Array:
    """g added where max_pool(x) found out."""
    return _over_window(xp, "max_pool_input", _image(x, window), window, g, x, out)


def max_pool_pick(xp: Any, y: Array, x: Array, out: Array, window: Any) -> Array:
    """The entries of y where max_pool(x) found out."""
    return _over_window(xp, "max_pool_pick", out.shape, window, y, x, out)


# -- rows ------------------------------------------------------------------------------------------------------------


def softmax_cross_entropy(xp: Any, x: Array, target: Array) -> Array:
    """-log softmax(x)[target] in each row, (rows, classes), (rows,) -> (rows,); nan where the target is no class."""
    rows, classes = x.shape
    threads = 32 if classes <= 256 else THREADS  # a block for each row
    labels, losses = target.astype(np.int64, copy=False), xp.empty(rows, x.dtype)
    return _launch(xp, "softmax", "softmax_cross_entropy", rows, threads, (x, labels), losses, classes)


# -- random numbers ----------------------------------------------------------------------------------------------------


def dropout_mask(xp: Any, shape: tuple[int, ...], dtype: Any, seed: int, p: float, value: float) -> Array:
    """0 with probability p, otherwise `value`, drawn on the device; the same seed gives the same numbers."""
    out = xp.empty(shape, dtype)
    blocks = -(-math.prod(shape) // (4 * THREADS))  # each thread draws four
    return _launch(xp, "random", "dropout_mask", blocks, THREADS, (), out, out.size, seed, float(p), float(value))
