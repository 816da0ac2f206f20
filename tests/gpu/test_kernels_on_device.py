"""The kernels on a real GPU at the sizes that small examples do not reach: many blocks, many parameters, long rows.

`pytest -m gpu` runs these; without a GPU they are skipped, and say why.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_cases import no_device, on_host, same

import minidl
from minidl import Tensor, nn, optim
from minidl.nn import functional as F

if no_device() is not None:
    pytest.skip(str(no_device()), allow_module_level=True)

pytestmark = pytest.mark.gpu


def on_both(loss: Callable[..., Tensor], *inputs: Tensor) -> None:
    """The loss of the inputs, and its gradients, are those of the CPU; and the same bits when they are asked again."""
    found: dict[str, list[np.ndarray]] = {}
    for device in ("cpu", "cuda", "cuda, again"):
        leaves = [x.to(device.split(",")[0]).clone() for x in inputs]
        floats = [x.requires_grad_() for x in leaves if x.dtype.kind == "f"]
        result = loss(*leaves)
        result.backward()
        found[device] = [x.detach().cpu().numpy() for x in (result, *[x.grad for x in floats])]
    for ours, again, theirs in zip(found["cuda"], found["cuda, again"], found["cpu"], strict=True):
        np.testing.assert_array_equal(ours, again)
        scale = max(1e-6, np.abs(theirs).max())
        np.testing.assert_allclose(ours / scale, theirs / scale, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("rows", "classes"), [(64, 10), (5000, 10), (300, 1000), (7, 50_000)])
def test_cross_entropy(rows: int, classes: int) -> None:
    target = minidl.randint(0, classes, (rows,))
    target[::5] = -100
    on_both(lambda x, y: F.cross_entropy(x, y), minidl.randn(rows, classes), target)


@pytest.mark.parametrize(("layer", "shape"), [
    (lambda: nn.Linear(784, 128), (64, 784)), (lambda: nn.Linear(10, 1000), (7, 3000, 10)),
    (lambda: nn.Conv2d(3, 64, 3, padding=1), (128, 3, 32, 32)), (lambda: nn.Conv1d(8, 16, 5, groups=4), (33, 8, 1000)),
])  # fmt: skip
def test_bias_and_relu_have_the_bits_of_one_after_the_other(
    layer: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    one, x = layer().to("cuda"), minidl.randn(*shape).to("cuda")
    y = nn.Sequential(one, nn.ReLU())(x)
    assert y.array.strides == one(x).array.strides
    np.testing.assert_array_equal(y.detach().cpu().numpy(), one(x).relu().detach().cpu().numpy())


@pytest.mark.parametrize("shape", [(128, 6, 24, 24), (64, 64, 8, 8), (512, 100), (16, 3, 100, 100)])
def test_batch_norm(shape: tuple[int, ...]) -> None:
    x, g = minidl.randn(*shape) + 3, minidl.randn(*shape)
    on_both(lambda x, w, b: (F.batch_norm(x, None, None, w, b, training=True) * g.to(x.device)).sum(),
            x, minidl.randn(shape[1]), minidl.randn(shape[1]))  # fmt: skip


@pytest.mark.parametrize("shape", [(4096, 16), (300, 512), (5, 7, 5000)])
def test_layer_norm(shape: tuple[int, ...]) -> None:
    x, g = minidl.randn(*shape) + 3, minidl.randn(*shape)
    on_both(lambda x, w, b: (F.layer_norm(x, shape[-1:], w, b) * g.to(x.device)).sum(),
            x, minidl.randn(shape[-1]), minidl.randn(shape[-1]))  # fmt: skip


@pytest.mark.parametrize("shapes", [[(784, 128), (128,), (128, 10), (10,)], [(3, 5)] * 300, [(2_000_000,), (1,), (0,)]])
@pytest.mark.parametrize("name", ["Adam", "SGD", "Adagrad", "RAdam"])
def test_clipping_and_a_step_for_many_parameters(name: str, shapes: list[tuple[int, ...]]) -> None:
    def trained(device: str) -> dict[str, Any]:
        params = [Tensor(w.to(device).array, requires_grad=True) for w in weights]
        optimizer = getattr(optim, name)(params, lr=0.01)
        for p, g in zip(params, gradients, strict=True):
            p.grad = g.to(device)
        norm = nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        return {str(i): x.detach().cpu().numpy() for i, x in enumerate([norm, *params])}

    minidl.manual_seed(0)
    weights, gradients = ([minidl.randn(*shape) for shape in shapes] for _ in range(2))
    same(trained("cuda"), trained("cpu"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in optim.by_name if name not in ("lbfgs", "muon")])
def test_the_kernel_of_every_rule_compiles(name: str, dtype: str) -> None:
    model = nn.Linear(3, 2).to(getattr(minidl, dtype))
    on_gpu = copy.deepcopy(model).to("cuda")
    for network in (model, on_gpu):
        optimizer = optim.by_name[name](network.parameters(), lr=0.01)
        for _ in range(3):
            for p in network.parameters():
                p.grad = Tensor(p.detach().array + 1)
            optimizer.step()
    same(on_host(on_gpu), on_host(model))
