"""autograd.backward and autograd.grad with all their options, and the hook on what has been collected in .grad."""

from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.autograd import grad

both = pytest.mark.parametrize("torch_", [minidl, torch], ids=["minidl", "torch"])


def leaves(torch_: Any) -> Any:
    return torch_.tensor([1.0, 2.0], requires_grad=True), torch_.tensor([3.0, 4.0], requires_grad=True)


@both
def test_backward_of_several_tensors(torch_: Any) -> None:
    x, y = leaves(torch_)
    torch_.autograd.backward([(x * y).sum(), x], [None, torch_.tensor([10.0, 20.0])])
    assert (x.grad.tolist(), y.grad.tolist()) == ([13, 24], [1, 2])
    torch_.autograd.backward(x * y, torch_.ones(2))
    assert x.grad.tolist() == [16, 28]


@both
def test_backward_into_named_inputs_only(torch_: Any) -> None:
    for named in (lambda x, z: [x, z], lambda x, z: {"a": x, "b": z}):
        x, y = leaves(torch_)
        z = x * y
        torch_.autograd.backward((z * z).sum(), inputs=named(x, z))
        assert (x.grad.tolist(), z.grad.tolist(), y.grad) == ([18, 64], [6, 16], None)
    x, y = leaves(torch_)
    for _ in range(2):
        (x * y).sum().backward(inputs=x)
    assert x.grad.tolist() == [6, 8] and y.grad is None
    torch_.autograd.backward(x.sum(), inputs=[y])  # not used: nothing happens
    assert y.grad is None


@both
def test_unused_inputs(torch_: Any) -> None:
    x, y = leaves(torch_)
    with pytest.raises(RuntimeError):
        torch_.autograd.grad(x.sum(), [x, y])
    assert torch_.autograd.grad(x.sum(), [x, y], allow_unused=True)[1] is None
    found = torch_.autograd.grad(x.sum(), [x, y], materialize_grads=True)
    assert [g.tolist() for g in found] == [[1, 1], [0, 0]]
    with pytest.raises(ValueError, match="allow_unused"):
        torch_.autograd.grad(x.sum(), [x, y], materialize_grads=True, allow_unused=False)


@both
def test_a_dictionary_of_inputs_gives_a_dictionary(torch_: Any) -> None:
    x, y = leaves(torch_)
    found = torch_.autograd.grad((x * y).sum(), {"x": x, "y": y})
    assert {name: g.tolist() for name, g in found.items()} == {"x": [3, 4], "y": [1, 2]}


@both
def test_a_batch_of_gradients(torch_: Any) -> None:
    x, y = leaves(torch_)
    z = x * y
    found = torch_.autograd.grad(z, [x, y], torch_.tensor([[1.0, 0.0], [0.0, 1.0]]), is_grads_batched=True)
    assert [g.tolist() for g in found] == [[[3, 0], [0, 4]], [[1, 0], [0, 2]]]
    if torch_ is minidl:
        with pytest.raises(RuntimeError, match="retain_graph"):  # it is freed as by one pass
            grad(z.sum(), x)


@both
@pytest.mark.parametrize(
    "call",
    [
        lambda a, x, y: a.backward([x.sum(), y.sum()], [None]),
        lambda a, x, y: a.backward([x, y], [x.detach()]),
        lambda a, x, y: a.backward(x.sum(), inputs=[]),
        lambda a, x, y: a.backward(x.sum(), inputs=[x.detach()]),
        lambda a, x, y: a.backward(x.detach().sum()),
        lambda a, x, y: a.backward(x),
        lambda a, x, y: a.grad(x.sum(), []),
        lambda a, x, y: a.grad(x.sum(), x.detach()),
        lambda a, x, y: a.grad([x.sum(), y.sum()], x, [None]),
        lambda a, x, y: a.grad(x * 2, x),
    ],
)
def test_what_is_refused(torch_: Any, call: Any) -> None:
    x, y = leaves(torch_)
    with pytest.raises(RuntimeError):
        call(torch_.autograd, x, y)
    assert x.grad is None and y.grad is None


@both
def test_a_hook_on_what_has_been_collected(torch_: Any) -> None:
    x, y = leaves(torch_)
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    (x * y).sum().backward()
    (x * y).sum().backward()
    torch_.autograd.grad((x * y).sum(), x)
    torch_.autograd.backward((x * y).sum(), inputs=[y])
    handle.remove()
    x.sum().backward()
    assert seen == [[3, 4], [6, 8]]
    for wrong in (x * 2, x.detach(), torch_.ones(1)):
        with pytest.raises(RuntimeError):
            wrong.register_post_accumulate_grad_hook(print)


def test_a_step_can_be_taken_as_soon_as_the_gradient_is_there() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)

    def step(p: minidl.Tensor) -> None:
        with minidl.no_grad():
            p -= 0.5 * p.grad
        p.grad = None

    x.register_post_accumulate_grad_hook(step)
    for _ in range(2):
        x.square().sum().backward()
    assert x.tolist() == [0, 0] and x.grad is None


def test_a_handle_can_stand_in_a_with_statement() -> None:
    x, seen = minidl.ones(1, requires_grad=True), []
    with x.register_hook(lambda g: seen.append(g)):
        x.backward()
    x.backward()
    assert len(seen) == 1


def test_only_the_gradients_asked_for_are_grown() -> None:
    x = minidl.tensor(np.ones(2), requires_grad=True)
    y = x * 2
    y.retain_grad()
    grad(y.sum(), x)
    assert x.grad is None
