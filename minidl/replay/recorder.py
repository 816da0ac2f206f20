"""What a step does to arrays of NumPy, noted call by call while it runs.

For the time of a recording, Tensor.array hands out stand-ins for the arrays, and the few functions of NumPy that take
none but make one are wrapped, so that no call is missed.  What only Python sees is not noted; see `Recorder.read`.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from minidl import backend, threads
from minidl.autograd import Tensor
from minidl.backend import Array
from minidl.functional import bounds
from minidl.ops import fused
from minidl.replay.notes import (
    Call,
    Line,
    Notes,
    Replacement,
    arrays_in,
    casting,
    place,
    reader,
    root,
    unsigned,
    users_line,
)
from minidl.replay.traced import Stream, Traced, recorders

# Functions of NumPy that look at shapes only, those whose results have the same shape whatever the numbers are, and
# among these the ones that write into `out`.  Others are refused.
_LOOKING = {"size", "shape", "ndim", "may_share_memory", "shares_memory", "result_type", "can_cast"}
_WRITING = {"concatenate", "stack", "clip", "take", "dot"}
_STATIC = _WRITING | {
    "where", "einsum", "take_along_axis", "tile", "roll", "flip", "argmax", "argmin", "sort", "argsort", "cumsum",
    "cumprod", "sum", "prod", "mean", "max", "min", "amax", "amin", "any", "all", "transpose", "swapaxes", "moveaxis",
    "squeeze", "reshape", "ravel", "broadcast_to", "expand_dims", "diagonal", "tril", "triu", "vdot", "round",
    "tensordot", "nan_to_num", "isclose", "searchsorted", "copy", "inv", "det", "solve", "cholesky", "trace", "inner",
    "outer", "real", "atleast_1d", "atleast_2d", "sinc",
}  # fmt: skip

# Functions that make arrays out of none, and who may be given stand-ins by them.
_CREATING = ("zeros", "ones", "empty", "full", "arange", "eye", "array", "asarray", "ascontiguousarray")
_PARTS = ("minidl.autograd.", "minidl.ops.", "minidl.functional.", "minidl.nn.", "minidl.threads")

# It looks whether its labels are classes, and cross_entropy goes another way if they are not.
_CLASSES = fused.softmax_cross_entropy.function.__code__
_CACHED = type(lru_cache(int))


class Scalar(NamedTuple):
    """An operand that NumPy would have as a number: `buffer[()]`."""

    buffer: Array


class Recorder(Notes):
    """One run of a step on the CPU, being noted."""

    def __init__(self) -> None:
        super().__init__()
        self.handed_out: dict[int, Traced] = {}  # by the id of the array, which is kept alive
        self.stand_ins: list[ref[Traced]] = []  # all of them
        self.made: dict[int, Array] = {}  # memory that came into being in the step
        self.inputs: dict[int, Array] = {}  # the memory of the arguments
        self.numbers: dict[int, int] = {}  # of memory, for two recordings to compare

    def replacements(self) -> Iterator[Replacement]:
        yield backend.modules, Traced, np
        for name in _CREATING:
            yield np, name, _creating(self, getattr(np, name))
        yield np.lib.stride_tricks, "as_strided", _striding(self, np.lib.stride_tricks.as_strided)
        yield bounds, "check", self._checking(bounds.check)
        yield threads, "in_threads", self._sharing(threads.in_threads)
        for module in [module for name, module in sys.modules.items() if name.startswith(_PARTS)]:
            for name in [name for name, value in vars(module).items() if isinstance(value, _CACHED)]:
                yield module, name, self._remembering(vars(module)[name])

    # -- tensors

    def given(self, inputs: list[Tensor]) -> None:
        self.tensors.update({id(x): x for x in inputs})
        self.inputs.update({id(x.array): x.array for x in inputs})

    def shown(self, x: Tensor, array: Array) -> Any:
        if type(array) is not np.ndarray:
            self.refuse("it uses tensors on a GPU")
            return array
        if id(x) not in self.tensors:
            self.leaves.setdefault(id(x), (x, array))
        return self.traced(array)

    def born(self, x: Tensor) -> None:
        self.tensors[id(x)] = x

    def entered(self, grad: Tensor) -> Tensor:
        with self.unheard():
            array = grad.array.copy(order="K")
            copy = Tensor(array)
        self.tensors[id(copy)] = copy
        self.made[id(array)] = array
        return copy

    def stream(self, generator: backend.Generator) -> Any:
        return Stream(self, generator)

    def own(self, x: Tensor) -> bool:
        return id(root(x.array)) in self.made.keys() | self.inputs.keys()

    # -- what is noted

    def read(self) -> None:
        """Python is about to read a number, which is refused; whether labels are classes is seen by each replay."""
        if not self.listening():
            return
        frame: Any = sys._getframe(2)
        if frame.f_code is _CLASSES:
            labels, classes = plain(frame.f_locals["target"]), frame.f_locals["classes"]
            if id(root(labels)) not in self.made:
                self.checks[id(labels)] = labels, classes, bool(unsigned(labels).max() < classes)
                return
        self.refuse(f"{reader()} reads a number from a tensor")

    def _checking(self, check: Any) -> Any:
        """The check of whole numbers, which each replay repeats."""

        def checking(numbers: Any, *limits: Any) -> None:
            check(plain(numbers), *limits)
            if type(numbers) is Traced:
                self.note("do", check, (numbers.buffer, *limits), {}, None)

        return checking

    def _sharing(self, in_threads: Any) -> Any:
        """Work that is shared out among threads, which each replay repeats as a whole."""

        def sharing(work: Any, parts: Any, *given: Any, **words: Any) -> None:
            values = plain(given)
            with self.unheard():
                in_threads(work, parts, *values, **words)
            out = values[0] if isinstance(values[0], np.ndarray) else None  # of several results all are kept
            self.note("do", in_threads, (work, parts, *values), words, out)

        return sharing

    def _remembering(self, cached: Any) -> Any:
        """A function that makes something once and for all, out of numbers alone."""

        def remembering(*inputs: Any, **words: Any) -> Any:
            if not self.listening():
                return cached(*inputs, **words)
            with self.unheard():
                return cached(*inputs, **words)

        return remembering

    def traced(self, array: Array) -> Any:
        """The stand-in for an array, always the same."""
        if not self.listening():
            return array
        if id(array) not in self.handed_out:
            self.handed_out[id(array)] = self._stand_in(array)
        return self.handed_out[id(array)]

    def _stand_in(self, array: Array, scalar: bool = False) -> Traced:
        self.stand_ins.append(ref(made := Traced(array, scalar)))
        return made

    def owner(self, array: Array) -> Traced:
        return self.traced(root(array))

    def note(self, how: str, function: Any, inputs: Any, words: Any, out: Any, mark: Any = None) -> None:
        if not self.listening():
            return
        if out is not None and id(root(out)) in self.inputs:
            self.refuse("it changes its argument in place")
        name = mark or getattr(function, "__qualname__", repr(function))
        self.calls.append(Call(how, function, tuple(inputs), words, out, (how, name), users_line()))

    def new(self, how: str, function: Any, inputs: Any, words: Any, value: Any, mark: Any = None) -> Any:
        """The stand-in for `value`, which a call has made."""
        if not self.listening():
            return value
        if not isinstance(value, (np.ndarray, np.generic)):
            self.refuse(f"{getattr(function, '__name__', function)} has a result that is no array")
            return value
        buffer = value
        if isinstance(value, np.generic):
            buffer = np.ndarray((), value.dtype)
            buffer[...] = value
        self.made[id(root(buffer))] = root(buffer)
        plain_one = self.traced(buffer)
        self.note(how, function, inputs, words, buffer, mark)
        return plain_one if buffer is value else self._stand_in(buffer, scalar=True)

    def without_stand_ins(self, result: Any) -> Any:
        if type(result) is Traced:
            self.refuse("it returns an array: return a tensor, or look at the array after the step")
            return result.buffer[()] if result.scalar else result.buffer
        if type(result) in (tuple, list):
            return type(result)([self.without_stand_ins(x) for x in result])
        return {name: self.without_stand_ins(x) for name, x in result.items()} if type(result) is dict else result

    def forgotten(self) -> tuple[list[ref[Any]], list[ref[Any]]]:
        tensors = [ref(x) for x in self.tensors.values()]
        self.tensors.clear()
        self.handed_out.clear()
        return tensors, self.stand_ins

    def signature(self, result: Any) -> list[Line]:
        """What two recordings of the same step have in common: the calls, each with the line that made it."""
        lines = []
        for call in self.calls:
            values = call.inputs[:1] if call.how == "start" else call.inputs
            lines.append(([call.mark, self.known(values), self.known(call.words), self.known(call.out)], call.line))
        return [*lines, self.last_line(result)]

    def known_tensor(self, x: Tensor) -> Any:
        return self.known_array(x.array)

    def known_array(self, array: Array) -> Any:
        owner = root(array)
        if id(owner) in self.made or id(owner) in self.inputs:
            return self.numbers.setdefault(id(owner), len(self.numbers)), place(array)
        self.alive.append(owner)
        return "outside", id(owner), place(array)

    # -- kinds of calls

    def ufunc(self, ufunc: np.ufunc, method: str, inputs: Any, words: dict[str, Any]) -> Any:
        given = words.pop("out", None)
        out = given[0] if isinstance(given, tuple) else given
        if getattr(out, "scalar", False):
            out = None  # `number += x` gives the name to a new number
        values, words = plain(inputs), plain(words)
        function, mark = (ufunc if method == "__call__" else getattr(ufunc, method)), f"{ufunc.__name__}.{method}"
        with self.unheard():
            value = function(*values, **words) if out is None else function(*values, **words, out=plain(out))
        if method == "at":
            return self.note("do", function, values, words, values[0], mark)
        if out is None:
            return self.new("into", function, values, words, value, mark)
        self.note("into", function, values, words, plain(out), mark)
        return out

    def power(self, x: Any, y: Any) -> Any:
        numbers = not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray)
        values = [Scalar(v.buffer) if type(v) is Traced and numbers else plain(v) for v in (x, y)]
        with self.unheard():
            value = operator.pow(*[v.buffer[()] if isinstance(v, Scalar) else v for v in values])
        return self.new("copy", operator.pow, values, {}, value)

    def function(self, function: Any, inputs: Any, words: dict[str, Any]) -> Any:
        name = function.__name__
        if name in _LOOKING:
            return function(*plain(inputs), **plain(words))
        if name.endswith("_like"):
            return self.filled(function, inputs, words)
        if name == "copyto":
            return self.in_place(function, *inputs, **words)
        if name not in _STATIC or (name == "where" and len(inputs) == 1) or words.get("copy") is False:
            self.refuse(f"numpy.{name} is not among the functions that can be replayed")
            with self.unheard():
                return function(*plain(inputs), **plain(words))
        return self.call(function, inputs, words)

    def call(self, function: Any, inputs: Any, words: dict[str, Any]) -> Any:
        """A function whose result is either new or a view."""
        values, words = plain(inputs), plain(words)
        with self.unheard():
            value = function(*values, **words)
        if isinstance(value, np.ndarray) and any(value is x for x in (*values[1:], words.get("out"))):
            self.note("do", function, values, words, value)
            return self.traced(value)
        if isinstance(value, np.ndarray) and any(root(value) is root(x) for x in arrays_in((values, words))):
            return self.traced(value)  # a view is the same at every step
        writes = function.__name__ in _WRITING and isinstance(value, np.ndarray)
        return self.new("into" if writes else "copy", function, values, words, value)

    def in_place(self, function: Any, *inputs: Any, **words: Any) -> None:
        values, words = plain(inputs), plain(words)
        with self.unheard():
            function(*values, **words)
        self.note("do", function, values, words, values[0])

    def assigned(self, x: Traced, index: Any, value: Any) -> None:
        """x[index] = value"""
        with self.unheard():
            part = x.buffer[plain(index)]
        if isinstance(part, np.ndarray) and root(part) is root(x.buffer):
            self.copied(part, value)
        else:
            self.in_place(operator.setitem, x, index, value)

    def copied(self, part: Array, value: Any) -> None:
        """The numbers of `value` put into `part` of an array."""
        value = plain(value)
        with self.unheard():
            np.copyto(part, value, casting="unsafe")
        self.note("do", np.copyto, (part, value), casting(value, part), part)

    def picked(self, x: Traced, index: Any) -> Any:
        masks = [i for i in (index if isinstance(index, tuple) else (index,)) if getattr(i, "dtype", "") == "bool"]
        if masks:
            self.refuse("how many entries a mask picks may be different every time")
        return self.call(operator.getitem, (x, index), {})

    def same_numbers(self, method: str, x: Array, inputs: Any, words: dict[str, Any]) -> Any:
        if "order" in words and method in ("ravel", "reshape"):
            return self.call(getattr(np.ndarray, method), (x, *inputs), words)
        return self.copy_of(x, getattr(x, method)(*inputs, **words))

    def copy_of(self, x: Array, value: Array) -> Any:
        """The stand-in for `value`, the same numbers as in x in the same order: a view of x, or copied from there."""
        if root(value) is root(x):
            return self.traced(value)
        return self.new("do", np.copyto, (value.reshape(x.shape), x), casting(x, value), value)

    def created(self, create: Any, inputs: Any, words: dict[str, Any]) -> Any:
        """A new array out of none, or `array(x)` and its like."""
        source = inputs[0] if inputs else None
        if create.__name__.endswith("array") and (isinstance(source, np.ndarray) or type(source) is Traced):
            with self.unheard():
                value = create(plain(source), *plain(inputs[1:]), **plain(words))
            return self.copy_of(plain(source), value)
        if next(arrays_in(plain((inputs, words))), None) is not None:
            self.refuse("it makes an array of numbers taken from tensors")
        return self.filled(create, inputs, words)

    def filled(self, create: Any, inputs: Any, words: dict[str, Any]) -> Any:
        """A new array with the same numbers at every step; a replay fills it anew if they are written over."""
        with self.unheard():
            value = create(*plain(inputs), **plain(words))
        name = create.__name__.removesuffix("_like")
        copy = value.copy() if isinstance(value, np.ndarray) else value
        number = {"zeros": 0, "ones": 1, "empty": None}.get(name, copy)
        mark = (name, number.tobytes() if isinstance(number, np.ndarray) else number)
        how = "none" if name == "empty" else "start"
        return self.new(how, np.copyto, (value, number), {"casting": "unsafe"}, value, mark)

    def drawn(self, owner: backend.Generator, name: str, inputs: Any, words: dict[str, Any]) -> Any:
        values, words = plain(inputs), plain(words)

        def draw(*given: Any, **named: Any) -> Any:  # manual_seed gives the owner another stream
            return getattr(vars(owner)["numpy"], name)(*given, **named)

        with self.unheard():
            value = draw(*values, **words)
        return self.new("draw", draw, values, words, value, (name, id(owner)))


def plain(value: Any) -> Any:
    """`value` with the arrays themselves in place of their stand-ins."""
    if type(value) is Traced:
        return value.buffer
    if type(value) in (tuple, list):
        return type(value)([plain(x) for x in value])
    return {name: plain(x) for name, x in value.items()} if type(value) is dict else value


# -- functions of NumPy that hand nothing over ------------------------------------------------------------------------


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


recorders.append(Recorder())
