"""The table that gives Tensor its operators and methods.

A reader who wonders what `x + y` or `x.mean(0)` runs finds it here.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor, is_grad_enabled
from minidl.autograd.errors import raise_explained
from minidl.autograd.tensor import describe
from minidl.ops import elementwise as e
from minidl.ops import functions as f
from minidl.ops import indexing, products, shapes


def _swapped(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`2 - x` calls x.__rsub__(2)."""
    return lambda x, y: op(y, x)


def _comparison(op: Callable[..., Tensor]) -> Callable[..., Any]:
    """== and != with something that holds no numbers (None, a string) is Python's business."""
    return lambda x, y: op(x, y) if isinstance(y, (Tensor, Number, np.ndarray)) else NotImplemented


def _in_place(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The in-place form of an op: x takes the result's value, in the graph if it is recorded, else in its memory."""

    def method(x: Tensor, *others: Any, **settings: Any) -> Tensor:
        recorded = is_grad_enabled() and any(getattr(y, "tracked", False) for y in (x, *others))
        before = x.until_now() if recorded else x
        result = op(before, *(before if other is x else other for other in others), **settings)
        if result.shape != x.shape:
            raise RuntimeError(f"an in-place change cannot turn shape {x.shape} into {result.shape}")
        if not np.can_cast(result.dtype, x.dtype, "same_kind"):
            raise RuntimeError(f"an in-place change cannot store {result.dtype} in {describe(x)}: use .to() first")
        if result.tracked:
            return x.become(result if result.dtype == x.dtype else e.astype(result, dtype=x.dtype))
        x.array[...] = result.array
        x.mark_changed()
        return x

    return method


# -- methods that are more than one op ------------------------------------------------------------------------------


def _setitem(x: Tensor, index: Any, value: Any) -> None:
    index = indexing.plain(index, x)
    if is_grad_enabled() and x.dtype.kind == "f" and (x.tracked or getattr(value, "tracked", False)):
        before = x.until_now()
        x.become(indexing.replaced(before, before if value is x else value, index=index))
    else:
        try:
            x.array[index] = value.array if isinstance(value, Tensor) else value
        except Exception as error:
            raise_explained(error, "x[index] = value", (x, value))
        x.mark_changed()


def _copy_(x: Tensor, source: Any) -> Tensor:
    """Copy the numbers of `source`, from any device and dtype, into x."""
    _setitem(x, ..., source.to(x.device) if isinstance(source, Tensor) else source)
    return x


def _fill_(x: Tensor, value: Any) -> Tensor:
    return _copy_(x, value)


def _to(x: Tensor, *where: Any, device: Any = None, dtype: Any = None) -> Tensor:
    """x on another device, in another dtype, or both: `x.to("cuda")`, `x.to(minidl.float64)`, `x.to(other)`.

    It is x itself where nothing changes.
    """
    for target in where:
        if isinstance(target, Tensor):
            device, dtype = target.device, target.dtype
        elif isinstance(target, str) and target.partition(":")[0] in ("cpu", "cuda", "gpu"):
            device = target
        else:
            dtype = target
    if dtype is not None and x.dtype != dtype:
        x = e.astype(x, dtype=np.dtype(dtype))
    if device is not None and x.device != (place := backend.as_device(device)):
        x = e.moved(x, device=place, origin=x.device)
    return x


def _iterate(x: Tensor) -> Any:
    if not x.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return (indexing.getitem(x, i) for i in range(len(x)))


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """x in another shape of as many entries; one length may be -1.  A view where the memory allows it."""
    return shapes.reshape(x, shape=shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)


OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": e.add, "__radd__": _swapped(e.add), "__iadd__": _in_place(e.add),
    "__sub__": e.subtract, "__rsub__": _swapped(e.subtract), "__isub__": _in_place(e.subtract),
    "__mul__": e.multiply, "__rmul__": _swapped(e.multiply), "__imul__": _in_place(e.multiply),
    "__truediv__": e.divide, "__rtruediv__": _swapped(e.divide), "__itruediv__": _in_place(e.divide),
    "__floordiv__": e.floor_divide, "__rfloordiv__": _swapped(e.floor_divide),
    "__mod__": e.remainder, "__rmod__": _swapped(e.remainder),
    "__pow__": e.power, "__rpow__": _swapped(e.power),
    "__matmul__": products.matmul, "__rmatmul__": _swapped(products.matmul),
    "__neg__": e.negative, "__abs__": e.abs, "__invert__": e.bitwise_not,
    "__and__": e.bitwise_and, "__rand__": e.bitwise_and, "__or__": e.bitwise_or, "__ror__": e.bitwise_or,
    "__xor__": e.bitwise_xor, "__rxor__": e.bitwise_xor,
    "__eq__": _comparison(e.equal), "__ne__": _comparison(e.not_equal),
    "__lt__": e.less, "__le__": e.less_equal, "__gt__": e.greater, "__ge__": e.greater_equal,
    "__getitem__": indexing.getitem, "__setitem__": _setitem, "__iter__": _iterate,
    "__contains__": lambda x, y: bool(f.any(e.equal(x, y))),
}  # fmt: skip

# Functions whose first argument is the tensor are methods under the same name ...
NAMES: dict[Any, str] = {
    e: """abs ceil clamp cos erf exp expm1 floor isfinite isinf isnan log log1p logical_and logical_not logical_or
        maximum minimum relu round sigmoid sign sin sqrt square tanh""",
    f: "all amax amin any argmax argmin log_softmax logsumexp max mean min softmax std sum var",
    products: "matmul",
    shapes: "chunk expand flatten permute split squeeze swapaxes unsqueeze",
}

# ... and some under another.
METHODS: dict[str, Callable[..., Any]] = {
    **{name: getattr(module, name) for module, names in NAMES.items() for name in names.split()},
    "add": e.add, "sub": e.subtract, "mul": e.multiply, "div": e.divide, "pow": e.power, "neg": e.negative,
    "eq": e.equal, "ne": e.not_equal, "lt": e.less, "le": e.less_equal, "gt": e.greater, "ge": e.greater_equal,
    "reshape": reshape, "view": reshape, "transpose": shapes.swapaxes, "clone": e.copied,
    "astype": lambda x, dtype: e.astype(x, dtype=np.dtype(dtype)), "to": _to,
    "cpu": lambda x: _to(x, "cpu"), "cuda": lambda x, index=None: _to(x, "cuda" if index is None else f"cuda:{index}"),
    "float": lambda x: _to(x, np.float32), "double": lambda x: _to(x, np.float64),
    "long": lambda x: _to(x, np.int64), "int": lambda x: _to(x, np.int32), "bool": lambda x: _to(x, np.bool),
    "copy_": _copy_, "fill_": _fill_, "zero_": lambda x: _fill_(x, 0),
}  # fmt: skip

IN_PLACE = "add sub mul div clamp"  # methods that also have an in-place form: add_, sub_, ...

PROPERTIES: dict[str, Callable[[Tensor], Tensor]] = {
    "T": lambda x: shapes.transpose(x, axes=tuple(range(x.ndim))[::-1]),
    "mT": lambda x: shapes.swapaxes(x, -1, -2),
}

METHODS |= {f"{name}_": _in_place(METHODS[name]) for name in IN_PLACE.split()}
for _name, _function in {**OPERATORS, **METHODS}.items():
    setattr(Tensor, _name, _function)
for _name, _function in PROPERTIES.items():
    setattr(Tensor, _name, property(_function))
