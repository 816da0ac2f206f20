"""What teaching scripts take from torchvision: the MNIST family, transforms, and pictures of a grid of images.

MNIST itself lies in minidl, so that `root` and `download` change nothing for it.  Images are tensors from the start,
between 0 and 1, and never PIL images.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from minidl import data
from minidl.autograd import Tensor
from minidl.backend import random_stream
from minidl.data import transforms as ours
from minidl.nn.functional import interpolate

# -- datasets --------------------------------------------------------------------------------------------------------


def _numbers(name: str, doc: str) -> property:
    """A tensor on the array that the attribute `name` holds; a script may put another in its place."""
    return property(
        lambda dataset: Tensor(getattr(dataset, name)),
        lambda dataset, value: setattr(dataset, name, getattr(value, "array", value)),
        doc=doc,
    )


def _with_torchvisions_arguments(kind: type[data.MNIST], *, downloaded: bool) -> type[data.MNIST]:
    """The dataset `kind` with torchvision's constructor and attributes, in torchvision's folder if it is downloaded."""

    class Dataset(kind):  # type: ignore[valid-type, misc]
        def __init__(
            self, root: Any = None, train: bool = True, transform: Any = None, target_transform: Any = None,
            download: bool = False,
        ) -> None:  # fmt: skip
            folder = Path(root, kind.__name__, "raw") if downloaded and root is not None else None
            super().__init__(train, root=folder, transform=transform, target_transform=target_transform)
            self.root, self.train = root, train
            self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

        data = _numbers("images", "The images as bytes (N, 28, 28).")
        targets = _numbers("labels", "The labels (N,).")

    Dataset.__name__ = Dataset.__qualname__ = kind.__name__
    Dataset.__doc__ = kind.__doc__
    return Dataset


class FakeData(data.Dataset):
    """Images of noise between 0 and 1, each with a class that says nothing of it: to try a program out."""

    def __init__(
        self, size: int = 1000, image_size: Sequence[int] = (3, 224, 224), num_classes: int = 10,
        transform: Any = None, target_transform: Any = None, random_offset: int = 0,
    ) -> None:  # fmt: skip
        self.size, self.image_size, self.num_classes, self.random_offset = size, image_size, num_classes, random_offset
        self.transform, self.target_transform = transform or ours.ToTensor(), target_transform or int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < self.size:
            raise IndexError(f"FakeData has {self.size} images, there is none at {index}")
        random = np.random.default_rng(self.random_offset + index)
        image = Tensor(random.random(self.image_size, np.float32))
        return self.transform(image), self.target_transform(int(random.integers(self.num_classes)))


datasets = SimpleNamespace(
    FakeData=FakeData,
    MNIST=_with_torchvisions_arguments(data.MNIST, downloaded=False),
    FashionMNIST=_with_torchvisions_arguments(data.FashionMNIST, downloaded=True),
    KMNIST=_with_torchvisions_arguments(data.KMNIST, downloaded=True),
)

# -- transforms ------------------------------------------------------------------------------------------------------


class Lambda:
    """Any function as a transform."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        self.lambd = lambd

    def __call__(self, value: Any) -> Any:
        return self.lambd(value)


InterpolationMode = SimpleNamespace(NEAREST="nearest", BILINEAR="bilinear", BICUBIC="bicubic")


class Resize(ours.Transform):
    """Each image in another size, (height, width) or the length of its shorter side; `antialias` changes nothing."""

    def __init__(self, size: int | Sequence[int], interpolation: str = "bilinear", *, antialias: bool = True) -> None:
        self.size, self.interpolation = size, interpolation

    def apply(self, images: Any) -> Any:
        height, width = images.shape[2:]
        size: Any = [self.size] if isinstance(self.size, int) else list(self.size)
        if len(size) == 1:
            size = [length * size[0] // min(height, width) for length in (height, width)]
        return interpolate(Tensor(images), size, mode=self.interpolation).array


class ToDtype:
    """Images in another dtype; with `scale`, bytes become floats between 0 and 1."""

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        self.dtype, self.scale = dtype, scale

    def __call__(self, images: Tensor) -> Tensor:
        from_bytes = self.scale and images.dtype == np.uint8 and np.dtype(self.dtype).kind == "f"
        return images.to(self.dtype) / 255 if from_bytes else images.to(self.dtype)


class RandomApply:
    """Transforms that are applied, all of them or none, with probability `p`."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        self.transform, self.p = ours.Compose(transforms), p

    def __call__(self, image: Any) -> Any:
        return self.transform(image) if random_stream().random() < self.p else image


_transforms = dict(
    Compose=ours.Compose, ToTensor=ours.ToTensor, Normalize=ours.Normalize, Pad=ours.Pad, CenterCrop=ours.CenterCrop,
    RandomCrop=ours.RandomCrop, RandomHorizontalFlip=ours.RandomHorizontalFlip, Lambda=Lambda, Resize=Resize,
    RandomVerticalFlip=ours.RandomVerticalFlip, RandomRotation=ours.RandomRotation, RandomAffine=ours.RandomAffine,
    Grayscale=ours.Grayscale, RandomApply=RandomApply, InterpolationMode=InterpolationMode,
)  # fmt: skip
transforms = SimpleNamespace(**_transforms, ConvertImageDtype=partial(ToDtype, scale=True))
transforms_v2 = SimpleNamespace(**_transforms, ToImage=ours.ToTensor, ToDtype=ToDtype)

# -- pictures --------------------------------------------------------------------------------------------------------


def make_grid(
    tensor: Any, nrow: int = 8, padding: int = 2, normalize: bool = False,
    value_range: tuple[float, float] | None = None, scale_each: bool = False, pad_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """Images (N, C, H, W), or a list of (C, H, W), beside each other in rows of `nrow`: (3, rows, columns).

    A frame of `padding` pixels goes around each, except where there is only one image.  `normalize` brings the values
    from `value_range`, by default from the least to the greatest (of each image with `scale_each`), to 0 ... 1.

    >>> import minidl
    >>> make_grid(minidl.ones(3, 1, 4, 4), nrow=2).shape
    (3, 14, 14)
    """
    images: Any = np.stack([np.asarray(x) for x in tensor]) if isinstance(tensor, list) else tensor.detach().cpu().array
    images = images.reshape((1,) * (4 - images.ndim) + images.shape)
    images = np.repeat(images, 3, axis=1) if images.shape[1] == 1 else images
    if normalize:
        axes = (1, 2, 3) if scale_each else None
        low, high = value_range or (images.min(axes, keepdims=True), images.max(axes, keepdims=True))
        images = (np.clip(images, low, high) - low) / np.maximum(high - np.asarray(low), 1e-5)
    count, channels, height, width = images.shape
    if count == 1:
        return Tensor(images[0])
    columns = min(nrow, count)
    down, across = height + padding, width + padding
    shape = (channels, math.ceil(count / columns) * down + padding, columns * across + padding)
    grid = np.full(shape, pad_value, images.dtype)
    for i, image in enumerate(images):
        top, left = i // columns * down + padding, i % columns * across + padding
        grid[:, top : top + height, left : left + width] = image
    return Tensor(grid)


def save_image(tensor: Any, fp: str | os.PathLike[str], format: str | None = None, **options: Any) -> None:
    """Write `make_grid` of the images as a picture file; ImportError without matplotlib says how to install it."""
    try:
        from matplotlib import image
    except ImportError:
        raise ImportError('save_image needs matplotlib: pip install "minidl[study]"') from None
    grid = make_grid(tensor, **options).array.transpose(1, 2, 0)
    image.imsave(fp, np.clip(grid * 255 + 0.5, 0, 255).astype(np.uint8), format=format)


utils = SimpleNamespace(make_grid=make_grid, save_image=save_image)
