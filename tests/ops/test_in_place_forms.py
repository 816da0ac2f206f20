"""The in-place form of every function that works entry by entry: x.exp_() is x.exp(), written into x."""

from typing import Any

import numpy as np
import pytest

import minidl
from minidl import Tensor, no_grad
from minidl.functional.methods import ENTRYWISE

ENTRY_BY_ENTRY = [name for name in ENTRYWISE if not name.startswith(("index", "masked", "scatter"))]  # test_indexing.py
Y = np.array([0.75, 0.25])
SECOND: dict[str, tuple[Any, ...]] = {
    "addcdiv": (Y, Y), "addcmul": (Y, Y), "lerp": (Y, 0.25), "clamp": (0.1, 0.4), "clip": (0.1, 0.4),
    "clamp_max": (0.4,), "clamp_min": (0.4,), "deg2rad": (), "div": (Y,), "divide": (Y,), "float_power": (Y,),
    "frac": (), "heaviside": (Y,), "logit": (), "nan_to_num": (), "rad2deg": (),
}  # fmt: skip


def arguments(name: str) -> tuple[np.ndarray, tuple[Any, ...]]:
    """The entries of the tensor, and what else its method takes."""
    if name.startswith("bitwise"):
        x = np.array([6, 3])
        return x, () if name == "bitwise_not" else (np.array([2, 1]),)
    x = np.array([0.25, 1.5 if name == "acosh" else 0.5])
    if name in SECOND:
        return x, SECOND[name]
    return x, (Y,) * (ENTRYWISE[name].function.__code__.co_argcount - 2)


def tensors(others: tuple[Any, ...]) -> list[Any]:
    return [minidl.tensor(y) if isinstance(y, np.ndarray) else y for y in others]


@pytest.mark.parametrize("name", ENTRY_BY_ENTRY)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_it_writes_the_value_into_the_memory(name: str) -> None:
    array, others = arguments(name)
    expected = getattr(Tensor(array.copy()), name)(*tensors(others)).numpy()
    x = Tensor(array)
    assert getattr(x, f"{name}_")(*tensors(others)) is x and x.array is array
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("name", [name for name in ENTRY_BY_ENTRY if not name.startswith("bitwise")])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_leaf_that_requires_a_gradient_is_changed_under_no_grad_only(name: str) -> None:
    array, others = arguments(name)
    x = Tensor(array, requires_grad=True)
    before = array.copy()
    with pytest.raises(RuntimeError, match="leaf"):
        getattr(x, f"{name}_")(*tensors(others))
    np.testing.assert_array_equal(array, before)
    with no_grad():
        assert getattr(x, f"{name}_")(*tensors(others)).is_leaf


@pytest.mark.parametrize("change", [
    lambda x: x.exp_(),
    lambda x: x.div_(2),
    lambda x: x.add_(0.5),
    lambda x: x.clamp_(0.5),
    lambda x: x.__itruediv__(2),
])  # fmt: skip
def test_fractions_are_not_stored_in_whole_numbers(change: Any) -> None:
    x = minidl.tensor([1, 2])
    with pytest.raises(RuntimeError, match="cannot store float32 in a tensor int64"):
        change(x)
    assert x.tolist() == [1, 2]


def test_the_shape_stays() -> None:
    with pytest.raises(RuntimeError, match=r"cannot turn shape \(2,\) into \(3, 2\)"):
        minidl.ones(2).add_(minidl.ones(3, 2))


def test_a_bound_that_requires_a_gradient_receives_it() -> None:
    low = minidl.tensor([0.5, 0.5], requires_grad=True)
    x = minidl.tensor([0.0, 1.0])
    x.clamp_(min=low)
    x.sum().backward()
    assert x.tolist() == [0.5, 1.0] and low.grad.tolist() == [1, 0]


ALIASES = {
    "abs": "absolute", "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
    "atan2": "arctan2", "atanh": "arctanh", "clamp": "clip", "div": "divide", "ge": "greater_equal", "gt": "greater",
    "le": "less_equal", "lt": "less", "mul": "multiply", "ne": "not_equal", "neg": "negative", "sub": "subtract",
    "trunc": "fix",
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ALIASES.items())
def test_two_names_of_one_function(one: str, other: str) -> None:
    assert getattr(minidl, one) is getattr(minidl, other) and getattr(Tensor, one) is getattr(Tensor, other)
    assert hasattr(Tensor, f"{one}_") and hasattr(Tensor, f"{other}_")


def test_a_view_in_place_keeps_its_memory() -> None:
    x = minidl.arange(6).reshape(2, 3)
    rows = x[0]
    x.t_().unsqueeze_(0)[0, 0, 0] = 7
    assert x.shape == (1, 3, 2) and rows.tolist() == [7, 1, 2]


def test_a_view_in_place_of_a_recorded_tensor_shares_its_history_and_its_changes() -> None:
    w = minidl.ones(3, requires_grad=True)
    y = w.exp()
    y.unsqueeze_(0)
    (y * minidl.tensor([[1.0], [2.0]])).sum().backward()
    assert minidl.allclose(w.grad, 3 * w.exp())
    z = w.exp()
    z.unsqueeze_(0)
    with minidl.no_grad():
        z.add_(1)
    with pytest.raises(RuntimeError, match="changed in place after"):
        z.sum().backward()
    with pytest.raises(RuntimeError, match="leaf"):
        w.unsqueeze_(0)
