"""Which part of a program computed a tensor: a module while it is recorded, or any block of lines that was named.

Tensors are numbered in the order in which they are made, so a part is an interval of numbers: nothing is noted in a
tensor, and an op costs nothing more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from minidl.autograd.tensor import Tensor, next_order
from minidl.nn import Module
from minidl.study.measuring import expect


class Part(NamedTuple):
    """A block of lines that ran: its tensors are those of an `order` between `start` and `end`."""

    name: str
    kind: str  # the class of a module
    start: int
    end: int
    given: frozenset[int]  # the ids of the tensors that it was given
    result: int = 0  # the order of the first tensor that a module returned


parts: deque[Part] = deque(maxlen=100_000)  # the latest: words and numbers, which keep no tensor alive


@contextmanager
def part(name: str, kind: str = "", given: tuple[Any, ...] = ()) -> Iterator[list[Any]]:
    """Give the operations of a `with` block a name, under which pictures of the graph group them.

    >>> import minidl
    >>> from minidl import study
    >>> x = minidl.tensor(2.0, requires_grad=True)
    >>> with study.part("square"):
    ...     y = x * x
    """
    start, returned = next_order(), list[Any]()
    try:
        yield returned
    finally:
        tensors = frozenset(id(x) for x in given if isinstance(x, Tensor))
        result = next((x.order for x in returned if isinstance(x, Tensor)), 0)
        parts.append(Part(name, kind, start, next_order(), tensors, result))


@contextmanager
def record(model: Module) -> Iterator[None]:
    """Let the graphs that are made in a `with` block know which module of `model` computed what.

    Parameters without a name are given their paths as names.  Afterwards the modules are as they were.

    >>> import minidl
    >>> from minidl import nn, study
    >>> model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    >>> with study.record(model):
    ...     y = model(minidl.ones(1, 3)).sum()
    >>> [group.title for group in study.draw_graph(y).graph.root.groups()]
    ['Sequential', '0 (Linear)']
    """
    expect(Module, model, "record")
    for path, parameter in model.named_parameters():
        parameter.name = parameter.name or path
    called = [(path, module) for path, module in model.named_modules() if hasattr(module, "forward")]  # lists are not
    before = [(module, vars(module).get("forward")) for _, module in called]
    for path, module in called:
        vars(module)["forward"] = partial(_run, module.forward, path, type(module).__name__)
    try:
        yield
    finally:
        for module, forward in before:
            vars(module).pop("forward")
            if forward is not None:
                vars(module)["forward"] = forward


def _run(forward: Callable[..., Any], path: str, kind: str, *inputs: Any, **options: Any) -> Any:
    with part(path, kind, (*inputs, *options.values())) as returned:
        output = forward(*inputs, **options)
        returned += output if isinstance(output, (tuple, list)) else [output]
        return output
