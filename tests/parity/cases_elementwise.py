"""Functions that work entry by entry, of one, two or three tensors, and their in-place forms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from parity.drawing import Call, Draw, call, case, fixed

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan]
AREA_FUNCTIONS = ["asinh", "acosh", "atanh"]
COMPARISONS = ["eq", "ne", "gt", "ge", "lt", "le"]
SIGNS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift"]


def floats(draw: Draw, shape: tuple[int, ...], special: list[float] = SPECIAL) -> np.ndarray:
    """Floats, now and then with zeros, ones, infinities and NaN among them."""
    x = draw.floats(shape)
    if draw.integer(0, 3) == 3:
        x = np.where(draw.random.random(shape) < 0.3, draw.random.choice(special, shape), x).astype(x.dtype)
    return x


def whole(draw: Draw, shape: tuple[int, ...], *dtypes: str) -> np.ndarray:
    dtype = draw.one_of(*(dtypes or ("int64", "int32", "int8", "uint8")))
    return draw.booleans(shape) if dtype == "bool" else draw.integers(shape, 0 if dtype == "uint8" else -5, 5, dtype)


def operand(draw: Draw, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    """Numbers of a kind: f, floats; i, whole numbers; b, booleans.  Half of the draws are floats if they may be."""
    kind = draw.one_of(*kinds, *("f" * len(kinds) if "f" in kinds else ""))
    return floats(draw, shape) if kind == "f" else whole(draw, shape, *(["bool"] if kind == "b" else []))


def names(text: str) -> list[str]:
    """The names, and those of the in-place forms that PyTorch has."""
    return [form for name in text.split() for form in (name, f"Tensor.{name}_") if "." not in form or
            hasattr(torch.Tensor, f"{name}_")]  # fmt: skip


# -- of one tensor


@case(*AREA_FUNCTIONS)
@case(*(f"Tensor.{name}_" for name in AREA_FUNCTIONS), gradients=False)  # PyTorch has none in place
@case(*names("""exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sigmoid tanh erf erfc sin cos tan asin
    acos atan sinh cosh sinc deg2rad rad2deg"""))  # fmt: skip
def one(draw: Draw) -> Call:
    return call(operand(draw, draw.shape(), "fib"))


@case(*names("ceil floor neg positive square trunc"))
def one_without_booleans(draw: Draw) -> Call:
    return call(operand(draw, draw.shape(), "fi"))


@case(*names("sgn"), gradients=False)  # zeros that PyTorch cannot show
@case("Tensor.__abs__", *names("abs relu sign"))
def one_without_nan(draw: Draw) -> Call:  # NaN stays NaN, while PyTorch's sign of it is 0
    x = operand(draw, draw.shape(), "fi")
    return call(np.where(np.isnan(x), 0, x).astype(x.dtype))


@case(*names("round"))
def rounding(draw: Draw) -> Call:
    shape = draw.shape()
    return call(floats(draw, shape), decimals=draw.integer(-1, 2)) if draw.flag() else call(operand(draw, shape, "fi"))


@case(*names("nan_to_num"))
def replaced(draw: Draw) -> Call:
    x = operand(draw, draw.shape(), "fi")
    return call(x, draw.number(), neginf=draw.one_of(None, -3.0)) if draw.flag() else call(x, posinf=7.0)


@case("isnan", "isinf", "isfinite", "logical_not")
def question(draw: Draw) -> Call:
    return call(operand(draw, draw.shape(), "fib"))


@case(*names("frac"))
def only_floats(draw: Draw) -> Call:
    return call(draw.floats(draw.shape()))


@case(*names("bitwise_not"))
def bits(draw: Draw) -> Call:
    return call(operand(draw, draw.shape(), "ib"))


@case("logit", "Tensor.logit_")
def logit(draw: Draw) -> Call:
    eps = draw.one_of(None, 1e-6, 0.1)
    x = draw.positive(draw.shape(), *((0.01, 0.99) if eps is None else (-0.5, 1.5)))
    return call(x, eps) if draw.flag() else call(x, eps=eps)


# -- of two tensors, or of a tensor and a number


def pair(draw: Draw, kinds: str, *, number: bool = False) -> tuple[Any, Any]:
    """Two tensors that broadcast; now and then, if `number`, a tensor and a number."""
    shape = draw.shape()
    x = operand(draw, shape, kinds)
    if number and draw.integer(0, 3) == 3:
        eighths = draw.integer(-16, 16) / 8  # exact in float32, in which PyTorch computes what jumps of whole numbers
        return x, draw.one_of(eighths, draw.integer(0, 5), *([True] if "b" in kinds else []))
    y = operand(draw, draw.broadcastable(shape), kinds)
    if (x.dtype.kind in "iu" and y.dtype.kind in "iu") and (x.ndim == 0) != (y.ndim == 0):
        y = y.astype(x.dtype)  # see tests/ops/test_dtypes.py on whole numbers without dimensions
    return x, y


@case(*names("add"))
def add(draw: Draw) -> Call:
    x, y = pair(draw, "fib", number=True)
    if draw.flag() or "b" in (x.dtype.kind, np.asarray(y).dtype.kind):
        return call(x, y)
    return call(x, y, alpha=draw.one_of(2, 3, 0.5, -1.5))


@case(*names("sub"))
def sub(draw: Draw) -> Call:
    x, y = pair(draw, "fi", number=True)
    return call(x, y) if draw.flag() else call(x, y, alpha=draw.one_of(2, 3, 0.5, -1.5))


@case(*names("mul true_divide xlogy"))
def arithmetic(draw: Draw) -> Call:
    return call(*pair(draw, "fib", number=True))


@case(*names("copysign"))
def copysign(draw: Draw) -> Call:
    shape = draw.shape()
    return call(draw.floats(shape), draw.one_of(-1.0, 0, floats(draw, draw.broadcastable(shape))))


@case(*names("div"))
def div(draw: Draw) -> Call:
    x, y = pair(draw, "fi", number=True)
    return call(x, y) if draw.flag() else call(x, y, rounding_mode=draw.one_of(None, "floor", "trunc", "up"))


@case(*names("remainder fmod"))
def division_with_rest(draw: Draw) -> Call:
    return call(*pair(draw, "fi", number=True))


@case(*names("floor_divide"), gradients=False)  # PyTorch has none, minidl zeros
def floor_divide(draw: Draw) -> Call:
    return call(*pair(draw, "fi", number=True))


@case(*names("pow"))
def power(draw: Draw) -> Call:
    shape = draw.shape()
    other = draw.broadcastable(shape)
    kind = draw.one_of("tensors", "number", "exponents", "whole", "base")
    if kind == "number":
        x = floats(draw, shape, [0.0, 1.0, 0.5, np.inf, np.nan])  # PyTorch's x**0.5 of -0 and -inf is sqrt, not a power
        return call(x, draw.one_of(0, 1, 2, 3, -1, 0.5, -0.5, 2.5))
    if kind == "whole":
        shape = tuple(n or 1 for n in shape)  # PyTorch refuses -1 even if there is nothing to raise to it
        return call(draw.integers(shape, -3, 3), draw.one_of(0, 1, 3, -1, draw.integers(shape, 0, 4)))
    if kind == "base":
        return call(draw.one_of(2, 0.5, 0.0), floats(draw, shape))
    exponents = draw.integers(other, -2, 3) if kind == "exponents" else floats(draw, other)
    return call(floats(draw, shape), exponents)


@case(*names("float_power"))
def float_power(draw: Draw) -> Call:
    x, y = pair(draw, "fi", number=True)
    return call(x.astype("float64"), y)


@case(*names("maximum minimum fmax fmin"))
def two(draw: Draw) -> Call:
    return call(*pair(draw, "fib"))


@case(*names("atan2"))
def angle(draw: Draw) -> Call:
    x, y = pair(draw, "fi")
    return call(x if x.dtype != "uint8" else x.astype("int64"), y)  # PyTorch's gradient has -x, which wraps around


@case(*names("logaddexp hypot"))
def two_of_floats(draw: Draw) -> Call:
    return call(*pair(draw, "f"))


@case(*names("heaviside"))
def heaviside(draw: Draw) -> Call:
    shape = draw.shape()
    return call(fixed(floats(draw, shape)), fixed(floats(draw, draw.broadcastable(shape))))


@case(*COMPARISONS)
def comparison(draw: Draw) -> Call:
    return call(*pair(draw, "fib", number=True))


@case("logical_and", "logical_or", "logical_xor")
def logic(draw: Draw) -> Call:
    return call(*pair(draw, "fib"))


def without_history(make: Callable[[Draw], Call]) -> Callable[[Draw], Call]:
    """In place, PyTorch gives such results a history, of zeros, and minidl none."""
    return lambda draw: call(*(fixed(x) if isinstance(x, np.ndarray) else x for x in make(draw).arguments))


case("Tensor.logical_not_")(without_history(question))
case(*(f"Tensor.{name}_" for name in COMPARISONS))(without_history(comparison))
case("Tensor.logical_and_", "Tensor.logical_or_", "Tensor.logical_xor_")(without_history(logic))


@case(*names("bitwise_and bitwise_or bitwise_xor"))
def two_of_bits(draw: Draw) -> Call:
    x, y = pair(draw, "ib")
    return call(x, y) if draw.flag() else call(x, draw.one_of(3, 0))


@case(*names("bitwise_left_shift bitwise_right_shift"))
def shift(draw: Draw) -> Call:
    x = whole(draw, shape := draw.shape())
    return call(x, draw.one_of(0, 2, draw.integers(draw.broadcastable(shape) if shape else (), 0, 5, x.dtype.name)))


@case("isclose", "allclose")
def close(draw: Draw) -> Call:
    x = floats(draw, shape := draw.shape())
    y = x if draw.flag() else floats(draw, draw.broadcastable(shape))
    y = np.asarray(y + draw.one_of(0.0, 1e-9, 1e-4) * draw.random.standard_normal(y.shape), y.dtype)
    words = dict(equal_nan=draw.flag())
    return call(x, y, **words) if draw.flag() else call(x, y, draw.one_of(0.0, 1e-3), draw.one_of(0.0, 1e-3), **words)


@case("equal")
def equal(draw: Draw) -> Call:
    x = operand(draw, shape := draw.shape(), "fib")
    return call(x, x if draw.flag() else operand(draw, draw.broadcastable(shape), "fib"))


# -- bounds


@case(*names("clamp"))
def clamp(draw: Draw) -> Call:
    x = floats(draw, shape := draw.shape(), [0.0, 1.0, np.inf, -np.inf])
    kind = draw.one_of("numbers", "tensors", "whole", "none")
    if kind == "none":
        return call(x)
    if kind == "tensors":
        low, high = (draw.floats(tuple(1 if draw.flag() else n for n in shape)) for _ in range(2))
        low = np.asarray(low - 0.25, low.dtype)  # where the bounds are equal, PyTorch's gradient goes nowhere
    else:
        x = whole(draw, shape, "int64") if kind == "whole" else x
        low, high = draw.one_of(-1, -0.5, 0.0, 2), draw.one_of(1.0, 1, 0)
    form = draw.one_of("both", "low", "high")
    return call(x, low, high) if form == "both" else call(x, min=low) if form == "low" else call(x, max=high)


@case(*names("clamp_min clamp_max"))
def one_bound(draw: Draw) -> Call:
    shape = draw.shape()
    bound = draw.one_of(0, 0.5, -1.0) if draw.flag() else draw.floats(draw.broadcastable(shape))
    return call(draw.floats(shape), bound)


@case("where")
def where(draw: Draw) -> Call:
    x, y = pair(draw, "fib")
    condition = draw.booleans(draw.broadcastable(np.broadcast_shapes(x.shape, y.shape)))
    kind = draw.one_of("tensors", "number", "numbers", "alone")
    condition = fixed(condition)  # the method of this name belongs to x
    if kind == "alone":
        return call(condition)
    if kind == "tensors":
        return call(condition, x, y)
    return call(condition, x if kind == "number" else draw.number(), draw.number())


@case("Tensor.where")
def method_where(draw: Draw) -> Call:
    x = draw.floats(shape := draw.shape())
    return call(x, draw.booleans(draw.broadcastable(shape)), draw.floats(shape) if draw.flag() else draw.number())


# -- of three tensors


@case(*names("lerp"))
def lerp(draw: Draw) -> Call:
    x, end = draw.floats(shape := draw.shape()), draw.floats(draw.broadcastable(shape))
    return call(x, end, draw.number() if draw.flag() else draw.floats(draw.broadcastable(shape)))


@case(*names("addcmul addcdiv"))
def products(draw: Draw) -> Call:
    shape = draw.shape()
    x, y, z = (draw.floats(s) for s in (shape, draw.broadcastable(shape), draw.broadcastable(shape)))
    return call(x, y, z) if draw.flag() else call(x, y, z, value=draw.one_of(2, -0.5))


# -- operators


def operator(sign: str) -> Callable[[Draw], Call]:
    floats_too = sign not in "and or xor lshift rshift"

    def draw_call(draw: Draw) -> Call:
        x, y = pair(draw, "fi" if floats_too else "i")
        if draw.flag():
            y = draw.integer(0, 3)
        elif sign == "pow":
            y = np.asarray(np.abs(y))
        elif sign in ("lshift", "rshift"):
            y = np.asarray(np.abs(y), x.dtype)
        return call(x, y)

    return draw_call


for _sign in SIGNS:
    _gradients = _sign != "floordiv"  # PyTorch has none, minidl zeros
    case(f"Tensor.__{_sign}__", f"Tensor.__i{_sign}__", gradients=_gradients)(operator(_sign))
for _sign in ("eq", "ne", "lt", "le", "gt", "ge"):
    case(f"Tensor.__{_sign}__")(operator(_sign))
case("Tensor.__neg__", "Tensor.__pos__")(one_without_booleans)
case("Tensor.__invert__")(bits)
