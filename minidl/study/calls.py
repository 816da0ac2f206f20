"""Which module is at work: while a block runs, the calls of all modules are followed from outside.

A tensor of a graph is known by its number, so that the backward pass, too, can be told to which module it belongs.
"""

from __future__ import annotations

from bisect import bisect
from typing import Any

from minidl.autograd.tensor import next_order
from minidl.nn import Module


class Calls:
    """In a `with` block: `running`, the modules that are being called, outermost first, and `at` for later.

    >>> import minidl
    >>> from minidl import nn
    >>> model, x = nn.Sequential(nn.Linear(3, 2), nn.Tanh()), minidl.zeros(1, 3)
    >>> with Calls() as calls:
    ...     y = model(x)
    >>> calls.at(y.order) == (model, model[1]), calls.running
    (True, ())
    """

    def __init__(self) -> None:
        self.running = tuple[Module, ...]()
        self._orders, self._modules = [0], [self.running]  # from that order on, those modules were at work

    def __enter__(self) -> Calls:
        original, calls = Module.__call__, self

        def __call__(module: Module, *inputs: Any, **options: Any) -> Any:  # the name that error messages look for
            around = calls.running
            calls._enter((*around, module))
            try:
                output = original(module, *inputs, **options)
                calls.returned(module, output)
                return output
            finally:
                calls._enter(around)

        self._original = original
        Module.__call__ = __call__  # type: ignore[assignment, method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        Module.__call__ = self._original  # type: ignore[method-assign]

    def _enter(self, modules: tuple[Module, ...]) -> None:
        self.running = modules
        self._orders.append(next_order())
        self._modules.append(modules)

    def returned(self, module: Module, output: Any) -> None:
        """Called when a module has computed its output."""

    def at(self, order: int) -> tuple[Module, ...]:
        """The modules that were at work, outermost first, when the tensor of that `order` was computed."""
        return self._modules[bisect(self._orders, order) - 1]


def titles(model: Module) -> dict[Module, str]:
    """How tables call a module and those in it, each by its path and class: "0 (Linear)", and the outermost "Net"."""
    kinds = {module: type(module).__name__ for module in model.modules()}
    return {module: f"{path} ({kinds[module]})" if path else kinds[module] for path, module in model.named_modules()}
