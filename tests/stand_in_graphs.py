"""CUDA graphs for the stand-in: while a stream is being captured nothing is computed, and what would be is noted.

A launch of the graph does what was noted, into the same memory.  The graph keeps no memory alive, as on a device:
launching it raises if any that it needs has been freed, unless that came from a private MemoryPool, which gives the
memory of arrays that are gone to new ones of the same size.
"""

from __future__ import annotations

import itertools
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import fake_streams
import numpy as np

UNSUPPORTED = "{} during stream capture is currently unsupported"


class Memory:
    """What the views of an array share, and what is gone with the last of them."""

    def __init__(self) -> None:
        self.pool = pools[-1]


class MemoryPool:
    """CuPy's pool of memory for arrays; `None` among the pools is CuPy's own, whose memory may come back any time."""

    def __init__(self, allocator: Callable[..., Any] | None = None) -> None:
        self.free: dict[int, list[np.ndarray]] = defaultdict(list)
        self.allocated = 0

    def malloc(self, size: int) -> np.ndarray:
        if self.free[size]:
            return self.free[size].pop()
        self.allocated += size
        return np.full(size, 0x7F, np.uint8)

    def total_bytes(self) -> int:
        return self.allocated

    def placed(self, numbers: np.ndarray, memory: Memory) -> np.ndarray:
        """The same array in memory of this pool, to which it returns when `memory` is gone."""
        dense = sorted(numbers.strides, reverse=True) == sorted(np.empty_like(numbers).strides, reverse=True)
        numbers = numbers if dense else numbers.copy()
        block = self.malloc(numbers.nbytes)
        weakref.finalize(memory, self.free[numbers.nbytes].append, block)
        ours = np.ndarray(numbers.shape, numbers.dtype, block.data, 0, numbers.strides)
        ours[...] = numbers
        return ours


pools: list[MemoryPool | None] = [None]  # the last one is that of new arrays


def get_allocator() -> Callable[..., Any] | None:
    return None if pools[-1] is None else pools[-1].malloc


@contextmanager
def using_allocator(allocator: Callable[..., Any] | None = None) -> Iterator[None]:
    pools.append(getattr(allocator, "__self__", None))
    try:
        yield
    finally:
        pools.pop()


class Graph:
    """What was noted; `reads` are the pieces of memory that must still be there."""

    launches = 0  # of all graphs

    def __init__(self) -> None:
        self.notes: list[Callable[[], Any]] = []
        self.reads: set[weakref.ref[Memory]] = set()

    def launch(self, stream: Stream | None = None) -> None:
        if capturing():
            raise RuntimeError(UNSUPPORTED.format("launching a graph"))
        if any(memory() is None for memory in self.reads):
            raise AssertionError("the graph reads or writes memory that has been freed")
        Graph.launches += 1
        for note in self.notes:
            note()


class Stream(fake_streams.Stream):
    """CuPy's stream; only one that is not the default one can be captured."""

    pointers = itertools.count(1000)

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int = 0) -> None:
        super().__init__(null, ptds, non_blocking, priority)
        self.ptr, self.graph, self.broken = next(self.pointers), None, False

    def begin_capture(self, mode: int | None = None) -> None:
        assert self.graph is None, "cudaErrorIllegalState"
        self.graph, self.broken = Graph(), False

    def end_capture(self) -> Graph:
        graph, self.graph = self.graph, None
        assert graph is not None, "cudaErrorIllegalState"
        if self.broken:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return graph

    def is_capturing(self) -> bool:
        return self.graph is not None

    def synchronize(self) -> None:
        refuse("cudaErrorStreamCaptureUnsupported")
        super().synchronize()


fake_streams.Stream.ptr = 0  # type: ignore[attr-defined]  # the default one


def _current() -> Graph | None:
    """The graph that is being captured from the current stream."""
    return getattr(fake_streams.current(), "graph", None)


def capturing() -> bool:
    return _current() is not None


def refuse(what: str, breaks: bool = True) -> None:
    """Raise, if the current stream is being captured: what CUDA itself refuses ends the capture, too."""
    if capturing():
        fake_streams.current().broken |= breaks  # type: ignore[attr-defined]
        raise (RuntimeError if breaks else NotImplementedError)(UNSUPPORTED.format(what))


def launch(call: Callable[[], Any], arrays: Sequence[Any] = ()) -> None:
    """Do on the "GPU" what `call` does: now, or whenever the graph is launched that is being captured.

    `arrays` are the stand-in arrays that it reads or writes.  It should not itself hold them, but their numbers: what
    it holds is not freed.
    """
    if (graph := _current()) is None:
        call()
        return
    graph.notes.append(call)
    graph.reads |= {weakref.ref(x.memory) for x in arrays if x.memory.pool is None}
