"""gradcheck and gradgradcheck must find what is wrong: a check that always says yes is worth nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.autograd import Tensor, gradcheck, gradgradcheck, op


def leaf(*numbers: float) -> Tensor:
    return minidl.tensor(list(numbers), dtype=np.float64, requires_grad=True)


def square_with(rule: Callable[..., Any]) -> Callable[..., Tensor]:
    """An op for x² with the given rule."""

    @op
    def square(xp, x):
        return x * x

    square.vjps(rule)
    return square


@op
def half_square(xp, x):
    return 0.5 * x * x


half_square.vjps(lambda g, out, x: g * (x if not isinstance(x, Tensor) else x.detach()))  # right once, not twice


def test_right_rules_pass() -> None:
    x, y = leaf(0.3, -1.2), leaf(2.0, 0.7)
    assert gradcheck(lambda x, y: x * y.exp() / (x * x + 1), [x, y])
    assert gradgradcheck(lambda x, y: x * y.exp() / (x * x + 1), [x, y])


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, out, x: g * x,
        lambda g, out, x: -g * 2 * x,
        lambda g, out, x: g * 2 * x * 1.01,
        lambda g, out, x: g * 2 * x[::-1],
        lambda g, out, x: x * 2,
        lambda g, out, x: g * 0,
        lambda g, out, x: g * np.nan,
    ],
)
def test_a_wrong_rule_is_found(rule: Callable[..., Any]) -> None:
    with pytest.raises(RuntimeError, match=r"input 0, entry \(\d,\): the rules give .* finite differences"):
        gradcheck(square_with(rule), leaf(0.5, 3.0))


@pytest.mark.parametrize("cut", [lambda x: x.detach() * 2, lambda x: minidl.tensor(x.array) * 2 + x * 0])
def test_a_lost_gradient_is_found(cut: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(RuntimeError, match="the rules give 0"):
        gradcheck(cut, leaf(0.5, 3.0))


def test_the_worst_entry_is_named() -> None:
    wrong = square_with(lambda g, out, x: g * np.array([[0.0, 2.0, 0.0]]) * x)
    x = minidl.tensor([[0.001, 1.0, 5.0]], dtype=np.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"input 1, entry \(0, 2\).*2 of 3 entries"):
        gradcheck(lambda y, x: wrong(x) + y, [minidl.tensor([[1.0]], dtype=np.float64, requires_grad=True), x])


def test_a_wrong_second_derivative_is_found() -> None:
    assert gradcheck(half_square, leaf(0.5, 3.0))
    with pytest.raises(RuntimeError, match="finite differences"):
        gradgradcheck(half_square, leaf(0.5, 3.0))


def test_every_output_is_checked() -> None:
    wrong = square_with(lambda g, out, x: g * x)
    with pytest.raises(RuntimeError, match="the rules give"):
        gradcheck(lambda x: (x * 2, wrong(x)), leaf(0.5, 3.0))
    assert gradcheck(lambda x: x.max(0), minidl.tensor([[1.0, 2.0], [4.0, 3.0]], dtype=np.float64, requires_grad=True))


def test_inputs_without_a_gradient_are_passed_on() -> None:
    assert gradcheck(lambda x, n, y, word: x**n * y, [leaf(0.5, 3.0), 3, minidl.ones(2), "word"])


def test_the_checks_leave_no_trace() -> None:
    x = leaf(0.5, 3.0)
    gradcheck(minidl.sin, x)
    gradgradcheck(minidl.sin, x)
    assert x.tolist() == [0.5, 3.0] and x.grad is None


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_what_cannot_be_checked_is_refused(check: Callable[..., bool]) -> None:
    with pytest.raises(ValueError, match=r"requires_grad=True|requires a gradient"):
        check(minidl.sin, minidl.ones(2, dtype=minidl.float64))
    with pytest.raises(ValueError, match="float64"):
        check(lambda x: x * x, minidl.ones(2, requires_grad=True))


def test_there_is_no_second_derivative_of_nothing() -> None:
    with pytest.raises(ValueError, match="gradgradcheck needs a function"):
        gradgradcheck(lambda x: x.detach(), leaf(1))


def test_a_number_and_an_empty_tensor_can_be_checked() -> None:
    assert gradcheck(minidl.exp, minidl.tensor(0.5, dtype=np.float64, requires_grad=True))
    assert gradcheck(minidl.exp, minidl.zeros(0, 3, dtype=minidl.float64, requires_grad=True))
