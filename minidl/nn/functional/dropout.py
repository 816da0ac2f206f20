"""Dropout: entries that are left out at random while a network is trained.

What is kept is scaled up, so that evaluation needs no change.
"""

from __future__ import annotations

import math

import numpy as np

from minidl import kernels
from minidl.autograd import Tensor
from minidl.backend import array_module, random_stream
from minidl.ops.elementwise import multiply


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each entry becomes 0 with probability `p` and otherwise x / (1 - p), so that the mean stays what it was.

    Without `training` it is `input` itself.  ValueError for p outside 0 to 1.
    Source: Srivastava et al., "Dropout", JMLR 15 (2014).

    >>> import minidl
    >>> _ = minidl.manual_seed(0)
    >>> dropout(minidl.ones(5), 0.5)
    tensor([2., 2., 2., 0., 0.])
    """
    return _dropout(input, p, training, input.shape)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L): neighbours in a channel are too alike to be left out alone.

    Source: Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015, section 3.2.
    """
    return _channel_dropout("dropout1d", input, p, training, 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, H, W); (N, C, L) and (N, C) are taken, too, as PyTorch does."""
    return _channel_dropout("dropout2d", input, p, training, {2: 0, 3: 1}.get(input.ndim, 2))


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _channel_dropout("dropout3d", input, p, training, 3)


def _channel_dropout(name: str, input: Tensor, p: float, training: bool, spatial: int) -> Tensor:
    if input.ndim not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"{name}: expected channels of {spatial} dimensions, with or without a batch, got shape {input.shape}"
        )
    return _dropout(input, p, training, input.shape[: input.ndim - spatial] + (1,) * spatial)


def _dropout(input: Tensor, p: float, training: bool, shape: tuple[int, ...]) -> Tensor:
    """Dropout where entries that share one of `shape`, which broadcasts with that of `input`, share their fate."""
    _check(p)
    if not training or p == 0:
        return input
    return multiply(input, _mask(input, p, shape, 1 / (1 - p) if p < 1 else 0.0))


def _check(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"a dropout probability must be from 0 to 1, got {p}")


def _mask(x: Tensor, p: float, shape: tuple[int, ...], value: float = 1.0) -> Tensor:
    """A tensor of `shape`, on the device and in the dtype of x: entries are 0 with probability p, otherwise `value`."""
    xp = array_module(x.array)
    if kernels.fit(xp, x.array):  # drawn where it is needed, from a seed of the same stream
        return Tensor(kernels.dropout_mask(xp, shape, x.dtype, kernels.seed(), p, value))
    kept = random_stream().random(shape, dtype=np.float32) >= p
    return Tensor(xp.asarray(kept.astype(x.dtype) * value))


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for networks of SELU: what is left out becomes SELU's lower bound.

    With α' = -λα it is a·x + b, and a·α' + b where left out; a = (q + α'²·q·p)^(-1/2), b = -a·p·α', q = 1 - p.
    ValueError for p outside 0 to 1.
    Source: Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, section 2.
    """
    return _alpha_dropout(input, p, training, input.shape)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels: (N, C, ...)."""
    return _alpha_dropout(input, p, training, input.shape[:2] + (1,) * (input.ndim - 2))


_ALPHA = -1.6732632423543772 * 1.0507009873554805  # SELU's lower bound, -αλ


def _alpha_dropout(input: Tensor, p: float, training: bool, shape: tuple[int, ...]) -> Tensor:
    _check(p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0.0
    kept = _mask(input, p, shape)
    a = 1 / math.sqrt((1 - p) * (1 + p * _ALPHA**2))
    return (input * kept + (1 - kept) * _ALPHA) * a - a * p * _ALPHA
