"""The dtype of every result is PyTorch's, whatever meets whatever, and a gradient has the dtype of its tensor.

Two differences are NumPy's and stay: among whole numbers, a 0-d tensor or NumPy's number of a wider dtype widens the
result; and booleans are refused by fewer operators.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl

DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
ARRAYS = {f"{dtype} {shape}": np.ones(shape, dtype) for dtype in DTYPES for shape in [(), (1,)]}
NUMBERS = {"True": True, "2": 2, "2.5": 2.5, "np.float64": np.float64(2.5), "np.float32": np.float32(2.5)}
OPERATORS: dict[str, Callable[..., Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow,
    "//": operator.floordiv, "%": operator.mod, "<": operator.lt, ">=": operator.ge, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip


def dtype_of(function: Callable[[], Any]) -> str | None:
    """The dtype of the result, or None where the operator refuses its operands."""
    try:
        return str(function().dtype).removeprefix("torch.")
    except (RuntimeError, TypeError):
        return None


def wider_whole_number(x: Any, y: Any) -> bool:
    """Whether two whole numbers meet of which the 0-d one has the wider dtype."""
    if x.dtype.kind not in "iu" or y.dtype.kind not in "iu" or x.ndim == y.ndim:
        return False
    number, array = (x, y) if x.ndim == 0 else (y, x)
    return np.promote_types(number.dtype, array.dtype) != array.dtype


@pytest.mark.parametrize("sign", OPERATORS)
@pytest.mark.parametrize("left", ARRAYS)
def test_two_tensors(left: str, sign: str) -> None:
    apply, x = OPERATORS[sign], ARRAYS[left]
    for right, y in ARRAYS.items():
        expected = dtype_of(lambda y=y: apply(torch.tensor(x), torch.tensor(y)))
        if expected is not None and not wider_whole_number(x, y):
            found = dtype_of(lambda y=y: apply(minidl.tensor(x), minidl.tensor(y)))
            assert found == expected, f"{left} {sign} {right}"


@pytest.mark.parametrize("sign", OPERATORS)
@pytest.mark.parametrize("name", ARRAYS)
def test_a_tensor_and_a_number(name: str, sign: str) -> None:
    apply, x = OPERATORS[sign], ARRAYS[name]
    for text, number in NUMBERS.items():
        expected = dtype_of(lambda n=number: apply(torch.tensor(x), n))
        if expected is not None and not (name.startswith("bool") and sign == "**"):
            assert dtype_of(lambda n=number: apply(minidl.tensor(x), n)) == expected, f"{name} {sign} {text}"
            reverse = dtype_of(lambda n=number: apply(n, torch.tensor(x)))
            assert dtype_of(lambda n=number: apply(n, minidl.tensor(x))) == reverse, f"{text} {sign} {name}"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
@pytest.mark.parametrize("other", ["float32", "float64", "int64"])
def test_a_tensor_and_an_array_count_as_two_tensors(dtype: str, other: str) -> None:
    x, y = np.ones(2, dtype), np.ones(2, other)
    expected = (minidl.tensor(x) * minidl.tensor(y)).dtype
    assert (minidl.tensor(x) * y).dtype == (y * minidl.tensor(x)).dtype == expected


def test_a_loss_stays_float32_beside_numpys_numbers() -> None:
    loss = minidl.tensor([1.0, 2.0], requires_grad=True).sum()
    for number in (np.float64(0.5), np.float64(3), np.mean([1.0, 2.0]), 0.5):
        for result in (loss * number, number * loss, loss + number, loss / number, number - loss, loss**number):
            assert result.dtype == np.float32


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "expm1", "log1p", "erf"])
def test_functions_make_float32_of_whole_numbers(name: str) -> None:
    for dtype in ("int64", "int32", "uint8", "bool"):
        assert getattr(minidl.tensor(np.ones(2, dtype)), name)().dtype == np.float32
    numbers = np.array([1, 2, 9])
    found, expected = getattr(minidl.tensor(numbers), name)(), getattr(torch.tensor(numbers), name)()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_dtypes_of_reductions_and_choices(dtype: str) -> None:
    numbers = np.ones((2, 2), dtype)
    for function in (
        lambda m, x: x.sum(),
        lambda m, x: x.sum(0),
        lambda m, x: x.amax(0),
        lambda m, x: m.max(x, 0).values,
        lambda m, x: x.argmax(0) if dtype != "bool" else x,
        lambda m, x: x.all() if dtype != "uint8" else x,  # PyTorch leaves uint8 as it is, for old programs' sake
        lambda m, x: m.where(x > 0, x, 0),
        lambda m, x: m.where(x > 0, 1.0, x),
        lambda m, x: m.cat([x, m.ones(2, 2)]),
        lambda m, x: m.maximum(x, x),
        lambda m, x: x.abs() if dtype != "bool" else x,
        lambda m, x: x.sum(dtype=m.float64),
        lambda m, x: x.mean(dtype=m.float32),
        lambda m, x: m.clamp(x, 0, 1) if dtype != "bool" else x,
    ):
        found, expected = function(minidl, minidl.tensor(numbers)), function(torch, torch.tensor(numbers))
        assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_a_mean_of_whole_numbers_is_refused(name: str, dtype: str) -> None:
    with pytest.raises(RuntimeError, match=rf"(mean|var): expected a floating dtype, got {dtype}"):
        getattr(minidl.tensor(np.ones(2, dtype)), name)()


def test_whole_numbers_to_a_negative_power_are_refused() -> None:
    with pytest.raises(RuntimeError, match="power"):
        minidl.tensor([1, 2]) ** -1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("other", [np.float16, np.float32, np.float64])
def test_a_gradient_has_the_dtype_of_its_tensor(dtype: Any, other: Any) -> None:
    x = minidl.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
    y = minidl.tensor([[3.0], [4.0]], dtype=other, requires_grad=True)
    z = (x * y + minidl.maximum(x, y)).mean() * np.float64(2)
    assert z.dtype == np.result_type(dtype, other)
    z.backward()
    assert (x.grad.dtype, y.grad.dtype) == (dtype, other)
    (slope,) = minidl.autograd.grad((x * y).sum(), x, create_graph=True)
    assert slope.dtype == dtype


def test_comparisons_have_no_history() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    for y in (x < 2, x == x, x.argmax(), x.isnan(), x.all(), x.long(), x.bool()):
        assert not y.requires_grad and y.is_leaf


@pytest.mark.parametrize("apply", [
    lambda m: m.tensor([True]) - m.tensor([True]),
    lambda m: -m.tensor([True]),
    lambda m: m.ones(2) & m.ones(2),
    lambda m: m.ones(2) << 1,
    lambda m: m.bitwise_not(m.ones(2)),
    lambda m: m.add(m.tensor([1]), m.tensor([1]), alpha=0.5),
    lambda m: m.tensor([1, 2]) // 0,
    lambda m: m.tensor([1, 2]) % m.tensor([1, 0]),
    lambda m: m.fmod(m.tensor([1, 2]), 0),
    lambda m: m.div(m.tensor([1, 2]), 0, rounding_mode="trunc"),
])  # fmt: skip
def test_numbers_that_do_not_fit_an_op_are_runtime_errors(apply: Callable[[Any], Any]) -> None:
    for library in (minidl, torch):
        with pytest.raises(RuntimeError):
            apply(library)


@pytest.mark.parametrize("other", [None, "a", object()], ids=lambda other: type(other).__name__)
def test_what_is_no_number_is_a_type_error(other: Any) -> None:
    for library in (minidl, torch):
        with pytest.raises(TypeError):
            library.ones(2) + other


def test_whole_numbers_are_divided_exactly() -> None:
    x = np.array([2**62 + 1, -(2**62) - 1])
    for mode in ("floor", "trunc"):
        found = minidl.div(minidl.tensor(x), 3, rounding_mode=mode)
        assert found.tolist() == torch.div(torch.tensor(x), 3, rounding_mode=mode).tolist()


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        minidl.ones(2) * 1j


def test_the_name_of_a_dtype_is_no_dtype() -> None:
    with pytest.raises(RuntimeError, match="expected a device"):
        minidl.ones(2).to("float")
    with pytest.raises(RuntimeError):
        torch.ones(2).to("float")
