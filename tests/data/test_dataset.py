"""Datasets: what an index gives, what a batch gives, and how a dataset is cut into parts."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

import minidl
from minidl.data import Dataset, Subset, TensorDataset, collate, random_split


class Point(NamedTuple):
    x: float
    label: int


def pairs(length=6):
    """A TensorDataset of `length` rows (2,) with labels, and its two arrays."""
    x = np.arange(2.0 * length, dtype=np.float32).reshape(length, 2)
    y = np.arange(length) % 3
    return TensorDataset(x, y), x, y


def test_tensor_dataset_gives_what_pytorch_gives():
    ours, x, y = pairs()
    theirs = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    assert len(ours) == len(theirs)
    for index in (0, -1, slice(1, 4), [3, 1]):
        for mine, reference in zip(ours[index], theirs[index], strict=True):
            assert mine.shape == tuple(reference.shape)
            assert mine.tolist() == reference.tolist()


def test_a_batch_of_a_tensor_dataset_is_its_rows():
    data, x, y = pairs()
    rows, labels = data.batch(np.array([5, 0, 0]))
    assert rows.dtype == np.float32
    assert np.array_equal(rows.array, x[[5, 0, 0]])
    assert np.array_equal(labels.array, y[[5, 0, 0]])


@pytest.mark.parametrize("index", [
    np.array([True, False] * 3), [4, -1], slice(1, 3), np.array([], int), np.array([1, 0], "int32"),
], ids=["mask", "list", "slice", "empty", "int32"])  # fmt: skip
def test_a_batch_may_be_named_as_in_numpy(index):
    data, x, y = pairs(6)
    for ours, array in zip(data.batch(index), (x, y), strict=True):
        np.testing.assert_array_equal(ours.array, array[index])


@pytest.mark.parametrize("wrong", [[0.5], [6], [-7]])
def test_no_batch_of_rows_that_are_not_there(wrong):
    with pytest.raises(IndexError):
        pairs(6)[0].batch(np.array(wrong))


def test_iterating_over_a_dataset_ends_after_its_last_example():
    data, x, _ = pairs(3)
    assert [row.tolist() for row, _ in data] == x.tolist()


@pytest.mark.parametrize("arrays", [(), (np.ones(3), np.ones(2)), (np.float32(1.0),)])
def test_tensors_that_do_not_fit_are_refused(arrays):
    with pytest.raises(AssertionError, match="TensorDataset"):
        TensorDataset(*arrays)


def test_a_dataset_without_its_two_methods_says_which_is_missing():
    with pytest.raises(TypeError, match="define __len__"):
        len(Dataset())
    with pytest.raises(TypeError, match="define __getitem__"):
        Dataset()[0]


def test_a_subclass_that_changes_the_items_changes_the_batches():
    class Negative(TensorDataset):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return -x, y

    _, x, y = pairs()
    rows, labels = Negative(x, y).batch(np.array([1, 2]))
    assert np.array_equal(rows.array, -x[[1, 2]])
    assert np.array_equal(labels.array, y[[1, 2]])


def test_a_subset_of_a_subset_reaches_the_right_rows():
    data, x, _ = pairs()
    inner = Subset(Subset(data, [5, 3, 1]), [2, 0])
    assert len(inner) == 2
    assert inner[0][0].tolist() == x[1].tolist()
    assert inner[-1][0].tolist() == x[5].tolist()
    assert inner.batch(np.array([1, 0]))[0].tolist() == x[[5, 1]].tolist()
    assert len(Subset(data, [])) == 0


def test_wrong_indices_of_a_subset_are_refused_at_once():
    data, _, _ = pairs()
    with pytest.raises(IndexError, match="index 6 is outside a dataset of 6 examples"):
        Subset(data, [0, 6])
    with pytest.raises(TypeError, match="float64"):
        Subset(data, [0.5, 1.0])
    with pytest.raises(TypeError, match="bool"):
        Subset(data, [True, False])


@pytest.mark.parametrize(
    "size, lengths", [(10, [3, 7]), (10, [0.75, 0.25]), (11, [0.3, 0.3, 0.4]), (3, [0.5, 0.5])]
)
def test_random_split_has_pytorchs_lengths_and_loses_nothing(size, lengths):
    ours = random_split(range(size), lengths, minidl.Generator(1))
    theirs = torch.utils.data.random_split(range(size), lengths)
    assert [len(part) for part in ours] == [len(part) for part in theirs]
    assert sorted(index for part in ours for index in part) == list(range(size))


def test_random_split_repeats_with_the_same_seed():
    first, second, other = (
        random_split(range(50), [25, 25], minidl.Generator(seed))[0].indices.tolist() for seed in (3, 3, 4)
    )
    assert first == second != other


@pytest.mark.parametrize("lengths", [[3, 6], [0.5, 0.4], [-1, 11], []])
def test_lengths_that_do_not_add_up_are_refused(lengths):
    with pytest.raises(ValueError, match="random_split"):
        random_split(range(10), lengths)


def test_collate_builds_a_batch_like_one_example():
    examples = [
        {"pair": (np.float32(1.5), 2), "name": "a", "flag": True, "list": [minidl.ones(2)]},
        {"pair": (np.float32(2.5), 3), "name": "b", "flag": False, "list": [minidl.zeros(2)]},
    ]
    batch = collate(examples)
    assert batch["pair"][0].dtype == np.float32
    assert [part.tolist() for part in batch["pair"]] == [[1.5, 2.5], [2, 3]]
    assert batch["name"] == ["a", "b"]
    assert batch["flag"].tolist() == [True, False]
    assert batch["list"][0].tolist() == [[1.0, 1.0], [0.0, 0.0]]
    points = collate([Point(0.5, 1), Point(1.5, 2)])
    assert isinstance(points, Point) and points.x.dtype == np.float32 and points.label.tolist() == [1, 2]


def test_collate_says_what_does_not_fit():
    with pytest.raises(RuntimeError, match=r"equal shapes, got \(2,\), \(3,\)"):
        collate([np.ones(2), np.ones(3)])
    with pytest.raises(RuntimeError, match="as many parts"):
        collate([(1, 2), (1,)])
    with pytest.raises(TypeError, match=r"object.*collate_fn"):
        collate([object()])


def test_what_rounding_leaves_over_is_spread():
    assert [len(part) for part in random_split(range(11), [1 / 3, 1 / 3, 1 / 3])] == [4, 4, 3]
