"""Functions that work entry by entry, and their in-place forms."""

from parity.drawing import Call, Draw, call, case


@case("add", "sub", "mul", "maximum", "minimum")
def two(draw: Draw) -> Call:
    shape = draw.shape()
    return call(draw.floats(shape), draw.floats(draw.broadcastable(shape)))


@case("exp", "sin", "cos", "tanh", "sigmoid", "relu", "abs", "erf", "square", "sign", "floor", "neg")
def one(draw: Draw) -> Call:
    return call(draw.floats(draw.shape()))


@case("Tensor.add_", "Tensor.mul_")
def change(draw: Draw) -> Call:
    shape = draw.shape()
    return call(draw.floats(shape), draw.floats(draw.broadcastable(shape)))
