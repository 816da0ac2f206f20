"""Normalisation: functions and layers."""

from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, fixed, layer


def maybe(draw: Draw, array: Any) -> Any:
    return array if draw.flag() else None


@case("nn.functional.layer_norm")
def layer_norm(draw: Draw) -> Call:
    shape = draw.shape(1, 4, empty=False)
    last = shape[draw.integer(0, len(shape) - 1) :]
    wrong = (*last[:-1], last[-1] + 1) if draw.integer(0, 9) == 9 else last
    return call(draw.floats(shape, ties=False), wrong, maybe(draw, draw.floats(last)), maybe(draw, draw.floats(last)),
                eps=draw.one_of(1e-5, 1e-2))  # fmt: skip


@case("nn.functional.rms_norm")
def rms_norm(draw: Draw) -> Call:
    shape = draw.shape(1, 4, empty=False)
    last = shape[draw.integer(0, len(shape) - 1) :]
    return call(draw.floats(shape, ties=False), last, maybe(draw, draw.floats(last)), eps=draw.one_of(None, 1e-2))


@case("nn.functional.group_norm")
def group_norm(draw: Draw) -> Call:
    groups = draw.size(1, 3)
    channels = groups * draw.size(1, 3) + (draw.integer(0, 9) == 9)
    x = draw.floats((draw.size(), channels, *draw.shape(1, 2, empty=False)), ties=False)
    affine = (draw.floats((channels,)), draw.floats((channels,)))  # PyTorch fails on one without the other
    return call(x, groups, *maybe(draw, affine) or (), eps=1e-2)


@case("nn.functional.instance_norm")
def instance_norm(draw: Draw) -> Call:
    channels = draw.size()
    x = draw.floats((draw.size(), channels, *draw.shape(1, 3, empty=False)), ties=False)
    statistics = (fixed(draw.floats((channels,))), fixed(draw.positive((channels,))))
    return call(x, *statistics, maybe(draw, draw.floats((channels,))), maybe(draw, draw.floats((channels,))),
                use_input_stats=draw.flag(), eps=1e-2)  # fmt: skip


@case("nn.functional.batch_norm")
def batch_norm(draw: Draw) -> Call:
    channels = draw.size()
    x = np.ascontiguousarray(draw.floats((draw.size(), channels, *draw.shape(0, 3, empty=False)), ties=False))
    statistics = (fixed(draw.floats((channels,))), fixed(draw.positive((channels,))))
    return call(x, *statistics, maybe(draw, draw.floats((channels,))), maybe(draw, draw.floats((channels,))),
                training=draw.flag(), momentum=draw.one_of(0.1, 0.5), eps=1e-2)  # fmt: skip


@case("nn.functional.local_response_norm")
def local_response_norm(draw: Draw) -> Call:
    x = np.ascontiguousarray(draw.floats(draw.shape(2, 5, empty=False)))  # PyTorch refuses some transposed memory
    return call(x, draw.size(1, 5), alpha=draw.number(0.1, 2), beta=draw.number(0.1, 2), k=draw.number(0.5, 2))


@layer("nn.LocalResponseNorm")
def local_response_norm_layer(draw: Draw) -> tuple[Call, Call]:
    return call(draw.size(1, 5), alpha=0.5, k=draw.number(0.5, 2)), call(draw.floats(draw.shape(3, 4, empty=False)))


@layer("nn.LayerNorm", "nn.RMSNorm")
def example_norms(draw: Draw) -> tuple[Call, Call]:
    shape = draw.shape(1, 4, empty=False)
    last: Any = shape[draw.integer(0, len(shape) - 1) :]
    last = last[0] if len(last) == 1 and draw.flag() else list(last) if draw.flag() else last
    return call(last, eps=1e-3, elementwise_affine=draw.flag()), call(draw.floats(shape, ties=False))


@layer("nn.GroupNorm")
def group_norm_layer(draw: Draw) -> tuple[Call, Call]:
    groups = draw.size(1, 3)
    channels = groups * draw.size(1, 3) + (draw.integer(0, 9) == 9)
    x = draw.floats((draw.size(), channels, *draw.shape(1, 2, empty=False)), ties=False)
    return call(groups, channels, eps=1e-2, affine=draw.flag()), call(x)


def channel_norm(draw: Draw, shape: tuple[int, ...], *, batched: bool) -> tuple[Call, Call]:
    if draw.integer(0, 14) == 14:
        shape = (*shape, 2)  # a dimension too many
    options = dict(eps=draw.one_of(1e-5, 1e-2), momentum=draw.one_of(0.1, 0.5), affine=draw.flag(),
                   track_running_stats=draw.flag())  # fmt: skip
    # PyTorch's own gradcheck fails for some other layouts, such as shape (1, 2, 1, 2) with strides (1, 1, 2, 2).
    x = np.ascontiguousarray(draw.floats(shape, ties=False))
    return call(shape[1 if batched else 0], **options), call(x)


@layer("nn.BatchNorm1d")
def batch_norm1d(draw: Draw) -> tuple[Call, Call]:
    return channel_norm(draw, (draw.size(), draw.size(), *draw.shape(0, 1, empty=False)), batched=True)


@layer("nn.BatchNorm2d")
def batch_norm2d(draw: Draw) -> tuple[Call, Call]:
    return channel_norm(draw, draw.shape(4, 4, empty=False), batched=True)


@layer("nn.BatchNorm3d")
def batch_norm3d(draw: Draw) -> tuple[Call, Call]:
    return channel_norm(draw, draw.shape(5, 5, empty=False, high=3), batched=True)


@layer("nn.InstanceNorm1d")
def instance_norm1d(draw: Draw) -> tuple[Call, Call]:
    n = draw.integer(2, 3)
    return channel_norm(draw, draw.shape(n, n, empty=False), batched=n == 3)


@layer("nn.InstanceNorm2d")
def instance_norm2d(draw: Draw) -> tuple[Call, Call]:
    n = draw.integer(3, 4)
    return channel_norm(draw, draw.shape(n, n, empty=False), batched=n == 4)


@layer("nn.InstanceNorm3d")
def instance_norm3d(draw: Draw) -> tuple[Call, Call]:
    n = draw.integer(4, 5)
    return channel_norm(draw, draw.shape(n, n, empty=False, high=3), batched=n == 5)
