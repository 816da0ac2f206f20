"""Pooling as functions, in 1 to 3 dimensions: the largest entry, the mean or a norm of what a window sees.

Adaptive pooling, which is told the size of the result in place of the window's, is in adaptive.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import array_module
from minidl.functional import bounds
from minidl.nn.functional.windows import Size, as_size, check_images, check_settings, on_batch
from minidl.ops import pooling
from minidl.ops.elementwise import abs, divide, where
from minidl.ops.indexing import replaced
from minidl.ops.shapes import reshape
from minidl.ops.windows import Window

Answer = Any  # a Tensor, or (values, indices) with return_indices: which of them, a type cannot say


@lru_cache(maxsize=1024)
def _window(
    name: str, size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    dilation: tuple[int, ...], ceil_mode: bool,
) -> Window:  # fmt: skip
    """The checked window; remembered, because a layer asks for the same one at each step."""
    check_settings(name, 1, kernel_size=kernel, stride=stride, dilation=dilation)
    check_settings(name, 0, padding=padding)
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError(f"{name}: padding must be at most half of the window, got {padding} for {kernel}")
    out = tuple(_positions(*side, ceil_mode) for side in zip(size, kernel, stride, padding, dilation, strict=True))
    if min(out) < 1 or min(size) < 1:
        raise RuntimeError(
            f"{name}: a window of {kernel} with dilation {dilation} is larger than the image of {size} "
            f"with padding {padding}: use a smaller kernel_size or more padding"
        )
    return Window(size, kernel, stride, padding, dilation, out)


def _positions(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many steps a window takes along one side; with ceil_mode the last may reach beyond the padding."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    out = -(-room // stride) + 1
    return out - ((out - 1) * stride >= size + padding)  # but it starts in the image or before it


def _given_window(
    dims: int, name: str, input: Tensor, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size,
    ceil_mode: bool,
) -> Window:  # fmt: skip
    check_images(name, input, dims)
    kernel = as_size("kernel_size", kernel_size, dims)
    return _window(
        name, input.shape[-dims:], kernel, kernel if stride is None else as_size("stride", stride, dims),
        as_size("padding", padding, dims), as_size("dilation", dilation, dims), bool(ceil_mode),
    )  # fmt: skip


# -- the largest entry --------------------------------------------------------------------------------------------


def max_pool1d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Answer:  # fmt: skip
    """The largest entry of each window: (N, C, L) -> (N, C, Lo); see `max_pool2d`."""
    return _largest(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Answer:  # fmt: skip
    """The largest entry of each window: (N, C, H, W) -> (N, C, Ho, Wo); N may be missing.

    `stride` is `kernel_size` unless given.  `ceil_mode` lets the last window reach beyond the image.
    `return_indices` gives also where the entries are, as positions in the flattened image, for `max_unpool2d`.
    RuntimeError for a window that does not fit.

    >>> import minidl
    >>> max_pool2d(minidl.arange(16.0).reshape(1, 4, 4), 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    return _largest(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Answer:  # fmt: skip
    """The largest entry of each window: (N, C, D, H, W) -> (N, C, Do, Ho, Wo); see `max_pool2d`."""
    return _largest(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _largest(
    dims: int, input: Tensor, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool,
    return_indices: bool,
) -> Answer:  # fmt: skip
    window = _given_window(dims, f"max_pool{dims}d", input, kernel_size, stride, padding, dilation, ceil_mode)
    out = on_batch(pooling.max_pool, dims, input, window=window)
    return (out, where_largest(input, _seen(window))) if return_indices else out


def _seen(window: Window) -> list[np.ndarray]:
    """For each side: what each window sees, (out, kernel), with its first place inside for those outside."""
    tables = []
    for n, k, s, p, d, out in zip(window.size, window.kernel, window.stride, window.padding, window.dilation,
                                  window.out, strict=True):  # fmt: skip
        table = np.arange(out)[:, None] * s - p + np.arange(k) * d
        inside = (table >= 0) & (table < n)
        first = np.take_along_axis(table, inside.argmax(1)[:, None], 1)
        tables.append(np.where(inside, table, first))
    return tables


def where_largest(input: Tensor, tables: list[np.ndarray]) -> Tensor:
    """Where in the flattened image the first largest entry of each window is: (..., *out), int64.

    `tables` has for each side the places that each window sees, (out, as many as it sees).
    """
    dims, xp = len(tables), array_module(input.array)
    places = np.zeros((1, 1), int)
    for n, table in zip(input.shape[-dims:], tables, strict=True):
        pairs = places[:, None, :, None] * n + table[None, :, None, :]
        places = pairs.reshape(pairs.shape[0] * pairs.shape[1], pairs.shape[2] * pairs.shape[3])
    places = xp.asarray(places)  # (windows, entries)
    before = input.shape[:-dims]
    seen = input.array.reshape(*before, math.prod(input.shape[-dims:]))[..., places]
    index = places[xp.arange(len(places)), seen.argmax(-1)]
    return Tensor(index.reshape(*before, *[len(table) for table in tables]))


# -- back to where they were --------------------------------------------------------------------------------------


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """The entries of `input` at `indices` among zeros: (N, C, L) -> (N, C, Lo); see `max_unpool2d`."""
    return _unpooled(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """The entries of `input` at `indices` (from `max_pool2d`) among zeros: (N, C, H, W) -> (N, C, Ho, Wo).

    Several sizes can be pooled to one: `output_size` names another than (H - 1)·stride + kh - 2·padding, ValueError
    if it is none of them.  RuntimeError for indices outside the image.
    """
    return _unpooled(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """The entries of `input` at `indices` among zeros: (N, C, D, H, W) -> (N, C, Do, Ho, Wo); see `max_unpool2d`."""
    return _unpooled(3, input, indices, kernel_size, stride, padding, output_size)


def _unpooled(
    dims: int, input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None, padding: Size,
    output_size: Sequence[int] | None,
) -> Tensor:  # fmt: skip
    name = f"max_unpool{dims}d"
    check_images(name, input, dims)
    if indices.dtype != np.int64 or indices.shape != input.shape:
        raise RuntimeError(
            f"{name}: expected indices of int64 and shape {input.shape}, got {indices.dtype} {indices.shape}"
        )
    kernel, pads = as_size("kernel_size", kernel_size, dims), as_size("padding", padding, dims)
    steps = kernel if stride is None else as_size("stride", stride, dims)
    size = _unpooled_size(name, input.shape[-dims:], kernel, steps, pads, output_size)
    length, xp = math.prod(size), array_module(input.array)
    flat = indices.array.reshape(-1, math.prod(input.shape[-dims:]))  # (images, entries)
    bounds.check(flat, 0, length, RuntimeError, f"{name}: expected indices", f" for images of {size}")
    zeros = xp.zeros((len(flat), length), input.dtype)
    out = replaced(zeros, reshape(input, shape=flat.shape), index=(xp.arange(len(flat))[:, None], flat))
    return reshape(out, shape=input.shape[:-dims] + size)


def _unpooled_size(
    name: str, size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    wanted: Sequence[int] | None,
) -> tuple[int, ...]:  # fmt: skip
    usual = tuple((n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel, stride, padding, strict=True))
    if wanted is None:
        return usual
    given = tuple(wanted[2:] if len(wanted) == len(size) + 2 else wanted)
    if len(given) != len(size) or any(not u - s < n < u + s for n, u, s in zip(given, usual, stride, strict=True)):
        raise ValueError(f"{name}: expected an output_size less than {stride} away from {usual}, got {wanted}")
    return given


# -- the mean -----------------------------------------------------------------------------------------------------


def avg_pool1d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window: (N, C, L) -> (N, C, Lo); see `avg_pool2d`."""
    return _averaged(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window: (N, C, H, W) -> (N, C, Ho, Wo); N may be missing, `stride` is `kernel_size` if None.

    The zeros of `padding` count unless `count_include_pad` is false; what `ceil_mode` lets the last window see
    beyond them never does.  `divisor_override` takes the place of the count.
    """
    return _averaged(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window: (N, C, D, H, W) -> (N, C, Do, Ho, Wo); see `avg_pool2d`."""
    return _averaged(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _averaged(
    dims: int, input: Tensor, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool,
    count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    name = f"avg_pool{dims}d"
    window = _given_window(dims, name, input, kernel_size, stride, padding, 1, ceil_mode)
    if input.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected floats, got {input.dtype}: use .float() first")
    if divisor == 0:
        raise RuntimeError(f"{name}: divisor_override must not be 0; None divides by the number of entries")
    counts = _counts(window, bool(count_include_pad)) if divisor is None else divisor
    if not isinstance(counts, np.ndarray):
        return on_batch(pooling.avg_pool, dims, input, window=window, divisor=counts)
    counts = array_module(input.array).asarray(counts, dtype=input.dtype)
    return divide(on_batch(pooling.avg_pool, dims, input, window=window, divisor=1), counts)


@lru_cache(maxsize=1024)
def _counts(window: Window, include_pad: bool) -> Any:
    """How many entries each window takes the mean of: a number if they are equal, otherwise an array, (*out)."""
    counts = np.ones((), int)
    for n, k, s, p, out in zip(window.size, window.kernel, window.stride, window.padding, window.out, strict=True):
        table = np.arange(out)[:, None] * s - p + np.arange(k)
        edge = p if include_pad else 0
        counts = counts[..., None] * ((table >= -edge) & (table < n + edge)).sum(1)
    return int(counts.flat[0]) if counts.min() == counts.max() else counts


# -- a norm -------------------------------------------------------------------------------------------------------


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: int, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """The `norm_type`-norm of each window: (N, C, L) -> (N, C, Lo); see `lp_pool2d`."""
    return _norm_pooled(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """(Σ x^p)^(1/p) over each window, p = `norm_type`: (N, C, H, W) -> (N, C, Ho, Wo); the gradient at 0 is 0.

    An infinite p gives the largest |x|.  A window that reaches beyond the image (`ceil_mode`) counts as a full one
    with the same mean.
    """
    return _norm_pooled(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """(Σ x^p)^(1/p) over each window, p = `norm_type`: (N, C, D, H, W) -> (N, C, Do, Ho, Wo); see `lp_pool2d`."""
    return _norm_pooled(3, input, norm_type, kernel_size, stride, ceil_mode)


def _norm_pooled(
    dims: int, input: Tensor, p: float, kernel_size: Size, stride: Size | None, ceil_mode: bool
) -> Tensor:
    if math.isinf(p):
        sign = math.copysign(1.0, p)  # the smallest |x| is minus the largest -|x|
        return sign * _largest(dims, sign * abs(input), kernel_size, stride, 0, 1, ceil_mode, False)
    mean = _averaged(dims, input**p, kernel_size, stride, 0, ceil_mode, True, None)
    total = mean * math.prod(as_size("kernel_size", kernel_size, dims))
    zero = total == 0  # where the slope of the root is infinite
    return where(zero, 0.0, where(zero, 1.0, total) ** (1 / p))
