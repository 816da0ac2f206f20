"""PyTorch's `torch.cuda`: whether there is a GPU, what it is called, how full it is, and when it has finished.

Without a GPU nothing is allocated and there is nothing to wait for; what cannot be answered raises RuntimeError, which
says what is missing.
"""

from __future__ import annotations

import sys
from typing import Any

from minidl.backend import OutOfMemoryError as OutOfMemoryError
from minidl.backend import as_device, manual_seed

manual_seed_all = manual_seed  # numbers are drawn on the host, in one stream for all devices


def is_available() -> bool:
    """Whether arrays can be placed on a GPU."""
    try:
        as_device("cuda")
    except RuntimeError:
        return False
    return True


def _runtime() -> Any:
    """CUDA's runtime, through CuPy; RuntimeError without either."""
    as_device("cuda")
    return sys.modules["cupy"].cuda.runtime


def device_count() -> int:
    """How many GPUs there are."""
    return _runtime().getDeviceCount() if is_available() else 0


def current_device() -> int:
    """The number of the GPU that "cuda" means."""
    return _runtime().getDevice()


def set_device(device: Any) -> None:
    """Let "cuda" mean another GPU: "cuda:1", or its number."""
    runtime, place = _runtime(), as_device(f"cuda:{device}" if isinstance(device, int) else device)
    if place.index is not None:
        runtime.setDevice(place.index)


def get_device_name(device: Any = None) -> str:
    """What the GPU (its number, or the current one) is called."""
    number = current_device() if device is None else device
    return _runtime().getDeviceProperties(int(str(number).rpartition(":")[2]))["name"].decode()


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all that it was asked for, say before looking at the clock."""
    if is_available():
        _runtime().deviceSynchronize()


def _pool() -> Any:
    return sys.modules["cupy"].get_default_memory_pool() if is_available() else None


def empty_cache() -> None:
    """Give memory back that is kept for later arrays."""
    if (pool := _pool()) is not None:
        pool.free_all_blocks()


def memory_allocated(device: Any = None) -> int:
    """The bytes that arrays take on the GPU."""
    return 0 if (pool := _pool()) is None else pool.used_bytes()


def memory_reserved(device: Any = None) -> int:
    """The same with what is kept for later arrays."""
    return 0 if (pool := _pool()) is None else pool.total_bytes()
