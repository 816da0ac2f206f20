"""Page-locked ("pinned") memory of the host, from which a GPU copies by itself while the host goes on.

Other memory is first copied to such a place by CuPy.  What is pinned must not be written until the copy is done.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backend import Array, address, as_device, gpu_module, modules


def pin(array: np.ndarray) -> np.ndarray:
    """A copy in page-locked memory, in C order; RuntimeError without a GPU."""
    memory = gpu_module().cuda.alloc_pinned_memory(array.nbytes)
    copy = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape) if array.size else array.copy()
    np.copyto(copy, array)
    return copy


def is_pinned(array: Array) -> bool:
    """Whether an array lies in page-locked memory."""
    xp = next((module for module in modules.values() if module is not np), None)  # there once a GPU was asked for
    if xp is None or not isinstance(array, np.ndarray):
        return False
    runtime = xp.cuda.runtime
    return runtime.pointerGetAttributes(address(array)).type == runtime.memoryTypeHost


def finish_copies(array: Array) -> None:
    """Let the host wait until what is being copied to an array on a GPU has arrived."""
    gpu_module().cuda.get_current_stream(array.device.id).synchronize()


def begin_copy(array: np.ndarray, device: str, stream: Any) -> Array:
    """An array on the GPU to which a pinned one is going to be copied, on `stream` (the backend's).

    Its memory belongs to the current stream, where it will be used, and which may have used it before: `stream` must
    have been told to wait for that.  It must live, and the pinned array be left alone, until the copy is done.
    """
    xp = gpu_module()
    with xp.cuda.Device(as_device(device).index):
        copy = xp.empty(array.shape, array.dtype)
        if array.size:
            copy.set(array, stream)
    return copy
