"""Convolution and pooling as functions: the checks and settings around the ops that slide a window over images.

What a layer remembers, its weights, is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import index as as_index
from typing import Any

from minidl.autograd import Op, Tensor
from minidl.ops import windows
from minidl.ops.shapes import squeeze, unsqueeze

Pair = int | Sequence[int]  # one whole number for height and width, or two


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of images with `weight`: (N, C, H, W), (O, C/groups, kh, kw) -> (N, O, Ho, Wo).

    The batch dimension N may be missing.  `padding` is how many zeros go around the image, "valid" for none or
    "same" for so many that Ho = H and Wo = W (stride 1 only).  RuntimeError for shapes that do not fit.

    >>> import minidl
    >>> conv2d(minidl.zeros(8, 3, 28, 28), minidl.zeros(6, 3, 5, 5), padding=2).shape
    (8, 6, 28, 28)
    """
    _check_images("conv2d", input)
    _check_convolution(input, weight, bias, groups)
    window = _window(
        "conv2d", input.shape[-2:], weight.shape[2:], as_pair("stride", stride),
        padding if isinstance(padding, str) else as_pair("padding", padding), as_pair("dilation", dilation),
    )  # fmt: skip
    return _on_batch(windows.conv2d, input, weight, bias, window=window, groups=groups)


def max_pool2d(
    input: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1
) -> Tensor:
    """The largest entry of each window: (N, C, H, W) -> (N, C, Ho, Wo); N may be missing.

    `stride` is `kernel_size` unless given.  RuntimeError for a window that does not fit.

    >>> import minidl
    >>> max_pool2d(minidl.arange(16.0).reshape(1, 4, 4), 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    return _pooled("max_pool2d", windows.max_pool2d, input, kernel_size, stride, padding, dilation)


def avg_pool2d(input: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Tensor:
    """The mean of each window, padding counted as zeros: (N, C, H, W) -> (N, C, Ho, Wo); N may be missing."""
    return _pooled("avg_pool2d", windows.avg_pool2d, input, kernel_size, stride, padding, 1)


def _pooled(
    name: str, op: Op, input: Tensor, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair
) -> Tensor:
    _check_images(name, input)
    kernel, pads = as_pair("kernel_size", kernel_size), as_pair("padding", padding)
    steps, spread = kernel if stride is None else as_pair("stride", stride), as_pair("dilation", dilation)
    window = _window(name, input.shape[-2:], kernel, steps, pads, spread)
    if 2 * pads[0] > spread[0] * (kernel[0] - 1) + 1 or 2 * pads[1] > spread[1] * (kernel[1] - 1) + 1:
        raise RuntimeError(f"{name}: padding must be at most half of the window, got {pads} for kernel_size {kernel}")
    return _on_batch(op, input, window=window)


def _on_batch(op: Op, input: Tensor, *others: Any, **settings: Any) -> Tensor:
    """Run an op that wants (N, C, H, W) on that or on a single image (C, H, W)."""
    if input.ndim == 4:
        return op(input, *others, **settings)
    return squeeze(op(unsqueeze(input, 0), *others, **settings), 0)


def as_pair(word: str, value: Pair) -> tuple[int, int]:
    """A setting for height and width."""
    if isinstance(value, int):
        return value, value
    pair = value if isinstance(value, (tuple, list)) else (as_index(value),) * 2  # type: ignore[arg-type]
    if len(pair) != 2:
        raise RuntimeError(f"{word}: expected one whole number, or two for height and width, got {value}")
    return as_index(pair[0]), as_index(pair[1])


@lru_cache(maxsize=1024)
def _window(
    name: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int],
) -> windows.Window:
    """The checked window; remembered, because a layer asks for the same one at each step."""
    pads = _same_padding(kernel, stride, padding, dilation) if isinstance(padding, str) else tuple(
        (n, n) for n in padding
    )
    for word, numbers, least in (("kernel_size", kernel, 1), ("stride", stride, 1), ("dilation", dilation, 1),
                                 ("padding", (*pads[0], *pads[1]), 0)):  # fmt: skip
        if min(numbers) < least:
            raise RuntimeError(f"{name}: {word} must be at least {least}, got {padding if least == 0 else numbers}")
    window = windows.Window(size, kernel, stride, (pads[0], pads[1]), dilation)
    if min(window.out) < 1:
        raise RuntimeError(
            f"{name}: a window of {kernel} with dilation {dilation} is larger than the image of {size} "
            f"with padding {padding}: use a smaller kernel or more padding"
        )
    return window


def _same_padding(
    kernel: tuple[int, int], stride: tuple[int, int], padding: str, dilation: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """How many zeros go before and after each dimension for "same" and "valid"; the odd one goes after."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        raise RuntimeError(f'conv2d: expected a padding of whole numbers, "same" or "valid", got {padding!r}')
    if stride != (1, 1):
        raise RuntimeError(f'conv2d: padding="same" needs stride 1, got {stride}')
    return tuple((d * (k - 1) // 2, (d * (k - 1) + 1) // 2) for k, d in zip(kernel, dilation, strict=True))


def _check_images(name: str, input: Tensor) -> None:
    if input.ndim not in (3, 4):
        raise RuntimeError(f"{name}: expected images (N, C, H, W) or one image (C, H, W), got shape {input.shape}")


def _check_convolution(input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    if weight.ndim != 4:
        raise RuntimeError(f"conv2d: expected a weight of shape (O, C/groups, kh, kw), got {weight.shape}")
    if groups < 1:
        raise RuntimeError(f"conv2d: groups must be at least 1, got {groups}")
    if input.shape[-3] != weight.shape[1] * groups:
        raise RuntimeError(
            f"conv2d: expected images of {weight.shape[1] * groups} channels for a weight of shape {weight.shape} "
            f"and groups={groups}, got {input.shape[-3]} channels in shape {input.shape}"
        )
    if weight.shape[0] % groups:
        raise RuntimeError(f"conv2d: groups={groups} must divide the output channels, got a weight {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise RuntimeError(f"conv2d: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    if input.dtype != weight.dtype:
        raise RuntimeError(f"conv2d: the input is {input.dtype} and the weight {weight.dtype}: use .to() on one")
