"""One run of a step while a recorder listens: what came of it, and whether it can be replayed at all.

Nothing is decided here: compiled.py compares two runs, and makes a program of what they have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from minidl import nn
from minidl.autograd import Tensor, no_grad
from minidl.replay.listening import recording
from minidl.replay.notes import Line, Notes, root, tensors_in
from minidl.replay.program import Seen

KEPT = "it keeps a tensor that it makes: let the step return it, and keep what a call of the compiled step gives you"


class Take:
    """One run: its `result`, and the `lines` that another run must have, too.

    `why` says why the step cannot be replayed, None if it can; `kept_array` whether somebody keeps an array that was
    made in it.
    """

    def __init__(self, step: Callable[..., Any], recorder: Notes, inputs: Any, words: Any) -> None:
        own = [Tensor(x.array.copy(order="K")) for x in tensors_in((inputs, words))]
        self.recorder, self.buffers, self.around = recorder, [x.array for x in own], surroundings(step)
        recorder.given(own)
        for name, _, value in self.around:
            parts = value.named_modules(prefix=name) if isinstance(value, nn.Module) else [(name, value)]
            for path, part in parts:
                recorder.counts.watch(path, part)
        fresh = iter(own)
        with recording(recorder, getattr(step, "__globals__", {})):
            self.result = recorder.without_stand_ins(step(*_with(inputs, fresh), **_with(words, fresh)))
        recorder.counts.look()
        modules = [part for _, _, x in self.around if isinstance(x, nn.Module) for part in x.modules()]
        recorder.modules.update({id(module): module for module in modules})
        self.lines: list[Line] = recorder.signature(self.result)
        _change(tensors_in((inputs, words)), own)
        why = recorder.refused or _unreturnable(self.result, recorder) or _entangled(own, recorder, inputs, words)
        fresh = own = None  # type: ignore[assignment]
        kept_tensor, self.kept_array = recorder.still_there([*tensors_in(self.result)])
        self.why = why or (KEPT if kept_tensor else None)


def _with(value: Any, tensors: Iterator[Tensor]) -> Any:
    """`value` with other tensors in it."""
    if isinstance(value, Tensor):
        return next(tensors)
    if type(value) in (tuple, list):
        return type(value)([_with(x, tensors) for x in value])
    return {name: _with(x, tensors) for name, x in value.items()} if type(value) is dict else value


def _change(given: Iterator[Tensor], own: list[Tensor]) -> None:
    """Do to the arguments what was done to the tensors in their place, for this run is the real one."""
    for x, y in zip(given, own, strict=True):
        if y.version is not None and y.version[0]:
            with no_grad():
                x.copy_(y)


def _unreturnable(result: Any, recorder: Notes) -> str | None:
    for x in tensors_in(result):
        if x.inputs is not None:
            return "it returns a tensor with its graph: call backward() in the step, or return x.detach()"
        if id(x) not in recorder.leaves and recorder.answer_of(x) is None and not recorder.own(x):
            return "it returns a view of memory that it did not make: return a clone()"
    return None


def _entangled(own: list[Tensor], recorder: Notes, inputs: Any, words: Any) -> str | None:
    """Why arguments may not be replaced by others."""
    if any(x.tracked for x in own):
        return "it changes requires_grad of its argument: let it change that of a clone()"
    if any(x.hooks or getattr(x, "after", None) for x, _ in recorder.leaves.values()):
        return "a tensor that it uses has hooks: remove() them"
    roots = {id(root(x.array)) for x in tensors_in((inputs, words))}
    if any(id(root(array)) in roots for _, array in recorder.leaves.values()):
        return "an argument shares its memory with a tensor that the step knows already: hand over a clone()"
    return None


def surroundings(step: Any) -> list[Seen]:
    """The variables that a step finds around it: name, where it is looked up, value."""
    owner = getattr(step, "__self__", None if hasattr(step, "__code__") else step)
    function = getattr(step, "__func__", step)
    if not hasattr(function, "__code__"):
        function = getattr(step, "forward", function)
    seen: list[Seen] = [("self", {"self": owner}, owner)]
    if owner is not None and hasattr(owner, "__dict__"):
        seen += [(name, vars(owner), value) for name, value in vars(owner).items()]
    if (code := getattr(function, "__code__", None)) is not None:
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        scope = function.__globals__
        seen += [(name, cell, cell.cell_contents) for name, cell in cells if _filled(cell)]
        seen += [(name, scope, scope[name]) for name in _global_names(code) if name in scope]
    return seen


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a function may name what is defined later
        return False


def _global_names(code: CodeType) -> Iterator[str]:
    """The names that a function and those written in it look up."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _global_names(inner)
