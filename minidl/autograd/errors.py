"""What an error in an op says: PyTorch's class, the op's name, and what the op was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from minidl.autograd.tensor import Tensor, describe


def raise_explained(error: Exception, name: str, inputs: Sequence[Any]) -> NoReturn:
    """Raise the error of an op in PyTorch's class, with the op's name and what it was given."""
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    places = sorted({x.device for x in tensors})
    given = ", ".join(describe(x) for x in inputs)
    message = str(error) if "got" in str(error) else f"{error}; got {given}"
    if len(places) > 1:
        message = f"tensors on different devices, {' and '.join(places)}: move one with .to(); got {given}"
        raise RuntimeError(f"{name}: {message}") from error
    for kind, raised in ((IndexError, IndexError), (TypeError, TypeError), (ValueError, RuntimeError)):
        if isinstance(error, kind):  # NumPy's AxisError is an IndexError and a ValueError
            raise raised(f"{name}: {message}") from error
    if isinstance(error, RuntimeError):
        raise RuntimeError(f"{name}: {message}") from error
    raise error
