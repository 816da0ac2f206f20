"""A strict stand-in for CuPy where there is no GPU: NumPy's numbers with CuPy's manners.

Its arrays refuse what CuPy's refuse (NumPy arrays as operands or indices, silent copies to the host), and count
what would make the host wait for the GPU.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import cublas_on_cpu
import fake_streams
import numpy as np
import pytest
import stand_in_graphs
from kernels_on_cpu import COMPILER, RawKernel
from stand_in_graphs import Graph, Memory, MemoryPool, Stream, capturing, launch, refuse

from minidl import backend, kernels

# The functions and methods that minidl may use; all of them are in CuPy 14.
FUNCTIONS = """
    abs add all any arange argmax argmin ascontiguousarray bitwise_and bitwise_or bitwise_xor broadcast_to ceil clip
    concatenate copyto cos divide dot einsum empty empty_like equal exp expm1 flip floor full full_like greater
    greater_equal invert isfinite isinf isnan less less_equal log log1p logical_and logical_not logical_or matmul
    max maximum mean min minimum moveaxis multiply negative not_equal ones ones_like power roll round sign sin sqrt
    square squeeze stack subtract sum swapaxes take_along_axis tanh tensordot tile tril triu where zeros zeros_like
    arccos arccosh arcsin arcsinh arctan arctan2 arctanh copysign cosh exp2 fmax fmin fmod hypot isclose left_shift
    log10 log2 logaddexp logical_xor nan_to_num right_shift sinc sinh tan trunc
    argsort bincount count_nonzero eye cumprod cumsum isin may_share_memory prod searchsorted sort vdot
"""
METHODS = """
    all any argmax argmin astype clip copy max mean min prod ravel reshape sum swapaxes take
    transpose view
"""
OPERATORS = """
    add sub mul truediv floordiv mod pow matmul and or xor rand radd rsub rmul rtruediv rfloordiv rmod rpow rmatmul
    iadd isub imul itruediv iand ior ixor lt le eq ne gt ge neg abs invert getitem setitem
"""
WAITING = "item tolist __float__ __int__ __bool__"
COUNTING = "argwhere nonzero unique"  # the host waits for the shape of the result
# What CuPy hands to cuBLAS, cuSOLVER and Thrust, none of which it lets be captured.
LIBRARIES = """
    matmul dot vdot tensordot __matmul__ __rmatmul__ cholesky det inv solve slogdet argsort sort isin bincount
"""
WRITING = "copyto at __setitem__ __iadd__ __isub__ __imul__ __itruediv__ __iand__ __ior__ __ixor__"


class StandInArray:
    """An array "on the GPU" whose numbers lie in a NumPy array; `base` is the array of which it is a view."""

    synchronisations = 0
    device = SimpleNamespace(id=0)
    __array_ufunc__ = None  # ndarray + this array is not NumPy's business
    __hash__ = object.__hash__

    def __init__(self, numbers: np.ndarray, base: "StandInArray | None" = None) -> None:
        self.numbers, self.base = numbers, base
        self.memory = Memory() if base is None else base.memory
        if base is None and self.memory.pool is not None:
            self.numbers = numbers = self.memory.pool.placed(numbers, self.memory)
        for name in ("shape", "ndim", "size", "dtype", "strides", "itemsize", "nbytes"):
            setattr(self, name, getattr(numbers, name))

    def __array__(self, *words: Any, **more: Any) -> np.ndarray:
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def get(self) -> np.ndarray:
        refuse("a copy to the host")
        StandInArray.synchronisations += 1
        return self.numbers.copy()

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        refuse("a copy to the device")
        assert isinstance(arr, np.ndarray) and (self.dtype, self.shape) == (arr.dtype, arr.shape)
        fake_streams.copy(self.numbers, arr, stream or fake_streams.current())

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator["StandInArray"]:
        return (self[i] for i in range(len(self)))

    T = property(lambda self: self.transpose())
    flags = property(lambda self: self.numbers.flags)
    data = property(lambda self: SimpleNamespace(ptr=cublas_on_cpu.pointer(self), device_id=0))


def _host_waits() -> None:
    StandInArray.synchronisations += 1


fake_streams.Stream.waited = staticmethod(_host_waits)


def applied(function: Callable[..., Any], *inputs: Any, **words: Any) -> Any:
    """`function` of the numbers in the inputs, as a stand-in array; TypeError for a NumPy array among them."""
    operands: list[StandInArray] = []
    numbers = partial(_numbers, operands)
    if {"where", "initial", "sparse"} & words.keys():
        raise TypeError(f"CuPy knows not all of these words: {list(words)}")
    call = partial(function, *map(numbers, inputs), **{word: numbers(value) for word, value in words.items()})
    if capturing():
        return _captured(call, getattr(function, "__name__", ""), operands, words.get("out"))
    result = call()
    if type(result) is tuple:
        return tuple(_on_device(part, operands) for part in result)
    return _on_device(result, operands) if isinstance(result, (np.ndarray, np.generic)) else result


def _numbers(operands: list[StandInArray], value: Any) -> Any:
    """What NumPy is given in the place of `value`; the stand-ins in it are put into the list."""
    if isinstance(value, StandInArray):
        operands.append(value)
        return value.numbers
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return type(value)(_numbers(operands, x) for x in value) if type(value) in (tuple, list) else value


def _captured(call: partial[Any], name: str, operands: list[StandInArray], out: StandInArray | None) -> Any:
    """What `applied` gives while a graph is being captured: arrays of the right shape with rubbish in them."""
    if name in LIBRARIES.split() or (name == "einsum" and len(operands) > 1):
        refuse(f"calling {name}", breaks=False)
    if name in ("concatenate", "stack") and len(operands) > 8 + (out is not None):
        refuse("a copy to the device")
    if out is not None or name in WRITING.split():
        launch(call, operands)
        return out if out is not None else operands[0] if name.startswith("__i") else None
    with np.errstate(all="ignore"):  # what it is computed from is rubbish
        result = call()
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    made = _on_device(result, operands)
    if made.base is None and not any(made is x for x in operands) and not name.startswith("empty"):
        target = made.numbers
        target[...] = np.nan if target.dtype.kind == "f" else 0
        launch(partial(_again, call, target), [made, *operands])
    return made


def _again(call: partial[Any], target: np.ndarray) -> None:
    target[...] = call()


def _on_device(result: Any, operands: list[StandInArray]) -> StandInArray:
    """What a function of the operands gave: one of them, a view of one, or a new array."""
    for x in operands:
        if result is x.numbers:
            return x
    result = np.asarray(result)  # a number is a 0-d array
    viewed = [x if x.base is None else x.base for x in operands if np.may_share_memory(x.numbers, result)]
    return StandInArray(result, viewed[0] if viewed else None)


def _sign_and_log(i: int, x: np.ndarray) -> Any:
    refuse("calling slogdet", breaks=False)
    return np.linalg.slogdet(x)[i]


def _as_numpy_does(name: str) -> Callable[..., Any]:
    return lambda *inputs, **words: applied(getattr(np.ndarray, name), *inputs, **words)


def _waiting(name: str) -> Callable[..., Any]:
    def method(self: StandInArray) -> Any:
        refuse(f"a copy to the host, {name},")
        StandInArray.synchronisations += 1
        return getattr(self.numbers, name)()

    return method


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose result has a shape that only the GPU knows."""

    def call(*inputs: Any, **words: Any) -> Any:
        refuse("waiting for a shape")
        StandInArray.synchronisations += 1
        return applied(function, *inputs, **words)

    return call


def has_mask(index: Any) -> bool:
    """Whether only the GPU knows how many places the index has."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(part, "dtype", None) == np.dtype(bool) for part in parts)


def _picked(self: StandInArray, index: Any) -> Any:
    if has_mask(index):
        refuse("waiting for a shape")
        StandInArray.synchronisations += 1
    return applied(np.ndarray.__getitem__, self, index)


for _name in METHODS.split() + [f"__{name}__" for name in OPERATORS.split()]:
    setattr(StandInArray, _name, _as_numpy_does(_name))
for _name in WAITING.split():
    setattr(StandInArray, _name, _waiting(_name))
StandInArray.__getitem__ = _picked  # type: ignore[attr-defined]


def array(data: Any, dtype: Any = None, ndmin: int = 0) -> StandInArray:
    """A copy on the "GPU" of an array, number or list from either side."""
    if isinstance(data, (list, tuple)) and data and all(isinstance(x, StandInArray) for x in data):
        data = applied(np.stack, data)
    if isinstance(data, StandInArray):
        return applied(np.array, data, dtype, ndmin=ndmin)
    refuse("a copy to the device")
    return StandInArray(np.array(data, dtype, ndmin=ndmin))


class OutOfMemoryError(MemoryError):
    """What CuPy raises: no subclass of RuntimeError, as PyTorch's is."""


pool = SimpleNamespace(used_bytes=lambda: 512, total_bytes=lambda: 1024, free_all_blocks=lambda: None)
runtime = SimpleNamespace(
    getDeviceCount=lambda: 1, getDevice=lambda: 0, setDevice=lambda number: None,
    deviceSynchronize=lambda: refuse("waiting for the device"),
    getDeviceProperties=lambda number: {"name": b"a stand-in", "major": 9, "minor": 0, "totalGlobalMem": 2**30,
                                        "multiProcessorCount": 4},
    memGetInfo=lambda: (2**29, 2**30), pointerGetAttributes=fake_streams.attributes, memoryTypeHost=1,
)  # fmt: skip
cupy: Any = ModuleType("cupy")
vars(cupy).update(
    ndarray=StandInArray, array=array, __version__="stand-in",
    asarray=lambda data, dtype=None: data if isinstance(data, StandInArray) and dtype is None else array(data, dtype),
    indices=lambda dimensions: applied(np.indices, dimensions),
    linalg=SimpleNamespace(
        **{name: partial(applied, getattr(np.linalg, name)) for name in ("cholesky", "det", "inv", "norm", "solve")},
        slogdet=lambda x: [applied(partial(_sign_and_log, i), x) for i in (0, 1)],
    ),
    lib=SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=partial(applied, np.lib.stride_tricks.as_strided))),
    cuda=SimpleNamespace(
        runtime=runtime, Device=lambda index: nullcontext(), OutOfMemoryError=OutOfMemoryError,
        Event=fake_streams.Event, get_elapsed_time=fake_streams.elapsed, alloc_pinned_memory=fake_streams.PageLocked,
        Stream=Stream, Graph=Graph, get_current_stream=fake_streams.current,
        MemoryPool=MemoryPool, get_allocator=stand_in_graphs.get_allocator,
        using_allocator=stand_in_graphs.using_allocator,
    ),
    get_default_memory_pool=lambda: pool, get_default_pinned_memory_pool=lambda: pool, RawKernel=RawKernel,
    **{name: partial(applied, getattr(np, name)) for name in FUNCTIONS.split()},
)  # fmt: skip
vars(cupy).update({name: _counted(getattr(np, name)) for name in COUNTING.split()})
cupy.add.at = partial(applied, np.add.at)
cublas_on_cpu.install(cupy)


def install(monkeypatch: pytest.MonkeyPatch) -> type[StandInArray]:
    """Put the stand-in in CuPy's place, with its count of synchronisations at zero, until the test ends."""
    special = SimpleNamespace(**{
        name: partial(applied, partial(getattr(backend, name), np)) for name in ("erf", "erfc")
    })  # fmt: skip
    monkeypatch.setitem(backend.modules, StandInArray, cupy)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.special", special)
    monkeypatch.setattr(StandInArray, "synchronisations", 0)
    if COMPILER is None:
        monkeypatch.setattr(kernels, "fit", lambda xp, *arrays: False)
        monkeypatch.setattr(kernels.cublas, "library", lambda xp: None)
    return StandInArray
