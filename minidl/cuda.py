"""PyTorch's `torch.cuda`: which GPUs there are, how full they are, streams of work, and when it has been done.

Without a GPU nothing is allocated and there is nothing to wait for; what cannot be answered raises RuntimeError, which
says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from minidl.backend import OutOfMemoryError as OutOfMemoryError
from minidl.backend import as_device, default_generator, gpu_module, manual_seed

manual_seed_all = manual_seed  # numbers are drawn on the host, in one stream for all devices


def _cuda() -> Any:
    """CUDA, as CuPy knows it; RuntimeError without either."""
    return gpu_module().cuda


# -- which GPU ---------------------------------------------------------------------------------------------------------


def is_available() -> bool:
    """Whether arrays can be placed on a GPU."""
    try:
        as_device("cuda")
    except RuntimeError:
        return False
    return True


def device_count() -> int:
    """How many GPUs there are."""
    return _cuda().runtime.getDeviceCount() if is_available() else 0


def current_device() -> int:
    """The number of the GPU that "cuda" means."""
    return _cuda().runtime.getDevice()


def _number(device: Any) -> int:
    """The number of a GPU: `device` is that number, "cuda:1", or None and "cuda" for the current one."""
    index = as_device(f"cuda:{device}" if isinstance(device, int) else device or "cuda").index
    return current_device() if index is None else index


def set_device(device: Any) -> None:
    """Let "cuda" mean another GPU: "cuda:1", or its number."""
    _cuda().runtime.setDevice(_number(device))


@contextmanager
def device(device: Any) -> Iterator[None]:
    """Let "cuda" mean another GPU within a block: `with minidl.cuda.device(1): ...`."""
    with _cuda().Device(_number(device)):
        yield


class DeviceProperties(NamedTuple):
    """What a GPU is: its name, its compute capability major.minor, its memory in bytes, its multiprocessors."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int


def get_device_properties(device: Any = None) -> DeviceProperties:
    """What the GPU (its number, or the current one) is."""
    found = _cuda().runtime.getDeviceProperties(_number(device))
    numbers = [found[key] for key in ("major", "minor", "totalGlobalMem", "multiProcessorCount")]
    return DeviceProperties(found["name"].decode(), *numbers)


def get_device_name(device: Any = None) -> str:
    """What the GPU is called."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of the GPU: (9, 0) of an H200."""
    return get_device_properties(device)[1:3]


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: NumPy and CuPy have no bfloat16."""
    return False


def initial_seed() -> int:
    """The seed from which random numbers started, on all devices."""
    return default_generator().initial_seed()


# -- memory ------------------------------------------------------------------------------------------------------------

_before: dict[int, int] = {}  # the most that was reserved on a GPU before blocks were given back, by its number


def _pool(question: str, device: Any) -> int:
    """What the pool answers of which arrays take their memory; 0 without a GPU."""
    if not is_available():
        return 0
    with _cuda().Device(_number(device)):
        return getattr(gpu_module().get_default_memory_pool(), question)()


def memory_allocated(device: Any = None) -> int:
    """The bytes that arrays take on the GPU."""
    return _pool("used_bytes", device)


def memory_reserved(device: Any = None) -> int:
    """The same with what is kept for later arrays."""
    return _pool("total_bytes", device)


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that were reserved since `reset_peak_memory_stats`, or ever."""
    return max(_before.get(_number(device), 0) if is_available() else 0, memory_reserved(device))


def max_memory_allocated(device: Any = None) -> int:
    """At least the most bytes that arrays took since `reset_peak_memory_stats`: what was reserved for them.

    CuPy counts whole blocks; PyTorch's number would be somewhat smaller.
    """
    return max_memory_reserved(device)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Give unused memory back, and let the peak begin with what is in use now."""
    empty_cache()
    if is_available():
        _before.pop(_number(device), None)


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The bytes of the GPU that nobody has taken, and all of its bytes."""
    cuda = _cuda()
    with cuda.Device(_number(device)):
        return cuda.runtime.memGetInfo()


def empty_cache() -> None:
    """Give memory back that is kept for later arrays, on the current GPU and, page-locked, on the host."""
    if is_available():
        _before[current_device()] = max_memory_reserved()
        gpu_module().get_default_memory_pool().free_all_blocks()
        gpu_module().get_default_pinned_memory_pool().free_all_blocks()


# -- time --------------------------------------------------------------------------------------------------------------


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all that it was asked for, say before looking at the clock."""
    if is_available():
        with _cuda().Device(_number(device)):
            _cuda().runtime.deviceSynchronize()


class Event:
    """A place in the work of a stream, which can be waited for; two with `enable_timing` measure the time between.

    >>> def milliseconds(work):
    ...     start, end = Event(enable_timing=True), Event(enable_timing=True)
    ...     start.record(); work(); end.record(); end.synchronize()
    ...     return start.elapsed_time(end)
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._make = partial(_cuda().Event, block=blocking, disable_timing=not enable_timing, interprocess=interprocess)
        self.event: Any = None  # made when it is recorded, on the GPU of that stream, as CUDA wants it

    def record(self, stream: Stream | None = None) -> None:
        """Stand behind all that was submitted to the stream (the current one by default) so far."""
        stream = stream or current_stream()
        with _cuda().Device(stream.index):
            self.event = self.event or self._make()
            self.event.record(stream.stream)

    def wait(self, stream: Stream | None = None) -> None:
        """Let the stream, not the host, wait until this place is reached, before what is submitted to it later."""
        stream = stream or current_stream()
        if self.event is not None:
            with _cuda().Device(stream.index):
                stream.stream.wait_event(self.event)

    def query(self) -> bool:
        """Whether all before this place is done."""
        return self.event is None or self.event.done

    def synchronize(self) -> None:
        """Let the host wait until all before this place is done."""
        if self.event is not None:
            self.event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """The milliseconds from this place to that of another event; both must have been reached."""
        if self.event is None or end_event.event is None:
            raise RuntimeError("elapsed_time: record both events first")
        return _cuda().get_elapsed_time(self.event, end_event.event)


class Stream:
    """Work that a GPU does in its order, beside that of other streams; RuntimeError without a GPU.

    An array that is made on one stream and read on another must be waited for, and must live until it has been read.
    """

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.index = _number(device)
        with _cuda().Device(self.index):
            self.stream = _cuda().Stream(non_blocking=True, priority=priority)

    @classmethod
    def _of(cls, stream: Any, index: int) -> Stream:
        """One that CuPy has already, of the GPU with that number."""
        one = cls.__new__(cls)
        one.stream, one.index = stream, index
        return one

    def record_event(self, event: Event | None = None) -> Event:
        """An event behind all that was submitted so far."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Do what is submitted later only after the event; the host goes on."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Do what is submitted later only after all that another stream has been given so far."""
        self.wait_event(stream.record_event())

    def query(self) -> bool:
        """Whether all is done."""
        return self.stream.done

    def synchronize(self) -> None:
        """Let the host wait until all is done."""
        self.stream.synchronize()


@contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """Submit to another stream within a block; to the same one where that is None."""
    if stream is None:
        yield
    else:
        with _cuda().Device(stream.index), stream.stream:
            yield


def current_stream(device: Any = None) -> Stream:
    """The stream to which ops are submitted, in this thread."""
    return Stream._of(_cuda().get_current_stream(number := _number(device)), number)


def default_stream(device: Any = None) -> Stream:
    """The stream to which ops are submitted if no other was chosen."""
    return Stream._of(_cuda().Stream.null, _number(device))
