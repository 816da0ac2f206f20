"""Transforms: functions that change images before a network sees them, under torchvision's names.

They take one image (C, H, W) or a batch (N, C, H, W), in which each image is moved, turned or flipped by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import Array, array_module, random_stream


class Transform:
    """Base class: define `apply(images)` on an array (N, C, H, W); calling it takes one image or a batch.

    >>> import minidl
    >>> class Negative(Transform):
    ...     def apply(self, images): return 1 - images
    >>> Negative()(minidl.ones(1, 2, 2)).shape
    (1, 2, 2)
    """

    def __call__(self, images: Tensor) -> Tensor:
        if images.ndim not in (3, 4):
            raise ValueError(f"{type(self).__name__}: expected (C, H, W) or (N, C, H, W), got shape {images.shape}")
        if images.ndim == 4:
            return Tensor(self.apply(images.array))
        return Tensor(self.apply(images.array[None])[0])

    def apply(self, images: Array) -> Array:
        """The changed images."""
        raise TypeError(f"{type(self).__name__} does not say what it does: define apply(self, images)")

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


def takes_batches(transform: Any) -> bool:
    """Whether a transform can be called with a whole batch of tensors."""
    return isinstance(transform, Transform | OneHot | ToTensor) or (
        isinstance(transform, Compose) and all(map(takes_batches, transform.transforms))
    )


class Compose:
    """Transforms one after the other.

    >>> import minidl
    >>> Compose([Pad(1), RandomCrop(4)])(minidl.ones(8, 1, 4, 4)).shape
    (8, 1, 4, 4)
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: Any) -> Any:
        for transform in self.transforms:
            images = transform(images)
        return images

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


class ToTensor:
    """An array of bytes (H, W) or (H, W, C), or a PIL image, as floats (C, H, W) between 0 and 1; a Tensor stays.

    >>> ToTensor()(np.full((2, 3), 255, np.uint8)).shape
    (1, 2, 3)
    """

    def __call__(self, image: Any) -> Tensor:
        if isinstance(image, Tensor):
            return image
        pixels = np.asarray(image)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if pixels.ndim != 3:
            raise ValueError(f"ToTensor: expected an image (H, W) or (H, W, C), got shape {pixels.shape}")
        floats = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)
        return Tensor(floats / np.float32(255) if pixels.dtype == np.uint8 else floats)


class Normalize(Transform):
    """(x - mean) / std in each channel; ValueError for a std of 0.

    >>> import minidl
    >>> Normalize((0.5,), (0.5,))(minidl.zeros(1, 1, 2))
    tensor([[[-1., -1.]]])
    """

    def __init__(self, mean: Sequence[float] | float, std: Sequence[float] | float) -> None:
        self.mean, self.std = np.atleast_1d(mean).tolist(), np.atleast_1d(std).tolist()
        if 0 in self.std:
            raise ValueError(f"Normalize: std must not be 0, got {std}")

    def apply(self, images: Array) -> Array:
        xp = array_module(images)
        mean, std = (xp.asarray(numbers, images.dtype).reshape(-1, 1, 1) for numbers in (self.mean, self.std))
        return (images - mean) / std


class Pad(Transform):
    """A frame of `padding` pixels of the value `fill` on all four sides."""

    def __init__(self, padding: int, fill: float = 0) -> None:
        self.padding, self.fill = padding, fill

    def apply(self, images: Array) -> Array:
        frame = ((0, 0), (0, 0), (self.padding,) * 2, (self.padding,) * 2)
        return array_module(images).pad(images, frame, constant_values=self.fill)


class CenterCrop(Transform):
    """The middle `size` (height and width, or one number for both) of each image."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _pair(size)

    def apply(self, images: Array) -> Array:
        (height, width), (rows, columns) = images.shape[2:], _checked(self.size, images)
        top, left = (height - rows) // 2, (width - columns) // 2
        return images[:, :, top : top + rows, left : left + columns]


class RandomCrop(Transform):
    """A part of `size` from a random place of each image, around which `padding` zeros were put.

    With the image's own size it is a random shift by up to `padding` pixels.  ValueError for more than there is.
    """

    def __init__(self, size: int | Sequence[int], padding: int = 0, fill: float = 0) -> None:
        self.size, self.padding, self.fill = _pair(size), padding, fill

    def apply(self, images: Array) -> Array:
        xp, random = array_module(images), random_stream()
        images = Pad(self.padding, self.fill).apply(images)
        (height, width), (rows, columns), count = images.shape[2:], _checked(self.size, images), len(images)
        top = xp.asarray(random.integers(0, height - rows + 1, count))[:, None] + xp.arange(rows)
        left = xp.asarray(random.integers(0, width - columns + 1, count))[:, None] + xp.arange(columns)
        each = xp.arange(count)[:, None, None]
        return images.transpose(0, 2, 3, 1)[each, top[:, :, None], left[:, None, :]].transpose(0, 3, 1, 2)


class RandomHorizontalFlip(Transform):
    """Each image mirrored left to right with probability `p`."""

    axis = -1

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def apply(self, images: Array) -> Array:
        xp = array_module(images)
        flipped = xp.asarray(random_stream().random(len(images)) < self.p)[:, None, None, None]
        return xp.where(flipped, xp.flip(images, self.axis), images)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Each image turned upside down, mirrored, with probability `p`."""

    axis = -2


class RandomRotation(Transform):
    """Each image turned around its middle by up to `degrees` either way, or by an angle from (least, most).

    Each pixel takes the value nearest to where it comes from; `fill` comes from outside.
    """

    def __init__(self, degrees: float | Sequence[float], fill: float = 0) -> None:
        least, most = (-degrees, degrees) if isinstance(degrees, int | float) else degrees
        if not least <= most:
            raise ValueError(f"RandomRotation: expected an angle from 0, or two in order, got {degrees}")
        self.degrees, self.fill = (least, most), fill

    def apply(self, images: Array) -> Array:
        xp, (height, width) = array_module(images), images.shape[2:]
        angles = xp.asarray(random_stream().uniform(*self.degrees, len(images)) * math.pi / 180)[:, None, None]
        y = xp.arange(height)[:, None] - (height - 1) / 2
        x = xp.arange(width) - (width - 1) / 2
        rows = xp.rint(y * xp.cos(angles) + x * xp.sin(angles) + (height - 1) / 2).astype(int)  # (N, H, W)
        columns = xp.rint(x * xp.cos(angles) - y * xp.sin(angles) + (width - 1) / 2).astype(int)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        each = xp.arange(len(images))[:, None, None]
        turned = images.transpose(0, 2, 3, 1)[each, rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return xp.where(inside[..., None], turned, xp.asarray(self.fill, images.dtype)).transpose(0, 3, 1, 2)


class OneHot:
    """Class labels as rows of zeros with a single 1, float32: a label (), or labels (N,) -> (..., classes).

    >>> OneHot(3)(1)
    tensor([0., 1., 0.])
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, labels: Any) -> Tensor:
        labels = labels.array if isinstance(labels, Tensor) else np.asarray(labels)
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise ValueError(f"OneHot: expected labels from 0 to {self.classes - 1}, got {int(labels.max())}")
        return Tensor((labels[..., None] == array_module(labels).arange(self.classes)).astype(np.float32))


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def _checked(size: tuple[int, int], images: Array) -> tuple[int, int]:
    if size[0] > images.shape[2] or size[1] > images.shape[3]:
        raise ValueError(f"cannot cut {size} out of images of {images.shape[2:]}: use a larger padding")
    return size
