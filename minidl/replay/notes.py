"""What is noted of one run of a step, on whatever device: what it uses, makes and leaves behind, and calls to repeat.

Recorder (recorder.py) adds what is done to arrays of NumPy, Capture (captured.py) hands that to CUDA.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import zip_longest
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from minidl import backend, nn
from minidl.autograd import Tensor
from minidl.backend import Array
from minidl.ops.windows import Window
from minidl.replay.counting import Counts

LOCK = threading.RLock()  # one recording at a time: it changes what Tensor.array is
_PACKAGES = [str(Path(module.__file__ or "").parent) + os.sep for module in (np, backend)]

_PUBLIC = ("minidl.functional.", "minidl.nn.", "minidl.linalg", "minidl.optim.")  # whose functions have known names

raw = vars(Tensor)["array"].__get__  # the array itself, while Tensor.array may hand out another
Line = tuple[Any, str]  # what two runs of the same step have in common, and the line of the program that did it
Replacement = tuple[Any, Any, Any]  # owner, name of the attribute (of a dictionary: key), what stands there for a while


class Call(NamedTuple):
    """`function(*inputs, **words)`, which computes or changes the array `out`, and `how` it is repeated.

    "into": with `out=out`; "copy": the result is copied into `out`, as are random numbers, "draw"; "do": as it is, for
    it changes `out`; "outside": as it is, for what it changes is not known, such as optimizer.step(); "grad": a tensor
    gets its .grad; "start": `out` is filled anew, if somebody writes into it; "none": `out` is empty at first.
    """

    how: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    words: dict[str, Any]
    out: Any
    mark: Any  # what it is besides its arrays, to compare two recordings
    line: str


class Notes(ABC):
    """One run of a step, being noted.

    `refused` says, in the first words of a sentence, why the step cannot be replayed; None if it can.
    """

    copyto = staticmethod(np.copyto)

    def __init__(self) -> None:
        self.thread, self.active, self.asleep = threading.get_ident(), False, 0
        self.refused: str | None = None
        self.calls: list[Call] = []
        self.leaves: dict[int, tuple[Tensor, Array]] = {}  # tensors from before the step, by id
        self.tensors: dict[int, Any] = {}  # those that were made in it
        self.entering: dict[int, tuple[Tensor, Tensor | None]] = {}  # tensors whose .grad was read before it was set
        self.graded: dict[int, Tensor] = {}  # tensors whose .grad was set
        self.before: dict[int, tuple[Tensor, Tensor | None]] = {}  # what was there, of all whose .grad is another now
        self.modules: dict[int, nn.Module] = {}  # those that were called
        self.checks: dict[int, tuple[Array, int, bool]] = {}  # labels, the number of classes, whether they were such
        self.answers: list[tuple[Call, Any]] = []  # calls that replays make as they are, and what they returned
        self.alive: list[Any] = []  # things from outside, which are known by their ids
        self.counts = Counts()  # numbers that Python could change

    # -- what the device adds

    def replacements(self) -> Iterator[Replacement]:
        """What stands in the place of functions of the arrays' own package."""
        return iter(())

    def running(self) -> AbstractContextManager[None]:
        """Where the step runs."""
        return nullcontext()

    @abstractmethod
    def given(self, inputs: list[Tensor]) -> None:
        """These are the arguments of the step."""

    @abstractmethod
    def shown(self, x: Tensor, array: Array) -> Any:
        """What x.array is, which is `array`."""

    @abstractmethod
    def born(self, x: Tensor) -> None:
        """x is being made."""

    @abstractmethod
    def entered(self, grad: Tensor) -> Tensor:
        """In the place of `grad`, which lay in .grad before the step: replays copy what they find there into it."""

    def changed(self, x: Tensor) -> None:  # noqa: B027 (a recorder of arrays hears it anyway)
        """x, which was made in the step, is changed in place."""

    @abstractmethod
    def stream(self, generator: backend.Generator) -> Any:
        """What is asked for random numbers."""

    @abstractmethod
    def own(self, x: Tensor) -> bool:
        """Whether x, which the step returns, lies in memory that replays write to."""

    @abstractmethod
    def note(self, how: str, function: Any, inputs: Any, words: Any, out: Any, mark: Any = None) -> None:
        """A call that may have to be repeated; `mark` in the place of the function's name."""

    # -- what is noted

    def refuse(self, why: str) -> None:
        if self.refused is None and self.listening():
            self.refused = f"{why} ({users_line()})"

    def listening(self) -> bool:
        return self.active and not self.asleep and threading.get_ident() == self.thread

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """What happens in the block is not noted."""
        ours = threading.get_ident() == self.thread  # another thread is not heard anyway
        self.asleep += ours
        try:
            yield
        finally:
            self.asleep -= ours

    def gradients(self) -> list[Tensor]:
        """The tensors that the step put into .grad, or found there."""
        found = [call.inputs[1] for call in self.calls if call.how == "grad"] + [x for _, x in self.entering.values()]
        return [x for x in found if x is not None]

    def outside(self, function: Any, *inputs: Any, **words: Any) -> Any:
        """A call that replays make as it is, such as optimizer.step()."""
        if not self.listening():
            return function(*inputs, **words)
        if any(callable(x) or isinstance(x, Tensor) for x in (*inputs[1:], *words.values())):
            self.refuse(f"{function.__qualname__} is given a function or a tensor")
        self.note("outside", function, inputs, words, None)
        call = self.calls[-1]
        self.counts.look()
        self.answers.append((call, self.called(function, inputs, words)))
        self.counts.renew()  # what the call changed, it changes in a replay, too
        return self.answers[-1][1]

    def called(self, function: Any, inputs: Any, words: Any) -> Any:
        with self.unheard():
            return function(*inputs, **words)

    def answer_of(self, x: Tensor) -> int | None:
        """Which of the answers x is, such as the norm from clip_grad_norm_."""
        return next((i for i, (_, answer) in enumerate(self.answers) if answer is x), None)

    def without_stand_ins(self, result: Any) -> Any:
        """What the step returned."""
        return result

    # -- two runs of the same step

    @abstractmethod
    def signature(self, result: Any) -> list[Line]:
        """What two runs of the same step have in common: all that was noted, and what is returned."""

    def last_line(self, result: Any) -> Line:
        pattern = [(id(x), grad is None) for x, grad in self.entering.values()]
        return [self.known(result), pattern], "what is there before and after the step"

    def remembered(self) -> Any:
        """What must stay alive until the next run is compared with this one."""
        return self.alive

    def known(self, value: Any) -> Any:
        """What two runs of the same step have in common; things from outside are known by their ids."""
        if isinstance(value, Tensor) and id(value) in self.tensors:
            return self.known_tensor(value)
        if isinstance(value, Tensor) and (place := self.answer_of(value)) is not None:
            return "answer", place
        if isinstance(value, tuple(backend.modules)):
            return self.known_array(value)
        if isinstance(value, (tuple, list)):
            return [self.known(x) for x in value]
        if type(value) is dict:
            return [(name, self.known(x)) for name, x in value.items()]
        if isinstance(value, (int, float, str, slice, np.generic, np.dtype, type, type(None), type(...), Window)):
            return repr(value)
        self.alive.append(value)
        return id(value)

    @abstractmethod
    def known_tensor(self, x: Tensor) -> Any:
        """The same of a tensor that was made in the step."""

    @abstractmethod
    def known_array(self, array: Array) -> Any:
        """The same of an array."""

    def still_there(self, returned: list[Tensor]) -> tuple[bool, bool]:
        """Whether somebody keeps a tensor or an array that was made in the step, and would never see it change."""
        gradients = {id(x) for x in self.gradients()}
        expected = gradients | {id(x) for x in returned}
        made = self.forgotten()

        def alive(references: Iterable[ref[Any]]) -> bool:
            return any(id(x) not in expected for reference in references if (x := reference()) is not None)

        def anything() -> tuple[bool, bool]:
            tensors, arrays = map(alive, made)
            return tensors or self._held(returned, gradients), arrays

        if any(anything()):
            gc.collect()
        return anything()

    def _held(self, returned: list[Tensor], gradients: set[int]) -> bool:
        """Whether more than the result, this list and the answers hold what was returned, or an answer."""
        answers = [x for _, x in self.answers if isinstance(x, Tensor)]
        new = {id(x): x for x in [*returned, *answers] if id(x) not in gradients | self.leaves.keys()}
        known = Counter(map(id, [*returned, *returned, *answers, *answers, *new.values()]))
        one = object()
        usual = sys.getrefcount(one)
        return any(sys.getrefcount(x) > usual + known[id(x)] for x in new.values())

    @abstractmethod
    def forgotten(self) -> tuple[list[ref[Any]], list[ref[Any]]]:
        """References to the tensors and the arrays that were made, which are not held here any more."""


def differing(before: list[Line], now: list[Line]) -> str | None:
    """What is not the same in two recordings."""
    for old, new in zip_longest(before, now):
        if old is None or new is None or old[0] != new[0]:
            line = (new or old)[1]
            return f"another number, or other tensors, came in at two steps ({line}): hand them over as arguments"
    return None


# -- arrays and tensors ------------------------------------------------------------------------------------------------


def root(array: Array) -> Array:
    """The array that owns the memory of `array`."""
    while array.base is not None:
        base = array.base if type(array.base) in backend.modules else getattr(array.base, "base", None)
        if base is None:
            break
        array = base  # as_strided puts an object of its own between
    return array


def place(array: Array) -> tuple[Any, ...]:
    """Where in its memory an array lies, and how."""
    return backend.address(array) - backend.address(root(array)), array.shape, array.strides, array.dtype.str


def steps(array: Array) -> list[int]:
    """The strides that matter."""
    return [step for step, n in zip(array.strides, array.shape, strict=True) if n > 1 and array.size]


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif type(value) in (tuple, list, dict):
        for x in value.values() if type(value) is dict else value:
            yield from tensors_in(x)


def unsigned(labels: Array) -> Array:
    """The same memory, where negative numbers are huge ones."""
    return labels.view(f"u{labels.itemsize}") if labels.dtype.kind == "i" else labels


def casting(source: Any, target: Array) -> dict[str, Any]:
    """What copyto must be told where it would refuse."""
    safe = np.can_cast(getattr(source, "dtype", target.dtype), target.dtype, "same_kind")
    return {} if safe else {"casting": "unsafe"}


def arrays_in(value: Any) -> Iterator[Array]:
    """The arrays in nested tuples, lists and dictionaries."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for x in value.values() if isinstance(value, dict) else value:
            yield from arrays_in(x)


def users_line(frame: Any = None) -> str:
    """The line of the program that is being run, outside of minidl and the arrays' own package."""
    frame = frame or sys._getframe(1)
    while frame.f_back is not None and inside(frame):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def reader() -> str:
    """Who is about to read a number: the function of minidl that a line of the program has called, or Python."""
    frame, who = sys._getframe(1), "Python"
    while frame.f_back is not None and inside(frame):
        name, module = frame.f_code.co_name, frame.f_globals.get("__name__", "")
        if not name.startswith(("_", "<")) and name not in ("forward", "called") and module.startswith(_PUBLIC):
            who = f"minidl's {name}()"
        frame = frame.f_back
    return who


def raised_at(error: BaseException) -> str:
    """The line of the program that was being run when an error was raised."""
    frames = list(walk_tb(error.__traceback__))
    ours = [f"{frame.f_code.co_filename}:{number}" for frame, number in frames if not inside(frame)]
    return ours[-1] if ours else "in minidl"


def inside(frame: Any) -> bool:
    return frame.f_code.co_filename.startswith(tuple(_PACKAGES))
