"""The Parameter, a tensor that is learned.

What makes it one is its class: a module finds the Parameters among its attributes.
"""

from __future__ import annotations

from typing import Any

from minidl import backend
from minidl.autograd import Tensor
from minidl.functional.creation import zeros


class Parameter(Tensor):
    """A tensor that belongs to its module's parameters when it is an attribute of one, and requires a gradient.

    It lies on the memory of `data`, a Tensor or an array, and is empty without it; TypeError for anything else.

    >>> import minidl
    >>> Parameter(minidl.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        data = zeros(0) if data is None else data
        if isinstance(data, Tensor):
            super().__init__(data.array, requires_grad)
            self.version = data.shared_version()
        elif type(data) in backend.modules:
            super().__init__(data, requires_grad)
        else:
            raise TypeError(
                f"Parameter: expected a Tensor or an array, got {type(data).__name__}: make one with minidl.tensor(...)"
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A copy without the gradient, as in PyTorch: a copied network starts without any."""
        copy = super().__deepcopy__(memo)
        copy.grad = None
        return copy

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
