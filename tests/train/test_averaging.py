"""Averages of weights: the networks, statistics and rates of PyTorch's `swa_utils`."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch

import minidl
from minidl import nn, optim
from minidl.optim import swa_utils

THEIRS = torch.optim.swa_utils


@pytest.fixture(autouse=True)
def _pytorch_in_float64():
    """PyTorch computes 1 / n in its default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def networks(seed=0):
    """The same small network with batch normalisation, ours and PyTorch's."""
    torch.manual_seed(seed)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)).double()
    mine = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return mine, theirs


def batches(count=5, seed=0):
    return list(np.random.default_rng(seed).standard_normal((count, 8, 3)))


def assert_same_state(mine, theirs):
    state, expected = mine.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value.numpy(), rtol=0, atol=1e-12, err_msg=name)
        assert np.asarray(state[name]).dtype == value.numpy().dtype


def train(mine, theirs, batch, optimizers):
    inputs = minidl.tensor(batch), torch.tensor(batch)
    for model, optimizer, x in zip((mine, theirs), optimizers, inputs, strict=True):
        optimizer.zero_grad()
        (model(x) ** 2).sum().backward()
        optimizer.step()


WAYS = [
    {}, {"use_buffers": True}, {"avg_fn": ("get_ema_avg_fn", 0.8)}, {"multi_avg_fn": ("get_ema_multi_avg_fn", 0.9)},
    {"multi_avg_fn": ("get_swa_multi_avg_fn",)}, {"avg_fn": ("get_swa_avg_fn",), "use_buffers": True},
    {"avg_fn": ("get_ema_avg_fn",), "use_buffers": True},
    {"multi_avg_fn": ("get_ema_multi_avg_fn", 0.5), "use_buffers": True},
]  # fmt: skip


def made(module, model, options):
    """The average, with the functions named in the options."""
    made = {k: getattr(module, v[0])(*v[1:]) if isinstance(v, tuple) else v for k, v in options.items()}
    return module.AveragedModel(model, **made)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_averages_are_pytorchs(options):
    mine, theirs = networks()
    averaged, reference = made(swa_utils, mine, options), made(THEIRS, theirs, options)
    optimizers = optim.SGD(mine.parameters(), lr=0.05), torch.optim.SGD(theirs.parameters(), lr=0.05)
    for i, batch in enumerate(batches()):
        train(mine, theirs, batch, optimizers)
        averaged.update_parameters(mine)
        reference.update_parameters(theirs)
        assert_same_state(averaged, reference)
        if i == 2:  # saved, and loaded into a new one
            again = made(swa_utils, networks(seed=1)[0], options)
            again.load_state_dict({name: value.numpy() for name, value in reference.state_dict().items()})
            averaged = again
    x = batches(1, seed=1)[0]
    found, expected = averaged.eval()(minidl.tensor(x)), reference.eval()(torch.tensor(x))
    np.testing.assert_allclose(found.array, expected.detach().numpy(), atol=1e-12)


def test_the_average_stands_apart_from_the_model():
    model, _ = networks()
    averaged = swa_utils.AveragedModel(model)
    before = [p.array.copy() for p in averaged.parameters()]
    for p in model.parameters():
        p.array[...] = 7.0
    np.testing.assert_equal([p.array for p in averaged.parameters()], before)
    averaged.update_parameters(model)
    assert all((p.array == 7.0).all() and p.requires_grad for p in averaged.parameters())
    assert {p.array.dtype.name for p in averaged.parameters()} == {"float64"}
    for copied in (copy.deepcopy(averaged), pickle.loads(pickle.dumps(averaged))):
        copied.update_parameters(model)
        assert copied.n_averaged.item() == 2 and averaged.n_averaged.item() == 1


@pytest.mark.parametrize("form", [lambda x: x, lambda x: (x, None), lambda x: [x]])
def test_update_bn(form):
    mine, theirs = networks()
    mine.eval()
    theirs.eval()
    mine(minidl.tensor(batches(1)[0]))
    swa_utils.update_bn([form(minidl.tensor(x)) for x in batches()], mine)
    THEIRS.update_bn([form(torch.tensor(x)) for x in batches()], theirs)
    assert_same_state(mine, theirs)
    assert not mine.training and mine[1].momentum == 0.1
    swa_utils.update_bn(["never looked at"], nn.Linear(2, 2))


@pytest.mark.parametrize("options", [
    {"swa_lr": 0.05}, {"swa_lr": [0.05, 0.5], "anneal_epochs": 5}, {"swa_lr": 0.3, "anneal_strategy": "linear"},
    {"swa_lr": 0.05, "anneal_epochs": 0}, {"swa_lr": 0.05, "anneal_epochs": 1},
], ids=str)  # fmt: skip
def test_swalr(options):
    def schedule(module, library):
        params = [library.ones(2, requires_grad=True) for _ in range(2)]
        optimizer = library.optim.SGD([{"params": [p], "lr": lr} for p, lr in zip(params, (0.2, 0.1), strict=True)])
        return module.SWALR(optimizer, **options)

    mine, theirs = schedule(swa_utils, minidl), schedule(THEIRS, torch)
    for epoch in range(60):
        np.testing.assert_allclose(mine.get_last_lr(), theirs.get_last_lr(), rtol=1e-12)
        if epoch == 4:
            mine.load_state_dict(theirs.state_dict())
        if epoch == 7:
            theirs.load_state_dict(mine.state_dict())
        for one in (mine, theirs):
            one.optimizer.step()
            one.step()


def test_names_and_signatures_are_pytorchs():
    assert set(swa_utils.__all__) == set(THEIRS.__all__)
    for name in swa_utils.__all__:
        mine, theirs = (inspect.signature(getattr(module, name)).parameters for module in (swa_utils, THEIRS))
        assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in theirs.values()], name


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda m, model, o: m.get_ema_avg_fn(1.5), ValueError, "1.5"),
    (lambda m, model, o: m.get_ema_multi_avg_fn(-0.5), ValueError, "-0.5"),
    (lambda m, model, o: m.AveragedModel(model, avg_fn=max, multi_avg_fn=max), AssertionError, "avg_fn"),
    (lambda m, model, o: m.SWALR(o, 0.1, anneal_strategy="cubic"), ValueError, "anneal_strategy must be"),
    (lambda m, model, o: m.SWALR(o, 0.1, anneal_epochs=-1), ValueError, "anneal_epochs must be"),
    (lambda m, model, o: m.SWALR(o, 0.1, anneal_epochs=2.5), ValueError, "anneal_epochs must be"),
    (lambda m, model, o: m.SWALR(o, [0.1, 0.2]), ValueError, "swa_lr"),
])  # fmt: skip
def test_errors_are_of_pytorchs_class(call, error, message):
    for module, library, model in zip((swa_utils, THEIRS), (minidl, torch), networks(), strict=True):
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        with pytest.raises(error, match=message if module is swa_utils else None):
            call(module, model, optimizer)
