"""Gradient descent and momentum: the numbers of their papers, worked out by hand."""

import numpy as np
import pytest

import minidl
from minidl import optim


def path(optimizer, w, gradients):
    """The weights after each step."""
    found = []
    for g in gradients:
        w.grad = minidl.Tensor(np.array([g]))
        optimizer.step()
        found.append(w.item())
    return found


def scalar(value=0.0):
    return minidl.tensor(np.array([value]), requires_grad=True)


def test_plain_descent():
    w = scalar(1.0)
    assert path(optim.SGD([w], lr=0.5), w, [1.0, -2.0]) == [0.5, 1.5]


def test_momentum_starts_with_the_gradient_itself():
    w = scalar()
    assert path(optim.SGD([w], lr=1.0, momentum=0.5, dampening=0.75), w, [4.0, 4.0]) == [-4.0, -7.0]  # b = 4, 2 + 1


def test_nesterov_looks_ahead():
    w = scalar()
    optimizer = optim.SGD([w], lr=1.0, momentum=0.5, nesterov=True)
    w.grad = minidl.Tensor(np.array([4.0]))
    assert optimizer.preview(w)["d"].item() == 6.0  # g + mu·b
    assert path(optimizer, w, [4.0, 0.0]) == [-6.0, -7.0]


@pytest.mark.parametrize("options", [{"momentum": 0}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_momentum_without_dampening(options):
    with pytest.raises(ValueError, match="Nesterov momentum requires a momentum and zero dampening, got momentum="):
        optim.SGD([scalar()], nesterov=True, **options)


@pytest.mark.parametrize(("short", "options"), [("Momentum", {}), ("Nesterov", {"nesterov": True})])
def test_methods_with_a_name_of_their_own_are_sgd(short, options):
    gradients = np.random.default_rng(0).standard_normal(10)
    v, w = scalar(), scalar()
    named, general = getattr(optim, short)([v], lr=0.1), optim.SGD([w], lr=0.1, momentum=0.9, **options)
    assert path(named, v, gradients) == path(general, w, gradients)
    general.load_state_dict(named.state_dict())


def test_weight_decay_and_maximize():
    w = scalar(2.0)
    assert path(optim.SGD([w], lr=0.5, weight_decay=0.1, maximize=True), w, [1.0]) == [2.0 - 0.5 * (-1.0 + 0.1 * 2.0)]
