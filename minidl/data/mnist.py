"""MNIST: 70,000 handwritten digits of 28 × 28 pixels, read from the four files that lie in this package.

Images stay as bytes in memory; a batch becomes float32 between 0 and 1 when it is drawn.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.autograd import Tensor
from minidl.data.dataset import Dataset


class IdxFile(NamedTuple):
    """One of the dataset's files: what its header must say, and the SHA-256 of its unpacked bytes."""

    name: str
    shape: tuple[int, ...]
    sha256: str


FILES = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte.gz",
            (60_000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60_000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    ),
    "test": (
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10_000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10_000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
}


class MNIST(Dataset):
    """The MNIST digits (LeCun, Cortes & Burges 1998): 60,000 to train on, or 10,000 to test with.

    `images` is a read-only uint8 array (N, 28, 28), `labels` an int64 array (N,), both on `device`.  One
    example is `(image, label)`: a float32 Tensor (1, 28, 28) between 0 and 1 and an int; a slice or an array
    of indices gives a batch, (N, 1, 28, 28) and (N,).  `root` reads the four `.gz` files from another folder.
    A missing file raises FileNotFoundError, a damaged one RuntimeError.

    >>> test = MNIST(train=False)
    >>> image, label = test[0]
    >>> len(test), image.shape, label
    (10000, (1, 28, 28), 7)
    """

    classes = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

    def __init__(
        self, train: bool = True, *, root: str | os.PathLike[str] | None = None, device: str = "cpu"
    ) -> None:
        if not isinstance(train, bool):
            raise TypeError(f"train must be True or False, got {train!r}; a folder is given as root=...")
        folder = Path(__file__).parent / "mnist" if root is None else Path(root)
        images, labels = (read_idx(folder, file) for file in FILES["train" if train else "test"])
        self.images = backend.to_device(images, device)  # (N, 28, 28) uint8
        self.labels = backend.to_device(labels.astype(np.int64), device)  # (N,)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[Tensor, Any]:
        images, labels = _as_tensors(self.images[index], self.labels[index])
        return images, labels if labels.ndim else int(labels)

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """The images and labels at `indices`: one look-up each."""
        indices = backend.array_module(self.images).asarray(indices)
        return _as_tensors(self.images.take(indices, axis=0), self.labels.take(indices))


def _as_tensors(images: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Bytes (..., 28, 28) as floats between 0 and 1, with a dimension for the channel; and the labels."""
    pixels = images[..., None, :, :].astype(np.float32)  # (..., 1, 28, 28)
    pixels /= 255  # not times 1/255: that rounds otherwise than PyTorch's ToTensor
    return Tensor(pixels), Tensor(labels)


def read_idx(folder: Path, file: IdxFile) -> np.ndarray:
    """The array in one gzipped IDX file: a big-endian header (magic number, sizes), then the bytes.

    The format is described on the dataset's own page, http://yann.lecun.com/exdb/mnist.
    """
    path = folder / file.name
    header = struct.pack(f">{len(file.shape) + 1}I", 0x0800 | len(file.shape), *file.shape)  # 0x08: bytes
    size = len(header) + math.prod(file.shape)
    try:
        content = zlib.decompress(path.read_bytes(), zlib.MAX_WBITS | 16, size)  # 16: with a gzip header
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: one of the four files of MNIST. {_HELP}") from None
    except zlib.error as error:
        raise RuntimeError(f"{path} is damaged: not a whole gzip file ({error}). {_HELP}") from None
    if content[: len(header)] != header:
        raise RuntimeError(f"{path} is not MNIST's file: {_header_difference(content, header)}. {_HELP}")
    if (sha256 := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise RuntimeError(
            f"{path} is damaged: {len(content)} unpacked bytes with SHA-256 {sha256}, "
            f"expected {size} with {file.sha256}. {_HELP}"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(file.shape)


_HELP = "Copy it anew from minidl/data/mnist/ of the project, or install minidl from there once more"


def _header_difference(content: bytes, header: bytes) -> str:
    """Which numbers stand at the head of a file, and which should."""
    numbers = len(header) // 4
    found = struct.unpack(f">{numbers}I", content[: len(header)].ljust(len(header), b"\0"))
    magic, *sizes = struct.unpack(f">{numbers}I", header)
    return f"magic number {found[0]} and sizes {list(found[1:])}, expected {magic} and {sizes}"
