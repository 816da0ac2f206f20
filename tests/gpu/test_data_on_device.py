"""Batches on a GPU, the stand-in or a device: a whole set kept there, or each batch copied while another is used.

The stand-in leaves rubbish where a copy has not been waited for, and fails where memory is written or freed before.
"""

import gc
import re
import weakref
from collections.abc import Iterator
from typing import Any

import fake_streams
import numpy as np
import pytest
from gpu_cases import DEVICES, NETWORKS, begin, of_a_device, of_the_stand_in, on_host, same
from stand_in import StandInArray

import minidl
from minidl import Tensor, cuda, nn, optim
from minidl.data import (
    MNIST,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    ahead,
    on_device,
    random_split,
)
from minidl.train import Trainer, progress


@pytest.fixture(autouse=True, params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[StandInArray]]:
    fake_streams.Stream.made.clear()
    yield begin(request.param, monkeypatch)
    fake_streams.finish()


def let_nothing_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "SHARE", 10**12)


def examples(count: int = 40) -> TensorDataset:
    minidl.manual_seed(1)
    return TensorDataset(minidl.randn(count, 6), minidl.randint(0, 3, (count,)))


def lists(batches: Any) -> list[Any]:
    return [tuple(part.cpu().tolist() for part in batch) for batch in batches]


# -- a whole set on the GPU --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    examples, lambda: Subset(examples(), [5, 3, 8, 1, 1]), lambda: random_split(examples(), [30, 10])[0],
    lambda: random_split(Subset(examples(), range(20)), [0.5, 0.5], minidl.Generator(0))[1],
], ids=["TensorDataset", "Subset", "part", "part of a Subset"])  # fmt: skip
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_set_that_fits_is_kept_on_the_gpu_whole(make: Any, shuffle: bool, gpu: type[StandInArray]) -> None:
    ours, theirs = (DataLoader(make(), 7, shuffle=shuffle, seed=0) for _ in range(2))
    placed = on_device(ours, "cuda")
    assert isinstance(placed, DataLoader) and len(placed) == len(ours) and on_device(placed, "cuda") is placed
    assert on_device(ours, "cpu") is ours and ours.dataset is not placed.dataset
    for _ in range(2):  # each epoch has an order of its own
        gpu.synchronisations = 0
        batches = list(placed)
        assert gpu.synchronisations == 0
        assert {part.device for batch in batches for part in batch} == {"cuda:0"}
        assert lists(batches) == lists(theirs)


def test_mnist_stays_in_bytes_on_the_gpu(gpu: type[StandInArray]) -> None:
    digits = MNIST(train=False)
    loader = on_device(DataLoader(digits, 64, shuffle=True, seed=3), "cuda")
    assert loader.dataset.images.dtype == np.uint8 and gpu.synchronisations == 0  # type: ignore[attr-defined]
    images, labels = next(iter(loader))
    assert images.device == labels.device == "cuda:0" and gpu.synchronisations == 0
    expected = next(iter(DataLoader(digits, 64, shuffle=True, seed=3)))
    assert lists([(images, labels)]) == lists([expected])


@of_the_stand_in
def test_the_order_of_an_epoch_is_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import stand_in

    copies = []
    monkeypatch.setattr(stand_in.cupy, "asarray", lambda data: copies.append(data) or stand_in.array(data)
                        if isinstance(data, np.ndarray) else data)  # fmt: skip
    loader = DataLoader(TensorDataset(*[t.cuda() for t in examples().tensors]), 4, shuffle=True)
    copies.clear()
    assert len(list(loader)) == 10 and len(copies) == 1


class Doubled(TensorDataset):
    """Says itself what an example is, so that it must be asked."""

    def __getitem__(self, index: Any) -> Any:
        x, y = super().__getitem__(index)
        return 2 * x.numpy(), y.item()


@pytest.mark.parametrize("loader", [
    lambda: DataLoader(Doubled(*examples().tensors), 8),
    lambda: DataLoader(Subset(MNIST(train=False, transform=lambda x: Tensor(x.numpy() - 0.5)), range(50)), 20),
    lambda: DataLoader(examples(), 8, collate_fn=lambda rows: [Tensor(np.stack([x.numpy() for x, _ in rows]))]),
    lambda: DataLoader(examples(), 8, num_workers=2, worker_init_fn=lambda number: None),
    lambda: DataLoader([(np.ones(2), 3)] * 5, 2),
    lambda: list(DataLoader(examples(), 8)),
], ids=["subclass", "transform", "collate_fn", "worker_init_fn", "list", "batches"])  # fmt: skip
def test_what_is_more_than_a_look_up_stays_on_the_host_and_its_batches_are_copied(loader: Any) -> None:
    placed = on_device(loader(), "cuda")
    assert isinstance(placed, ahead.CopiedAhead) and len(placed) == len(loader())
    assert lists(placed) == lists(loader())
    assert {part.device for batch in placed for part in batch} == {"cuda:0"}


def test_workers_have_nothing_to_do_where_the_set_is_on_the_gpu() -> None:
    loader = DataLoader(examples(), 8, shuffle=True, seed=0, num_workers=2, pin_memory=True)
    assert lists(on_device(loader, "cuda")) == lists(DataLoader(examples(), 8, shuffle=True, seed=0))


# -- one batch ahead ---------------------------------------------------------------------------------------------------


class Noting(IterableDataset):
    """Batches of numbers; notes how many have been asked for, and may fail."""

    def __init__(self, fails_at: int = 100) -> None:
        self.made, self.fails_at = 0, fails_at

    def __len__(self) -> int:
        return 6

    def __iter__(self) -> Iterator[Any]:
        for number in range(6):
            if number == self.fails_at:
                raise ValueError(f"batch {number} cannot be read")
            self.made += 1
            yield {"x": minidl.full((3, 2), float(number)), "rest": ("a", [minidl.tensor(number), minidl.zeros(0, 2)])}


@pytest.mark.parametrize("make", [Noting, lambda: DataLoader(Noting(), None, pin_memory=True)])
def test_the_next_batch_is_copied_ahead_and_no_more(make: Any, gpu: type[StandInArray]) -> None:
    source = make()
    noting = getattr(source, "dataset", source)
    for number, batch in enumerate(on_device(source, "cuda")):
        assert noting.made == min(number + 2, 6)
        x, (text, (label, empty)) = batch["x"], batch["rest"]
        assert x.device == label.device == empty.device == "cuda:0" and text == "a" and empty.shape == (0, 2)
        assert gpu.synchronisations == 0
        assert (x.cpu().numpy() == number).all() and label.item() == number  # nan, if nobody waited for it
        gpu.synchronisations = 0
    assert number == 5 and gpu.synchronisations == 0


@of_the_stand_in
def test_memory_on_both_sides_holds_two_batches(gpu: type[StandInArray]) -> None:
    gc.collect()
    before, batches = len(fake_streams.PageLocked.living), []
    for batch in on_device(Noting(), "cuda"):
        batches = [kept for kept in batches if kept() is not None] + [weakref.ref(batch["x"].array.numbers)]
        del batch
        assert len(batches) <= 2 and len(fake_streams.PageLocked.living) - before <= 3 * 2
    assert len(fake_streams.PageLocked.living) == before


@of_the_stand_in
def test_the_host_is_never_more_than_two_copies_ahead_of_a_slow_gpu(gpu: type[StandInArray]) -> None:
    gc.collect()
    before, slow, waits = len(fake_streams.PageLocked.living), cuda.Stream(), []
    with cuda.stream(slow):  # does nothing until somebody waits for it
        for _ in on_device(Noting(), "cuda"):
            waits.append(gpu.synchronisations)
            assert len(fake_streams.PageLocked.living) - before <= 2 * 2
    assert waits == [0, 1, 2, 3, 4, 4]


def test_a_batch_that_cannot_be_read_fails_after_those_before_it() -> None:
    seen = []
    with pytest.raises(ValueError, match="batch 3 cannot be read"):
        for batch in on_device(Noting(fails_at=3), "cuda"):
            seen.append(batch["x"].cpu()[0, 0].item())
    assert seen == [0, 1, 2]


@of_the_stand_in
def test_full_memory_fails_after_the_batches_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import stand_in

    empty, calls = stand_in.cupy.empty, []

    def full(*shape: Any) -> Any:
        calls.append(shape)
        if len(calls) == 1:  # the copy to this one has begun when there is no memory for another
            return empty(*shape)
        raise stand_in.OutOfMemoryError("Out of memory allocating 4,194,304 bytes (allocated so far: 512 bytes).")

    seen = 0
    with pytest.raises(cuda.OutOfMemoryError, match=r"^the next batch: Out of memory allocating"):
        for batch in on_device(Noting(), "cuda"):
            seen += 1
            assert (batch["x"].array.numbers == seen - 1).all()
            monkeypatch.setattr(stand_in.cupy, "empty", full)
    assert seen == 2


@of_the_stand_in
def test_leaving_half_way_frees_everything_and_spoils_nothing() -> None:
    gc.collect()
    before = len(fake_streams.PageLocked.living)
    noting = Noting()
    batches = iter(on_device(noting, "cuda"))
    first = next(batches)["x"]
    batches.close()  # type: ignore[attr-defined]
    assert len(fake_streams.PageLocked.living) == before and noting.made == 2
    assert (first.array.numbers == 0).all()


@of_a_device
def test_batches_are_whole_though_the_gpu_is_busy() -> None:
    """What would be missing if nobody waited for a copy, and what memory used too early would hold."""
    x = minidl.randn(64, 100_000)
    loader = DataLoader(Rows(TensorDataset(x, minidl.arange(64))), 2)
    weight, sums = minidl.randn(2000, 2000, device="cuda"), []
    for batch, _ in on_device(loader, "cuda"):
        for _ in range(20):
            weight @ weight  # so that the GPU is behind the host
        sums.append(batch.sum(1))
        del batch
    np.testing.assert_allclose(minidl.cat(sums).cpu().numpy(), x.sum(1).numpy(), rtol=1e-3, atol=0.01)


@of_the_stand_in
def test_the_stand_in_sees_what_goes_wrong() -> None:
    beside, x = cuda.Stream(), minidl.ones(3).pin_memory()
    with pytest.raises(AssertionError, match="may still be using that memory"):
        minidl.pinned.begin_copy(x.array, "cuda", beside.stream)
    beside.wait_stream(cuda.current_stream())
    target = minidl.pinned.begin_copy(x.array, "cuda", beside.stream)
    assert np.isnan(target.numbers).all()  # nobody has waited for it
    x.array[0] = 7
    with pytest.raises(AssertionError, match="written before the copy"):
        beside.synchronize()
    target = minidl.pinned.begin_copy(x.array, "cuda", beside.stream)
    del x
    with pytest.raises(AssertionError, match="page-locked memory was given back"):
        beside.synchronize()
    with pytest.raises(AssertionError, match="only page-locked memory"):
        minidl.pinned.begin_copy(np.ones(3), "cuda", beside.stream)


# -- page-locked memory under PyTorch's names --------------------------------------------------------------------------


def test_pinned_memory_is_copied_without_waiting(gpu: type[StandInArray]) -> None:
    x = minidl.randn(3, 4).T
    pinned = x.pin_memory()
    assert pinned.is_pinned() and not x.is_pinned() and pinned.pin_memory() is pinned
    y = pinned.to("cuda", non_blocking=True)
    assert gpu.synchronisations == 0 and not y.is_pinned() and y.cpu().tolist() == x.tolist()
    assert pinned.cuda().cpu().tolist() == x.tolist()
    with pytest.raises(RuntimeError, match="expected a tensor on the CPU, got one on cuda:0"):
        y.pin_memory()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_pins_its_batches(workers: int) -> None:
    loader = DataLoader(examples(), 16, pin_memory=True, num_workers=workers)
    assert all(part.is_pinned() for batch in loader for part in batch)
    assert lists(loader) == lists(DataLoader(examples(), 16))


# -- training ----------------------------------------------------------------------------------------------------------


class Rows(Dataset):
    """The same examples from somewhere else than memory."""

    def __init__(self, whole: TensorDataset) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Any:
        return tuple(part.numpy() for part in self.whole[index])


@pytest.mark.parametrize("kind", [TensorDataset, Rows])
def test_the_trainer_brings_the_batches_to_the_model(
    kind: Any, gpu: type[StandInArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_DRAWINGS", 1000)
    states, histories, waits = [], [], []
    for device, batch_size in (("cpu", 8), ("cuda", 8), ("cuda", 40)):
        minidl.manual_seed(0)
        model, data = NETWORKS["MLP"][0]().to(device), examples(120)
        data = data if kind is TensorDataset else Rows(data)
        trainer = Trainer(model, optim.Adam(model.parameters()), clip_grad_norm=1.0)
        gpu.synchronisations = 0
        loader = DataLoader(data, batch_size, shuffle=True, seed=0)
        trainer.fit(loader, 2, validation=loader, progress=False)
        waits.append(gpu.synchronisations)
        histories.append([row["loss"] for row in trainer.history])
        states.append(on_host(model))
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)
    same(states[1], states[0], rtol=1e-3)
    assert waits[0] == 0 and waits[1] == waits[2] <= 16  # those of an epoch, none of a step


def test_the_trainer_predicts_and_evaluates_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    let_nothing_fit(monkeypatch)
    model = nn.Linear(6, 3).to("cuda")
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1))
    assert trainer.predict(minidl.ones(2, 6)).device == "cuda:0"
    assert isinstance(on_device(DataLoader(examples(), 8), "cuda"), ahead.CopiedAhead)
    assert 0 <= trainer.evaluate(DataLoader(examples(), 8))["accuracy"] <= 1


@pytest.mark.parametrize("fits", [True, False])
def test_the_command_trains_on_the_gpu_as_on_the_cpu(
    fits: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from minidl import data
    from minidl.cli import main

    class FewDigits(MNIST):
        def __init__(self, train: bool = True, **settings: Any) -> None:
            super().__init__(train=False, **settings)
            part = slice(0, 600) if train else slice(1000, 1500)
            self.images, self.labels = self.images[part], self.labels[part]

    monkeypatch.setattr(data, "MNIST", FewDigits)
    if not fits:
        let_nothing_fit(monkeypatch)
    numbers = []
    for device in ("cpu", "cuda"):
        assert main(["train", "mnist", "--epochs", "1", "--device", device]) == 0
        heading, epoch, _ = capsys.readouterr().out.splitlines()
        assert heading.endswith(device)
        numbers.append([float(number) for number in re.findall(r"\d+\.\d+", epoch)])
    assert len(numbers[0]) == 4 and numbers[1] == pytest.approx(numbers[0], rel=1e-2)
