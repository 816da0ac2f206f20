"""Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict do what PyTorch's do."""

from collections import OrderedDict

import pytest
import torch
from against_torch import assert_same, normal, pair

import minidl
from minidl import nn

BOTH = [nn, torch.nn]


def three(nn):
    return nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)


@pytest.mark.parametrize("make", [
    lambda nn: nn.Sequential(*three(nn)),
    lambda nn: nn.Sequential(dict(zip(["in", "act", "out"], three(nn), strict=True))),
    lambda nn: nn.Sequential(nn.Sequential(*three(nn)[:2]), three(nn)[2]),
])  # fmt: skip
def test_sequential_equals_pytorch(make):
    ours, theirs = pair(lambda module: make(module) if module is nn else make(_Ordered))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert_same(ours, theirs, normal(4, 2))


class _Ordered:
    """torch.nn, whose Sequential takes no plain dictionary but an OrderedDict."""

    Linear, ReLU = torch.nn.Linear, torch.nn.ReLU

    @staticmethod
    def Sequential(*modules):
        return torch.nn.Sequential(*(OrderedDict(m) if isinstance(m, dict) else m for m in modules))


CHANGES = {
    "append": lambda c, nn: c.append(nn.Tanh()),
    "extend": lambda c, nn: c.extend([nn.Tanh(), nn.Sigmoid()]),
    "insert": lambda c, nn: c.insert(1, nn.Tanh()) and None,
    "insert-at-the-end": lambda c, nn: c.insert(3, nn.Tanh()) and None,
    "pop": lambda c, nn: c.pop(0),
    "pop-last": lambda c, nn: c.pop(-1),
    "set": lambda c, nn: c.__setitem__(-1, nn.Tanh()),
    "delete": lambda c, nn: c.__delitem__(0),
    "delete-slice": lambda c, nn: c.__delitem__(slice(0, 2)),
    "add": lambda c, nn: c + type(c)(nn.Tanh()) if isinstance(c, nn.Sequential) else c + [nn.Tanh()],
    "iadd": lambda c, nn: c.__iadd__(type(c)(nn.Tanh()) if isinstance(c, nn.Sequential) else [nn.Tanh()]),
    "slice": lambda c, nn: c[1:],
    "slice-back": lambda c, nn: c[::-1],
    "get": lambda c, nn: c[-1],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_changes_of_a_row_are_those_of_pytorch(kind, change):
    texts = []
    for module in BOTH:
        container = module.Sequential(*three(module)) if kind == "Sequential" else module.ModuleList(three(module))
        result = change(container, module)
        texts.append((repr(container), repr(result), len(container), list(container.state_dict())))
    assert texts[0] == texts[1]


def test_a_row_is_a_sequence():
    layers = three(nn)
    for row in (nn.Sequential(*layers), nn.ModuleList(layers)):
        assert list(row) == list(layers) and len(row) == 3
        assert row[1] is layers[1] and layers[2] in row and row.index(layers[2]) == 2
        row.remove(layers[0])
        assert list(row) == list(layers[1:])
        row.clear()
        assert len(row) == 0 and repr(row) == f"{type(row).__name__}()"


def test_equal_neighbours_of_a_list_stand_on_one_line():
    def make(nn):
        rows = [nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(3)]
        return nn.ModuleList([*rows, nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 2)])

    assert repr(make(nn)) == repr(make(torch.nn))


def test_module_dict_equals_pytorch():
    texts = []
    for module in BOTH:
        d = module.ModuleDict({"a": module.Linear(2, 2), "b": module.ReLU()})
        d["c"] = module.Tanh()
        d.update({"a": module.Identity()})
        popped = d.pop("b")
        texts.append((repr(d), repr(popped), list(d.keys()), list(map(repr, d.values())), "a" in d, "z" in d, len(d)))
    assert texts[0] == texts[1]


def test_module_dict_is_compared_by_identity():
    a, b = nn.ModuleDict({"x": nn.ReLU()}), nn.ModuleDict({"x": nn.ReLU()})
    assert a != b and len({a, b}) == 2


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: nn.Sequential(3), TypeError, "expected a Module, got int"),
    (lambda: nn.ModuleList([None]), TypeError, "expected a Module, got NoneType"),
    (lambda: nn.ModuleDict({"a": 3}), TypeError, "expected a Module, got int"),
    (lambda: nn.ModuleDict({"keys": nn.ReLU()}), KeyError, "already"),
    (lambda: nn.ModuleDict({"a": nn.ReLU()})["b"], KeyError, "no module 'b'; it has a"),
    (lambda: nn.ModuleDict().pop("b"), KeyError, "it has none"),
    (lambda: nn.Sequential(nn.ReLU())[5], IndexError, "holds 1 modules, there is none at index 5"),
    (lambda: nn.Sequential(nn.ReLU())["0"], TypeError, "integer"),
    (lambda: nn.Sequential(nn.ReLU()).__setitem__(0, 3), TypeError, "got int"),
    (lambda: nn.Sequential(nn.ReLU()).__delitem__(1), IndexError, "out of range"),
])  # fmt: skip
def test_containers_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_refused_module_leaves_the_row_as_it_was():
    row = nn.Sequential(nn.ReLU(), nn.Tanh())
    with pytest.raises(TypeError):
        row.insert(0, 3)
    assert repr(row) == repr(nn.Sequential(nn.ReLU(), nn.Tanh()))


def test_appending_to_a_slice_replaces_nothing():
    tail = nn.Sequential(*three(nn))[1:].append(nn.Tanh())
    assert [type(module).__name__ for module in tail] == ["ReLU", "Linear", "Tanh"]


def test_layers_of_a_list_learn():
    class Net(nn.Module):
        def __init__(self):
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    net = Net()
    net(minidl.ones(1, 2)).sum().backward()
    assert len(list(net.parameters())) == 6 and all(p.grad is not None for p in net.parameters())


def parameters(library):
    return [library.ones(2), library.nn.Parameter(library.zeros(1, 3)), library.ones(1)]


@pytest.mark.parametrize(
    "change",
    [
        lambda weights, library: weights.append(library.zeros(4)),
        lambda weights, library: weights.extend([library.zeros(4), library.zeros(5)]),
        lambda weights, library: weights.__setitem__(-1, library.zeros(7)),
        lambda weights, library: weights.__iadd__([library.zeros(2, 2)]),
    ],
)
def test_a_parameter_list_changes_as_pytorchs(change) -> None:
    lists = []
    for library in (minidl, torch):
        weights = library.nn.ParameterList(parameters(library))
        change(weights, library)
        lists.append([(name, tuple(p.shape), p.requires_grad) for name, p in weights.named_parameters()])
    assert lists[0] == lists[1]


def test_a_parameter_list_is_a_list() -> None:
    weights = nn.ParameterList(parameters(minidl))
    first, last = weights[0], weights[-1]
    del weights[1]
    weights.insert(1, minidl.zeros(9))
    assert [p.shape for p in weights] == [(2,), (9,), (1,)]
    assert weights[0] is first and weights[2] is last
    assert [p.shape for p in weights[1:]] == [(9,), (1,)]
    with pytest.raises(IndexError):
        weights[3]


def test_a_parameter_dict_is_a_dictionary_whose_parameters_are_found() -> None:
    shapes = []
    for library in (minidl, torch):
        weights = library.nn.ParameterDict({"a": library.ones(2), "b": library.nn.Parameter(library.ones(3))})
        weights["c"] = library.ones(1)
        del weights["a"]
        weights.update({"d": library.ones(4)})
        shapes.append([(name, tuple(p.shape)) for name, p in weights.named_parameters()])
        assert list(weights.keys()) == ["b", "c", "d"] and "a" not in weights
        assert list(library.nn.ParameterDict({"z": library.ones(1), "a": library.ones(1)})) == ["a", "z"]
        assert list(library.nn.ParameterDict([("z", library.ones(1)), ("a", library.ones(1))])) == ["z", "a"]
    assert shapes[0] == shapes[1]
    with pytest.raises(KeyError, match="no parameter 'a'"):
        nn.ParameterDict()["a"]


def test_containers_of_nothing_are_empty() -> None:
    for library in (nn, torch.nn):
        for kind in (library.ModuleList, library.ModuleDict, library.ParameterList, library.ParameterDict):
            assert len(kind(None)) == len(kind()) == 0


def test_a_sequential_can_be_repeated() -> None:
    for library in (nn, torch.nn):
        twice = library.Sequential(library.Linear(2, 2)) * 2
        assert len(twice) == 2 and twice[0] is twice[1]
        with pytest.raises(ValueError):
            twice * 0
        with pytest.raises(TypeError):
            twice * 1.5


def test_nothing_is_put_beyond_the_end() -> None:
    for library in (nn, torch.nn):
        with pytest.raises(IndexError):
            library.Sequential(library.Tanh()).insert(3, library.ReLU())
