"""minidl.compile: which calls of a step are recorded, which are replayed, and which run as they are written.

The same step is recorded twice: what differs between two recordings would be wrong in a replay.  A GPU captures it in a
third run.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from functools import update_wrapper
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from minidl import nn
from minidl.autograd import Tensor, engine
from minidl.autograd.mode import mode
from minidl.backend import Array, array_module, get_default_dtype
from minidl.replay.captured import Capture, Listener, Replay
from minidl.replay.notes import Line, Notes, raised_at, steps, tensors_in
from minidl.replay.program import Program
from minidl.replay.recorder import Recorder
from minidl.replay.take import Take, surroundings
from minidl.replay.traced import recorders

FORMS, PROGRAMS, TRIES = 64, 8, 4  # forms of arguments; programs of each; recordings until two must have been the same


def compile(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` as a function that is recorded in its first two calls, and from the third on replayed, with the same bits.

    A step is what is done with one batch: forward, loss, `backward()`, `optimizer.step()`, a schedule's `step()`.  Give
    it the batch as arguments, tensors on the device of the model, and let it return what you want to look at.
    Arguments of other shapes or dtypes, `train()` and `eval()`, and another attribute of a module are recorded anew.

    A replay repeats what was done to arrays, draws random numbers anew, and calls the optimizer, the schedule and
    `clip_grad_norm_` as they are.  The rest of Python is not run again: do not print, count or append in a step, and
    hand over numbers that will change as arguments, for one that is read from a list or an object is taken as constant.
    A step that reads a number (`if loss > 1`, `loss.item()`), keeps a tensor, or meets other tensors every time runs
    as it is written; a warning says once why, and where.  Memory for all that is computed stays reserved, and that of
    `.grad` is written over by the next replay; a tensor that is held elsewhere keeps its numbers.

    On a GPU the third call captures CUDA graphs: one for all that is done up to a call that is made as it is, one up to
    the next.  The host then launches graphs instead of kernels, and never waits: a replay of a perceptron's step with
    Adam asks the GPU five times (two arguments copied, the graph, the optimizer's kernel, the loss copied).  Refused
    there are also random numbers that the host draws, except for dropout, `linalg`, and whatever else CuPy or CUDA
    cannot capture, as the warning says.  That may show in the third call only, in which Python then runs the step
    twice; but a capture computes nothing and makes none of those calls, so that nothing is done twice.

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


class Draft(NamedTuple):
    """A run, and whether the one before it was the same; `kept` is what must stay alive: on a GPU, its recorder."""

    lines: list[Line]
    kept: Any
    agreed: bool


class Compiled:
    """A step, and what was recorded of it for each form of its arguments."""

    def __init__(self, step: Callable[..., Any]) -> None:
        update_wrapper(self, step, updated=())
        self.step, self.lock = step, threading.RLock()
        self.programs: dict[Any, list[Program]] = {}
        self.drafts: dict[Any, Draft] = {}  # the last recording
        self.tries: dict[Any, int] = {}  # recordings since the last program, each unlike the one before
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
                    copyto = program.copyto
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
        (xp,), draft = self._modules(inputs, words), self.drafts.get(key)
        if draft is not None and draft.agreed:
            program, why = self._captured(draft, inputs, words)
            if program is not None:
                self._keep(key, program)
                return program()
            if why is not None:
                result = self.step(*inputs, **words)
                self._refuse(key, why)
                return result
        take = Take(self.step, Recorder() if xp is np else Listener(xp), inputs, words)
        why = take.why or self._difference(key, take)
        if why is not None:
            if take.why or self.tries[key] >= TRIES:
                self._refuse(key, why)
        elif xp is np:
            self._keep(key, Program(take.recorder, take.buffers, take.result, take.around))
            self._hand_over(take.result, take.recorder)
        return take.result

    def _difference(self, key: Any, take: Take) -> str | None:
        """What is not the same in this run as in the one before."""
        before = self.drafts.get(key)
        difference = differing(before.lines, take.lines) if before else "there is no other recording"
        if take.kept_array:  # a table that is made once and then kept is not kept again
            difference = "it keeps an array that it makes"
        kept = take.recorder if isinstance(take.recorder, Listener) else take.recorder.alive
        self.drafts[key] = Draft(take.lines, kept, difference is None)
        self.tries[key] = self.tries.get(key, 0) + (difference is not None)
        return difference

    def _keep(self, key: Any, program: Program) -> None:
        self.programs.setdefault(key, []).append(program)
        del self.drafts[key], self.tries[key]

    def _captured(self, draft: Draft, inputs: Any, words: Any) -> tuple[Program | None, str | None]:
        """A program for the GPU, or why there can be none; neither if this run was not that of the draft."""
        recorder = Capture(draft.kept)
        try:
            take = Take(self.step, recorder, inputs, words)
            if take.why or differing(draft.lines, take.lines):
                return None, take.why
            return Replay(recorder, take.buffers, take.result, take.around), None
        except Exception as error:  # of CuPy or CUDA; or of the step itself, which raises it once more when it runs
            return None, recorder.refused or f"{' '.join(str(error).split())} ({raised_at(error)})"
        finally:
            recorder.restore()

    def _modules(self, inputs: Any, words: Any) -> list[Any]:
        """NumPy or CuPy: where the arguments are, and the modules that the step names; without any, its tensors."""
        around = [x for _, _, x in surroundings(self.step)]
        parameters = (p for x in around if isinstance(x, nn.Module) for p in x.parameters())
        tensors = [*tensors_in((inputs, words)), *parameters] or [x for x in around if isinstance(x, Tensor)]
        return list(dict.fromkeys(array_module(x.array) for x in tensors)) or [np]

    def _hand_over(self, result: Any, recorder: Notes) -> None:
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
        if len(self._modules(inputs, words)) > 1:
            return "its arguments, or the modules that it names, are on different devices"
        for x in tensors_in((inputs, words)):
            if x.tracked:
                return f"an argument of shape {x.shape} requires a gradient"
            if steps(x.array.copy(order="K")) != steps(x.array):
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
        where = type(array) if isinstance(array, np.ndarray) else array.device.id
        return array.shape, array.dtype, array.strides, value.tracked, where
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


# -- the same every time? ----------------------------------------------------------------------------------------------


def differing(before: list[Line], now: list[Line]) -> str | None:
    """What is not the same in two recordings."""
    for old, new in zip_longest(before, now):
        if old is None or new is None or old[0] != new[0]:
            line = (new or old)[1]
            return f"another number, or other tensors, came in at two steps ({line}): hand them over as arguments"
    return None
