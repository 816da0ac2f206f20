"""Streams of examples, single examples, worker threads and stacked datasets: as PyTorch's, on the same data."""

from collections import namedtuple

import numpy as np
import pytest
import torch

import minidl

LIBRARIES = [minidl, torch]
Point = namedtuple("Point", "x y")


def counter(library, share=False):
    """A stream of the numbers from start to stop, which workers may share."""

    class Counter(library.utils.data.IterableDataset):
        def __init__(self, start, stop):
            super().__init__()
            self.start, self.stop = start, stop

        def __iter__(self):
            worker = library.utils.data.get_worker_info() if share else None
            step, first = (1, 0) if worker is None else (worker.num_workers, worker.id)
            return iter(range(self.start + first, self.stop, step))

    return Counter


def plain(value):
    """A batch as lists and numbers."""
    if isinstance(value, (list, tuple)):
        return type(value)(*map(plain, value)) if hasattr(value, "_fields") else list(map(plain, value))
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


def both(make):
    """What `make(library)` gives in minidl, after checking that PyTorch gives the same."""
    ours, theirs = (plain(list(make(library))) for library in LIBRARIES)
    assert ours == theirs
    return ours


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_stream_is_cut_into_batches(size, drop_last):
    both(lambda lib: lib.utils.data.DataLoader(counter(lib)(0, size), 2, drop_last=drop_last))


@pytest.mark.parametrize("share", [False, True])
def test_workers_take_turns_with_a_stream(share):
    loader = minidl.data.DataLoader(counter(minidl, share)(3, 8), 2, num_workers=2)
    whole = [[3, 4], [3, 4], [5, 6], [5, 6], [7], [7]]  # PyTorch's order, in which each worker has its own turn
    assert plain(list(loader)) == ([[3, 5], [4, 6], [7]] if share else whole)


def test_a_worker_may_change_its_copy_of_the_dataset_when_it_starts():
    def halve(number):
        info = minidl.data.get_worker_info()
        assert info.id == number and info.num_workers == 2
        info.dataset.start += number * 2
        info.dataset.stop = info.dataset.start + 2

    stream = counter(minidl)(0, 4)
    loader = minidl.data.DataLoader(stream, batch_size=None, num_workers=2, worker_init_fn=halve)
    assert list(loader) == [0, 2, 1, 3] and (stream.start, stream.stop) == (0, 4)
    assert minidl.data.get_worker_info() is None


def test_random_numbers_in_workers_repeat_and_leave_the_order_alone():
    class Noisy(minidl.data.Dataset):
        def __len__(self):
            return 20

        def __getitem__(self, index):
            return index, minidl.rand(2)

    def epochs(workers):
        minidl.manual_seed(3)
        loader = minidl.data.DataLoader(Noisy(), 3, shuffle=True, num_workers=workers)
        return [[(i.tolist(), x.tolist()) for i, x in loader] for _ in range(2)]

    first, again, alone = epochs(3), epochs(3), epochs(0)
    assert first == again and first[0] != first[1]
    assert [i for i, _ in first[0]] == [i for i, _ in alone[0]]


def test_without_batches_examples_come_one_by_one_as_tensors():
    examples = [Point(np.float64(1), "a"), Point(np.float64(2), "b")]
    both(lambda lib: lib.utils.data.DataLoader(examples, batch_size=None))
    both(lambda lib: lib.utils.data.DataLoader([{"x": np.ones(2)}, {"x": np.zeros(2)}], batch_size=None))
    loader = minidl.data.DataLoader(minidl.data.TensorDataset(np.arange(3.0)), None, shuffle=True)
    assert len(loader) == 3 and sorted(x.item() for (x,) in loader) == [0, 1, 2] and loader.batch_size is None


def test_batches_are_built_like_their_examples():
    examples = [{"p": Point(1, np.zeros(2)), "name": "a", "flags": [True, 2]},
                {"p": Point(3, np.ones(2)), "name": "b", "flags": [False, 4]}]  # fmt: skip
    batch = both(lambda lib: lib.utils.data.DataLoader(examples, 2))
    assert batch == [{"p": Point([1, 3], [[0, 0], [1, 1]]), "name": ["a", "b"], "flags": [[True, False], [2, 4]]}]
    assert minidl.data.default_collate(examples)["p"].x.dtype == minidl.int64


def test_chained_and_stacked_datasets():
    both(lambda lib: counter(lib)(0, 2) + counter(lib)(5, 7))
    both(lambda lib: lib.utils.data.DataLoader(lib.utils.data.StackDataset(x=[1, 2, 3], y=["a", "b", "c"]), 2))
    both(lambda lib: lib.utils.data.DataLoader(lib.utils.data.StackDataset([1, 2, 3], [4, 5, 6]), 2))
    both(lambda lib: [len(lib.utils.data.StackDataset(x=[1, 2, 3]))])


@pytest.mark.parametrize("make", [
    lambda lib, data: data.DataLoader(counter(lib)(0, 3), shuffle=True),
    lambda lib, data: data.DataLoader(counter(lib)(0, 3), sampler=[1]),
    lambda lib, data: data.DataLoader([1, 2], batch_size=None, drop_last=True),
    lambda lib, data: data.DataLoader([1, 2], persistent_workers=True),
    lambda lib, data: len(data.DataLoader(counter(lib)(0, 3))),
    lambda lib, data: data.ConcatDataset([counter(lib)(0, 3)]),
    lambda lib, data: list(data.ChainDataset([[1, 2]])),
    lambda lib, data: data.StackDataset([1], [1, 2]),
    lambda lib, data: data.StackDataset([1], x=[1]),
    lambda lib, data: data.StackDataset(),
])  # fmt: skip
def test_what_does_not_fit_a_stream_is_refused(make):
    kinds = []
    for library in LIBRARIES:
        with pytest.raises((ValueError, TypeError, AssertionError)) as raised:
            make(library, library.utils.data)
        kinds.append(raised.type)
    assert issubclass(*kinds)
