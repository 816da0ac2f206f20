"""What is in memory, and when: counted in live arrays and in traced bytes, so that every run gives the same numbers."""

import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import minidl
from minidl import nn
from minidl.utils.checkpoint import checkpoint_sequential

MEGABYTE = 2**20


def traced(work: Callable[[], Any]) -> tuple[int, int]:
    """The bytes that the result of `work()` keeps, and the most that there were meanwhile."""
    tracemalloc.start()
    try:
        result = work()
        held, peak = tracemalloc.get_traced_memory()
        del result
        return held, peak
    finally:
        tracemalloc.stop()


def test_intermediates_are_freed_as_the_backward_pass_goes() -> None:
    x, results, alive = minidl.ones(1000, requires_grad=True), [], []
    y = x
    for number in range(20):
        y = y * 1.5
        y = y.tanh()
        results.append(weakref.ref(y.array))
        if number % 5 == 0:
            y.register_hook(lambda g: alive.append(sum(array() is not None for array in results)))
    loss = y.sum()
    del y
    assert sum(array() is not None for array in results) == 20
    loss.backward()
    assert len(alive) == 4 and alive == sorted(alive, reverse=True)
    assert alive[0] - alive[-1] == 15  # five less with every five layers that the pass has left behind
    assert sum(array() is not None for array in results) == 0


def test_the_memory_of_a_backward_pass_does_not_grow_with_depth() -> None:
    def added(depth: int) -> int:
        """What the backward pass needs beyond the results of the forward pass, in arrays of a megabyte."""
        y = x = minidl.ones(MEGABYTE // 4, requires_grad=True)
        tracemalloc.start()
        try:
            for _ in range(depth):
                y = y.tanh()
            loss = y.sum()
            del y
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            loss.backward()
            return round((tracemalloc.get_traced_memory()[1] - before) / MEGABYTE)
        finally:
            tracemalloc.stop()
            del x

    assert added(4) == added(16) <= 4


@pytest.mark.parametrize("kernel", [3, 5])
def test_im2col_is_not_kept(kernel: int) -> None:
    layer, images = nn.Conv2d(8, 16, kernel, padding=kernel // 2), minidl.ones(16, 8, 32, 32, requires_grad=True)
    layer(images)  # what only the first call does has been done
    held, _ = traced(lambda: layer(images))
    result, columns = 16 * 16 * 32 * 32 * 4, 16 * 8 * kernel**2 * 32 * 32 * 4
    assert result <= held < result + columns / 4  # its result and little else, though the columns are far larger
    assert columns > 4 * result


def test_checkpoint_halves_the_memory_of_a_deep_stack() -> None:
    stack = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.ReLU()) for _ in range(32)])
    x = minidl.ones(512, 64)
    stack(x).sum().backward()  # the gradients are there

    plain = traced(lambda: stack(x).sum().backward())[1]
    saving = traced(lambda: checkpoint_sequential(stack, 6, x, use_reentrant=False).sum().backward())[1]
    assert saving < plain / 2


def test_prediction_keeps_nothing() -> None:
    stack, x = nn.Sequential(*[nn.Linear(64, 64) for _ in range(16)]), minidl.ones(512, 64)
    with minidl.no_grad():
        stack(x)
        held, peak = traced(lambda: stack(x))
    one = 512 * 64 * 4
    assert held < 1.1 * one and peak < 3.2 * one


def test_a_replay_writes_the_gradient_of_one_example_where_it_lies() -> None:
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))  # the first gradient has 392 KiB
    x, y = minidl.randn(1, 784), minidl.tensor([3])

    def backward(x: minidl.Tensor, y: minidl.Tensor) -> minidl.Tensor:
        for p in model.parameters():
            p.grad = None
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    replayed = minidl.compile(backward)
    for _ in range(3):
        replayed(x, y)
    assert traced(lambda: replayed(x, y))[1] < MEGABYTE // 64
