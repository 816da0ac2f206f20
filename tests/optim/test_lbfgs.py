"""L-BFGS: PyTorch's path with every option, its state both ways, and what its line search is for."""

import copy
import math

import numpy as np
import pytest
import torch
from optimizer_cases import distance, parameters, twins

import minidl
from minidl import optim
from minidl.optim.lbfgs import Point, strong_wolfe


def valley(x):
    """Rosenbrock's banana in several dimensions: the loss, and its gradient."""
    step, rest = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    g = np.zeros_like(x)
    g[1:] += 20 * step
    g[:-1] -= 40 * step * x[:-1] + 2 * rest
    return (10 * step**2 + rest**2).sum(), g


def bowl(x):
    stretch = np.linspace(1, 30, len(x))
    return (stretch * (x - 1) ** 2).sum() / 2, stretch * (x - 1)


def kinks(x):
    """Piecewise linear: the cubic of the line search is a straight line almost everywhere."""
    return np.abs(x).sum(), np.sign(x)


def slope(x):
    """Falls for ever."""
    return -x.sum(), -np.ones_like(x)


def rough(x):
    """Not convex, so that some of the steps tell nothing of the curvature."""
    return (np.sin(3 * x) + 0.1 * x**2).sum(), 3 * np.cos(3 * x) + 0.2 * x


def closures(loss, params, theirs, absent=()):
    """What both optimizers call: the same loss of all parameters as one vector."""

    def mine():
        f, g = loss(np.concatenate([p.array.ravel() for p in params]))
        for p, part in zip(params, np.split(g, np.cumsum([p.array.size for p in params])[:-1]), strict=True):
            p.grad = minidl.Tensor(part.reshape(p.shape))
        return minidl.Tensor(np.asarray(f))

    def reference():
        f, g = loss(np.concatenate([q.detach().numpy().ravel() for q in theirs]))
        for q, part in zip(theirs, np.split(g, np.cumsum([q.numel() for q in theirs])[:-1]), strict=True):
            q.grad = torch.tensor(part.reshape(q.shape))
        return torch.tensor(f)

    return mine, reference


OPTIONS = [
    {}, {"lr": 0.1}, {"max_iter": 5, "max_eval": 30}, {"max_iter": 6, "max_eval": 3}, {"history_size": 3},
    {"tolerance_grad": 1e-2}, {"tolerance_change": 1e-3}, {"max_iter": 1},
]  # fmt: skip
SEARCHES = [{"line_search_fn": None}, {"line_search_fn": "strong_wolfe"}]
LOSSES = [valley, bowl, kinks, slope, rough]
CASES = [(loss, {**options, **search}) for loss in LOSSES for options in OPTIONS for search in SEARCHES]


@pytest.fixture
def same_rounding(monkeypatch):
    """PyTorch rounds in another order, which these losses blow up to differences that are no errors of either."""
    monkeypatch.setattr(torch.Tensor, "dot", lambda a, b: torch.tensor(a.numpy() @ b.numpy()))
    monkeypatch.setattr(torch.Tensor, "sum", lambda a: torch.tensor(a.numpy().sum()))
    monkeypatch.setattr(torch.Tensor, "__rtruediv__", lambda a, b: torch.tensor(b / a.item()))
    monkeypatch.setattr(torch.Tensor, "add_", lambda a, b, alpha=1: a.copy_(a + b * alpha))


@pytest.mark.parametrize("options", [{**options, **search} for options in OPTIONS for search in SEARCHES], ids=str)
def test_takes_pytorchs_path(options):
    compare(bowl, options)


@pytest.mark.usefixtures("same_rounding")
@pytest.mark.parametrize(("loss", "options"), CASES, ids=[f"{loss.__name__} {options}" for loss, options in CASES])
def test_takes_pytorchs_path_over_rough_ground(loss, options):
    compare(loss, options, steps=15)


def compare(loss, options, steps=50):
    params = parameters()
    theirs = twins(params)
    mine, reference = optim.LBFGS(params, **options), torch.optim.LBFGS(theirs, **options)
    my_loss, their_loss = closures(loss, params, theirs)
    for _ in range(steps):
        if not all(np.abs(p.array).max() < 1e6 for p in params):  # without a line search it may run away
            break
        assert math.isclose(mine.step(my_loss).item(), reference.step(their_loss).item(), rel_tol=1e-12, abs_tol=1e-12)
        scale = max(1, *(np.abs(p.array).max() for p in params))
        assert distance(params, theirs) <= 1e-12 * scale
        for count in ("n_iter", "func_evals"):
            assert mine.state[params[0]][count] == reference.state[theirs[0]][count]


def as_torch(state_dict):
    """The same with PyTorch's tensors in place of arrays."""

    def convert(x):
        if isinstance(x, list):
            return [convert(part) for part in x]
        return torch.tensor(x) if isinstance(x, np.ndarray) else x

    state = {i: {name: convert(x) for name, x in values.items()} for i, values in state_dict["state"].items()}
    return {"state": state, "param_groups": state_dict["param_groups"]}


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_goes_on_in_pytorch_and_back(search):
    options = {**search, "max_iter": 3}
    params, others = parameters(), parameters(seed=1)
    theirs = twins(params)
    mine, reference, back = optim.LBFGS(params, **options), torch.optim.LBFGS(theirs), optim.LBFGS(others)
    my_loss, their_loss = closures(bowl, params, theirs)
    for _ in range(3):
        mine.step(my_loss)
    with torch.no_grad():
        for q, p in zip(theirs, params, strict=True):
            q.copy_(torch.tensor(p.array))
    reference.load_state_dict(as_torch(mine.state_dict()))
    for _ in range(2):
        mine.step(my_loss)
        reference.step(their_loss)
    assert distance(params, theirs) <= 1e-12
    assert set(mine.state_dict()["state"][0]) == set(reference.state_dict()["state"][0]) - {"al"}

    back.load_state_dict(reference.state_dict())
    for p, q in zip(others, theirs, strict=True):
        p.array[...] = q.detach().numpy()
    back.step(closures(bowl, others, theirs)[0])
    reference.step(their_loss)
    assert distance(others, theirs) <= 1e-12


def test_layout_of_the_options_is_pytorchs():
    params = parameters()
    mine, reference = optim.LBFGS(params), torch.optim.LBFGS(twins(params))
    assert mine.state_dict() == reference.state_dict()
    assert repr(mine) == repr(reference)


def test_a_state_dict_is_a_snapshot():
    params = parameters()
    optimizer = optim.LBFGS(params)
    closure, _ = closures(bowl, params, twins(params))
    optimizer.step(closure)
    saved = optimizer.state_dict()
    before = copy.deepcopy(saved)
    optimizer.step(closure)
    np.testing.assert_equal(saved, before)
    with pytest.raises(ValueError, match="it is not one of LBFGS"):
        optimizer.load_state_dict(optim.SGD(params).state_dict())


def test_parameters_without_gradient_stay_and_float32_stays():
    w, unused = parameters([(3,), (2, 2)], "float32")
    before = unused.array.copy()
    optimizer = optim.LBFGS([w, unused], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = ((w - 1) ** 2).sum()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert first.item() > 1 and np.allclose(w.array, 1) and w.dtype == "float32"
    np.testing.assert_array_equal(unused.array, before)
    assert {x.dtype.name for x in optimizer.state[w]["old_dirs"]} == {"float32"}
    assert optimizer.step(closure).item() < 1e-10  # nothing is left to do


def test_the_line_search_finds_a_point_that_is_low_and_flat():
    random = np.random.default_rng(0)
    for _ in range(100):
        a, b = random.uniform(0.2, 5, 2)

        def look(t, a=a, b=b):
            return Point(t, math.cosh(a * t) - b * t, np.zeros(1), a * math.sinh(a * t) - b)

        here = look(0.0)
        point = strong_wolfe(look, here, random.uniform(1e-3, 3), 1.0, 25)
        assert point.f <= here.f + 1e-4 * point.t * here.slope and abs(point.slope) <= 0.9 * abs(here.slope)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda w: optim.LBFGS([{"params": [w]}, {"params": parameters([(2,)])}]), ValueError, "one group of parameters"),
    (lambda w: optim.LBFGS([w]).add_param_group({"params": parameters([(2,)])}), ValueError, "one group of parameters"),
    (lambda w: optim.LBFGS([w], line_search_fn="armijo"), RuntimeError, '"strong_wolfe" or None, got \'armijo\''),
    (lambda w: optim.LBFGS([w], lr=-1), ValueError, "lr = -1"),
    (lambda w: optim.LBFGS([w]).preview(w), TypeError, "no preview"),
])  # fmt: skip
def test_what_it_does_not_do(make, error, message):
    with pytest.raises(error, match=message):
        make(parameters([(3,)])[0])
