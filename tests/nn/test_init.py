"""Initial weights: the spread that the papers and PyTorch ask for, and the same numbers for the same seed."""

import math

import numpy as np
import pytest
import torch

import minidl
from minidl import nn
from minidl.nn import init

SHAPE = (40, 30, 3, 3)  # fan_in 270, fan_out 360


def filled(fill, shape=SHAPE):
    return fill(minidl.zeros(shape), generator=minidl.Generator(0)).array


def assert_uniform(x, bound):
    x = np.asarray(x, np.float64)
    assert np.abs(x).max() <= np.float32(bound) and np.abs(x).max() > 0.99 * bound
    assert abs(x.mean()) < 4 * bound / math.sqrt(3 * x.size)
    assert x.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def assert_normal(x, mean, std):
    x = np.asarray(x, np.float64)
    assert abs(x.mean() - mean) < 4 * std / math.sqrt(x.size)
    assert x.std() == pytest.approx(std, rel=0.03)
    assert (np.abs(x - mean) > 3 * std).mean() == pytest.approx(0.0027, abs=0.002)


def test_uniform_and_normal():
    x = filled(lambda t, generator: init.uniform_(t, 2, 5, generator))
    assert x.min() >= 2 and x.max() <= 5 and x.mean() == pytest.approx(3.5, abs=0.05)
    assert_normal(filled(lambda t, generator: init.normal_(t, 1, 2, generator)), 1, 2)


def test_xavier():
    std = 2 * math.sqrt(2 / (270 + 360))
    assert_uniform(filled(lambda t, generator: init.xavier_uniform_(t, 2, generator)), math.sqrt(3) * std)
    assert_normal(filled(lambda t, generator: init.xavier_normal_(t, 2, generator)), 0, std)


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 270), ("fan_out", 360)])
def test_kaiming(mode, fan):
    std = math.sqrt(2 / fan)
    options = {"mode": mode, "nonlinearity": "relu", "generator": minidl.Generator(0)}
    assert_uniform(init.kaiming_uniform_(minidl.zeros(SHAPE), **options).array, math.sqrt(3) * std)
    assert_normal(init.kaiming_normal_(minidl.zeros(SHAPE), **options).array, 0, std)


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains_are_those_of_pytorch(name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.2) == torch.nn.init.calculate_gain("leaky_relu", 0.2)


def test_constants():
    x = minidl.ones(2, 3)
    assert init.constant_(x, 4) is x and x.tolist() == [[4] * 3] * 2
    assert init.zeros_(x).tolist() == [[0] * 3] * 2 and init.ones_(x).tolist() == [[1] * 3] * 2
    assert np.array_equal(init.eye_(x).array, np.eye(2, 3))


@pytest.mark.parametrize(("layer", "bound"), [
    (lambda: nn.Linear(400, 300), 1 / 20),
    (lambda: nn.Conv2d(8, 64, 5, groups=2), 1 / 10),
])  # fmt: skip
def test_layers_start_as_in_pytorch(layer, bound):
    minidl.manual_seed(0)
    layer = layer()
    assert_uniform(layer.weight.array, bound)
    assert np.abs(layer.bias.array).max() <= bound and layer.bias.array.std() > bound / 2.5
    assert layer.weight.dtype == minidl.float32


def test_the_same_seed_gives_the_same_weights_in_every_dtype():
    def weights(dtype):
        minidl.manual_seed(7)
        layers = nn.Linear(5, 4, dtype=dtype), nn.Conv2d(1, 2, 3, dtype=dtype)
        return [p.array for layer in layers for p in layer.parameters()]

    for one, two, three in zip(weights(None), weights(None), weights("float64"), strict=True):
        assert np.array_equal(one, two)
        assert three.dtype == np.float64 and np.array_equal(one, three.astype(np.float32))


def test_resetting_draws_again():
    layer = nn.Linear(5, 4)
    before = layer.weight.array.copy()
    layer.reset_parameters()
    assert not np.array_equal(layer.weight.array, before) and layer.weight.requires_grad


def test_filling_a_parameter_is_not_recorded_but_noticed():
    w = nn.Parameter(minidl.ones(3))
    loss = (w * w).sum()
    assert init.zeros_(w).is_leaf and w.requires_grad
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_a_layer_without_inputs_can_be_made():
    assert nn.Linear(0, 2).bias.tolist() == pytest.approx([0, 0], abs=1)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: init.xavier_uniform_(minidl.ones(3)), r"at least 2 dimensions, got shape \(3,\)"),
    (lambda: init.kaiming_normal_(minidl.ones(3, 3), mode="fan"), '"fan_in" or "fan_out", got \'fan\''),
    (lambda: init.kaiming_normal_(minidl.ones(3, 3), nonlinearity="foo"), "one of linear, .* got 'foo'"),
    (lambda: init.eye_(minidl.ones(3)), "a matrix"),
])  # fmt: skip
def test_init_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_dirac_passes_the_input_on() -> None:
    for shape, groups in (((4, 2, 3, 3), 2), ((3, 4, 3), 1), ((2, 2, 3, 3, 3), 1)):
        ours, theirs = minidl.zeros(shape), torch.zeros(shape)
        np.testing.assert_array_equal(init.dirac_(ours, groups).array, torch.nn.init.dirac_(theirs, groups).numpy())


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 2, 2)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    w = init.orthogonal_(minidl.zeros(shape, dtype=minidl.float64), gain=2).array.reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(min(w.shape)), atol=1e-12)


def test_sparse_columns_have_so_many_zeros() -> None:
    w = init.sparse_(minidl.zeros(10, 4), sparsity=0.25).array
    assert ((w == 0).sum(0) == 3).all()


def test_truncated_normal_numbers_stay_inside_and_have_the_spread_of_pytorchs() -> None:
    ours = init.trunc_normal_(minidl.zeros(20000), 0.5, 2.0, -1.0, 3.0).array
    theirs = torch.nn.init.trunc_normal_(torch.zeros(20000), 0.5, 2.0, -1.0, 3.0).numpy()
    assert ours.min() >= -1 and ours.max() <= 3
    assert abs(ours.mean() - theirs.mean()) < 0.03 and abs(ours.std() - theirs.std()) < 0.03


@pytest.mark.parametrize(
    ("fill", "arguments"),
    [("dirac_", ((2, 2),)), ("dirac_", ((3, 2, 2), 2)), ("orthogonal_", ((3,),)), ("sparse_", ((3,), 0.5))],
)
def test_what_cannot_be_filled_is_refused(fill: str, arguments: tuple) -> None:
    shape, *others = arguments
    with pytest.raises(ValueError, match=fill):
        getattr(init, fill)(minidl.zeros(shape), *others)
    with pytest.raises(ValueError):
        getattr(torch.nn.init, fill)(torch.zeros(shape), *others)


@pytest.mark.parametrize(
    ("fill", "arguments", "whole"), [("uniform_", (2, 1), False), ("normal_", (0, -1), False), ("normal_", (), True)]
)
def test_numbers_that_cannot_be_drawn_are_refused(fill: str, arguments: tuple, whole: bool) -> None:
    for library in (minidl, torch):
        with pytest.raises(RuntimeError):
            getattr(library.nn.init, fill)(library.zeros(3, dtype=library.int64 if whole else None), *arguments)


@pytest.mark.parametrize("slope", ["steep", True])
def test_a_slope_is_a_number(slope: object) -> None:
    for library in (minidl, torch):
        with pytest.raises(ValueError):
            library.nn.init.calculate_gain("leaky_relu", slope)
