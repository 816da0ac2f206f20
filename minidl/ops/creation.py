"""Functions that make tensors: of constants, ranges and random numbers.

Random numbers are drawn on the host, so that a seed gives the same numbers on every device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import Generator, get_default_dtype, random_stream, to_device


def _finished(array: Any, dtype: Any, device: str | None, requires_grad: bool) -> Tensor:
    array = np.asarray(array, dtype or get_default_dtype())
    return Tensor(array if device is None else to_device(array, device), requires_grad)


def _shape(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """zeros(2, 3) and zeros((2, 3)) mean the same."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def zeros(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros.

    >>> zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    return _finished(np.zeros(_shape(size), dtype or get_default_dtype()), dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return _finished(np.ones(_shape(size), dtype or get_default_dtype()), dtype, device, requires_grad)


def full(size: Any, fill_value: float, *, dtype: Any = None, device: str | None = None,
         requires_grad: bool = False) -> Tensor:  # fmt: skip
    """A tensor filled with one number, in its dtype: whole numbers give int64, True and False bool.

    >>> full((2,), 7)
    tensor([7, 7])
    """
    array = np.full(size, fill_value)
    return _finished(array, dtype or (None if array.dtype.kind == "f" else array.dtype), device, requires_grad)


def zeros_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype and device of `x`."""
    return zeros(x.shape, dtype=dtype or x.dtype, device=x.device, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype and device of `x`."""
    return ones(x.shape, dtype=dtype or x.dtype, device=x.device, requires_grad=requires_grad)


def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, device: str | None = None,
           requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The numbers from `start` (0 if only one is given) up to but without `end`: int64 if all are whole.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    array = np.arange(start, step=step) if end is None else np.arange(start, end, step)
    return _finished(array, dtype or (None if array.dtype.kind == "f" else np.int64), device, requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, device: str | None = None,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """`steps` numbers at equal distances from `start` to `end`, both included."""
    return _finished(np.linspace(start, end, steps), dtype, device, requires_grad)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor on the memory of a NumPy array; TypeError for anything else."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    return Tensor(array)


# -- random numbers -----------------------------------------------------------------------------------------------


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, device: str | None = None,
         requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Numbers drawn evenly from 0 (included) to 1 (not)."""
    return _finished(random_stream(generator).random(_shape(size)), dtype, device, requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, device: str | None = None,
          requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Numbers drawn from the normal distribution with mean 0 and variance 1."""
    return _finished(random_stream(generator).standard_normal(_shape(size)), dtype, device, requires_grad)


def randint(low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
            device: str | None = None) -> Tensor:  # fmt: skip
    """Whole numbers drawn evenly from `low` (0 if left out) up to but without `high`: randint(low, high, size)."""
    if size is None:
        low, high, size = 0, low, high
    return _finished(random_stream(generator).integers(low, high, size), dtype or np.int64, device, False)


def randperm(n: int, *, generator: Generator | None = None, device: str | None = None) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    return _finished(random_stream(generator).permutation(n), np.int64, device, False)
