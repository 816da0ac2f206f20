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


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_a_wrong_batch_size_is_named(batch_size):
    with pytest.raises(ValueError, match=f"batch_size must be .*, got {batch_size}"):
        DataLoader([1, 2], batch_size)


def test_a_seed_and_a_generator_exclude_each_other():
    with pytest.raises(ValueError, match="got both"):
        DataLoader([1, 2], seed=0, generator=minidl.Generator(0))


def test_something_without_items_is_refused():
    with pytest.raises(TypeError, match=r"__getitem__ \(or .*, got generator"):
        DataLoader(x for x in "abc")


# -- samplers and workers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda data: data.SequentialSampler(range(7)),
        lambda data: data.BatchSampler(data.SequentialSampler(range(7)), 3, drop_last=False),
        lambda data: data.BatchSampler(range(7), 3, drop_last=True),
        lambda data: data.WeightedRandomSampler([0.0, 1.0], 4),
    ],
)
def test_samplers_give_what_pytorchs_give(make) -> None:
    ours, theirs = make(minidl.data), make(torch.utils.data)
    assert (list(ours), len(ours)) == (list(theirs), len(theirs))


def test_random_samplers() -> None:
    data = minidl.data
    assert sorted(data.RandomSampler(range(6))) == list(range(6))
    assert len(list(data.RandomSampler(range(3), num_samples=8))) == 8
    assert set(data.RandomSampler(range(3), replacement=True, num_samples=200)) == {0, 1, 2}
    assert sorted(data.SubsetRandomSampler([4, 2, 9])) == [2, 4, 9]
    assert sorted(data.WeightedRandomSampler([1.0, 2.0, 1.0], 3, replacement=False)) == [0, 1, 2]
    drawn = np.bincount(list(data.WeightedRandomSampler([1, 3], 4000, generator=minidl.Generator(0))))
    assert drawn[1] / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    "make",
    [
        lambda data: data.RandomSampler(range(3), num_samples=0),
        lambda data: data.WeightedRandomSampler([1.0], 0),
        lambda data: data.BatchSampler(range(3), 0, False),
        lambda data: data.DataLoader(range(3), shuffle=True, sampler=range(3)),
        lambda data: data.DataLoader(range(3), batch_size=2, batch_sampler=[[0]]),
        lambda data: data.DataLoader(range(3), num_workers=-1),
        lambda data: data.ConcatDataset([]),
    ],
)
def test_what_does_not_fit_is_refused(make) -> None:
    for library in (minidl.data, torch.utils.data):
        with pytest.raises((ValueError, AssertionError)):
            make(library)


def test_a_loader_follows_its_sampler() -> None:
    loader = DataLoader(list(range(10)), batch_size=2, sampler=[5, 1, 3])
    assert [batch.tolist() for batch in loader] == [[5, 1], [3]] and len(loader) == 2
    loader = DataLoader(list(range(10)), batch_sampler=[[9], [0, 4, 2]])
    assert [batch.tolist() for batch in loader] == [[9], [0, 4, 2]] and len(loader) == 2


def test_workers_make_the_same_batches_ahead_but_not_too_many() -> None:
    asked = []

    class Slow(minidl.data.Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            asked.append(index)
            return index

    plain = [batch.tolist() for batch in DataLoader(list(range(40)), 3, shuffle=True, seed=1)]
    assert [batch.tolist() for batch in DataLoader(Slow(), 3, shuffle=True, seed=1, num_workers=2)] == plain
    asked.clear()
    batches = iter(DataLoader(Slow(), 2, num_workers=2, prefetch_factor=1))
    next(batches)
    batches.close()
    assert len(asked) <= 2 * 3


def test_an_error_in_a_worker_reaches_the_loop() -> None:
    class Broken(minidl.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            raise OSError("cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        list(DataLoader(Broken(), num_workers=1))


def test_concatenated_datasets() -> None:
    ours, theirs = (library.ConcatDataset([[1, 2], [3], [4, 5, 6]]) for library in (minidl.data, torch.utils.data))
    assert [ours[i] for i in range(-6, 6)] == [theirs[i] for i in range(-6, 6)]
    assert ours.cumulative_sizes == theirs.cumulative_sizes
    with pytest.raises(IndexError):
        ours[6]
    x, y = (minidl.data.TensorDataset(minidl.zeros(n, 2)) for n in (2, 3))
    assert len(x + y) == 5 and len((x + y) + x) == 7
