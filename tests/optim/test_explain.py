"""An explained step shows the lines of the rule itself, with numbers that are those of the step, bit for bit."""

import copy
import inspect
import re

import numpy as np
import pytest
from optimizer_cases import CASES, IDS, give_gradients, make, parameters, shapes_for

import minidl
from minidl import optim


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_the_numbers_are_those_of_the_step(name, options, dtype):
    params, random = parameters(shapes_for(name), dtype), np.random.default_rng(1)
    optimizer = make(name, params, options)
    for step in range(3):
        give_gradients(params, random)
        texts = [(p, optimizer.explain(p, p.array.size - 1), optimizer.preview(p)) for p in params]
        optimizer.step()
        for p, text, quantities in texts:
            assert text.given["g"] == p.grad.array.flat[-1]
            assert f"step {step + 1} " in text.title
            for quantity, x in quantities.items():  # a number such as lr is shown as it was before it met an array
                assert x.dtype.type(text.values[quantity]) == x.flat[-1], quantity
            assert text.values["w"] == p.array.flat[-1]


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_the_formulas_are_those_of_the_source(name, options):
    params = parameters(shapes_for(name))
    give_gradients(params, np.random.default_rng(1))
    optimizer = make(name, params, options)
    update = optimizer._update(optimizer.param_groups[0])
    source = inspect.getsource(update.prepared) + inspect.getsource(update.rule)
    source = re.sub(r"""letters\["(\w+)"\]""", r"\1", source)  # a letter is called by its name
    lines = optimizer.explain(params[0]).lines
    assert {"w", *update.memory} - {"product"} <= {line.name for line in lines}
    for line in lines:
        whole = re.sub(r"shape\[\d\]$", "shape", line.formula)  # of what is taken apart, the part is said
        assert whole and whole in source
        assert line.remark in source


def test_a_step_of_adam_in_full():
    w = minidl.tensor([[1.0, -2.0]], requires_grad=True)
    optimizer = optim.Adam([("layer.weight", w)], lr=0.5, betas=(0.5, 0.75), eps=0, weight_decay=0.25)
    w.grad = minidl.tensor([[0.0, -1.5]])
    before = copy.deepcopy(optimizer.state_dict()), w.array.copy()
    assert str(optimizer.explain(w, (0, -1))) == """\
Adam, step 1 of parameter 0 of group 0 (layer.weight), entry [0, 1]
given w = -2, g = -1.5, m = 0, v = 0, t = 1, lr = 0.5, b1 = 0.5, b2 = 0.75, eps = 0,
weight_decay = 0.25
g = g + weight_decay * w
  = -1.5 + 0.25 * (-2)
  = -2
m = b1 * m + (1 - b1) * g  # average gradient
  = 0.5 * 0 + (1 - 0.5) * (-2)
  = -1
v = b2 * v + (1 - b2) * g * g  # average squared gradient
  = 0.75 * 0 + (1 - 0.75) * (-2) * (-2)
  = 1
m_hat = m / (1 - b1**t)  # both start at 0: undo the bias
      = -1 / (1 - 0.5**1)
      = -2
v_hat = v / (1 - b2**t)
      = 1 / (1 - 0.75**1)
      = 4
rate = lr / (xp.sqrt(v_hat) + eps)
     = 0.5 / (sqrt(4) + 0)
     = 0.25
w = w - rate * m_hat
  = -2 - 0.25 * (-2)
  = -1.5"""
    assert optimizer.state_dict() == before[0] and (w.array == before[1]).all()  # nothing was changed


class Odd(optim.Adam):
    """Everything that a rule may contain, and that those of this package do not."""

    def rule(self, xp, w, g, m, v, *, t, lr, b1, b2, eps):
        if t > 1:
            g = -g
        size = xp.sqrt((g * g).sum())
        g, half = xp.where(size > 1, g / size, g), 1 / 2**-t
        g *= half
        scale: float = max(half, 1)  # at least 1
        for k in range(2):
            m = m + k * g
        for k in range(9):
            if k == 3:
                break
            v = v + k
        results = super().rule(xp, w, g, m, v, t=t, lr=lr, b1=b1, b2=b2, eps=eps)
        return results | {"scale": scale}


def test_a_rule_with_branches_loops_and_a_call_of_its_parent():
    (w,) = parameters([(2, 3)])
    w.grad = minidl.tensor(np.full((2, 3), 2.0))
    optimizer = Odd([w])
    optimizer.step()
    text, quantities = optimizer.explain(w, 4), optimizer.preview(w)
    optimizer.step()
    assert {name: x.flat[4] for name, x in quantities.items()} == {name: text.values[name] for name in quantities}
    assert text.values["w"] == w.array.flat[4]
    shown = {(line.name, line.formula, line.numbers, line.remark) for line in text.lines}
    assert shown >= {
        ("g", "-g", "-2", ""),
        ("size", "xp.sqrt((g * g).sum())", "sqrt(24)", ""),
        ("g", "xp.where(size > 1, g / size, g)", "-0.408248", ""),
        ("half", "1 / 2**-t", "1 / 2**-2", ""),
        ("g", "", "", ""),
        ("scale", "max(half, 1)", "max(4, 1)", "at least 1"),
        ("m", "m + k * g", "0.816497 + 0 * (-1.63299)", ""),
        ("v", "", "", ""),
    }


def test_a_lambda_and_a_rule_without_source():
    class Short(optim.Optimizer):
        rule = staticmethod(lambda xp, w, g, *, lr: {"w": w - lr * g, "rate": lr})

        def __init__(self, params):
            super().__init__(params, {"lr": 0.5})

    class Typed(Short):
        rule = staticmethod(eval("lambda xp, w, g, *, lr: dict(w=w - lr * g)"))

    (w,) = parameters([()])
    w.grad = minidl.tensor(np.array(2.0))
    assert "\nw = w - lr * g\n" in str(Short([w]).explain(w))
    text = Typed([w]).explain(w)
    assert text.values == {"w": w.item() - 1.0}
    assert str(text).endswith(f"w = {w.item() - 1:.6g}  # the source is not at hand")


def test_the_direction_of_lbfgs():
    params = parameters([(2,), (2, 2)])
    optimizer = optim.LBFGS(params, lr=0.5, max_iter=1)

    def closure():
        optimizer.zero_grad()
        loss = (params[0] ** 4).sum() + ((params[1] - 1) ** 2 * minidl.tensor([[1.0, 2.0], [3.0, 4.0]])).sum()
        loss.backward()
        return loss

    for _ in range(5):
        closure()
        text = optimizer.explain(params[1], (1, 0))
        optimizer.step(closure)
        assert text.values["d"] == optimizer.state[params[0]]["d"][4]
    source = inspect.getsource(optim.LBFGS._direction)
    assert len(text.lines) > 8 and all(line.formula in source for line in text.lines)
    with pytest.raises(ValueError, match="was not given"):
        optimizer.explain(minidl.zeros(2, requires_grad=True))


def test_a_formula_calls_letters_by_their_names_and_parts_by_their_places():
    w = minidl.ones(2, 2, requires_grad=True)
    (w * w).sum().backward()
    assert "w = w - lr * weight_decay * w\n" in str(optim.AdamW([w]).explain(w, 1))
    muon = str(optim.Muon([w]).explain(w, 1))
    assert "rows = w.shape[0]\n" in muon and "columns = w.shape[1]\n" in muon


def test_many_rounds_of_a_loop_are_printed_as_the_first_and_the_last():
    w = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = optim.LBFGS([w], lr=0.1, max_iter=10)

    def closure():
        optimizer.zero_grad()
        loss = (w**4 * minidl.tensor([1.0, 10.0, 100.0])).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    explained = optimizer.explain(w, 1)
    rounds = [line for line in explained.lines if line.formula == "d - al[-1] * y"]
    assert len(rounds) > 5 and str(explained).count("d = d - al[-1] * y") == 2
    assert f"… {len(rounds) - 2} more rounds of this line" in str(explained)


def test_what_cannot_be_explained():
    a, b = parameters([(2, 3), (2,)])
    optimizer = optim.SGD([a], lr=0.1)
    with pytest.raises(ValueError, match="no gradient yet"):
        optimizer.explain(a)
    with pytest.raises(ValueError, match="was not given"):
        optimizer.explain(b)
    a.grad = a.detach()
    for index in (6, (0, 3), (0,), "first"):
        with pytest.raises(IndexError, match=r"no entry of a parameter of shape \(2, 3\)"):
            optimizer.explain(a, index)
