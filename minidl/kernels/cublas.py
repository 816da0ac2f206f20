"""Matrix products on a GPU through a cuBLAS handle of minidl's own, with transposed and repeated matrices as they lie.

CuPy's own products cannot be recorded in a CUDA graph, and copy what is transposed or repeated in a batch.  The
functions called here are described in NVIDIA's "cuBLAS library", docs.nvidia.com/cuda/cublas.
"""

from __future__ import annotations

import ctypes
import math
import threading
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

import numpy as np

from minidl import backend
from minidl.backend import Array

_int, _long, _step, _pointer = ctypes.c_int, ctypes.c_int64, ctypes.c_longlong, ctypes.c_void_p
_FLAGS_AND_SIZES = (_int, _int, _long, _long, _long)  # whether transposed, m, n, k
PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (_pointer,),
    "cublasSetStream_v2": (_pointer, _pointer),
    "cublasSetWorkspace_v2": (_pointer, _pointer, ctypes.c_size_t),
    "cublasGetStatusName": (_int,),
    "cublasGemmEx_64": (_pointer, *_FLAGS_AND_SIZES, _pointer, _pointer, _int, _long, _pointer, _int, _long,
                        _pointer, _pointer, _int, _long, _int, _int),
    "cublasGemmStridedBatchedEx_64": (_pointer, *_FLAGS_AND_SIZES, _pointer, _pointer, _int, _long, _step, _pointer,
                                      _int, _long, _step, _pointer, _pointer, _int, _long, _step, _long, _int, _int),
}  # fmt: skip
FAST_TF32 = 77  # the way of computing CUBLAS_COMPUTE_32F_FAST_TF32
BEST = -1  # the algorithm CUBLAS_GEMM_DEFAULT: cuBLAS chooses

CACHED = 1 << 21  # bytes of a result that stay in a core's cache

_zero_and_one = (ctypes.c_float * 2)(0, 1), (ctypes.c_double * 2)(0, 1)
_float, _double = (ctypes.addressof(pair) for pair in _zero_and_one)
TYPES = {  # cuBLAS's names for the type and for the way of computing, which adds halves as floats; where 0 and 1 lie
    np.dtype(np.float16): (2, 68, _float, _float + 4),  # CUDA_R_16F, CUBLAS_COMPUTE_32F
    np.dtype(np.float32): (0, 68, _float, _float + 4),  # CUDA_R_32F, CUBLAS_COMPUTE_32F
    np.dtype(np.float64): (1, 70, _double, _double + 8),  # CUDA_R_64F, CUBLAS_COMPUTE_64F
}


# -- the library and its handles ---------------------------------------------------------------------------------------


@cache
def library(xp: Any) -> Any:
    """The libcublas that CuPy has loaded; None, after a warning that says why, where its functions are not to be found.

    RuntimeError if CuPy itself finds none, for then it cannot multiply either.
    """
    try:
        found = ctypes.CDLL(xp.cuda.cublas.__file__)  # a module of CuPy's: what that is linked with is found through it
        for name, arguments in PROTOTYPES.items():
            getattr(found, name).argtypes = arguments
    except ImportError as error:
        raise RuntimeError(
            f"matrix products on a GPU need cuBLAS, which CuPy does not find ({_line(error)}): "
            'pip install "minidl[cuda13]" (CUDA 13) or "minidl[cuda12]" (CUDA 12)'
        ) from None
    except (OSError, AttributeError) as error:
        warnings.warn(f"no way to cuBLAS ({_line(error)}): CuPy multiplies, which cannot be recorded", stacklevel=2)
        return None
    found.cublasGetStatusName.restype = ctypes.c_char_p
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


class Handle:
    """What cuBLAS keeps for one device and thread: itself, and memory to work in, which graphs may go on using.

    Products on two streams at once would share that memory: let one stream wait for the other.
    """

    def __init__(self, xp: Any, device: int) -> None:
        recent = xp.cuda.runtime.getDeviceProperties(device)["major"] >= 9  # from Hopper on, NVIDIA recommends more
        self.workspace = xp.empty((32 if recent else 4) << 20, np.uint8)
        self.library, self.pointer, self.stream = library(xp), _pointer(), -1
        if status := self.library.cublasCreate_v2(ctypes.byref(self.pointer)):
            self.fail(status, f"cuda:{device} to work on")

    def on(self, stream: int) -> ctypes.c_void_p:
        """cuBLAS itself, working on that stream."""
        if stream != self.stream:
            self.stream = -1  # in case that this fails
            memory, size = self.workspace.data.ptr, self.workspace.nbytes
            status = self.library.cublasSetStream_v2(self.pointer, stream)
            # That took the memory away; without it, cuBLAS would allocate some of its own, at a bad time perhaps.
            if status := status or self.library.cublasSetWorkspace_v2(self.pointer, memory, size):
                self.fail(status, f"a stream, and {size} bytes to work in")
            self.stream = stream
        return self.pointer

    def fail(self, status: int, what: str) -> NoReturn:
        name = self.library.cublasGetStatusName(status).decode()
        raise RuntimeError(f"cuBLAS answers {name}; got {what}")


@cache
def _handle(xp: Any, device: int, thread: int) -> Handle:
    return Handle(xp, device)  # stays when the thread has ended, for its graphs, and for the next one of that number


# -- products ----------------------------------------------------------------------------------------------------------


def matmul(xp: Any, x: Array, y: Array, out: Array = None, add: bool = False) -> Array:
    """x @ y: (..., n, k), (..., k, m) -> (..., n, m), in `out` if that is given; with `add`, added to what is there.

    On a GPU `out` must not share memory with x or y; `backend.allow_tf32` says how precise products of float32 are.
    """
    if xp is np or not _ours(xp, x, y):
        if out is None:
            return x @ y
        if not add:
            return xp.matmul(x, y, out=out)
        out += x @ y
        return out
    (*lead, n, k), (*y_lead, _, m) = x.shape, y.shape
    if y.shape[-2] != k:
        raise ValueError(f"expected rows on the left as long as columns on the right, got {x.shape} @ {y.shape}")
    if y_lead and y_lead != lead:
        lead = [*np.broadcast_shapes(tuple(lead), tuple(y_lead))] if lead else y_lead
    shape, layout = (*lead, n, m), (0, m, n * m)
    if out is None:
        out, add = xp.empty(shape, x.dtype), False
    elif out.shape != shape:
        raise ValueError(f"expected an `out` of shape {shape}, got {out.shape}")
    else:
        layout = _layout(out, lead) or (1, 0, 0)
    if k and out.size and not layout[0] and out.dtype == x.dtype:
        _multiply(xp, x, y, out, layout, add, lead)
    elif out.size:  # nothing to add up, or a place that cuBLAS cannot write to
        new = matmul(xp, x, y) if k else 0
        out[...] = out + new if add else new
    return out


def product(x: Any, y: Any) -> Any:
    """x @ y for (n, k) and (k, m), of arrays or of tensors: for rules, which are not given xp."""
    xp = np if type(x) is np.ndarray else backend.array_module(x)
    if xp is not np:
        return matmul(xp, x, y)
    if x.shape[1] > 1 or type(x).__array_ufunc__ is None:  # a tensor, which NumPy's functions do not take
        return x @ y
    # NumPy's @ leaves the outer product to a slow loop; BLAS is the quickest while the result stays in the cache.
    blas = x.dtype in (np.float32, np.float64) and x.size * y.size * x.dtype.itemsize < CACHED
    return np.dot(x, y) if blas else x * y


def _ours(xp: Any, x: Array, y: Array) -> bool:
    """Whether these are matrices as cuBLAS has them; CuPy multiplies others, or refuses them."""
    if type(x) is not type(y) or x.dtype != y.dtype or x.dtype not in TYPES or x.ndim < 2 or y.ndim < 2:
        return False
    return x.data.device_id == y.data.device_id == xp.cuda.runtime.getDevice() and library(xp) is not None


def _multiply(xp: Any, x: Array, y: Array, out: Array, layout: Any, add: bool, lead: Sequence[int]) -> None:
    """x @ y into `out`.

    cuBLAS numbers entries by columns: what lies in memory by rows it takes for the transposed matrix.  So it is asked
    for outᵀ = yᵀ @ xᵀ, and what it is told to be transposed is what lies by columns.
    """
    shapes, (kind, way, zero, one) = (x.shape, y.shape), TYPES[x.dtype]
    x, (x_flag, x_row, x_step) = _readable(xp, x, lead)
    y, (y_flag, y_row, y_step) = _readable(xp, y, lead)
    sizes = (y_flag, x_flag, y.shape[-1], *x.shape[-2:])
    left, right = (one, y.data.ptr, kind, y_row), (x.data.ptr, kind, x_row)
    result = (one if add else zero, out.data.ptr, kind, layout[1])
    way = FAST_TF32 if kind == 0 and backend.allow_tf32 else way
    handle = _handle(xp, x.data.device_id, threading.get_ident())
    cublas, pointer = handle.library, handle.on(xp.cuda.get_current_stream().ptr)
    if (batch := math.prod(lead)) == 1:
        status = cublas.cublasGemmEx_64(pointer, *sizes, *left, *right, *result, way, BEST)
    else:
        status = cublas.cublasGemmStridedBatchedEx_64(
            pointer, *sizes, *left, y_step, *right, x_step, *result, layout[2], batch, way, BEST
        )
    if status:
        handle.fail(status, f"shapes {shapes[0]} @ {shapes[1]} of {x.dtype}")


def _readable(xp: Any, x: Array, lead: Sequence[int]) -> tuple[Array, tuple[int, int, int]]:
    """x and its layout; a copy of x if cuBLAS cannot read that."""
    if (layout := _layout(x, lead)) is not None:
        return x, layout
    if x.flags.c_contiguous:  # repeated along some dimensions of the batch and not along others
        x = xp.broadcast_to(x, (*lead, *x.shape[-2:]))
    return _readable(xp, xp.ascontiguousarray(x), lead)


def _layout(x: Array, lead: Sequence[int]) -> tuple[int, int, int] | None:
    """How the matrices of x lie: whether by columns, and entries from one row (or column), or matrix, to the next.

    None if cuBLAS cannot be told so: rows that overlap, or gaps between entries, or matrices that are not evenly apart.
    """
    rows, columns = x.shape[-2:]
    down, across = x.strides[-2:]
    step, size = _batch_step(x, lead) if lead else 0, x.itemsize
    if step is None or step % size or down % size or across % size:
        return None
    if (across == size or columns == 1) and (down >= columns * size or rows == 1):
        return 0, down // size if rows > 1 else columns, step // size
    if (down == size or rows == 1) and (across >= rows * size or columns == 1):
        return 1, across // size if columns > 1 else rows, step // size
    return None


def _batch_step(x: Array, lead: Sequence[int]) -> int | None:
    """Bytes from each matrix of x, broadcast to `lead`, to the next one; None if it is not always the same."""
    missing = len(lead) + 2 - x.ndim
    sizes, strides = (1,) * missing + x.shape[:-2], (0,) * missing + x.strides[:-2]
    step, count = 0, 1  # so many matrices, of the last dimensions, lie that far apart
    for length, size, stride in zip(lead[::-1], sizes[::-1], strides[::-1], strict=True):
        if length == 1:
            continue
        stride = stride if size > 1 else 0  # else it is repeated
        if count == 1:
            step = stride
        elif stride != count * step:
            return None
        count *= length
    return None if step < 0 else step
