"""Whole numbers are refused, or give what they give as floats: bytes do not wrap around, nothing is cut off."""

import pytest

import minidl
from minidl.nn import functional as F

BYTES = minidl.tensor([[1, 200, 3], [0, 7, 255]], dtype=minidl.uint8)
IMAGES = minidl.arange(16, dtype=minidl.uint8).reshape(1, 1, 4, 4)


@pytest.mark.parametrize("function", [
    F.logsigmoid, lambda x: minidl.logit(x, 0.1), lambda x: F.softmin(x, 1), lambda x: F.mse_loss(x, x.flip(1)),
    lambda x: F.l1_loss(x, x.flip(1)), lambda x: F.huber_loss(x, x.flip(1)), lambda x: F.smooth_l1_loss(x, x.flip(1)),
    lambda x: F.binary_cross_entropy_with_logits(x, minidl.ones(2, 3)),
    lambda x: F.nll_loss(x, minidl.tensor([1, 0])),
])  # fmt: skip
def test_bytes_give_what_floats_give(function) -> None:
    expected = function(BYTES.float())
    assert minidl.allclose(function(BYTES), expected, equal_nan=True)


@pytest.mark.parametrize("function", [
    lambda: F.adaptive_avg_pool2d(IMAGES, 3), lambda: F.interpolate(IMAGES, 3, mode="area"),
    lambda: F.interpolate(IMAGES, 3, mode="bilinear"), lambda: minidl.quantile(BYTES, 0.5),
    lambda: F.layer_norm(BYTES, (3,)), lambda: F.rms_norm(BYTES, (3,)),
    lambda: (BYTES > 1) @ (BYTES > 1).T,
])  # fmt: skip
def test_what_would_be_cut_off_is_refused(function) -> None:
    with pytest.raises(RuntimeError, match="float"):
        function()
