"""A dataset that decodes its examples itself: workers do it in the background, ahead, and never too far ahead."""

import threading
import time
from typing import Any

import pytest

from minidl.data import DataLoader, Dataset

BATCH = 4


class Decoded(Dataset):
    """Notes which examples were decoded, and by which threads; waits at the gate first."""

    def __init__(self) -> None:
        self.gate, self.examples, self.threads = threading.Event(), list[int](), set[int]()

    def __len__(self) -> int:
        return 400

    def __getitem__(self, index: Any) -> int:
        assert self.gate.wait(10)
        self.threads.add(threading.get_ident())
        self.examples.append(index)
        return index


def decoded(dataset: Decoded, expected: int) -> int:
    """How many examples have been decoded, though nobody asks the loader for any, when more than expected could be."""
    ends = time.monotonic() + 10
    while len(dataset.examples) < expected and time.monotonic() < ends:
        time.sleep(0.005)
    time.sleep(0.05)
    return len(dataset.examples)


@pytest.mark.parametrize("workers, factor", [(1, 2), (2, 2), (3, 1)])
def test_workers_decode_ahead_in_the_background_with_bounded_memory(workers: int, factor: int) -> None:
    dataset = Decoded()
    dataset.gate.set()
    batches = iter(DataLoader(dataset, BATCH, num_workers=workers, prefetch_factor=factor))
    for taken in range(1, 4):
        assert next(batches).tolist() == list(range((taken - 1) * BATCH, taken * BATCH))
        ahead = (taken + workers * factor) * BATCH
        assert decoded(dataset, ahead) == ahead  # so many wait, and no more
    assert len(dataset.threads) == workers and threading.get_ident() not in dataset.threads
    batches.close()


def test_a_step_does_not_wait_for_a_batch_that_is_being_decoded_ahead() -> None:
    dataset = Decoded()
    dataset.gate.set()
    batches = iter(DataLoader(dataset, BATCH, num_workers=1, prefetch_factor=2))
    next(batches)
    assert decoded(dataset, 3 * BATCH) == 3 * BATCH
    dataset.gate.clear()  # from now on decoding takes until the gate opens again
    assert len(next(batches)) == BATCH  # this batch was ready
    assert len(dataset.examples) == 3 * BATCH
    dataset.gate.set()
    batches.close()


def test_without_workers_nothing_is_decoded_before_it_is_asked_for() -> None:
    dataset = Decoded()
    dataset.gate.set()
    batches = iter(DataLoader(dataset, BATCH))
    next(batches)
    assert dataset.examples == list(range(BATCH)) and dataset.threads == {threading.get_ident()}
