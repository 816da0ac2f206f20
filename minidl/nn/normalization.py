"""Batch normalisation: each channel brought to mean 0 and variance 1, then to a learned mean and spread."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.autograd import Tensor, no_grad
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.creation import ones, zeros


class _BatchNorm(Module):
    """What BatchNorm1d and BatchNorm2d share; they differ in the numbers of dimensions that they take."""

    dimensions: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        place = {"device": device, "dtype": dtype}
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(ones(num_features, **place)) if affine else None
        self.bias = Parameter(zeros(num_features, **place)) if affine and bias else None
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        buffers = {
            "running_mean": zeros(num_features, **place),
            "running_var": ones(num_features, **place),
            "num_batches_tracked": zeros((), dtype=np.int64, device=device),
        }
        for name, start in buffers.items():
            self.register_buffer(name, start if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """Forget the statistics of the batches seen so far."""
        for buffer in self.buffers():
            init.constant_(buffer, 1 if buffer is self.running_var else 0)

    def reset_parameters(self) -> None:
        """Go back to the start: running statistics, weights 1, biases 0."""
        self.reset_running_stats()
        for parameter in self.parameters():
            init.constant_(parameter, 1 if parameter is self.weight else 0)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.dimensions:
            expected = " or ".join(f"{n}D" for n in self.dimensions)
            raise ValueError(f"{type(self).__name__}: expected {expected} input, got shape {input.shape}")
        tracked = self.num_batches_tracked
        momentum = self.momentum
        if momentum is None:  # the plain average of all batches so far
            momentum = 0.0 if tracked is None else 1 / (tracked.item() + 1)
        training = self.training or self.running_mean is None
        out = F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training, momentum, self.eps
        )
        if training and tracked is not None:
            with no_grad():
                tracked.add_(1)
        return out

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")  # fmt: skip


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); see `nn.functional.batch_norm` for the formula and its source.

    In training mode with the statistics of the batch, while running averages of them are kept as buffers
    (`momentum=None`: the plain average of all batches); in evaluation mode with those averages.
    Raises ValueError for other numbers of dimensions, and for a batch of one value per channel in training.

    >>> import minidl
    >>> BatchNorm1d(2)(minidl.tensor([[0.0, 5.0], [2.0, 5.0]])).array.round(2)
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    """

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W): as `BatchNorm1d`, over the batch and all places of a channel."""

    dimensions = (4,)
