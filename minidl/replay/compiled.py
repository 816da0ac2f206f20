"""minidl.compile: which calls of a step are recorded, which are replayed, and which run as they are written.

The same step is recorded twice: what differs between two recordings would be wrong in a replay.  A GPU captures it in a
third run.
"""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial, update_wrapper
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from minidl import nn
from minidl.autograd import Tensor, engine
from minidl.autograd.mode import mode
from minidl.backend import Array, array_module, get_default_dtype
from minidl.replay.captured import Capture, Listener, Replay, Stopped
from minidl.replay.notes import Line, Notes, differing, raised_at, steps, tensors_in
from minidl.replay.program import Program
from minidl.replay.recorder import Recorder
from minidl.replay.take import KEPT, Take, surroundings
from minidl.replay.traced import recorders

FORMS, PROGRAMS, TRIES = 64, 8, 4  # forms of arguments; programs of each; recordings until two must have been the same


def compile(
    model: Callable[..., Any] | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
    backend: Any = "inductor", mode: str | None = None, options: dict[str, Any] | None = None, disable: bool = False,
) -> Any:  # fmt: skip
    """`model`, any step, as a function that is recorded in its first two calls, and then replayed, with the same bits.

    Without `model` it is a decorator, and with `disable` the step as it is.  A step that cannot be replayed runs as it
    is written, and a warning says once why, and where.  With `fullgraph` that is RuntimeError, raised when the step has
    run: once, or four times where its runs had to be compared.  The other words, PyTorch's, change nothing.  TypeError
    for what cannot be called.

    A step, and not the model alone, is what is done with one batch: forward, loss, `backward()`, `optimizer.step()`, a
    schedule's `step()`.  Give it the batch as arguments, tensors on the device of the model, and let it return what you
    want to look at.  Arguments of other shapes or dtypes, `train()` and `eval()`, and another attribute of a module are
    recorded anew, which takes as long as five to thirty steps of a network.

    A replay repeats what was done to arrays, draws random numbers anew, and calls the optimizer, the schedule and
    `clip_grad_norm_` as they are; the norm may be returned.  The rest of Python is not run again: branches, numbers and
    the tensors that a dictionary gave stay as they were when recorded; do not print, or draw numbers of Python's own.
    Hand over what will change, and numbers as tensors: each new number is another form, of which there may be 64.
    Not replayed is a step that reads a number (`if loss > 1`, `loss.item()`), takes an array out of a tensor, keeps a
    tensor, meets other tensors every time, or counts in a variable that it names itself (in a list, a dictionary, an
    attribute), in a module that it calls, or by setting the learning rate of an optimizer: count outside of it,
    accumulate gradients with two steps, one of which calls `optimizer.step()`, and leave learning rates to schedules.
    Memory for all that is computed stays reserved, and that of `.grad` is written over by the next replay; a tensor
    that is held elsewhere keeps its numbers.

    On a GPU the third call captures CUDA graphs: one for all that is done up to a call that is made as it is, one up to
    the next.  The host then launches graphs instead of kernels, and never waits: a replay of a perceptron's step with
    Adam asks the GPU five times (two arguments copied, the graph, the optimizer's kernel, the loss copied).  Refused
    there are also random numbers that the host draws, except for dropout, `linalg`, and whatever else CuPy or CUDA
    cannot capture, as the warning says.  That may show in the third call only, in which Python then runs the step
    twice; a capture computes nothing and makes none of those calls, so that no array is changed twice, but what Python
    counts or appends is.  RuntimeError where a step kept a tensor of such a run, which nobody computed.

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
    if model is None:
        return partial(compile, fullgraph=fullgraph, disable=disable)
    if not callable(model):
        raise TypeError(f"compile: expected a function or a module, got {type(model).__name__}")
    return model if disable else Compiled(model, fullgraph)


written: list[list[Any]] = []  # while a list is in here, steps run as they are written, and are noted in it


class Draft(NamedTuple):
    """A run, and whether the one before it was the same; `kept` is what its recorder remembers."""

    lines: list[Line]
    kept: Any
    agreed: bool


class Attempt(NamedTuple):
    """What came of a capture: a program, or why there is none; and how the run differed, for it may be made again.

    There are a program and a reason if the step kept a tensor: running it once gives that tensor its numbers.
    """

    program: Program | None
    why: str | None
    differed: str | None


class Compiled:
    """A step, and what was recorded of it for each form of its arguments."""

    def __init__(self, step: Callable[..., Any], fullgraph: bool = False) -> None:
        update_wrapper(self, step, updated=())
        self.step, self.fullgraph, self.lock = step, fullgraph, threading.RLock()
        self.programs: dict[Any, list[Program]] = {}
        self.drafts: dict[Any, Draft] = {}  # the last recording
        self.tries: dict[Any, int] = {}  # recordings since the last program, each unlike the one before
        self.refused: set[Any] = set()
        self.said: set[str] = set()

    def __call__(self, *inputs: Any, **words: Any) -> Any:
        if engine.watch is not None or len(recorders) > 1 or written:  # every op is being looked at
            for calls in written:
                calls.append(self)
            return self.step(*inputs, **words)
        given: list[Array] = []
        key = (mode.recording, get_default_dtype(), *[_form(x, given) for x in inputs], _form(words, given))
        with self.lock:
            for program in self.programs.get(key, ()):
                if program.holds():
                    copyto = program.copyto
                    for buffer, array in zip(program.inputs, given, strict=True):
                        copyto(buffer, array)
                    if not program.checks or program.fits():
                        return program()
            if key not in self.refused:
                return self._recorded(key, inputs, words)
        return self.step(*inputs, **words)

    def __repr__(self) -> str:
        return f"<minidl.compile of {self._name()}>"

    def __getattr__(self, name: str) -> Any:  # of a model, say
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(vars(self)["step"], name)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Compiled:
        """A method is recorded for each object by itself, which keeps it under the same name."""
        if owner is None:
            return self
        return vars(owner).setdefault(self.name, Compiled(self.step.__get__(owner), self.fullgraph))

    def __reduce__(self) -> Any:
        return Compiled, (self.step, self.fullgraph)  # a copy records anew

    # -- recording

    def _recorded(self, key: Any, inputs: Any, words: Any) -> Any:
        """What the step returns; it is recorded, and if that gives the same as the last time, a program is made."""
        if hopeless := self._hopeless(key, inputs, words):
            self._refuse(key, hopeless)
            return self.step(*inputs, **words)
        (xp,), draft = self._modules(inputs, words), self.drafts.get(key)
        differed = None
        if draft is not None and draft.agreed:
            program, why, differed = self._captured(key, draft, inputs, words)
            if differed is None:
                result = program.run() if program is not None else self.step(*inputs, **words)
                if why is not None:
                    self._refuse(key, why)
                return result
        take = Take(self.step, Recorder() if xp is np else Listener(xp), inputs, words)
        why = take.why or self._difference(key, take) or differed
        if why is not None:
            self.tries[key] = self.tries.get(key, 0) + 1
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
            difference = "it keeps an array that it makes: make it before the first step"
        if counted := take.recorder.counts.changed:
            difference = f"it changes {counted}, but a replay runs no Python: do that after the step"
        self.drafts[key] = Draft(take.lines, take.recorder.remembered(), difference is None)
        return difference

    def _keep(self, key: Any, program: Program) -> None:
        self.programs.setdefault(key, []).append(program)
        del self.drafts[key], self.tries[key]

    def _captured(self, key: Any, draft: Draft, inputs: Any, words: Any) -> Attempt:
        """What came of a capture: it makes a program, which is kept, gives a reason, or differs from the draft."""
        recorder, take = Capture(draft.kept, draft.lines), None
        try:
            take = Take(self.step, recorder, inputs, words)
            recorder.differs = recorder.differs or differing(draft.lines, take.lines)
            why = recorder.differs or take.why
            if why is None or (why == KEPT and not recorder.answers_are_kept([*tensors_in(take.result)])):
                program = Replay(recorder, take.buffers, take.result, take.around)
                if why is None:
                    self._keep(key, program)
                return Attempt(program, why, None)
        except (Exception, Stopped) as error:  # of CuPy or CUDA; or of the step itself, which raises it once more
            said = f"{' '.join(str(error).split())} ({raised_at(error)})"
            why = recorder.differs or recorder.refused or said
        finally:
            recorder.restore()
        made, differs = recorder.made, recorder.differs
        del recorder, take  # which hold tensors, too
        if lost := _still_there(made):
            self._give_up(key)
            raise RuntimeError(f"minidl.compile: {self._name()} kept a tensor {lost} that has no numbers: nothing is "
                               f"computed in the call that a GPU captures, and that was given up: {why}.  Begin to "
                               "keep it in the first call, or let the step return it")  # fmt: skip
        return Attempt(None, why, differs)

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
            return f"its arguments have had {FORMS} different forms: hand over as tensors the numbers that change"
        if len(programs := self.programs.get(key, [])) >= PROGRAMS:
            return f"{programs[-1].failing()}, again and again: hand over as an argument what changes"
        for x in _others((inputs, words)):
            if not _comparable(x):
                return _strange(x)
        if len(self._modules(inputs, words)) > 1:
            return "its arguments, or the modules that it names, are on different devices: move them to one with .to()"
        for x in tensors_in((inputs, words)):
            if x.tracked:
                return f"an argument of shape {x.shape} requires a gradient: hand over its detach()"
            if steps(x.array.copy(order="K")) != steps(x.array):
                return f"the memory of an argument of shape {x.shape} has gaps, which .contiguous() would close"
        return None

    def _refuse(self, key: Any, why: str) -> None:
        if self.fullgraph:
            raise RuntimeError(f"minidl.compile: {self._name()} cannot be replayed, as fullgraph=True demands: {why}")
        self._give_up(key)
        if why not in self.said:
            self.said.add(why)
            message = f"minidl.compile: {self._name()} runs as it is written and is not replayed: {why}"
            warnings.warn(message, UserWarning, stacklevel=4)

    def _give_up(self, key: Any) -> None:
        if len(self.refused) < FORMS:
            self.refused.add(key)
        for kept in (self.programs, self.drafts, self.tries):
            kept.pop(key, None)

    def _name(self) -> str:
        return getattr(self.step, "__name__", type(self.step).__name__)


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


def _strange(value: Any) -> str:
    """What to do about an argument that cannot be compared with that of the next call."""
    kind = type(value)
    if isinstance(value, np.ndarray):
        advice = "make it a tensor"
    elif hasattr(value, "__dict__"):
        advice = ("if it is the self of a method, compile that of the object, as in minidl.compile(trainer.step); "
                  "else hand over the tensors that it holds")  # fmt: skip
    else:
        advice = "hand over tensors, numbers, strings, functions, or tuples, lists and dictionaries of these"
    return f"an argument is of type {kind.__name__}: {advice}"


def _others(value: Any) -> Iterator[Any]:
    """What is no tensor, in nested tuples, lists and dictionaries."""
    if type(value) in (tuple, list, dict):
        for x in value.values() if type(value) is dict else value:
            yield from _others(x)
    elif not isinstance(value, Tensor):
        yield value


def _still_there(made: list[tuple[ref[Tensor], str]]) -> str | None:
    """The first of these tensors that somebody holds."""
    if any(x() is not None for x, _ in made):
        gc.collect()
    return next((f"of shape {found.shape} ({line})" for x, line in made if (found := x()) is not None), None)
