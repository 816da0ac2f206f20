"""Linear layers, convolutions and normalisation."""

from parity.drawing import Call, Draw, call, layer


@layer("nn.Linear")
def linear(draw: Draw) -> tuple[Call, Call]:
    n = draw.size()
    return call(n, draw.size(), bias=draw.flag()), call(draw.floats((*draw.shape(), n)))


@layer("nn.BatchNorm1d")
def batch_norm1d(draw: Draw) -> tuple[Call, Call]:
    channels, batch = draw.size(), draw.size(1, 5)
    shape = (batch, channels) if draw.flag() else (batch, channels, draw.size())
    options = dict(eps=draw.one_of(1e-5, 1e-2), momentum=draw.one_of(0.1, 0.5), affine=draw.flag(),
                   track_running_stats=draw.flag())  # fmt: skip
    return call(channels, **options), call(draw.floats(shape, ties=False))
