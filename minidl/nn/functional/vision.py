"""Images made larger, smaller or rearranged: interpolate, pixel_shuffle, channel_shuffle.

Interpolation is linear in the image and works side by side: each side is multiplied with a matrix (out, size), or,
where entries are only picked, indexed with rows (out,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import array_module
from minidl.functional.shapes import fresh
from minidl.nn.functional.windows import IMAGES, as_size
from minidl.ops.indexing import getitem
from minidl.ops.products import matrix_product
from minidl.ops.shapes import broadcast_to, reshape, transpose

_MODES = {
    "nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3),
    "linear": (1,), "bilinear": (2,), "trilinear": (3,), "bicubic": (2,),
}  # fmt: skip


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Images of another size: (N, C, H, W) -> (N, C, Ho, Wo), and likewise with 1 or 3 dimensions.

    The size is given, or a factor to it.  `mode` is "nearest", "nearest-exact", "area" (means), "linear" for one
    dimension, "bilinear" for two, "trilinear" for three, or "bicubic" for two (R. Keys, "Cubic convolution
    interpolation for digital image processing", 1981, with a = -0.75).  Pixels are little squares; `align_corners`
    makes them points, and the corner points stay.  ValueError for settings that do not fit together, RuntimeError
    for a mode that does not fit the image.

    >>> import minidl
    >>> interpolate(minidl.tensor([[[0.0, 1.0]]]), scale_factor=2, mode="linear")
    tensor([[[0.  , 0.25, 0.75, 1.  ]]])
    """
    dims, smooth = input.ndim - 2, mode.endswith(("linear", "cubic"))
    if align_corners is not None and mode in _MODES and not smooth:
        raise ValueError(f'interpolate: align_corners is for the linear and cubic modes, not for mode="{mode}"')
    if antialias:
        raise ValueError('interpolate: there is no antialias; mode="area" takes means when an image gets smaller')
    sizes = _sizes(input.shape[2:], size, scale_factor, recompute_scale_factor)
    if dims not in _MODES.get(mode, ()):
        fitting = [name for name in _MODES if dims in _MODES[name]]
        what = f"one of the modes {fitting}" if fitting else f"images {' or '.join(IMAGES.values())}"
        raise RuntimeError(f"interpolate: expected {what}, got mode={mode!r} and shape {input.shape}")
    if size is not None:
        as_size("interpolate: size", size, dims)
    least, counted = (0, input.shape[2:]) if mode == "area" else (1, input.shape[1:])  # as PyTorch has it
    if min(counted) < 1 or any(out < least for _, out, _ in sizes):
        raise RuntimeError(
            f"interpolate: an image of {input.shape[1:]} cannot be made one of {tuple(out for _, out, _ in sizes)}"
        )
    if input.dtype.kind != "f" and not mode.startswith("nearest"):
        raise RuntimeError(f'interpolate: mode="{mode}" needs floats, got {input.dtype}: use .float() first')
    tables: list[np.ndarray | int]
    if smooth:
        tables = [_interpolating(*side, "cubic" in mode, bool(align_corners), input.dtype) for side in sizes]
    elif mode == "area":
        tables = [averaging(n, out, input.dtype) for n, out, _ in sizes]
    else:
        tables = [_nearest(*side, mode == "nearest-exact") for side in sizes]
    return fresh(resampled(input, tables=tables), input)


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The older name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def _sizes(
    image: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> list[tuple[int, int, float]]:
    """For each side: its length, the new one, and how far apart in the image two neighbours of the result are."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: expected either a size or a scale_factor, got {size} and {scale_factor}")
    if size is not None and recompute:
        raise ValueError("interpolate: recompute_scale_factor is for a scale_factor, but a size is given")
    given = scale_factor if size is None else size
    wanted = list(given) if isinstance(given, (tuple, list)) else [given] * len(image)
    if len(wanted) != len(image):
        raise ValueError(f"interpolate: expected one number or {len(image)}, one for each side of {image}, got {given}")
    outs = [int(n * w) for n, w in zip(image, wanted, strict=True)] if size is None else [int(w) for w in wanted]
    steps = [
        1 / w if size is None and not recompute and w > 0 else n / (out or 1)
        for n, w, out in zip(image, wanted, outs, strict=True)
    ]
    return list(zip(image, outs, steps, strict=True))


# -- what multiplies or picks a side ------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _nearest(size: int, out: int, step: float, exact: bool) -> np.ndarray | int:
    """The row of the image for each row of the result, (out,); a number if each row is repeated that often."""
    place = np.arange(out, dtype=np.float32)
    rows = np.minimum(np.floor((place + 0.5 if exact else place) * step), size - 1).astype(int)
    return out // size if np.array_equal(rows, np.repeat(np.arange(size), out // size)) else rows


@lru_cache(maxsize=1024)
def _interpolating(size: int, out: int, step: float, cubic: bool, align_corners: bool, dtype: Any) -> np.ndarray:
    """The matrix (out, size) of linear or cubic interpolation."""
    place = np.arange(out, dtype=np.result_type(dtype, np.float32))
    source = place * ((size - 1) / max(out - 1, 1)) if align_corners else (place + 0.5) * step - 0.5
    if not cubic:
        source = np.maximum(source, 0)
    first = np.floor(source)
    t = source - first
    weights = _keys(t) if cubic else [1 - t, t]
    matrix = np.zeros((out, size), dtype)
    for shift, weight in enumerate(weights, -1 if cubic else 0):
        column = np.clip(first.astype(int) + shift, 0, size - 1)  # beyond the border its entry is repeated
        matrix[np.arange(out), column] += weight
    return matrix


def _keys(t: np.ndarray, a: float = -0.75) -> list[np.ndarray]:
    """The weights of the four neighbours of a place that is t behind the second (Keys 1981, equation 4)."""
    near = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (t, 1 - t)]
    far = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (1 + t, 2 - t)]
    return [far[0], *near, far[1]]


@lru_cache(maxsize=1024)
def averaging(size: int, out: int, dtype: Any) -> np.ndarray:
    """The matrix (out, size) of the means of `parts`."""
    start, end = parts(size, out)
    place = np.arange(size)
    inside = (place >= start[:, None]) & (place < end[:, None])
    return (inside / (end - start)[:, None]).astype(dtype)


def parts(size: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each of `out` parts of a side starts and ends; they are as equal as can be and may overlap."""
    i = np.arange(out)
    return i * size // max(out, 1), -(-(i + 1) * size // max(out, 1))


def resampled(x: Tensor, *, tables: Sequence[np.ndarray | int]) -> Tensor:
    """x (N, C, *size) with each side times its matrix, indexed with its rows, or repeated: (N, C, *out)."""
    x = transpose(x, axes=(*range(1, x.ndim), 0))  # the batch goes last, where convolutions want it
    for axis, table in enumerate(tables, 1):
        before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        if isinstance(table, int):  # expanded, because the derivative of that is a plain sum
            x = broadcast_to(reshape(x, shape=(*before, size, 1, *after)), shape=(*before, size, table, *after))
            x = reshape(x, shape=(*before, size * table, *after))
        elif table.ndim == 1:
            x = getitem(x, (slice(None),) * axis + (table,))
        else:
            matrix = array_module(x.array).asarray(table)
            columns = reshape(x, shape=(math.prod(before), size, math.prod(after)))
            x = reshape(matrix_product(matrix, columns), shape=(*before, len(table), *after))
    return transpose(x, axes=(x.ndim - 1, *range(x.ndim - 1)))


# -- rearranged -----------------------------------------------------------------------------------------------------


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels become pixels: (..., C·r², H, W) -> (..., C, H·r, W·r) for r = `upscale_factor`.

    W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
    Neural Network" (2016).  RuntimeError for shapes that do not fit.

    >>> import minidl
    >>> pixel_shuffle(minidl.arange(4).reshape(4, 1, 1), 2)
    tensor([[[0, 1],
             [2, 3]]])
    """
    r = _checked("pixel_shuffle", input, upscale_factor)
    *before, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(f"pixel_shuffle: expected a multiple of {r * r} channels, got {channels} in {input.shape}")
    x = reshape(input, shape=(*before, channels // (r * r), r, r, height, width))
    n = len(before)
    x = transpose(x, axes=(*range(n + 1), n + 3, n + 1, n + 4, n + 2))  # (..., C, H, r, W, r)
    return fresh(reshape(x, shape=(*before, channels // (r * r), height * r, width * r)), input)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels become channels, the inverse of `pixel_shuffle`: (..., C, H·r, W·r) -> (..., C·r², H, W)."""
    r = _checked("pixel_unshuffle", input, downscale_factor)
    *before, channels, height, width = input.shape
    if height % r or width % r:
        raise RuntimeError(f"pixel_unshuffle: height and width must be multiples of {r}, got shape {input.shape}")
    x = reshape(input, shape=(*before, channels, height // r, r, width // r, r))
    n = len(before)
    x = transpose(x, axes=(*range(n + 1), n + 2, n + 4, n + 1, n + 3))  # (..., C, r, r, H, W)
    return fresh(reshape(x, shape=(*before, channels * r * r, height // r, width // r)), input)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of `groups` groups by turns, one from each: (N, C, *) -> (N, C, *).

    X. Zhang et al., "ShuffleNet" (2018).  RuntimeError unless `groups` divides C.
    """
    groups = _checked("channel_shuffle", input, groups)
    batch, channels, *size = input.shape
    if channels % groups:
        raise RuntimeError(f"channel_shuffle: expected a multiple of {groups} channels, got shape {input.shape}")
    x = reshape(input, shape=(batch, groups, channels // groups, math.prod(size)))
    return fresh(reshape(transpose(x, axes=(0, 2, 1, 3)), shape=input.shape), input)


def _checked(name: str, input: Tensor, factor: int) -> int:
    if input.ndim < 3:
        raise RuntimeError(f"{name}: expected images with channels, 3 dimensions or more, got shape {input.shape}")
    if factor < 1:
        raise RuntimeError(f"{name}: expected a whole number above 0, got {factor}")
    return factor
