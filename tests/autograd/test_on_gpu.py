"""What autograd adds to the ops works on a GPU without copies to the host; the strict stand-in plays the GPU."""

from typing import Any

import numpy as np
import pytest
from stand_in import StandInArray, install

import minidl
from minidl import Tensor
from minidl.autograd import Function, detect_anomaly, functional, grad
from minidl.utils.checkpoint import checkpoint


class Split(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Any:
        y = x.exp()
        ctx.save_for_backward(x, y)
        return y, x * 2

    @staticmethod
    def backward(ctx: Any, g: Tensor, h: Tensor) -> Tensor:
        return g * ctx.saved_tensors[1] + h * 2


@pytest.fixture
def x(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    install(monkeypatch)
    return minidl.tensor([1.0, 2.0], device="cuda", requires_grad=True)


def test_nothing_waits_for_the_gpu(x: Tensor) -> None:
    y, _ = Split.apply(x)
    (slope,) = grad(y.sum(), x, create_graph=True)
    (slope.sum() + checkpoint(lambda: (x * x).exp()).sum()).backward()
    _, product = functional.vjp(lambda x: x * x, x, x)
    _, other = functional.hvp(lambda x: (x * x * x).sum(), x, x)
    assert StandInArray.synchronisations == 0
    np.testing.assert_allclose(product.cpu().numpy(), [2, 8])
    np.testing.assert_allclose(other.cpu().numpy(), [6, 24])
    at = np.array([1.0, 2.0])
    np.testing.assert_allclose(x.grad.cpu().numpy(), np.exp(at) + 2 * at * np.exp(at * at), rtol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_anomaly_is_described(x: Tensor) -> None:
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"divide produced inf in 1 of 2 entries, first at \(1,\)"):
        x / (x - 2)
