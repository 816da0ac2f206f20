"""Functions that make tensors of constants and ranges, and of data that is there already.

Each takes `dtype`, `device` and `requires_grad`; where no dtype is named, it is the default floating one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor, tensor
from minidl.autograd.errors import raise_explained

Maker = Callable[..., Tensor]


def made(make: Callable[..., Any], *arguments: Any, dtype: Any = None, device: str | None = None,
         requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The tensor of what NumPy's function gives for the arguments; its errors become PyTorch's."""
    try:
        array = np.asarray(make(*arguments), dtype or backend.get_default_dtype())
    except Exception as error:
        raise_explained(error, make.__name__, [x for x in arguments if not isinstance(x, (np.dtype, type))])
    return Tensor(array if device is None else backend.to_device(array, device), requires_grad)


def _shape(sizes: tuple[Any, ...], size: Any) -> tuple[int, ...]:
    """zeros(2, 3), zeros((2, 3)) and zeros(size=(2, 3)) mean the same."""
    sizes = sizes if size is None else (size,)
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def of_shape(make: Callable[..., Any]) -> Maker:
    """The public function of one that makes an array of a shape and dtype, perhaps with a generator."""

    def function(*sizes: Any, size: Any = None, generator: Any = None, dtype: Any = None, device: str | None = None,
                 requires_grad: bool = False) -> Tensor:  # fmt: skip
        dtype = np.dtype(dtype or backend.get_default_dtype())
        arguments = _shape(sizes, size), dtype, *(() if generator is None else (generator,))
        return made(make, *arguments, dtype=dtype, device=device, requires_grad=requires_grad)

    function.__name__, function.__qualname__, function.__doc__ = make.__name__, make.__qualname__, make.__doc__
    function.__module__ = make.__module__
    return function


@of_shape
def zeros(shape: Any, dtype: Any) -> Any:
    """A tensor of zeros.

    >>> zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    return np.zeros(shape, dtype)


@of_shape
def ones(shape: Any, dtype: Any) -> Any:
    """A tensor of ones."""
    return np.ones(shape, dtype)


@of_shape
def empty(shape: Any, dtype: Any) -> Any:
    """A tensor whose numbers are what its memory held before: fill it before you read it."""
    return np.empty(shape, dtype)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None,
         requires_grad: bool = False) -> Tensor:  # fmt: skip
    """A tensor filled with one number, in its dtype: whole numbers give int64, True and False bool.

    >>> full((2,), 7)
    tensor([7, 7])
    """
    fill_value = _number(fill_value)
    dtype = dtype or (backend.get_default_dtype() if isinstance(fill_value, float) else np.asarray(fill_value).dtype)
    return made(np.full, tuple(size), fill_value, dtype, dtype=dtype, device=device, requires_grad=requires_grad)


def arange(start: float = 0, end: float | None = None, step: float = 1, *, dtype: Any = None,
           device: str | None = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The numbers from `start` (0 if only one is given) up to but without `end`: int64 if all are whole.

    Raises RuntimeError for a step that does not lead from start to end.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    numbers = [_number(x) for x in ((0, start, step) if end is None else (start, end, step))]
    if dtype is None and not any(isinstance(x, float) for x in numbers):
        dtype = np.int64
    start, end, step = numbers
    if not step or (end - start) * step < 0:
        raise RuntimeError(f"arange: expected a step that leads from {start} to {end}, got {step}")
    if dtype and np.dtype(dtype).kind != "f":
        numbers = list(map(int, numbers))
    return made(np.arange, *numbers, dtype=dtype, device=device, requires_grad=requires_grad)


def linspace(start: float, end: float, steps: int, **how: Any) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included."""
    return made(np.linspace, _number(start), _number(end), steps, **how)


def logspace(start: float, end: float, steps: int, base: float = 10.0, **how: Any) -> Tensor:
    """base to the power of `steps` numbers at equal distances from `start` to `end`."""
    return made(np.logspace, _number(start), _number(end), steps, True, base, **how)


def _number(x: Any) -> Any:
    return x.item() if isinstance(x, Tensor) else x


def eye(n: int, m: int | None = None, **how: Any) -> Tensor:
    """The n by m matrix (n by n without m) with ones on the diagonal and zeros elsewhere."""
    return made(np.eye, n, m, **how)


# -- of what is there ---------------------------------------------------------------------------------------------


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor on the memory of a NumPy array; TypeError for anything else."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    return Tensor(array)


def as_tensor(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """`data` as a tensor, without a copy where none is needed: of a tensor itself, of an array one on its memory."""
    if not isinstance(data, Tensor):
        data = Tensor(data) if type(data) in backend.modules else tensor(data, dtype)
    return data.to(device=device, dtype=dtype)


# -- like another tensor ------------------------------------------------------------------------------------------


def beside(make: Maker) -> Maker:
    """The method that makes a tensor as `make` does, in the dtype and on the device of its own if none are named.

    `memory_format` changes nothing.
    """

    def method(
        x: Tensor, *arguments: Any, dtype: Any = None, device: str | None = None, memory_format: Any = None, **how: Any
    ) -> Tensor:
        return make(*arguments, dtype=dtype or x.dtype, device=device or x.device, **how)

    return method


def like(make: Maker) -> Maker:
    """The function that makes a tensor of the shape, dtype and device of another."""

    def function(input: Tensor, **how: Any) -> Tensor:
        return beside(make)(input, input.shape, **how)

    function.__name__ = function.__qualname__ = f"{make.__name__}_like"
    function.__doc__ = f"`{make.__name__}` in the shape of `input`, of its dtype and on its device if none are named."
    return function


zeros_like, ones_like, empty_like = like(zeros), like(ones), like(empty)


def full_like(input: Tensor, fill_value: Any, **how: Any) -> Tensor:
    """`fill_value` in the shape of `input`, and in its dtype and on its device if none are named."""
    return beside(full)(input, input.shape, fill_value, **how)
