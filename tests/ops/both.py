"""What tests of functions share: run the same lines with minidl and with PyTorch, and compare all that comes out."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl

Function = Callable[..., Any]  # of the library and of tensors


def results(library: Any, function: Function, arrays: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """The outputs, and the gradients of their weighted sum at the inputs of floats, as NumPy arrays."""
    inputs = [library.tensor(x, requires_grad=np.asarray(x).dtype.kind == "f") for x in arrays]
    outputs = function(library, *inputs)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    loss = library.zeros((), dtype=library.float64)
    for y in outputs:
        if y.requires_grad:
            weights = library.arange(1.0, y.numel() + 1, dtype=library.float64).reshape(tuple(y.shape))
            loss = loss + (y * weights).sum()
    if loss.requires_grad:
        loss.backward()
    gradients = [None if x.grad is None else x.grad.numpy() for x in inputs]
    return [y.detach().numpy() for y in outputs], gradients


def same(function: Function, *arrays: Any, rtol: float = 1e-13) -> None:
    """Values, shapes, dtypes and gradients are PyTorch's."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # PyTorch's; NumPy's are silenced by errstate
        ours, theirs = (results(library, function, arrays) for library in (minidl, torch))
    assert len(ours[0]) == len(theirs[0])
    for found, expected in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True):
        assert (found is None) == (expected is None)
        if expected is not None:
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-15)


def refused(error: type[Exception], message: str, function: Function, *arrays: Any) -> None:
    """Both libraries raise `error`; ours with a message that matches."""
    with pytest.raises(error, match=message):
        function(minidl, *map(minidl.tensor, arrays))
    with pytest.raises(error):
        function(torch, *map(torch.tensor, arrays))
