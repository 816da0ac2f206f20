"""MNIST: 70,000 handwritten digits of 28 × 28 pixels, read from the four files that lie in this package.

FashionMNIST and KMNIST have the same format and size, and are downloaded when they are first asked for.  Images stay
as bytes in memory; a batch becomes float32 between 0 and 1 when it is drawn.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.autograd import Tensor
from minidl.data.collate import collate
from minidl.data.dataset import Dataset
from minidl.data.download import data_folder, fetch
from minidl.data.transforms import takes_batches


class IdxFile(NamedTuple):
    """One of a dataset's files: what its header must say, and the SHA-256 of its bytes, unpacked or as they come."""

    name: str
    shape: tuple[int, ...]
    sha256: str
    packed: bool = False


def _files(*sha256: str, packed: bool) -> dict[bool, tuple[IdxFile, IdxFile]]:
    """The images and labels to train on (True) and to test with (False)."""
    names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    shapes = [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)]
    first, second, third, fourth = (
        IdxFile(f"{name}-ubyte.gz", shape, digest, packed)
        for name, shape, digest in zip(names, shapes, sha256, strict=True)
    )
    return {True: (first, second), False: (third, fourth)}


class MNIST(Dataset):
    """The MNIST digits (LeCun, Cortes & Burges 1998): 60,000 to train on, or 10,000 to test with.

    `images` is a read-only uint8 array (N, 28, 28), `labels` an int64 array (N,), both on `device`.  One
    example is `(image, label)`: a float32 Tensor (1, 28, 28) between 0 and 1 and an int; a slice or an array
    of indices gives a batch, (N, 1, 28, 28) and (N,).  `transform` and `target_transform` are functions of images and
    labels (see `data.transforms`), called with whole batches if they can take them, else with one after the other.
    `root` reads the four `.gz` files from another folder.
    A missing file raises FileNotFoundError, a damaged one RuntimeError.

    >>> test = MNIST(train=False)
    >>> image, label = test[0]
    >>> len(test), image.shape, label
    (10000, (1, 28, 28), 7)
    """

    classes: tuple[str, ...] = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    files = _files(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        packed=False,
    )

    def __init__(
        self,
        train: bool = True,
        *,
        root: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if not isinstance(train, bool):
            raise TypeError(f"train must be True or False, got {train!r}; a folder is given as root=...")
        folder = self._folder(None if root is None else Path(root), self.files[train])
        images, labels = (read_idx(folder, file, self._remedy) for file in self.files[train])
        self.images = backend.to_device(images, device)  # (N, 28, 28) uint8
        self.labels = backend.to_device(labels.astype(np.int64), device)  # (N,)
        self.transform, self.target_transform = transform, target_transform

    _remedy = "Copy it anew from minidl/data/mnist/ of the project, or install minidl from there once more"

    def _folder(self, root: Path | None, files: tuple[IdxFile, ...]) -> Path:
        """Where the files lie: in this package, unless another folder is named."""
        return root or Path(__file__).parent / "mnist"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[Tensor, Any]:
        images, labels = self._transformed(*_as_tensors(self.images[index], self.labels[index]))
        return images, int(labels) if isinstance(labels, Tensor) and not labels.ndim else labels

    def batch(self, indices: backend.Array) -> tuple[Tensor, Tensor]:
        """The images and labels at `indices`: one look-up each."""
        indices = backend.array_module(self.images).asarray(indices)
        return self._transformed(*_as_tensors(self.images.take(indices, axis=0), self.labels.take(indices)))

    def _transformed(self, images: Tensor, labels: Tensor) -> tuple[Any, Any]:
        one = labels.ndim == 0
        return (_applied(self.transform, images, one),
                _applied(self.target_transform, int(labels) if one else labels, one))  # fmt: skip


class FashionMNIST(MNIST):
    """Zalando's articles of clothing (Xiao, Rasul & Vollgraf 2017), in MNIST's format; downloaded at first use.

    30 MB, MIT licence; kept in `root`, else in the folder MINIDL_DATA, else in the user's cache.  RuntimeError
    without a network says where the files may be put.
    """

    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    mirrors: tuple[str, ...] = (
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    files = _files(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        packed=True,
    )

    _remedy = "Delete it, and it is downloaded anew"

    def _folder(self, root: Path | None, files: tuple[IdxFile, ...]) -> Path:
        folder = root or data_folder() / type(self).__name__
        for file in files:
            if not (folder / file.name).exists():
                fetch(folder / file.name, [mirror + file.name for mirror in self.mirrors], file.sha256)
        return folder


class KMNIST(FashionMNIST):
    """Ten letters of cursive Japanese (Clanuwat et al. 2018), in MNIST's format; downloaded at first use.

    21 MB, CC BY-SA 4.0 (created by ROIS-DS Center for Open Data in the Humanities).
    """

    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    mirrors = (
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    )
    files = _files(
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        packed=True,
    )


def _applied(transform: Callable[[Any], Any] | None, values: Any, one: bool) -> Any:
    """One value transformed, or a batch: at once by a transform that can, else one after the other."""
    if transform is None:
        return values
    return transform(values) if one or takes_batches(transform) else collate([transform(value) for value in values])


def _as_tensors(images: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Bytes (..., 28, 28) as floats between 0 and 1, with a dimension for the channel; and the labels."""
    pixels = images[..., None, :, :].astype(np.float32)  # (..., 1, 28, 28)
    pixels /= 255  # not times 1/255: that rounds otherwise than PyTorch's ToTensor
    return Tensor(pixels), Tensor(labels)


def read_idx(folder: Path, file: IdxFile, remedy: str) -> np.ndarray:
    """The array in one gzipped IDX file: a big-endian header (magic number, sizes), then the bytes.

    The format is described on the dataset's own page, http://yann.lecun.com/exdb/mnist.
    """
    path = folder / file.name
    header = struct.pack(f">{len(file.shape) + 1}I", 0x0800 | len(file.shape), *file.shape)  # 0x08: bytes
    size = len(header) + math.prod(file.shape)
    try:
        packed = path.read_bytes()
        content = zlib.decompress(packed, zlib.MAX_WBITS | 16, size)  # 16: with a gzip header
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: one of the four files of the dataset. {remedy}") from None
    except zlib.error as error:
        raise RuntimeError(f"{path} is damaged: not a whole gzip file ({error}). {remedy}") from None
    if content[: len(header)] != header:
        raise RuntimeError(f"{path} is not the dataset's file: {_header_difference(content, header)}. {remedy}")
    if (sha256 := hashlib.sha256(packed if file.packed else content).hexdigest()) != file.sha256:
        raise RuntimeError(
            f"{path} is damaged: {len(content)} unpacked bytes with SHA-256 {sha256}, "
            f"expected {size} with {file.sha256}. {remedy}"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(file.shape)


def _header_difference(content: bytes, header: bytes) -> str:
    """Which numbers stand at the head of a file, and which should."""
    numbers = len(header) // 4
    found = struct.unpack(f">{numbers}I", content[: len(header)].ljust(len(header), b"\0"))
    magic, *sizes = struct.unpack(f">{numbers}I", header)
    return f"magic number {found[0]} and sizes {list(found[1:])}, expected {magic} and {sizes}"
