"""torch.func: derivatives of functions of tensors and of nests of tensors, compared with PyTorch's."""

import numpy as np
import pytest
import torch
from torch import func as theirs

import minidl
from minidl import func as ours

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own use of it

random = np.random.default_rng(0)
X, Y, W = random.standard_normal(3), random.standard_normal(3), random.standard_normal((2, 3))


def plain(value):
    """Tensors as (numbers, whether they require a gradient), in the nests in which they came."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value))
    return np.round(value.tolist(), 10).tolist(), value.requires_grad


def cubes(x, y):
    return (x * x * x * y).sum()


CASES = {
    "grad": lambda f, t, x, y: f.grad(cubes)(x, y),
    "grad by both": lambda f, t, x, y: f.grad(cubes, argnums=(0, 1))(x, y),
    "grad by the second": lambda f, t, x, y: f.grad(cubes, 1)(x, y),
    "grad with aux": lambda f, t, x, y: f.grad(lambda x: ((x**2).sum(), {"double": x * 2}), has_aux=True)(x),
    "grad of a nest": lambda f, t, x, y: f.grad(lambda p: (p["w"] * p["b"][0]).sum())({"w": x, "b": [y]}),
    "grad of a constant": lambda f, t, x, y: f.grad(lambda x: y.sum())(x),
    "grad_and_value": lambda f, t, x, y: f.grad_and_value(cubes)(x, y),
    "grad_and_value with aux": lambda f, t, x, y: f.grad_and_value(lambda x: (x.sum(), x + 1), has_aux=True)(x),
    "grad of grad": lambda f, t, x, y: f.grad(f.grad(lambda x: x**4))(x[0]),
    "grad through a variable of grad": lambda f, t, x, y: f.grad(lambda a: f.grad(lambda b: a * b * b)(y[0]))(x[0]),
    "vjp": lambda f, t, x, y: f.vjp(lambda x, y: x * y, x, y)[1](y),
    "vjp of one": lambda f, t, x, y: f.vjp(lambda x: {"a": x.sin(), "b": x.sum()}, x)[1]({"a": y, "b": x[0]}),
    "vjp with aux": lambda f, t, x, y: f.vjp(lambda x: (x * x, x), x, has_aux=True)[::2],
    "jvp": lambda f, t, x, y: f.jvp(lambda x, y: (x * y, x.sum()), (x, y), (y, x)),
    "jacrev": lambda f, t, x, y: f.jacrev(lambda x: x[:2] * y[:2])(x),
    "jacrev by both": lambda f, t, x, y: f.jacrev(lambda x, y: x * y, argnums=(0, 1))(x, y),
    "jacrev to a nest": lambda f, t, x, y: f.jacrev(lambda x: {"a": x * 2, "b": x.sum()})(x),
    "jacfwd with aux": lambda f, t, x, y: f.jacfwd(lambda x: (x * x, x), has_aux=True)(x),
    "hessian": lambda f, t, x, y: f.hessian(cubes, argnums=(0, 1))(x, y),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_pytorchs(case):
    found = [CASES[case](f, t, t.tensor(X), t.tensor(Y)) for f, t in ((ours, minidl), (theirs, torch))]
    assert str(plain(found[0])).replace("-0.0", "0.0") == str(plain(found[1])).replace("-0.0", "0.0")


def test_gradients_flow_on_to_tensors_that_require_one():
    for f, t in ((ours, minidl), (theirs, torch)):
        x, y = t.tensor(X, requires_grad=True), t.tensor(Y, requires_grad=True)
        f.grad(lambda x, y=y: cubes(x, y))(x).sum().backward()
        np.testing.assert_allclose(x.grad.tolist(), 6 * X * Y)
        np.testing.assert_allclose(y.grad.tolist(), 3 * X**2)


@pytest.mark.parametrize("function", [lambda x: x, lambda x: 1.0])
def test_only_a_single_number_has_a_gradient(function):
    for f, t in ((ours, minidl), (theirs, torch)):
        with pytest.raises(RuntimeError):
            f.grad(function)(t.tensor(X))


def tied(nn):
    """A network that uses one weight twice, in either library."""
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.BatchNorm1d(3), nn.Linear(3, 3, bias=False))
    net[2].weight = net[0].weight
    return net.double()


@pytest.mark.parametrize("options", [{}, {"tie_weights": False}])
def test_a_network_is_called_with_other_weights_and_keeps_its_own(options):
    results = []
    for f, t in ((ours, minidl), (theirs, torch)):
        net = tied(t.nn)
        with t.no_grad():
            net[0].weight.copy_(t.tensor(np.eye(3)))
        weight = t.tensor(np.outer(X, Y), requires_grad=True)
        buffers = {"1.running_mean": t.zeros(3).double()}
        result = f.functional_call(net, ({"0.weight": weight}, buffers), t.tensor(W), **options)
        result.sum().backward()
        results.append((result.tolist(), weight.grad.tolist(), buffers["1.running_mean"].tolist()))
        assert net[0].weight is net[2].weight is not weight
        assert net[1].running_mean.tolist() == [0, 0, 0] and next(iter(net.state_dict())) == "0.weight"
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_strict_names_and_an_error_inside_leave_the_network_as_it_was():
    for f, t in ((ours, minidl), (theirs, torch)):
        net = t.nn.Linear(3, 1)
        weight = net.weight
        for wrong in ({"weight": t.ones(1, 3)}, {"weight": t.ones(1, 3), "bias": t.ones(1), "nothere": t.ones(1)}):
            with pytest.raises(RuntimeError):
                f.functional_call(net, wrong, t.ones(2, 3), strict=True)
        with pytest.raises(RuntimeError):
            f.functional_call(net, {"weight": t.ones(1, 2)}, (t.ones(2, 3),))
        assert net.weight is weight
        assert f.functional_call(net, {"weight": t.ones(1, 3), "other": t.ones(1)}, kwargs={"input": t.ones(3)}).shape
