"""Checkpoints: the same gradients with less memory, whatever the function uses and however the pass is started."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint

import minidl
from minidl import nn
from minidl.autograd import grad
from minidl.utils.checkpoint import checkpoint, checkpoint_sequential


def network(depth: int = 6, width: int = 16) -> nn.Sequential:
    minidl.manual_seed(0)
    layers = [[nn.Linear(width, width), nn.Tanh(), nn.Dropout(0.3)] for _ in range(depth)]
    return nn.Sequential(*[part for parts in layers for part in parts])


def gradients(net: nn.Module, run: Any, x: minidl.Tensor) -> list[Any]:
    minidl.manual_seed(7)
    net.zero_grad()
    x.grad = None
    loss = run(x).square().sum()
    loss.backward()
    after = minidl.rand(3)  # the stream goes on as if nothing had been computed twice
    return [loss, after, *(p.grad for p in net.parameters()), *([] if x.grad is None else [x.grad])]


@pytest.mark.parametrize("use_reentrant", [None, False, True])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_same_bits_with_dropout(use_reentrant: Any, requires_grad: bool) -> None:
    net = network()
    x = minidl.tensor(np.random.default_rng(1).normal(size=(5, 16)).astype(np.float32), requires_grad=requires_grad)
    expected = gradients(net, net, x)
    for run in (
        lambda x: checkpoint(net, x, use_reentrant=use_reentrant),
        lambda x: net[9:](checkpoint(lambda: net[:9](x), use_reentrant=use_reentrant)),
        lambda x: checkpoint_sequential(net, 3, x, use_reentrant=use_reentrant),
        lambda x: checkpoint(checkpoint_sequential, net, 4, x, use_reentrant=use_reentrant),  # one inside the other
    ):
        found = gradients(net, run, x)
        assert [a.tolist() for a in found] == [b.tolist() for b in expected]


def test_without_the_random_state_the_numbers_are_others() -> None:
    net, x = network(), minidl.ones(5, 16)
    expected = gradients(net, net, x)
    found = gradients(net, lambda x: checkpoint(net, x, preserve_rng_state=False), x)
    assert found[0].tolist() == expected[0].tolist() and found[3].tolist() != expected[3].tolist()


def peak(run: Any) -> int:
    tracemalloc.start()
    try:
        run().sum().backward()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_it_saves_memory() -> None:
    net, x = nn.Sequential(*[nn.Tanh() for _ in range(64)]), minidl.ones(50_000, requires_grad=True)
    plain, saving = peak(lambda: net(x)), peak(lambda: checkpoint_sequential(net, 8, x, use_reentrant=False))
    assert plain > 60 * 200_000 and saving < 24 * 200_000  # 64 results, or 7 and then 8 at a time with their gradients


def test_gradients_reach_what_the_function_uses_without_being_told() -> None:
    w, x = minidl.tensor([1.0, 2.0], requires_grad=True), minidl.tensor([3.0, 4.0], requires_grad=True)
    seen: list[Any] = []
    hidden = x * w
    hidden.register_hook(seen.append)
    w.register_hook(seen.append)
    y = checkpoint(lambda h: (h * w).sin() + hidden, hidden * 2)
    assert y.op.__name__ == "output"
    found = grad(y.sum(), [w, x, hidden])
    v, z = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0], requires_grad=True)
    between = z * v
    expected = torch.autograd.grad(((between * 2 * v).sin() + between).sum(), [v, z, between])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)
    assert len(seen) == 2  # each hook once


@pytest.mark.parametrize("make", [
    lambda a, b: (a, b), lambda a, b: [a, 3, b], lambda a, b: {"a": a, "b": (b, None)}, lambda a, b: (a.detach(), a, b),
])  # fmt: skip
def test_results_of_every_form(make: Any) -> None:
    w = minidl.tensor([1.0, 2.0], requires_grad=True)

    def function(x: Any) -> Any:
        return make(x * w, w.exp())

    def tensors(value: Any) -> list[Any]:
        if isinstance(value, minidl.Tensor):
            return [value] if value.requires_grad else []
        values = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
        return [y for v in values for y in tensors(v)]

    plain, result = function(w * 3), checkpoint(function, w * 3, use_reentrant=False)
    assert type(result) is type(plain) and len(result) == len(plain)
    expected = [grad(y.sum(), w, retain_graph=True)[0].tolist() for y in tensors(plain)]
    assert [grad(y.sum(), w, retain_graph=True)[0].tolist() for y in tensors(result)] == expected


def test_second_derivatives_and_kept_graphs() -> None:
    w, x = minidl.tensor([0.5], dtype=np.float64, requires_grad=True), minidl.tensor([2.0], requires_grad=True)
    x = minidl.tensor([2.0], dtype=np.float64, requires_grad=True)

    def function(x: Any) -> Any:
        return (x * w).exp() * x

    assert minidl.autograd.gradgradcheck(lambda x: checkpoint(function, x), x)
    (slope,) = grad(checkpoint(function, x), x, create_graph=True)
    (expected,) = grad(function(x), x, create_graph=True)
    assert [g.tolist() for g in grad(slope, [x, w])] == [g.tolist() for g in grad(expected, [x, w])]
    y = checkpoint(function, x)
    assert grad(y, x, retain_graph=True)[0].tolist() == grad(y, x)[0].tolist()
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


def test_the_graph_around_it_is_left_alone() -> None:
    x = minidl.tensor([2.0], requires_grad=True)
    hidden = x * x
    y = checkpoint(lambda: hidden * hidden)
    y.backward(retain_graph=True)
    hidden.backward()
    assert x.grad.tolist() == [32 + 4]


def test_what_it_returns_can_be_changed_in_place() -> None:
    x = minidl.tensor([2.0], requires_grad=True)
    y = checkpoint(lambda x: x * 3, x * 1)
    y += 1
    (y * 2).backward()
    assert x.grad.tolist() == [6]


def test_nothing_to_record() -> None:
    x, w = minidl.ones(2), minidl.ones(2, requires_grad=True)
    assert not checkpoint(lambda x: x * 2, x).requires_grad
    with minidl.no_grad():
        assert not checkpoint(lambda x: x * w, x).requires_grad
    assert checkpoint(lambda x: x, w).requires_grad


def test_what_changed_in_between_is_noticed() -> None:
    w, x = minidl.ones(2, requires_grad=True), minidl.ones(2)
    y = checkpoint(lambda x: x * w, x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="changed in place after Checkpoint used it"):
        y.sum().backward()
    lengths = iter([2, 1])
    y = checkpoint(lambda: (x * w)[: next(lengths)])
    with pytest.raises(RuntimeError, match=r"\[\(2,\)\] at first and \[\(1,\)\] now"):
        y.sum().backward()


def test_sequential_parts_are_those_of_pytorch() -> None:
    for length, segments in ((7, 3), (4, 4), (5, 1), (6, 4)):
        calls: list[Any] = []
        for torch_, run in ((minidl, checkpoint_sequential), (torch, torch.utils.checkpoint.checkpoint_sequential)):
            seen: list[int] = []
            parts = [lambda x, i=i, seen=seen: seen.append(i) or x * 2 for i in range(length)]
            x = torch_.ones(1, requires_grad=True)
            run(parts, segments, x, use_reentrant=True).backward()
            calls.append((seen, x.grad.tolist()))
        assert calls[0] == calls[1]
