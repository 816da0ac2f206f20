"""In a Sequential on a GPU a layer's bias and the ReLU behind it are one launch, and nobody sees anything else of that.

Each test compares with the same network whose layers know nothing of what comes next.
"""

import copy
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gpu_cases import DEVICES, begin
from stand_in import StandInArray

import minidl
from minidl import Tensor, kernels, nn, study
from minidl.autograd import grad

Network = Callable[[], nn.Module]

FUSED: dict[str, tuple[Network, tuple[int, ...]]] = {
    "Linear": (lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU()), (4, 3)),
    "of sequences": (lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU()), (2, 4, 3)),
    "of a vector": (lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU()), (3,)),
    "Conv1d": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3, dilation=2), nn.ReLU()), (3, 2, 9)),
    "Conv2d": (lambda: nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, padding=1), nn.ReLU()), (3, 4, 5, 6)),
    "of an image": (lambda: nn.Sequential(nn.Conv2d(4, 1, 3, padding_mode="circular"), nn.ReLU()), (4, 5, 6)),
    "Conv3d": (lambda: nn.Sequential(nn.Conv3d(1, 2, 2, stride=2), nn.ReLU()), (2, 1, 4, 5, 4)),
    "in place": (lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(inplace=True)), (4, 3)),
    "in a network": (lambda: nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()), nn.Tanh()),
                     (3, 1, 4, 5)),
}  # fmt: skip


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Leaking(nn.ReLU):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + 0.1 * input


def hooked(register: str, place: int) -> nn.Module:
    layers = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    getattr(layers[place], register)(lambda *given: None)
    return layers


def patched() -> nn.Module:
    """A layer to which the user gave another function, which changes its result in place."""
    layers = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    plain = layers[0].forward
    layers[0].forward = lambda x: plain(x).detach().mul_(-1)
    return layers


NOT_FUSED: dict[str, Network] = {
    **{f"{register} of {place}": lambda register=register, place=place: hooked(register, place)  # type: ignore[misc]
       for register in ("register_forward_pre_hook", "register_forward_hook", "register_full_backward_hook")
       for place in (0, 1)},
    "forward replaced": patched,
    "subclass of Linear": lambda: nn.Sequential(Doubled(3, 5), nn.ReLU()),
    "subclass of ReLU": lambda: nn.Sequential(nn.Linear(3, 5), Leaking()),
    "without bias": lambda: nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU()),
    "something between": lambda: nn.Sequential(nn.Linear(3, 5), nn.Identity(), nn.ReLU()),
    "something else behind": lambda: nn.Sequential(nn.Linear(3, 5), nn.LeakyReLU(), nn.ReLU()),
    "float16": lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU()).half(),
}  # fmt: skip


@pytest.fixture(autouse=True, params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    minidl.manual_seed(0)
    return begin(request.param, monkeypatch)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each of the layers that asked made both results."""
    answers: list[bool] = []
    plain = kernels.bias_and_relu

    def bias_and_relu(*given: Any) -> bool:
        answers.append(plain(*given))
        return answers[-1]

    monkeypatch.setattr(kernels, "bias_and_relu", bias_and_relu)
    return answers


def apart(run: Callable[[], Any]) -> Any:
    """What `run` gives where no layer knows what comes next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "bias_and_relu", lambda *given: False)
        return run()


def nodes(y: Tensor) -> Iterator[Any]:
    """The graph that leads to y, as a user sees it."""
    if y.op is None:
        yield y.shape
    else:
        yield y.op.__name__, y.shape, y.settings, y.tolist()
        for x in y.inputs or ():
            yield from nodes(x)


def learned(model: nn.Module, x: Tensor) -> tuple[list[Any], list[np.ndarray]]:
    """The graph and predictions; and derivatives, of the same graph twice, and second ones."""
    leaf = x.clone().requires_grad_()
    y = model(leaf)
    wanted = [leaf, *model.parameters()]
    first = grad(y.square().sum(), wanted, retain_graph=True)
    again = grad(y.square().sum(), wanted, create_graph=True)
    second = grad(sum((g * g).sum() for g in again), wanted)
    model.eval()
    with minidl.no_grad():
        predicted = model(leaf)
    slopes = [g.detach().cpu().numpy() for g in (*first, *again, *second)]
    return [*nodes(y), predicted.tolist(), predicted.requires_grad], slopes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUSED)
def test_graph_numbers_and_derivatives_are_the_same(name: str, dtype: str, made: list[bool], gpu: Any) -> None:
    make, shape = FUSED[name]
    model, x = make().to("cuda", getattr(minidl, dtype)), minidl.randn(*shape).to("cuda", getattr(minidl, dtype))
    graph, slopes = learned(model, x)
    assert made[0] and not kernels.ahead.relu and kernels.ahead.made is None
    theirs, expected = apart(lambda: learned(model.train(), x))
    assert graph == theirs
    rounding = 0 if gpu is StandInArray else 1e-4  # a device sums over another layout in another order
    for ours, slope in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(ours, slope, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("name", NOT_FUSED)
def test_what_may_differ_is_left_alone(name: str, made: list[bool]) -> None:
    model = NOT_FUSED[name]().to("cuda")
    x = minidl.randn(4, 3).to("cuda", model[0].weight.dtype)
    assert model(x).tolist() == apart(lambda: model(x)).tolist()
    assert not any(made)


def test_what_is_no_number_stays_so() -> None:
    model = nn.Sequential(nn.Linear(1, 5), nn.ReLU()).to("cuda")
    with minidl.no_grad():
        model[0].weight.zero_()
        model[0].bias.copy_(minidl.tensor([np.nan, -0.0, np.inf, -np.inf, 2.0]))
    x = minidl.tensor([[1.0], [-1.0]], device="cuda")
    np.testing.assert_array_equal(model(x).tolist(), [[np.nan, 0, np.inf, 0, 2]] * 2)
    assert model(x[:0]).shape == (0, 5)


def test_the_tools_see_both_results() -> None:
    model, x = nn.Sequential(nn.Linear(3, 5), nn.ReLU()).to("cuda"), minidl.randn(4, 3).cuda()

    def drawn() -> str:
        with study.record(model):
            return str(study.draw_graph(model(x).sum()))

    assert drawn() == apart(drawn)
    model[0].bias.detach().fill_(np.nan)
    errors = []
    for run in (lambda look: look(), apart):
        with (
            warnings.catch_warnings(action="ignore"),
            minidl.autograd.detect_anomaly(),
            pytest.raises(RuntimeError, match="linear") as error,
        ):
            run(lambda: model(x))
        errors.append(str(error.value))
    assert errors[0] == errors[1]
    assert kernels.ahead.made is None


@pytest.mark.parametrize("shape", [(4, 2), (2, 4, 7), ()])
@pytest.mark.parametrize("layers", [lambda: [nn.Linear(3, 5), nn.ReLU()], lambda: [nn.Conv2d(3, 5, 3), nn.ReLU()]])
def test_an_error_names_the_layer(layers: Any, shape: tuple[int, ...], made: list[bool]) -> None:
    model, x = nn.Sequential(nn.Identity(), nn.Sequential(*layers())), minidl.zeros(shape)
    messages = []
    for device in ("cpu", "cuda"):
        with pytest.raises((RuntimeError, ValueError), match=r"^in 1\.0 \(") as error:
            model.to(device)(x.to(device))
        messages.append((error.type, str(error.value)))
    assert messages[0] == messages[1]
    assert not kernels.ahead.relu


def test_a_network_is_copied(made: list[bool]) -> None:
    model, x = nn.Sequential(nn.Linear(3, 5), nn.ReLU()).to("cuda"), minidl.randn(4, 3).cuda()
    expected = model(x).tolist()
    for one in (copy.deepcopy(model), pickle.loads(pickle.dumps(model.cpu())).cuda()):
        assert one(x).tolist() == expected
    assert made == [True] * 3


def test_another_thread_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.ahead, "relu", True)
    known: list[bool] = []
    thread = threading.Thread(target=lambda: known.append(kernels.ahead.relu))
    thread.start()
    thread.join()
    assert known == [False]
