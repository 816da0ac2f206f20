"""Adaptive pooling as functions, in 1 to 3 dimensions: the size of the result is given, the windows follow.

Along a side of n entries, window i of m sees those from ⌊i·n/m⌋ up to ⌈(i + 1)·n/m⌉.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from minidl.autograd import Tensor
from minidl.nn.functional.pooling import Answer, where_largest
from minidl.nn.functional.vision import averaging, parts, resampled
from minidl.nn.functional.windows import Size, check_images, on_batch
from minidl.ops.indexing import take_along_axis
from minidl.ops.shapes import reshape

Wanted = int | Sequence[int | None]  # a size; None keeps that of the image


def adaptive_avg_pool1d(input: Tensor, output_size: Size) -> Tensor:
    """The means of `output_size` equal parts: (N, C, L) -> (N, C, Lo); see `adaptive_avg_pool2d`."""
    return _adaptive_mean(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Wanted) -> Tensor:
    """The means of parts as equal as can be, which may overlap: (N, C, H, W) -> (N, C, Ho, Wo); N may be missing.

    `output_size` is Ho and Wo; None keeps H or W.

    >>> import minidl
    >>> adaptive_avg_pool2d(minidl.arange(16.0).reshape(1, 4, 4), (1, 2))
    tensor([[[6.5, 8.5]]])
    """
    return _adaptive_mean(2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Wanted) -> Tensor:
    """The means of parts as equal as can be: (N, C, D, H, W) -> (N, C, Do, Ho, Wo); see `adaptive_avg_pool2d`."""
    return _adaptive_mean(3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Size, return_indices: bool = False) -> Answer:
    """The largest entries of `output_size` equal parts: (N, C, L) -> (N, C, Lo); see `adaptive_max_pool2d`."""
    return _adaptive_max(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Wanted, return_indices: bool = False) -> Answer:
    """The largest entries of parts as equal as can be, which may overlap: (N, C, H, W) -> (N, C, Ho, Wo).

    `output_size` is as for `adaptive_avg_pool2d`, `return_indices` as for `max_pool2d`.
    """
    return _adaptive_max(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Wanted, return_indices: bool = False) -> Answer:
    """The largest entries of parts as equal as can be: (N, C, D, H, W) -> (N, C, Do, Ho, Wo).

    See `adaptive_max_pool2d`.
    """
    return _adaptive_max(3, input, output_size, return_indices)


def _adaptive_mean(dims: int, input: Tensor, output_size: Wanted) -> Tensor:
    sizes = _sizes(name := f"adaptive_avg_pool{dims}d", dims, input, output_size)
    if input.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected floats, got {input.dtype}: use .float() first")
    return on_batch(resampled, dims, input, tables=[averaging(n, out, input.dtype) for n, out in sizes])


def _adaptive_max(dims: int, input: Tensor, output_size: Wanted, return_indices: bool) -> Answer:
    sizes = _sizes(f"adaptive_max_pool{dims}d", dims, input, output_size)
    indices = where_largest(input, [_places(n, out) for n, out in sizes])
    before = input.shape[:-dims]
    flat = reshape(input, shape=(*before, math.prod(input.shape[-dims:])))
    index = indices.array.reshape(*before, math.prod(indices.shape[-dims:]))
    out = reshape(take_along_axis(flat, index, axis=flat.ndim - 1), shape=indices.shape)
    return (out, indices) if return_indices else out


@lru_cache(maxsize=1024)
def _places(size: int, out: int) -> np.ndarray:
    """What each window sees, (out, as many as the longest has); shorter ones repeat their last entry."""
    start, end = parts(size, out)
    longest = max((end - start).max(initial=1), 1)
    return np.minimum(start[:, None] + np.arange(longest), end[:, None] - 1)


def _sizes(name: str, dims: int, input: Tensor, output_size: Wanted) -> list[tuple[int, int]]:
    """The checked sizes of the image and of the result, for each side."""
    check_images(name, input, dims)
    wanted = [output_size] * dims if isinstance(output_size, int) else list(output_size)
    if len(wanted) != dims:
        raise RuntimeError(f"{name}: expected an output_size of one whole number, or {dims}, got {output_size}")
    sizes = [(n, n if out is None else out) for n, out in zip(input.shape[-dims:], wanted, strict=True)]
    if any(n < 1 or out < 0 for n, out in sizes):
        raise RuntimeError(f"{name}: an image of {input.shape[-dims:]} cannot be made one of {output_size}")
    return sizes
