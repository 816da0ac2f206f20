"""What minidl.compile refuses on a GPU: it is named, with its line, and the step runs as it is written.

Nothing is lost by that: no weight changes twice, no seed is drawn for nothing.
"""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from gpu_cases import DEVICES, begin
from gpu_steps import RUNS, assert_same, batches, numbers, on_gpu, programs

import minidl
from minidl import Tensor, nn, optim


@pytest.fixture(autouse=True, params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(request.param, monkeypatch)


def refused(step: Callable[..., Any], *given: Tensor, calls: int = 5) -> str:
    """The one warning that calls of the compiled step give, which names the step and its line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(calls):
            step(*given)
    (message,) = [str(warning.message) for warning in caught]
    assert "runs as it is written and is not replayed" in message and programs(step) == 0
    return message



def reading(x: Tensor) -> Any:
    return x * x.sum().item()


def branching(x: Tensor) -> Any:
    return x if x.sum() > 1 else -x


def masked(x: Tensor) -> Any:
    return x[x > 1]


def found(x: Tensor) -> Any:
    return minidl.nonzero(x)


def noisy(x: Tensor) -> Any:
    return x + minidl.randn(2, device="cuda")


TABLE = minidl.ones(2)


def from_the_host(x: Tensor) -> Any:
    return x + TABLE.cuda()


def in_place(x: Tensor) -> Any:
    return x.mul_(2).clone()


KEPT: list[Tensor] = []


def keeping(x: Tensor) -> Any:
    KEPT[:] = [x * 2]
    return KEPT[0].clone()


def keeping_what_is_returned(x: Tensor) -> Any:
    KEPT[:] = [x * 2]
    return KEPT[0]


NORMS: list[Tensor] = []
GIVEN = minidl.ones(2)


def computing_with_the_norm(x: Tensor) -> Any:
    GIVEN.grad = x * 1
    return nn.utils.clip_grad_norm_([GIVEN], 1.0) * 2


def keeping_the_norm(x: Tensor) -> Any:
    GIVEN.grad = x * 1
    NORMS.append(nn.utils.clip_grad_norm_([GIVEN], 1.0))
    return NORMS[-1]


def taking_an_array(x: Tensor) -> Any:
    return Tensor(x.array * 2)


def with_its_graph(x: Tensor) -> Any:
    return x * on_gpu(1.0, 2.0).requires_grad_()


def as_it_was(x: Tensor) -> Any:
    return x.detach().numpy() if x.device == "cpu" else x.cpu()


def counting(x: Tensor) -> Any:
    RUNS[0] += 1
    return x * RUNS[0]


def filling(x: Tensor) -> Any:
    RUNS[0] += 1
    return minidl.zeros(2, device="cuda").fill_(RUNS[0]) + x


def placing(x: Tensor) -> Any:
    RUNS[0] += 1
    return x + minidl.tensor([1.0, RUNS[0]], device="cuda")


@pytest.mark.parametrize(("step", "words"), [
    (reading, "reads a number"), (branching, "reads a number"), (masked, "mask"), (found, "reads a number"),
    (noisy, "random numbers on the host"), (from_the_host, "uses tensors on the CPU"), (in_place, "argument in place"),
    (keeping, "keeps a tensor"), (keeping_what_is_returned, "keeps a tensor"), (keeping_the_norm, "keeps a tensor"),
    (computing_with_the_norm, "as it is, and compute"), (taking_an_array, "takes an array"),
    (with_its_graph, "with its graph"), (as_it_was, "reads a number"), (counting, "another number"),
    (filling, "another number"), (placing, "another number"),
])  # fmt: skip
def test_what_cannot_be_replayed_is_named(step: Any, words: str) -> None:
    message = refused(minidl.compile(step), on_gpu(1.0, 2.0))
    assert words in message
    assert f"({__file__}:" in message or words in ("keeps a tensor", "with its graph")  # which is no one line's doing


def test_arguments_on_two_devices_are_refused() -> None:
    step = minidl.compile(lambda x, y: x * 2)
    assert "different devices" in refused(step, on_gpu(1.0), minidl.ones(1))


def test_a_model_on_the_gpu_needs_arguments_there() -> None:
    model = nn.Linear(2, 1).to("cuda")
    step = minidl.compile(lambda x: model(x.cuda()).detach())
    assert "modules that it names, are on different devices" in refused(step, minidl.ones(1, 2))


def concatenating(x: Tensor) -> Tensor:
    return minidl.cat([x * i for i in range(9)])[-4:]


def solving(x: Tensor) -> Tensor:
    return minidl.linalg.inv(x.T @ x + minidl.eye(3, device="cuda"))


@pytest.mark.parametrize("between", [concatenating, solving])
@pytest.mark.parametrize("late", [False, True])
def test_what_only_the_capture_refuses_leaves_no_trace(between: Any, late: bool) -> None:
    runs, data = [], [(x[:4, :3].clone(), y) for x, y in batches(7)]
    for compiled in (False, True):
        minidl.manual_seed(3)
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).to("cuda")
        optimizer = optim.Adam(model.parameters(), lr=0.1)

        def written(x: Tensor, y: Tensor, model: nn.Module = model, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = model(x if late else between(x)).square().mean()
            loss.backward()
            optimizer.step()
            if late:  # in a segment of its own, after a step of the optimizer
                between(x)
            return loss

        step: Any = minidl.compile(written) if compiled else written
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            losses = [step(x, y) for x, y in data]
        state = [*losses, *model.state_dict().values(), *[p.grad for p in model.parameters()]]
        runs.append([numbers(x) for x in state])
        assert {entry["step"] for entry in optimizer.state_dict()["state"].values()} == {7}
    assert_same(*runs)
    assert len(caught) == 1 and f"({__file__}:" in str(caught[0].message)


def test_an_error_of_the_step_itself_is_raised() -> None:
    scale, x = on_gpu(1.0, 2.0), on_gpu(1.0, 2.0)
    wrong = [False]

    @minidl.compile
    def step(x: Tensor) -> Tensor:
        if wrong[0]:
            raise ValueError("mine")
        return x * scale

    step(x), step(x)
    wrong[0] = True
    with pytest.raises(ValueError, match="mine"):
        step(x)
    wrong[0] = False
    for _ in range(3):
        assert step(x).tolist() == [1.0, 4.0]
    assert programs(step) == 1
