"""What convolution and pooling share as functions: settings for all dimensions or for each, and images alone.

The functions themselves are in convolution.py and pooling.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index as as_whole
from typing import Any

from minidl.autograd import Tensor
from minidl.ops.shapes import squeeze, unsqueeze

Size = int | Sequence[int]  # one whole number for all dimensions of an image, or one for each
IMAGES = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


def as_size(word: str, value: Size, dims: int) -> tuple[int, ...]:
    """A setting for each of `dims` dimensions; RuntimeError for another number of them, TypeError for fractions."""
    if isinstance(value, int):
        return (value,) * dims
    try:
        sides = tuple(map(as_whole, value if isinstance(value, (tuple, list)) else (value,)))
    except TypeError:
        raise TypeError(f"{word}: expected one whole number, or {dims}, got {value!r}") from None
    if len(sides) == 1:
        return sides * dims
    if len(sides) != dims:
        raise RuntimeError(f"{word}: expected one whole number, or {dims}, one for each dimension, got {value}")
    return sides


def check_images(name: str, input: Tensor, dims: int) -> None:
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"{name}: expected {IMAGES[dims]}, or one image without N, got shape {input.shape}")


def check_settings(name: str, least: int, **settings: tuple[int, ...]) -> None:
    """RuntimeError if an entry of a setting is smaller than `least`."""
    for word, numbers in settings.items():
        if min(numbers) < least:
            raise RuntimeError(f"{name}: {word} must be at least {least}, got {numbers}")


def on_batch(op: Callable[..., Tensor], dims: int, input: Tensor, *others: Any, **settings: Any) -> Tensor:
    """Run an op that wants (N, C, *size) on that or on a single image (C, *size)."""
    if input.ndim == dims + 2:
        return op(input, *others, **settings)
    return squeeze(op(unsqueeze(input, 0), *others, **settings), 0)
