"""Copies and pickles of modules, and PyTorch's dictionaries of what belongs to them."""

import copy
import pickle

import pytest
import torch

import minidl
from minidl import nn

KINDS = ["weight_norm", "spectral_norm"]


def pickled(module: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(module))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_layers_with_computed_weights_are_copied_before_and_after_a_forward_pass(kind, copied) -> None:
    net = nn.Sequential(getattr(nn.utils, kind)(nn.Linear(3, 2)))
    first, x = copied(net), minidl.randn(4, 3)
    net(x).sum().backward()
    second = copied(net.eval())
    assert list(first.state_dict()) == list(second.state_dict()) == list(net.state_dict())
    assert minidl.equal(second(x), net(x))
    second.zero_grad()
    second(x).sum().backward()  # the copy's own weights learn, and only those
    assert second[0].bias.grad.tolist() == [4.0, 4.0] and second[0].bias is not net[0].bias
    getattr(nn.utils, f"remove_{kind}")(second[0])
    assert sorted(second.state_dict()) == ["0.bias", "0.weight"] and hasattr(net[0], "weight_v")


def test_a_tensor_that_a_module_kept_is_copied_without_its_history() -> None:
    layer = nn.Linear(2, 2)
    layer.seen = layer(minidl.ones(1, 2))
    again = copy.deepcopy(layer)
    assert again.seen.is_leaf and minidl.equal(again.seen, layer.seen) and layer.seen.requires_grad


def test_a_copied_parameter_has_no_gradient() -> None:
    for library in (minidl, torch):
        weight = library.nn.Parameter(library.ones(2))
        weight.sum().backward()
        assert copy.deepcopy(weight).grad is None and weight.grad is not None


def test_pytorchs_dictionaries_are_views_of_the_attributes() -> None:
    for library in (minidl, torch):
        lib = library.nn
        net = lib.Sequential(lib.Linear(2, 3, bias=False), lib.BatchNorm1d(3))
        assert list(net._modules) == ["0", "1"] and net._modules["1"] is net[1] and len(net._modules) == 2
        assert net[0]._parameters["weight"] is net[0].weight and net[0]._parameters["bias"] is None
        assert list(net[1]._buffers) == ["running_mean", "running_var", "num_batches_tracked"]
        for name, child in net._modules.items():
            net._modules[name] = lib.Sequential(child, lib.ReLU())
        net._modules["2"] = lib.Identity()
        assert next(iter(net.state_dict())) == "0.0.weight" and len(net) == 3
        assert net(library.ones(4, 2)).shape == (4, 3)
        weight = net[0][0]._parameters.pop("weight")
        assert not list(net[0].parameters()) and not hasattr(net[0][0], "weight")
        net[0][0]._parameters["weight"] = weight
        net[0][0]._buffers["mask"] = library.ones(1)
        assert list(net[0].state_dict()) == ["0.weight", "0.mask"] and "mask" in net[0][0]._buffers
        with pytest.raises(KeyError):
            del net._modules["nothere"]


@pytest.mark.parametrize("make, shape", [
    (lambda nn: nn.LayerNorm(3), (2, 4, 3)),
    (lambda nn: nn.GroupNorm(2, 4), (2, 4, 3)),
    (lambda nn: nn.BatchNorm1d(4), (2, 4, 3)),
    (lambda nn: nn.BatchNorm1d(4, affine=False).eval(), (2, 4, 3)),
    (lambda nn: nn.InstanceNorm1d(4, affine=True), (2, 4, 3)),
])  # fmt: skip
def test_normalisation_refuses_floats_of_another_kind(make, shape) -> None:
    with pytest.raises(RuntimeError, match=r"the input is float64 and the layer float32: use input.to\(minidl.float32"):
        make(nn)(minidl.ones(*shape, dtype=minidl.float64))
    with pytest.raises(RuntimeError):
        make(torch.nn)(torch.ones(*shape, dtype=torch.float64))
    make(nn).double()(minidl.ones(*shape, dtype=minidl.float64))
