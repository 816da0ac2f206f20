"""What is put in the place of parts of minidl and NumPy while a step is being recorded, and taken away afterwards.

Other threads see no difference: whatever stands here hands their calls on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from minidl import backend, nn, optim
from minidl.autograd import Tensor
from minidl.nn.utils import gradients
from minidl.optim.schedule import LRScheduler
from minidl.replay.recorder import LOCK, Recorder, plain
from minidl.replay.traced import Stream, Traced, recorders

_ARRAY, _GRAD = vars(Tensor)["array"], vars(Tensor)["grad"]  # the slots
_CREATING = ("zeros", "ones", "empty", "full", "arange", "eye", "array", "asarray", "ascontiguousarray")

_PARTS = ("minidl.autograd.", "minidl.ops.", "minidl.functional.", "minidl.nn.")

Replacement = tuple[Any, str, Any]  # owner, name of the attribute, what stands there for a while


@contextmanager
def recording(scope: dict[str, Any]) -> Iterator[Recorder]:
    """A Recorder that hears what this thread does in the block; `scope` are the global names of the step."""
    recorder = Recorder()
    with LOCK, ExitStack() as undo:
        for owner, name, value in _replacements(recorder, scope):
            if isinstance(owner, dict):
                undo.callback(owner.__setitem__, name, owner[name])
                owner[name] = value
            else:
                if name in vars(owner):
                    undo.callback(setattr, owner, name, vars(owner)[name])
                else:
                    undo.callback(delattr, owner, name)
                setattr(owner, name, value)
        undo.callback(backend.modules.pop, Traced)
        backend.modules[Traced] = np
        undo.callback(recorders.pop)
        recorders.append(recorder)
        recorder.active = True
        try:
            yield recorder
        finally:
            recorder.active = False


def _replacements(recorder: Recorder, scope: dict[str, Any]) -> Iterator[Replacement]:
    yield Tensor, "array", _array_property(recorder)
    yield Tensor, "grad", _grad_property(recorder)
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
    for name in _CREATING:
        yield np, name, _creating(recorder, getattr(np, name))
    yield np.lib.stride_tricks, "as_strided", _striding(recorder, np.lib.stride_tricks.as_strided)


def _below(kind: Any) -> Iterator[Any]:
    """All subclasses."""
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def _array_property(recorder: Recorder) -> property:
    def get(x: Tensor) -> Any:
        array = _ARRAY.__get__(x)
        if not recorder.listening():
            return array
        if type(array) is not np.ndarray:
            recorder.refuse("it uses tensors on a GPU")
            return array
        if id(x) not in recorder.tensors:
            recorder.leaves.setdefault(id(x), (x, array))
        return recorder.traced(array)

    def put(x: Tensor, array: Any) -> None:
        if recorder.listening() and id(x) not in recorder.tensors:
            if _has(_ARRAY, x):
                recorder.refuse("it gives other memory to a tensor made before")
            recorder.tensors[id(x)] = x
        _ARRAY.__set__(x, plain(array))

    return property(get, put)


def _grad_property(recorder: Recorder) -> property:
    def get(x: Tensor) -> Any:
        grad = _GRAD.__get__(x)
        known = recorder.graded.keys() | recorder.tensors.keys() | recorder.entering.keys()
        if recorder.listening() and id(x) not in known:
            if grad is not None:  # the next step will find another one here: from now on its numbers are copied
                with recorder.unheard():
                    grad = Tensor(grad.array.copy(order="K"))
                recorder.tensors[id(grad)] = grad
                recorder.made[id(_ARRAY.__get__(grad))] = _ARRAY.__get__(grad)
                _GRAD.__set__(x, grad)
            recorder.entering[id(x)] = (x, grad)
        return grad

    def put(x: Tensor, grad: Tensor | None) -> None:
        if recorder.listening() and id(x) not in recorder.tensors:
            recorder.graded[id(x)] = x
            recorder.note("grad", None, (x, grad), {}, None, "grad")
        _GRAD.__set__(x, grad)

    return property(get, put)


def _has(slot: Any, x: Tensor) -> bool:
    try:
        slot.__get__(x)
    except AttributeError:
        return False
    return True


def _stream_property(recorder: Recorder) -> property:
    def get(generator: backend.Generator) -> Any:
        return Stream(recorder, generator) if recorder.listening() else vars(generator)["numpy"]

    def put(generator: backend.Generator, stream: Any) -> None:
        recorder.refuse("it seeds random numbers")
        vars(generator)["numpy"] = stream

    return property(get, put)


def _marking(recorder: Recorder, mark_changed: Any) -> Any:
    def marking(x: Tensor) -> None:
        if recorder.listening() and id(x) not in recorder.tensors:
            recorder.note("outside", mark_changed, (x,), {}, None)
        mark_changed(x)

    return marking


def _calling(recorder: Recorder, call: Any) -> Any:
    def calling(module: nn.Module, *inputs: Any, **options: Any) -> Any:
        if recorder.listening():
            recorder.modules[id(module)] = module
            if module._hooked:
                recorder.refuse(f"{type(module).__name__} has hooks")
        return call(module, *inputs, **options)

    return calling


def _forgetting(recorder: Recorder, zero_grad: Any) -> Any:
    def forgetting(owner: Any, set_to_none: bool = True) -> None:
        if not (recorder.listening() and set_to_none):
            return zero_grad(owner, set_to_none)
        groups = owner.param_groups if hasattr(owner, "param_groups") else [{"params": owner.parameters()}]
        for p in [p for group in groups for p in group["params"]]:
            p.grad = None

    return forgetting


def _as_it_is(recorder: Recorder, step: Any) -> Any:
    return lambda owner, *inputs, **words: recorder.outside(step, owner, *inputs, **words)


def _clipping(recorder: Recorder, clip: Any) -> Any:
    def clipping(parameters: Any, *inputs: Any, **words: Any) -> Any:
        given = parameters if isinstance(parameters, Tensor) else list(parameters)
        return recorder.outside(clip, given, *inputs, **words)

    return clipping


def _creating(recorder: Recorder, create: Any) -> Callable[..., Any]:
    def creating(*inputs: Any, **words: Any) -> Any:
        heard = recorder.listening() and _understands(sys._getframe(1))
        return recorder.created(create, inputs, words) if heard else create(*inputs, **words)

    return creating


def _understands(caller: Any) -> bool:
    """Whether stand-ins can be given to the caller: to ops and to minidl's functions, not to NumPy's and others' own.

    What is made elsewhere, out of sight, is taken for an array from outside.
    """
    return "xp" in caller.f_code.co_varnames or caller.f_globals.get("__name__", "").startswith(_PARTS)


def _striding(recorder: Recorder, as_strided: Any) -> Callable[..., Any]:
    def striding(x: Any, *inputs: Any, **words: Any) -> Any:
        if type(x) is not Traced:
            return as_strided(x, *inputs, **words)
        with recorder.unheard():
            view = as_strided(x.buffer, *inputs, **words)
        return recorder.traced(view)

    return striding
