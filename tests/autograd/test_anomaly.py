"""Anomaly detection: which operation produced the first NaN or infinite number, where it was called, and with what."""

import linecache
import re
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn
from minidl.autograd import Function, detect_anomaly, engine, set_detect_anomaly

NAN, INF = float("nan"), float("inf")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def leaf(*numbers: float) -> Tensor:
    return minidl.tensor(list(numbers), dtype=minidl.float32, requires_grad=True)


def caught(program: Any) -> str:
    with detect_anomaly(), pytest.raises(RuntimeError) as error:
        program()
    return str(error.value)


def here(message: str, source: str) -> bool:
    """Whether the message ends with the line of this file that reads `source`."""
    place = re.search(r"called at (.*):(\d+) in ", message)
    assert place is not None, message
    return place[1] == __file__ and source in linecache.getline(place[1], int(place[2]))


def test_forward_the_op_its_numbers_and_the_line() -> None:
    x, y = leaf(1, 0, 4), leaf(2, 0, 0)
    x.name = "x"

    def program() -> None:
        good = x * y
        bad = good / y  # here
        bad.sum().backward()

    message = caught(program)
    assert message.startswith("divide produced nan in 2 of 3 entries, first at (1,)\n")
    assert "  input 1: a tensor float32 (3,), 0 at (1,), from 0 to 2\n" in message
    assert here(message, "bad = good / y  # here") and "in program: bad = good / y" in message
    assert "  input 0: x float32" in caught(lambda: x / y)


@pytest.mark.parametrize(
    ("program", "start"),
    [
        (lambda: minidl.log(leaf(0.0)), "log produced inf"),
        (lambda: minidl.exp(minidl.tensor([1.0, 1e4])), "exp produced inf in 1 of 2 entries, first at (1,)"),
        (lambda: leaf(INF) - INF, "subtract produced nan"),
        (lambda: leaf(1) / 0, "divide produced inf"),
        (lambda: minidl.zeros(()) / 0, "divide produced nan in 1 of 1 entries, first at ()"),
        (lambda: leaf(1, 2) * minidl.tensor([1.0, NAN]), "multiply passed on nan in 1 of 2 entries"),
    ],
)
def test_forward_what_counts(program: Any, start: str) -> None:
    assert caught(program).startswith(start)


def test_what_is_meant_to_be_so_is_left_alone() -> None:
    data, x = minidl.tensor([1.0, NAN]), leaf(1, 2)
    with detect_anomaly():
        assert (data * 2).isnan().tolist() == [False, True]
        clean = minidl.where(data.isnan(), 0.0, data * 2)
        scores = minidl.where(minidl.tensor([True, False]), x * clean, -INF)
        minidl.softmax(scores, 0).sum().backward()
    assert x.grad.tolist() == [0, 0]


def test_backward_the_op_and_the_line_of_its_call() -> None:
    x = leaf(4, 0)

    def program() -> None:
        roots = x.sqrt()  # called here
        (roots * 1).sum().backward()

    message = caught(program)
    assert message.startswith("the backward pass of sqrt, as the gradient of input 0, produced inf in 1 of 2 entries,")
    assert "  upstream: an array float32 (2,), 1 at (1,), from 1 to 1\n" in message
    assert "  output: an array float32 (2,), 0 at (1,), from 0 to 2\n" in message
    assert here(message, "roots = x.sqrt()  # called here")


def test_backward_a_zero_times_infinity() -> None:
    x = leaf(0.0)
    message = caught(lambda: (minidl.where(x > 0, x.sqrt(), 0.0)).sum().backward())
    assert "backward pass of sqrt, as the gradient of input 0, produced nan" in message


class Net(nn.Module):
    def __init__(self) -> None:
        self.body = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), Root()))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Root(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 0).sqrt()


def test_the_layer_is_named() -> None:
    net = Net()
    message = caught(lambda: net(minidl.ones(1, 2)).sum().backward())
    assert "backward pass of sqrt" in message and message.endswith("return (x * 0).sqrt(), in Root body.1.1")
    net.body[0].weight = nn.Parameter(minidl.full((2, 2), INF))
    message = caught(lambda: net(minidl.zeros(1, 2)))
    assert message.startswith("in body.0 (Linear(in_features=2, out_features=2, bias=True)): linear produced nan")


def test_the_middle_of_a_network_is_found_first() -> None:
    w = leaf(2.0)
    message = caught(lambda: ((w - 2).log().exp() * 3).sum().backward())
    assert message.startswith("log produced inf")


def test_a_change_in_place_is_found_like_any_op() -> None:
    x = leaf(4, 0)

    def program() -> None:
        y = x * 1
        y.sqrt_()  # changed here
        y.mul_(2)
        y.sum().backward()

    assert here(caught(program), "y.sqrt_()  # changed here")


def test_a_function_of_ones_own() -> None:
    class Log(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return Tensor(np.log(np.maximum(x.array, 0.1)))

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return Tensor(g.array / ctx.saved_tensors[0].array)

    x = leaf(0.0, 1.0)
    assert caught(lambda: Log.apply(x).sum().backward()).startswith("the backward pass of Log")
    y = leaf(NAN)
    assert caught(lambda: Log.apply(y)).startswith("Log passed on nan")


def test_second_derivatives_are_watched() -> None:
    x = leaf(0.0)
    with detect_anomaly(), pytest.raises(RuntimeError, match="divide produced inf") as error:
        minidl.autograd.grad(x.sqrt(), x, create_graph=True)
    assert "in the backward pass of sqrt, called at" in error.value.__notes__[0]


def test_other_errors_of_the_backward_pass_get_the_line() -> None:
    @minidl.autograd.op
    def failing(xp, x):
        return x * 1

    failing.vjps(lambda g, out, x: g @ "word")
    with set_detect_anomaly(True, check_nan=False):
        y = failing(leaf(1)) * NAN
        with pytest.raises(TypeError) as error:
            y.backward()
    assert "in the backward pass of failing, called at" in error.value.__notes__[0]


def test_the_switches() -> None:
    assert engine.watch is None
    with detect_anomaly():
        outer = engine.watch
        with set_detect_anomaly(False):
            assert engine.watch is None
            assert (leaf(0) / 0).isnan().all()
        assert engine.watch is outer is not None
    set_detect_anomaly(True)
    try:
        with pytest.raises(RuntimeError, match="produced nan"):
            leaf(0) / 0
    finally:
        set_detect_anomaly(False)
    assert engine.watch is None
    x = leaf(0)
    y = x.sqrt()
    with detect_anomaly(), pytest.raises(RuntimeError, match="called before the detection was switched on"):
        y.backward()


def test_nothing_is_noted_while_it_is_off() -> None:
    assert not hasattr(leaf(1) * 2, "origin")
    with detect_anomaly():
        assert __file__ in (leaf(1) * 2).origin


def test_training_goes_on_as_before() -> None:
    def losses() -> list[float]:
        minidl.manual_seed(0)
        net, data = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 1)), minidl.ones(5, 3)
        optimizer, found = minidl.optim.Adam(net.parameters(), lr=0.1), []
        for _ in range(5):
            optimizer.zero_grad()
            loss = net(data).square().mean()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    expected = losses()
    with detect_anomaly():
        assert losses() == expected
