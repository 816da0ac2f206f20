"""The functions that layers and losses call, under the names and with the signatures of torch.nn.functional.

What a layer remembers, its weights, is passed in.  `inplace` is accepted for PyTorch's sake and changes nothing: a
result always has memory of its own, so that backward finds the input as it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import index as as_index
from typing import Any

from minidl.autograd import Op, Tensor, no_grad
from minidl.nn.loss_functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)  # fmt: skip
from minidl.ops import elementwise, functions, fused, reductions, windows
from minidl.ops.elementwise import clamp, erf, expm1
from minidl.ops.indexing import one_hot
from minidl.ops.shapes import squeeze, unsqueeze

__all__ = [
    "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "conv2d", "cross_entropy",
    "dropout", "elu", "gelu", "huber_loss", "kl_div", "l1_loss", "leaky_relu", "linear", "log_softmax", "max_pool2d",
    "mse_loss", "nll_loss", "one_hot", "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "tanh",
]  # fmt: skip

Pair = int | Sequence[int]  # one whole number for height and width, or two


# -- activations --------------------------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return elementwise.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where it is positive, negative_slope · x elsewhere.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> import minidl
    >>> leaky_relu(minidl.tensor([-2.0, 3.0]), 0.1)
    tensor([-0.2,  3. ])
    """
    return elementwise.relu(input) + negative_slope * clamp(input, max=0)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, alpha · (exp(x) - 1) elsewhere.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear
    units", ICLR 2016.
    """
    return elementwise.relu(input) + alpha * expm1(clamp(input, max=0))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), where Φ is the distribution function of the normal distribution.

    With `approximate="tanh"` Φ is 0.5 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).  RuntimeError for another word.
    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate == "none":
        return 0.5 * input * (1 + erf(input * math.sqrt(0.5)))
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
        return 0.5 * input * (1 + elementwise.tanh(inner))
    raise RuntimeError(f'gelu: approximate must be "none" or "tanh", got {approximate!r}')


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also called swish.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", Neural Networks 107 (2018).
    """
    return input * elementwise.sigmoid(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return elementwise.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return elementwise.tanh(input)


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """exp(x) scaled so that it sums to 1 along `dim`, which has to be given (TypeError)."""
    return functions.softmax(input if dtype is None else input.astype(dtype), dim)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, without its rounding errors."""
    return functions.log_softmax(input if dtype is None else input.astype(dtype), dim)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each entry becomes 0 with probability `p` and otherwise x / (1 - p); without `training` nothing happens.

    ValueError for p outside 0 to 1.  Source: Srivastava et al., "Dropout", JMLR 15 (2014).
    """
    return fused.dropout(input, p, training)


# -- linear layers, convolution, pooling --------------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: (..., in), (out, in), (out,) -> (..., out); RuntimeError for other shapes.

    >>> import minidl
    >>> linear(minidl.ones(2, 3), minidl.ones(4, 3)).shape
    (2, 4)
    """
    return fused.linear(input, weight, bias)


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


# -- normalisation ------------------------------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(var + eps) · weight + bias in each channel: (N, C) or (N, C, ...) -> the same.

    With `training` mean and variance are those of the batch, and the running ones move towards them by
    `momentum`; without it they are the running ones (RuntimeError if there are none).  ValueError for one value per
    channel in training.  Source: Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithm 1.
    """
    channels = input.shape[1]
    vectors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for word, vector in vectors.items():
        if vector is not None and vector.shape != (channels,):
            raise RuntimeError(f"batch_norm: expected a {word} of shape ({channels},), got {vector.shape}")
    others, column = (0, *range(2, input.ndim)), (1, channels) + (1,) * (input.ndim - 2)
    if training:
        count = input.numel() // max(1, channels)
        if count <= 1:
            raise ValueError(f"batch_norm: training needs more than one value per channel, got shape {input.shape}")
        mean = reductions.mean(input, axis=others, keepdims=True)
        var = reductions.var(input, axis=others, keepdims=True, correction=0)
        _move_towards(running_mean, mean, momentum)
        _move_towards(running_var, var, momentum, count / (count - 1))
    elif running_mean is None or running_var is None:
        raise RuntimeError("batch_norm: running_mean and running_var are needed when not training")
    else:
        mean, var = running_mean.reshape(column), running_var.reshape(column)
    scale_and_shift = [None if vector is None else vector.reshape(column) for vector in (weight, bias)]
    return fused.normalize(input, mean, var, *scale_and_shift, eps=eps)


def _move_towards(running: Tensor | None, batch: Tensor, momentum: float, factor: float = 1.0) -> None:
    """running = (1 - momentum) · running + momentum · factor · batch, in place."""
    if running is not None:
        with no_grad():
            running.mul_(1 - momentum).add_(batch.reshape(running.shape) * (momentum * factor))
