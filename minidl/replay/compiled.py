"""minidl.compile: which calls of a step are recorded, which are replayed, and which run as they are written.

The same step is recorded twice: what differs between two recordings would be wrong in a replay.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from functools import update_wrapper
from itertools import zip_longest
from types import CodeType
from typing import Any

import numpy as np

from minidl import nn
from minidl.autograd import Tensor, engine
from minidl.autograd.mode import mode
from minidl.backend import Array, get_default_dtype
from minidl.replay.listening import recording
from minidl.replay.program import Program, Seen, signature
from minidl.replay.recorder import Recorder, root, tensors_in
from minidl.replay.traced import recorders

FORMS, PROGRAMS, TRIES = 64, 8, 4  # forms of arguments; programs of each; recordings until two must have been the same
copyto = np.copyto


def compile(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` as a function that is recorded in its first two calls, and from the third on replayed, with the same bits.

    A step is what is done with one batch: forward, loss, `backward()`, `optimizer.step()`, a schedule's `step()`.  Give
    it the batch as arguments, tensors of numbers on the CPU, and let it return what you want to look at.  Arguments of
    other shapes or dtypes, `train()` and `eval()`, and another attribute of a module are recorded anew.

    A replay repeats what was done to arrays, draws random numbers anew, and calls the optimizer, the schedule and
    `clip_grad_norm_` as they are.  The rest of Python is not run again: do not print, count or append in a step, and
    hand over numbers that will change as arguments, for one that is read from a list or an object is taken as constant.
    A step that reads a number (`if loss > 1`, `loss.item()`), keeps a tensor, or meets other tensors every time runs
    as it is written; a warning says once why, and where.  Memory for all that is computed stays reserved, and that of
    `.grad` is written over by the next replay; a tensor that is held elsewhere keeps its numbers.

    >>> import minidl
    >>> from minidl import nn
    >>> model = nn.Linear(3, 1)
    >>> optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)
    >>> @minidl.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> losses = [step(minidl.ones(4, 3), minidl.zeros(4, 1)).item() for _ in range(5)]
    >>> losses[4] < losses[0]
    True
    """
    return Compiled(step)


class Compiled:
    """A step, and what was recorded of it for each form of its arguments."""

    def __init__(self, step: Callable[..., Any]) -> None:
        update_wrapper(self, step, updated=())
        self.step, self.lock = step, threading.RLock()
        self.programs: dict[Any, list[Program]] = {}
        self.drafts: dict[Any, tuple[list[Any], list[Any]]] = {}  # the last recording, and what it must keep alive
        self.tries: dict[Any, int] = {}  # recordings since the last program
        self.refused: set[Any] = set()
        self.said: set[str] = set()

    def __call__(self, *inputs: Any, **words: Any) -> Any:
        if engine.watch is not None or len(recorders) > 1:  # every op is being looked at
            return self.step(*inputs, **words)
        given: list[Array] = []
        key = (mode.recording, get_default_dtype(), *[_form(x, given) for x in inputs], _form(words, given))
        with self.lock:
            for program in self.programs.get(key, ()):
                if program.holds():
                    for buffer, array in zip(program.inputs, given, strict=True):
                        copyto(buffer, array)
                    if program.checks and not program.fits():
                        break  # the step itself knows what to do with such labels
                    return program()
            else:
                if key not in self.refused:
                    return self._recorded(key, inputs, words)
        return self.step(*inputs, **words)

    def __getattr__(self, name: str) -> Any:  # of a model, say
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(vars(self)["step"], name)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Compiled:
        """A method is recorded for each object by itself, which keeps it under the same name."""
        return self if owner is None else vars(owner).setdefault(self.name, Compiled(self.step.__get__(owner)))

    def __reduce__(self) -> Any:
        return Compiled, (self.step,)  # a copy records anew

    # -- recording

    def _recorded(self, key: Any, inputs: Any, words: Any) -> Any:
        """What the step returns; it is recorded, and if that gives the same as the last time, a program is made."""
        if hopeless := self._hopeless(key, inputs, words):
            self._refuse(key, hopeless)
            return self.step(*inputs, **words)
        own = [Tensor(x.array.copy(order="K")) for x in tensors_in((inputs, words))]
        buffers, around = [x.array for x in own], surroundings(self.step)
        with recording(getattr(self.step, "__globals__", {})) as recorder:
            recorder.tensors.update({id(x): x for x in own})
            recorder.inputs.update({id(x): x for x in buffers})
            fresh = iter(own)
            result = self.step(*_with(inputs, fresh), **_with(words, fresh))
            result = recorder.without_stand_ins(result)
        modules = [part for _, _, x in around if isinstance(x, nn.Module) for part in x.modules()]
        recorder.modules.update({id(module): module for module in modules})
        lines, alive = signature(recorder, result)
        why = recorder.refused or _unreturnable(result, recorder) or _entangled(own, recorder, inputs, words)
        fresh = own = None  # type: ignore[assignment]
        tensor_kept, array_kept = recorder.kept(result)
        if why := why or ("it keeps a tensor that it makes: let it be returned instead" if tensor_kept else None):
            self._refuse(key, why)
            return result
        before, self.drafts[key] = self.drafts.get(key), (lines, alive)
        self.tries[key] = self.tries.get(key, 0) + 1
        difference = _difference(before[0], lines) if before else "there is no other recording"
        if array_kept:  # a table that is made once and then kept is not kept again
            difference = "it keeps an array that it makes"
        if difference is None:
            self.programs.setdefault(key, []).append(Program(recorder, buffers, result, around))
            del self.drafts[key], self.tries[key]
            self._hand_over(result, recorder)
        elif self.tries[key] >= TRIES:
            self._refuse(key, difference)
        return result

    def _hand_over(self, result: Any, recorder: Recorder) -> None:
        """Give the tensors that were returned memory of their own, for replays write into what they have."""
        gradients = {id(x) for x in recorder.gradients()}
        for x in tensors_in(result):
            if id(x) not in recorder.leaves and id(x) not in gradients:
                x.array = x.array.copy(order="K")

    def _hopeless(self, key: Any, inputs: Any, words: Any) -> str | None:
        """Why another recording would not help."""
        if key not in self.tries and key not in self.programs and len({**self.tries, **self.programs}) >= FORMS:
            return f"its arguments have had {FORMS} different forms"
        if len(programs := self.programs.get(key, [])) >= PROGRAMS:
            return f"{programs[-1].failing()}, again and again"
        if not all(_comparable(x) for x in _others((inputs, words))):
            return "an argument is no tensor, number, string or function, nor a tuple, list or dictionary of these"
        for x in tensors_in((inputs, words)):
            if not isinstance(x.array, np.ndarray):
                return "an argument is not on the CPU"
            if x.tracked:
                return f"an argument of shape {x.shape} requires a gradient"
            if _steps(x.array.copy(order="K")) != _steps(x.array):
                return f"the memory of an argument of shape {x.shape} has gaps, which .contiguous() would close"
        return None

    def _refuse(self, key: Any, why: str) -> None:
        if len(self.refused) < FORMS:
            self.refused.add(key)
        for kept in (self.programs, self.drafts, self.tries):
            kept.pop(key, None)
        if why not in self.said:
            self.said.add(why)
            name = getattr(self.step, "__name__", type(self.step).__name__)
            message = f"minidl.compile: {name} runs as it is written and is not replayed: {why}"
            warnings.warn(message, UserWarning, stacklevel=4)


# -- arguments and results ---------------------------------------------------------------------------------------


def _form(value: Any, arrays: list[Array]) -> Any:
    """What two calls must have in common to be replayed by one program; the arrays are put into the list."""
    if isinstance(value, Tensor):
        arrays.append(array := value.array)
        return array.shape, array.dtype, array.strides, value.tracked, type(array)
    kind = type(value)
    if kind is dict:
        return (dict, *[(name, _form(x, arrays)) for name, x in value.items()]) if value else dict
    if kind is tuple or kind is list:
        return kind, *[_form(x, arrays) for x in value]
    return kind, repr(value) if kind is float else value if _comparable(value) else None


def _comparable(value: Any) -> bool:
    return value is None or isinstance(value, (int, float, str)) or (callable(value) and not isinstance(value, Tensor))


def _others(value: Any) -> Iterator[Any]:
    """What is no tensor, in nested tuples, lists and dictionaries."""
    if type(value) in (tuple, list, dict):
        for x in value.values() if type(value) is dict else value:
            yield from _others(x)
    elif not isinstance(value, Tensor):
        yield value


def _with(value: Any, tensors: Iterator[Tensor]) -> Any:
    """`value` with other tensors in it."""
    if isinstance(value, Tensor):
        return next(tensors)
    if type(value) in (tuple, list):
        return type(value)([_with(x, tensors) for x in value])
    return {name: _with(x, tensors) for name, x in value.items()} if type(value) is dict else value


def _steps(array: Array) -> list[int]:
    """The strides that matter."""
    return [step for step, n in zip(array.strides, array.shape, strict=True) if n > 1]


def _unreturnable(result: Any, recorder: Recorder) -> str | None:
    for x in tensors_in(result):
        if x.inputs is not None:
            return "it returns a tensor with its graph: call backward() in the step, or return x.detach()"
        known = recorder.made.keys() | recorder.inputs.keys()
        if id(x) not in recorder.leaves and id(root(x.array)) not in known:
            return "it returns memory that it did not make, a view or the norm from clip_grad_norm_: return a clone()"
    return None


def _entangled(own: list[Tensor], recorder: Recorder, inputs: Any, words: Any) -> str | None:
    """Why arguments may not be replaced by others."""
    if any(x.tracked for x in own):
        return "it changes requires_grad of its argument"
    if any(x.hooks or getattr(x, "after", None) for x, _ in recorder.leaves.values()):
        return "a tensor that it uses has hooks"
    roots = {id(root(x.array)) for x in tensors_in((inputs, words))}
    if any(id(root(array)) in roots for _, array in recorder.leaves.values()):
        return "an argument shares its memory with a tensor that the step knows already"
    return None


# -- the same every time? ------------------------------------------------------------------------------------------


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


def _difference(before: list[Any], now: list[Any]) -> str | None:
    """What is not the same in two recordings."""
    for old, new in zip_longest(before, now):
        if old is None or new is None or old[0] != new[0]:
            line = (new or old)[1]
            return f"another number, or other tensors, came in at two steps ({line}): hand them over as arguments"
    return None
