"""Hooks of a module: functions that see what goes through it, forward and backward, and may put something else there.

`Module` inherits them from here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from minidl.autograd import Function, Tensor, is_grad_enabled
from minidl.autograd.hooks import RemovableHandle


class Hook(NamedTuple):
    """A forward hook, whether it sees the keyword arguments, and whether it is called after an error, too."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


def _no_forward(module: Hooked, *inputs: Any, **options: Any) -> Any:
    raise RuntimeError(f"{type(module).__name__} does not say what it computes: define forward(self, ...)")


class Hooked:
    """What has a `forward`, and hooks around it; each registration returns a handle with which to take it away.

    With `prepend` a hook comes before those that are there.
    """

    forward: Callable[..., Any] = _no_forward
    _hooked: bool = False

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, inputs)` before each forward pass; what it returns, if not None, replaces the inputs.

        With `with_kwargs` it is `hook(module, inputs, options)`, options being the keyword arguments, and returns None
        or both.
        """
        return RemovableHandle(self._hooks("_forward_pre_hooks"), Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, inputs, output)` after each forward pass; its result, if not None, is the output.

        With `with_kwargs` it is `hook(module, inputs, options, output)`; with `always_call` it is called even if
        forward fails, the output then being None.

        >>> from minidl import nn, ones
        >>> layer = nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, inputs, output: print(output.shape))
        >>> _ = layer(ones(2, 3))
        (2, 3)
        >>> handle.remove()
        """
        return RemovableHandle(self._hooks("_forward_hooks"), Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients at the outputs are known.

        They come as a tuple with None for an output that is no tensor or has no gradient; what the hook returns, if
        not None, goes on in their place.
        """
        return RemovableHandle(self._hooks("_backward_pre_hooks"), hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients at the inputs are known.

        Both are tuples, with None for what is no tensor; inputs are those given by position.  What the hook returns,
        if not None, goes on in place of `grad_input`.  A module of whose inputs none requires a gradient calls it
        with None for each.  Inputs and outputs of a module with such hooks cannot be changed in place.

        >>> from minidl import nn, ones
        >>> layer = nn.Tanh()
        >>> handle = layer.register_full_backward_hook(lambda module, gx, gy: (gx[0] * 2,))
        >>> x = ones(1, requires_grad=True) * 0
        >>> x.retain_grad()
        >>> layer(x).backward()
        >>> x.grad
        tensor([2.])
        """
        return RemovableHandle(self._hooks("_backward_hooks"), hook, prepend)

    def _hooks(self, kind: str) -> dict[Any, Any]:
        self._hooked = True
        return vars(self).setdefault(kind, {})

    def _forward_with_hooks(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        waiting, output = list(self._hooks("_forward_hooks").values()), None
        try:
            for hook in list(self._hooks("_forward_pre_hooks").values()):
                inputs, options = _before(self, hook, inputs, options)
            gradients = BackwardHooks(self)
            inputs = gradients.watch_inputs(inputs)
            output = self.forward(*inputs, **options)
            while waiting:
                output = _after(self, waiting.pop(0), inputs, options, output)
            return gradients.watch_outputs(output)
        except Exception:
            for hook in waiting:
                if hook.always_call:
                    output = _after_error(self, hook, inputs, options, output)
            raise


def _before(module: Hooked, hook: Hook, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Inputs and keyword arguments as the hook leaves them."""
    if not hook.with_kwargs:
        answer = hook.function(module, inputs)
        return (inputs if answer is None else answer if isinstance(answer, tuple) else (answer,)), options
    answer = hook.function(module, inputs, options)
    if answer is not None and not (isinstance(answer, tuple) and len(answer) == 2):
        raise RuntimeError(f"a forward pre-hook with_kwargs must return None or (inputs, options), got {answer!r}")
    return answer or (inputs, options)


def _after(module: Hooked, hook: Hook, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> Any:
    """The output as the hook leaves it."""
    given = (inputs, options, output) if hook.with_kwargs else (inputs, output)
    answer = hook.function(module, *given)
    return output if answer is None else answer


def _after_error(module: Hooked, hook: Hook, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> Any:
    try:
        return _after(module, hook, inputs, options, output)
    except Exception as error:  # the first error is the one to be told
        warnings.warn(f"a forward hook failed after another error: {error!r}", stacklevel=2)
        return output


# -- backward -----------------------------------------------------------------------------------------------------


class BackwardHooks:
    """The backward hooks of a module in one of its calls, which wait at two places of the graph: inputs and outputs."""

    def __init__(self, module: Hooked) -> None:
        self.module = module
        self.count = 0  # of the inputs
        self.reaches_inputs = False
        self.grad_output: tuple[Any, ...] | None = None  # in a backward pass, until the inputs are reached

    def watch_inputs(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs, on whose gradients the hooks wait."""
        if not self.module._hooks("_backward_hooks"):
            return inputs
        self.count = len(inputs)
        watched = _watched(inputs, self._at_inputs, zeros_for_none=True)
        self.reaches_inputs = watched is not inputs
        return watched

    def watch_outputs(self, output: Any) -> Any:
        """The output, a tensor or a tuple, on whose gradients the hooks wait."""
        if not (self.module._hooks("_backward_hooks") or self.module._hooks("_backward_pre_hooks")):
            return output
        outputs = output if isinstance(output, tuple) else (output,)
        watched = _watched(outputs, self._at_outputs, zeros_for_none=False)
        return watched if isinstance(output, tuple) else watched[0]

    def _at_outputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.module._hooks("_backward_pre_hooks").values()):
            gradients = _replaced(gradients, hook(self.module, gradients))
        self.grad_output = gradients
        if not self.reaches_inputs:
            answer = self._at_inputs((None,) * self.count)
            if any(g is not None for g in answer):
                raise RuntimeError("a backward hook cannot replace gradients of inputs that require none: return None")
        return gradients

    def _at_inputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_output is None:  # they did not come through the outputs: a gradient is being differentiated
            return gradients
        for hook in list(self.module._hooks("_backward_hooks").values()):
            gradients = _replaced(gradients, hook(self.module, gradients, self.grad_output))
        self.grad_output = None
        return gradients


def _replaced(gradients: tuple[Any, ...], answer: Any) -> tuple[Any, ...]:
    """What a hook made of the gradients."""
    answer = (answer,) if isinstance(answer, Tensor) else gradients if answer is None else answer
    if not isinstance(answer, tuple) or len(answer) != len(gradients):
        came = f"a tuple of {len(answer)}" if isinstance(answer, tuple) else type(answer).__name__
        raise RuntimeError(f"a backward hook must return None or a tuple of {len(gradients)} gradients, got {came}")
    return answer


def _watched(values: tuple[Any, ...], see: Callable[..., Any], zeros_for_none: bool) -> tuple[Any, ...]:
    """The values, the tensors among them such that `see` is called with their gradients, which it may replace."""
    places = [place for place, x in enumerate(values) if isinstance(x, Tensor)]
    if not (is_grad_enabled() and any(values[place].requires_grad for place in places)):
        return values

    def see_tensors(*gradients: Any) -> Any:
        found = dict(zip(places, gradients, strict=True))
        answer = see(tuple(found.get(place) for place in range(len(values))))
        return [answer[place] for place in places]

    passed = PassedOn.apply(see_tensors, zeros_for_none, *(values[place] for place in places))
    found = dict(zip(places, passed, strict=True))
    return tuple(found.get(place, x) for place, x in enumerate(values))


class PassedOn(Function):
    """The identity on several tensors, with a function that sees all their gradients at once and may replace them."""

    @staticmethod
    def forward(ctx: Any, see: Callable[..., Any], zeros_for_none: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.see = see
        ctx.set_materialize_grads(zeros_for_none)
        ctx.mark_non_differentiable(*(x for x in tensors if not x.requires_grad))
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None, None, *ctx.see(*gradients)
