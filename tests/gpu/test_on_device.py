"""On a real GPU: every op, layer, loss and optimizer gives the CPU's numbers, and the host never waits in a step.

`pytest -m gpu` runs these alone; without a GPU they are skipped, and say why.
"""

import copy
import time
from typing import Any

import numpy as np
import pytest
from gpu_cases import LOSSES, NETWORKS, no_device, on_host, same, trained
from op_table import DIFFERENTIABLE, WITHOUT_DERIVATIVE, Row

import minidl
from minidl import Tensor, backend, nn, optim
from minidl.autograd import grad
from minidl.nn import functional as F
from minidl.ops import convolution, pooling

if no_device() is not None:
    pytest.skip(str(no_device()), allow_module_level=True)

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]  # CuPy may warn of what is slow


def placed(value: Any) -> Any:
    """What belongs to a row, on the GPU."""
    if isinstance(value, np.ndarray):
        return backend.to_device(value, "cuda")
    if type(value) is tuple:
        return tuple(map(placed, value))
    return "cuda:0" if value == "cpu" else value


def tensors(row: Row, place: Any) -> list[Any]:
    return [
        Tensor(place(x), requires_grad=x.dtype.kind == "f" and i not in row.fixed) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(row.inputs)
    ]


def close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.device == "cuda:0" and ours.dtype == theirs.dtype
    rtol = {2: 1e-2, 4: 1e-4, 8: 1e-7}.get(theirs.array.itemsize, 0) if theirs.dtype.kind == "f" else 0
    np.testing.assert_allclose(ours.detach().cpu().numpy(), theirs.detach().numpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("row", DIFFERENTIABLE + WITHOUT_DERIVATIVE, ids=str)
def test_an_op_gives_the_cpus_values_and_gradients(row: Row) -> None:
    theirs, ours = tensors(row, np.copy), tensors(row, placed)
    expected = row.op(*theirs, **row.settings)
    y = row.op(*ours, **{word: placed(value) for word, value in row.settings.items()})
    close(y, expected)
    if expected.requires_grad:
        upstream = np.random.default_rng(1).standard_normal(y.shape)
        expected.backward(upstream)
        y.backward(upstream)
        for a, b in zip(ours, theirs, strict=True):
            if isinstance(b, Tensor) and b.grad is not None:
                close(a.grad, b.grad)


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=str)
def test_an_op_gives_the_cpus_second_derivatives(row: Row) -> None:
    def second(place: Any) -> list[Any]:
        inputs = tensors(row, place)
        y = row.op(*inputs, **{word: placed(v) if place is placed else v for word, v in row.settings.items()})
        wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
        upstream = Tensor(place(np.random.default_rng(1).standard_normal(y.shape)), requires_grad=True)
        first = grad(y, wanted, upstream, create_graph=True, allow_unused=True)
        sum((g * g).sum() for g in first if g is not None).backward()
        return [x.grad for x in [*wanted, upstream]]

    for theirs, ours in zip(second(np.copy), second(placed), strict=True):
        if theirs is not None:
            close(ours, theirs)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_what_it_does_on_the_cpu(name: str) -> None:
    minidl.manual_seed(0)
    make, draw = NETWORKS[name]
    model, x = make(), draw()
    on_gpu = trained(copy.deepcopy(model).to("cuda"), x.to("cuda"))
    same(on_host(on_gpu), on_host(trained(model, x)), rtol=1e-2)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_the_cpu(name: str) -> None:
    minidl.manual_seed(0)
    x, y = minidl.randn(40, 3, requires_grad=True), minidl.randint(0, 3, (40,))
    ours = x.detach().to("cuda").requires_grad_()
    loss, expected = LOSSES[name](ours, y.to("cuda")), LOSSES[name](x, y)
    loss.backward(), expected.backward()
    close(loss, expected)
    close(ours.grad, x.grad)


@pytest.mark.parametrize("name", [name for name in optim.by_name if name != "lbfgs"])
def test_an_optimizer_goes_the_cpus_way(name: str) -> None:
    minidl.manual_seed(0)
    model, x, y = nn.Linear(6, 3, bias=name != "muon"), minidl.randn(8, 6), minidl.randint(0, 3, (8,))
    on_gpu = copy.deepcopy(model).to("cuda")
    for network, device in ((model, "cpu"), (on_gpu, "cuda")):
        optimizer = optim.by_name[name](network.parameters(), lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(network(x.to(device)), y.to(device)).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.1)
            optimizer.step()
    same(on_host(on_gpu), on_host(model), rtol=1e-2)


SPIN = """
extern "C" __global__ void spin(long long cycles) {
    long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


def test_the_host_goes_on_while_the_gpu_works() -> None:
    import cupy

    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Dropout(0.5), nn.Linear(676, 10)).to("cuda")  # fmt: skip
    optimizer = optim.Adam(model.parameters())
    x, y = minidl.randn(32, 1, 28, 28, device="cuda"), minidl.randint(0, 10, (32,), device="cuda")

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(3):  # everything is compiled, and all memory there
        step()
    minidl.cuda.synchronize()
    busy = cupy.RawKernel(SPIN, "spin")
    started = time.perf_counter()
    busy((1,), (1,), (2_000_000_000,))  # about a second
    step()
    host = time.perf_counter() - started
    minidl.cuda.synchronize()
    assert host < 0.5 * (time.perf_counter() - started)


def test_windows_give_the_same_bits_every_time() -> None:
    window = minidl.ops.windows.Window((30, 30), (3, 3), (1, 1), (1, 1), (1, 1), (30, 30))
    x, g = (placed(a) for a in np.random.default_rng(0).standard_normal((2, 8, 3, 30, 30)).astype(np.float32))
    xp, w = backend.array_module(x), placed(np.ones((3, 3, 3, 3), np.float32))
    out = pooling.max_pool.function(xp, x, window=window)
    for run in (lambda: convolution.convolution_input.function(xp, g, w, window=window),
                lambda: pooling.max_pool_input.function(xp, g, x, out, window=window)):  # fmt: skip
        first = run()
        assert all(bool((run() == first).all()) for _ in range(5))


def test_more_than_the_memory_is_one_line() -> None:
    x = minidl.ones(1, device="cuda")
    with pytest.raises(minidl.cuda.OutOfMemoryError) as caught:
        x.expand(2**44) + x
    assert "\n" not in str(caught.value)
    assert (x + x).item() == 2
