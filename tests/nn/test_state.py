"""The state of a module goes out, in and over to PyTorch and back; copies of modules are whole and independent."""

import copy
import pickle

import numpy as np
import pytest
import torch
from against_torch import build

import minidl
from minidl import nn

# -- the state ----------------------------------------------------------------------------------------------------


def test_the_state_goes_both_ways():
    ours, theirs = build(nn).double(), build(torch.nn).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert str(ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})) == (
        "<All keys matched successfully>"
    )
    other = build(torch.nn).double()
    other.load_state_dict({name: torch.tensor(x.array) for name, x in ours.state_dict().items()})
    for name, x in theirs.state_dict().items():
        assert torch.equal(x, other.state_dict()[name]), name


def test_the_state_lies_on_the_memory_of_the_module():
    layer = nn.Linear(2, 1)
    state = layer.state_dict()
    assert type(state) is dict and type(state["weight"]) is minidl.Tensor and not state["weight"].requires_grad
    nn.init.constant_(layer.weight, 7)
    assert state["weight"].tolist() == [[7, 7]]
    assert list(layer.state_dict(prefix="net.")) == ["net.weight", "net.bias"]
    assert layer.state_dict(keep_vars=True)["weight"] is layer.weight


def test_loading_copies_into_the_parameters_that_are_there():
    layer = nn.Linear(2, 1)
    weight, given = layer.weight, np.array([[1.0, 2.0]])
    layer.load_state_dict({"weight": given, "bias": minidl.zeros(1)})
    assert layer.weight is weight and weight.dtype == minidl.float32 and weight.requires_grad
    given[:] = 0
    assert weight.tolist() == [[1, 2]]


def test_what_does_not_fit_is_told_at_once_and_nothing_is_loaded():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {name: x.clone().tolist() for name, x in net.state_dict().items()}
    state = {name: x.array + 1 for name, x in net.state_dict().items() if name != "0.weight"}
    state |= {"0.bias": np.ones(4), "zz": np.ones(1), "1.num_batches_tracked": np.array(1.5), "1.bias": "words"}
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "Error(s) in loading state_dict for Sequential:",
        '\tMissing key(s) in state_dict: "0.weight".',
        '\tUnexpected key(s) in state_dict: "zz".',
        "\tsize mismatch for 0.bias: shape (4,) in the state, (3,) in the model.",
        "\tdtype mismatch for 1.bias: <U5 in the state, float32 in the model.",
        "\tdtype mismatch for 1.num_batches_tracked: float64 in the state, int64 in the model.",
    ]
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(state, strict=False)
    with pytest.raises(TypeError, match="expected a dictionary, got list"):
        net.load_state_dict([1])
    assert {name: x.tolist() for name, x in net.state_dict().items()} == before


def test_not_strict_passes_over_names():
    layer = nn.Linear(2, 1)
    keys = layer.load_state_dict({"bias": np.array([5.0]), "other": np.ones(1)}, strict=False)
    assert keys.missing_keys == ["weight"] and keys.unexpected_keys == ["other"]
    assert "weight" in repr(keys) and layer.bias.item() == 5


# -- copies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_is_equal_independent_and_keeps_what_is_shared(copied):
    # Classes that are made in a function cannot be pickled.
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)).eval()
    net[2].weight = net[0].weight
    twin = copied(net)
    assert repr(twin) == repr(net) and list(twin.state_dict()) == list(net.state_dict())
    assert twin[2].weight is twin[0].weight and isinstance(twin[0].weight, nn.Parameter)
    assert twin[0].weight.requires_grad and not twin[1].training
    x = minidl.ones(2, 4)
    assert np.array_equal(twin(x).array, net(x).array)
    nn.init.zeros_(twin[0].weight)
    assert net[0].weight.array.any()


def test_parameter():
    data = minidl.ones(2)
    parameter = nn.Parameter(data)
    assert parameter.requires_grad and parameter.array is data.array, "the memory is shared"
    assert repr(parameter).splitlines() == repr(torch.nn.Parameter(torch.ones(2))).splitlines()
    assert not nn.Parameter(np.ones(2, np.int64), requires_grad=False).requires_grad
    assert type(copy.deepcopy(parameter)) is nn.Parameter
    with pytest.raises(RuntimeError, match="floating-point"):
        nn.Parameter(minidl.tensor([1, 2]))
    with pytest.raises(TypeError, match=r"got list: make one with minidl\.tensor"):
        nn.Parameter([1.0])
