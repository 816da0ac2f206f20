"""A row of the table of ops, and the random inputs that rows are made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Row:
    op: Callable[..., Any]
    inputs: tuple[Any, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    torch: Callable[..., Any] | None = None  # of the inputs alone; None: an adjoint, checked as its op's derivative
    label: str = ""
    fixed: tuple[int, ...] = ()  # positions of float inputs that the op is not differentiable in

    def __str__(self) -> str:
        shapes = "x".join(str(getattr(x, "shape", x)).replace(" ", "") for x in self.inputs)
        return f"{self.op.__name__}-{self.label or shapes}"


_random = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return _random.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    return _random.uniform(0.5, 2.0, shape)


def probability(*shape: int) -> np.ndarray:
    return _random.uniform(0.1, 0.9, shape)


def distinct(*shape: int) -> np.ndarray:
    """No two entries nearer than 0.1, and none nearer to 0 than 0.05: finite differences see no kink."""
    size = int(np.prod(shape))
    return (_random.permutation(size).reshape(shape) - size // 2 + 0.5) * 0.1


def whole(high: int, *shape: int) -> np.ndarray:
    return _random.integers(0, high, shape)
