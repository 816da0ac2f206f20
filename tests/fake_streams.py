"""Streams, events and page-locked memory for the stand-in: what goes on beside is done when somebody waits for it.

A copy to the "GPU" on a stream of its own leaves rubbish in its target until then; page-locked memory that was
written or given back before fails the test, and so does memory that is not page-locked.
"""

import weakref
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

RUBBISH = 0xFF  # in every byte: nan, or -1


class Stream:
    """Work in its order; the null stream does it at once, another one when an event behind it is waited for."""

    null: "Stream"
    waited: Callable[[], None] = staticmethod(lambda: None)  # called when the host has to wait
    using: ClassVar[list["Stream"]] = []
    made: ClassVar[list["Stream"]] = []

    def __init__(self, null: bool = False, ptds: bool = False, non_blocking: bool = False, priority: int = 0) -> None:
        self.at_once, self.begun, self.ended = null, 0, 0
        self.work: deque[Callable[[], None]] = deque()
        self.heard: dict[Stream, int] = {}  # how far other streams are, when what is submitted next is done
        Stream.made.append(self)

    def __enter__(self) -> "Stream":
        Stream.using.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        assert Stream.using.pop() is self

    def use(self) -> "Stream":
        Stream.using[-1:] = [self]
        return self

    def submit(self, call: Callable[[], None]) -> None:
        self.work.append(call)
        self.begun += 1
        if self.at_once:
            self.run(self.begun)

    def run(self, place: int) -> None:
        while self.ended < place:
            self.ended += 1
            self.work.popleft()()

    def record(self, event: "Event | None" = None) -> "Event":
        event = event or Event()
        event.stream, event.place = self, self.begun
        return event

    def wait_event(self, event: "Event") -> None:
        self.heard[event.stream] = event.place
        self.submit(lambda stream=event.stream, place=event.place: stream.run(place))  # type: ignore[misc]

    @property
    def done(self) -> bool:
        return self.ended == self.begun

    def synchronize(self) -> None:
        if not self.done:
            Stream.waited()
        self.run(self.begun)


class Event:
    """A place in the work of a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.timed, self.stream, self.place = not disable_timing, Stream.null, 0

    def record(self, stream: Stream | None = None) -> None:
        (stream or current()).record(self)

    @property
    def done(self) -> bool:
        return self.stream.ended >= self.place

    def synchronize(self) -> None:
        if not self.done:
            Stream.waited()
        self.stream.run(self.place)


Stream.null = Stream(null=True)


def finish() -> None:
    """Do all that nobody has waited for, and forget the streams."""
    while Stream.made:
        Stream.made[0].run(Stream.made[0].begun)
        del Stream.made[0]


def current(device: int = -1) -> Stream:
    return Stream.using[-1] if Stream.using else Stream.null


def elapsed(start: Event, end: Event) -> float:
    assert start.timed and end.timed and start.done and end.done
    return 0.5


# -- page-locked memory ------------------------------------------------------------------------------------------------


class PageLocked(bytearray):
    """Memory whose next owner begins to write as soon as it is given back."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    living: ClassVar["weakref.WeakSet[PageLocked]"] = weakref.WeakSet()

    def __init__(self, size: int) -> None:
        super().__init__(max(size, 1))
        self.begin = np.frombuffer(self, np.uint8).ctypes.data
        PageLocked.living.add(self)


def owner(address: int) -> PageLocked | None:
    """The page-locked memory in which an address lies."""
    return next((x for x in PageLocked.living if 0 <= address - x.begin < len(x)), None)


def attributes(address: int) -> SimpleNamespace:
    return SimpleNamespace(type=0 if owner(address) is None else 1)


def copy(target: np.ndarray, source: np.ndarray, stream: Stream) -> None:
    """Copy to the "GPU", at once or later."""
    if stream.at_once:
        target[...] = source
        return
    assert stream.heard.get(current()) == current().begun, "the current stream may still be using that memory"
    memory = owner(source.ctypes.data)
    assert memory is not None and source.flags.c_contiguous, "only page-locked memory is copied beside"
    target.reshape(-1).view(np.uint8)[:] = RUBBISH
    expected, kept, alive = source.copy(), weakref.ref(memory), weakref.ref(target)
    del memory

    def arrive() -> None:
        assert alive() is not None, "memory of the GPU was given back before the copy to it was done"
        assert kept() is not None, "page-locked memory was given back before the copy from it was done"
        found = np.frombuffer(kept(), np.uint8, source_bytes, source_offset)
        assert found.tobytes() == expected.tobytes(), "page-locked memory was written before the copy was done"
        alive()[...] = expected

    source_bytes, source_offset = source.nbytes, source.ctypes.data - kept().begin
    del source, target
    stream.submit(arrive)
