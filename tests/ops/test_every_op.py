"""What must hold for every op: values and derivatives as PyTorch's, both orders right by finite differences."""

import importlib
import pkgutil
from typing import Any

import numpy as np
import pytest
import torch
from op_table import DIFFERENTIABLE, WITHOUT_DERIVATIVE, Row

import minidl
import minidl.ops
from minidl.autograd import Tensor, gradcheck, gradgradcheck


def tensors(row: Row, dtype: Any = np.float64) -> list[Any]:
    """The row's inputs as minidl tensors; those of floats require a gradient."""
    return [
        x if not isinstance(x, np.ndarray)
        else Tensor(x.astype(dtype), requires_grad=i not in row.fixed) if x.dtype.kind == "f"
        else Tensor(x)
        for i, x in enumerate(row.inputs)
    ]  # fmt: skip


def torch_tensors(row: Row) -> list[Any]:
    return [torch.tensor(x, requires_grad=x.dtype.kind == "f") if isinstance(x, np.ndarray) else x for x in row.inputs]


def call(row: Row, inputs: list[Any]) -> Tensor:
    return row.op(*inputs, **row.settings)


each = pytest.mark.parametrize("row", DIFFERENTIABLE, ids=str)


def test_no_op_is_missing_from_the_table() -> None:
    listed = {row.op for row in DIFFERENTIABLE + WITHOUT_DERIVATIVE}
    missing = [
        f"{module.name}.{name}"
        for module in pkgutil.iter_modules(minidl.ops.__path__, "minidl.ops.")
        for name, value in vars(importlib.import_module(module.name)).items()
        if hasattr(value, "function") and value not in listed
    ]
    assert not missing


@pytest.mark.parametrize("row", [r for r in DIFFERENTIABLE + WITHOUT_DERIVATIVE if r.torch], ids=str)
def test_values_equal_pytorch(row: Row) -> None:
    ours, theirs = call(row, tensors(row)), row.torch(*torch_tensors(row))  # type: ignore[misc]
    assert ours.shape == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("row", [r for r in DIFFERENTIABLE if r.torch], ids=str)
def test_gradients_equal_pytorch(row: Row) -> None:
    ours, theirs = tensors(row), torch_tensors(row)
    y, t = call(row, ours), row.torch(*theirs)  # type: ignore[misc]
    upstream = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(upstream)
    t.backward(torch.tensor(upstream))
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(a, Tensor) and a.requires_grad:
            expected = np.zeros(a.shape) if b.grad is None else b.grad.numpy()
            found = np.zeros(a.shape) if a.grad is None else a.grad.numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@each
def test_first_derivatives(row: Row) -> None:
    assert gradcheck(lambda *x: call(row, list(x)), tensors(row))


@each
def test_second_derivatives(row: Row) -> None:
    assert gradgradcheck(lambda *x: call(row, list(x)), tensors(row))


@each
def test_float32_stays_float32(row: Row) -> None:
    if row.settings.get("dtype") == np.float64:
        pytest.skip("the row converts to float64, which is its point")
    inputs = tensors(row, np.float32)
    y = call(row, inputs)
    y.backward(minidl.ones(y.shape))
    assert y.dtype == np.float32
    assert {x.grad.dtype for x in inputs if isinstance(x, Tensor) and x.grad is not None} <= {np.dtype(np.float32)}


@each
def test_arrays_give_arrays(row: Row) -> None:
    """The rules run on bare arrays: there an op must give the same numbers without making a tensor."""
    plain = row.op(*row.inputs, **row.settings)
    if row.op.__name__ not in ("matmul",):
        assert not isinstance(plain, Tensor)
    np.testing.assert_array_equal(np.asarray(plain), call(row, tensors(row)).detach().numpy())


@each
def test_inputs_are_left_alone(row: Row) -> None:
    inputs = tensors(row)
    before = [x.array.copy() if isinstance(x, Tensor) else x for x in inputs]
    y = call(row, inputs)
    y.backward(np.ones(y.shape))
    for x, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x.array if isinstance(x, Tensor) else x, old)
