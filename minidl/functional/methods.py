"""The table that gives Tensor its operators and methods.

A reader who wonders what `x + y` or `x.mean(0)` runs finds it here.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from minidl import backend, pinned
from minidl.autograd import Tensor, is_grad_enabled, tensor
from minidl.autograd.errors import raise_explained
from minidl.autograd.tensor import describe
from minidl.functional import arranging, creation, elementwise, picking, products, random, scans, shapes, sorting
from minidl.functional import reductions as f
from minidl.ops import elementwise as e
from minidl.ops import indexing, logic, trigonometry
from minidl.ops import shapes as ops


def _swapped(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`2 - x` calls x.__rsub__(2)."""
    return lambda x, y: op(y, x)


def _like(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`x.view_as(y)`: the op with the shape of another tensor."""
    return lambda x, other: op(x, shape=other.shape)


def _comparison(op: Callable[..., Tensor]) -> Callable[..., Any]:
    """== and != with something that holds no numbers (None, a string) is Python's business."""
    return lambda x, y: op(x, y) if isinstance(y, (Tensor, Number, np.ndarray)) else NotImplemented


def in_place(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The in-place form of an op: x takes the result's value, in the graph if it is recorded, else in its memory."""

    def method(x: Tensor, *others: Any, **settings: Any) -> Tensor:
        recorded = is_grad_enabled() and any(getattr(y, "tracked", False) for y in (x, *others, *settings.values()))
        before = x.until_now() if recorded else x
        result = op(before, *(before if other is x else other for other in others), **settings)
        if result.shape != x.shape:
            raise RuntimeError(f"an in-place change cannot turn shape {x.shape} into {result.shape}")
        if result.dtype != x.dtype and not backend.can_cast(result.dtype, x.dtype):
            raise RuntimeError(f"an in-place change cannot store {result.dtype} in {describe(x)}: use .to() first")
        if result.tracked or (recorded and x.tracked):
            return x.become(result if result.dtype == x.dtype else e.astype(result, dtype=x.dtype))
        x.array[...] = result.array
        x.mark_changed()
        return x

    return method


def reshaping(view: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The in-place form of a view: x keeps its memory and becomes the view of it, `x.unsqueeze_(0)`."""

    def method(x: Tensor, *how: Any, **named: Any) -> Tensor:
        recorded = x.tracked and is_grad_enabled()
        result = view(x.until_now() if recorded else Tensor(x.array), *how, **named)
        if recorded:
            x.become(result).version = result.version  # which is that of the memory
        else:
            x.array = result.array
            x.mark_changed()
        return x

    return method


# -- methods that are more than one op ------------------------------------------------------------------------------


def _setitem(x: Tensor, index: Any, value: Any) -> None:
    index = indexing.plain(index, x)
    if is_grad_enabled() and x.dtype.kind == "f" and (x.tracked or getattr(value, "tracked", False)):
        before = x.until_now()
        x.become(indexing.assigned(before, before if value is x else value, index))
    else:
        *numbers, rest = indexing.steps(index)
        try:
            (x.array[numbers[0]] if numbers else x.array)[rest] = value.array if isinstance(value, Tensor) else value
        except Exception as error:
            raise_explained(error, "x[index] = value", (x, value))
        x.mark_changed()


def _copy_(x: Tensor, source: Any, non_blocking: bool = False) -> Tensor:
    """Copy the numbers of `source`, from any device and dtype, into x."""
    _setitem(x, ..., source.to(x.device) if isinstance(source, Tensor) else source)
    return x


def _fill_(x: Tensor, value: Any) -> Tensor:
    return _copy_(x, value)


def _fill_diagonal_(x: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write a number on the diagonal; `wrap` begins a new one after each below the square part of a tall matrix."""
    if x.ndim < 2 or (x.ndim > 2 and len(set(x.shape)) > 1):
        raise RuntimeError(f"fill_diagonal_: expected a matrix, or all lengths equal, got shape {x.shape}")
    period = x.shape[-1] + 1
    row = np.arange(len(x) if wrap else min(x.shape))
    row = row[row % period < x.shape[-1]]
    _setitem(x, (row, *[row % period] * (x.ndim - 1)), fill_value)
    return x


def _filling(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *parameters, **named: _copy_(x, draw(x, *parameters, **named))


DTYPES = {f"{kind}{bits}" for kind in ("int", "float") for bits in (8, 16, 32, 64)} - {"float8"} | {"uint8", "bool"}


def _to(x: Tensor, *where: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False,
        copy: bool = False) -> Tensor:  # fmt: skip
    """x on another device, in another dtype, or both: `x.to("cuda")`, `x.to(minidl.float64)`, `x.to(other)`.

    It is x itself where nothing changes, unless a `copy` is wanted.  A copy from page-locked memory to a GPU goes on
    beside what the host does with `non_blocking`, and must be finished before x is written; another one has taken the
    numbers when it returns.
    """
    given = x
    for target in where:
        if isinstance(target, Tensor):
            device, dtype = target.device, target.dtype
        elif isinstance(target, str) and target.partition(":")[0] in ("cpu", "cuda", "gpu"):
            device = target
        elif isinstance(target, str) and target not in DTYPES:
            raise RuntimeError(f'to: expected a device such as "cpu" or a dtype such as minidl.float32, got {target!r}')
        else:
            dtype = target
    if dtype is not None and x.dtype != dtype:
        x = e.astype(x, dtype=np.dtype(dtype))
    if device is not None and x.device != (place := backend.as_device(device)):
        source, x = x.array, e.moved(x, device=place, origin=x.device)
        if not non_blocking and pinned.is_pinned(source):
            pinned.finish_copies(x.array)
    return e.copied(x) if copy and x is given else x


def _cuda(x: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """x on the GPU, on that of a number if one is given; `non_blocking` as with `to`."""
    return _to(x, f"cuda:{device}" if isinstance(device, int) else device or "cuda", non_blocking=non_blocking)


def _pin_memory(x: Tensor, device: Any = None) -> Tensor:
    """x in page-locked memory, from which `.to("cuda", non_blocking=True)` copies beside what the host does.

    RuntimeError without a GPU, and for a tensor that lies on one.
    """
    if x.device != "cpu":
        raise RuntimeError(f"pin_memory: expected a tensor on the CPU, got one on {x.device}")
    return x if pinned.is_pinned(x.array) else Tensor(pinned.pin(x.array))


def _as(dtype: Any) -> Callable[..., Tensor]:
    return lambda x: _to(x, np.dtype(dtype))


def _size(x: Tensor, dim: int | None = None) -> Any:
    """The shape, or the length of dimension `dim`; IndexError if there is none."""
    return x.shape if dim is None else x.shape[_own_dim(x, dim)]


def _stride(x: Tensor, dim: int | None = None) -> Any:
    """How many entries apart neighbours along each dimension (or along `dim`) lie in memory."""
    steps = tuple(step // x.array.itemsize for step in x.array.strides)
    return steps if dim is None else steps[_own_dim(x, dim)]


def _own_dim(x: Tensor, dim: int) -> int:
    """`dim` counted from the front; IndexError also for a number, which has none."""
    if not x.ndim:
        raise IndexError(f"dimension {dim} is out of range: this tensor is a single number")
    return shapes.dim_of(dim, x.ndim)


def _iterate(x: Tensor) -> Any:
    if not x.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(shapes.unbind(x))


def is_floating_point(input: Tensor) -> bool:
    """Whether a tensor holds floats."""
    return input.dtype.kind == "f"


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """x in another shape of as many entries; one length may be -1.  A view where the memory allows it."""
    return ops.reshape(x, shape=shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)


BINARY: dict[str, Callable[..., Tensor]] = {  # x + y, also with x a number, and x += y
    "add": e.add, "sub": e.subtract, "mul": e.multiply, "truediv": e.divide, "floordiv": e.floor_divide,
    "mod": e.remainder, "pow": e.power, "and": logic.bitwise_and, "or": logic.bitwise_or, "xor": logic.bitwise_xor,
    "lshift": logic.left_shift, "rshift": logic.right_shift,
}  # fmt: skip

OPERATORS: dict[str, Callable[..., Any]] = {
    **{f"__{name}__": op for name, op in BINARY.items()},
    **{f"__r{name}__": _swapped(op) for name, op in BINARY.items()},
    **{f"__i{name}__": in_place(op) for name, op in BINARY.items()},
    "__matmul__": products.matmul, "__rmatmul__": _swapped(products.matmul),
    "__neg__": e.negative, "__pos__": elementwise.positive, "__abs__": e.abs, "__invert__": logic.bitwise_not,
    "__eq__": _comparison(logic.equal), "__ne__": _comparison(logic.not_equal),
    "__lt__": logic.less, "__le__": logic.less_equal, "__gt__": logic.greater, "__ge__": logic.greater_equal,
    "__getitem__": indexing.getitem, "__setitem__": _setitem, "__iter__": _iterate,
    "__contains__": lambda x, y: bool(f.any(logic.equal(x, y))),
}  # fmt: skip

def _named(table: dict[Any, str]) -> dict[str, Callable[..., Any]]:
    """The functions of modules by the names of their methods: `exp`, or `mul=multiply` where the method has another."""
    return {
        name.partition("=")[0]: getattr(module, name.rpartition("=")[2])
        for module, names in table.items()
        for name in names.split()
    }


# Functions whose result has the shape of the tensor are methods, also in place: x.exp(), x.exp_().
ENTRYWISE = _named({
    e: """abs absolute=abs add ceil copysign true_divide=divide erf erfc exp exp2 expm1 floor floor_divide fmax fmin
        fmod log log1p log2 log10 logaddexp maximum minimum mul=multiply multiply neg=negative negative pow=power
        reciprocal relu remainder round rsqrt sigmoid sign sgn=sign sqrt square sub=subtract subtract tanh trunc
        fix=trunc xlogy""",
    elementwise: """addcdiv addcmul clamp clip=clamp clamp_max clamp_min deg2rad div divide=div float_power frac
        heaviside lerp logit nan_to_num rad2deg""",
    logic: """bitwise_and bitwise_left_shift=left_shift bitwise_not bitwise_or bitwise_right_shift=right_shift
        bitwise_xor eq=equal ge=greater_equal greater_equal gt=greater greater le=less_equal less_equal lt=less less
        logical_and logical_not logical_or logical_xor ne=not_equal not_equal""",
    trigonometry: """acos arccos=acos acosh arccosh=acosh asin arcsin=asin asinh arcsinh=asinh atan arctan=atan
        atan2 arctan2=atan2 atanh arctanh=atanh cos cosh hypot sin sinc sinh tan""",
    picking: "index_add index_copy index_fill index_put masked_fill masked_scatter scatter scatter_add",
})  # fmt: skip

# Other functions whose first argument is the tensor are methods ...
NAMES: dict[Any, str] = {
    elementwise: "allclose equal=array_equal isclose positive",
    logic: "isfinite isinf isnan",
    random: "bernoulli multinomial",
    f: """all amax amin aminmax any argmax argmin count_nonzero log_softmax logsumexp max mean min nanmean nansum norm
        prod softmax std sum var""",
    arranging: """diag diag_embed diagflat diagonal flip fliplr flipud repeat repeat_interleave roll rot90 tile trace
        tril triu unfold""",
    products: """addbmm addmm addmv addr baddbmm bmm corrcoef cov cross dist dot vdot=dot inner kron matmul mm mv
        outer ger=outer""",
    shapes: """chunk dsplit expand flatten hsplit movedim moveaxis=movedim permute ravel split t tensor_split unbind
        unflatten vsplit""",
    indexing: "argwhere",
    picking: "gather index_select masked_select narrow nonzero select take take_along_dim",
    scans: "cummax cummin cumprod cumsum diff logcumsumexp",
    sorting: "argsort bincount kthvalue median mode msort nanmedian quantile sort topk unique",
    ops: "squeeze swapaxes unsqueeze",
}

# ... and some methods are more than one function.
METHODS: dict[str, Callable[..., Any]] = {
    **ENTRYWISE, **_named(NAMES),
    "reshape": reshape, "reshape_as": _like(ops.reshape), "view": reshape, "view_as": _like(ops.reshape),
    "broadcast_to": shapes.expand, "expand_as": _like(ops.broadcast_to),
    "transpose": ops.swapaxes, "swapdims": ops.swapaxes,
    "clone": e.copied, "where": lambda x, condition, other: e.where(condition, x, other),
    "astype": lambda x, dtype: e.astype(x, dtype=np.dtype(dtype)), "to": _to,
    "cpu": lambda x: _to(x, "cpu"), "cuda": _cuda,
    "half": _as(np.float16), "float": _as(np.float32), "double": _as(np.float64), "bool": _as(np.bool),
    "byte": _as(np.uint8), "char": _as(np.int8), "short": _as(np.int16), "int": _as(np.int32), "long": _as(np.int64),
    "type": lambda x, dtype=None: str(x.dtype) if dtype is None else _to(x, np.dtype(dtype)), "type_as": _to,
    "contiguous": lambda x, memory_format=None: x if x.is_contiguous() else e.copied(x, order="C"),
    "new_tensor": creation.beside(tensor), "new_full": creation.beside(creation.full),
    "new_empty": creation.beside(creation.empty), "new_ones": creation.beside(creation.ones),
    "new_zeros": creation.beside(creation.zeros), **{name: _filling(draw) for name, draw in random.FILLINGS.items()},
    "nelement": Tensor.numel, "ndimension": Tensor.dim, "is_floating_point": is_floating_point,
    "size": _size, "stride": _stride, "is_contiguous": lambda x: x.array.flags.c_contiguous,
    "pin_memory": _pin_memory, "is_pinned": lambda x, device=None: pinned.is_pinned(x.array),
    "element_size": lambda x: x.array.itemsize, "data_ptr": lambda x: backend.address(x.array),
    "copy_": _copy_, "fill_": _fill_, "fill_diagonal_": _fill_diagonal_, "zero_": lambda x: _fill_(x, 0),
}  # fmt: skip

PROPERTIES: dict[str, Callable[[Tensor], Any]] = {
    "is_cuda": lambda x: x.device.type == "cuda", "is_cpu": lambda x: x.device.type == "cpu",
    "itemsize": lambda x: x.array.itemsize, "nbytes": lambda x: x.array.nbytes,
    "T": lambda x: ops.transpose(x, axes=tuple(range(x.ndim))[::-1]),
    "mT": lambda x: ops.swapaxes(shapes.matrices("mT", x), -1, -2),
}  # fmt: skip

METHODS |= {f"{name}_": in_place(METHODS[name]) for name in [*ENTRYWISE, "cumprod", "cumsum", "tril", "triu"]}
METHODS |= {
    f"{name}_": reshaping(METHODS[name]) for name in ("squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze")
}
for _name, _function in {**OPERATORS, **METHODS}.items():
    setattr(Tensor, _name, _function)
for _name, _function in PROPERTIES.items():
    setattr(Tensor, _name, property(_function))
