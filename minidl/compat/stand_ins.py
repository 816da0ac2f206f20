"""What PyTorch has and minidl has no use for, but scripts call: types of tensors, Variable, switches, mixed precision.

Each does here what PyTorch's does on one device in the precision of the tensors, which is mostly nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ContextDecorator
from typing import Any

import numpy as np

import minidl
from minidl.autograd import Tensor
from minidl.nn import Module
from minidl.optim import Optimizer

# -- PyTorch's types of tensors --------------------------------------------------------------------------------------


class TensorType(type):
    """torch.Tensor, torch.LongTensor, ...: minidl's Tensor to isinstance() and ==, PyTorch's old constructors to calls.

    `dtype` is what a constructor makes, `device` where; `exact` is whether isinstance() asks for these.
    """

    dtype: np.dtype[Any]
    device: str
    exact: bool

    def __instancecheck__(cls, x: Any) -> bool:
        fits = isinstance(x, Tensor) and (not cls.exact or (x.dtype == cls.dtype and x.device.type == cls.device))
        return bool(fits)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, Tensor)

    def __eq__(cls, kind: object) -> bool:  # type(x) == torch.Tensor
        return kind is cls or (kind is Tensor and not cls.exact)

    def __hash__(cls) -> int:
        return hash(Tensor)

    def __getattr__(cls, name: str) -> Any:
        return getattr(Tensor, name)


def _constructed(cls: Any, *arguments: Any) -> Tensor:
    """A tensor of zeros of these sizes, or one of the data in lists, an array or a tensor."""
    if all(isinstance(n, int) for n in arguments):
        return minidl.zeros(arguments or (0,), dtype=cls.dtype, device=cls.device)
    if len(arguments) > 1 or not isinstance(arguments[0], Sequence | np.ndarray | Tensor):
        raise TypeError(f"torch.{cls.__name__}(...) takes sizes, or one sequence of data: use torch.tensor")
    return minidl.tensor(arguments[0], dtype=cls.dtype, device=cls.device)


def _type(name: str, dtype: str, device: str = "cpu", exact: bool = True) -> TensorType:
    return TensorType(name, (), {"__new__": _constructed, "dtype": np.dtype(dtype), "device": device, "exact": exact})


_DTYPES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "LongTensor": "int64",
    "IntTensor": "int32", "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8", "BoolTensor": "bool",
}  # fmt: skip
tensor_types = {name: _type(name, dtype) for name, dtype in _DTYPES.items()}
tensor_types["Tensor"] = _type("Tensor", "float32", exact=False)
cuda_tensor_types = {name: _type(name, dtype, "cuda") for name, dtype in _DTYPES.items()}


def _variable(cls: Any, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    return data.detach().requires_grad_(requires_grad)


Variable = TensorType("Variable", (), {"__new__": _variable, "dtype": np.dtype("float32"), "exact": False})


class GradFn:
    """`tensor.grad_fn`: the op that computed a tensor, and what computed its inputs."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    @property
    def next_functions(self) -> tuple[tuple[GradFn | None, int], ...]:
        """For each input that is a tensor, its own GradFn, None where it needs no gradient; () for a leaf."""
        inputs = [x for x in self._tensor.inputs or () if isinstance(x, Tensor)]
        return tuple((GradFn(x) if x.requires_grad else None, 0) for x in inputs)

    def name(self) -> str:
        """The name of the op, or "AccumulateGrad" for a leaf."""
        return self._tensor.op.__name__ if self._tensor.op else "AccumulateGrad"

    def __repr__(self) -> str:
        return f"<{self.name()}>"


# What tensors and modules have besides, once minidl stands in the place of torch.
ATTRIBUTES: dict[type, dict[str, Any]] = {
    Tensor: {
        "grad_fn": property(lambda x: None if x.op is None else GradFn(x)),
        "get_device": lambda x: (x.device.index or 0) if x.is_cuda else -1,
        "share_memory_": lambda x: x,
    },
    Module: {"share_memory": lambda module: module},
}


class Generator(minidl.Generator):
    """PyTorch's constructor, which takes a device; numbers are drawn on the host."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()
        self.device = minidl.device(device)

    def get_state(self) -> Tensor:
        """The place in the stream, as a tensor of bytes."""
        return Tensor(super().get_state())


# -- switches --------------------------------------------------------------------------------------------------------


def nothing(*arguments: Any, **options: Any) -> None:
    """A switch of PyTorch's that changes nothing here."""


def no(*arguments: Any) -> bool:
    """Something that is not there."""
    return False


def itself(model: Any = None, **options: Any) -> Any:
    """torch.compile(model), also as a decorator with options: minidl needs no other form of it."""
    return model if model is not None else itself


def switches() -> dict[str, Any]:
    """Those of torch.backends.cudnn and its like."""
    return dict(enabled=False, deterministic=False, benchmark=False, allow_tf32=False, is_available=no, is_built=no)


def accelerator(check_available: bool = False) -> Any:
    """The GPU, or None."""
    return minidl.device("cuda") if minidl.cuda.is_available() else None


def set_default_device(device: Any) -> None:
    """Tensors are made on the CPU unless they are told otherwise; RuntimeError for any other default."""
    if minidl.device(device) != "cpu":
        raise RuntimeError(f'minidl makes tensors on the CPU by default: give device="{device}" where they are made')


class Lacking:
    """Something that scripts import, list or ask isinstance() for, though they may not use it: that is what fails."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        raise RuntimeError(f"minidl has no {self.path}: it computes in one process")

    def __instancecheck__(self, x: Any) -> bool:
        return False

    def __repr__(self) -> str:
        return f"{self.path}, which minidl does not have"


def lacking(module: str, *names: str) -> dict[str, Lacking]:
    """The `names` of a module that are lacking."""
    return {name: Lacking(f"{module}.{name}") for name in names}


# -- mixed precision -------------------------------------------------------------------------------------------------


class autocast(ContextDecorator):
    """A block in which PyTorch computes in a smaller dtype; here, in that of the tensors."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class GradScaler:
    """PyTorch's scaler of losses in float16, which are not scaled here."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def scale(self, outputs: Any) -> Any:
        """The loss as it is."""
        return outputs

    def step(self, optimizer: Optimizer, *arguments: Any, **options: Any) -> Any:
        """A step of the optimizer."""
        return optimizer.step(*arguments, **options)

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    unscale_ = update = load_state_dict = nothing
    is_enabled = no
