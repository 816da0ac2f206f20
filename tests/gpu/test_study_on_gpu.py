"""The study tools show the same of a network on a GPU as of one on the CPU: on the stand-in, and on a device."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from gpu_cases import DEVICES, begin

import minidl
from minidl import Tensor, backend, nn, optim, study

Tool = Callable[[nn.Module, Tensor, Tensor], Any]
criterion = nn.MSELoss()


def network(device: str) -> tuple[nn.Module, Tensor, Tensor]:
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    x, y = minidl.randn(8, 4), minidl.randn(8, 3)
    return model.to(device), x.to(device), y.to(device)


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with study.record(model):
        return criterion(model(x), y)


def checked(model: Any, x: Tensor, y: Tensor) -> Any:
    loss, weight = loss_of(model, x, y), model[0].weight
    (right,) = minidl.autograd.grad(loss, weight, retain_graph=True)
    return [study.check_my_grad(mine, weight, loss) for mine in (right, 2 * right)]


def traced(model: nn.Module, x: Tensor, y: Tensor) -> Any:
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    with study.OptimizerTrace(optimizer, model) as trace:
        for _ in range(2):
            optimizer.zero_grad()
            loss_of(model, x, y).backward()
            optimizer.step()
    return trace.table()


def previewed(model: Any, x: Tensor, y: Tensor) -> Any:
    loss_of(model, x, y).backward()
    seen = optim.Adam(model.parameters(), lr=0.01).preview(model[0].weight)
    return {name: backend.to_device(value, "cpu").tolist() for name, value in seen.items()}


def explained(model: nn.Module, x: Tensor, y: Tensor) -> Any:
    steps = study.explain_backward(loss_of(model, x, y)).steps
    return [[share.formula.derivative for share in step.shares] for step in steps]


def linted(model: nn.Module, x: Tensor, y: Tensor) -> Any:
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with warnings.catch_warnings(action="ignore"), study.lint(model, optimizer) as report:
        for _ in range(3):
            loss_of(model, x, y).backward()
            optimizer.step()
    return [finding.check for finding in report.findings]


def profiled(model: nn.Module, x: Tensor, y: Tensor) -> Any:
    result = study.profile(lambda: loss_of(model, x, y).backward(), runs=2)
    return sorted((entry.op, entry.phase, entry.calls) for entry in result.entries if entry.op)


TOOLS: dict[str, Tool] = {
    "draw_graph": lambda *network: study.draw_graph(loss_of(*network)),
    "explain_backward": explained, "check_my_grad": checked,
    "gradient_flow": lambda model, x, y: study.gradient_flow(model, loss_of(model, x, y)),
    "OptimizerTrace": traced, "preview": previewed, "lint": linted, "profile": profiled,
    "summary": lambda model, x, y: study.summary(model, x),
    "landscape": lambda model, x, y: study.landscape(model, criterion, (x, y), points=3, progress=False),
    "top_hessian_eigenvalues": lambda model, x, y: study.top_hessian_eigenvalues(
        model, criterion, (x, y), progress=False).values,
    "Sharpness": lambda model, x, y: study.Sharpness(
        model, optim.SGD(model.parameters(), lr=0.1), criterion, (x, y)).look(step=0),
    "lr_range_test": lambda model, x, y: study.lr_range_test(
        model, optim.SGD(model.parameters()), criterion, [(x, y)], steps=20, progress=False).suggestion,
}  # fmt: skip


@pytest.fixture(params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(request.param, monkeypatch)


NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_shows_what_it_does_on_the_cpu(name: str, gpu: None) -> None:
    expected, found = (str(TOOLS[name](*network(device))) for device in ("cpu", "cuda"))
    words = [re.sub(rf"{NUMBER}|[\s-]+", " ", text.replace("cuda:0", "cpu")) for text in (found, expected)]
    numbers = [[float(number) for number in re.findall(NUMBER, text)] for text in (found, expected)]
    assert words[0].split() == words[1].split() and len(expected) > 3
    if "cuda" not in found:
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-2, abs=1e-3)
