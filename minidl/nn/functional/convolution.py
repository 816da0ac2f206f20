"""Convolution as functions, in 1 to 3 dimensions, and the columns it is made of: checks and settings around the ops.

What a layer remembers, its weights, is passed in.
"""

from __future__ import annotations

import math
from functools import lru_cache

from minidl.autograd import Tensor
from minidl.functional.shapes import fresh
from minidl.nn.functional.windows import IMAGES, Size, as_size, check_images, check_settings, on_batch
from minidl.ops import windows
from minidl.ops.convolution import convolution, convolution_input
from minidl.ops.shapes import reshape
from minidl.ops.windows import Window

# -- convolution --------------------------------------------------------------------------------------------------


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Size = 1, padding: Size | str = 0,
    dilation: Size = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """The cross-correlation of sequences with `weight`: (N, C, L), (O, C/groups, k) -> (N, O, Lo); see `conv2d`."""
    return _convolved(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Size = 1, padding: Size | str = 0,
    dilation: Size = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """The cross-correlation of images with `weight`: (N, C, H, W), (O, C/groups, kh, kw) -> (N, O, Ho, Wo).

    The batch dimension N may be missing.  `padding` is how many zeros go around the image, "valid" for none or
    "same" for so many that Ho = H and Wo = W (stride 1 only).  RuntimeError for shapes that do not fit.

    >>> import minidl
    >>> conv2d(minidl.zeros(8, 3, 28, 28), minidl.zeros(6, 3, 5, 5), padding=2).shape
    (8, 6, 28, 28)
    """
    return _convolved(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Size = 1, padding: Size | str = 0,
    dilation: Size = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """The cross-correlation of volumes with `weight`: (N, C, D, H, W), (O, C/groups, kd, kh, kw) -> (N, O, Do, Ho, Wo).

    See `conv2d`.
    """
    return _convolved(3, input, weight, bias, stride, padding, dilation, groups)


def _convolved(
    dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Size, padding: Size | str, dilation: Size,
    groups: int,
) -> Tensor:  # fmt: skip
    name = f"conv{dims}d"
    _check_tensors(name, dims, input, weight, groups, "(O, C/groups, ...)")
    _check_channels(name, input, weight, bias, groups, weight.shape[1] * groups, weight.shape[0])
    window = _window(
        name, input.shape[-dims:], weight.shape[2:], as_size("stride", stride, dims),
        padding if isinstance(padding, str) else as_size("padding", padding, dims),
        as_size("dilation", dilation, dims),
    )  # fmt: skip
    return on_batch(convolution, dims, input, weight, bias, window=window, groups=groups)


@lru_cache(maxsize=1024)
def _window(
    name: str, size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...],
    padding: tuple[int, ...] | str, dilation: tuple[int, ...],
) -> Window:  # fmt: skip
    """The checked window; remembered, because a layer asks for the same one at each step."""
    check_settings(name, 1, kernel_size=kernel, stride=stride, dilation=dilation)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if isinstance(padding, str):
        before, around = _named_padding(name, padding, stride, reach)
    else:
        check_settings(name, 0, padding=padding)
        before, around = padding, [2 * p for p in padding]
    out = tuple((n + zeros - r) // s + 1 for n, zeros, r, s in zip(size, around, reach, stride, strict=True))
    if min(out) < 1:
        raise RuntimeError(
            f"{name}: a window of {kernel} with dilation {dilation} is larger than the image of {size} "
            f"with padding {padding}: use a smaller kernel or more padding"
        )
    return Window(size, kernel, stride, before, dilation, out)


def _named_padding(
    name: str, padding: str, stride: tuple[int, ...], reach: list[int]
) -> tuple[tuple[int, ...], list[int]]:
    """How many zeros "same" and "valid" mean, before the image and on both sides; an odd one goes behind."""
    if padding == "valid":
        return (0,) * len(reach), [0] * len(reach)
    if padding != "same":
        raise RuntimeError(f'{name}: expected a padding of whole numbers, "same" or "valid", got {padding!r}')
    if max(stride) > 1:
        raise RuntimeError(f'{name}: padding="same" needs stride 1, got {stride}')
    return tuple((r - 1) // 2 for r in reach), [r - 1 for r in reach]


# -- transposed convolution: what a convolution does to gradients -------------------------------------------------


def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Size = 1, padding: Size = 0,
    output_padding: Size = 0, groups: int = 1, dilation: Size = 1,
) -> Tensor:  # fmt: skip
    """The adjoint of `conv1d`: (N, C, L), (C, O/groups, k) -> (N, O, Lo); see `conv_transpose2d`."""
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Size = 1, padding: Size = 0,
    output_padding: Size = 0, groups: int = 1, dilation: Size = 1,
) -> Tensor:  # fmt: skip
    """The adjoint of `conv2d`, which makes images larger: (N, C, H, W), (C, O/groups, kh, kw) -> (N, O, Ho, Wo).

    It is the gradient at the input of a `conv2d` that would give images of the size of `input`.  Such a `conv2d`
    rounds down where its stride is more than 1, so several Ho fit: `output_padding` is added to the smallest.
    Ho = (H - 1)·stride - 2·padding + dilation·(kh - 1) + output_padding + 1.

    >>> import minidl
    >>> conv_transpose2d(minidl.zeros(8, 6, 7, 7), minidl.zeros(6, 3, 4, 4), stride=2, padding=1).shape
    (8, 3, 14, 14)
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Size = 1, padding: Size = 0,
    output_padding: Size = 0, groups: int = 1, dilation: Size = 1,
) -> Tensor:  # fmt: skip
    """The adjoint of `conv3d`: (N, C, D, H, W), (C, O/groups, kd, kh, kw) -> (N, O, Do, Ho, Wo).

    See `conv_transpose2d`.
    """
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _transposed(
    dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Size, padding: Size, output_padding: Size,
    groups: int, dilation: Size,
) -> Tensor:  # fmt: skip
    name = f"conv_transpose{dims}d"
    _check_tensors(name, dims, input, weight, groups, "(C, O/groups, ...)")
    _check_channels(name, input, weight, bias, groups, weight.shape[0], weight.shape[1] * groups)
    window = _backward_window(
        name, input.shape[-dims:], weight.shape[2:], as_size("stride", stride, dims),
        as_size("padding", padding, dims), as_size("output_padding", output_padding, dims),
        as_size("dilation", dilation, dims),
    )  # fmt: skip
    out = on_batch(convolution_input, dims, input, weight, window=window, groups=groups)
    return out if bias is None else out + reshape(bias, shape=(-1, *(1,) * dims))


@lru_cache(maxsize=1024)
def _backward_window(
    name: str, out: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    output_padding: tuple[int, ...], dilation: tuple[int, ...],
) -> Window:  # fmt: skip
    """The window that would give `out`."""
    check_settings(name, 1, kernel_size=kernel, stride=stride, dilation=dilation)
    check_settings(name, 0, padding=padding, output_padding=output_padding)
    if any(extra >= max(s, d) for extra, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise RuntimeError(
            f"{name}: output_padding must be smaller than stride or dilation, got {output_padding} for stride "
            f"{stride} and dilation {dilation}"
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        for n, k, s, p, extra, d in zip(out, kernel, stride, padding, output_padding, dilation, strict=True)
    )
    if min(size) < 1 or min(out) < 1:
        raise RuntimeError(f"{name}: nothing is left of an image of {out} with padding {padding}: use less padding")
    return Window(size, kernel, stride, padding, dilation, out)


# -- the checks of both -------------------------------------------------------------------------------------------


def _check_tensors(name: str, dims: int, input: Tensor, weight: Tensor, groups: int, layout: str) -> None:
    check_images(name, input, dims)
    if weight.ndim != dims + 2:
        raise RuntimeError(f"{name}: expected a weight of {dims + 2} dimensions, {layout}, got {weight.shape}")
    if groups < 1:
        raise RuntimeError(f"{name}: groups must be at least 1, got {groups}")
    if not weight.shape[0] or weight.shape[0] % groups:
        raise RuntimeError(f"{name}: groups={groups} must divide the first length of the weight, got {weight.shape}")


def _check_channels(
    name: str, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int, inputs: int, outputs: int
) -> None:
    channels = input.shape[1 - weight.ndim]
    if channels != inputs:
        raise RuntimeError(
            f"{name}: expected {IMAGES[weight.ndim - 2]} with C = {inputs} channels for a weight of shape "
            f"{weight.shape} and groups={groups}, got {channels} in shape {input.shape}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise RuntimeError(f"{name}: expected a bias of shape ({outputs},), got {bias.shape}")
    if input.dtype != weight.dtype:
        raise RuntimeError(f"{name}: the input is {input.dtype} and the weight {weight.dtype}: use .to() on one")


# -- columns ------------------------------------------------------------------------------------------------------


def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """What a window sees of images at each of its L positions, as columns: (N, C, H, W) -> (N, C·kh·kw, L).

    N may be missing.  A convolution is the product of its weight with these columns.

    >>> import minidl
    >>> unfold(minidl.arange(6.0).reshape(1, 2, 3), (2, 1))
    tensor([[0., 1., 2.],
            [3., 4., 5.]])
    """
    check_images("unfold", input, 2)
    window = _column_window("unfold", input.shape[-2:], kernel_size, dilation, padding, stride)
    return fresh(on_batch(windows.unfold, 2, input, window=window), input)


def fold(
    input: Tensor, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """The adjoint of `unfold`, columns added to all that their windows saw: (N, C·kh·kw, L) -> (N, C, H, W).

    `output_size` is H and W.  RuntimeError unless the columns are those of such images.
    """
    if input.ndim not in (2, 3):
        raise RuntimeError(f"fold: expected columns (N, C·kh·kw, L) or (C·kh·kw, L), got shape {input.shape}")
    window = _column_window("fold", as_size("output_size", output_size, 2), kernel_size, dilation, padding, stride)
    if input.shape[-2] % math.prod(window.kernel) or input.shape[-1] != math.prod(window.out):
        raise RuntimeError(
            f"fold: a window of {window.kernel} sees columns (C·{math.prod(window.kernel)}, {math.prod(window.out)}) "
            f"of an image of {window.size}, got shape {input.shape}"
        )
    return on_batch(windows.fold, 1, input, window=window)


def _column_window(
    name: str, size: tuple[int, ...], kernel_size: Size, dilation: Size, padding: Size, stride: Size
) -> Window:
    return _window(
        name, size, as_size("kernel_size", kernel_size, 2), as_size("stride", stride, 2),
        as_size("padding", padding, 2), as_size("dilation", dilation, 2),
    )  # fmt: skip
