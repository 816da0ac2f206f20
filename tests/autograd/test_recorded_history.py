"""What a graph remembers of the moment when it was recorded, whatever becomes of its tensors afterwards."""

from typing import Any

import numpy as np
import pytest
import torch

import minidl

LIBRARIES = pytest.mark.parametrize("m", [minidl, torch], ids=["minidl", "torch"])  # PyTorch says what is right


@LIBRARIES
def test_what_was_frozen_when_a_loss_was_computed_gets_no_gradient_from_it(m: Any) -> None:
    """The usual GAN step: the discriminator is frozen while the generator's loss is computed, and free again after."""
    generator, discriminator = m.tensor([2.0], requires_grad=True), m.tensor([3.0], requires_grad=True)
    before = (discriminator * discriminator).sum()
    discriminator.requires_grad_(False)
    loss = (generator * discriminator).sum()
    discriminator.requires_grad_(True)
    loss.backward()
    assert generator.grad.tolist() == [3.0] and discriminator.grad is None
    before.backward()
    assert discriminator.grad.tolist() == [6.0]


@LIBRARIES
def test_a_tensor_that_requires_a_gradient_only_later_gets_none_from_before(m: Any) -> None:
    w, x = m.tensor([2.0], requires_grad=True), m.tensor([5.0])
    y = (w * x).sum()
    x.requires_grad_()
    y.backward()
    assert x.grad is None and w.grad.tolist() == [5.0]


@LIBRARIES
def test_what_was_computed_without_a_graph_may_require_a_gradient_later(m: Any) -> None:
    x = m.ones(2) * 2
    x.requires_grad_()
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]


@LIBRARIES
def test_grad_of_a_middle_leaves_the_graph_behind_it_alone(m: Any) -> None:
    w = m.tensor([1.0, 2.0], requires_grad=True)
    h = w * 2
    (g,) = m.autograd.grad((h * h).sum(), h)
    h.backward(g)
    assert w.grad.tolist() == [8.0, 16.0]


@LIBRARIES
def test_asking_twice_for_a_gradient_to_be_retained_changes_nothing(m: Any) -> None:
    y = m.tensor([1.0, 1.0], requires_grad=True) * 2
    y.retain_grad()
    y.retain_grad()
    y.sum().backward()
    assert y.grad.tolist() == [1.0, 1.0]


def test_a_tensor_that_was_turned_or_detached_in_place_after_use_is_refused() -> None:
    def turned(h: minidl.Tensor) -> Any:
        return h.t_()

    for change in (turned, minidl.Tensor.detach_):
        x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        h = x * x
        y = (h * h).sum()
        change(h)
        with pytest.raises(RuntimeError, match="changed in place after multiply used it"):
            y.backward()


def test_long_sums_keep_their_digits() -> None:
    x = minidl.full((1_000_000, 2), 0.1)
    np.testing.assert_allclose(x.mean(0).array, 0.1, rtol=1e-5)
    np.testing.assert_allclose(x.var(0).array, 0, atol=1e-10)
    np.testing.assert_allclose(minidl.cumsum(x[:, 0], 0)[-1].item(), 100_000, rtol=1e-6)
    layer = minidl.nn.Linear(3, 2)
    (layer(minidl.ones(60_000, 3)) * 0.1).sum().backward()
    np.testing.assert_allclose(layer.bias.grad.array, 6000, rtol=1e-5)
    assert minidl.full((1000,), 100.0, dtype=minidl.float16).mean().item() == 100


@pytest.mark.parametrize("function", [lambda x: 2.0**x, lambda x: minidl.xlogy(x, 3.0), lambda x: x**2.5])
def test_a_gradient_has_the_same_digits_with_a_graph_of_its_own(function: Any) -> None:
    x = minidl.tensor([0.3, 1.7], dtype=minidl.float64, requires_grad=True)
    (plain,) = minidl.autograd.grad(function(x).sum(), x)
    (recorded,) = minidl.autograd.grad(function(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(recorded.array, plain.array, rtol=1e-14)
