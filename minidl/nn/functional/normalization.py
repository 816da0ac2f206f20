"""Normalisation as functions: subtract a mean, divide by a standard deviation, then scale and shift.

They differ in the entries that share a mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minidl import kernels
from minidl.autograd import Tensor, no_grad
from minidl.backend import Array
from minidl.nn.functional.padding import pad
from minidl.ops import fused, reductions
from minidl.ops.elementwise import rsqrt, square


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
    `momentum`; without it, and for an empty batch, they are the running ones (RuntimeError if there are none).
    ValueError for one value per channel in training.
    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithm 1.
    """
    if input.ndim < 2:
        raise RuntimeError(f"batch_norm: expected an input (N, C) or (N, C, ...), got shape {input.shape}")
    channels = input.shape[1]
    _check_vectors("batch_norm", input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    others, column = (0, *range(2, input.ndim)), (1, channels) + (1,) * (input.ndim - 2)
    w, b = (None if vector is None else vector.reshape(column) for vector in (weight, bias))
    if training and input.numel():
        count = input.numel() // channels
        if count == 1:
            raise ValueError(f"batch_norm: training needs more than one value per channel, got shape {input.shape}")
        statistics: list[Array] = []
        out = fused.standardize(input, w, b, axis=others, eps=eps, kept=statistics)
        _move_towards(running_mean, running_var, statistics, momentum, count)
        return out
    if running_mean is None or running_var is None:
        raise RuntimeError("batch_norm: running_mean and running_var are needed when not training")
    with no_grad():
        mean, scale = running_mean.reshape(column), rsqrt(running_var.reshape(column) + eps)
    out = (input - mean) * (scale if w is None else scale * w)
    return out if b is None else out + b


def _check_vectors(name: str, input: Tensor, **vectors: Tensor | None) -> None:
    """RuntimeError unless each vector that is given has an entry for each channel of `input` (N, C, ...)."""
    for word, vector in vectors.items():
        if vector is not None and vector.shape != input.shape[1:2]:
            raise RuntimeError(f"{name}: expected a {word} of shape {input.shape[1:2]}, got {vector.shape}")


def _move_towards(
    running_mean: Tensor | None, running_var: Tensor | None, statistics: list[Array], momentum: float, count: int
) -> None:
    """running = (1 - momentum) · running + momentum · statistic, in place; the variance with count - 1."""
    for running, x, factor in zip((running_mean, running_var), statistics, (1, count / (count - 1)), strict=True):
        if running is None:
            continue
        rows = x.reshape((-1, *running.shape))
        now = rows[0] if len(rows) == 1 else rows.mean(0)
        if kernels.fit_without_xp(running.array, now) and running.array.flags.c_contiguous:
            kernels.blend(now, running.array, 1 - momentum, momentum * factor)
            running.mark_changed()
        else:
            with no_grad():
                running.mul_(1 - momentum).add_(Tensor(now) * (momentum * factor))


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(var + eps) · weight + bias over the last dimensions, those of `normalized_shape`.

    Mean and variance are those of each example, so that training and evaluation are the same, and batches may have
    one example.  RuntimeError for other shapes.  Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> import minidl
    >>> layer_norm(minidl.tensor([[1.0, 3.0], [5.0, 9.0]]), (2,)).array.round(3)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    axes = _last_axes("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return fused.standardize(input, weight, bias, axis=axes, eps=eps, kept=[])


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / √(mean(x²) + eps) · weight over the last dimensions, those of `normalized_shape`: no mean is taken away.

    `eps` is the spacing of floats at 1 unless given.  RuntimeError for other shapes.
    Source: Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019.
    """
    axes = _last_axes("rms_norm", input, normalized_shape, weight=weight)
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    out = input * (reductions.mean(square(input), axis=axes, keepdims=True) + eps) ** -0.5
    return out if weight is None else out * weight


def _last_axes(name: str, input: Tensor, shape: Sequence[int], **given: Tensor | None) -> tuple[int, ...]:
    """The axes that `shape` names, counted from the end; RuntimeError unless everything has that shape."""
    if isinstance(shape, int):
        raise TypeError(f"{name}: expected normalized_shape as a tuple, ({shape},), got {shape}")
    if input.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating dtype, got {input.dtype}: use .float() first")
    shape = tuple(shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise RuntimeError(f"{name}: expected an input of shape (*, {', '.join(map(str, shape))}), got {input.shape}")
    for word, x in given.items():
        if x is not None and x.shape != shape:
            raise RuntimeError(f"{name}: expected a {word} of shape {shape}, got {x.shape}")
    return tuple(range(-len(shape), 0))


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / √(var + eps) · weight + bias, where groups of channels of an example share a mean: (N, C, ...).

    RuntimeError unless `num_groups` divides the channels, ValueError for one value per group.
    Source: Wu and He, "Group normalization", ECCV 2018.
    """
    if input.ndim < 2:
        raise RuntimeError(f"group_norm: expected an input (N, C, ...), got shape {input.shape}")
    channels = input.shape[1]
    if num_groups > 0 and len(input) * channels // num_groups * math.prod(input.shape[2:]) == 1:
        raise ValueError(f"group_norm: needs more than one value per group, got shape {input.shape}")
    if num_groups < 1 or channels % num_groups:
        raise RuntimeError(f"group_norm: the {channels} channels of {input.shape} do not make {num_groups} groups")
    grouped = input.reshape(input.shape[0], num_groups, math.prod(input.shape[1:]) // num_groups)
    out = layer_norm(grouped, grouped.shape[2:], eps=eps).reshape(input.shape)
    return _scaled_and_shifted("group_norm", out, weight, bias)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(var + eps) · weight + bias in each channel of each example: (N, C, ...).

    The running statistics, if given, move towards the mean of the batch's; without `use_input_stats` they are used
    instead.  ValueError for one value per channel.  Source: Ulyanov, Vedaldi and Lempitsky, "Instance
    normalization", 2016.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    axes, count = tuple(range(2, input.ndim)), math.prod(input.shape[2:])
    if count <= 1:
        raise ValueError(f"instance_norm: training needs more than one value per channel, got shape {input.shape}")
    _check_vectors("instance_norm", input, running_mean=running_mean, running_var=running_var)
    statistics: list[Array] = []
    out = fused.standardize(input, axis=axes, eps=eps, kept=statistics)
    _move_towards(running_mean, running_var, statistics, momentum, count)
    return _scaled_and_shifted("instance_norm", out, weight, bias)


def _scaled_and_shifted(name: str, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """x (N, C, ...) times `weight` (C,) plus `bias` (C,), where they are given."""
    _check_vectors(name, x, weight=weight, bias=bias)
    column = (x.shape[1],) + (1,) * (x.ndim - 2)
    x = x if weight is None else x * weight.reshape(column)
    return x if bias is None else x + bias.reshape(column)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha · mean of x² over the `size` nearest channels)^beta, channels outside counted as 0: (N, C, ...).

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
    NIPS 2012, section 3.3 (with PyTorch's mean for the paper's sum).
    """
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: expected (N, C, ...) with at least 3 dimensions, got {input.shape}")
    if size < 1:
        raise RuntimeError(f"local_response_norm: size must be a number of channels from 1, got {size}")
    around = (0, 0) * (input.ndim - 2) + (size // 2, (size - 1) // 2)
    squares = pad(square(input), around)  # (N, C + size - 1, ...)
    near = sum(squares.narrow(1, shift, input.shape[1]) for shift in range(size))
    return input / (near * (alpha / size) + k) ** beta
