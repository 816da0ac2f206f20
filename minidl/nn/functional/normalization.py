"""Normalisation as functions: subtract a mean, divide by a standard deviation, then scale and shift.

They differ in the entries that share a mean.
"""

from __future__ import annotations

from minidl.autograd import Tensor, no_grad
from minidl.ops import fused, reductions


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
