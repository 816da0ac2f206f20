"""Parity of autograd.functional: derivatives of several functions, at drawn points, with every option."""

from typing import Any

from parity.drawing import Call, Draw, call, case

CURVES: dict[str, Any] = {  # of x and y of one shape, by the number of outputs of that shape
    "one": lambda x, y: (x * y).tanh(),
    "two": lambda x, y: (x.sin() * y, x + y * y),
    "of x only": lambda x, y: x * x,
    "constant": lambda x, y: x.detach() * 2,
}
NUMBERS: dict[str, Any] = {
    "a product": lambda x, y: (x * y).square().sum(),
    "of x only": lambda x, y: x.exp().sum(),
    "linear": lambda x, y: (2 * x + y).sum(),
    "no number": lambda x, y: x * y,
    "one of one": lambda x, y: (x * y).sin().sum().reshape(1),
}


def options(draw: Draw) -> dict[str, Any]:
    return {"create_graph": draw.flag(), "strict": draw.integer(0, 3) == 3}


def vector(draw: Draw, shape: tuple[int, ...], count: int) -> Any:
    """What is multiplied with: a tensor or several, left out, or now and then of a wrong shape."""
    kind = draw.integer(0, 9)
    if kind == 9:
        return None
    vectors = tuple(draw.floats((*shape, 2) if kind == 8 else shape) for _ in range(count))
    return vectors if count > 1 else vectors[0]


@case("autograd.functional.vjp", "autograd.functional.jvp")
def _(draw: Draw) -> Call:
    shape, kind = draw.shape(max_dims=2, high=3), draw.one_of(*CURVES)
    x, y = draw.floats(shape, ties=False), draw.floats(shape, ties=False)
    count = 2 if kind == "two" else draw.one_of(1, 2)  # that of the outputs for vjp, of the inputs for jvp
    return call(CURVES[kind], (x, y), vector(draw, shape, count), **options(draw))


@case("autograd.functional.jacobian")
def _(draw: Draw) -> Call:
    shape = draw.shape(max_dims=2, high=3, empty=False)
    inputs = draw.floats(shape), draw.floats(shape)
    return call(CURVES[draw.one_of(*CURVES)], inputs, **options(draw))


@case("autograd.functional.hessian")
def _(draw: Draw) -> Call:
    shape = draw.shape(max_dims=2, high=3, empty=False)
    return call(NUMBERS[draw.one_of(*NUMBERS)], (draw.floats(shape), draw.floats(shape)), **options(draw))


@case("autograd.functional.vhp", "autograd.functional.hvp")
def _(draw: Draw) -> Call:
    shape, kind = draw.shape(max_dims=2, high=3), draw.one_of(*NUMBERS)
    inputs = draw.floats(shape), draw.floats(shape)
    return call(NUMBERS[kind], inputs, vector(draw, shape, draw.one_of(1, 2, 2, 2)), **options(draw))
