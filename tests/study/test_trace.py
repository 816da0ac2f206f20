"""A trace shows, for every optimizer, the bits that its step computes, and is gone when it is detached."""

import csv

import numpy as np
import pytest
from optim.optimizer_cases import CASES, IDS, SHAPES, give_gradients, make, parameters, shapes_for

import minidl
from minidl import nn, optim, study


def steps(optimizer, params, count=4, seed=1):
    random = np.random.default_rng(seed)
    for _ in range(count):
        give_gradients(params, random)
        yield
        optimizer.step()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_every_number_is_that_of_the_step(name, options, dtype):
    params = parameters(shapes_for(name, SHAPES), dtype)
    optimizer = make(name, params, options)
    trace = study.OptimizerTrace(optimizer, entries=100)  # all
    expected = []
    for _ in steps(optimizer, params):
        expected.append([(p.grad.array, p.array.copy(), optimizer.preview(p)) for p in params])
    rows = iter(trace.table())
    for every in expected:
        for g, before, quantities in every:
            for i in range(g.size):
                row = next(rows)
                assert row["g"] == g.flat[i]
                assert row["step"] == quantities["w"].flat[i] - before.flat[i]
                assert {q: row[q] for q in quantities} == {q: x.flat[i] for q, x in quantities.items()}
                assert row["w"].dtype == dtype
    assert not list(rows)
    for p in params:
        np.testing.assert_array_equal(trace.series("w", p)[-1], p.array.flat[0])


def test_what_lbfgs_remembers_after_each_step():
    params = parameters([(2,), (3,)])
    optimizer = optim.LBFGS(params, max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = (params[0] ** 2).sum() + 3 * ((params[1] - 1) ** 2).sum()
        loss.backward()
        return loss

    with study.OptimizerTrace(optimizer, {params[1]: [2]}) as trace:
        for _ in range(3):
            optimizer.step(closure)
            row, state = trace.table()[-1], optimizer.state[params[0]]
            assert (row["w"], row["d"], row["length"]) == (params[1].array[2], state["d"][4], state["t"])
            assert row["g"] == params[1].grad.array[2]
    optimizer.step(closure)
    assert len(trace.table()) == 3 and "step" not in vars(optimizer)


def test_two_traces_of_lbfgs_in_each_other():
    (w,) = parameters([(2,)])
    optimizer = optim.LBFGS([w], max_iter=1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    first, second = study.OptimizerTrace(optimizer, {w: [0]}), study.OptimizerTrace(optimizer, {w: [0]})
    optimizer.step(closure=closure)
    second.detach()
    optimizer.step(closure)
    third = study.OptimizerTrace(optimizer, {w: [0]})
    first.detach()
    assert optimizer.step(closure).item() >= 0
    third.detach()
    assert [len(trace.table()) for trace in (first, second, third)] == [2, 1, 1]
    assert optimizer.watchers == [] and "step" not in vars(optimizer)


def test_an_optimizer_of_ones_own_with_a_rule_that_cannot_be_recorded():
    class Clipped(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr})

        @staticmethod
        def rule(xp, w, g, b, *, lr):
            size = xp.sqrt((g * g).sum())
            b = 0.5 * b + xp.where(size > 1, g / size, g)
            return {"w": w - lr * b, "b": b, "size": size, "rate": lr}

    params = parameters([(2, 3)], "float32")
    optimizer = Clipped(params)
    trace = study.OptimizerTrace(optimizer, {params[0]: [(1, 2), 0]})
    for _ in steps(optimizer, params):
        quantities = optimizer.preview(params[0])
    rows = trace.table()[-2:]
    assert [row["entry"] for row in rows] == ["[1, 2]", "[0, 0]"]
    for row, index in zip(rows, [(1, 2), (0, 0)], strict=True):
        assert {q: row[q] for q in quantities} == {q: x[index] for q, x in quantities.items()}


def test_the_rule_is_called_later_and_on_the_entries_only(monkeypatch):
    model = nn.Linear(50, 40)
    optimizer = optim.Adam(model.parameters())
    trace = study.OptimizerTrace(optimizer, entries=2)
    model(minidl.ones(1, 50)).sum().backward()
    optimizer.step()
    sizes, call = [], optim.runner.Update.__call__
    monkeypatch.setattr(
        optim.runner.Update, "__call__", lambda self, xp, w, *rest, **numbers: (
            sizes.append(w.size), call(self, xp, w, *rest, **numbers))[1]
    )  # fmt: skip
    optimizer.step()
    assert sizes == []
    trace.table()
    trace.table()
    assert sizes == [4, 4]  # both steps, once


def test_gradients_computed_by_a_closure_and_a_parameter_without_one():
    a, b = parameters([(2,), (2,)])
    optimizer = optim.SGD([("a", a), ("b", b)], lr=0.5)
    trace = study.OptimizerTrace(optimizer, entries=1)

    def closure():
        optimizer.zero_grad()
        loss = (a * a).sum()
        loss.backward()
        return loss

    start = a.array[0]
    optimizer.step(closure)
    (row,) = trace.table()
    assert (row["parameter"], row["g"], row["rate"]) == ("a", 2 * start, 0.5)


def test_groups_with_other_rules_and_parameters_added_later():
    a, b, c = parameters([(2,), (2,), (2,)])
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "momentum": 0.9}], lr=0.1)
    trace = study.OptimizerTrace(optimizer, entries=1)
    optimizer.add_param_group({"params": [c]})
    for _ in steps(optimizer, [a, b, c], 2):
        pass
    table = trace.table()
    assert [("b" in row) for row in table] == [False, True] * 2
    assert np.isnan(table.column("b")[0])


def test_the_numbers_as_a_file_and_as_a_series(tmp_path):
    (w,) = parameters([(3,)], "float32")
    optimizer = optim.RMSprop([w], lr=0.1)
    trace = study.OptimizerTrace(optimizer, {w: [2]})
    for _ in steps(optimizer, [w], 3):
        pass
    trace.to_csv(tmp_path / "new" / "trace.csv")
    with open(tmp_path / "new" / "trace.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["t", "parameter", "entry", "g", "s", "rate", "step", "w"]
    assert [np.float32(row["rate"]) for row in rows] == list(trace.series("rate"))
    assert trace.series("rate", w, 2).tolist() == trace.series("rate", w, (2,)).tolist()


def test_detached_it_records_nothing():
    (w,) = parameters([(3,)])
    optimizer = optim.Adam([w])
    with study.OptimizerTrace(optimizer) as first, study.OptimizerTrace(optimizer) as second:
        for _ in steps(optimizer, [w], 1):
            pass
        second.detach()
        for _ in steps(optimizer, [w], 1):
            pass
    for _ in steps(optimizer, [w], 1):
        pass
    assert (len(first.table()), len(second.table())) == (6, 3)
    assert optimizer.watchers == []


def test_a_picture_with_a_panel_for_each_quantity(tmp_path):
    pytest.importorskip("matplotlib")
    (w,) = parameters([(3,)])
    optimizer = optim.Adam([w])
    trace = study.OptimizerTrace(optimizer)
    with pytest.raises(ValueError, match="take some steps"):
        trace.plot()
    for _ in steps(optimizer, [w]):
        pass
    figure = trace.plot(tmp_path / "new" / "trace.png")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "gradient g", "m", "v", "m_hat", "v_hat", "effective learning rate", "step", "weight w",
    ]  # fmt: skip
    assert (tmp_path / "new" / "trace.png").read_bytes().startswith(b"\x89PNG")


def test_what_it_does_not_know_is_an_error():
    a, b = parameters([(2,), (2,)])
    optimizer = optim.SGD([a], lr=0.1)
    with pytest.raises(ValueError, match="none of the parameters"):
        study.OptimizerTrace(optimizer, [b])
    with pytest.raises(TypeError, match=r"expected parameters.*'w'"):
        study.OptimizerTrace(optimizer, {"w": a})
    with pytest.raises(IndexError, match="no entry"):
        study.OptimizerTrace(optimizer, {a: [2]})
    trace = study.OptimizerTrace(optimizer, {a: [1]})
    with pytest.raises(ValueError, match="not watched"):
        trace.series("g", a, 0)
    with pytest.raises(ValueError, match=r"a tensor of shape \(2,\) is not watched, only: 0 \(2,\)"):
        trace.series("w", b)
    with pytest.raises(TypeError, match="param: expected a Tensor, got int"):
        trace.series("w", 1)
    for _ in steps(optimizer, [a], 1):
        pass
    with pytest.raises(ValueError, match="no quantity 'v', only g, rate, step, w"):
        trace.series("v")
    with pytest.raises(TypeError, match="OptimizerTrace: expected an Optimizer, got NoneType"):
        study.OptimizerTrace(None)


def test_the_names_of_a_model():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with study.OptimizerTrace(optimizer, model, entries=1) as trace:
        model(minidl.ones(1, 2)).sum().backward()
        optimizer.step()
    assert trace.table().column("parameter") == ["0.weight", "0.bias", "1.weight", "1.bias"]
    pytest.importorskip("matplotlib")
    figure = trace.plot()
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "step", "step", "step"]
    assert figure.legends[0].get_texts()[0].get_text() == "0.weight [0, 0]"
