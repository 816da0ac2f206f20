"""Small made-up datasets whose picture one knows: moons, spirals, circles, blobs, XOR, and points near a line.

Each is a TensorDataset of float32 points (N, features) and int64 labels (N,), or float32 targets (N, 1).
"""

from __future__ import annotations

import math

import numpy as np

from minidl.backend import Generator, random_stream
from minidl.data.dataset import TensorDataset


def moons(n: int = 1000, noise: float = 0.1, generator: Generator | None = None) -> TensorDataset:
    """Two half circles that reach into each other, two classes; `noise` is the standard deviation of each point.

    >>> data = moons(100, generator=Generator(0))
    >>> [tensor.shape for tensor in data.tensors]
    [(100, 2), (100,)]
    """
    random, labels = random_stream(generator), _labels(n, 2)
    angle = math.pi * random.random(n)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.where(labels[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)
    return _classes(points, labels, noise, random)


def circles(
    n: int = 1000, noise: float = 0.05, factor: float = 0.5, generator: Generator | None = None
) -> TensorDataset:
    """A circle of radius 1 and one of radius `factor` in it, two classes."""
    random, labels = random_stream(generator), _labels(n, 2)
    angle = 2 * math.pi * random.random(n)
    radius = np.where(labels == 0, 1.0, factor)
    return _classes(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), labels, noise, random)


def spirals(
    n: int = 1000, noise: float = 0.03, classes: int = 3, turns: float = 0.75, generator: Generator | None = None
) -> TensorDataset:
    """As many arms as `classes` that wind outwards from 0 to radius 1 in `turns` turns."""
    random, labels = random_stream(generator), _labels(n, classes)
    radius = np.sqrt(random.random(n))  # as many points near the centre as their length of arm
    angle = 2 * math.pi * (turns * radius + labels / classes)
    return _classes(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), labels, noise, random)


def blobs(
    n: int = 1000, centers: int = 3, features: int = 2, std: float = 1.0, generator: Generator | None = None
) -> TensorDataset:
    """Clouds of normal numbers around `centers` points drawn evenly from ±10, one class each."""
    random, labels = random_stream(generator), _labels(n, centers)
    middles = random.uniform(-10, 10, (centers, features))
    return _classes(middles[labels], labels, std, random)


def xor(n: int = 1000, noise: float = 0.0, generator: Generator | None = None) -> TensorDataset:
    """Points drawn evenly from ±1; class 1 where one coordinate is above 0 and the other is not."""
    random = random_stream(generator)
    points = random.uniform(-1, 1, (n, 2))
    labels = (points[:, 0] > 0) ^ (points[:, 1] > 0)
    return _classes(points, labels.astype(np.int64), noise, random)


def regression(
    n: int = 1000, features: int = 1, noise: float = 0.1, generator: Generator | None = None
) -> TensorDataset:
    """Normal points and targets x·w + b + noise, for a w and b drawn from the normal distribution.

    >>> x, y = regression(50, features=3).tensors
    >>> x.shape, y.shape
    ((50, 3), (50, 1))
    """
    random = random_stream(generator)
    w, b, x = random.standard_normal((features, 1)), random.standard_normal(), random.standard_normal((n, features))
    y = x @ w + b + noise * random.standard_normal((n, 1))
    return TensorDataset(x.astype(np.float32), y.astype(np.float32))


def _labels(n: int, classes: int) -> np.ndarray:
    """As many examples of each class as of the others, in turn."""
    if n < 1 or classes < 1:
        raise ValueError(f"expected at least one example and one class, got n={n} and {classes} classes")
    return np.arange(n) % classes


def _classes(points: np.ndarray, labels: np.ndarray, noise: float, random: np.random.Generator) -> TensorDataset:
    points = points + noise * random.standard_normal(points.shape)
    return TensorDataset(points.astype(np.float32), labels)
