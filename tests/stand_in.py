"""A strict stand-in for CuPy where there is no GPU: NumPy's numbers with CuPy's manners.

Its arrays refuse what CuPy's refuse (NumPy arrays as operands or indices, silent copies to the host), and count
what would make the host wait for the GPU.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minidl import backend

# The functions and methods that minidl may use; all of them are in CuPy 14.
FUNCTIONS = """
    abs add all any arange argmax argmin ascontiguousarray bitwise_and bitwise_or bitwise_xor broadcast_to ceil clip
    concatenate copyto cos divide dot einsum empty empty_like equal exp expm1 flip floor full full_like greater
    greater_equal invert isfinite isinf isnan less less_equal log log1p logical_and logical_not logical_or matmul
    max maximum mean min minimum moveaxis multiply negative not_equal ones ones_like power roll round sign sin sqrt
    square squeeze stack subtract sum swapaxes take_along_axis tanh tensordot tile tril triu where zeros zeros_like
    arccos arccosh arcsin arcsinh arctan arctan2 arctanh copysign cosh exp2 fmax fmin fmod hypot isclose left_shift
    log10 log2 logaddexp logical_xor nan_to_num right_shift sinc sinh tan trunc
    argsort argwhere cumprod cumsum prod searchsorted
"""
METHODS = "all any astype copy max mean min prod ravel reshape sum swapaxes transpose"
OPERATORS = """
    add sub mul truediv floordiv mod pow matmul and or xor rand radd rsub rmul rtruediv rfloordiv rmod rpow rmatmul
    iadd isub imul itruediv iand ior ixor lt le eq ne gt ge neg abs invert getitem setitem
"""
WAITING = "item tolist __float__ __int__ __bool__"


class StandInArray:
    """An array "on the GPU" whose numbers lie in a NumPy array; `base` is the array of which it is a view."""

    synchronisations = 0
    device = SimpleNamespace(id=0)
    __array_ufunc__ = None  # ndarray + this array is not NumPy's business
    __hash__ = object.__hash__

    def __init__(self, numbers: np.ndarray, base: "StandInArray | None" = None) -> None:
        self.numbers, self.base = numbers, base
        for name in ("shape", "ndim", "size", "dtype", "strides", "itemsize"):
            setattr(self, name, getattr(numbers, name))

    def __array__(self, *words: Any, **more: Any) -> np.ndarray:
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def get(self) -> np.ndarray:
        StandInArray.synchronisations += 1
        return self.numbers.copy()

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator["StandInArray"]:
        return (self[i] for i in range(len(self)))

    T = property(lambda self: self.transpose())


def applied(function: Callable[..., Any], *inputs: Any, **words: Any) -> Any:
    """`function` of the numbers in the inputs, as a stand-in array; TypeError for a NumPy array among them."""
    operands: list[StandInArray] = []

    def numbers(value: Any) -> Any:
        if isinstance(value, StandInArray):
            operands.append(value)
            return value.numbers
        if isinstance(value, np.ndarray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        return type(value)(map(numbers, value)) if type(value) in (tuple, list) else value

    if {"where", "initial", "sparse"} & words.keys():
        raise TypeError(f"CuPy knows not all of these words: {list(words)}")
    result = function(*map(numbers, inputs), **{word: numbers(value) for word, value in words.items()})
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    for x in operands:
        if result is x.numbers:
            return x
    owners = [x if x.base is None else x.base for x in operands]
    result = np.asarray(result)  # a number is a 0-d array
    return StandInArray(result, next((x for x in owners if result.base is not None and x.numbers is result.base), None))


def _as_numpy_does(name: str) -> Callable[..., Any]:
    return lambda *inputs, **words: applied(getattr(np.ndarray, name), *inputs, **words)


def _waiting(name: str) -> Callable[..., Any]:
    def method(self: StandInArray) -> Any:
        StandInArray.synchronisations += 1
        return getattr(self.numbers, name)()

    return method


for _name in METHODS.split() + [f"__{name}__" for name in OPERATORS.split()]:
    setattr(StandInArray, _name, _as_numpy_does(_name))
for _name in WAITING.split():
    setattr(StandInArray, _name, _waiting(_name))


def array(data: Any, dtype: Any = None, ndmin: int = 0) -> StandInArray:
    """A copy on the "GPU" of an array, number or list from either side."""
    return StandInArray(np.array(data.numbers if isinstance(data, StandInArray) else data, dtype, ndmin=ndmin))


cupy = SimpleNamespace(
    ndarray=StandInArray, array=array, __name__="cupy", __version__="stand-in", fuse=lambda function: function,
    asarray=lambda data, dtype=None: data if isinstance(data, StandInArray) and dtype is None else array(data, dtype),
    indices=lambda dimensions: applied(np.indices, dimensions),
    linalg=SimpleNamespace(
        **{name: partial(applied, getattr(np.linalg, name)) for name in ("cholesky", "det", "inv", "solve")},
        slogdet=lambda x: [applied(lambda numbers, i=i: np.linalg.slogdet(numbers)[i], x) for i in (0, 1)],
    ),
    lib=SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=partial(applied, np.lib.stride_tricks.as_strided))),
    cuda=SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=lambda: 1), Device=lambda index: nullcontext()),
    **{name: partial(applied, getattr(np, name)) for name in FUNCTIONS.split()},
)  # fmt: skip
cupy.add.at = partial(applied, np.add.at)


def install(monkeypatch: pytest.MonkeyPatch) -> type[StandInArray]:
    """Put the stand-in in CuPy's place, with its count of synchronisations at zero, until the test ends."""
    special = SimpleNamespace(**{
        name: partial(applied, partial(getattr(backend, name), np)) for name in ("erf", "erfc")
    })  # fmt: skip
    monkeypatch.setitem(backend.modules, StandInArray, cupy)
    monkeypatch.setattr(backend, "_cupy", lambda: cupy)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.special", special)
    monkeypatch.setattr(StandInArray, "synchronisations", 0)
    return StandInArray
