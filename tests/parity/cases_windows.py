"""Convolution, pooling and columns: the functions and the layers, in 1 to 3 dimensions."""

from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, layer

DIMS = (1, 2, 3)


def image(
    draw: Draw, dims: int, *, channels: int | None = None, ties: bool = True, low: int = 1, wrong: bool = True
) -> np.ndarray:
    """(N, C, *size), or an image alone, or an empty batch; now and then, if `wrong`, with a dimension too many."""
    size = tuple(draw.size(low, 7 if dims < 3 else 5) for _ in range(dims))
    shape = (draw.size(1, 3) if channels is None else channels, *size)
    kind = draw.one_of("batch", "batch", "batch", "one", "one", "empty", *["wrong"] * wrong)
    before = {"batch": (draw.size(1, 3),), "one": (), "empty": (0,), "wrong": (1, draw.size(1, 2))}[kind]
    return draw.floats((*before, *shape), ties=ties)


def setting(draw: Draw, dims: int, low: int, high: int, *, many: bool = True) -> Any:
    """A setting for all dimensions or for each; now and then one that is too small, or, if `many`, one too many."""
    kind = draw.one_of(*["all", "each", "list"] * 5, "small", *["many"] * many)
    if kind in ("all", "small"):
        return draw.integer(low, high) if kind == "all" else low - 1
    numbers = [draw.integer(low, high) for _ in range(dims + (kind == "many"))]
    return numbers if kind == "list" else tuple(numbers)


def some(draw: Draw, **options: Any) -> dict[str, Any]:
    """Some of the options; the others stay at their defaults."""
    return {name: value for name, value in options.items() if draw.flag()}


# -- convolution --------------------------------------------------------------------------------------------------


def padding(draw: Draw, dims: int, many: bool) -> Any:
    return draw.one_of("same", "valid") if draw.integer(0, 3) == 3 else setting(draw, dims, 0, 2, many=many)


def convolution(draw: Draw, dims: int) -> Call:
    groups = draw.one_of(1, 1, 2, 3)
    inputs, outputs = groups * draw.size(1, 2), groups * draw.size(1, 2)
    wrong = draw.one_of(0, 0, 0, 0, 0, 1)
    x = image(draw, dims, channels=inputs, low=2)
    w = draw.floats((outputs, inputs // groups + wrong, *[draw.size(1, 3) for _ in range(dims)]))
    b = draw.one_of(None, draw.floats((outputs,)), draw.floats((outputs + 1,)) if wrong else None)
    return call(x, w, b, groups=groups, **convolution_moves(draw, dims, x))


def convolution_moves(draw: Draw, dims: int, x: np.ndarray, *, many: bool = True) -> dict[str, Any]:
    """None for an empty batch, for which PyTorch does not check them."""
    return some(
        draw, stride=setting(draw, dims, 1, 3, many=many), padding=padding(draw, dims, many),
        dilation=setting(draw, dims, 1, 2, many=many),
    ) if x.size else {}  # fmt: skip


def transposed_moves(draw: Draw, dims: int, x: np.ndarray, *, many: bool = True) -> dict[str, Any]:
    """None for an empty batch, for which PyTorch does not check them; nor does it always check the dilation."""
    return some(
        draw, stride=setting(draw, dims, 1, 3, many=many), padding=setting(draw, dims, 0, 1, many=many),
        output_padding=setting(draw, dims, 0, 1, many=many), dilation=draw.one_of(1, 2, (2,) * dims),
    ) if x.size else {}  # fmt: skip


def transposed(draw: Draw, dims: int) -> Call:
    groups = draw.one_of(1, 1, 2, 3)
    inputs, outputs = groups * draw.size(1, 2), groups * draw.size(1, 2)
    wrong = draw.one_of(0, 0, 0, 0, 0, 1)
    x = image(draw, dims, channels=inputs, low=3)
    w = draw.floats((inputs + wrong, outputs // groups, *[draw.size(1, 3) for _ in range(dims)]))
    b = draw.one_of(None, draw.floats((outputs,)))
    return call(x, w, b, groups=groups, **transposed_moves(draw, dims, x))


def convolution_layer(draw: Draw, dims: int) -> tuple[Call, Call]:
    groups = draw.one_of(1, 1, 2, 3)
    inputs, outputs = groups * draw.size(1, 2), groups * draw.size(1, 2) + draw.one_of(0, 0, 0, 0, 1)
    x = image(draw, dims, channels=inputs, low=3)
    kernel = setting(draw, dims, 1, 3, many=False) if x.size else 2
    how = call(
        inputs, outputs, kernel, groups=groups, bias=draw.flag(), **convolution_moves(draw, dims, x, many=False),
        **some(draw, padding_mode=draw.one_of("zeros", "reflect", "replicate", "circular", "wrong")),
    )  # fmt: skip
    return how, call(x)


def transposed_layer(draw: Draw, dims: int) -> tuple[Call, Call]:
    groups = draw.one_of(1, 1, 2, 3)
    inputs, outputs = groups * draw.size(1, 2), groups * draw.size(1, 2) + draw.one_of(0, 0, 0, 0, 1)
    x = image(draw, dims, channels=inputs, low=3, wrong=False)
    kernel = setting(draw, dims, 1, 3, many=False) if x.size else 2
    how = call(
        inputs, outputs, kernel, groups=groups, bias=draw.flag(), **transposed_moves(draw, dims, x, many=False),
        **some(draw, padding_mode=draw.one_of("zeros", "zeros", "zeros", "reflect")),
    )  # fmt: skip
    wanted = [n * 2 + draw.integer(-1, 1) for n in x.shape[-dims:]]
    return how, call(x, **some(draw, output_size=[1] * draw.one_of(0, x.ndim - dims) + wanted))


for n in DIMS:
    case(f"nn.functional.conv{n}d")(lambda draw, n=n: convolution(draw, n))
    case(f"nn.functional.conv_transpose{n}d")(lambda draw, n=n: transposed(draw, n))
    layer(f"nn.Conv{n}d")(lambda draw, n=n: convolution_layer(draw, n))
    layer(f"nn.ConvTranspose{n}d")(lambda draw, n=n: transposed_layer(draw, n))


# -- pooling ------------------------------------------------------------------------------------------------------


def moves(draw: Draw, dims: int) -> dict[str, Any]:
    return some(draw, stride=setting(draw, dims, 1, 3), padding=setting(draw, dims, 0, 1), ceil_mode=draw.flag())


def max_options(draw: Draw, dims: int) -> dict[str, Any]:
    """For images of 2 and more: PyTorch writes to foreign memory where a window sees nothing."""
    return moves(draw, dims) | some(draw, dilation=setting(draw, dims, 1, 2), return_indices=draw.flag())


def avg_options(draw: Draw, dims: int) -> dict[str, Any]:
    """For volumes of 3 and more: PyTorch refuses smaller ones that ceil_mode allows, for volumes only."""
    more = {"divisor_override": draw.one_of(None, 0, 1, 5, -2)} if dims > 1 else {}
    return moves(draw, dims) | some(draw, count_include_pad=draw.flag(), **more)


def wanted_size(draw: Draw, dims: int) -> Any:
    """None keeps a side, which PyTorch allows where there are several."""
    if draw.flag():
        return draw.integer(0, 5)
    return tuple(draw.one_of(1, 2, 3, 4, *[None] * (dims > 1)) for _ in range(dims + draw.one_of(0, 0, 0, 0, -1)))


def adaptive(draw: Draw, dims: int) -> tuple[Call, Call]:
    """If the size is 1, PyTorch takes the mean of images with any number of dimensions in front."""
    return call(wanted_size(draw, dims)), call(image(draw, dims, wrong=dims < 2))


def norm(draw: Draw, dims: int) -> tuple[np.ndarray, Call]:
    """PyTorch unpacks the kernel_size without looking, and for one dimension wants a number."""
    p = draw.one_of(1, 2, 2.0, 3, 0.5, float("inf"), -float("inf"))
    x = image(draw, dims, low=dims) if p == 2 else np.abs(image(draw, dims, ties=False, low=dims))
    kernel = draw.integer(1, 3) if dims == 1 or draw.flag() else tuple(draw.integer(1, 3) for _ in range(dims))
    return x, call(p, kernel, **some(draw, stride=setting(draw, dims, 1, 3), ceil_mode=draw.flag()))


def unpooling(draw: Draw, dims: int) -> tuple[Call, Call]:
    """No place is named twice: of those PyTorch keeps any."""
    x = draw.floats((*draw.one_of((2,), (), (0,)), draw.size(1, 3), *[draw.size(2, 5) for _ in range(dims)]))
    length = int(np.prod(x.shape[x.ndim - dims :], dtype=int))
    indices = np.argsort(draw.random.random((*x.shape[: x.ndim - dims], length)), -1).reshape(x.shape)
    indices = indices + draw.one_of(0, 0, 0, 0, 0, -1, 10_000)
    options = some(draw, stride=draw.integer(2, 3), padding=(draw.integer(0, 1),) * dims)
    more = [n * 2 + draw.integer(-1, 1) for n in x.shape[x.ndim - dims :]]
    wanted = some(draw, output_size=[1] * draw.one_of(0, x.ndim - dims) + more)
    return call(draw.integer(2, 3), **options), call(x, indices, **wanted)


def both(how: Call, inputs: Call) -> Call:
    """The arguments of a layer and of its call, for the function."""
    return call(*inputs.arguments, *how.arguments, **how.options, **inputs.options)


for n in DIMS:
    case(f"nn.functional.max_pool{n}d")(
        lambda draw, n=n: call(image(draw, n, low=2), setting(draw, n, 1, 3), **max_options(draw, n))
    )
    layer(f"nn.MaxPool{n}d")(
        lambda draw, n=n: (call(setting(draw, n, 1, 3), **max_options(draw, n)), call(image(draw, n, low=2)))
    )
    case(f"nn.functional.max_unpool{n}d")(lambda draw, n=n: both(*unpooling(draw, n)))
    layer(f"nn.MaxUnpool{n}d")(lambda draw, n=n: unpooling(draw, n))
    case(f"nn.functional.avg_pool{n}d")(
        lambda draw, n=n: call(image(draw, n, low=n), setting(draw, n, 1, 3), **avg_options(draw, n))
    )
    layer(f"nn.AvgPool{n}d")(
        lambda draw, n=n: (call(setting(draw, n, 1, 3), **avg_options(draw, n)), call(image(draw, n, low=n)))
    )
    case(f"nn.functional.lp_pool{n}d")(lambda draw, n=n: both((drawn := norm(draw, n))[1], call(drawn[0])))
    layer(f"nn.LPPool{n}d")(lambda draw, n=n: ((drawn := norm(draw, n))[1], call(drawn[0])))
    case(f"nn.functional.adaptive_avg_pool{n}d")(lambda draw, n=n: both(*adaptive(draw, n)))
    layer(f"nn.AdaptiveAvgPool{n}d")(lambda draw, n=n: adaptive(draw, n))
    case(f"nn.functional.adaptive_max_pool{n}d")(
        lambda draw, n=n: call(image(draw, n), wanted_size(draw, n), **some(draw, return_indices=draw.flag()))
    )
    layer(f"nn.AdaptiveMaxPool{n}d")(
        lambda draw, n=n: (call(wanted_size(draw, n), **some(draw, return_indices=draw.flag())), call(image(draw, n)))
    )


# -- columns ------------------------------------------------------------------------------------------------------


def column_options(draw: Draw) -> dict[str, Any]:
    return some(draw, dilation=setting(draw, 2, 1, 2), padding=setting(draw, 2, 0, 2), stride=setting(draw, 2, 1, 3))


@case("nn.functional.unfold")
def unfold(draw: Draw) -> Call:
    return call(image(draw, 2), setting(draw, 2, 1, 3), **column_options(draw))


@layer("nn.Unfold")
def unfold_layer(draw: Draw) -> tuple[Call, Call]:
    return call(setting(draw, 2, 1, 3), **column_options(draw)), call(image(draw, 2))


def folding(draw: Draw) -> tuple[Call, Call]:
    """Columns as unfold makes them, or now and then others."""
    size, kernel = [draw.size(2, 6), draw.size(2, 6)], (draw.size(1, 3), draw.size(1, 3))
    dilation, around, stride = draw.one_of(1, 2), draw.integer(0, 2), draw.integer(1, 3)
    positions = [(n + 2 * around - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(size, kernel, strict=True)]
    rows = draw.size(1, 2) * kernel[0] * kernel[1] + draw.one_of(0, 0, 0, 0, 1)
    columns = max(positions[0] * positions[1] + draw.one_of(0, 0, 0, 0, 1), 1)
    before = draw.one_of((2,), (), (0,), (1, 1))
    how = call(tuple(size), kernel, dilation=dilation, padding=around, stride=stride)
    return how, call(draw.floats((*before, rows, columns)))


case("nn.functional.fold")(lambda draw: both(*folding(draw)))
layer("nn.Fold")(folding)
