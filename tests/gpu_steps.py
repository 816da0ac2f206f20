"""What the tests of minidl.compile on a GPU share: batches, the numbers of tensors, and how often Python ran a step."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minidl
from minidl import Tensor, nn, optim
from minidl.nn import functional as F

RUNS = deque([0])  # of the Python of a step; in a list compile would notice that it counts


def on_gpu(*values: float) -> Tensor:
    return minidl.tensor(values, dtype=minidl.float32, device="cuda")


def numbers(x: Tensor) -> np.ndarray:
    return x.array.get()


def batches(count: int, size: int = 8) -> Iterator[tuple[Tensor, Tensor]]:
    stream = np.random.default_rng(5)
    for _ in range(count):
        yield (minidl.tensor(stream.standard_normal((size, 6), np.float32), device="cuda"),
               minidl.tensor(stream.integers(0, 3, size), device="cuda"))  # fmt: skip


def assert_same(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for a, b in zip(left, right, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def programs(step: Any) -> int:
    return sum(map(len, step.programs.values()))


def mixed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 3)).to("cuda")


class Training:
    """A model, its optimizer, a schedule and a step, compiled or not; two of them with the same seed begin alike."""

    def __init__(self, compiled: bool, make: Callable[[], nn.Module] = mixed) -> None:
        minidl.manual_seed(3)
        self.model = make()
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.05)
        self.schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(self.optimizer, 7)
        self.runs = 0
        self.step: Any = minidl.compile(self.written) if compiled else self.written

    def written(self, x: Tensor, y: Tensor) -> Tensor:
        self.count()
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.3)
        self.optimizer.step()
        self.schedule.step()
        return loss

    def count(self) -> None:
        RUNS[0] += 1

    def run(self, data: Any) -> list[np.ndarray]:
        """All losses, then all weights, buffers and gradients."""
        minidl.manual_seed(4)
        losses = [self.step(x, y) for x, y in data]
        gradients = [p.grad for p in self.model.parameters()]
        return [numbers(x) for x in [*losses, *self.model.state_dict().values(), *gradients]]
