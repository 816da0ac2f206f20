"""minidl.compile on a GPU, the stand-in or a device: CUDA graphs give the bits of the step as it is written.

While the stand-in captures a graph nothing is computed, and a graph that would read freed memory fails.
"""

import gc
import warnings
from collections.abc import Callable
from typing import Any

import launch_counter
import numpy as np
import pytest
from gpu_cases import DEVICES, NETWORKS, begin, of_the_stand_in, on_host
from gpu_steps import RUNS, Training, assert_same, batches, mixed, numbers, on_gpu, programs
from op_table import DIFFERENTIABLE, Row
from stand_in import StandInArray, cupy
from stand_in_graphs import Graph, MemoryPool

import minidl
from minidl import Tensor, backend, nn, optim
from minidl.nn import functional as F
from minidl.ops import linalg


@pytest.fixture(autouse=True, params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[StandInArray]:
    monkeypatch.setattr(Graph, "launches", 0)
    return begin(request.param, monkeypatch)


def both(make: Callable[[], Any], *given: tuple[Any, ...]) -> Any:
    """The compiled step of `make`, after it gave the same as the step itself, for all that was given."""
    runs = []
    for compiled in (False, True):
        minidl.manual_seed(2)
        step = minidl.compile(make()) if compiled else make()
        runs.append([numbers(x) for inputs in given for x in step(*inputs)])
    assert_same(*runs)
    return step


# -- the same bits -----------------------------------------------------------------------------------------------------


def test_a_thousand_steps_give_the_same_bits_without_waiting(gpu: type[StandInArray]) -> None:
    written, replayed = Training(False), Training(True)
    expected = written.run(batches(1000))
    RUNS[0], data, gpu.synchronisations = 0, [*batches(1000)], 0  # a device counts neither waits nor launches
    minidl.manual_seed(4)
    losses = [replayed.step(x, y) for x, y in data]
    assert gpu.synchronisations == 0
    assert RUNS[0] == 3  # two that are noted, and one that is captured
    assert gpu is not StandInArray or Graph.launches == 998  # up to the clipping; the rest is made as it is
    found = [*losses, *replayed.model.state_dict().values(), *[p.grad for p in replayed.model.parameters()]]
    assert_same([numbers(x) for x in found], expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_the_same_bits(name: str, gpu: type[StandInArray]) -> None:
    make, draw = NETWORKS[name]
    runs = []
    for compiled in (False, True):
        minidl.manual_seed(0)
        model, inputs = make().to("cuda"), [draw().cuda() for _ in range(3)]
        optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

        def written(x: Tensor, model: nn.Module = model, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        step: Any = minidl.compile(written) if compiled else written
        losses = [numbers(step(inputs[i % 3])) for i in range(6)]
        runs.append([*losses, *on_host(model).values()])
    if name == "embedding" and gpu is not StandInArray:  # a device adds up the rows of a token in any order
        runs = [[x.round(4) for x in run] for run in runs]
    assert_same(*runs)
    assert programs(step) == 1 and not step.refused


def test_other_shapes_and_modes_are_recorded_anew() -> None:
    written, replayed = Training(False), Training(True)
    data = [*batches(5, 8), *batches(5, 3), *batches(4, 8), *batches(2, 3)]
    assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 2
    for one in (written, replayed):
        one.model.eval()
    assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 4 and not replayed.step.refused


def test_a_state_can_be_loaded_between_replays() -> None:
    written, replayed = Training(False), Training(True)
    state = {name: x.clone() for name, x in written.model.state_dict().items()}
    data = [*batches(5)]
    assert_same(written.run(data), replayed.run(data))
    for one in (written, replayed):
        one.model.load_state_dict(state)
        for group in one.optimizer.param_groups:
            group["lr"] = 0.5
    assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 1


def test_other_memory_of_a_weight_is_noticed() -> None:
    written, replayed = Training(False), Training(True)
    data = [*batches(4)]
    for _ in range(2):
        assert_same(written.run(data), replayed.run(data))
        for one in (written, replayed):
            one.model[0].weight.data = one.model[0].weight.data.clone()
    gc.collect()
    assert_same(written.run(data), replayed.run(data))
    assert programs(replayed.step) == 3


def test_modes_may_change_before_the_capture() -> None:
    written, replayed = Training(False), Training(True)
    for training in (True, False, True):
        for one in (written, replayed):
            one.model.train(training)
        assert_same(written.run(batches(2)), replayed.run(batches(2)))
    assert not programs(replayed.step) and not replayed.step.refused
    assert_same(written.run(batches(2)), replayed.run(batches(2)))
    assert programs(replayed.step) == 1


def test_tf32_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = Training(True)
    replayed.run(batches(4))
    monkeypatch.setattr(backend, "allow_tf32", True)
    replayed.run(batches(4))
    assert programs(replayed.step) == 2


def by_hand(zero: bool) -> Callable[..., Any]:
    """Descent with momentum, written out by the user."""
    w, b, v = minidl.ones(6, 3, device="cuda"), minidl.zeros(3, device="cuda"), minidl.zeros(6, 3, device="cuda")
    for x in (w, b):
        x.requires_grad_()

    def step(x: Tensor, y: Tensor) -> Any:
        loss = F.cross_entropy((x @ w.clamp(-2, 2) + b) ** 2 / 9, y)
        loss.backward()
        with minidl.no_grad():
            v.mul_(0.9).add_(w.grad)
            w.sub_(0.001 * v)
            b.sub_(0.01 * b.grad)
        for p in (w, b):
            if zero:
                p.grad.zero_()
            else:
                p.grad = None
        return loss, w, v.clone()

    return step


def accumulating() -> Callable[..., Any]:
    """The gradients of two batches, in two backward passes, on top of what was in .grad before."""
    model = mixed()

    def step(x: Tensor, y: Tensor) -> Any:
        for part in (slice(0, 4), slice(4, 8)):
            F.cross_entropy(model(x[part]), y[part]).backward()
        return [p.grad.clone() for p in model.parameters()]

    return step


def double_backward() -> Callable[..., Any]:
    """A penalty on the gradient, and constants that come from the host at every step."""
    model = mixed()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad()
        noisy = minidl.stack([x.flip(1), x.roll(2, 1)]).sum(0).tanh() * on_gpu(1, 2, 3, 4, 5, 6)
        loss = F.cross_entropy(model(noisy), y) + minidl.full((3,), 2.0, device="cuda").sum()
        (slope,) = minidl.autograd.grad(loss, [model[0].weight], create_graph=True)
        (loss + (slope * slope).sum()).backward()
        optimizer.step()
        after = F.cross_entropy(model(x), y).detach()
        return loss.detach(), slope.detach(), after

    return step


def reporting() -> Callable[..., Any]:
    """The norms of the gradients, which calls of their own return at every step."""
    model = mixed()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        before = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        after = nn.utils.clip_grad_norm_(model.parameters(), 9.0)
        optimizer.step()
        return loss, before, after

    return step


def much_dropout() -> Callable[..., Any]:
    """More seeds than are put on the GPU at once, before a step of the optimizer and after it."""
    model = mixed()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad()
        for i in range(10):
            x = F.dropout(x, 0.05 * i)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        with minidl.no_grad():
            return [F.alpha_dropout(model(x), 0.3, training=True)]

    return step


@pytest.mark.parametrize("make", [
    lambda: by_hand(True), lambda: by_hand(False), accumulating, double_backward, reporting, much_dropout,
])  # fmt: skip
def test_the_same_bits_of_other_steps(make: Any) -> None:
    step = both(make, *batches(9))
    assert programs(step) == 1 and not step.refused


SOLVERS = (linalg.inv, linalg.det, linalg.log_abs_det, linalg.sign_of_det, linalg.solution, linalg.cholesky_factor)


def placed(value: Any) -> Any:
    """What belongs to a row, on the GPU."""
    if isinstance(value, np.ndarray):
        return StandInArray(value.copy())
    return tuple(map(placed, value)) if type(value) is tuple else "cuda" if value == "cpu" else value


@of_the_stand_in
@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=str)
def test_the_same_bits_of_every_op(row: Row) -> None:
    """Forward and backward, with other numbers at every step, or refused."""
    runs = []
    for compiled in (False, True):
        xs = [x if not isinstance(x, np.ndarray) else
              Tensor(StandInArray(x.copy()), x.dtype.kind == "f" and i not in row.fixed)
              for i, x in enumerate(row.inputs)]  # fmt: skip
        settings = {word: placed(value) for word, value in row.settings.items()}
        learned = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]

        def written(
            scale: Tensor, xs: Any = xs, learned: Any = learned, row: Row = row, settings: Any = settings
        ) -> Any:
            for x in learned:
                x.grad = None
            y = row.op(*xs, **settings)
            (y * y).sum().backward()
            return [y.detach() * scale, *[x.grad for x in learned if x.grad is not None]]

        step, results = minidl.compile(written) if compiled else written, []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(5):
                results += [numbers(x) for x in step(on_gpu(2.0))]
                for x in learned:
                    x.detach().mul_(0.97)
        runs.append(results)
    assert_same(*runs)
    assert len(caught) == len(step.refused) == 1 - programs(step)
    assert not caught or "mask" in str(row) or row.op in SOLVERS  # of masks nobody knows the count, solvers are CuPy's


# -- what is held elsewhere --------------------------------------------------------------------------------------------


def test_tensors_that_are_held_keep_their_numbers() -> None:
    w, x = on_gpu(1.0, 2.0).requires_grad_(), on_gpu(0.0, 0.0)

    @minidl.compile
    def step(x: Tensor) -> Tensor:
        w.grad = None
        y = x * w
        y.sum().backward()
        return y.detach()

    held = []
    for i in range(6):
        x.fill_(i)
        held.append((step(x), w.grad))
    for i, (y, grad) in enumerate(held):
        assert y.tolist() == [i, 2.0 * i] and grad.tolist() == [i, i]
    assert programs(step) == 1


@of_the_stand_in
def test_memory_of_the_graph_is_used_again_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    w = on_gpu(*[1.0] * 100).requires_grad_()
    pools: list[MemoryPool] = []
    monkeypatch.setattr(cupy.cuda, "MemoryPool", lambda allocator: pools.append(MemoryPool(allocator)) or pools[-1])

    def step(x: Tensor) -> Tensor:
        with minidl.no_grad():
            for _ in range(50):
                x = (x * w).tanh()
        return x

    compiled = minidl.compile(step)
    x = minidl.randn(100).cuda()
    for _ in range(4):
        assert_same([numbers(compiled(x))], [numbers(step(x))])
        before = [minidl.ones(100, device="cuda") * i for i in range(10)]
    assert len(pools) == 1 and pools[0].total_bytes() <= 4 * 400  # and not 100 * 400
    del before


def test_a_step_may_have_no_arguments() -> None:
    w = on_gpu(1.0, 2.0)

    @minidl.compile
    def step() -> None:
        w.mul_(2)

    for _ in range(6):
        step()
    assert w.tolist() == [64.0, 128.0] and programs(step) == 1


def test_an_array_that_a_graph_reads_stays_there() -> None:
    class Table:
        places: Any = None

    table = Table()
    table.places = minidl.tensor([2, 0], device="cuda").array
    step = minidl.compile(lambda x: x[table.places] * 2)
    for _ in range(3):
        assert step(on_gpu(1.0, 2.0, 3.0)).tolist() == [6.0, 2.0]
    table.places = None
    gc.collect()
    assert step(on_gpu(4.0, 5.0, 6.0)).tolist() == [12.0, 8.0]  # what is read from an object is taken as constant


@of_the_stand_in
def test_a_graph_that_would_read_freed_memory_fails() -> None:
    x = cupy.ones(3)
    stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    with stream, cupy.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        y = x * 2
        assert np.isnan(y.numbers).all()  # nothing was computed
        graph = stream.end_capture()
    graph.launch()
    assert y.get().tolist() == [2.0] * 3
    del x
    with pytest.raises(AssertionError, match="freed"):
        graph.launch()


# -- what the host does ------------------------------------------------------------------------------------------------


@of_the_stand_in
def test_what_the_host_does_in_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).to("cuda")
    optimizer = optim.Adam(model.parameters())

    @minidl.compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    launches = launch_counter.count(monkeypatch)
    for x, y in batches(5):
        launches.clear()
        Graph.launches = 0
        step(x, y)
    assert Graph.launches == 1
    # The two arguments and the loss are copied, and the optimizer takes its step: five calls in all.
    assert [line.split()[0] for line in launches] == ["copyto", "copyto", "update", "copy"], launches
