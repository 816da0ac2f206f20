"""Kernels of minidl's own, for what takes CuPy many small steps: CUDA sources (.cu), and a function that calls each.

The op that needs a kernel asks `fit` first, and else computes as on NumPy.  Nothing here waits for the GPU.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backend import Array, address, array_module, device_of, modules, random_stream
from minidl.kernels.cublas import matmul as matmul
from minidl.kernels.cublas import product as product

THREADS = 256  # in a block
TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


def fit(xp: Any, *arrays: Array) -> bool:
    """Whether there are kernels for these arrays: on a GPU, and all of float32 or all of float64."""
    return xp is not np and arrays[0].dtype in TYPES and all(x.dtype == arrays[0].dtype for x in arrays)


def fit_without_xp(*arrays: Array) -> bool:
    """`fit` for a rule, which is not given xp; False if the first is a tensor, whose history no kernel notes."""
    return type(arrays[0]) is not np.ndarray and fit(modules.get(type(arrays[0]), np), *arrays)


def source(file: str, dtype: Any, entries: int = 0) -> str:
    """The CUDA source of a file of kernels, for numbers of `dtype` in arrays of at most so many entries."""
    types = f"typedef {TYPES[np.dtype(dtype)]} T;\ntypedef {'int' if entries < 2**30 else 'long long'} INDEX;\n"
    return types + "".join(Path(__file__).with_name(name).read_text("utf-8") for name in ("common.cu", f"{file}.cu"))


@cache
def _kernel(xp: Any, file: str, name: str, dtype: Any, large: bool) -> Any:
    return xp.RawKernel(source(file, dtype, large * 2**30), name)  # compiled when it is first called on a device


def contiguous(xp: Any, x: Array) -> Array:
    """x, without gaps; ValueError unless it lies on the current device, for a kernel would not notice."""
    here = xp.cuda.runtime.getDevice()
    if not isinstance(x, xp.ndarray) or x.data.device_id != here:
        raise ValueError(f"a kernel on cuda:{here} cannot read an array on {device_of(x)}: move it with .to(), "
                         "or choose the device with minidl.cuda.set_device()")  # fmt: skip
    return xp.ascontiguousarray(x)


def launch(xp: Any, file: str, name: str, blocks: int, threads: int, inputs: Any, out: Array, *numbers: Any,
           others: Any = ()) -> Array:  # fmt: skip
    """`out`, filled by the kernel, which is given the inputs (arrays, and structs of NumPy), out, and the numbers.

    Other results are given in front of `out`.  ValueError if one that is to be filled has gaps.
    """
    arrays, results = [x if x.dtype.names else contiguous(xp, x) for x in inputs], (*others, out)
    for x in results:
        if not x.flags.c_contiguous:
            raise ValueError(f"a kernel fills contiguous arrays only, got shape {x.shape} with strides {x.strides}")
    if out.size:
        kernel = _kernel(xp, file, name, out.dtype, max(x.size for x in (*arrays, *results)) >= 2**30)
        kernel((blocks,), (threads,), (*arrays, *results, *numbers))
    return out


# -- windows: images are (C, *size, N), what comes of windows is (C, *out, N) -----------------------------------------


_WINDOW = np.dtype([(name, "i4", 3) for name in ("size", "kernel", "stride", "padding", "dilation", "out")])


@lru_cache(256)
def _struct(window: Any) -> Array:
    """How the window moves, in three dimensions, as the struct in windows.cu."""
    struct, missing = np.zeros(1, _WINDOW), 3 - len(window.size)
    for name in _WINDOW.names or ():
        struct[name] = (*[int(name != "padding")] * missing, *getattr(window, name))
    return struct


def _over_window(xp: Any, name: str, shape: tuple[int, ...], window: Any, *inputs: Array) -> Array:
    """What the kernel of windows.cu makes of the inputs, an array of that shape; a thread for each of its entries."""
    out = xp.empty(shape, inputs[0].dtype)
    blocks, given = -(-out.size // THREADS), (_struct(window), *inputs)
    return launch(xp, "windows", name, blocks, THREADS, given, out, out.size, shape[-1])


def _image(x: Array, window: Any) -> tuple[int, ...]:
    return (x.shape[0], *window.size, x.shape[-1])


def im2col(xp: Any, x: Array, window: Any, start: int = 0, end: int | None = None) -> Array:
    """All that the windows see: (C, *size, N) -> (C, *kernel, *out, N), zeros outside of the image.

    Made for the positions start to end along the first dimension of out, by default for all.
    """
    (_, *out), (padding, *others) = window.out, window.padding
    if end is not None and end - start < window.out[0]:
        window = replace(window, out=(end - start, *out), padding=(padding - start * window.stride[0], *others))
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
    return _of_rows(xp, "softmax_cross_entropy", xp.empty(len(x), x.dtype), x, target)


def softmax_cross_entropy_input(g: Array, x: Array, target: Array) -> Array:
    """g times softmax(x) minus the one-hot vector of the target, in each row: (rows,), (rows, classes), (rows,)."""
    xp = array_module(x)
    return _of_rows(xp, "softmax_cross_entropy_input", xp.empty(x.shape, x.dtype), x, target, g)


def _of_rows(xp: Any, name: str, out: Array, x: Array, target: Array, *more: Array) -> Array:
    """`out`, filled by a kernel of softmax.cu, with a block for each row."""
    rows, classes = x.shape
    threads = 32 if classes <= 256 else THREADS
    return launch(xp, "softmax", name, rows, threads, (*more, x, _labels(target)), out, classes)


def _labels(target: Array) -> Array:
    return target.astype(np.int64, copy=False)


def counted_mean(xp: Any, x: Array, target: Array, ignore: int) -> Array:
    """The mean of the entries of x whose target is not `ignore`: (n,), (n,) -> ()."""
    out, arrays = xp.empty((), x.dtype), (x, _labels(target))
    return launch(xp, "softmax", "counted_mean", 1, THREADS, arrays, out, len(x), ignore)


def counted_mean_input(g: Array, target: Array, ignore: int) -> Array:
    """g over the number of targets that are not `ignore`, where they are; elsewhere 0: (), (n,) -> (n,)."""
    xp = array_module(g)
    out, arrays = xp.empty(target.shape, g.dtype), (g, _labels(target))
    return launch(xp, "softmax", "counted_mean_input", 1, THREADS, arrays, out, out.size, ignore)


# -- entries -----------------------------------------------------------------------------------------------------------


def blend(x: Array, y: Array, keep: float, share: float) -> None:
    """y becomes keep·y + share·x, in place; both are contiguous."""
    numbers = y.size, float(keep), float(share)
    launch(array_module(y), "entries", "blend", -(-y.size // THREADS), THREADS, (x,), y, *numbers)


class _Ahead(threading.local):
    """What `nn.Sequential` knows while a layer runs: whether relu comes next, whose result is then left here."""

    relu = False
    made: tuple[Array, Array] | None = None  # what the layer gives, and relu of it


ahead = _Ahead()


def bias_and_relu(xp: Any, y: Array, b: Array) -> bool:
    """Whether relu is known to come next: then b is added to y in place, and relu(y) made in the same launch.

    b has an entry for each place along the last dimension of y, or, with a last dimension of 1, for each row.
    """
    shapes = y.shape[-1:], (*y.shape[:-1], 1)
    if not (ahead.relu and fit(xp, y, b) and b.shape in shapes and y.size and y.flags.c_contiguous):
        return False
    out, numbers = xp.empty(y.shape, y.dtype), (y.size, y.shape[-1] // b.shape[-1], b.size)
    launch(xp, "entries", "bias_and_relu", -(-y.size // THREADS), THREADS, (b,), out, *numbers, others=(y,))
    ahead.made = y, out
    return True


def relu(xp: Any, x: Array) -> Array:
    """The larger of x and 0 in each entry; if the kernel of a layer has made it already, what lies there."""
    made, ahead.made = ahead.made, None
    if made is None or address(made[0]) != address(x):
        return xp.maximum(x, 0)
    return xp.lib.stride_tricks.as_strided(made[1], x.shape, x.strides)  # as x looks at what the layer gave


def relu_input(xp: Any, g: Array, out: Array) -> Array:
    """g where the result of relu is above 0, elsewhere 0, laid out in memory like that result."""
    if not out.flags.c_contiguous:
        order = sorted(range(out.ndim), key=lambda d: -out.strides[d])  # from the slowest dimension to the fastest
        gradient = relu_input(xp, g.transpose(order), xp.ascontiguousarray(out.transpose(order)))
        return gradient.transpose([order.index(d) for d in range(out.ndim)])
    gradient = xp.empty(out.shape, g.dtype)
    return launch(xp, "entries", "relu_input", -(-out.size // THREADS), THREADS, (g, out), gradient, out.size)


# -- random numbers ----------------------------------------------------------------------------------------------------

SEEDS = 8  # as many are put into the memory of the device at once


def seed() -> Any:
    """A seed for a kernel that draws random numbers, taken from the default stream."""
    return int(random_stream().integers(2**63))


def put_seeds(xp: Any, out: Array, seeds: list[int]) -> Array:
    """`out`, int64 (SEEDS,), with the seeds at its start: nobody waits, as for a copy."""
    kernel = _kernel(xp, "random", "put_seeds", np.float32, False)
    kernel((1,), (1,), (out, *seeds, *[0] * (SEEDS - len(seeds))))
    return out


def dropout_mask(xp: Any, shape: tuple[int, ...], dtype: Any, seed: Any, p: float, value: float) -> Array:
    """0 with probability p, otherwise `value`, drawn on the device; the same seed gives the same numbers.

    The seed is a number, or an array of one that lies on the device.
    """
    out = xp.empty(shape, dtype)
    blocks = -(-math.prod(shape) // (4 * THREADS))  # each thread draws four
    name = "dropout_mask" if isinstance(seed, int) else "dropout_mask_later"
    return launch(xp, "random", name, blocks, THREADS, (), out, out.size, seed, float(p), float(value))
