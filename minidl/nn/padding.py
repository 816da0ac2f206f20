"""Padding layers in 1 to 3 dimensions: the settings of `functional.pad`, remembered.

`padding` is one whole number for every side, or two for each dimension, before and after it, the last one first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from minidl.autograd import Tensor
from minidl.nn import functional as F
from minidl.nn.functional.windows import IMAGES
from minidl.nn.module import Module


class _Pad(Module):
    dims: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        self.padding = (padding,) * (2 * self.dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


# -- numbers ------------------------------------------------------------------------------------------------------


class _ZeroPad(_Pad):
    mode = "constant"


class ZeroPad1d(_ZeroPad):
    """Zeros before and after sequences: (..., L) -> (..., Lo)."""

    dims = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around images: (..., H, W) -> (..., Ho, Wo).

    >>> import minidl
    >>> ZeroPad2d((1, 0, 1, 0))(minidl.ones(1, 1, 2))
    tensor([[[0., 0., 0.],
             [0., 1., 1.]]])
    """

    dims = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around volumes: (..., D, H, W) -> (..., Do, Ho, Wo)."""

    dims = 3


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """`value` before and after sequences: (..., L) -> (..., Lo)."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """`value` around images: (..., H, W) -> (..., Ho, Wo)."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """`value` around volumes: (..., D, H, W) -> (..., Do, Ho, Wo)."""

    dims = 3


# -- what the image has -------------------------------------------------------------------------------------------


class _ReflectionPad(_Pad):
    mode = "reflect"


class ReflectionPad1d(_ReflectionPad):
    """Sequences mirrored at their ends: (N, C, L) -> (N, C, Lo), N may be missing."""

    dims = 1


class ReflectionPad2d(_ReflectionPad):
    """Images mirrored at their borders: (N, C, H, W) -> (N, C, Ho, Wo), N may be missing."""

    dims = 2


class ReflectionPad3d(_ReflectionPad):
    """Volumes mirrored at their borders: (N, C, D, H, W) -> (N, C, Do, Ho, Wo), N may be missing."""

    dims = 3


class _ReplicationPad(_Pad):
    mode = "replicate"


class ReplicationPad1d(_ReplicationPad):
    """Sequences with their ends repeated: (N, C, L) -> (N, C, Lo), N may be missing."""

    dims = 1


class ReplicationPad2d(_ReplicationPad):
    """Images with their borders repeated: (N, C, H, W) -> (N, C, Ho, Wo), N may be missing."""

    dims = 2


class ReplicationPad3d(_ReplicationPad):
    """Volumes with their borders repeated: (N, C, D, H, W) -> (N, C, Do, Ho, Wo), N may be missing."""

    dims = 3


class _CircularPad(_Pad):
    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (self.dims + 1, self.dims + 2):  # ValueError here, as in PyTorch
            name, expected = type(self).__name__, IMAGES[self.dims]
            raise ValueError(f"{name}: expected {expected}, or one image without N, got shape {input.shape}")
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """Sequences that begin anew at their ends: (N, C, L) -> (N, C, Lo), N may be missing."""

    dims = 1


class CircularPad2d(_CircularPad):
    """Images that begin anew at their borders: (N, C, H, W) -> (N, C, Ho, Wo), N may be missing."""

    dims = 2


class CircularPad3d(_CircularPad):
    """Volumes that begin anew at their borders: (N, C, D, H, W) -> (N, C, Do, Ho, Wo), N may be missing."""

    dims = 3
