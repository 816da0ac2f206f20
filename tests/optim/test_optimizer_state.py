"""State and state dicts: PyTorch's layout, both ways, complete, and checked before anything is changed."""

import copy

import numpy as np
import pytest
import torch
from optimizer_cases import (
    CASES,
    IDS,
    copy_gradients,
    distance,
    give_gradients,
    make,
    make_torch,
    parameters,
    shapes_for,
    twins,
)

from minidl import optim

every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)


def trained(name, options, steps=3, seed=0):
    params = parameters(shapes_for(name), seed=seed)
    optimizer, random = make(name, params, options), np.random.default_rng(1)
    for _ in range(steps):
        give_gradients(params, random)
        optimizer.step()
    return optimizer, params


def as_torch(state_dict):
    """The same with PyTorch's tensors in place of arrays."""
    state = {}
    for i, arrays in state_dict["state"].items():
        state[i] = {name: torch.tensor(np.asarray(x, "float64")) for name, x in arrays.items()}
    return {"state": state, "param_groups": state_dict["param_groups"]}


@every_case
def test_layout_is_pytorchs(name, options):
    optimizer, params = trained(name, options)
    theirs = twins(params)
    reference = make_torch(name, theirs, options)
    give_gradients(params, np.random.default_rng(0))
    copy_gradients(params, theirs)
    reference.step()
    mine, expected = optimizer.state_dict(), reference.state_dict()
    assert {i: set(s) for i, s in mine["state"].items()} == {i: set(s) for i, s in expected["state"].items()}
    for i, state in mine["state"].items():
        assert all(np.shape(x) == tuple(expected["state"][i][k].shape) for k, x in state.items())
    for group, other in zip(mine["param_groups"], expected["param_groups"], strict=True):
        assert set(group) == set(other) - {"foreach", "fused", "capturable", "differentiable"}
        assert {k: other[k] for k in group} == group


@every_case
def test_goes_on_in_pytorch_and_back(name, options):
    optimizer, params = trained(name, options)
    theirs = twins(params)
    reference = make_torch(name, theirs, options)
    reference.load_state_dict(as_torch(optimizer.state_dict()))
    back, others = trained(name, options, steps=0)
    random = np.random.default_rng(3)
    for _ in range(3):
        give_gradients(params, random)
        copy_gradients(params, theirs)
        optimizer.step()
        reference.step()
    assert distance(params, theirs) <= 1e-12

    back.load_state_dict(reference.state_dict())
    for p, q in zip(others, theirs, strict=True):
        p.array[...] = q.detach().numpy()
    give_gradients(others, random)
    copy_gradients(others, theirs)
    back.step()
    reference.step()
    assert distance(others, theirs) <= 1e-12


@every_case
def test_a_loaded_optimizer_goes_on_bit_for_bit(name, options):
    optimizer, params = trained(name, options)
    second, others = trained(name, {}, steps=1, seed=9)  # other options, and a past to be forgotten
    second.load_state_dict(optimizer.state_dict())
    for p, q in zip(params, others, strict=True):
        q.array[...] = p.array
    for run, its in ((optimizer, params), (second, others)):
        give_gradients(its, np.random.default_rng(4))
        run.step()
    for p, q in zip(params, others, strict=True):
        assert p.array.tobytes() == q.array.tobytes()
    np.testing.assert_equal(second.state_dict(), optimizer.state_dict())


def test_is_a_snapshot():
    optimizer, params = trained("Adam", {})
    saved = optimizer.state_dict()
    before = copy.deepcopy(saved)
    give_gradients(params, np.random.default_rng(0))
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 1.0
    np.testing.assert_equal(saved, before)


def test_state_by_parameter():
    optimizer, params = trained("Adam", {}, steps=0)
    assert optimizer.state == {}
    give_gradients(params, np.random.default_rng(0), absent=[1])
    optimizer.step()
    assert list(optimizer.state) == [params[0], params[2], params[3]]
    state = optimizer.state[params[0]]
    assert state["step"] == 1
    np.testing.assert_array_equal(state["exp_avg"], (1 - 0.9) * params[0].grad.array)


def test_plain_descent_remembers_nothing():
    optimizer, _ = trained("SGD", {})
    assert optimizer.state_dict()["state"] == {}
    assert not any(flat.memory for flat in optimizer._flats)


def test_momentum_that_was_switched_off_is_kept():
    optimizer, params = trained("SGD", {"momentum": 0.9})
    optimizer.param_groups[0]["momentum"] = 0.0
    give_gradients(params, np.random.default_rng(0))
    optimizer.step()
    second, _ = trained("SGD", {}, steps=0)
    second.load_state_dict(optimizer.state_dict())
    np.testing.assert_equal(second.state_dict(), optimizer.state_dict())


def test_entries_of_a_schedule_are_kept():
    optimizer, _ = trained("SGD", {})
    optimizer.param_groups[0]["initial_lr"] = 0.5
    second, _ = trained("SGD", {}, steps=0)
    second.load_state_dict(optimizer.state_dict())
    assert second.param_groups[0]["initial_lr"] == 0.5


def _without_betas(d):
    del d["param_groups"][0]["betas"]


def _other_shape(d):
    d["state"][3]["exp_avg"] = np.zeros((2, 2))


def _one_parameter_less(d):
    d["param_groups"][0]["params"].pop()


def _two_groups(d):
    d["param_groups"] *= 2


def _stranger(d):
    d["state"][7] = {"step": 1}


def _missing_memory(d):
    del d["state"][2]["exp_avg_sq"]


def _unknown_memory(d):
    d["state"][2]["momentum_buffer"] = np.zeros(())


def _negative_rate(d):
    d["param_groups"][0]["lr"] = -1.0


@pytest.mark.parametrize(("damage", "message"), [
    (_without_betas, r"lacks the options \['betas'\]: it is not one of Adam"),
    (_other_shape, r"'exp_avg' has shape \(2, 2\), but its parameter \(2, 1, 3\)"),
    (_one_parameter_less, r"groups of \[3\] parameters, this optimizer of \[4\]"),
    (_two_groups, r"groups of \[4, 4\] parameters"),
    (_stranger, r"entries \[7\]"),
    (_missing_memory, r"lacks \['exp_avg_sq'\]"),
    (_unknown_memory, "'momentum_buffer', which Adam does not remember"),
    (_negative_rate, "lr = -1.0 is out of range"),
    (dict.clear, '"state" and "param_groups"'),
])  # fmt: skip
def test_a_state_dict_that_does_not_fit_changes_nothing(damage, message):
    optimizer, _ = trained("Adam", {})
    saved = copy.deepcopy(trained("Adam", {"lr": 0.5}, steps=5)[0].state_dict())
    damage(saved)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(saved)
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_that_of_another_optimizer_does_not_fit():
    with pytest.raises(ValueError, match="it is not one of Adam"):
        optim.Adam(parameters()).load_state_dict(trained("SGD", {})[0].state_dict())
