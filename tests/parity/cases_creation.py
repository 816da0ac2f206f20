"""Functions and methods that make tensors of numbers that are given, convert them and write into them."""

from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, fixed

DTYPES = [np.dtype(name) for name in ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")]


def any_array(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    kind = draw.one_of("floats", "whole", "booleans")
    if kind == "booleans":
        return draw.booleans(shape)
    if kind == "floats":
        return draw.floats(shape)
    return draw.integers(shape, 0, 5, draw.one_of("int64", "int32", "uint8"))


def unsigned(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.abs(any_array(draw, shape)))


def maybe_dtype(draw: Draw) -> dict[str, Any]:
    return {"dtype": draw.one_of(*DTYPES)} if draw.flag() else {}


# -- of nothing but numbers


@case("zeros", "ones")
def of_a_shape(draw: Draw) -> Call:
    shape = draw.shape()
    if draw.integer(0, 9) == 9:
        shape = draw.one_of((-1,), (2, -3), (2.5,))
    how = maybe_dtype(draw)
    form = draw.one_of("numbers", "tuple", "list", "named")
    if form == "named":
        return call(size=shape, **how)
    return call(*shape, **how) if form == "numbers" and shape else call(list(shape) if form == "list" else shape, **how)


@case("full")
def full(draw: Draw) -> Call:
    return call(draw.shape(), draw.one_of(draw.number(0), draw.integer(0, 3), draw.flag()), **maybe_dtype(draw))


@case("arange")
def arange(draw: Draw) -> Call:
    low, high = draw.integer(-4, 4), draw.integer(-4, 6)
    step = draw.one_of(1, 2, -1, 3, 0, 0.5, -0.25)
    if draw.flag():
        low, high = low + draw.one_of(0.0, 0.5), draw.one_of(high, high + 0.25)
    how = {"dtype": draw.one_of(*DTYPES[:4])} if draw.flag() else {}  # int32 counts with fractions, int64 does not
    if how.get("dtype") == np.int64 and isinstance(step, float):
        step = 2  # cut to 0, it is a ValueError in PyTorch, and a step of 0 a RuntimeError
    form = draw.one_of("end", "both", "step", "named")
    if form == "named":
        return call(start=low, end=high, step=step, **how)
    return call(*{"end": (high,), "both": (low, high), "step": (low, high, step)}[form], **how)


@case("linspace")
def linspace(draw: Draw) -> Call:
    dtype = {"dtype": draw.one_of(*DTYPES[:2])} if draw.flag() else {}
    return call(draw.number(), draw.one_of(draw.number(), draw.integer(-3, 3)), draw.integer(-1, 5), **dtype)


@case("logspace")
def logspace(draw: Draw) -> Call:
    ends = draw.number(), draw.number()
    return call(*ends, draw.integer(0, 5), draw.one_of(10.0, 2, 2.5)) if draw.flag() else call(*ends, steps=3)


@case("eye")
def eye(draw: Draw) -> Call:
    n = draw.integer(-1, 4)
    return call(n, **maybe_dtype(draw)) if draw.flag() else call(n, draw.integer(0, 4), **maybe_dtype(draw))


@case("tensor", "as_tensor")
def tensor(draw: Draw) -> Call:
    data = unsigned(draw, draw.shape(max_dims=3)).astype(draw.one_of("float64", "int64", "bool")).tolist()
    return call(data, **maybe_dtype(draw))


@case("Tensor.new_tensor")
def new_tensor(draw: Draw) -> Call:
    return call(any_array(draw, (2,)), draw.integers(draw.shape(max_dims=2), 0).tolist(), **maybe_dtype(draw))


# -- like another tensor


@case("zeros_like", "ones_like")
def like(draw: Draw) -> Call:
    return call(any_array(draw, draw.shape()), **maybe_dtype(draw))


@case("full_like")
def full_like(draw: Draw) -> Call:
    return call(any_array(draw, draw.shape()), draw.integer(0, 3), **maybe_dtype(draw))


@case("Tensor.new_zeros", "Tensor.new_ones")
def new(draw: Draw) -> Call:
    x, shape = any_array(draw, (2,)), draw.shape(min_dims=1)
    return call(x, *shape, **maybe_dtype(draw)) if draw.flag() else call(x, shape, **maybe_dtype(draw))


@case("Tensor.new_full")
def new_full(draw: Draw) -> Call:
    return call(any_array(draw, (2,)), draw.shape(), draw.integer(0, 3), **maybe_dtype(draw))


# -- what a tensor is


@case("Tensor.dim", "Tensor.ndimension", "Tensor.numel", "Tensor.nelement", "Tensor.element_size", "Tensor.tolist",
      "Tensor.is_floating_point", "is_floating_point", "numel", "is_tensor")  # fmt: skip
def property_of_one(draw: Draw) -> Call:
    return call(fixed(any_array(draw, draw.shape())))


@case("Tensor.is_contiguous", "Tensor.stride", "Tensor.contiguous")
def layout(draw: Draw) -> Call:
    return call(draw.floats(draw.shape(empty=False)))


@case("Tensor.item")
def item(draw: Draw) -> Call:
    return call(fixed(any_array(draw, draw.one_of((), (1,), (1, 1), (2,), (0,)))))


@case("Tensor.numpy")
def as_numpy(draw: Draw) -> Call:
    x = any_array(draw, draw.shape())
    return call(x if draw.flag() else fixed(x))


@case("result_type")
def result_type(draw: Draw) -> Call:
    x = fixed(any_array(draw, draw.shape(max_dims=1)))
    y = x if draw.flag() else fixed(draw.floats(draw.one_of((), (3,))))
    return call(x, draw.one_of(True, 2, 2.5)) if draw.flag() else call(x, y)


@case("promote_types", "can_cast")
def two_dtypes(draw: Draw) -> Call:
    return call(draw.one_of(*DTYPES), draw.one_of(*DTYPES))


# -- copies and conversions


@case("Tensor.clone", "Tensor.detach", "Tensor.float", "Tensor.double", "Tensor.half", "Tensor.long", "Tensor.int",
      "Tensor.short", "Tensor.byte", "Tensor.bool", "Tensor.cpu")  # fmt: skip
def conversion(draw: Draw) -> Call:
    return call(unsigned(draw, draw.shape()))


@case("Tensor.to")
def to(draw: Draw) -> Call:
    x = unsigned(draw, draw.shape())
    form = draw.one_of("dtype", "device", "both", "tensor", "named")
    dtype = draw.one_of(*DTYPES)
    if form == "named":
        return call(x, dtype=dtype, copy=draw.flag(), non_blocking=draw.flag())
    if form == "tensor":
        return call(x, any_array(draw, ()))
    return call(x, *{"dtype": (dtype,), "device": ("cpu",), "both": ("cpu", dtype)}[form])


@case("Tensor.type_as")
def type_as(draw: Draw) -> Call:
    return call(unsigned(draw, draw.shape()), any_array(draw, ()))


@case("Tensor.type")
def as_type(draw: Draw) -> Call:
    return call(unsigned(draw, draw.shape()), draw.one_of(*DTYPES))


# -- written in place


@case("Tensor.copy_")
def copy(draw: Draw) -> Call:
    x = any_array(draw, shape := draw.shape())
    return call(x, unsigned(draw, tuple(shape[draw.integer(0, len(shape)) :])))


@case("Tensor.fill_")
def fill(draw: Draw) -> Call:
    return call(draw.floats(draw.shape()), draw.one_of(draw.number(), draw.integer(-3, 3), draw.floats(())))


@case("Tensor.zero_", "Tensor.detach_")
def alone(draw: Draw) -> Call:
    return call(draw.floats(draw.shape()))
