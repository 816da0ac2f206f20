"""PyTorch's `torch.backends`, for programs that set what computes on a GPU, and how precisely.

One switch does something: whether matrix products of float32, and so convolutions, may use TF32 (see
`minidl.backend.allow_tf32`); the two that PyTorch has for it are one here.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from minidl import backend


class _Products:
    """`backends.cuda.matmul`; what has no meaning here raises AttributeError, as an unknown name does in PyTorch."""

    __slots__ = ()

    @property
    def allow_tf32(self) -> bool:
        """Whether products of float32 on a GPU, and so convolutions, may round factors to 10 bits: much faster."""
        return backend.allow_tf32

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        if not isinstance(allowed, bool):
            raise RuntimeError(f"allow_tf32: expected True or False, got {allowed!r}")
        backend.allow_tf32 = allowed


cuda = SimpleNamespace(matmul=_Products())


class _Convolutions(_Products):
    """`backends.cudnn`, which is not used here: `benchmark` and `deterministic` are taken, and change nothing."""

    __slots__ = ("benchmark", "deterministic", "enabled")

    def __init__(self) -> None:
        self.enabled, self.benchmark, self.deterministic = False, False, True

    @staticmethod
    def is_available() -> bool:
        return False


cudnn = _Convolutions()

_TF32: dict[Any, bool] = {"highest": False, "high": True, "medium": True}


def set_float32_matmul_precision(precision: str) -> None:
    """Let float32 products on a GPU be exact, "highest" (the default), or use TF32: "high" or, the same, "medium".

    RuntimeError for another word.

    >>> set_float32_matmul_precision("high")
    >>> cuda.matmul.allow_tf32
    True
    >>> set_float32_matmul_precision("highest")
    """
    if precision not in _TF32:
        raise RuntimeError(f"set_float32_matmul_precision: expected one of {list(_TF32)}, got {precision!r}")
    backend.allow_tf32 = _TF32[precision]


def get_float32_matmul_precision() -> str:
    """The word "highest", or "high" if TF32 is allowed."""
    return "high" if backend.allow_tf32 else "highest"
