"""PyTorch's `torch.testing`: `assert_close`, for tests of what ought to be equal up to rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.autograd import Tensor, tensor
from minidl.backend import promote_types, to_device

# (relative, absolute), as in PyTorch; whole numbers and booleans must be equal
TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = False, check_device: bool = True, check_dtype: bool = True, check_layout: bool = True,
    check_stride: bool = False, msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """AssertionError unless |actual - expected| <= atol + rtol |expected| in each entry, with equal shapes.

    Takes tensors, arrays, numbers, and sequences and dictionaries of them.  Without tolerances they depend on the
    dtype (float32: 1.3e-6 and 1e-5; float64: 1e-7 for both); ValueError for only one of them.  Dtypes and devices must
    agree unless `check_dtype` and `check_device` say otherwise.  `msg` replaces the message, or makes another of it.

    >>> import minidl
    >>> assert_close(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 2.5]))
    Traceback (most recent call last):
    AssertionError: 1 of 2 entries are not close; the worst: 2.0 and 2.5 at (1,), allowed are ...
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"assert_close: expected both of rtol and atol or none, got {rtol} and {atol}")
    tolerances = None if rtol is None or atol is None else (rtol, atol)
    problem = _difference(actual, expected, tolerances, equal_nan, check_dtype, check_device)
    if problem:
        raise AssertionError(msg(problem) if callable(msg) else msg or problem)


def _difference(actual: Any, expected: Any, tolerances: Any, *how: bool) -> str:
    """What is not close, an empty text if all is."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if set(actual) != set(expected):
            return f"the keys are not the same: {list(actual)} and {list(expected)}"
        pairs = {f"[{name!r}]: ": (actual[name], expected[name]) for name in actual}
    elif _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            return f"the lengths are not equal: {len(actual)} and {len(expected)}"
        pairs = {f"[{i}]: ": pair for i, pair in enumerate(zip(actual, expected, strict=True))}
    else:
        return _difference_of_tensors(actual, expected, tolerances, *how)
    found = {place: _difference(*pair, tolerances, *how) for place, pair in pairs.items()}
    return next((place + problem for place, problem in found.items() if problem), "")


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _difference_of_tensors(
    actual: Any, expected: Any, tolerances: Any, equal_nan: bool, check_dtype: bool, check_device: bool
) -> str:
    if actual is None or expected is None:
        return "" if actual is expected else f"one is None: {actual} and {expected}"
    x, y = (_tensor(value) for value in (actual, expected))
    if x.shape != y.shape:
        return f"the shapes are not equal: {x.shape} and {y.shape}"
    if check_device and x.device != y.device:
        return f"the devices are not equal: {x.device} and {y.device}"
    if check_dtype and x.dtype != y.dtype:
        return f"the dtypes are not equal: {x.dtype} and {y.dtype}"
    relative, absolute = tolerances or TOLERANCES.get(str(promote_types(x.dtype, y.dtype)), (0.0, 0.0))
    a, b = (np.asarray(to_device(z.array, "cpu"), np.float64 if z.dtype.kind == "f" else None) for z in (x, y))
    far = ~np.isclose(a, b, relative, absolute, equal_nan)
    if not far.any():
        return ""
    gaps = np.where(far, np.nan_to_num(np.abs(a.astype(float) - b), nan=np.inf), -1)
    worst = tuple(map(int, np.unravel_index(gaps.argmax(), a.shape)))
    return (f"{far.sum()} of {far.size} entries are not close; the worst: {a[worst]} and {b[worst]} at {worst}, "
            f"allowed are {absolute} + {relative} times the second")  # fmt: skip


def _tensor(x: Any) -> Tensor:
    """A tensor as it is; an array or a number as one, a Python float in float64."""
    if isinstance(x, Tensor):
        return x
    if not isinstance(x, int | float | np.ndarray | np.generic):
        raise TypeError(f"assert_close: expected tensors, arrays or numbers, got {type(x).__name__}")
    return tensor(np.asarray(x))
