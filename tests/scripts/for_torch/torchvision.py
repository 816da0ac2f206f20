"""As much of torchvision as the scripts use, for the library that minidl is compared with: MNIST without a network.

It reads the files of MNIST that lie in minidl, but by itself.
"""

import gzip
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

MNIST_FOLDER = Path(__file__).resolve().parents[3] / "minidl" / "data" / "mnist"


class MNIST(torch.utils.data.Dataset):
    def __init__(self, root, train=True, transform=None, download=False):
        name, count = ("train", 60_000) if train else ("t10k", 10_000)
        images, labels = (
            np.frombuffer(gzip.decompress((MNIST_FOLDER / f"{name}-{kind}-ubyte.gz").read_bytes()), np.uint8)
            for kind in ("images-idx3", "labels-idx1")
        )
        self.data = torch.tensor(images[16:].reshape(count, 28, 28))
        self.targets = torch.tensor(labels[8:]).long()
        self.transform = transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.transform(self.data[index]), int(self.targets[index])


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


class ToTensor:
    def __call__(self, image):
        return image[None].float() / 255


class Normalize:
    def __init__(self, mean, std):
        self.mean, self.std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (mean, std))

    def __call__(self, image):
        return (image - self.mean) / self.std


def save_image(tensor, path, nrow=8):
    Path(path).write_bytes(tensor.mul(255).byte().numpy().tobytes())


def _module(name, **contents):
    module = sys.modules[f"torchvision.{name}"] = ModuleType(f"torchvision.{name}")
    vars(module).update(contents)
    return module


datasets = _module("datasets", MNIST=MNIST)
transforms = _module("transforms", Compose=Compose, ToTensor=ToTensor, Normalize=Normalize)
utils = _module("utils", save_image=save_image)
__path__ = []
