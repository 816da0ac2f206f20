"""What is put in the place of parts of minidl and NumPy while a step is being recorded, and taken away afterwards.

Other threads see no difference: whatever stands here hands their calls on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from minidl import backend, nn, optim
from minidl.autograd import Tensor
from minidl.nn.utils import gradients
from minidl.optim.schedule import LRScheduler
from minidl.replay.notes import LOCK, Notes, Replacement, inside
from minidl.replay.recorder import plain
from minidl.replay.traced import recorders

_TAKING = ("numpy", "__array__", "__dlpack__", "__reduce__")  # what hands out the array of a tensor
_TAKEN = "it takes an array out of a tensor: return the tensor, and look at it after the step"
_ARRAY, _GRAD = vars(Tensor)["array"], vars(Tensor)["grad"]  # the slots


@contextmanager
def recording(recorder: Notes, scope: dict[str, Any]) -> Iterator[None]:
    """`recorder` hears what this thread does in the block; `scope` are the global names of the step."""
    backend.default_generator()  # it is made when first asked for, which is not to happen in the step
    with LOCK, ExitStack() as undo:
        for owner, name, value in [*_replacements(recorder, scope), *recorder.replacements()]:
            _put(undo, owner, name, value)
        undo.callback(recorders.pop)
        recorders.append(recorder)
        recorder.active = True
        try:
            with recorder.running():
                yield
        finally:
            recorder.active = False


def _put(undo: ExitStack, owner: Any, name: Any, value: Any) -> None:
    """Put `value` in the place of that attribute, or that entry of a dictionary, until `undo` ends."""
    there: Any = owner if isinstance(owner, dict) else vars(owner)
    put: Any = owner.__setitem__ if there is owner else partial(setattr, owner)
    take: Any = owner.__delitem__ if there is owner else partial(delattr, owner)
    if name in there:
        undo.callback(put, name, there[name])
    else:
        undo.callback(take, name)
    put(name, value)


def _replacements(recorder: Notes, scope: dict[str, Any]) -> Iterator[Replacement]:
    yield Tensor, "array", _array_property(recorder)
    yield Tensor, "grad", _grad_property(recorder)
    for name in _TAKING:
        yield Tensor, name, _taking(recorder, vars(Tensor)[name])
    yield Tensor, "mark_changed", _marking(recorder, Tensor.mark_changed)
    yield backend.Generator, "numpy", _stream_property(recorder)
    yield nn.Module, "__call__", _calling(recorder, nn.Module.__call__)
    yield nn.Module, "zero_grad", _forgetting(recorder, nn.Module.zero_grad)
    yield optim.Optimizer, "zero_grad", _forgetting(recorder, optim.Optimizer.zero_grad)
    for base in (optim.Optimizer, LRScheduler):
        for kind in (base, *_below(base)):
            if "step" in vars(kind):
                yield kind, "step", _as_it_is(recorder, vars(kind)["step"])
    clip = gradients.clip_grad_norm_
    for names in (vars(nn.utils), vars(gradients), scope):
        for name in [name for name, value in names.items() if value is clip]:
            yield names, name, _clipping(recorder, clip)


def _below(kind: Any) -> Iterator[Any]:
    """All subclasses."""
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def _array_property(recorder: Notes) -> property:
    def get(x: Tensor) -> Any:
        array = _ARRAY.__get__(x)
        if not recorder.listening():
            return array
        if not inside(sys._getframe(1)):
            recorder.refuse(_TAKEN)
        elif recorder.answer_of(x) is not None:
            recorder.refuse("it computes with what a call such as clip_grad_norm_ returned: return that as it is, and "
                            "compute with it after the step")  # fmt: skip
        else:
            return recorder.shown(x, array)
        return array

    def put(x: Tensor, array: Any) -> None:
        if recorder.listening() and id(x) not in recorder.tensors:
            if _has(_ARRAY, x):
                recorder.refuse("it gives other memory to a tensor made before")
            recorder.born(x)
        _ARRAY.__set__(x, plain(array))

    return property(get, put)


def _grad_property(recorder: Notes) -> property:
    def get(x: Tensor) -> Any:
        grad = _GRAD.__get__(x)
        known = recorder.graded.keys() | recorder.tensors.keys() | recorder.entering.keys()
        if recorder.listening() and id(x) not in known:
            if grad is not None:  # the next step will find another one here: from now on its numbers are copied
                recorder.before.setdefault(id(x), (x, grad))
                grad = recorder.entered(grad)
                _GRAD.__set__(x, grad)
            recorder.entering[id(x)] = (x, grad)
        return grad

    def put(x: Tensor, grad: Tensor | None) -> None:
        if recorder.listening() and id(x) not in recorder.tensors:
            recorder.before.setdefault(id(x), (x, _GRAD.__get__(x)))
            recorder.graded[id(x)] = x
            recorder.note("grad", None, (x, grad), {}, None, "grad")
        _GRAD.__set__(x, grad)

    return property(get, put)


def _taking(recorder: Notes, take: Any) -> Any:
    def taking(x: Tensor, *inputs: Any, **words: Any) -> Any:
        if not recorder.listening():
            return take(x, *inputs, **words)
        recorder.refuse(_TAKEN)
        with recorder.unheard():
            return take(x, *inputs, **words)

    return taking


def _has(slot: Any, x: Tensor) -> bool:
    try:
        slot.__get__(x)
    except AttributeError:
        return False
    return True


def _stream_property(recorder: Notes) -> property:
    def get(generator: backend.Generator) -> Any:
        return recorder.stream(generator) if recorder.listening() else vars(generator)["numpy"]

    def put(generator: backend.Generator, stream: Any) -> None:
        recorder.refuse("it seeds random numbers")
        vars(generator)["numpy"] = stream

    return property(get, put)


def _marking(recorder: Notes, mark_changed: Any) -> Any:
    def marking(x: Tensor) -> None:
        if recorder.listening():
            if id(x) in recorder.tensors:
                recorder.changed(x)
            else:
                recorder.note("outside", mark_changed, (x,), {}, None)
        mark_changed(x)

    return marking


def _calling(recorder: Notes, call: Any) -> Any:
    def calling(module: nn.Module, *inputs: Any, **options: Any) -> Any:
        if recorder.listening():
            recorder.modules[id(module)] = module
            recorder.counts.watch(type(module).__name__, module)
            if module._hooked:
                recorder.refuse(f"{type(module).__name__} has hooks")
        return call(module, *inputs, **options)

    return calling


def _forgetting(recorder: Notes, zero_grad: Any) -> Any:
    def forgetting(owner: Any, set_to_none: bool = True) -> None:
        if not (recorder.listening() and set_to_none):
            return zero_grad(owner, set_to_none)
        groups = owner.param_groups if hasattr(owner, "param_groups") else [{"params": owner.parameters()}]
        for p in [p for group in groups for p in group["params"]]:
            p.grad = None

    return forgetting


def _as_it_is(recorder: Notes, step: Any) -> Any:
    return lambda owner, *inputs, **words: recorder.outside(step, owner, *inputs, **words)


def _clipping(recorder: Notes, clip: Any) -> Any:
    def clipping(parameters: Any, *inputs: Any, **words: Any) -> Any:
        given = parameters if isinstance(parameters, Tensor) else list(parameters)
        return recorder.outside(clip, given, *inputs, **words)

    return clipping
