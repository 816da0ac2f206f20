"""Run the rule of an optimizer fast, without a second copy of its mathematics.

The rule is called once on stand-ins that note which ufuncs it calls; those calls are then repeated, on pieces of
the arrays that fit into the cache, with a few buffers used again and again (on a GPU: as one fused kernel).

A rule is a pure function `rule(xp, w, g, *memory, **letters)`.  Arrays (weights, gradient, what it remembers) are
positional, numbers are keyword-only.  It returns a dictionary: the new `w`, the new memory under its letters, and
whatever else a reader wants to see.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minidl import backend
from minidl.backend import Array

CHUNK = 2**15  # elements: large enough to hide the cost of a call, small enough that all arrays stay in the cache
LINE = 64  # bytes in a line of the cache

Rule = Callable[..., dict[str, Any]]
Run = Callable[[Sequence[Array]], None]  # updates w and memory in place, given [w, g, *memory]


def aligned(xp: Any, n: int, dtype: np.dtype[Any]) -> Array:
    """A flat array of n zeros that starts with a line of the cache.

    NumPy's own start anywhere; products and sums of such arrays, when they stay in the cache, take up to twice as long.
    """
    if xp is not np:
        return xp.zeros(n, dtype)  # CuPy's are aligned
    memory = np.zeros(n * dtype.itemsize + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + n * dtype.itemsize].view(dtype)


class Update:
    """A rule, with the sign of the objective and weight decay, which are the same for all rules, before it.

    `decay` is "" (none), "gradient" (L2: the gradient of λ/2·w² joins g) or "weights" (decoupled from g).
    `memory` and `letters` are the names of what `rule` remembers and of the numbers that it needs.
    """

    def __init__(self, rule: Rule, maximize: bool = False, decay: str = "") -> None:
        self.rule, self.maximize, self.decay = rule, maximize, decay
        arguments = inspect.signature(rule).parameters.values()
        self.memory = tuple(a.name for a in arguments if a.kind is not a.KEYWORD_ONLY)[3:]  # after xp, w, g
        self._of_rule = tuple(a.name for a in arguments if a.kind is a.KEYWORD_ONLY)
        self.letters = tuple(dict.fromkeys([*self._of_rule, *(["lr", "weight_decay"] if decay else [])]))
        self._programs: dict[np.dtype[Any], Program | None] = {}
        self._kernels: dict[np.dtype[Any], Callable[..., None]] = {}

    def __call__(self, xp: Any, w: Array, g: Array, *memory: Array, **letters: float) -> dict[str, Any]:
        """Every quantity of the update, computed as the rule is printed; nothing is changed."""
        if self.maximize:
            g = -g
        if self.decay == "gradient":
            g = g + letters["weight_decay"] * w
        if self.decay == "weights":
            w = w - letters["lr"] * letters["weight_decay"] * w
        results = self.rule(xp, w, g, *memory, **{name: letters[name] for name in self._of_rule})
        if missing := [name for name in ("w", *self.memory) if name not in results]:
            raise TypeError(f"{self.rule.__qualname__} must return the new {missing}, returns {list(results)} only")
        return results

    def __reduce__(self) -> tuple[Any, ...]:
        return Update, (self.rule, self.maximize, self.decay)  # a copy finds the fast way itself

    def runner(self, xp: Any, dtype: np.dtype[Any], letters: Mapping[str, float]) -> Run | None:
        """The fast way to do this update with these numbers, on flat arrays; None if it must be called as it is."""
        if dtype not in self._programs:
            method = hasattr(self.rule, "__self__")  # what it reads from its object may change: it is called every time
            self._programs[dtype] = None if method else record(self, xp, dtype, letters)
        program = self._programs[dtype]
        if program is None:
            return None
        numbers = program.numbers(letters)
        if xp is np:
            program.cells[:] = numbers
            return program.run
        if dtype not in self._kernels:
            self._kernels[dtype] = backend.fuse(xp, program.kernel(xp))
        return lambda arrays: self._kernels[dtype](*arrays, *numbers)


# -- recording: what does the rule do? -----------------------------------------------------------------------------

Call = tuple[Callable[..., Any], tuple[int, ...], int]  # a function, the numbers of its operands, of its result

# Numbers are computed by Python: NumPy's would turn float32 arrays to float64, CuPy's fused ones to float16.
_ON_NUMBERS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.true_divide: operator.truediv,
    np.power: operator.pow, np.negative: operator.neg, np.positive: operator.pos,
}  # fmt: skip


class _Unrecordable(TypeError):
    """The rule does something else than call ufuncs on arrays of one dtype, and compute with numbers."""


class _Recorder:
    """The calls that a rule makes, in order, and an example of each quantity: an array of one element or a number."""

    def __init__(self, xp: Any, dtype: np.dtype[Any]) -> None:
        self.xp, self.dtype = xp, dtype
        self.examples: list[Any] = []
        self.calls: list[Call] = []
        self.literals: dict[int, float] = {}

    def new(self, example: Any) -> _Quantity:
        self.examples.append(example)
        return _Quantity(self, len(self.examples) - 1)

    def number_of(self, x: Any) -> int:
        if isinstance(x, _Quantity):
            return x.number
        if type(x) not in (int, float):
            raise _Unrecordable(f"{type(x).__name__} in a rule")
        literal = self.new(x)  # such as the 1 in 1 - b1
        self.literals[literal.number] = x
        return literal.number

    def is_array(self, number: int) -> bool:
        return isinstance(self.examples[number], np.ndarray)

    def call(self, ufunc: np.ufunc, *operands: Any) -> _Quantity:
        numbers = tuple(self.number_of(x) for x in operands)
        if any(self.is_array(i) for i in numbers):
            result = self.new(ufunc(*[self.examples[i] for i in numbers]))
            if self.examples[result.number].dtype != self.dtype or not hasattr(self.xp, ufunc.__name__):
                raise _Unrecordable(f"{ufunc.__name__}: {self.examples[result.number].dtype}")
            self.calls.append((ufunc, numbers, result.number))
        elif ufunc in _ON_NUMBERS:
            result = self.new(1.0)
            self.calls.append((_ON_NUMBERS[ufunc], numbers, result.number))
        else:
            raise _Unrecordable(f"{ufunc.__name__} of numbers")
        return result


class _Quantity(NDArrayOperatorsMixin):
    """Stands for an array or a number while a rule is recorded; NumPy hands every ufunc called on it to it."""

    __hash__ = object.__hash__

    def __init__(self, recorder: _Recorder, number: int) -> None:
        self.recorder, self.number = recorder, number

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> _Quantity:
        if method != "__call__" or options or ufunc.nout != 1 or ufunc.signature is not None:
            raise _Unrecordable(f"{ufunc.__name__}.{method} with {sorted(options)}")
        return self.recorder.call(ufunc, *operands)

    def __pow__(self, exponent: Any) -> _Quantity:
        # As arrays do: x**2 is the square, which has other last bits than the power function.
        if self.recorder.is_array(self.number) and type(exponent) in (int, float) and exponent in (2, 0.5):
            return self.recorder.call(np.square if exponent == 2 else np.sqrt, self)
        return self.recorder.call(np.power, self, exponent)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise _Unrecordable("a rule that looks at the numbers themselves")

    __bool__ = __array__ = __array_function__ = _refuse


def record(update: Update, xp: Any, dtype: np.dtype[Any], letters: Mapping[str, float]) -> Program | None:
    """The program of `update` on arrays of `dtype`, for `xp`; None where it must be called itself.

    A program is believed only if it repeats the rule bit for bit on random arrays, with these `letters`.
    """
    recorder = _Recorder(xp, dtype)
    arrays = [recorder.new(np.ones(1, dtype)) for _ in ("w", "g", *update.memory)]
    numbers: dict[str, Any] = {name: recorder.new(1.0) for name in letters}
    with np.errstate(all="ignore"):
        try:
            results = update(np, *arrays, **numbers)
            program = Program(recorder, len(arrays), tuple(letters), _finals(recorder, update.memory, results))
            return program if _repeats(program, update, dtype, letters) else None
        except Exception:  # whatever a rule does with stand-ins: if it is a mistake, arrays will meet it, too
            return None


def _finals(recorder: _Recorder, memory: Iterable[str], results: Mapping[str, Any]) -> dict[int, int]:
    """Which quantity is to be written over which of the given arrays (both by number)."""
    finals: dict[int, int] = {}
    for target, name in enumerate(("w", "g", *memory)):
        if name == "g" or results[name].number == target:
            continue
        final = results[name]
        if not recorder.is_array(final.number):
            raise _Unrecordable(f"{name} becomes a number")
        if final.number in finals or final.number < 2 + len(tuple(memory)):
            final = recorder.call(np.positive, final)  # a copy, so that each target has a result of its own
        finals[final.number] = target
    return finals


def _repeats(program: Program, update: Update, dtype: np.dtype[Any], letters: Mapping[str, float]) -> bool:
    random = np.random.default_rng(0)
    w, g = random.standard_normal((2, 257)).astype(dtype)
    given = [w, g, *random.random((len(update.memory), 257)).astype(dtype)]
    expected = update(np, *[x.copy() for x in given], **letters)
    program.cells[:] = program.numbers(letters)
    program.run(given)
    found = dict(zip(("w", "g", *update.memory), given, strict=True))
    return all(
        expected[name].dtype == dtype and np.array_equal(expected[name], found[name], equal_nan=True)
        for name in ("w", *update.memory)
    )


# -- repeating ---------------------------------------------------------------------------------------------------


class Program:
    """The calls of a rule that its results need, with a place for every value.

    Places: first the given arrays [w, g, *memory], then the numbers, then buffers.  `finals` says which value is
    written over which given array; this is done by the call that computes it wherever the old value has been read
    for the last time.
    """

    def __init__(self, recorder: _Recorder, arrays: int, letters: tuple[str, ...], finals: dict[int, int]) -> None:
        needed, kept = set(finals), []
        for call in reversed(recorder.calls):
            if call[2] in needed:
                needed.update(call[1])
                kept.append(call)
        kept.reverse()
        self._letters = [(arrays + i, name) for i, name in enumerate(letters)]
        self._literals = recorder.literals
        self._on_numbers = [call for call in kept if not recorder.is_array(call[2])]
        on_arrays = [call for call in kept if recorder.is_array(call[2])]
        operands = dict.fromkeys(i for call in on_arrays for i in call[1])
        self._numbers = [i for i in operands if not recorder.is_array(i)]  # those that meet an array
        places = {i: i for i in range(arrays)} | {i: arrays + k for k, i in enumerate(self._numbers)}
        self._steps, buffers = _placed(on_arrays, places, finals)
        self._targets = sorted(finals.values())

        dtype = recorder.dtype
        self.cells = np.empty(len(self._numbers), dtype)  # 0-d arrays of the right dtype: faster than Python floats
        self._calls = [(ufunc, _picker(operands), out) for ufunc, operands, out in self._steps]
        self._fixed = [self.cells[i : i + 1].reshape(()) for i in range(len(self._numbers))]
        self._buffers = [aligned(np, CHUNK, dtype) for _ in range(buffers)]

    def numbers(self, letters: Mapping[str, float]) -> list[float]:
        """The numbers that meet arrays in the rule, such as 1 - b1**t, for these values of the letters."""
        values = dict(self._literals)
        for i, name in self._letters:
            values[i] = letters[name]
        for function, operands, result in self._on_numbers:
            values[result] = function(*[values[i] for i in operands])
        return [float(values[i]) for i in self._numbers]

    def run(self, arrays: Sequence[Array]) -> None:
        """Update w and memory in `arrays`, which are [w, g, *memory], flat; the numbers are in `cells`."""
        n = len(arrays[0])
        size = min(CHUNK, math.ceil(n / math.ceil(n / CHUNK) / LINE) * LINE) if n else 1  # equal, and aligned
        for start in range(0, n, size):
            values = [a[start : start + size] for a in arrays] if size < n else list(arrays)
            count = len(values[0])
            values += self._fixed
            values += [buffer[:count] for buffer in self._buffers]
            for ufunc, pick, out in self._calls:
                ufunc(*pick(values), out=values[out])

    def kernel(self, xp: Any) -> Callable[..., None]:
        """The same as one function of all arrays and numbers that calls ufuncs of `xp` only, for `backend.fuse`."""
        steps = [(getattr(xp, ufunc.__name__), operands, out) for ufunc, operands, out in self._steps]

        def update(*given: Any) -> None:
            values = [*given, *[None] * len(self._buffers)]
            for ufunc, operands, out in steps:
                values[out] = ufunc(*[values[i] for i in operands])
            for target in self._targets:
                given[target][...] = values[target]

        return update


def _picker(places: tuple[int, ...]) -> Callable[[Sequence[Array]], Sequence[Array]]:
    """A fast function that takes a list to its entries at `places`."""
    return operator.itemgetter(*places) if len(places) > 1 else operator.itemgetter(slice(places[0], places[0] + 1))


def _placed(calls: Sequence[Call], places: dict[int, int], finals: dict[int, int]) -> tuple[list[Any], int]:
    """Give every result of `calls` a place: the calls by place, and how many buffers they need.

    A place is free once its value was read for the last time, even by the call that writes there, for ufuncs work
    element by element.  That of an array to be overwritten is free only until its new value comes.
    """
    end, first_buffer, buffers = len(calls), len(places), 0
    places, free, steps, late = dict(places), list[int](), [], []
    last_read = {i: position for position, call in enumerate(calls) for i in call[1]}
    new_comes = {finals[call[2]]: position for position, call in enumerate(calls) if call[2] in finals}
    for position, (ufunc, operands, result) in enumerate(calls):
        sources = tuple(places[i] for i in operands)
        for i in dict.fromkeys(operands):
            if last_read[i] == position and i not in finals and (places[i] >= first_buffer or places[i] in new_comes):
                free.append(places[i])
        place = finals.get(result)
        if place is None or last_read.get(place, -1) > position:
            if place is not None:
                late.append(result)  # the old value is still to be read
            until = end if result in late else last_read[result]
            place = next((x for x in reversed(free) if until <= new_comes.get(x, end)), first_buffer + buffers)
            if place in free:
                free.remove(place)
            else:
                buffers += 1
        places[result] = place
        steps.append((ufunc, sources, place))
    return steps + [(np.positive, (places[i],), finals[i]) for i in late], buffers
