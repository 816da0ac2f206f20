"""autograd.functional: products with Jacobian and Hessian, and these themselves, equal PyTorch's."""

from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.autograd import functional as ours

theirs = torch.autograd.functional
X, Y = np.array([0.5, -1.0, 2.0]), np.array([[1.0, 0.3], [-0.2, 2.0], [0.1, 0.7]])

FUNCTIONS: dict[str, Any] = {  # of x (3,) and y (3, 2)
    "one output": lambda x, y: (x[:, None] * y).tanh(),
    "a number": lambda x, y: (x[:, None] * y).square().sum(),
    "two outputs": lambda x, y: (x * 2, (x.exp() @ y)),
    "without y": lambda x, y: x * x,
    "constant": lambda x, y: (x.detach() * 2, y * 1),
}
NUMBERS: dict[str, Any] = {
    "product": lambda x, y: (x @ y).square().sum(),
    "apart": lambda x, y: (x**3).sum() + y.exp().sum(),
    "linear in y": lambda x, y: (x * x @ y).sum().reshape(1),
    "linear": lambda x, y: x.sum() * 2,
}
of_several = pytest.mark.parametrize("name", FUNCTIONS)
of_numbers = pytest.mark.parametrize("name", NUMBERS)


def same(a: Any, b: Any) -> None:
    """The same numbers in the same tuples, of the same dtype and with or without history."""
    if isinstance(b, tuple):
        assert isinstance(a, tuple) and len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other)
    else:
        assert isinstance(a, minidl.Tensor) and a.shape == tuple(b.shape) and a.requires_grad == b.requires_grad
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)


def inputs(torch_: Any, requires_grad: bool = False) -> Any:
    return tuple(torch_.tensor(v, requires_grad=requires_grad) for v in (X, Y))


def like(torch_: Any, values: Any) -> Any:
    """Something to multiply with, of the shapes of `values`."""
    if isinstance(values, tuple):
        return tuple(like(torch_, value) for value in values)
    shape = tuple(values.shape)
    return torch_.tensor(np.random.default_rng(3).normal(size=shape))


@of_several
@pytest.mark.parametrize("create_graph", [False, True])
def test_vjp_jvp_and_jacobian(name: str, create_graph: bool) -> None:
    func = FUNCTIONS[name]
    a, b = inputs(minidl, create_graph), inputs(torch, create_graph)
    outputs = func(*b)
    v = like(minidl, outputs), like(torch, outputs)
    same(ours.vjp(func, a, v[0], create_graph), theirs.vjp(func, b, v[1], create_graph))
    v = like(minidl, a), like(torch, b)
    same(ours.jvp(func, a, v[0], create_graph), theirs.jvp(func, b, v[1], create_graph))
    same(ours.jacobian(func, a, create_graph), theirs.jacobian(func, b, create_graph))


@of_numbers
@pytest.mark.parametrize("create_graph", [False, True])
def test_hessian_vhp_and_hvp(name: str, create_graph: bool) -> None:
    func = NUMBERS[name]
    a, b = inputs(minidl, create_graph), inputs(torch, create_graph)
    same(ours.hessian(func, a, create_graph), theirs.hessian(func, b, create_graph))
    v = like(minidl, a), like(torch, b)
    same(ours.vhp(func, a, v[0], create_graph), theirs.vhp(func, b, v[1], create_graph))
    if name != "linear" or not create_graph:
        same(ours.hvp(func, a, v[0], create_graph), theirs.hvp(func, b, v[1], create_graph))


def test_a_single_input_gives_single_results() -> None:
    a, b = inputs(minidl)[0], inputs(torch)[0]
    same(ours.jacobian(lambda x: x * x, a), theirs.jacobian(lambda x: x * x, b))
    same(ours.jacobian(lambda x: (x * x, x.sum()), a), theirs.jacobian(lambda x: (x * x, x.sum()), b))
    same(ours.jacobian(lambda x: x * x, (a,)), theirs.jacobian(lambda x: x * x, (b,)))
    same(ours.hessian(lambda x: x.exp().sum(), a), theirs.hessian(lambda x: x.exp().sum(), b))
    same(ours.hvp(lambda x: x.exp().sum(), a, a), theirs.hvp(lambda x: x.exp().sum(), b, b))
    same(ours.vjp(lambda x: x.sum(), a), theirs.vjp(lambda x: x.sum(), b))
    same(ours.jvp(lambda x: x * x, a[0]), theirs.jvp(lambda x: x * x, b[0]))
    same(ours.vhp(lambda x: x**3, a[0]), theirs.vhp(lambda x: x**3, b[0]))


@pytest.mark.parametrize("vectorize", [False, True])
def test_options_that_change_nothing(vectorize: bool) -> None:
    a = inputs(minidl)[0]
    expected = ours.jacobian(minidl.exp, a)
    assert ours.jacobian(minidl.exp, a, vectorize=vectorize, strategy="forward-mode").tolist() == expected.tolist()
    assert ours.hessian(lambda x: x.exp().sum(), a, vectorize=vectorize).tolist() == expected.tolist()


def test_a_jacobian_can_be_differentiated() -> None:
    found = []
    for torch_ in (minidl, torch):
        x = torch_.tensor(X, requires_grad=True)
        jacobian = torch_.autograd.functional.jacobian(lambda x: x**3, x, create_graph=True)
        (jacobian * jacobian).sum().backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-12)
    with minidl.no_grad():
        assert ours.jvp(minidl.exp, inputs(minidl)[0], inputs(minidl)[0], create_graph=False)[1].shape == (3,)


def test_the_inputs_stay_as_they_are() -> None:
    x, w = minidl.tensor(X, requires_grad=True), minidl.tensor(X, requires_grad=True)
    ours.hessian(lambda x: (x**3 * w).sum(), x)
    ours.jvp(lambda x: x * w, x, x)
    assert x.grad is None and w.grad is None and x.is_leaf


def test_an_empty_output_has_an_empty_jacobian() -> None:
    assert ours.jacobian(lambda x: x[:0] * 2, minidl.ones(3)).shape == (0, 3)
    assert ours.vjp(lambda x: x[:0] * 2, minidl.ones(3), minidl.ones(0))[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda f, t: f.vjp(lambda x: x * 2, [t.ones(2)], t.ones(2)),
        lambda f, t: f.vjp(lambda x: 3, t.ones(2), t.ones(2)),
        lambda f, t: f.vjp(lambda x: x * 2, t.ones(2), [t.ones(2)]),
        lambda f, t: f.vjp(lambda x: x * 2, t.ones(2)),
        lambda f, t: f.vjp(lambda x: (x.sum(), x.sum()), t.ones(2)),
        lambda f, t: f.vjp(lambda x: x * 2, t.ones(2), t.ones(3)),
        lambda f, t: f.vjp(lambda x: x * 2, t.ones(2), (t.ones(2), t.ones(2))),
        lambda f, t: f.jvp(lambda x: x * 2, t.ones(2)),
        lambda f, t: f.jvp(lambda x: x.sum(), t.ones(2), t.ones(1)),
        lambda f, t: f.jacobian(lambda x: x * 2, t.arange(3)),
        lambda f, t: f.hessian(lambda x: x * 2, t.ones(2)),
        lambda f, t: f.hessian(lambda x: (x.sum(), x.sum()), t.ones(2)),
        lambda f, t: f.vhp(lambda x: x * 2, t.ones(2), t.ones(2)),
        lambda f, t: f.hvp(lambda x: x.sum(), t.ones(2), t.ones(3)),
        lambda f, t: f.vjp(lambda x: t.ones(2), t.ones(2), t.ones(2), strict=True),
        lambda f, t: f.vjp(lambda x, y: x * 2, (t.ones(2), t.ones(2)), t.ones(2), strict=True),
        lambda f, t: f.jvp(lambda x, y: x * 2, (t.ones(2), t.ones(2)), (t.ones(2), t.ones(2)), strict=True),
        lambda f, t: f.jacobian(lambda x, y: x * 2, (t.ones(2), t.ones(2)), strict=True),
        lambda f, t: f.jacobian(lambda x: x * 2, t.ones(2, requires_grad=True), create_graph=True, strict=True),
        lambda f, t: f.hessian(lambda x: x.sum(), t.ones(2), strict=True),
        lambda f, t: f.vhp(lambda x: x.sum(), t.ones(2), t.ones(2), strict=True),
    ],
)
def test_what_is_refused_is_refused_with_pytorchs_class(call: Any) -> None:
    with pytest.raises((RuntimeError, TypeError)) as expected:
        call(theirs, torch)
    with pytest.raises(expected.type):
        call(ours, minidl)
