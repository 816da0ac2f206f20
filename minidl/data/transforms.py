"""Transforms: functions that change images before a network sees them, under torchvision's names.

They take one image (C, H, W) or a batch (N, C, H, W), in which each image is moved, turned or flipped by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import Array, array_module, random_stream
from minidl.data.transform import Transform
from minidl.data.warps import RandomAffine as RandomAffine
from minidl.data.warps import RandomRotation as RandomRotation


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
    """A frame around each image: `padding` pixels on all sides, or (left and right, top and bottom), or all four.

    Its pixels have the value `fill`, or with another `padding_mode` ("edge", "reflect", "symmetric") those of the
    image.  ValueError for anything else.
    """

    def __init__(self, padding: int | Sequence[int], fill: float = 0, padding_mode: str = "constant") -> None:
        sides = [padding] if isinstance(padding, int) else list(padding)
        if len(sides) not in (1, 2, 4) or padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError(
                "Pad: expected 1, 2 or 4 lengths, and constant, edge, reflect or symmetric as padding_mode; "
                f"got {padding} and {padding_mode!r}"
            )
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def apply(self, images: Array) -> Array:
        sides = [self.padding] if isinstance(self.padding, int) else list(self.padding)
        left, top, right, bottom = sides * (4 // len(sides))
        return _framed(images, (top, bottom), (left, right), self.fill, self.padding_mode)


def _framed(images: Array, rows: tuple[int, int], columns: tuple[int, int], fill: float, mode: str) -> Array:
    options = {"constant_values": fill} if mode == "constant" else {}
    return array_module(images).pad(images, ((0, 0), (0, 0), rows, columns), mode, **options)


def _grown(images: Array, size: tuple[int, int], fill: float = 0, mode: str = "constant") -> Array:
    """Images with a frame, as equal as it can be, where they are smaller than `size`."""
    rows, columns = (max(0, side - own) for side, own in zip(size, images.shape[2:], strict=True))
    return _framed(images, (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), fill, mode)


class CenterCrop(Transform):
    """The middle `size` (height and width, or one number for both) of each image, with a frame of 0 if it is less."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _pair(size)

    def apply(self, images: Array) -> Array:
        images, (rows, columns) = _grown(images, self.size), self.size
        top, left = round((images.shape[2] - rows) / 2), round((images.shape[3] - columns) / 2)
        return images[:, :, top : top + rows, left : left + columns]


class RandomCrop(Transform):
    """A part of `size` from a random place of each image, around which a frame was put as by `Pad`.

    With the image's own size it is a random shift by up to `padding` pixels.  ValueError for more than there is,
    unless `pad_if_needed`.
    """

    def __init__(
        self, size: int | Sequence[int], padding: int | Sequence[int] | None = None, pad_if_needed: bool = False,
        fill: float = 0, padding_mode: str = "constant",
    ) -> None:  # fmt: skip
        self.size, self.padding, self.pad_if_needed = _pair(size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def apply(self, images: Array) -> Array:
        xp, random = array_module(images), random_stream()
        images = Pad(self.padding or 0, self.fill, self.padding_mode).apply(images)
        images = _grown(images, self.size, self.fill, self.padding_mode) if self.pad_if_needed else images
        (height, width), (rows, columns), count = images.shape[2:], self.size, len(images)
        if rows > height or columns > width:
            raise ValueError(f"cannot cut {self.size} out of images of {images.shape[2:]}: use a larger padding")
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


class Grayscale(Transform):
    """Colours (N, 3, H, W) as brightness, 0.2989 red + 0.587 green + 0.114 blue, in 1 or 3 equal channels; 1 stays."""

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels
        if num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: num_output_channels must be 1 or 3, got {num_output_channels}")

    def apply(self, images: Array) -> Array:
        if images.shape[1] == 3:
            red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
            images = (0.2989 * red + 0.587 * green + 0.114 * blue).astype(images.dtype)
        if images.shape[1] != 1:
            raise TypeError(f"Grayscale: expected images with 1 or 3 channels, got shape {images.shape}")
        return array_module(images).concatenate([images] * self.num_output_channels, 1)


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
