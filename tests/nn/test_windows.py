"""What slides a window or resamples images: what drawn comparisons with PyTorch do not show."""

import numpy as np
import pytest
import torch

import minidl
from minidl import nn
from minidl.nn import functional as F

x = minidl.arange(96.0).reshape(2, 3, 4, 4)


def test_a_transposed_convolution_is_the_adjoint_of_the_convolution():
    w, g = minidl.randn(5, 3, 3, 2), minidl.randn(2, 5, 2, 3)
    y = F.conv2d(x, w, stride=(2, 1), padding=(1, 0))
    back = F.conv_transpose2d(g, w, stride=(2, 1), padding=(1, 0), output_padding=(1, 0))
    assert (y * g).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-4)


def test_a_transposed_convolution_makes_the_size_that_is_asked_for():
    layer = nn.ConvTranspose2d(3, 1, 3, stride=2, padding=1)
    assert [layer(x, output_size=size).shape[2:] for size in ([7, 8], [2, 1, 8, 7])] == [(7, 8), (8, 7)]
    with pytest.raises(ValueError, match=r"\(7, 7\) or up to \(2, 2\) - 1 larger, got output_size=\[9, 7\]"):
        layer(x, output_size=[9, 7])


def test_fold_of_unfold_counts_how_often_each_pixel_was_seen():
    ones = minidl.ones(1, 1, 3, 3)
    seen = F.fold(F.unfold(ones, 2), 3, 2)
    assert seen.tolist() == [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]


def test_indices_lead_back_to_the_entries():
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    assert indices.dtype == minidl.int64
    assert not indices.requires_grad
    assert indices[0, 0].tolist() == [[5, 7], [13, 15]]
    back = F.max_unpool2d(values, indices, 2)
    assert (back != 0).sum().item() == values.numel()
    assert F.max_pool2d(back, 2).tolist() == values.tolist()


def test_the_batch_stays_last_in_memory():
    for y in (F.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.interpolate(x, scale_factor=2), F.adaptive_avg_pool2d(x, 2),
              F.conv_transpose2d(x, minidl.ones(3, 2, 2, 2)), F.interpolate(x, size=7, mode="bilinear")):  # fmt: skip
        assert y.array.strides[0] == y.array.itemsize


def test_nearest_moves_infinite_numbers_only_where_they_belong():
    image = minidl.tensor([[[np.inf, 1.0, np.nan]]])
    for size in (6, 5):
        y = F.interpolate(image, size=size).array[0, 0]
        assert np.isfinite(y).sum() == 2


def test_a_norm_of_nothing_has_no_slope():
    zeros = minidl.zeros(1, 2, 2, requires_grad=True)
    F.lp_pool2d(zeros, 2, 2).sum().backward()
    assert zeros.grad.tolist() == [[[0, 0], [0, 0]]]


AT_THE_TOP = """
conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d max_pool1d max_pool2d max_pool3d avg_pool1d
adaptive_avg_pool1d adaptive_max_pool1d pixel_shuffle pixel_unshuffle channel_shuffle
"""


def test_torch_has_some_of_these_functions_at_the_top():
    for name in AT_THE_TOP.split():
        assert getattr(minidl, name) is getattr(F, name)


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda: F.conv1d(x, minidl.ones(1, 3, 2)), RuntimeError, r"expected \(N, C, L\), .* got shape \(2, 3, 4, 4\)"),
    (lambda: F.conv_transpose2d(x, minidl.ones(2, 1, 2, 2)), RuntimeError, r"C = 2 channels .* got 3"),
    (lambda: F.conv_transpose2d(x, minidl.ones(3, 1, 2, 2), output_padding=1), RuntimeError, "smaller than stride"),
    (lambda: F.conv_transpose2d(x, minidl.ones(3, 1, 1, 1), padding=2), RuntimeError, "use less padding"),
    (lambda: F.conv2d(x, minidl.ones(1, 3, 2, 2), stride=1.5), TypeError, "whole number, or 2, got 1.5"),
    (lambda: F.avg_pool2d(x, 2, divisor_override=0), RuntimeError, "must not be 0"),
    (lambda: F.avg_pool2d(x.long(), 2), RuntimeError, "int64: use .float"),
    (lambda: F.adaptive_avg_pool2d(x, (1, 2, 3)), RuntimeError, r"one whole number, or 2, got \(1, 2, 3\)"),
    (lambda: F.max_unpool2d(x, x, 2), RuntimeError, "indices of int64"),
    (lambda: F.max_unpool2d(x, x.long(), 1), RuntimeError, "from 0 to 15"),
    (lambda: F.fold(minidl.ones(1, 5, 4), 3, 2), RuntimeError, r"columns \(C·4, 4\).*got shape \(1, 5, 4\)"),
    (lambda: F.interpolate(x), ValueError, "a size or a scale_factor"),
    (lambda: F.interpolate(x, 2, align_corners=True), ValueError, "linear and cubic modes"),
    (lambda: F.interpolate(x, 2, mode="bilinear", antialias=True), ValueError, 'mode="area"'),
    (lambda: F.interpolate(x, 2, mode="linear"), RuntimeError, r"\['nearest', .*'bilinear', 'bicubic'\]"),
    (lambda: F.pixel_shuffle(x, 2), RuntimeError, "multiple of 4 channels, got 3"),
    (lambda: nn.ConvTranspose2d(3, 1, 2, padding_mode="reflect"), ValueError, 'padding_mode="zeros"'),
])  # fmt: skip
def test_errors_say_what_to_do(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_the_mean_of_large_halves_is_pytorchs():
    x = np.random.default_rng(0).uniform(1000, 60_000, (2, 3, 9, 9)).astype(np.float16)
    ours, theirs = (m.nn.functional.avg_pool2d(m.tensor(x), 8, 1, 4) for m in (minidl, torch))
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((8, 6), {"kernel_size": 2}), ((5, 5), {"kernel_size": 2}), ((7, 7), {"kernel_size": 2, "stride": 3}),
        ((5, 7), {"kernel_size": 2, "ceil_mode": True}), ((6, 6), {"kernel_size": 3, "padding": 1}),
        ((6, 6), {"kernel_size": 2, "padding": 1}), ((6, 6), {"kernel_size": 3, "stride": 2}),
        ((6, 6), {"kernel_size": 2, "dilation": 2}),
    ],
)  # fmt: skip
def test_the_gradient_of_max_pooling_is_written_to_every_place(size, window, monkeypatch):
    """Also where memory that was used before, here filled with NaN, is not cleared first."""
    x = np.random.default_rng(0).standard_normal((3, 2, *size)).astype(np.float32)
    theirs = torch.tensor(x, requires_grad=True)
    torch.nn.functional.max_pool2d(theirs, **window).square().sum().backward()

    empty = np.empty

    def used_before(*shape, **options):
        memory = empty(*shape, **options)
        memory.fill(np.nan if memory.dtype.kind == "f" else 1)
        return memory

    monkeypatch.setattr(np, "empty", used_before)
    ours = minidl.tensor(x, requires_grad=True)
    F.max_pool2d(ours, **window).square().sum().backward()
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-6)


def test_the_gradient_of_a_bias_keeps_its_digits_in_halves():
    """NumPy adds up halves as halves, and image after image."""
    b, half = minidl.zeros(4, dtype=minidl.float16, requires_grad=True), minidl.float16
    out = F.conv2d(minidl.zeros(64, 1, 24, 24, dtype=half), minidl.zeros(4, 1, 1, 1, dtype=half), b)
    out.backward(minidl.full(out.shape, 0.1, dtype=half))
    exact = 64 * 24 * 24 * float(np.float16(0.1))
    np.testing.assert_allclose(b.grad.array.astype(np.float64), exact, rtol=5e-4)
