"""Operations of one's own in PyTorch's form: a class with `forward` and `backward`, for readers who come from there.

A Function is an op like any other (`@op` in engine.py is the shorter way to make one): its class stands in the graph
as the op, and the context of a call as its setting, which goes when the graph is freed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

from minidl.autograd import engine
from minidl.autograd.mode import mode, no_grad, set_grad_enabled
from minidl.autograd.tensor import Tensor, describe, next_order
from minidl.backend import array_module


class FunctionCtx:
    """What `forward` leaves for `backward`, the `ctx` of both: tensors that it saves, and any attributes it sets.

    - `needs_input_grad`: for each input of forward, whether its gradient is needed.
    - `saved_tensors`: in backward, what was given to `save_for_backward`.
    """

    def __init__(self, function: type[Function], inputs: Sequence[Any]) -> None:
        self._function, self._are_tensors = function, [isinstance(x, Tensor) for x in inputs]
        self.needs_input_grad = tuple(isinstance(x, Tensor) and x.tracked for x in inputs)
        self._saved: Any = ()
        self._constant: Any = ()
        self._zeros_for_none = True

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs, outputs or other tensors for backward; TypeError for what is neither a tensor nor None."""
        if wrong := [describe(x) for x in tensors if not (x is None or isinstance(x, Tensor))]:
            raise TypeError(f"save_for_backward: expected tensors or None, got {wrong[0]}: make it an attribute of ctx")
        self._saved = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Let these outputs require no gradient; backward gets zeros for them."""
        self._constant = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (unless this says otherwise) or None where no gradient came to an output."""
        self._zeros_for_none = value


class Function:
    """An operation given by static methods: `y = MyFunction.apply(x, ...)`.

    `forward(ctx, *inputs)` computes a tensor or a tuple of them, from tensors and whatever else; it is not recorded.
    `backward(ctx, *gradients)` gets a gradient for each output and returns one for each input: None for an input
    that is no tensor or needs none.  Made of operations on tensors, it can be differentiated itself.  Instead of
    taking `ctx`, forward may come with a third method, `setup_context(ctx, inputs, output)`.
    RuntimeError for gradients that do not fit in number, kind or shape.

    >>> import minidl
    >>> class Power(Function):
    ...     @staticmethod
    ...     def forward(ctx, x, n):
    ...         ctx.save_for_backward(x)
    ...         ctx.n = n
    ...         return x**n
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * ctx.n * x ** (ctx.n - 1), None
    >>> x = minidl.tensor(2.0, requires_grad=True)
    >>> Power.apply(x, 3).backward()
    >>> x.grad
    tensor(12.)
    """

    rules = engine.Together(lambda g, out, *inputs, ctx: _input_gradients(ctx, g, out))
    forward: Callable[..., Any]
    backward: Callable[..., Any]

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Compute `forward` of these inputs, and record it if one of them requires a gradient."""
        setup_context = getattr(cls, "setup_context", None)
        if setup_context:
            call = signature(cls.forward).bind(*inputs, **options)
            call.apply_defaults()
            inputs, options = call.args, call.kwargs
        ctx = FunctionCtx(cls, inputs)
        with no_grad():
            result = cls.forward(*inputs, **options) if setup_context else cls.forward(ctx, *inputs, **options)
            if setup_context:
                setup_context(ctx, inputs, result)
        return _recorded(ctx, inputs, result) if mode.recording and any(ctx.needs_input_grad) else result


# -- in the graph -------------------------------------------------------------------------------------------------


class _Together(dict[int, Any]):
    """Arrays that go through the graph as one: the outputs of a Function by place, or the gradients that reach them."""

    shape, dtype, base = (), None, None

    def __add__(self, others: _Together) -> _Together:
        return _Together(self | {place: self[place] + g if place in self else g for place, g in others.items()})


@engine.op
def output(xp, together, *, place, dtype): return together[place]
output.vjps(lambda g, out, together, place, dtype: _Together({place: g}))


def _recorded(ctx: FunctionCtx, inputs: Sequence[Any], result: Any) -> Any:
    """What forward computed, with its history: one node, and where it is a tuple a node for each output of it."""
    if not hasattr(ctx._function, "backward"):
        raise RuntimeError(f"{ctx._function.__name__}: a Function needs a static method backward to be differentiated")
    outputs = result if isinstance(result, tuple) else (result,)
    known = [isinstance(y, Tensor) and y.dtype.kind == "f" and _place(y, ctx._constant) is None for y in outputs]
    if not any(known):
        return result
    source = Tensor(outputs[known.index(True)].array)
    source.op, source.inputs, source.settings = ctx._function, tuple(inputs), {"ctx": ctx}  # type: ignore[assignment]
    source.arrays = [x.array if isinstance(x, Tensor) else x for x in inputs]
    source.tracked, source.order = True, next_order()
    # An output is saved by its place: the tensor that is returned holds the context, and must not be held by it.
    ctx._saved = [(x, None if _place(x, inputs) is not None else _place(x, outputs)) for x in ctx._saved]
    ctx._order, ctx._count, made = source.order, len(outputs), [source]
    if engine.watch is not None:
        engine.watch.result(ctx._function.__name__, source, inputs, {})
    if isinstance(result, tuple):
        source.array = _Together({place: y.array for place, y in enumerate(outputs) if isinstance(y, Tensor)})
        made = [output(source, place=i, dtype=y.dtype) if known[i] else y for i, y in enumerate(outputs)]
    for y, tensor in zip(outputs, made, strict=True):
        if tensor is not y:
            tensor.version = y.shared_version()
    return tuple(made) if isinstance(result, tuple) else source


def _place(x: Any, values: Sequence[Any]) -> int | None:
    """Where x itself stands among `values`."""
    return next((place for place, value in enumerate(values) if value is x), None)


# -- the backward pass --------------------------------------------------------------------------------------------


def _input_gradients(ctx: FunctionCtx, g: Any, out: Any) -> list[Any]:
    """What the user's backward gives for each input: arrays, or tensors where `out` is one, for they are recorded."""
    create_graph, gradients = isinstance(out, Tensor), [g]
    if isinstance(g, _Together):
        computed = out.array if create_graph else out
        blank = {i: array_module(y).zeros_like(y) for i, y in computed.items() if ctx._zeros_for_none and i not in g}
        gradients = [g.get(i, blank.get(i)) for i in range(ctx._count)]
    now = copy(ctx)  # what is unpacked for this pass goes with it
    now.saved_tensors = tuple(_unpacked(ctx, x, place, out) for x, place in ctx._saved)
    with set_grad_enabled(create_graph):
        # Others may hold the same arrays, and a backward may write to its own.
        own = [g if g is None or isinstance(g, Tensor) else Tensor(g.copy()) for g in gradients]
        answer = ctx._function.backward(now, *own)
    found, count = list(answer) if isinstance(answer, tuple) else [answer], len(ctx._are_tensors)
    fits = [gx is None or (isinstance(gx, Tensor) and i < count and ctx._are_tensors[i]) for i, gx in enumerate(found)]
    if len(found) < count or not all(fits):
        raise RuntimeError(
            f"{ctx._function.__name__}.backward must return a gradient for each of the {count} inputs of forward, a "
            f"tensor or None, and None for what is no tensor; got {', '.join(map(describe, found))}"
        )
    return [gx if gx is None or create_graph else gx.array.copy() for gx in found]


def _unpacked(ctx: FunctionCtx, x: Tensor | None, place: int | None, out: Any) -> Tensor | None:
    """The saved tensor x; if it is an output and its history counts, as a tensor that has it."""
    if x is not None and x.version is not None and x.version[0] > ctx._order:
        raise engine.changed(x, ctx._function.__name__)
    if x is None or place is None or not isinstance(out, Tensor):
        return x
    return output(out, place=place, dtype=x.dtype) if isinstance(out.array, _Together) else out


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that is not made of operations on tensors: a second derivative then raises RuntimeError."""

    @wraps(backward)
    def unrecorded(ctx: FunctionCtx, *gradients: Any) -> Any:
        with no_grad():
            found = backward(ctx, *gradients)
        return tuple(map(_final, found if isinstance(found, tuple) else (found,))) if mode.recording else found

    return unrecorded


def _final(gradient: Tensor | None) -> Tensor | None:
    """`gradient` with a history that cannot be gone through."""
    if isinstance(gradient, Tensor):
        gradient = gradient.detach().requires_grad_().clone()
        gradient.register_hook(_refuse)
    return gradient


def _refuse(_: Tensor) -> None:
    raise RuntimeError("a Function whose backward is @once_differentiable has no second derivative")
