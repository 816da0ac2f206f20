"""`minidl.cuda` is `torch.cuda` as far as it goes: names, arguments, memory, streams, and errors without a GPU."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import stand_in
import torch
from gpu_cases import DEVICES, begin, of_the_stand_in
from stand_in import StandInArray

import minidl
from minidl import cuda

PUBLIC = {name: value for name, value in vars(cuda).items() if name[0] != "_" and name != "DeviceProperties"}
NAMES = {name for name, value in PUBLIC.items() if getattr(value, "__module__", "") == "minidl.cuda"}


@pytest.fixture(params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[StandInArray]:
    monkeypatch.setattr(cuda, "_before", {})
    return begin(request.param, monkeypatch)


@pytest.mark.parametrize("name", sorted(NAMES | {"manual_seed", "manual_seed_all", "OutOfMemoryError"}))
def test_a_name_is_one_of_pytorchs_and_takes_the_same_arguments(name: str) -> None:
    theirs, ours = getattr(torch.cuda, name), getattr(cuda, name)
    if inspect.isfunction(theirs) and inspect.isfunction(ours):
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    if name in ("Event", "Stream"):
        assert {x for x in vars(ours) if x[0] != "_"} <= set(dir(theirs))


def test_without_a_gpu_there_is_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert not cuda.is_available() and cuda.device_count() == 0
    assert cuda.memory_allocated() == cuda.memory_reserved() == cuda.max_memory_allocated() == 0
    cuda.synchronize(), cuda.empty_cache(), cuda.reset_peak_memory_stats()  # type: ignore[func-returns-value]
    ask = [cuda.mem_get_info, cuda.get_device_name, cuda.current_device, cuda.Stream, cuda.Event, cuda.current_stream]
    for question in [*ask, minidl.ones(2).pin_memory, lambda: cuda.set_device(0)]:
        with pytest.raises(RuntimeError, match=r'pip install "minidl\[cuda13\]"'):
            question()  # type: ignore[operator]
    assert not minidl.ones(2).is_pinned()


def test_a_loader_that_pins_says_that_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    for library in (minidl, torch):
        loader = library.utils.data.DataLoader([1, 2, 3], 2, pin_memory=True)  # type: ignore[attr-defined]
        with pytest.warns(UserWarning, match="pin_memory"):
            assert [batch.tolist() for batch in loader] == [[1, 2], [3]]


@of_the_stand_in
def test_what_the_gpu_is(gpu: type[StandInArray]) -> None:
    assert cuda.get_device_name("cuda:0") == cuda.get_device_name("cuda") == cuda.get_device_name(0) == "a stand-in"
    found = cuda.get_device_properties()
    assert (found.total_memory, found.multi_processor_count) == (2**30, 4) and cuda.get_device_capability() == (9, 0)
    assert cuda.mem_get_info() == (2**29, 2**30) and not cuda.is_bf16_supported()
    assert cuda.initial_seed() == minidl.random.initial_seed()
    with cuda.device(0):
        assert cuda.current_device() == 0
    with pytest.raises(RuntimeError, match=r"cuda:3.* does not exist: this machine has 1 GPU"):
        cuda.set_device(3)


@of_the_stand_in
def test_the_peak_of_the_memory_begins_anew(gpu: type[StandInArray], monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = 4096

    def give_back() -> None:
        nonlocal reserved
        reserved = 1024

    pool = SimpleNamespace(used_bytes=lambda: 512, total_bytes=lambda: reserved, free_all_blocks=give_back)
    monkeypatch.setattr(stand_in.cupy, "get_default_memory_pool", lambda: pool)
    cuda.empty_cache()
    assert (cuda.memory_reserved(), cuda.max_memory_reserved(), cuda.max_memory_allocated()) == (1024, 4096, 4096)
    cuda.reset_peak_memory_stats()
    assert cuda.max_memory_allocated() == 1024


def test_two_events_measure_the_time_between(gpu: type[StandInArray]) -> None:
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    start.record()
    minidl.ones(100, 100, device="cuda").square()
    end.record()
    end.synchronize()
    assert end.query() and 0 < start.elapsed_time(end) < 10_000


@of_the_stand_in
def test_events_and_streams(gpu: type[StandInArray]) -> None:
    beside, x = cuda.Stream(priority=-1), minidl.ones(3).pin_memory()
    beside.wait_stream(cuda.default_stream())
    y = minidl.pinned.begin_copy(x.array, "cuda", beside.stream)
    event = beside.record_event()
    assert not beside.query() and not event.query() and gpu.synchronisations == 0
    event.synchronize()
    assert beside.query() and event.query() and gpu.synchronisations == 1 and (y.numbers == 1).all()


def test_work_is_submitted_to_the_stream_of_a_block(gpu: type[StandInArray]) -> None:
    beside = cuda.Stream()
    with cuda.stream(beside):
        assert cuda.current_stream().stream == beside.stream
        with cuda.stream(None):
            assert cuda.current_stream().stream == beside.stream
    assert cuda.current_stream().stream == cuda.default_stream().stream
    with cuda.stream(beside):
        y = minidl.ones(1000, 1000, device="cuda") * 2
    beside.synchronize()
    assert y.sum().item() == 2_000_000


def test_memory_is_counted(gpu: type[StandInArray]) -> None:
    x = minidl.ones(64, device="cuda")
    free, total = cuda.mem_get_info()
    assert 0 < cuda.memory_allocated() <= cuda.memory_reserved() <= cuda.max_memory_allocated() and 0 < free < total
    cuda.reset_peak_memory_stats()
    assert x.sum().item() == 64 and len(cuda.get_device_name()) > 3




@of_the_stand_in
def test_the_command_names_the_gpu(gpu: type[StandInArray], capsys: pytest.CaptureFixture[str]) -> None:
    from minidl.cli import main

    assert main(["info"]) == 0
    assert "a stand-in, with CuPy stand-in" in capsys.readouterr().out


@of_the_stand_in
def test_an_event_belongs_to_the_gpu_of_its_stream(gpu: type[StandInArray], monkeypatch: pytest.MonkeyPatch) -> None:
    # CUDA refuses to record an event of one GPU on a stream of another.
    now, made = [0], []

    @contextmanager
    def device(number: int) -> Iterator[None]:
        now.append(number)
        yield
        now.pop()

    class Event:
        def __init__(self, **options: bool) -> None:
            made.append(now[-1])

        def record(self, stream: object) -> None:
            assert made[-1] == now[-1]

    monkeypatch.setattr(stand_in.cupy.cuda, "Device", device)
    monkeypatch.setattr(stand_in.cupy.cuda, "Event", Event)
    monkeypatch.setattr(stand_in.runtime, "getDeviceCount", lambda: 2)
    assert cuda.Event().query()  # never recorded: nothing to wait for
    cuda.Stream("cuda:1").record_event()
    cuda.default_stream("cuda:1").record_event()
    cuda.Stream("cuda:0").record_event()
    assert made == [1, 1, 0]
    with pytest.raises(RuntimeError, match="record both events first"):
        cuda.Event(enable_timing=True).elapsed_time(cuda.Event())
