"""The explanation of a backward pass is the pass itself: same rules, same order, same numbers."""

import ast
import inspect
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from op_table import DIFFERENTIABLE
from study.study_cases import lenet_loss, neuron, number

import minidl
from minidl import nn, study
from minidl.autograd import detect_anomaly
from minidl.autograd.engine import run_backward
from minidl.autograd.tensor import Tensor
from minidl.study.graphs import formula, notation
from minidl.study.graphs.words import WORDS, in_words


def tensors(row):
    return [
        Tensor(x.copy(), requires_grad=x.dtype.kind == "f" and i not in row.fixed) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(row.inputs)
    ]


OPS = [row for row in DIFFERENTIABLE if hasattr(row.op, "rules")]  # matmul, say, is a function that calls one
each_row = pytest.mark.parametrize("row", OPS, ids=str)


@each_row
def test_what_is_explained_is_what_the_engine_computes(row):
    inputs = tensors(row)
    loss = (row.op(*inputs, **row.settings) * 1.5).sum()
    explained = study.explain_backward(loss)
    gradients = run_backward([loss], [None], retain_graph=True)
    for leaf, gradient in gradients.items():
        node = explained.graph.of[leaf]
        shares = [share for step in explained.steps for share in step.shares if share.node is node]
        np.testing.assert_array_equal(shares[-1].total, gradient)  # bit for bit
        np.testing.assert_array_equal(node.gradient, gradient)
    for step in explained.steps:
        np.testing.assert_array_equal(step.upstream, step.node.gradient)
    str(explained)


@each_row
def test_the_formula_shown_is_the_rule_that_is_called(row):
    """Its source, found in the file and computed again, gives the same numbers."""
    inputs = [x.array if isinstance(x, Tensor) else x for x in tensors(row)]
    out = np.asarray(row.op.function(np, *inputs, **row.settings))
    g = np.random.default_rng(0).normal(size=out.shape)
    for place, (rule, _) in enumerate(zip(row.op.rules, inputs, strict=False)):
        if rule is None:
            continue
        found = formula._expression(rule, place)
        given, _ = formula._bound(row.op, rule, (g, out, *inputs), row.settings)
        known = {**formula._globals(rule), **given}
        if "arrays" in found_names(found):
            known["arrays"] = inputs
        known |= on_the_way(rule, known)
        if "settings" in found_names(found):
            known["settings"] = row.settings
        code = compile(ast.fix_missing_locations(ast.Expression(found)), "rule", "eval")
        with np.errstate(all="ignore"):
            again, expected = eval(code, known), rule(g, out, *inputs, **row.settings)
        np.testing.assert_array_equal(again, expected)
        shown = formula.Formula(row.op, rule, place, (g, out, *inputs), row.settings)
        assert shown.rule
        if shown.derivative:
            np.testing.assert_allclose(product(found, g, known), expected, rtol=1e-10, atol=1e-12)


def on_the_way(rule, known):
    """What a rule that gives all gradients together computes before it returns them."""
    shared, scope = getattr(getattr(rule, "func", None), "__wrapped__", None), dict(known)
    if shared is not None:
        (definition,) = ast.parse(inspect.getsource(shared)).body
        exec(compile(ast.Module(definition.body[:-1], []), "rule", "exec"), scope)
    return scope


def found_names(expression):
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def product(rule, g, known):
    """The derivative that is shown, times the upstream gradient."""
    left = formula.without_g(formula._Decided(known).visit(formula._copied(rule)))
    with np.errstate(all="ignore"):
        return g * eval(compile(ast.fix_missing_locations(ast.Expression(left)), "derivative", "eval"), known)


def test_on_scalars_it_reads_like_a_lecture():
    a, b, c, f = number(2.0), number(-3.0), number(10.0), number(-2.0)
    e = a * b
    d = e + c
    L = d * f
    lines = str(study.explain_backward(L)).splitlines()
    assert lines[0] == "backward from L = -8: 3 steps"
    assert [" ".join(line.split()) for line in lines[2:9]] == [
        "step computed upstream input derivative so it receives numbers sum so far",
        "1 L = d · f 1 x = d d(x · y)/dx = y upstream · y 1 · (-2) = -2",
        "y = f d(x · y)/dy = x upstream · x 1 · 4 = 4",
        "2 d = e + c -2 x = e d(x + y)/dx = 1 upstream -2",
        "y = c d(x + y)/dy = 1 upstream -2",
        "3 e = a · b -2 x = a d(x · y)/dx = y upstream · y (-2) · (-3) = 6",
        "y = b d(x · y)/dy = x upstream · x (-2) · 2 = -4",
    ]
    assert "multiply: Each factor receives the upstream gradient times the other factor." in lines[-2]


def test_a_tensor_that_is_used_twice_has_a_running_sum():
    explained = study.explain_backward(neuron())
    sums = [share.sum_text for step in explained.steps for share in step.shares if share.node.name == "e"]
    assert sums == ["-0.1036 (1 of 2)", "0.04289 (2 of 2)"]
    x = number(3.0)
    (square,) = study.explain_backward(x * x).steps
    assert [share.total for share in square.shares] == [3, 6]


def test_constants_are_put_in():
    x = number(3.0)
    square = study.explain_backward(x**2).steps[0].shares[0]
    assert (square.formula.derivative, square.formula.rule) == ("d(x^2)/dx = 2 · x", "upstream · 2 · x")
    assert square.numbers == "1 · 2 · 3 = 6"
    assert study.explain_backward(x / 4).steps[0].shares[0].formula.derivative == "d(x / 4)/dx = 1 / 4"


def test_what_was_broadcast_is_said_to_be_summed():
    x, b = minidl.ones(2, 3, requires_grad=True), minidl.ones(3, requires_grad=True)
    add = study.explain_backward((x + b).sum()).steps[-1]
    assert add.shares[1].given.shape == (2, 3) and add.shares[1].received.tolist() == [2, 2, 2]
    assert add.shares[1].numbers.endswith("summed over what was broadcast: [2, 2, 2]")


def test_steps_come_in_the_order_in_which_they_ran():
    _, loss = lenet_loss()
    steps = study.explain_backward(loss).steps
    orders = [step.node.tensor.order for step in steps]
    assert orders == sorted(orders, reverse=True)
    assert steps[0].node.op == "mean" and steps[-1].node.op == "convolution"
    assert [share.formula.letter for share in steps[-1].shares] == ["w", "b"]  # the images need no gradient


def test_a_condition_on_settings_is_decided():
    x, y = number(1.0), number(2.0)
    shown = study.explain_backward(minidl.add(x, y, alpha=3)).steps[0].shares[1].formula
    assert (shown.rule, shown.derivative) == ("upstream · 3", "d(add(x, y))/dy = 3")
    assert study.explain_backward(x + y).steps[0].shares[1].formula.derivative == "d(x + y)/dy = 1"


def test_it_works_beside_the_detection_of_anomalies():
    x = minidl.tensor([0.0, 1.0], requires_grad=True)
    y = x.sqrt().sum()
    with detect_anomaly(), pytest.raises(RuntimeError, match="sqrt"), np.errstate(all="ignore"):
        study.explain_backward(y)
    assert len(study.explain_backward((x * 2).sum()).steps) == 2


def test_an_observer_is_gone_after_an_error():
    x = minidl.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="one element only"):
        study.explain_backward(x * 2)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_checkpoints_count_as_one_step():
    x = number(2.0)
    y = minidl.utils.checkpoint.checkpoint(lambda x: (x * x) * x, x, use_reentrant=False) * 1
    explained = study.explain_backward(y)
    assert len(explained.steps) == 3 and explained.graph.nodes[0].gradient == 12


def test_the_rule_of_an_op_of_ones_own_is_read_from_its_source():
    @minidl.autograd.op
    def cube(xp, x):
        return x**3

    def rule(g, out, x):
        return g * 3 * x**2

    cube.vjps(rule)
    x = number(2.0)
    shown = study.explain_backward(cube(x)).steps[0].shares[0]
    assert (shown.formula.derivative, shown.numbers) == ("d(x^3)/dx = 3 · x^2", "1 · 3 · 2^2 = 12")


def test_a_rule_without_source_is_still_a_step():
    names = {"op": minidl.autograd.op}
    exec("@op\ndef double(xp, x): return 2 * x\ndouble.vjps(lambda g, out, x: g * 2)", names)
    (step,) = study.explain_backward(names["double"](number(1.0))).steps
    assert step.shares[0].formula.rule == "" and step.shares[0].received == 2


def test_what_another_thread_computes_meanwhile_is_not_explained():
    def elsewhere(_):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: (minidl.ones(2, requires_grad=True) * 3).sum().backward()).result()

    y = number(2.0).tanh()
    y.register_hook(elsewhere)
    assert [step.node.op for step in study.explain_backward(y.exp()).steps] == ["exp", "tanh"]


def test_words_are_of_ops_that_there_are():
    listed = {row.op.__name__ for row in DIFFERENTIABLE}
    assert not [name for name in WORDS if name not in listed]
    assert "chain rule" in in_words("something else")


# Functions whose names say what they are; every other helper is written with signs, or has a docstring of ours.
PLAIN = {
    "avg_pool", "clip", "convolution", "cos", "cosh", "cumulative_sum", "equal", "exp", "flipped", "fold",
    "isfinite", "isnan", "len", "log", "lower_triangle", "mean", "moved", "one_hot", "range", "rolled", "sigmoid",
    "sign", "sin", "sinh", "softmax", "sqrt", "take_along_axis", "transpose", "trunc", "tuple", "unfold",
    "upper_triangle", "where",
}  # fmt: skip


def test_every_helper_of_a_rule_is_written_as_a_formula_or_explained():
    """In formulas as in tables, so that no name of our source stands there unexplained."""
    for row in OPS:
        inputs = [x.array if isinstance(x, Tensor) else x for x in tensors(row)]
        out = np.asarray(row.op.function(np, *inputs, **row.settings))
        for place, (rule, _) in enumerate(zip(row.op.rules, inputs, strict=False)):
            if rule is None:
                continue
            shown = formula.Formula(row.op, rule, place, (out, out, *inputs), row.settings)
            called = set(re.findall(r"(?<![.\w])(\w+)\(", shown.rule))
            assert called <= PLAIN | shown.meanings.keys(), (row, shown.rule)


def test_tables_hold_helpers_that_rules_call():
    rules = {rule for row in OPS for rule, _ in zip(row.op.rules, row.inputs, strict=False) if rule}
    called = {name for rule in rules for name in calls(rule)}
    assert not (notation.WRITTEN.keys() | notation.PHRASES.keys()) - called


def calls(rule):
    found = formula._expression(rule, 0)
    return {notation._called(node) for node in ast.walk(found)}


def test_formulas_read_as_people_write_them():
    x, w = minidl.tensor([[1.0, 2.0]], requires_grad=True), minidl.ones(3, 2, requires_grad=True)

    def rules(loss):
        return [share.formula.rule for step in study.explain_backward(loss).steps for share in step.shares]

    assert rules(nn.functional.linear(x, w).sum()) == ["upstream, spread over x", "upstream @ w", "upstreamᵀ @ x"]
    assert rules(x.mean()) == ["upstream / n, spread over x"]
    assert rules((x @ x.T).sum())[1:3] == ["upstream @ yᵀ", "xᵀ @ upstream"]
    assert rules((x**x).sum())[1] == "upstream · y · x^(y - 1)"
    loss = nn.functional.cross_entropy(x, minidl.tensor([0]))
    assert rules(loss)[1] == "upstream[:, None] · (softmax(x, axis=1) - one_hot(target))"
    lines = str(study.explain_backward(loss)).splitlines()
    assert "upstream[:, None] · (softmax(x, axis=1) -" in lines[4] and "one_hot(target))" in lines[5]
    y = x * 1
    y[0, 1] = 5.0
    assert rules(y.sum())[1] == "0 at x[index], upstream elsewhere"


def test_what_goes_by_a_name_in_a_formula_is_said():
    shown = str(study.explain_backward(nn.BatchNorm1d(2)(minidl.randn(4, 2, requires_grad=True)).amax()))
    assert "  d: x - mean(x, axis=axis, keepdims=True)" in shown and "  out: The result of the op." in shown
    assert "  shared: Equal extremes share the gradient." in shown


def networks():
    minidl.manual_seed(0)
    yield lenet_loss()[1]
    yield nn.LSTM(3, 2)(minidl.randn(4, 1, 3))[0].sum()
    yield nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation="gelu")(minidl.randn(2, 3, 4)).sum()
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.LeakyReLU(0.1), nn.AvgPool2d(2), nn.Dropout(0.1))
    yield model(minidl.randn(2, 1, 8, 8)).square().mean()
    mean, log_variance = nn.Linear(3, 4)(minidl.randn(2, 3)).chunk(2, 1)
    z = mean + (log_variance / 2).exp() * minidl.randn(2, 2)
    again = nn.functional.binary_cross_entropy_with_logits(nn.Linear(2, 3)(z), minidl.rand(2, 3), reduction="sum")
    yield again + (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2


def test_there_are_words_for_every_op_of_the_usual_networks():
    ops = {step.node.op for loss in networks() for step in study.explain_backward(loss).steps}
    assert len(ops) > 15 and not ops - WORDS.keys()
    assert in_words("replaced").startswith("0 at the places that were replaced")


def test_recurrent_and_normalised_networks_can_be_explained():
    minidl.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    assert "standardize" in str(study.explain_backward(model(minidl.randn(4, 3)).sum()))
    out, _ = nn.LSTM(3, 2)(minidl.randn(4, 1, 3))
    assert "Backpropagation through time" in str(study.explain_backward(out.sum()))
