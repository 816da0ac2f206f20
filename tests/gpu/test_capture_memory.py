"""What minidl.compile holds on a GPU, and that no tensor stays in the user's objects that a capture did not compute.

In the run that is captured nothing is computed: what is kept of it gets its numbers, or an error says that it has none.
"""

import gc
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np
import pytest
from gpu_cases import DEVICES, begin, of_the_stand_in
from gpu_steps import RUNS, assert_same, numbers, on_gpu, programs
from stand_in import StandInArray, cupy
from stand_in_graphs import MemoryPool

import minidl
from minidl import Tensor, nn, optim
from minidl.replay.captured import Capture, Listener
from minidl.replay.traced import recorders


@pytest.fixture(autouse=True, params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(request.param, monkeypatch)


class Keeping:
    """A training step that begins to keep something in its third run: `kept`, by name."""

    def __init__(self, keep: Callable[..., Any]) -> None:
        minidl.manual_seed(0)
        self.model = nn.Linear(3, 1).to("cuda")
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1)
        self.keep, self.kept = keep, dict[str, Tensor]()

    def step(self, x: Tensor) -> Any:
        RUNS[0] += 1
        self.optimizer.zero_grad()
        loss = (y := self.model(x)).square().mean()
        loss.backward()
        made = {"first": y.detach()[0], "loss": loss}
        made["norm"] = nn.utils.clip_grad_norm_(self.model.parameters(), 0.3)
        self.optimizer.step()
        if RUNS[0] >= 3:
            self.keep(self, made)
        return made["loss"], made["norm"]


def average(self: Keeping, made: dict[str, Tensor]) -> None:
    with minidl.no_grad():
        weight = self.model.weight
        self.kept["weight"] = self.kept["weight"] * 0.9 + weight * 0.1 if "weight" in self.kept else weight.clone()


def output(self: Keeping, made: dict[str, Tensor]) -> None:
    self.kept.setdefault("output", made["first"])


def outcome(self: Keeping, made: dict[str, Tensor]) -> None:
    self.kept.setdefault("loss", made["loss"])


def other_memory(self: Keeping, made: dict[str, Tensor]) -> None:
    if "memory" not in self.kept:
        bias = self.model.get_parameter("bias")
        bias.data = made["first"]
        self.kept["memory"] = bias


def run(one: Keeping, step: Callable[..., Any], calls: int = 6) -> tuple[list[np.ndarray], list[str]]:
    """All losses, norms and weights, and what is kept; and the warnings."""
    RUNS[0] = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [numbers(x) for i in range(calls) for x in step(minidl.ones(4, 3).to("cuda") * i)]
    state = [*one.model.parameters(), *one.kept.values()]
    return [*results, *map(numbers, state)], [str(warning.message) for warning in caught]


@pytest.mark.parametrize("keep", [average, output, outcome, other_memory])
def test_what_is_kept_of_the_run_that_is_captured_has_its_numbers(keep: Callable[..., Any]) -> None:
    written, compiled = Keeping(keep), Keeping(keep)
    expected, _ = run(written, written.step)
    step = minidl.compile(compiled.step)
    found, caught = run(compiled, step)
    assert_same(found, expected)
    assert len(caught) == 1 and programs(step) == 0


def test_a_gradient_that_is_kept_of_the_capture_has_its_numbers() -> None:
    w, kept = on_gpu(1.0, 1.0).requires_grad_(), dict[int, Tensor | None]()

    @minidl.compile
    def step(x: Tensor) -> None:
        w.grad = None
        (w * x).sum().backward()
        kept[len(kept)] = w.grad

    for i in range(6):
        step(on_gpu(i, 5))
    assert [x.tolist() for x in kept.values() if x is not None] == [[i, 5.0] for i in range(3)]
    assert programs(step) == 1


def late_average(self: Keeping, made: dict[str, Tensor]) -> None:
    self.kept.setdefault("output", made["first"])
    average(self, made)


def norms(self: Keeping, made: dict[str, Tensor]) -> None:
    self.kept[f"norm {RUNS[0]}"] = made["norm"]


@pytest.mark.parametrize(("keep", "shape"), [(late_average, r"\(1,\)"), (norms, r"\(\)")])
def test_an_error_says_what_has_no_numbers(keep: Callable[..., Any], shape: str) -> None:
    compiled = Keeping(keep)
    step, before = minidl.compile(compiled.step), numbers(compiled.model.weight)
    run(compiled, step, 2)
    before = numbers(compiled.model.weight)
    with pytest.raises(RuntimeError, match=rf"kept a tensor of shape {shape}.*{__file__}:.*no numbers"):
        step(minidl.ones(4, 3).to("cuda"))
    assert_same([numbers(compiled.model.weight)], [before])
    compiled.kept.clear()
    assert len(step(minidl.ones(4, 3).to("cuda"))) == 2 and programs(step) == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_constants_may_lie_in_any_order(order: Any) -> None:
    table = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32, order=order)
    step = minidl.compile(lambda x: (x * minidl.from_numpy(table).to("cuda")).sum(1))
    for i in range(5):
        assert step(on_gpu(i, 1)).tolist() == [i + 2.0, 3.0 * i + 4]
    assert programs(step) == 1


def test_a_run_that_differs_whenever_it_is_captured_is_refused_at_last() -> None:
    x, runs = on_gpu(1.0, 2.0), deque[float]()

    @minidl.compile
    def step(x: Tensor) -> Tensor:
        runs.append(3.0 if isinstance(recorders[-1], Capture) else 2.0)
        return x * runs[-1]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert all(step(x).tolist() == [2.0, 4.0] for _ in range(20))
    assert len(caught) == 1 and "another number" in str(caught[0].message) and f"{__file__}:" in str(caught[0].message)
    assert len(runs) < 30 and runs.count(3.0) == 3


def test_a_step_may_not_go_on_after_a_difference() -> None:
    seen: list[Tensor] = []

    @minidl.compile
    def step(x: Tensor) -> Tensor:
        RUNS[0] += 1
        try:
            return x * (5 if RUNS[0] == 3 else 2)
        except Exception:
            seen.append(x * 2)
            raise

    RUNS[0] = 0
    for i in range(6):
        assert step(on_gpu(i)).tolist() == [2 * i]
    assert not seen and programs(step) == 1


# -- what is held ------------------------------------------------------------------------------------------------------


def training() -> Callable[[Tensor], Tensor]:
    model = nn.Linear(50, 50).to("cuda")
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@of_the_stand_in
def test_a_form_that_was_seen_once_holds_no_gradients() -> None:
    step = minidl.compile(training())

    def held() -> int:
        gc.collect()
        return sum(type(x) is StandInArray and x.base is None and x.shape == (50, 50) for x in gc.get_objects())

    step(minidl.ones(1, 50).to("cuda"))
    before = held()
    for size in range(2, 8):
        step(minidl.ones(size, 50).to("cuda"))
    assert held() == before


def test_recorders_go_with_the_last_reference(no_collector: None) -> None:
    step, x = minidl.compile(training()), minidl.ones(4, 50).to("cuda")
    for _ in range(4):
        step(x)
    assert programs(step) == 1
    assert not any(issubclass(type(x), Listener) for x in gc.get_objects())  # other libraries may have lazy ones


@of_the_stand_in
def test_the_pool_goes_with_the_step(no_collector: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[ref[MemoryPool]] = []

    def pool(allocator: Any) -> MemoryPool:
        pools.append(ref(made := MemoryPool(allocator)))
        return made

    monkeypatch.setattr(cupy.cuda, "MemoryPool", pool)
    step, x = minidl.compile(training()), minidl.ones(4, 50).to("cuda")
    for _ in range(4):
        step(x)
    assert len(pools) == 1 and pools[0]() is not None
    del step
    assert pools[0]() is None


# -- arguments ---------------------------------------------------------------------------------------------------------


def test_an_argument_that_the_step_changes_is_changed() -> None:
    step, x = minidl.compile(lambda x: x.mul_(2).clone()), on_gpu(1.0, 2.0)
    with pytest.warns(UserWarning, match="argument in place"):
        assert step(x).tolist() == x.tolist() == [2.0, 4.0]
    assert step(x).tolist() == x.tolist() == [4.0, 8.0]
