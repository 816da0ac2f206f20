"""Graphs that several tests of the study part look at."""

import numpy as np

import minidl
from minidl import Tensor, nn, study
from minidl.train.models import lenet


def number(value: float) -> Tensor:
    return minidl.tensor(value, requires_grad=True)


def neuron() -> Tensor:
    """tanh of a neuron with two inputs, written with exp: e is used twice."""
    x1, x2, w1, w2, b = map(number, (2.0, 0.0, -3.0, 1.0, 6.8813735870195432))
    for x, name in ((x1, "x1"), (x2, "x2"), (w1, "w1"), (w2, "w2"), (b, "b")):
        x.name = name
    n = x1 * w1 + x2 * w2 + b
    n.name = "n"
    e = (2 * n).exp()
    e.name = "e"
    o = (e - 1) / (e + 1)
    o.name = "o"
    return o


def lenet_loss(count: int = 2) -> tuple[nn.Module, Tensor]:
    """LeNet-5 on random images, recorded."""
    minidl.manual_seed(0)
    model = lenet()
    images = minidl.tensor(np.random.default_rng(0).random((count, 1, 28, 28), dtype=np.float32))
    with study.record(model):
        loss = nn.functional.cross_entropy(model(images), minidl.tensor([1, 7][:count]))
    return model, loss


class Block(nn.Module):
    def __init__(self) -> None:
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x).tanh()) * 0.5


def deep_loss(blocks: int = 130) -> tuple[nn.Module, Tensor]:
    """A residual network of more than 1,000 tensors, recorded."""
    minidl.manual_seed(0)
    model = nn.Sequential(*[Block() for _ in range(blocks)])
    with study.record(model):
        loss = model(minidl.randn(4, 8)).square().mean()
    return model, loss


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether two rectangles (x, y, width, height) have a point in common."""
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
