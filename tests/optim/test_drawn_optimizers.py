"""Optimizers with drawn options, shapes and gradients, against PyTorch; and the arguments that both take."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizer_cases import (
    DRAWS,
    OPTIONS,
    accepts,
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

small, share = st.floats(0, 0.1), st.floats(0, 0.999)
DRAWN = {
    "lr": st.floats(0, 0.1), "weight_decay": small, "maximize": st.booleans(), "momentum": share, "lr_decay": small,
    "nesterov": st.booleans(), "dampening": st.floats(0, 1), "initial_accumulator_value": small, "alpha": share,
    "eps": st.floats(1e-8, 0.1), "centered": st.booleans(), "rho": share, "betas": st.tuples(share, share),
    "amsgrad": st.booleans(), "decoupled_weight_decay": st.booleans(), "lambd": small, "t0": st.integers(0, 30),
    "etas": st.tuples(st.floats(0.1, 0.9), st.floats(1.1, 2)), "momentum_decay": small, "ns_steps": st.integers(0, 6),
    "step_sizes": st.tuples(st.floats(1e-6, 1e-3), st.floats(1e-2, 1)),
    "adjust_lr_fn": st.sampled_from([None, "original", "match_rms_adamw"]),
}  # fmt: skip


def drawn_options(draw, name):
    options = {
        option: draw(strategy)
        for option, strategy in DRAWN.items()
        if accepts(name, [option]) and draw(st.booleans())
    }
    if options.get("nesterov") and name == "SGD":
        options |= {"momentum": 0.9, "dampening": 0}
    if options.get("centered"):  # the difference of two averages may be rounded below zero, and its root is none
        options |= {"eps": draw(st.floats(0.01, 0.1)), "alpha": draw(st.floats(0.1, 0.99))}
    return options


@pytest.mark.parametrize("name", OPTIONS)
def test_drawn(name):
    @settings(max_examples=DRAWS, deadline=None, derandomize=True, database=None)
    @given(st.data())
    def compare(data):
        options = drawn_options(data.draw, name)
        shape = st.lists(st.integers(1 if name == "Muon" else 0, 4), max_size=3).map(tuple)  # its A / B divides by zero
        shapes = shapes_for(name, data.draw(st.lists(shape, min_size=1, max_size=4)))
        params = parameters(shapes)
        theirs = twins(params)
        mine, reference = make(name, params, options), make_torch(name, theirs, options)
        random = np.random.default_rng(data.draw(st.integers(0, 999)))
        for _ in range(12):
            give_gradients(params, random, absent=np.flatnonzero(random.random(len(params)) < 0.2))
            copy_gradients(params, theirs)
            mine.step()
            reference.step()
        sizes = [np.abs(p.array).max() for p in params if p.array.size]
        different = [(p, q) for p, q in zip(params, theirs, strict=True) if p.array.size]
        assert not different or distance(*zip(*different, strict=True)) <= 1e-12 * max(1, *sizes)

    compare()


@pytest.mark.parametrize("name", [name for name in [*OPTIONS, "LBFGS"] if name != "Lion"])
def test_signatures_are_pytorchs(name):
    mine, theirs = (inspect.signature(getattr(module, name)).parameters for module in (optim, torch.optim))
    assert [(p.name, p.default, p.kind) for p in mine.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


@pytest.mark.parametrize("name", OPTIONS)
def test_words_that_change_nothing_and_one_that_is_refused(name):
    for word in ("foreach", "fused", "capturable"):
        if accepts(name, [word]):
            assert word not in make(name, parameters(shapes_for(name)), {word: True}).param_groups[0]
    if accepts(name, ["differentiable"]):
        with pytest.raises(RuntimeError, match="differentiable=True"):
            make(name, parameters(), {"differentiable": True})
