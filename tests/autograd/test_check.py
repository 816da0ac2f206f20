"""gradcheck and gradgradcheck must find what is wrong: a check that always says yes is worth nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

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


# -- what the message says, and PyTorch's options


five = square_with(lambda g, out, x: g * 5)


def test_the_worst_entries_stand_side_by_side() -> None:
    wrong = square_with(lambda g, out, x: g * np.array([3.0, 2.0, 8.0, 2.5]) * x)
    with pytest.raises(minidl.autograd.check.GradcheckError) as error:
        gradcheck(wrong, leaf(1.0, 1.0, 1.0, 1.0))
    lines = str(error.value).splitlines()
    assert "entry (2,): the rules give" in lines[0] and "3 of 4 entries differ" in lines[0]
    assert [line.split(":")[0] for line in lines[1:]] == ["  entry (0,)", "  entry (3,)"]


@pytest.mark.parametrize(
    ("function", "at", "words"),
    [
        (minidl.relu, [0.0], "a kink, like that of relu at 0, where the rule may give either or one between"),
        (lambda x: minidl.clamp(x, -1, 1), [0.0, 1.0], "slope is .* on the left .* and 0 on its right: .* a kink"),
        (lambda x: minidl.floor(x) + x, [1.0], "most likely a jump"),
        (five, [1.0], None),
        (lambda x: minidl.abs(five(x) - 1), [1.0 + 1e-9], "kink.*but what the rule gives"),
    ],
)
def test_a_kink_is_told_from_a_wrong_rule(function: Callable[..., Any], at: list[float], words: str | None) -> None:
    with pytest.raises(RuntimeError, match=words) as error:
        gradcheck(function, leaf(*at))
    assert words is not None or "kink" not in str(error.value)


@pytest.mark.parametrize(
    ("check", "wrong"), [(gradcheck, square_with(lambda g, out, x: g * x)), (gradgradcheck, half_square)]
)
def test_the_answer_can_be_false(check: Callable[..., bool], wrong: Any) -> None:
    assert check(wrong, leaf(0.5, 3.0), raise_exception=False) is False
    assert check(minidl.sin, leaf(0.5, 3.0), raise_exception=False) is True
    with pytest.raises(ValueError, match="requires"):
        check(minidl.sin, minidl.ones(2, dtype=minidl.float64), raise_exception=False)


def test_a_backward_pass_that_is_not_the_same_twice_is_found() -> None:
    state = iter(range(100))
    shaky = square_with(lambda g, out, x: g * 2 * x + next(state) * 1e-4)
    with pytest.raises(RuntimeError, match="two backward passes give checked input 0 different gradients"):
        gradcheck(shaky, leaf(0.5, 3.0))
    assert gradcheck(shaky, leaf(0.5, 3.0), nondet_tol=1e-2, atol=1e-1)


def test_pytorchs_words_are_taken_or_refused() -> None:
    options = {"eps": 1e-6, "atol": 1e-5, "rtol": 1e-3, "nondet_tol": 0.0, "check_undefined_grad": False,
               "check_grad_dtypes": True, "fast_mode": True}  # fmt: skip
    for check, torch_check in ((gradcheck, torch.autograd.gradcheck), (gradgradcheck, torch.autograd.gradgradcheck)):
        assert check(minidl.sin, leaf(0.5, 3.0), **options)
        assert torch_check(torch.sin, torch.tensor([0.5, 3.0], dtype=torch.float64, requires_grad=True), **options)
        with pytest.raises(TypeError, match="check_forward_ad"):
            check(minidl.sin, leaf(0.5), check_forward_ad=True)
    with pytest.raises(TypeError):
        gradcheck(minidl.sin, leaf(0.5), 1e-6)


def test_gradients_to_start_from_can_be_given() -> None:
    assert gradgradcheck(minidl.sin, leaf(0.5, 3.0), leaf(1.0, 0.5))
    assert gradgradcheck(lambda x: (x * x, x.sin()), leaf(0.5), [leaf(1.0), leaf(2.0)], atol=1e-4)
    with pytest.raises(RuntimeError):
        gradgradcheck(half_square, leaf(0.5, 3.0), leaf(1.0, 0.5))
