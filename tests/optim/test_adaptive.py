"""The adaptive methods: known numbers, and the properties for which their papers are read."""

import numpy as np
import pytest

import minidl
from minidl import optim

# The figure of effective learning rates: lr 0.1, eps 1e-8, from w = 0.  Final w, first and last effective rate.
FIGURE = [
    ("SGD", {}, -0.140559, 0.1, 0.1),
    ("Adagrad", {"eps": 1e-8}, 0.287162, 0.679396, 0.047345),
    ("RMSprop", {"alpha": 0.9}, 0.390495, 2.148439, 0.278005),
    ("Adam", {}, 1.033511, 0.679396, 0.334171),
]


@pytest.mark.parametrize(("name", "options", "end", "first", "last"), FIGURE, ids=[row[0] for row in FIGURE])
def test_effective_rates_of_50_gradients(name, options, end, first, last):
    gradients = np.random.RandomState(0).randn(50) * 0.2 + np.linspace(-0.5, 0.5, 50)
    w = minidl.tensor(np.zeros(1), requires_grad=True)
    optimizer = getattr(optim, name)([w], lr=0.1, **options)
    rates = []
    for g in gradients:
        w.grad = minidl.Tensor(np.array([g]))
        rates.append(optimizer.preview(w)["rate"].item())
        optimizer.step()
    assert [round(x, 6) for x in (w.item(), rates[0], rates[-1])] == [end, first, last]


def first_step(optimizer_class, gradient, **options):
    w = minidl.tensor(np.zeros(len(gradient)), requires_grad=True)
    w.grad = minidl.Tensor(np.array(gradient))
    return optimizer_class([w], **options).preview(w)


@pytest.mark.parametrize("kind", [optim.Adagrad, optim.Adam, optim.AdamW])
def test_the_first_step_does_not_depend_on_the_size_of_the_gradient(kind):
    np.testing.assert_allclose(first_step(kind, [1e-2, 1.0, -1e4], lr=0.5)["w"], [-0.5, -0.5, 0.5], rtol=1e-5)


def test_adagrads_rates_only_fall_and_rmsprops_recover():
    rates = {}
    for kind in (optim.Adagrad, optim.RMSprop):
        w = minidl.tensor(np.zeros(1), requires_grad=True)
        optimizer = kind([w], lr=0.1)
        rates[kind] = []
        for g in [1.0] * 100 + [0.01] * 1000:
            w.grad = minidl.Tensor(np.array([g]))
            rates[kind].append(optimizer.preview(w)["rate"].item())
            optimizer.step()
    assert (np.diff(rates[optim.Adagrad]) <= 0).all()
    assert rates[optim.RMSprop][-1] > 10 * rates[optim.RMSprop][99]


def test_amsgrad_never_forgets_a_large_gradient():
    w = minidl.tensor(np.zeros(1), requires_grad=True)
    optimizer = optim.Adam([w], betas=(0.9, 0.5), amsgrad=True)
    for g in (10.0, 0.1, 0.1):
        w.grad = minidl.Tensor(np.array([g]))
        optimizer.step()
    assert optimizer.state[w]["max_exp_avg_sq"].item() == 50.0
    assert optimizer.state[w]["exp_avg_sq"].item() < 13.0


def test_adamw_decays_apart_from_the_gradient():
    w = minidl.tensor(np.array([2.0, 2.0]), requires_grad=True)
    w.grad = minidl.Tensor(np.array([1e-3, 1e3]))
    coupled, apart = optim.Adam([w], lr=0.1, weight_decay=0.5), optim.AdamW([w], lr=0.1, weight_decay=0.5)
    without = optim.Adam([w], lr=0.1).preview(w)["w"]
    np.testing.assert_allclose(apart.preview(w)["w"], without - 0.1 * 0.5 * 2.0, rtol=1e-12)
    np.testing.assert_allclose(coupled.preview(w)["w"], without, rtol=1e-5)  # swallowed by the division


def test_adam_with_decoupled_decay_is_adamw():
    w = minidl.tensor(np.array([2.0, -1.0]), requires_grad=True)
    w.grad = minidl.Tensor(np.array([0.5, 1.0]))
    adam = optim.Adam([w], weight_decay=0.1, decoupled_weight_decay=True)
    np.testing.assert_equal(adam.preview(w), optim.AdamW([w], weight_decay=0.1).preview(w))
