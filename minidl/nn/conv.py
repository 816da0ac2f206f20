"""Layers that slide a window over images: convolution and pooling."""

from __future__ import annotations

from typing import Any

from minidl.autograd import Tensor
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.functional.windows import Pair, as_pair
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.creation import zeros


class Conv2d(Module):
    """The cross-correlation of images with learned kernels: (N, C, H, W) -> (N, O, Ho, Wo), N may be missing.

    `weight` is (O, C/groups, kh, kw) and `bias` (O,) or None; both start as numbers drawn evenly from ±1/√fan_in.
    Ho = (H + 2·padding - dilation·(kh - 1) - 1) // stride + 1.  `padding` may also be "valid" or "same".
    Raises ValueError for settings that do not fit together.

    >>> import minidl
    >>> Conv2d(1, 6, 5, padding=2)(minidl.zeros(8, 1, 28, 28)).shape
    (8, 6, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: groups must be at least 1 and divide in_channels and out_channels, "
                f"got groups={groups} for {in_channels} and {out_channels}"
            )
        if padding_mode != "zeros":
            raise ValueError(f'Conv2d: padding_mode="zeros" is the only one there is, got {padding_mode!r}')
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = as_pair("kernel_size", kernel_size)
        self.stride, self.dilation = as_pair("stride", stride), as_pair("dilation", dilation)
        self.padding = padding if isinstance(padding, str) else as_pair("padding", padding)
        self.groups, self.padding_mode = groups, padding_mode
        self._check_padding()
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(zeros(shape, device=device, dtype=dtype))
        self.bias = Parameter(zeros(out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def _check_padding(self) -> None:
        if isinstance(self.padding, str) and self.padding not in ("same", "valid"):
            raise ValueError(f'Conv2d: expected a padding of whole numbers, "same" or "valid", got {self.padding!r}')
        if self.padding == "same" and self.stride != (1, 1):
            raise ValueError(f'Conv2d: padding="same" needs stride 1, got {self.stride}')

    def reset_parameters(self) -> None:
        """Draw new initial weights."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"


class MaxPool2d(Module):
    """The largest entry of each window: (N, C, H, W) -> (N, C, Ho, Wo); the stride is the window unless given.

    >>> import minidl
    >>> MaxPool2d(2)(minidl.zeros(8, 6, 28, 28)).shape
    (8, 6, 14, 14)
    """

    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation

    def forward(self, input: Tensor) -> Tensor:
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode=False")  # fmt: skip


class AvgPool2d(Module):
    """The mean of each window, padding counted as zeros: (N, C, H, W) -> (N, C, Ho, Wo)."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
