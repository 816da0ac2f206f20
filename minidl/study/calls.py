"""Following a program from outside: what is replaced while a block runs, and which module is at work in it.

A tensor of a graph is known by its number, so that the backward pass, too, can be told to which module it belongs.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import get_ident
from typing import Any

from minidl.autograd.tensor import next_order
from minidl.nn import Module
from minidl.optim import Optimizer


def replace(undo: ExitStack, owner: Any, name: str, new: Any) -> None:
    """Put `new` in the place of an attribute, until `undo` is closed.

    >>> with ExitStack() as undo:
    ...     replace(undo, Module, "training", "for once")
    ...     Module.training
    'for once'
    >>> Module.training
    True
    """
    own = getattr(owner, "__dict__", {})  # where a static method is still one
    undo.callback(setattr, owner, name, own[name] if name in own else getattr(owner, name))
    setattr(owner, name, new)


def replace_steps(undo: ExitStack, wrapped: Callable[[Any], Any]) -> None:
    """Wrap the `step` of every class of optimizers that has one of its own, until `undo` is closed."""
    for kind in dict.fromkeys(_kinds(Optimizer)):
        if "step" in vars(kind):
            replace(undo, kind, "step", wrapped(vars(kind)["step"]))


def _kinds(kind: type[Optimizer]) -> Iterator[type[Optimizer]]:
    """A class and all below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)


class Calls:
    """In a `with` block: `running`, the modules that are being called, outermost first, and `at` for later.

    Only the thread that began the block is followed; in it, `here` is true.

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
        self._undo = ExitStack()
        self._orders, self._modules = [0], [self.running]  # from that order on, those modules were at work

    def __enter__(self) -> Calls:
        original, calls = Module.__call__, self

        def __call__(module: Module, *inputs: Any, **options: Any) -> Any:  # the name that error messages look for
            if not calls.here:
                return original(module, *inputs, **options)
            around = calls.running
            calls._enter((*around, module))
            try:
                output = original(module, *inputs, **options)
                calls.returned(module, output)
                return output
            finally:
                calls._enter(around)

        self._thread = get_ident()
        replace(self._undo, Module, "__call__", __call__)
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()

    @property
    def here(self) -> bool:
        """Whether it is the thread that is followed which asks."""
        return get_ident() == self._thread

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
