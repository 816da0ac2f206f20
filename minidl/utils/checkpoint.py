"""Checkpoints: parts of a network that keep nothing for the backward pass, but are computed a second time there.

Memory is traded for time.  Source: T. Chen et al., "Training deep nets with sublinear memory cost" (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minidl.autograd.engine import run_backward
from minidl.autograd.function import Function
from minidl.autograd.mode import enable_grad, is_grad_enabled
from minidl.autograd.tensor import Tensor, next_order
from minidl.backend import random_stream


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, of whose graph only the ends are kept: the backward pass computes it again.

    `function` must compute the same each time; the random numbers that it draws are the same again, unless
    `preserve_rng_state` is False.  Gradients reach whatever it uses, arguments or not.  It returns a tensor, or tuples,
    lists and dictionaries of them.  `use_reentrant` changes nothing.

    >>> import minidl
    >>> w, x = minidl.tensor([1.0, 2.0], requires_grad=True), minidl.tensor([3.0, 4.0])
    >>> checkpoint(lambda x: (x * w) * w, x, use_reentrant=False).sum().backward()
    >>> w.grad
    tensor([ 6., 16.])
    """
    if not is_grad_enabled():
        return function(*args, **kwargs)
    state = random_stream().bit_generator.state if preserve_rng_state else None

    def again() -> list[Tensor]:
        with _random_numbers_from(state), enable_grad():
            return _tracked(function(*args, **kwargs))

    start = next_order()
    result = function(*args, **kwargs)
    outputs = _tracked(result)
    if not outputs:
        return result
    constants = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor) and not x.tracked]
    made = iter(Checkpoint.apply(again, [y.detach() for y in outputs], *_ends(outputs, start), *constants))
    return _mapped(lambda x: next(made) if x.tracked else x, result)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Call modules or functions, each with the output of the one before, in `segments` parts: checkpoints but the last.

    Takes a Sequential or a list, and `preserve_rng_state` as `checkpoint` does.

    >>> import minidl
    >>> checkpoint_sequential([minidl.sqrt, minidl.square, minidl.floor], 3, minidl.tensor([4.0]))
    tensor([4.])
    """
    functions = list(functions)
    size = len(functions) // segments

    def run(start: int, end: int | None, value: Any) -> Any:
        for function in functions[start:end]:
            value = function(value)
        return value

    for start in range(0, size * (segments - 1), size):
        input = checkpoint(run, start, start + size, input, use_reentrant=use_reentrant, **kwargs)
    return run(size * (segments - 1), None, input)


class Checkpoint(Function):
    """The op that stands for what a function did: inputs are all tensors from before on which its outputs depend."""

    @staticmethod
    def forward(ctx: Any, again: Callable[[], list[Tensor]], values: list[Tensor], *inputs: Tensor) -> Any:
        ctx.again = again
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)
        outputs = tuple(values)
        ctx.shapes = [y.shape for y in outputs]
        values.clear()  # the node keeps its arguments: outputs among them could not be changed in place
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        inputs, create_graph, start = ctx.saved_tensors, is_grad_enabled(), next_order()
        outputs = ctx.again()
        if (came := [y.shape for y in outputs]) != ctx.shapes:
            raise RuntimeError(f"checkpoint: the function computed the shapes {ctx.shapes} at first and {came} now")
        known = [(y, g) for y, g in zip(outputs, gradients, strict=True) if g is not None]
        roots, upstream = [y for y, _ in known], [g for _, g in known]
        found = run_backward(roots, upstream, create_graph=create_graph, wanted=inputs, since=start)
        slopes = [found.get(x) for x in inputs]
        return None, None, *(Tensor(g) if g is not None and not create_graph else g for g in slopes)


def _ends(outputs: list[Tensor], start: int) -> list[Tensor]:
    """The tensors older than `start` on which the outputs depend: there the graph that is computed again will end."""
    ends, seen, stack = [], set(), list(outputs)
    while stack:
        x = stack.pop()
        if x in seen or not x.tracked:
            continue
        seen.add(x)
        if x.op is None or x.order < start:
            ends.append(x)
        else:
            stack.extend(y for y in x.inputs or () if isinstance(y, Tensor))
    return ends


@contextmanager
def _random_numbers_from(state: Any) -> Iterator[None]:
    """Draw the random numbers that follow on `state` (unless it is None), and then go on as if nothing had been."""
    generator = random_stream().bit_generator
    before = generator.state
    if state is not None:
        generator.state = state
    try:
        yield
    finally:
        if state is not None:
            generator.state = before


def _mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """`value` with the tensors in its tuples, lists and dictionaries replaced by what `function` makes of them."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {name: _mapped(function, x) for name, x in value.items()}
    if isinstance(value, (tuple, list)):
        return getattr(type(value), "_make", type(value))(_mapped(function, x) for x in value)
    return value


def _tracked(value: Any) -> list[Tensor]:
    """The tensors in it that require a gradient."""
    found: list[Tensor] = []
    _mapped(lambda x: found.append(x) if x.tracked else None, value)
    return found
