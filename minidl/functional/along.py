"""What functions along a dimension share: the words they understand, what they return, the errors they raise.

PyTorch's words are `dim` and `keepdim`; NumPy's `axis` and `keepdims` are understood, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from minidl.autograd import Tensor
from minidl.autograd.tensor import describe
from minidl.ops.indexing import take_along_axis
from minidl.ops.shapes import reshape

Function = TypeVar("Function", bound=Callable[..., Any])
PYTORCHS_WORDS = {"axis": "dim", "keepdims": "keepdim"}


class Picked(NamedTuple):
    """Entries along a dimension, and where they are."""

    values: Tensor
    indices: Tensor


class IndexOrRuntimeError(IndexError, RuntimeError):
    """An index or dimension that does not fit: PyTorch raises one or the other, depending on the function."""


def along(function: Function) -> Function:
    """Let `function(input, ..., dim, ...)` understand NumPy's words, and take a 0-d tensor as if it had length 1."""

    @wraps(function)
    def called(input: Tensor, *others: Any, **words: Any) -> Any:
        if "axis" in words or "keepdims" in words:
            words = {PYTORCHS_WORDS.get(word, word): value for word, value in words.items()}
        if getattr(input, "ndim", 1):
            return function(input, *others, **words)
        result = function(*map(_lifted, (input, *others)), **{word: _lifted(x) for word, x in words.items()})
        return _number(result) if isinstance(result, Tensor) else tuple.__new__(type(result), map(_number, result))

    return called  # type: ignore[return-value]


def _lifted(x: Any) -> Any:
    return x.reshape(1) if isinstance(x, Tensor) and not x.ndim else x


def _number(x: Tensor) -> Tensor:
    return x.reshape(()) if x.array.size == 1 else x


def check_not_empty(name: str, input: Tensor, dim: Any = None) -> None:
    """Raise where nothing is there to choose from, along `dim` (a number, several, or None for all)."""
    dims = range(input.ndim) if dim is None else dim if isinstance(dim, (list, tuple)) else (dim,)
    if not input.array.size and 0 in [input.shape[d] for d in dims]:
        where = "" if dim is None else f" along dim {dim}"
        raise IndexOrRuntimeError(f"{name}: expected something to choose from, got {describe(input)}{where}")


def picked(input: Tensor, indices: Tensor, dim: int, keepdim: bool) -> Picked:
    """The entries at `indices`, which have length 1 along `dim`, without that dimension unless `keepdim`."""
    values = take_along_axis(input, indices, axis=dim)
    if not keepdim:
        shape = values.shape[:dim] + values.shape[dim:][1:]
        values, indices = reshape(values, shape=shape), reshape(indices, shape=shape)
    return Picked(values, indices)
