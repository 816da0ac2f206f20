"""MNIST from the package's own files, and what happens when a file is not what it should be."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from minidl.data import MNIST, DataLoader, Subset, mnist

FILES = Path(mnist.__file__).parent / "mnist"


@pytest.fixture(scope="module")
def test_set():
    return MNIST(train=False)


@pytest.fixture
def root(tmp_path):
    """A folder with the two (small) files of the test set, to damage."""
    for file in FILES.glob("t10k-*"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_the_training_set_has_60000_digits_of_ten_kinds():
    train = MNIST()
    assert len(train) == 60_000
    assert train.images.shape == (60_000, 28, 28) and train.images.dtype == np.uint8
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_an_example_is_an_image_between_0_and_1_and_its_label(test_set):
    image, label = test_set[0]
    assert image.shape == (1, 28, 28) and image.dtype == np.float32
    assert type(label) is int and label == 7 and test_set.classes[label] == "seven"
    expected = test_set.images[0].astype(np.float32) / np.float32(255)  # PyTorch's ToTensor
    assert np.array_equal(image.array[0], expected)
    assert (image.array.min(), image.array.max()) == (0.0, 1.0)


@pytest.mark.parametrize("index", [[3, 1, 3], np.array([3, 1, 3]), slice(2, 5)])
def test_several_indices_give_a_batch(test_set, index):
    images, labels = test_set[index]
    assert images.shape == (3, 1, 28, 28) and images.dtype == np.float32
    assert labels.dtype == np.int64 and labels.tolist() == test_set.labels[index].tolist()
    assert np.array_equal(images.array[1], test_set[int(np.arange(10)[index][1])][0].array)


def test_the_loader_draws_the_same_batches_as_single_examples(test_set):
    for images, labels in DataLoader(Subset(test_set, range(10)), 4):
        for image, label in zip(images.array, labels.array, strict=True):
            here = np.flatnonzero((test_set.images[:10] == image[0] * 255).all((1, 2)))
            assert test_set.labels[here[0]] == label


def test_a_subclass_can_change_the_items(test_set):
    class Inverted(MNIST):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return 1 - image, label

    images, _ = next(iter(DataLoader(Inverted(train=False), 2)))
    assert np.array_equal(images.array, 1 - test_set[:2][0].array)


def test_another_folder_can_hold_the_files(root, test_set):
    assert np.array_equal(MNIST(train=False, root=root).images, test_set.images)


def test_a_folder_in_the_place_of_train_is_refused():
    with pytest.raises(TypeError, match="train must be True or False, got 'data'"):
        MNIST("data")


def test_a_missing_file_is_named(root):
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\.gz is missing.*Copy it anew"):
        MNIST(root=root)


def test_a_file_that_was_cut_off_is_named(root):
    path = root / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(RuntimeError, match=r"t10k-images-idx3-ubyte\.gz is damaged: not a whole gzip file"):
        MNIST(train=False, root=root)


def test_another_datasets_file_is_recognised_by_its_header(root):
    shutil.copy(root / "t10k-images-idx3-ubyte.gz", root / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(
        RuntimeError, match=r"labels.*magic number 2051 and sizes \[10000\], expected 2049 and"
    ):
        MNIST(train=False, root=root)


@pytest.mark.parametrize("change", ["a label", "the length"])
def test_changed_contents_are_recognised_by_their_checksum(root, change):
    path = root / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    if change == "a label":
        content[1000] ^= 1
    else:
        content += b"\0"
    path.write_bytes(gzip.compress(content, 1))
    with pytest.raises(
        RuntimeError, match=rf"labels.*{len(content)} unpacked bytes with SHA-256.*ff7bcfd416de"
    ):
        MNIST(train=False, root=root)


def test_the_licence_of_the_files_lies_beside_them():
    notice = (FILES / "NOTICE").read_text()
    assert "Yann LeCun, Corinna Cortes and Christopher J.C. Burges" in notice and "CC BY-SA 3.0" in notice
