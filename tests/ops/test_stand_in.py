"""Every op runs on a GPU's arrays, gives NumPy's numbers there, and never makes the host wait.

The GPU is played by the strict stand-in of tests/stand_in.py.
"""

from typing import Any

import numpy as np
import pytest
from kernels_on_cpu import COMPILER
from op_table import DIFFERENTIABLE, WITHOUT_DERIVATIVE, Row
from stand_in import StandInArray, has_mask, install

import minidl
from minidl.autograd import Tensor, grad
from minidl.ops import fused, indexing, shapes

# Only the GPU knows how many places there are; without kernels it is asked about labels, too.
WAITS = (indexing.argwhere, *([] if COMPILER else [fused.softmax_cross_entropy]))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> type[StandInArray]:
    return install(monkeypatch)


def placed(value: Any) -> Any:
    """What belongs to a row, on the stand-in."""
    if isinstance(value, np.ndarray):
        return StandInArray(value.copy())
    if type(value) is tuple:
        return tuple(map(placed, value))
    return "cuda:0" if value == "cpu" else value


def waits(row: Row) -> bool:
    """Whether the op must look at numbers on the GPU: at labels, or at how many places there are."""
    return row.op in WAITS or has_mask(row.settings.get("index"))


def tensors(row: Row, place: Any) -> list[Any]:
    return [
        Tensor(place(x), requires_grad=x.dtype.kind == "f" and i not in row.fixed) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(row.inputs)
    ]


def on_host(x: Tensor | None) -> Any:
    return None if x is None else x.detach().cpu().numpy()


def close(found: Any, expected: Any) -> None:
    """Equal but for the last bits: kernels of our own may add in another order."""
    if expected is None:
        assert found is None
        return
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("row", DIFFERENTIABLE + WITHOUT_DERIVATIVE, ids=str)
def test_values_and_gradients_are_numpys_without_waiting(row: Row, gpu: type[StandInArray]) -> None:
    ours, theirs = tensors(row, np.copy), tensors(row, placed)
    expected = row.op(*ours, **row.settings)
    settings = {word: placed(value) for word, value in row.settings.items()}
    y = row.op(*theirs, **settings)
    assert type(y.array) is StandInArray
    assert gpu.synchronisations == 0 or waits(row)
    close(on_host(y), on_host(expected))
    if not expected.requires_grad:
        return

    upstream = np.random.default_rng(1).standard_normal(y.shape)
    gpu.synchronisations = 0
    expected.backward(upstream)
    y.backward(Tensor(placed(upstream)))
    assert gpu.synchronisations == 0 or waits(row)
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(a, Tensor) and a.grad is not None:
            close(on_host(b.grad), on_host(a.grad))


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=str)
def test_second_derivatives_are_numpys(row: Row, gpu: type[StandInArray]) -> None:
    def second(place: Any) -> list[Any]:
        inputs = tensors(row, place)
        here = place is np.copy
        y = row.op(*inputs, **{word: value if here else placed(value) for word, value in row.settings.items()})
        wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
        upstream = Tensor(place(np.random.default_rng(1).standard_normal(y.shape)), requires_grad=True)
        first = grad(y, wanted, upstream, create_graph=True, allow_unused=True)
        sum((g * g).sum() for g in first if g is not None).backward()
        return [on_host(x.grad) for x in [*wanted, upstream]]

    for expected, found in zip(second(np.copy), second(placed), strict=True):
        close(found, expected)


@pytest.mark.parametrize("mix", [
    lambda x, y: x + y,
    lambda x, y: y * x,
    lambda x, y: minidl.matmul(x, y),
    lambda x, y: minidl.cat([x, y]),
    lambda x, y: minidl.where(x > 0, x, y),
    lambda x, y: fused.linear(x, y),
    lambda x, y: x.__setitem__(0, y[0]),
    lambda x, y: y.__setitem__(0, x[0]),
    lambda x, y: x.add_(y),
    lambda x, y: y @ x,
    lambda x, y: shapes.stack([y, x]),
    lambda x, y: indexing.take_along_axis(x, y, axis=0),
])  # fmt: skip
def test_mixing_devices_names_both(mix: Any, gpu: type[StandInArray]) -> None:
    x, y = minidl.ones(2, 2), Tensor(placed(np.ones((2, 2), np.float32)))
    with pytest.raises(RuntimeError, match="cpu and cuda:0"):
        mix(x, y)


def test_a_gradient_from_the_host_is_copied_to_the_device(gpu: type[StandInArray]) -> None:
    x = Tensor(placed(np.ones(3)), requires_grad=True)
    (x * 2).backward(np.arange(3.0))
    assert x.grad.device == "cuda:0"
    np.testing.assert_array_equal(on_host(x.grad), [0, 2, 4])


def test_to_and_back(gpu: type[StandInArray]) -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = x.to("cuda")
    assert (y.device, y.device.type, x.cuda(0).device, x.to("gpu").device) == ("cuda:0", "cuda", "cuda:0", "cuda:0")
    (y * y).cpu().sum().backward()
    assert x.grad.tolist() == [2, 4]
    assert y.to("cpu").device == "cpu" and repr(y).startswith("tensor([1., 2.], device='cuda:0'")


def test_numpy_is_refused_on_the_gpu(gpu: type[StandInArray]) -> None:
    with pytest.raises(TypeError, match=r"cuda:0.*\.cpu\(\)"):
        Tensor(placed(np.ones(2))).numpy()


@pytest.mark.parametrize("index", [[0, 2], ([0, 1], [1, 0]), np.array([1, 0]), [True, False, True]], ids=str)
def test_lists_and_arrays_from_the_host_are_indices_on_the_gpu(index: Any, gpu: type[StandInArray]) -> None:
    numbers = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(on_host(Tensor(placed(numbers))[index]), numbers[index])
