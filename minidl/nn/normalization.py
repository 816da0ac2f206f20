"""Normalisation: entries brought to mean 0 and variance 1, then to a learned mean and spread.

The layers differ in which entries share a mean; formulas and sources stand with the functions in nn.functional.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.autograd import Tensor, no_grad
from minidl.functional.creation import ones, zeros
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter


class _Norm(Module):
    """A normalisation with a weight and a bias, each of which may be None."""

    def _check_dtype(self, input: Tensor, other: Tensor | None) -> None:
        """RuntimeError for floats unlike those of the layer; float16 may meet finer ones, as in PyTorch."""
        if other is not None and other.dtype != input.dtype and input.dtype in (np.float32, np.float64):
            raise RuntimeError(
                f"{type(self).__name__}: the input is {input.dtype} and the layer {other.dtype}: "
                f"use input.to(minidl.{other.dtype}) or model.to(minidl.{input.dtype})"
            )

    def reset_parameters(self) -> None:
        """Go back to the start: weights 1, biases 0."""
        for name, parameter in self.named_parameters():
            init.constant_(parameter, 1 if name == "weight" else 0)


class _ChannelNorm(_Norm):
    """What batch and instance normalisation share: a weight and a bias, and running statistics, for each channel."""

    dimensions: tuple[int, ...] = ()

    def _set_up(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
        bias: bool, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
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
        super().reset_parameters()

    def _check_dimensions(self, input: Tensor) -> None:
        if input.ndim not in self.dimensions:
            expected = " or ".join(f"{n}D" for n in self.dimensions)
            raise ValueError(f"{type(self).__name__}: expected {expected} input, got shape {input.shape}")

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")  # fmt: skip


class _BatchNorm(_ChannelNorm):
    """What the layers of batch normalisation share; they differ in the numbers of dimensions that they take."""

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
        self._set_up(num_features, eps, momentum, affine, track_running_stats, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        self._check_dimensions(input)
        self._check_dtype(input, self.running_mean if self.weight is None else self.weight)
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


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes (N, C, D, H, W)."""

    dimensions = (5,)


class _InstanceNorm(_ChannelNorm):
    """What the layers of instance normalisation share."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        self._set_up(num_features, eps, momentum, affine, track_running_stats, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        self._check_dimensions(input)
        self._check_dtype(input, self.running_mean if self.weight is None else self.weight)
        alone = input.ndim == self.dimensions[0]
        batch = input.unsqueeze(0) if alone else input
        if batch.shape[1] != self.num_features and self.affine:
            raise ValueError(f"{type(self).__name__}: expected {self.num_features} channels, got shape {input.shape}")
        out = F.instance_norm(
            batch, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        return out.squeeze(0) if alone else out


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L) or (C, L): each channel of each example by its own mean and variance.

    ValueError for other numbers of dimensions, and for one value per channel.

    >>> import minidl
    >>> InstanceNorm1d(2)(minidl.tensor([[0.0, 2.0], [5.0, 9.0]])).array.round(2)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    dimensions = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images (N, C, H, W) or (C, H, W)."""

    dimensions = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of volumes (N, C, D, H, W) or (C, D, H, W)."""

    dimensions = (4, 5)


class LayerNorm(_Norm):
    """Each example brought to mean 0 and variance 1 over its last dimensions, those of `normalized_shape`.

    `weight` (ones) and `bias` (zeros) have that shape; `elementwise_affine=False` leaves both out.

    >>> import minidl
    >>> LayerNorm(2)(minidl.tensor([[1.0, 3.0]])).array.round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.normalized_shape, self.eps, self.elementwise_affine = _shape(normalized_shape), eps, elementwise_affine
        place = {"device": device, "dtype": dtype}
        self.weight = Parameter(ones(self.normalized_shape, **place)) if elementwise_affine else None
        self.bias = Parameter(zeros(self.normalized_shape, **place)) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        self._check_dtype(input, self.weight)
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
                f"bias={self.bias is not None}")  # fmt: skip


class RMSNorm(_Norm):
    """Each example divided by the root mean square of its last dimensions, those of `normalized_shape`.

    `weight` (ones) has that shape; `eps` is the spacing of floats at 1 unless given.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.normalized_shape, self.eps, self.elementwise_affine = _shape(normalized_shape), eps, elementwise_affine
        shape = self.normalized_shape
        self.weight = Parameter(ones(shape, device=device, dtype=dtype)) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Norm):
    """Groups of channels of each example brought to mean 0 and variance 1: (N, C, ...).

    ValueError unless `num_groups` divides the channels.
    `weight` (ones) and `bias` (zeros) are (C,); `affine=False` leaves both out.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels do not make {num_groups} groups of one size")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        place = {"device": device, "dtype": dtype}
        self.weight = Parameter(ones(num_channels, **place)) if affine else None
        self.bias = Parameter(zeros(num_channels, **place)) if affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        self._check_dtype(input, self.weight)
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
                f"bias={self.bias is not None}")  # fmt: skip


class LocalResponseNorm(Module):
    """Each entry divided by a power of the mean square of its neighbours in the channels: (N, C, ...)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (int(normalized_shape),) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
