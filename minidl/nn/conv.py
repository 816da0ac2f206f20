"""Convolution layers in 1 to 3 dimensions, and their transposed forms, which make images larger.

What differs between dimensions is the function that they call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from minidl.autograd import Tensor
from minidl.functional.creation import zeros
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.functional.windows import Size, as_size
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter


class _Convolution(Module):
    """What all convolutions remember: `weight`, `bias` and how the window moves."""

    dims: ClassVar[int]
    convolve: ClassVar[Callable[..., Tensor]]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size, padding: Size | str,
        dilation: Size, groups: int, padding_mode: str,
    ) -> None:  # fmt: skip
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{type(self).__name__}: groups must be at least 1 and divide in_channels and out_channels, "
                f"got groups={groups} for {in_channels} and {out_channels}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = as_size("kernel_size", kernel_size, self.dims)
        self.stride, self.dilation = as_size("stride", stride, self.dims), as_size("dilation", dilation, self.dims)
        self.padding: Any = padding if isinstance(padding, str) else as_size("padding", padding, self.dims)
        self.output_padding = (0,) * self.dims
        self.groups, self.padding_mode = groups, padding_mode

    def _make_parameters(self, first: int, second: int, bias: bool, device: Any, dtype: Any) -> None:
        shape = (first, second // self.groups, *self.kernel_size)
        self.weight = Parameter(zeros(shape, device=device, dtype=dtype))
        self.bias = Parameter(zeros(self.out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial weights."""
        init.default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        nothing = (0,) * self.dims
        for word, usual in (("padding", nothing), ("dilation", (1,) * self.dims), ("output_padding", nothing),
                            ("groups", 1)):  # fmt: skip
            if (value := getattr(self, word)) != usual:
                text += f", {word}={value}"
        text += "" if self.bias is not None else ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        name = type(self).__name__
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f'{name}: expected a padding of whole numbers, "same" or "valid", got {padding!r}')
        if padding == "same" and any(step != 1 for step in self.stride):
            raise ValueError(f'{name}: padding="same" needs stride 1, got {self.stride}')
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f'{name}: padding_mode must be "zeros", "reflect", "replicate" or "circular", got {padding_mode!r}'
            )
        self._make_parameters(out_channels, in_channels, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._around(), mode=self.padding_mode), 0
        return self.convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _around(self) -> list[int]:
        """The padding as `F.pad` wants it: before and after, the last dimension first."""
        if not isinstance(self.padding, str):
            return [n for padding in reversed(self.padding) for n in (padding, padding)]
        more = [d * (k - 1) if self.padding == "same" else 0
                for k, d in zip(self.kernel_size, self.dilation, strict=True)]  # fmt: skip
        return [n for zeros in reversed(more) for n in (zeros // 2, zeros - zeros // 2)]


class Conv1d(_Conv):
    """The cross-correlation of sequences with learned kernels: (N, C, L) -> (N, O, Lo); see `Conv2d`."""

    dims, convolve = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """The cross-correlation of images with learned kernels: (N, C, H, W) -> (N, O, Ho, Wo), N may be missing.

    `weight` is (O, C/groups, kh, kw) and `bias` (O,) or None; both start as numbers drawn evenly from ±1/√fan_in.
    Ho = (H + 2·padding - dilation·(kh - 1) - 1) // stride + 1.  `padding` may also be "valid" or "same";
    `padding_mode` says what it consists of: "zeros", or "reflect", "replicate", "circular" as in `functional.pad`.
    Raises ValueError for settings that do not fit together.

    >>> import minidl
    >>> Conv2d(1, 6, 5, padding=2)(minidl.zeros(8, 1, 28, 28)).shape
    (8, 6, 28, 28)
    """

    dims, convolve = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """The cross-correlation of volumes with learned kernels: (N, C, D, H, W) -> (N, O, Do, Ho, Wo); see `Conv2d`."""

    dims, convolve = 3, staticmethod(F.conv3d)


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'{type(self).__name__}: expected padding_mode="zeros", got {padding_mode!r}')
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self.output_padding = as_size("output_padding", output_padding, self.dims)
        self._make_parameters(in_channels, out_channels, bias, device, dtype)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        more = self.output_padding if output_size is None else self._fitting(input, output_size)
        return self.convolve(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )  # fmt: skip

    def _fitting(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding with which the result has the wanted size; ValueError if none does that."""
        wanted = tuple(output_size)[max(0, len(output_size) - self.dims) :]  # N and C may be named, too
        least = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(input.shape[-self.dims :], self.stride, self.padding, self.dilation,
                                     self.kernel_size, strict=True)
        )  # fmt: skip
        if len(output_size) not in (self.dims, input.ndim) or any(
            not 0 <= n - low < s for n, low, s in zip(wanted, least, self.stride, strict=True)
        ):
            raise ValueError(
                f"{type(self).__name__}: images of {input.shape} can be made {least} or up to {self.stride} - 1 "
                f"larger, got output_size={output_size}"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of a `Conv1d`, which makes sequences longer: (N, C, L) -> (N, O, Lo); see `ConvTranspose2d`."""

    dims, convolve = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of a `Conv2d`, which makes images larger: (N, C, H, W) -> (N, O, Ho, Wo), N may be missing.

    `weight` is (C, O/groups, kh, kw); Ho = (H - 1)·stride - 2·padding + dilation·(kh - 1) + output_padding + 1.
    In place of `output_padding` the call can name the `output_size`, ValueError if no output_padding gives it.

    >>> import minidl
    >>> ConvTranspose2d(6, 1, 4, stride=2, padding=1)(minidl.zeros(8, 6, 14, 14)).shape
    (8, 1, 28, 28)
    """

    dims, convolve = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """The adjoint of a `Conv3d`: (N, C, D, H, W) -> (N, O, Do, Ho, Wo); see `ConvTranspose2d`."""

    dims, convolve = 3, staticmethod(F.conv_transpose3d)
