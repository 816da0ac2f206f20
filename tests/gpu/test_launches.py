"""How often a training step makes the GPU work: few launches, for on small networks they are what takes the time.

Counted on the stand-in for CuPy, with the list of them where there are too many; benchmarks/gpu.py counts on a device.
"""

import copy
import weakref
from collections.abc import Callable
from typing import Any

import launch_counter
import numpy as np
import pytest
from gpu_cases import on_host, same
from kernels_on_cpu import COMPILER
from launch_counter import Launches
from stand_in import cupy, install

import minidl
from minidl import Tensor, kernels, nn, optim
from minidl.bench.workloads import lenet, mlp
from minidl.nn import functional as F

pytestmark = pytest.mark.skipif(COMPILER is None, reason="g++ is missing, which builds the kernels for the CPU")


@pytest.fixture(autouse=True)
def launches(monkeypatch: pytest.MonkeyPatch) -> Launches:
    install(monkeypatch)
    return launch_counter.count(monkeypatch)


def batch_norm_cnn(m: Any) -> nn.Module:
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4),
              nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 10)]  # fmt: skip
    return nn.Sequential(*layers)


def layer_norm_mlp(m: Any) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 10))


def steps(model: nn.Module, device: str, launches: Launches) -> dict[str, np.ndarray]:
    """The model after two steps; the launches are those of the second."""
    x = minidl.tensor(np.random.default_rng(0).standard_normal((16, 1, 28, 28)), dtype=minidl.float32, device=device)
    y = minidl.arange(16).to(device) % 10
    model = copy.deepcopy(model).to(device)
    optimizer = optim.Adam(model.parameters(), eps=1e-3)
    for _ in range(2):
        launches.clear()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return on_host(model)


@pytest.mark.parametrize(("make", "most"), [(mlp, 16), (lenet, 48), (batch_norm_cnn, 50), (layer_norm_mlp, 21)])
def test_a_training_step_is_few_launches(make: Callable[[Any], nn.Module], most: int, launches: Launches) -> None:
    minidl.manual_seed(0)
    model = make(minidl)
    expected = steps(model, "cpu", launches)
    same(steps(model, "cuda", launches), expected)
    assert len(launches) <= most, str(launches)


def test_as_many_for_any_number_of_parameters(launches: Launches) -> None:
    counts = []
    for layers in (1, 20):
        params = [minidl.ones(n, requires_grad=True, device="cuda") for n in range(1, 1 + 2 * layers)]
        for p in params:
            p.grad = minidl.ones(p.shape, device="cuda")
        optimizer = optim.Adam(params)
        optimizer.step()
        launches.clear()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        counts.append(len(launches))
    assert counts == [4, 4], str(launches)


@pytest.mark.parametrize("dtype", [minidl.float16, minidl.float32])
def test_weights_and_gradients_in_any_layout_are_stepped_where_they_lie(dtype: Any) -> None:
    numbers = minidl.zeros(3, 5, dtype=dtype, device="cuda")
    w = Tensor(numbers.array.T, requires_grad=True)
    w.grad = minidl.ones(3, 5, dtype=dtype, device="cuda").T
    optim.SGD([w], lr=0.5).step()
    assert (numbers == -0.5).all().item()


@pytest.mark.parametrize(("reduction", "most"), [("mean", 5), ("sum", 7), ("none", 5)])
def test_cross_entropy_ignores_labels_in_few_launches(reduction: str, most: int, launches: Launches) -> None:
    x, y = minidl.randn(6, 3), minidl.tensor([0, -100, 1, 2, -100, 2])
    gradients: list[Any] = []
    for device in ("cpu", "cuda"):
        leaf, labels = x.to(device).clone().requires_grad_(), y.to(device)
        g = minidl.ones(() if reduction != "none" else (6,), device=device)
        launches.clear()
        F.cross_entropy(leaf, labels, reduction=reduction).backward(g)
        count = len(launches)
        gradients.append(leaf.grad.cpu().numpy())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-5, atol=1e-7)
    assert count <= most, str(launches)


def test_second_derivatives_go_the_ordinary_way() -> None:
    x = minidl.randn(5, 4, dtype=minidl.float64)
    y = minidl.tensor([0, 3, -100, 2, 1])

    def second(device: str) -> Any:
        leaf, labels = x.to(device).clone().requires_grad_(), y.to(device)
        h = minidl.relu(F.layer_norm(leaf, (4,), *[minidl.ones(4, dtype=leaf.dtype, device=device)] * 2))
        h = F.batch_norm(h + leaf, None, None, training=True)
        (g,) = minidl.autograd.grad(F.cross_entropy(h, labels), leaf, create_graph=True)
        (g * g).sum().backward()
        return leaf.grad.cpu().numpy()

    np.testing.assert_allclose(second("cuda"), second("cpu"), rtol=1e-9, atol=1e-12)


def test_a_loss_that_is_a_leaf_keeps_its_gradient_to_itself() -> None:
    loss = Tensor(minidl.ones(()).to("cuda").array, requires_grad=True)
    loss.backward()
    assert loss.grad is not None and loss.grad.item() == 1


def test_a_window_needs_no_memory_that_a_capture_could_leave_unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    x = minidl.arange(70.0).reshape(1, 2, 5, 7)
    ours = x.to("cuda")
    monkeypatch.delattr(cupy, "array")  # which copies to the device
    assert (F.avg_pool2d(ours, 3, 1, 1).cpu() == F.avg_pool2d(x, 3, 1, 1)).all().item()


def test_a_step_keeps_nothing_of_what_it_was_given() -> None:
    w = minidl.ones(3, requires_grad=True, device="cuda")
    w.grad = minidl.ones(3, device="cuda")
    gradient = weakref.ref(w.grad.array)
    nn.utils.clip_grad_norm_([w], 1e9)
    optim.Adam([w]).step()
    clipped, w.grad = weakref.ref(w.grad.array), None
    assert gradient() is None and clipped() is None


def test_a_kernel_refuses_what_lies_elsewhere() -> None:
    x, y = minidl.zeros(1, 3, device="cuda", requires_grad=True), minidl.tensor([1])
    with pytest.raises(RuntimeError, match="tensors on different devices, cpu and cuda:0: move one"):
        F.cross_entropy(x, y)
    with pytest.raises(ValueError, match="a kernel on cuda:0 cannot read an array on cpu"):
        kernels.counted_mean(cupy, x.array, y.array, -100)
