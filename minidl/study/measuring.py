"""What measurements on a model share: its loss on a batch, a bar for long work, and that nothing is left changed.

The model itself is measured, not a copy, since a loss may know it by another way than its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minidl import nn
from minidl.autograd import Tensor, tensor
from minidl.backend import Generator, default_generator
from minidl.study.text import on_host

Item = TypeVar("Item")
Loss = Callable[..., Tensor]  # loss(model(inputs), targets) on a batch (inputs, targets); loss(model) without one


def expect(kind: type, value: Any, what: str) -> None:
    """TypeError if a value is not of that kind.

    >>> expect(nn.Module, None, "gradient_flow")
    Traceback (most recent call last):
    TypeError: gradient_flow: expected a Module, got NoneType
    """
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIO" else "a"
        raise TypeError(f"{what}: expected {article} {kind.__name__}, got {type(value).__name__}")


@contextmanager
def untouched(
    model: nn.Module, also: Iterable[Tensor] = (), generators: Iterable[Generator] = ()
) -> Iterator[None]:  # fmt: skip
    """A block that may do to `model` what it likes: afterwards, also after an error, all is what it was.

    That is the weights, buffers, gradients and attributes of its modules, training mode among them; the tensors `also`;
    and the random numbers to come, of the default stream and of `generators`.  The block works on copies, so that the
    memory of a tensor is not even written to, and a graph that was recorded before can still be used after it.
    """
    random = [default_generator(), *generators]
    places = [vars(x) for x in (*model.modules(), *random)]
    before = [dict(place) for place in places]
    streams = [generator.numpy.bit_generator for generator in random]
    states = [stream.state for stream in streams]
    attributes = [x for place in before for x in place.values() if isinstance(x, Tensor)]
    tensors = [(x, x.array, x.grad, x.version) for x in dict.fromkeys([*attributes, *also])]
    for x, *_ in tensors:
        x.array, x.grad, x.version = x.array.copy(order="K"), None, None
    try:
        yield
    finally:
        for place, old in zip(places, before, strict=True):
            place.clear()
            place.update(old)
        for stream, state in zip(streams, states, strict=True):
            stream.state = state
        for x, array, grad, version in tensors:
            x.array, x.grad, x.version = array, grad, version


def loss_of(model: nn.Module, loss: Loss, batch: Any) -> Tensor:
    """The loss of `model` on a batch (inputs, targets), or loss(model) where the batch is None.

    ValueError for another batch; RuntimeError if that is not a single number.
    """
    if batch is not None and not (isinstance(batch, (tuple, list)) and len(batch) == 2):
        came = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise ValueError(
            f"a batch is (inputs, targets), for loss(model(inputs), targets), got {came}; "
            "for anything else leave it out, and give a loss that takes the model: loss(model)"
        )
    value = loss(model) if batch is None else loss(model(batch[0]), batch[1])
    if not isinstance(value, Tensor) or value.numel() != 1:
        came = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
        raise RuntimeError(f"the loss must be a tensor with one element, got {came}: reduce it with .mean() or .sum()")
    return value


def flat(tensors: Iterable[Tensor]) -> np.ndarray:
    """All entries of all tensors, one after the other, in float64 on the host: (entries,)."""
    return np.concatenate([on_host(x).astype(np.float64).ravel() for x in tensors])


def cut(vector: np.ndarray, like: Iterable[Tensor]) -> list[Tensor]:
    """A vector cut into tensors of the shapes, dtypes and devices of those in `like`: the opposite of `flat`."""
    like = list(like)
    ends = np.cumsum([x.numel() for x in like])
    pieces = np.split(vector, ends[:-1])
    return [tensor(piece.reshape(x.shape), x.dtype, x.device) for piece, x in zip(pieces, like, strict=True)]


def bar(items: Iterable[Item], title: str, show: bool, total: int | None = None) -> Iterable[Item]:
    """The items, with a progress bar while they are gone through: on a terminal, if it is to `show`."""
    from tqdm import tqdm

    return tqdm(items, title, total, leave=False, disable=None if show else True)
