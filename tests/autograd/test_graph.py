"""How long a graph lives: until backward, or until nobody holds it; and no step leaves anything behind."""

import gc
import tracemalloc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import minidl
from minidl.autograd import Tensor, grad


def leaf(*numbers: float) -> Tensor:
    return minidl.tensor(list(numbers), dtype=np.float64, requires_grad=True)


# -- what is freed


def test_a_second_backward_needs_retain_graph() -> None:
    x = leaf(3)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12]
    with pytest.raises(RuntimeError, match=r"multiply a second time.*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == [12]


def test_a_freed_part_of_another_graph_is_noticed() -> None:
    x = leaf(3)
    y = x * x
    (y * 2).backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        (y * 3).backward()
    assert x.grad.tolist() == [12]


def test_create_graph_keeps_the_graph() -> None:
    x = leaf(3)
    y = x * x
    y.backward(create_graph=True)
    y.backward()
    assert x.grad.tolist() == [12]


# -- long, wide, and gone


def test_a_chain_of_100_000_ops() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    y.backward()
    assert x.grad.tolist() == [1]
    del y


def test_a_chain_of_100_000_ops_is_freed_without_backward() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = minidl.sin(y)
    start = weakref.ref(y)
    del y
    assert start() is None


def test_a_wide_graph() -> None:
    x = leaf(1.0)
    minidl.stack([x * n for n in range(2_000)]).sum().backward()
    assert x.grad.tolist() == [sum(range(2_000))]


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("how", ["never", "backward", "retained", "create_graph", "grad", "hooks"])
@pytest.mark.usefixtures("without_collector")
def test_a_graph_dies_with_its_last_name(how: str) -> None:
    x = leaf(1, 2)
    inner = (x * x).exp()
    if how == "hooks":
        inner.retain_grad()
        inner.register_hook(lambda g: g * 2)
    loss = (inner @ inner) + inner.max() + minidl.softmax(inner, 0)[0]
    if how in ("backward", "hooks"):
        loss.backward()
    elif how == "retained":
        loss.backward(retain_graph=True)
    elif how == "create_graph":
        grad(loss, x, create_graph=True)
    elif how == "grad":
        grad(loss, x)
    parts = [weakref.ref(inner), weakref.ref(loss), weakref.ref(loss.array)]
    del inner, loss
    assert [part() for part in parts] == [None, None, None]


@pytest.mark.usefixtures("without_collector")
def test_a_thousand_steps_leave_nothing_behind() -> None:
    w, b = leaf(0.5, -0.5), leaf(0.0)
    data = minidl.ones(8, 2, dtype=minidl.float64)

    def step() -> None:
        loss = minidl.tanh(data @ w + b).square().mean()
        loss.backward()
        with minidl.no_grad():
            for p in (w, b):
                p -= 0.1 * p.grad
                p.grad = None

    def left_after(steps: int) -> tuple[int, int]:
        for _ in range(steps):
            step()
        return len(gc.get_objects()), tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        few, many, more = left_after(10), left_after(990), left_after(1_000)
    finally:
        tracemalloc.stop()
    assert abs(many[0] - few[0]) < 10 and abs(more[0] - many[0]) < 10  # objects: a leak would be one a step
    assert more[1] - many[1] < 2_000  # bytes; before that, the interpreter fills its own stores of small tuples
