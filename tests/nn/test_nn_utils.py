"""Clipping gradients, and parameters as one vector, as PyTorch does them."""

import math

import numpy as np
import pytest
import torch
from against_torch import close, normal

import minidl
from minidl import nn
from minidl.nn import utils


def with_gradients(scale=1.0):
    """The same parameters and gradients, one of them missing, as ours and PyTorch's."""
    gradients = [scale * normal(3, 2), scale * normal(4), None]
    ours = [nn.Parameter(np.ones(np.shape(g) or 2)) for g in gradients]
    theirs = [torch.nn.Parameter(torch.tensor(p.array)) for p in ours]
    for p, q, g in zip(ours, theirs, gradients, strict=True):
        if g is not None:
            p.grad, q.grad = minidl.tensor(g), torch.tensor(g)
    return ours, theirs


@pytest.mark.parametrize("norm_type", [1, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clipping_by_norm(norm_type, max_norm):
    ours, theirs = with_gradients()
    before = [p.grad for p in ours]
    kept = [None if g is None else g.array.copy() for g in before]
    total = utils.clip_grad_norm_(iter(ours), max_norm, norm_type)
    close(total.array, torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type), 1e-12)
    for p, q in zip(ours[:2], theirs, strict=False):
        close(p.grad.array, q.grad, 1e-12)
    assert ours[2].grad is None
    for gradient, numbers in zip(before[:2], kept, strict=False):
        assert np.array_equal(gradient.array, numbers), "nobody writes into a gradient"


def test_clipping_by_value():
    ours, theirs = with_gradients()
    utils.clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for p, q in zip(ours[:2], theirs, strict=False):
        close(p.grad.array, q.grad, 0)


def test_clipping_one_tensor_and_nothing():
    (p, *_), _ = with_gradients()
    utils.clip_grad_norm_(p, 0.5)
    assert np.linalg.norm(p.grad.array) == pytest.approx(0.5)
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    assert utils.clip_grad_norm_([nn.Parameter(np.ones(2))], 1.0).item() == 0


def test_float32_stays_float32():
    p = nn.Parameter(minidl.ones(3))
    p.grad = minidl.ones(3)
    assert utils.clip_grad_norm_([p], 0.1).dtype == p.grad.dtype == minidl.float32


def test_a_norm_that_is_not_finite():
    ours, _ = with_gradients(scale=np.nan)
    before = ours[0].grad
    with pytest.raises(RuntimeError, match="norm of the gradients is nan"):
        utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    assert ours[0].grad is before
    assert np.isnan(utils.clip_grad_norm_(ours, 1.0).item()) and np.isnan(ours[0].grad.array).all()
    with pytest.raises(ValueError, match="norm_type must be above 0"):
        utils.clip_grad_norm_(ours, 1.0, norm_type=0)


def test_parameters_as_a_vector_and_back():
    net, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (8,) and vector.requires_grad
    utils.vector_to_parameters(vector, twin.parameters())
    assert all(np.array_equal(p.array, q.array) for p, q in zip(net.parameters(), twin.parameters(), strict=True))
    assert not np.shares_memory(twin.weight.array, vector.array)
    for length in (7, 9):
        with pytest.raises(RuntimeError, match=rf"shape \(8,\), got \({length},\)"):
            utils.vector_to_parameters(minidl.ones(length), twin.parameters())
