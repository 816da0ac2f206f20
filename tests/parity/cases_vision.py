"""Images made larger, smaller or rearranged, and padding layers."""

from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, layer

DIMS = (1, 2, 3)
SMOOTH = ("linear", "bilinear", "trilinear", "bicubic")


def some(draw: Draw, **options: Any) -> dict[str, Any]:
    """Some of the options; the others stay at their defaults."""
    return {name: value for name, value in options.items() if draw.flag()}


def batch(draw: Draw, dims: int, low: int = 1) -> np.ndarray:
    """(N, C, *size), now and then empty."""
    n = draw.one_of(1, 2, 3, 0)
    return draw.floats((n, draw.size(1, 3), *[draw.size(low, 6 if dims < 3 else 4) for _ in range(dims)]))


# -- another size -------------------------------------------------------------------------------------------------


def fitting_mode(draw: Draw, dims: int) -> str:
    """A mode for as many dimensions; now and then another."""
    smooth = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}[dims]
    kind = draw.one_of("any", "any", "smooth", "smooth", "smooth", "wrong")
    if kind == "smooth":
        return draw.one_of(*smooth)
    return draw.one_of("nearest", "nearest-exact", "area") if kind == "any" else draw.one_of(*SMOOTH, "nothing")


def size(draw: Draw, dims: int) -> Any:
    """For all sides or for each; now and then one that is too small, or one too many."""
    if draw.flag():
        return draw.integer(1, 7) if draw.integer(0, 9) < 9 else 0
    return tuple(draw.integer(1, 7) for _ in range(dims + (draw.integer(0, 9) == 9)))


def scale(draw: Draw, dims: int) -> Any:
    """Factors that float32 holds exactly: with others, PyTorch's own kernels disagree on where a pixel begins."""
    if draw.flag():
        return draw.one_of(1, 2, 3.0, 0.5, 1.5, 2.5, 0.25, -1.0)
    return tuple(draw.one_of(1, 2, 4.0, 0.5, 1.5) for _ in range(dims + (draw.integer(0, 9) == 9)))


def resizing(draw: Draw) -> tuple[Call, Call]:
    """The arguments of nn.Upsample and of its call."""
    dims = draw.one_of(1, 2, 2, 2, 3)
    mode = fitting_mode(draw, dims)
    kind = draw.one_of("size", "size", "size", "scale", "scale", "scale", "both", "none")
    options: dict[str, Any] = {} if mode == "nearest" and draw.flag() else {"mode": mode}
    if kind in ("size", "both"):
        options["size"] = size(draw, dims)
    if kind in ("scale", "both"):
        options["scale_factor"] = scale(draw, dims)
    if mode in SMOOTH or draw.integer(0, 9) == 9:
        options |= some(draw, align_corners=draw.flag())
    if kind == "scale" or draw.integer(0, 9) == 9:
        options |= some(draw, recompute_scale_factor=draw.flag())
    return call(**options), call(batch(draw, dims))


def both(how: Call, inputs: Call) -> Call:
    """The arguments of a layer and of its call, for the function."""
    return call(*inputs.arguments, *how.arguments, **how.options)


def without_recompute(drawn: Call) -> Call:
    return call(*drawn.arguments, **{name: x for name, x in drawn.options.items() if name != "recompute_scale_factor"})


case("nn.functional.interpolate")(lambda draw: both(*resizing(draw)))
case("nn.functional.upsample")(lambda draw: without_recompute(both(*resizing(draw))))
layer("nn.Upsample")(resizing)


@layer("nn.UpsamplingNearest2d", "nn.UpsamplingBilinear2d")
def upsampling(draw: Draw) -> tuple[Call, Call]:
    how = call(size(draw, 2)) if draw.flag() else call(scale_factor=scale(draw, 2))
    return how, call(batch(draw, draw.one_of(2, 2, 2, 1)))


# -- rearranged -----------------------------------------------------------------------------------------------------


def shuffled(draw: Draw) -> tuple[Call, Call]:
    r = draw.one_of(1, 2, 3, 0)
    channels = draw.size(1, 2) * max(r * r, 1) + draw.one_of(0, 0, 0, 1)
    before = draw.one_of((), (2,), (0,), (2, 1))
    shape = (*before, channels, draw.size(1, 3), draw.size(1, 3))
    return call(r), call(draw.floats(shape if draw.integer(0, 9) < 9 else shape[-2:]))


def unshuffled(draw: Draw) -> tuple[Call, Call]:
    """Not of an empty batch, which PyTorch gives back as it is."""
    r = draw.one_of(1, 2, 3, 0)
    sides = [draw.size(1, 2) * max(r, 1) + draw.one_of(0, 0, 0, 1) for _ in range(2)]
    before = draw.one_of((), (2,), (2, 1), None)
    return call(r), call(draw.floats(sides if before is None else (*before, draw.size(1, 2), *sides)))


def regrouped(draw: Draw) -> tuple[Call, Call]:
    groups = draw.one_of(1, 2, 3, 0)
    channels = max(groups, 1) * draw.size(1, 3) + draw.one_of(0, 0, 0, 1)
    return call(groups), call(draw.floats((draw.size(1, 3), channels, *[draw.size() for _ in range(draw.size(0, 3))])))


for words, drawing in (("pixel_shuffle PixelShuffle", shuffled), ("pixel_unshuffle PixelUnshuffle", unshuffled),
                       ("channel_shuffle ChannelShuffle", regrouped)):  # fmt: skip
    function, module = words.split()
    case(f"nn.functional.{function}")(lambda draw, drawing=drawing: both(*drawing(draw)))
    layer(f"nn.{module}")(drawing)


# -- padding --------------------------------------------------------------------------------------------------------


def around(draw: Draw, dims: int, low: int, high: int) -> Any:
    """For all sides, or two for each dimension; now and then for others than there are."""
    if draw.flag():
        return draw.integer(max(low, 0), high)
    return tuple(draw.integer(low, high) for _ in range(2 * dims + draw.one_of(0, 0, 0, 0, 0, 1)))


def padded(draw: Draw, dims: int, low: int, *value: float) -> tuple[Call, Call]:
    x = batch(draw, dims, low=2)
    return call(around(draw, dims, low, 3), *value), call(x[0] if len(x) and draw.flag() else x)


for n in DIMS:
    layer(f"nn.ZeroPad{n}d")(lambda draw, n=n: padded(draw, n, -1))
    layer(f"nn.ConstantPad{n}d")(lambda draw, n=n: padded(draw, n, -1, draw.number()))
    for name in ("Reflection", "Replication", "Circular"):
        layer(f"nn.{name}Pad{n}d")(lambda draw, n=n: padded(draw, n, 0))
