"""Transforms that turn, shift, stretch and shear images, each image by another amount.

Each pixel takes the value nearest to where it comes from; `fill` comes from outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backend import Array, array_module, random_stream
from minidl.data.transform import Transform


class RandomAffine(Transform):
    """Each image turned, shifted, scaled and sheared around its middle, by random amounts.

    - `degrees`: by an angle up to so much either way, or from (least, most); clockwise.
    - `translate`: by up to these shares of its width and height.
    - `scale`: by a factor from (least, most).
    - `shear`: along the x axis, by degrees up to so much either way or from (least, most); four numbers: along y, too.

    >>> import minidl
    >>> RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1))(minidl.ones(4, 1, 28, 28)).shape
    (4, 1, 28, 28)
    """

    def __init__(
        self, degrees: float | Sequence[float], translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None, shear: float | Sequence[float] | None = None,
        interpolation: Any = "nearest", fill: float = 0,
    ) -> None:  # fmt: skip
        if getattr(interpolation, "value", interpolation) != "nearest":
            raise ValueError(f'{type(self).__name__}: pixels are taken, not mixed: interpolation="nearest"')
        shears = [0.0] if shear is None else shear
        self.degrees, self.translate = _range(degrees, "degrees"), tuple(translate or (0.0, 0.0))
        self.scale, self.fill = tuple(scale or (1.0, 1.0)), fill
        self.shear = tuple(shears) if isinstance(shears, Sequence) and len(shears) == 4 else (
            *_range(shears[0] if isinstance(shears, Sequence) and len(shears) == 1 else shears, "shear"), 0.0, 0.0)
        if not all(0 <= share <= 1 for share in self.translate) or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(
                f"{type(self).__name__}: expected shares from 0 to 1 to shift by and factors above 0 in order, "
                f"got translate={translate}, scale={scale}"
            )

    def apply(self, images: Array) -> Array:
        random, count = random_stream(), len(images)
        angle = random.uniform(*self.degrees, count) * math.pi / 180
        sides = np.array(self.translate) * (images.shape[3], images.shape[2])
        shifts = np.round(random.uniform(-sides, sides, (count, 2)))
        stretch = random.uniform(self.scale[0], self.scale[1], count)[:, None, None]
        along_x = random.uniform(self.shear[0], self.shear[1], count) * math.pi / 180
        along_y = random.uniform(self.shear[2], self.shear[3], count) * math.pi / 180
        matrices = _turned(angle) @ _sheared(along_y, 1, 0) @ _sheared(along_x, 0, 1) * stretch
        return _taken(images, np.linalg.inv(matrices), shifts, self.fill)


class RandomRotation(RandomAffine):
    """Each image turned around its middle by up to `degrees` either way, or by an angle from (least, most).

    Counter-clockwise.  ValueError for an angle below 0, or two that are not in order.
    """

    def __init__(self, degrees: float | Sequence[float], interpolation: Any = "nearest", *, fill: float = 0) -> None:
        super().__init__(degrees, interpolation=interpolation, fill=fill)

    def apply(self, images: Array) -> Array:
        angle = random_stream().uniform(*self.degrees, len(images)) * math.pi / 180
        return _taken(images, _turned(angle), np.zeros((len(images), 2)), self.fill)

    def __repr__(self) -> str:
        return f"RandomRotation(degrees={self.degrees}, fill={self.fill})"


def _range(amount: Any, word: str) -> tuple[float, float]:
    least, most = (-amount, amount) if isinstance(amount, int | float) else amount
    if not least <= most:
        raise ValueError(f"{word}: expected an angle from 0, or two in order, got {amount}")
    return least, most


def _turned(angle: np.ndarray) -> np.ndarray:
    """Matrices (N, 2, 2) that turn points (x, y)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.moveaxis(np.array([[cos, -sin], [sin, cos]]), -1, 0)


def _sheared(angle: np.ndarray, row: int, column: int) -> np.ndarray:
    matrices = np.tile(np.eye(2), (len(angle), 1, 1))
    matrices[:, row, column] = -np.tan(angle)
    return matrices


def _taken(images: Array, matrices: np.ndarray, shifts: np.ndarray, fill: float) -> Array:
    """Images (N, C, H, W) whose pixel at p, seen from the middle, comes from matrix · (p - shift)."""
    xp, (height, width) = array_module(images), images.shape[2:]
    m, shifts = xp.asarray(matrices)[:, :, :, None, None], xp.asarray(shifts)[:, :, None, None]
    x = xp.arange(width) - (width - 1) / 2 - shifts[:, 0]  # (N, 1, W)
    y = xp.arange(height)[:, None] - (height - 1) / 2 - shifts[:, 1]  # (N, H, 1)
    columns = xp.rint(m[:, 0, 0] * x + m[:, 0, 1] * y + (width - 1) / 2).astype(int)  # (N, H, W)
    rows = xp.rint(m[:, 1, 0] * x + m[:, 1, 1] * y + (height - 1) / 2).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    each = xp.arange(len(images))[:, None, None]
    taken = images.transpose(0, 2, 3, 1)[each, rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return xp.where(inside[..., None], taken, xp.asarray(fill, images.dtype)).transpose(0, 3, 1, 2)
