"""Batches on a GPU: `on_device` brings a whole set there if it fits, else each batch while the one before is used.

What is copied ahead goes from page-locked memory, on a stream of its own; neither the host nor the work on the batch
before waits for it.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from minidl import backend, cuda, pinned
from minidl.autograd import Tensor
from minidl.autograd.errors import raise_explained
from minidl.data.collate import each_part
from minidl.data.loader import DataLoader
from minidl.data.whole import arrays_of, moved, place_of

SHARE = 4  # a set may take this part of the memory that is free
COPIES = 2  # that may be under way: the host waits before it begins a third, and so do not more batches take memory


def on_device(batches: Iterable[Any], device: str) -> Iterable[Any]:
    """The same batches with all tensors on `device`; on the CPU, and where they lie there already, `batches` itself.

    A DataLoader over a set that lies in memory (TensorDataset, MNIST, Subset of these, without transforms) becomes one
    over a copy on the GPU, if that takes less than a quarter of the memory that is free; its workers are not needed
    then.  Of anything else each batch is copied there while the one before it is being used.

    >>> from minidl.data import DataLoader
    >>> loader = DataLoader([1.0, 2.0, 3.0], batch_size=2)
    >>> on_device(loader, "cpu") is loader
    True
    """
    place = backend.as_device(device)
    if place.type == "cpu":
        return batches
    if place.index is None:
        place = backend.device(f"cuda:{cuda.current_device()}")
    if isinstance(batches, DataLoader):
        if place_of(batches.dataset) == place:
            return batches
        if batches.collate_fn is batches.worker_init_fn is None and _fits(arrays_of(batches.dataset), place):
            loader = copy.copy(batches)
            loader.dataset, loader.num_workers, loader.pin_memory = moved(batches.dataset, place), 0, False
            return loader
    return CopiedAhead(batches, place)


def _fits(arrays: list[backend.Array], place: str) -> bool:
    size = sum(array.nbytes for array in arrays)
    return 0 < size * SHARE < cuda.mem_get_info(place)[0]


class _Copy(NamedTuple):
    """A batch on its way: the tensors on the GPU, an event behind the copy, and the memory that it needs until then."""

    batch: Any
    done: cuda.Event
    used: list[Tensor]


class CopiedAhead:
    """The batches of `batches` on a GPU: the next one is copied while the present one is being used, and no more."""

    def __init__(self, batches: Iterable[Any], device: str) -> None:
        self.batches, self.device = batches, device

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        beside, source = cuda.Stream(self.device), iter(self.batches)
        coming, under_way = deque[_Copy](), deque[_Copy]()
        failure = None
        try:
            while failure is None:
                try:
                    batch = next(source)
                    if len(under_way) == COPIES:
                        under_way[0].done.synchronize()
                        under_way.popleft()  # and with it what was copied
                    under_way.append(self._begun(batch, beside))
                except StopIteration:
                    break
                except Exception as error:  # the batch before this one is all right
                    failure = error
                else:
                    coming.append(under_way[-1])
                if len(coming) == 2:
                    yield self._arrived(coming.popleft())
            while coming:
                yield self._arrived(coming.popleft())
            if failure is not None:
                raise failure
        finally:
            del failure  # which holds this frame, and it the memory
            beside.synchronize()  # memory on both sides is given back when nothing is being copied any more

    def _begun(self, batch: Any, beside: cuda.Stream) -> _Copy:
        used: list[Tensor] = []

        def copied(part: Any) -> Any:
            if not isinstance(part, Tensor) or part.device == self.device:
                return part
            if part.is_cuda or part.requires_grad:
                return part.to(self.device)
            try:
                used.append(part if pinned.is_pinned(part.array) else Tensor(pinned.pin(part.array)))
                used.append(Tensor(pinned.begin_copy(used[-1].array, self.device, beside.stream)))
            except MemoryError as error:
                raise_explained(error, "the next batch", [part])
            return used[-1]

        beside.wait_stream(cuda.current_stream(self.device))  # new arrays take memory that it may still be using
        return _Copy(each_part(copied, batch), beside.record_event(), used)

    def _arrived(self, one: _Copy) -> Any:
        cuda.current_stream(self.device).wait_event(one.done)
        return one.batch
