"""PyTorch's `torch.random`: the seed and the state of the stream from which all random numbers come.

The numbers are NumPy's, drawn on the host; there is one stream for all devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minidl.autograd import Tensor
from minidl.backend import Generator, default_generator
from minidl.backend import manual_seed as manual_seed


def seed() -> int:
    """Start the stream anew from a seed of the system's, which is returned."""
    return default_generator().manual_seed(Generator().initial_seed()).initial_seed()


def initial_seed() -> int:
    """The seed from which the stream started."""
    return default_generator().initial_seed()


def get_rng_state() -> Tensor:
    """Where in the stream we are, as bytes; `set_rng_state` goes back there.

    >>> import minidl
    >>> state = get_rng_state()
    >>> first = minidl.rand(3)
    >>> set_rng_state(state)
    >>> minidl.equal(minidl.rand(3), first)
    True
    """
    return Tensor(default_generator().get_state())


def set_rng_state(new_state: Tensor) -> None:
    """Go to the place in the stream that `get_rng_state` gave."""
    default_generator().set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **options: Any) -> Iterator[None]:
    """A block after which the stream is where it was before."""
    state = default_generator().get_state()
    try:
        yield
    finally:
        if enabled:
            default_generator().set_state(state)
