"""On a real GPU, what the stand-in cannot show; without one it is skipped, and says why.

`pytest -m gpu` runs what needs a device, and nothing else:
- here: values, first and second derivatives of every row of the op table, as the generic tests do on the CPU; that a
  step goes on while the GPU is busy, the bits of windows, a full memory, and memory that is given back;
- test_every_name.py: every function and layer of the parity cases, on drawn arguments beside PyTorch;
- test_training.py: networks, losses, optimizers, clipping, the Trainer, checkpoints; test_data_on_device.py: datasets,
  loaders, the command; test_study_on_gpu.py: the study tools; test_cuda.py: `minidl.cuda`: the tests of the stand-in.
"""

import itertools
import time
from typing import Any

import numpy as np
import pytest
from gpu_cases import LAYOUTS, no_device
from op_table import DIFFERENTIABLE, WITHOUT_DERIVATIVE, Row

import minidl
from minidl import Tensor, backend, kernels, nn, optim
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


SPIN = """
extern "C" __global__ void spin(long long cycles) {
    long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


@pytest.mark.parametrize("compiled", [False, True])
def test_the_host_goes_on_while_the_gpu_works(compiled: bool) -> None:
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

    step = minidl.compile(step) if compiled else step
    for _ in range(5):  # everything is compiled, captured, and all memory there
        step()
    minidl.cuda.synchronize()
    busy = cupy.RawKernel(SPIN, "spin")
    started = time.perf_counter()
    busy((1,), (1,), (2_000_000_000,))  # about a second
    step()
    host = time.perf_counter() - started
    minidl.cuda.synchronize()
    assert host < 0.5 * (time.perf_counter() - started)


def product(xp: Any, x: Any, y: Any, *out: Any) -> np.ndarray:
    return kernels.matmul(xp, x, y, *out).get()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=str)
def test_a_product_is_numpys_however_the_matrices_lie(lead: tuple[int, ...], dtype: str) -> None:
    xp, random = backend.array_module(placed(np.zeros(1))), np.random.default_rng(0)
    rtol = {"float16": 1e-2, "float32": 1e-5, "float64": 1e-13}[dtype]

    def make(shape: tuple[int, ...]) -> Any:
        return placed(random.standard_normal(shape).astype(dtype))

    for left, right in itertools.product(LAYOUTS.values(), repeat=2):
        for x_lead, y_lead, n, k, m in ((lead, lead, 5, 7, 3), (lead, lead[1:], 1, 33, 40), (lead, (), 6, 6, 1)):
            x, y, old = left(xp, (*x_lead, n, k), make), right(xp, (*y_lead, k, m), make), make((*lead, n, m))
            expected, before = np.matmul(x.get().astype("float64"), y.get().astype("float64")), old.get()
            np.testing.assert_allclose(product(xp, x, y), expected, rtol=rtol, atol=10 * rtol)
            np.testing.assert_allclose(product(xp, x, y, old, True), before + expected, rtol=rtol, atol=10 * rtol)
    for x, y in ((make((3, 0)), make((0, 2))), (make((0, 3)), make((3, 2)))):
        assert (product(xp, x, y) == x.get() @ y.get()).all()


def test_tf32_changes_the_numbers_of_float32_alone() -> None:
    xp, numbers = backend.array_module(placed(np.zeros(1))), np.random.default_rng(0).standard_normal((2, 300, 300))
    for dtype in ("float32", "float64"):
        x, y = placed(numbers.astype(dtype))
        exact = product(xp, x, y)
        np.testing.assert_allclose(exact, x.get().astype("float64") @ y.get(), rtol=0, atol=1e-4)  # of about 17
        try:
            minidl.backends.cuda.matmul.allow_tf32 = True
            rough = product(xp, x, y)
        finally:
            minidl.backends.cuda.matmul.allow_tf32 = False
        tf32 = dtype == "float32" and int(xp.cuda.Device().compute_capability) >= 80  # older GPUs have none
        assert (rough == exact).all() == (not tf32)
        np.testing.assert_allclose(rough, exact, rtol=0, atol=0.2)
        np.testing.assert_array_equal(product(xp, x, y), exact)


def test_products_give_the_same_bits_every_time_and_on_every_stream() -> None:
    xp, random = backend.array_module(placed(np.zeros(1))), np.random.default_rng(0)
    for shapes in (((64, 784), (784, 128)), ((784, 64), (64, 128)), ((4, 8, 32), (4, 32, 8)), ((512, 512), (512, 512))):
        x, y = (placed(random.standard_normal(shape).astype(np.float32)) for shape in shapes)
        first = product(xp, x, y)
        for _ in range(5):
            np.testing.assert_array_equal(product(xp, x, y), first)
        minidl.cuda.synchronize()
        with xp.cuda.Stream(non_blocking=True) as stream:
            other = kernels.matmul(xp, x, y)
            stream.synchronize()
        np.testing.assert_array_equal(other.get(), first)


def test_windows_give_the_same_bits_every_time() -> None:
    window = minidl.ops.windows.Window((30, 30), (3, 3), (1, 1), (1, 1), (1, 1), (30, 30))
    x, g = (placed(a) for a in np.random.default_rng(0).standard_normal((2, 8, 3, 30, 30)).astype(np.float32))
    xp, w = backend.array_module(x), placed(np.ones((3, 3, 3, 3), np.float32))
    out = pooling.max_pool.function(xp, x, window=window)
    for run in (lambda: convolution.convolution_input.function(xp, g, w, window=window),
                lambda: pooling.max_pool_input.function(xp, g, x, out, window=window)):  # fmt: skip
        first = run()
        assert all(bool((run() == first).all()) for _ in range(5))


def test_more_than_the_memory_is_one_line_and_leaves_the_model_whole() -> None:
    model, x = nn.Linear(4, 4).to("cuda"), minidl.ones(2, 4, device="cuda")
    before = model(x).detach().cpu().numpy()
    with pytest.raises(minidl.cuda.OutOfMemoryError) as caught:
        minidl.ones(1, device="cuda").expand(2**44) + model(x).sum()
    assert "\n" not in str(caught.value)
    model(x).sum().backward()
    np.testing.assert_array_equal(model(x).detach().cpu().numpy(), before)


@pytest.mark.parametrize("mix", [
    lambda x, y: x + y, lambda x, y: y * x, lambda x, y: x @ y, lambda x, y: y @ x, lambda x, y: minidl.cat([x, y]),
    lambda x, y: F.linear(x, y), lambda x, y: F.mse_loss(y, x), lambda x, y: minidl.where(x > 0, x, y),
    lambda x, y: x.add_(y), lambda x, y: F.conv2d(x[None, None], y[None, None]),
])  # fmt: skip
def test_mixing_devices_is_one_line_that_names_both(mix: Any) -> None:
    with pytest.raises(RuntimeError, match="cpu and cuda:0") as caught:
        mix(minidl.ones(2, 2), minidl.ones(2, 2, device="cuda"))
    assert "\n" not in str(caught.value)


def test_a_training_gives_its_memory_back() -> None:
    def trained() -> None:
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 26 * 26, 10)).to("cuda")
        optimizer = optim.Adam(model.parameters())
        x, y = minidl.randn(64, 1, 28, 28, device="cuda"), minidl.randint(0, 10, (64,), device="cuda")
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    trained()  # what is kept once is kept now
    before, reserved = minidl.cuda.memory_allocated(), minidl.cuda.memory_reserved()
    for _ in range(3):
        trained()
    assert minidl.cuda.memory_allocated() == before
    assert minidl.cuda.memory_reserved() <= 1.1 * reserved
