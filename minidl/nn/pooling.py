"""Pooling layers in 1 to 3 dimensions: the settings of a pooling function, remembered.

What differs between dimensions is the function that they call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from minidl.autograd import Tensor
from minidl.nn import functional as F
from minidl.nn.functional.adaptive import Wanted
from minidl.nn.functional.pooling import Answer
from minidl.nn.functional.windows import Size, as_size
from minidl.nn.module import Module


class _Pool(Module):
    """Shows the settings named in `shown`."""

    pool: ClassVar[Callable[..., Any]]
    shown: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding")

    def extra_repr(self) -> str:
        return ", ".join(f"{word}={getattr(self, word)}" for word in self.shown)


# -- the largest entry --------------------------------------------------------------------------------------------


class _MaxPool(_Pool):
    shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Answer:
        return self.pool(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool1d(_MaxPool):
    """The largest entry of each window: (N, C, L) -> (N, C, Lo); see `MaxPool2d`."""

    pool = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest entry of each window: (N, C, H, W) -> (N, C, Ho, Wo); the stride is the window unless given.

    `ceil_mode` and `return_indices` are those of `functional.max_pool2d`.

    >>> import minidl
    >>> MaxPool2d(2)(minidl.zeros(8, 6, 28, 28)).shape
    (8, 6, 14, 14)
    """

    pool = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest entry of each window: (N, C, D, H, W) -> (N, C, Do, Ho, Wo); see `MaxPool2d`."""

    pool = staticmethod(F.max_pool3d)


class _MaxUnpool(_Pool):
    dims: ClassVar[int]

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        self.kernel_size = as_size("kernel_size", kernel_size, self.dims)
        self.stride = self.kernel_size if stride is None else as_size("stride", stride, self.dims)
        self.padding = as_size("padding", padding, self.dims)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self.pool(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(_MaxUnpool):
    """The entries that `MaxPool1d(return_indices=True)` found, back where they were, among zeros."""

    dims, pool = 1, staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """The entries that `MaxPool2d(return_indices=True)` found, back where they were, among zeros.

    >>> import minidl
    >>> values, indices = MaxPool2d(2, return_indices=True)(minidl.arange(4.0).reshape(1, 2, 2))
    >>> MaxUnpool2d(2)(values, indices)
    tensor([[[0., 0.],
             [0., 3.]]])
    """

    dims, pool = 2, staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """The entries that `MaxPool3d(return_indices=True)` found, back where they were, among zeros."""

    dims, pool = 3, staticmethod(F.max_unpool3d)


# -- the mean and other norms -------------------------------------------------------------------------------------


class AvgPool1d(_Pool):
    """The mean of each window: (N, C, L) -> (N, C, Lo); the settings are those of `functional.avg_pool1d`."""

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        self.kernel_size = as_size("kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else as_size("stride", stride, 1)
        self.padding = as_size("padding", padding, 1)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )  # fmt: skip


class _AvgPool(_Pool):
    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return self.pool(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_AvgPool):
    """The mean of each window: (N, C, H, W) -> (N, C, Ho, Wo); the settings are those of `functional.avg_pool2d`."""

    pool = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window: (N, C, D, H, W) -> (N, C, Do, Ho, Wo); see `AvgPool2d`."""

    pool = staticmethod(F.avg_pool3d)


class _LPPool(_Pool):
    shown = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
    ) -> None:
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return self.pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool1d(_LPPool):
    """The `norm_type`-norm of each window: (N, C, L) -> (N, C, Lo); see `functional.lp_pool2d`."""

    pool = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """The `norm_type`-norm of each window: (N, C, H, W) -> (N, C, Ho, Wo); see `functional.lp_pool2d`."""

    pool = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """The `norm_type`-norm of each window: (N, C, D, H, W) -> (N, C, Do, Ho, Wo); see `functional.lp_pool2d`."""

    pool = staticmethod(F.lp_pool3d)


# -- adaptive -----------------------------------------------------------------------------------------------------


class _AdaptiveAvgPool(_Pool):
    shown = ("output_size",)

    def __init__(self, output_size: Wanted) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return self.pool(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of `output_size` equal parts: (N, C, L) -> (N, C, Lo)."""

    pool = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of parts as equal as can be: (N, C, H, W) -> (N, C, Ho, Wo), for images of any size.

    >>> import minidl
    >>> AdaptiveAvgPool2d(1)(minidl.zeros(8, 6, 28, 28)).shape
    (8, 6, 1, 1)
    """

    pool = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of parts as equal as can be: (N, C, D, H, W) -> (N, C, Do, Ho, Wo)."""

    pool = staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(_Pool):
    shown = ("output_size",)

    def __init__(self, output_size: Wanted, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Answer:
        return self.pool(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest entries of `output_size` equal parts: (N, C, L) -> (N, C, Lo)."""

    pool = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest entries of parts as equal as can be: (N, C, H, W) -> (N, C, Ho, Wo), for images of any size."""

    pool = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest entries of parts as equal as can be: (N, C, D, H, W) -> (N, C, Do, Ho, Wo)."""

    pool = staticmethod(F.adaptive_max_pool3d)
