"""The DataLoader: every example once an epoch, in an order that the seed decides."""

import numpy as np
import pytest
import torch

import minidl
from minidl.data import DataLoader, Dataset, TensorDataset


def numbers(loader):
    """The batches of one epoch as lists."""
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize(
    "size, batch_size, drop_last", [(10, 3, False), (10, 3, True), (9, 3, True), (2, 5, True)]
)
def test_batches_without_shuffling_are_pytorchs(size, batch_size, drop_last):
    ours = DataLoader(list(range(size)), batch_size, drop_last=drop_last)
    theirs = torch.utils.data.DataLoader(list(range(size)), batch_size, drop_last=drop_last)
    assert len(ours) == len(theirs)
    assert numbers(ours) == numbers(theirs)


def test_each_epoch_is_another_permutation():
    loader = DataLoader(np.arange(100), 7, shuffle=True, seed=0)
    first, second = ([number for batch in numbers(loader) for number in batch] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second != list(range(100))


def test_the_seed_decides_the_orders_whatever_else_draws_numbers():
    def orders():
        loader = DataLoader(np.arange(30), 30, shuffle=True, seed=5)
        first = numbers(loader)
        minidl.rand(10)
        return first, numbers(loader)

    assert orders() == orders()


def test_without_a_seed_the_order_comes_from_the_generator_or_from_manual_seed():
    def order(**settings):
        return numbers(DataLoader(np.arange(30), 30, shuffle=True, **settings))

    assert order(generator=minidl.Generator(1)) == order(generator=minidl.Generator(1)) == order(seed=1)
    minidl.manual_seed(2)
    first = order()
    minidl.manual_seed(2)
    assert order() == first == order(seed=2)


def test_two_passes_at_once_do_not_disturb_each_other():
    loader = DataLoader(list(range(4)), 2)
    assert [(a.tolist(), b.tolist()) for a, b in zip(loader, loader, strict=True)] == [
        ([0, 1], [0, 1]),
        ([2, 3], [2, 3]),
    ]


def test_a_dataset_in_memory_is_asked_once_for_a_batch():
    class Counting(Dataset):
        def __init__(self):
            self.asked = []

        def __len__(self):
            return 5

        def __getitem__(self, index):
            raise AssertionError("asked for a single example")

        def batch(self, indices):
            self.asked.append(indices.tolist())
            return indices

    data = Counting()
    assert numbers(DataLoader(data, 2)) == [[0, 1], [2, 3], [4]]
    assert data.asked == [[0, 1], [2, 3], [4]]


def test_collate_fn_gets_the_list_of_examples():
    data = TensorDataset(np.arange(4.0))
    loader = DataLoader(data, 3, collate_fn=lambda examples: [x.item() for (x,) in examples])
    assert list(loader) == [[0.0, 1.0, 2.0], [3.0]]


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None])
def test_a_wrong_batch_size_is_named(batch_size):
    with pytest.raises(ValueError, match=f"batch_size must be a whole number from 1, got {batch_size}"):
        DataLoader([1, 2], batch_size)


def test_a_seed_and_a_generator_exclude_each_other():
    with pytest.raises(ValueError, match="got both"):
        DataLoader([1, 2], seed=0, generator=minidl.Generator(0))


def test_something_without_items_is_refused():
    with pytest.raises(TypeError, match="__getitem__, got generator"):
        DataLoader(x for x in "abc")
