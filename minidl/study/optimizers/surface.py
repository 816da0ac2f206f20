"""Surfaces to walk down on: functions of two numbers x and y, each hard for another reason.

A surface may be seen through noise, or one example at a time, as the loss of a network is; what it really is stays
known, so that it can be drawn, and one can say how far down a method came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.autograd import Tensor, no_grad, tensor

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Surface:
    """What a race is run on: `f`, which takes a tensor of the shape of `start` to one number.

    `minima` are the lowest places and `lowest` is the value there, as far as they are known; `box` is what pictures
    show: (left, right, bottom, top).  `sample`, if there is one, is the loss that step t (from 0) sees instead of f;
    `noise` is the standard deviation of what is added to each entry of a gradient.  With `many`, f takes a tensor
    (count, 2) to count numbers as well.
    """

    name: str
    f: Callable[[Tensor], Tensor]
    start: Any = None
    minima: Sequence[Point] = ()
    lowest: float | None = None
    box: Box | None = None
    sample: Callable[[Tensor, int], Tensor] | None = None
    noise: float = 0.0
    about: str = ""
    many: bool = False

    def loss(self, w: Tensor, t: int, tilt: Tensor | None) -> Tensor:
        """What step t differentiates; `tilt` is what noise adds to the gradient."""
        point = w.reshape(-1) if self.many and w.ndim > 1 else w  # such as the matrix that some optimizers need
        loss = self.f(point) if self.sample is None else self.sample(point, t)
        return loss if tilt is None else loss + (tilt * w).sum()

    def values(self, points: np.ndarray) -> np.ndarray:
        """f at many points (count, ...)."""
        with no_grad(), np.errstate(all="ignore"):
            if self.many:
                return self.f(tensor(points)).numpy().reshape(len(points))
            return np.array([self.f(tensor(point)).item() for point in points])


surfaces: dict[str, Surface] = {}


def _surface(
    start: Point, minima: Sequence[Point], box: Box, lowest: float = 0.0, noise: float = 0.0,
    sample: Callable[[Tensor, Tensor, int], Tensor] | None = None,
) -> Callable[[Function], Function]:  # fmt: skip
    """Enter a function of x and y into `surfaces`, under its name."""

    def enter(function: Function) -> Function:
        name, about = function.__name__, " ".join((function.__doc__ or "").split())
        seen = None if sample is None else (lambda w, t: sample(w[..., 0], w[..., 1], t))
        surfaces[name] = Surface(
            name, lambda w: function(w[..., 0], w[..., 1]), start, minima, lowest, box, seen, noise, about, many=True
        )
        return function

    return enter


@_surface(start=(-4.0, 3.0), minima=[(0, 0)], box=(-5, 5, -4, 4))
def bowl(x: Tensor, y: Tensor) -> Tensor:
    """The quadratic bowl: the gradient points straight at the minimum, and every method gets there."""
    return (x**2 + y**2) / 2


@_surface(start=(-9.0, 1.0), minima=[(0, 0)], box=(-10, 4, -2, 2))
def ravine(x: Tensor, y: Tensor) -> Tensor:
    """A bowl 100 times as steep across as along: a rate that is safe across the ravine is slow along it."""
    return (x**2 + 100 * y**2) / 2


@_surface(start=(-1.2, 1.0), minima=[(1, 1)], box=(-2, 2, -1, 3))
def rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    """Rosenbrock's banana (1960): a bent valley with steep walls and an almost flat floor."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


@_surface(start=(1.0, 1.5), minima=[(3, 0.5)], box=(-1, 4.5, -2, 2.5))
def beale(x: Tensor, y: Tensor) -> Tensor:
    """Beale's function (1958): flat around the minimum, steep towards the corners."""
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


@_surface(
    start=(-0.5, -1.0), box=(-6, 6, -6, 6),
    minima=[(3, 2), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)],
)  # fmt: skip
def himmelblau(x: Tensor, y: Tensor) -> Tensor:
    """Himmelblau's function (1972): four minima, all equally low; from near the top, methods end in different ones."""
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


@_surface(start=(-8.0, 6.0), minima=[(1, 3)], box=(-10, 10, -10, 10))
def booth(x: Tensor, y: Tensor) -> Tensor:
    """Booth's function: a bowl that lies askew, so that no weight can be improved without the other."""
    return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


@_surface(start=(-2.0, 1e-4), minima=[(0, math.sqrt(2)), (0, -math.sqrt(2))], lowest=-1.0, box=(-2.5, 2.5, -2.2, 2.2))
def saddle(x: Tensor, y: Tensor) -> Tensor:
    """A saddle between two minima: down along x to a place where the gradient is almost nothing, and then aside."""
    return x**2 - y**2 + y**4 / 4


@_surface(start=(-5.0, 4.0), minima=[(0, 0)], box=(-7, 7, -6, 6))
def plateau(x: Tensor, y: Tensor) -> Tensor:
    """A hole in a plateau: far from it the gradient is almost nothing."""
    return 1 - (-(x**2 + y**2) / 8).exp()


@_surface(start=(-3.3, 2.7), minima=[(0, 0)], box=(-5.12, 5.12, -5.12, 5.12))
def rastrigin(x: Tensor, y: Tensor) -> Tensor:
    """Rastrigin's function (1974): a bowl full of dents, each a minimum of its own."""
    dents = 10 * ((2 * math.pi * x).cos() + (2 * math.pi * y).cos())
    return 20 + x**2 + y**2 - dents


@_surface(start=(-3.3, 2.6), minima=[(0, 0)], box=(-5, 5, -5, 5))
def ackley(x: Tensor, y: Tensor) -> Tensor:
    """Ackley's function (1987): nearly flat and full of dents, with one narrow hole."""
    dents = ((2 * math.pi * x).cos() + (2 * math.pi * y).cos()) / 2
    return 20 + math.e - 20 * (-0.2 * ((x**2 + y**2) / 2).sqrt()).exp() - dents.exp()


@_surface(start=(-9.0, 3.0), minima=[(0, 0)], box=(-10, 4, -4, 4), noise=2.0)
def noisy(x: Tensor, y: Tensor) -> Tensor:
    """A bowl 10 times as steep in y, whose gradients are noisy as those of small batches."""
    return (x**2 + 10 * y**2) / 2


RARE = 20  # the second feature is there in one of so many examples


def _example(x: Tensor, y: Tensor, t: int) -> Tensor:
    """Half the squared error of example t; the true weights are 1 and 3, and the labels are noisy."""
    noise = 0.5 * float(np.random.default_rng(t).standard_normal())
    error = (x - 1) + (y - 3) if t % RARE == RARE // 2 else x - 1
    return (error - noise) ** 2 / 2


@_surface(start=(-1.0, -1.0), minima=[(1, 3)], box=(-2, 4, -2, 5), sample=_example)
def sparse(x: Tensor, y: Tensor) -> Tensor:
    """Two features, one of them in one example of 20 only; a step sees one example."""
    common, rare = (x - 1) ** 2 / 2, ((x - 1) + (y - 3)) ** 2 / 2
    return ((RARE - 1) * common + rare) / RARE
