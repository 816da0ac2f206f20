"""The profile: its parts are found where the time was spent, they add up, and nothing is left behind."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

import minidl
from minidl import nn, optim, study
from minidl.autograd import engine, op
from minidl.ops import elementwise
from minidl.replay import compiled
from minidl.study.calls import Calls
from minidl.train.models import lenet


class Clock:
    """Stands for the clock of the profiler, so that no test depends on how busy the machine is."""

    now = 0.0

    def __call__(self):
        return Clock.now


def slept(seconds, result=None):
    Clock.now += seconds
    return result


@op
def nap(xp, x):
    return slept(4, x + 0)


nap.vjps(lambda g, out, x: slept(8, g))


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr("minidl.study.costs.profiler.perf_counter", Clock())


class Nap(nn.Module):
    def forward(self, x):
        return nap(x)


def training(model, shape=(4, 1, 28, 28), **options):
    optimizer = optim.Adam(model.parameters(), **options)
    x = minidl.tensor(np.random.default_rng(0).random(shape, dtype=np.float32))

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), minidl.tensor(np.arange(len(x)) % 10)).backward()
        optimizer.step()

    return step


def test_the_parts_add_up():
    found = study.profile(training(lenet()), runs=4)
    *parts, total = found.table()
    assert sum(row["ms"] for row in parts) == pytest.approx(total["ms"]) == pytest.approx(1e3 * found.seconds)
    assert sum(row["%"] for row in parts) == pytest.approx(100)
    assert found.in_ops + found.outside + found.overhead == pytest.approx(found.measured_seconds)
    assert found.outside >= 0 and found.overhead >= 0
    root, outside = [row for row in found.table("module") if row["module"] in ("Sequential", "outside modules")]
    assert root["ms"] + outside["ms"] == pytest.approx(1e3 * found.in_ops)
    inner = [row for row in found.table("module") if row["module"].startswith("  ")]
    assert sum(row["ms"] for row in inner) == pytest.approx(root["ms"])
    assert sum(row["op calls"] for row in inner) == root["op calls"]


def test_time_is_found_where_it_was_spent(clock):
    w = minidl.ones(3, requires_grad=True)
    model = nn.Sequential(nn.Identity(), nn.Sequential(Nap()))

    def step():
        slept(6)
        (model(w) * 2).sum().backward()

    found = study.profile(step, runs=2)
    naps = {entry.phase: entry for entry in found.entries if entry.op == "nap"}
    assert (naps["forward"].seconds, naps["backward"].seconds) == (4, 8)
    assert naps["forward"].modules == naps["backward"].modules == ("Sequential", "1 (Sequential)", "1.0 (Nap)")
    assert (found.seconds, found.outside, found.overhead) == (18, 6, 0)
    assert [entry.modules for entry in found.entries if entry.op in ("multiply", "sum")] == [()] * 4
    assert found.table()[0]["op"] == "nap" and found.table()[0]["%"] == pytest.approx(100 * 12 / 18)
    rows = {row["module"]: row for row in found.table("module")}
    assert rows["    1.0 (Nap)"]["backward ms"] == rows["Sequential"]["backward ms"] == 8000


def test_the_shortest_times_are_kept_and_measuring_is_taken_off(clock):
    seconds = iter([0, 20, 7, 11, 9, 8, 30, 13, 9, 0])  # to warm up; twice as it is, twice measured, in turn; memory
    w = minidl.ones(3)
    found = study.profile(lambda: slept(next(seconds), nap(w)), runs=3)
    assert found.plain_seconds == 4 + 7 and found.measured_seconds == 4 + 9 and found.runs == 4
    assert (found.in_ops, found.overhead, found.outside) == (4, 2, 7)


def test_undoing_a_broadcast_belongs_to_the_op_that_gave_the_gradient():
    x, b = minidl.randn(1000, 1000), minidl.zeros(1000, requires_grad=True)
    found = study.profile(lambda: (x + b).backward(x), runs=2)
    (entry,) = [entry for entry in found.entries if entry.phase == "backward"]
    assert entry.op == "add" and entry.calls == 1 and entry.seconds > 1e-4


def test_memory_of_ops():
    x = minidl.ones(1_000_000, requires_grad=True)
    found = study.profile(lambda: (x.tanh() * 3).sum().backward(), runs=1)
    entries = {(entry.op, entry.phase): entry for entry in found.entries}
    assert entries["tanh", "forward"].kept == pytest.approx(4e6, rel=0.01)
    assert entries["tanh", "backward"].peak == pytest.approx(8e6, rel=0.01)  # 1 - out², and its product with g
    assert 12e6 < found.peak < 21e6


def test_what_a_closure_computes_is_not_counted_twice(clock):
    w = minidl.ones(3, requires_grad=True)
    optimizer = optim.SGD([w])

    def closure():
        optimizer.zero_grad()
        loss = nap(w).sum()
        loss.backward()
        slept(2)
        return loss

    found = study.profile(lambda: optimizer.step(closure), runs=2)
    seconds = {(entry.op, entry.phase): entry.seconds for entry in found.entries if entry.seconds}
    assert seconds == {("SGD.step", "optimizer"): 2, ("nap", "forward"): 4, ("nap", "backward"): 8}


def test_every_optimizer_is_seen():
    w = minidl.ones(3, requires_grad=True)
    w.grad = minidl.ones(3)
    optimizers = [optim.SGD([w]), optim.Adam([w]), optim.LBFGS([w])]
    found = study.profile(lambda: [optimizer.step(lambda: 0.0) for optimizer in optimizers], runs=1)
    assert {entry.op for entry in found.entries} >= {"SGD.step", "Adam.step", "LBFGS.step"}


def test_a_step_is_seen_once_where_its_class_is_derived_in_two_ways():
    class Left(optim.SGD): ...

    class Right(optim.SGD): ...

    class Both(Left, Right):
        def step(self, closure=None):
            return closure()

    optimizer = Both([minidl.ones(3, requires_grad=True)])
    found = study.profile(lambda: optimizer.step(lambda: 0.0), runs=1)
    assert [(entry.op, entry.calls) for entry in found.entries] == [("Both.step", 1)]


def test_a_module_that_another_thread_calls_is_not_ours():
    begun, done = Event(), Event()

    class Waits(nn.Module):
        def forward(self, x):
            begun.set()
            assert done.wait(10)
            return x

    theirs, ours = Waits(), nn.Linear(2, 2)
    with Calls() as calls, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(theirs, minidl.ones(1))
        assert begun.wait(10)
        assert calls.running == ()
        y = ours(minidl.ones(1, 2))
        done.set()
        answer.result()
        assert calls.running == () and calls.at(y.order) == (ours,)


def test_models_of_one_class_are_told_apart():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    found = study.profile(lambda: b(a(minidl.ones(1, 3))), runs=1)
    assert [entry.modules for entry in found.entries] == [("Linear",), ("Linear 2",)]


def everything():
    """What a profile puts something else in the place of."""
    cell = elementwise.multiply.__closure__[elementwise.multiply.__code__.co_freevars.index("function")]
    return cell.cell_contents, nn.Module.__call__, optim.Optimizer.step, optim.LBFGS.step, engine.watch


def test_nothing_is_left_behind():
    before = everything()
    study.profile(training(nn.Sequential(nn.Flatten(), nn.Linear(784, 10))), runs=1)
    assert everything() == before
    calls = iter(range(5))

    def fails():
        if next(calls) == 3:
            raise RuntimeError("while it was measured")

    with pytest.raises(RuntimeError, match="while it was measured"):
        study.profile(fails, runs=2)
    assert everything() == before


def test_the_numbers_stay_the_same():
    minidl.manual_seed(0)
    model = lenet()
    twin = lenet()
    twin.load_state_dict(model.state_dict())
    study.profile(training(model), runs=2)
    step = training(twin)
    for _ in range(6):
        step()
    assert all((a.array == b.array).all() for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_texts_and_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    found = study.profile(training(lenet()), runs=2)
    text = str(found)
    assert "Python outside ops" in text and "measuring its 38 calls adds" in text and "  3 (Conv2d)" in text
    figure = found.plot(tmp_path / "new" / "profile.png")
    assert (tmp_path / "new" / "profile.png").read_bytes().startswith(b"\x89PNG")
    assert figure.axes[0].get_xlim() == (0, pytest.approx(1e3 * found.seconds))
    found.to_html(tmp_path / "page" / "profile.html")
    page = (tmp_path / "page" / "profile.html").read_text("utf-8")
    assert '"icicle"' in page and "0 (Conv2d)" in page and 'src="http' not in page


def test_words_that_are_refused():
    with pytest.raises(ValueError, match="at least one run"):
        study.profile(lambda: None, runs=0)
    for given in ((minidl.ones(1),), (lambda: None, minidl.ones(1))):
        with pytest.raises(TypeError, match=r"function without arguments, such as lambda: step\(x, y\), .* got Tensor"):
            study.profile(*given)
    with pytest.raises(ValueError, match='by="op" or by="module"'):
        study.profile(lambda: None, runs=1).table("layer")


def test_a_compiled_step_is_profiled_as_it_is_written() -> None:
    model, x = nn.Linear(3, 2), minidl.ones(4, 3)
    written = study.profile(lambda: model(x).sum().backward(), runs=2)
    step = minidl.compile(lambda x: model(x).sum().backward())
    for _ in range(3):
        step(x)
    found = study.profile(lambda: step(x), runs=2)
    assert [(e.op, e.phase, e.calls) for e in found.entries] == [(e.op, e.phase, e.calls) for e in written.entries]
    assert "here it ran as it is written" in repr(found) and "as it is written" not in repr(written)
    with pytest.raises(ZeroDivisionError):
        study.profile(lambda: 1 / 0)
    assert not compiled.written  # from now on steps are replayed again
