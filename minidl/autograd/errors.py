"""What an error in an op says: PyTorch's class, the op's name, and what the op was given."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any, NoReturn

import numpy as np

from minidl.autograd.tensor import Tensor, describe
from minidl.backend import OutOfMemoryError
from minidl.wording import NAMES, reworded


class LinAlgError(RuntimeError):
    """A matrix that linear algebra cannot work with: singular, not positive definite, not square."""


# What NumPy raises, and what is raised in its place; its AxisError is an IndexError and a ValueError.
CLASSES = {np.linalg.LinAlgError: LinAlgError, IndexError: IndexError, TypeError: TypeError, ValueError: RuntimeError,
           ArithmeticError: RuntimeError, AttributeError: TypeError, RuntimeError: RuntimeError,
           MemoryError: OutOfMemoryError}  # fmt: skip


def raise_explained(error: Exception, name: str, inputs: Sequence[Any]) -> NoReturn:
    """Raise the error of an op in PyTorch's class, with the op's name and what it was given."""
    places = sorted({x.device for x in inputs if isinstance(x, Tensor)})
    given = ", ".join(describe(x) for x in inputs)
    name, said = NAMES.get(name, name), reworded(str(error))
    message = said if "got" in said else f"{said}; got {given}"
    if len(places) > 1:
        message = f"tensors on different devices, {' and '.join(places)}: move one with .to(); got {given}"
        raise RuntimeError(f"{name}: {message}") from error
    refused = isinstance(error, TypeError) and any(word in str(error) for word in ("ufunc", "numpy boolean"))
    if refused and all(isinstance(x, (Tensor, Number)) for x in inputs):  # NumPy refuses their dtypes, not their types
        error = RuntimeError(error)
    for kind, raised in CLASSES.items():
        if isinstance(error, kind):
            raise raised(f"{name}: {message}") from error
    raise error
