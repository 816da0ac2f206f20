"""The graph that is read is the one that was recorded, and nothing changes when it is looked at."""

import numpy as np
import pytest
from study.study_cases import deep_loss, lenet_loss, neuron, number

import minidl
from minidl import nn, study
from minidl.study.graphs import graph
from minidl.study.graphs.graph import Group, Node


def titles(group, indent=""):
    """Groups and nodes as an indented list."""
    lines = []
    for member in group.members:
        if isinstance(member, Group):
            lines += [indent + member.title, *titles(member, indent + "  ")]
        else:
            lines.append(indent + member.name)
    return lines


def test_every_tensor_is_a_node_with_its_value_and_the_engines_gradient():
    loss = neuron()
    nodes = study.draw_graph(loss).graph.nodes
    assert [node.computed or node.name for node in nodes] == [
        "x1", "w1", "multiply = x1 · w1", "x2", "w2", "multiply₂ = x2 · w2", "add = multiply + multiply₂", "b",
        "n = add + b", "multiply₃ = 2 · n", "e = exp(multiply₃)", "subtract = e - 1", "add₂ = e + 1",
        "o = subtract / add₂",
    ]  # fmt: skip
    gradients = minidl.autograd.grad(loss, [node.tensor for node in nodes])
    for node, gradient in zip(nodes, gradients, strict=True):
        assert node.value == node.tensor.array
        assert node.gradient == gradient.array


def test_looking_changes_nothing():
    model, loss = lenet_loss()
    hidden = loss.inputs[0]
    hidden.retain_grad()
    seen = []
    hidden.register_hook(lambda g: seen.append(g))
    before = {name: x.array.copy() for name, x in model.named_parameters()}
    study.draw_graph(loss).svg()
    print(study.explain_backward(loss))
    study.gradient_flow(model, loss)
    assert all(p.grad is None for p in model.parameters()) and hidden.grad is None
    assert len(seen) == 3  # hooks are part of every backward pass
    loss.backward()
    assert all(np.array_equal(before[name], x.array) for name, x in model.named_parameters())
    twin, again = lenet_loss()
    again.backward()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad.array, q.grad.array)


def test_tensors_are_called_as_variables_are():
    a, b = number(2.0), number(3.0)
    b.name = "its own name"
    c = a * b
    assert [node.name for node in study.draw_graph(c).graph.nodes] == ["a", "its own name", "c"]
    assert [node.name for node in study.explain_backward(c).graph.nodes] == ["a", "its own name", "c"]


def test_entries_of_lists_and_parameters_of_models_are_called_by_their_places():
    weights, model = [number(2.0), number(3.0)], nn.Sequential(nn.Linear(1, 1))
    loss = model(minidl.ones(1, 1)).sum() * weights[0] * weights[1]
    names = {node.name for node in study.draw_graph(loss).graph.nodes}
    assert {"weights[0]", "weights[1]", "model.0.weight", "model.0.bias", "data"} <= names
    assert names.isdisjoint({"data₂", "data₃"})


def test_a_parameter_that_nobody_named_has_the_letter_of_its_use():
    loss = nn.Linear(2, 1)(minidl.ones(3, 2)).sum()
    assert [node.name for node in study.draw_graph(loss).graph.nodes] == ["data", "w", "b", "linear", "loss"]


def test_what_a_leaf_is():
    layer, w, x = nn.Linear(2, 1), number(1.0), minidl.ones(3, 2)
    picture = study.draw_graph((layer(x) * w).sum())
    kinds = {node.name: node.kind for node in picture.graph.nodes if not node.op}
    assert set(kinds.values()) == {"parameter", "leaf", "data"}
    assert kinds["w"] == "leaf" and kinds["x"] == "data"


def test_a_tensor_of_many_elements_has_no_gradients_and_those_of_another_pass_are_not_its():
    x = minidl.ones(3, requires_grad=True)
    (x * 2).sum().backward()
    assert [node.gradient for node in study.draw_graph(x * x).graph.nodes] == [None, None]


def test_values_of_leaves_are_those_of_the_moment():
    w = number(2.0)
    picture = study.draw_graph(w * w)
    with minidl.no_grad():
        w.fill_(5.0)
    assert picture.graph.nodes[0].value == 2.0


def test_a_function_of_ones_own_is_a_node():
    class Halves(minidl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x[:2].clone(), x[2:].clone()

        @staticmethod
        def backward(ctx, g, h):
            return minidl.cat([g, h])

    x = minidl.ones(4, requires_grad=True)
    first, second = Halves.apply(x)
    loss = (first * 2 + second * 3).sum()
    assert [node.op for node in study.draw_graph(loss).graph.nodes][1] == "Halves"
    explained = study.explain_backward(loss)
    assert explained.steps[-1].shares[0].total.tolist() == [2, 2, 3, 3]
    assert "minidl.cat([upstream1, upstream2])" in explained.steps[-1].shares[0].formula.rule
    study.draw_graph(loss).svg()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: number(1.0), "no graph"),
        (lambda: minidl.ones(3).sum(), "no graph"),
        (lambda: freed(), "freed by backward"),
    ],
)
def test_without_a_graph_the_error_says_why(make, words):
    for look in (study.draw_graph, study.explain_backward):
        with pytest.raises(RuntimeError, match=words):
            look(make())


def freed():
    loss = number(1.0) * 2 * 3
    loss.backward()
    return loss


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="expected a tensor"):
        study.draw_graph(3.0)


# -- groups -------------------------------------------------------------------------------------------------------


def test_modules_that_were_recorded_are_groups():
    _, loss = lenet_loss()
    lines = titles(study.draw_graph(loss).graph.root)
    assert lines[:6] == ["data", "Sequential", "  0 (Conv2d)", "    0.weight", "    0.bias", "    convolution"]
    assert lines.count("  7 (Linear)") == 1
    relu = next(node for node in study.draw_graph(loss).graph.nodes if node.op == "relu")
    assert relu.layer == "1 (ReLU)"  # a module of one op is that op


def test_recording_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    own = [dict(vars(module)) for module in model.modules()]
    with pytest.raises(KeyError), study.record(model):
        assert "forward" in vars(model[0])
        raise KeyError
    assert [dict(vars(module)) for module in model.modules()] == own
    assert [p.name for p in model.parameters()] == ["0.weight", "0.bias"]


def test_a_module_that_is_called_twice_is_two_groups_and_shares_its_weights():
    layer = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    with study.record(layer):
        loss = layer(layer(minidl.ones(1, 2))).sum()
    lines = titles(study.draw_graph(loss).graph.root)
    assert "Sequential" in lines and "Sequential, call 2" in lines
    assert "0.weight" in lines  # outside of both


def test_lines_can_be_made_a_group_by_hand():
    x = number(2.0)
    with study.part("square"):
        y = x * x + 1
    z = y.exp()
    assert titles(study.draw_graph(z).graph.root) == ["square", "  x", "  multiply", "  y", "z"]


def test_a_long_graph_is_folded():
    x = number(1.0)
    y = x
    for _ in range(1000):
        y = y * x
    found = study.draw_graph(y).graph
    assert len(found.nodes) == 1001
    assert all(len(group.members) <= 60 for group in [found.root, *found.root.groups()])
    assert [member.name for member in found.root.members if isinstance(member, Node)] == ["x"]


def test_reading_a_long_graph_takes_a_time_that_grows_with_its_length():
    used = {}
    names = [graph._unused("add", used, str) for _ in range(20_000)]  # a second if each looked at those before it
    assert names[:3] == ["add", "add2", "add3"] and len(set(names)) == 20_000
    assert graph._unused("add", used, str) == "add20001"


def test_every_node_is_a_member_of_one_group():
    for _, loss in (lenet_loss(), deep_loss()):
        found = study.draw_graph(loss).graph
        assert sorted(node.key for node in found.root.nodes()) == sorted(node.key for node in found.nodes)
        for group in [found.root, *found.root.groups()]:
            for member in group.members:
                assert (member.group if isinstance(member, Node) else member.parent) is group


def test_only_modules_are_recorded():
    with pytest.raises(TypeError, match="record: expected a Module, got NoneType"), study.record(None):
        pass
