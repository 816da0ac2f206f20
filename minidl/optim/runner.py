"""Run the rule of an optimizer fast, without a second copy of its mathematics.

The rule is called once on stand-ins that note which ufuncs it calls; those calls are then repeated, on pieces of
the arrays that fit into the cache, with a few buffers used again and again (on a GPU: as one kernel, written in C).

A rule is a pure function `rule(xp, w, g, *memory, **letters)`.  Arrays (weights, gradient, what it remembers) are
positional, numbers are keyword-only.  It returns a dictionary: the new `w`, the new memory under its letters, and
whatever else a reader wants to see.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minidl.backend import LINE, Array, aligned
from minidl.kernels import updates
from minidl.threads import get_num_threads, in_threads

CHUNK = 2**16  # elements: large enough to hide the cost of a call, small enough that all arrays stay in the cache
SHARE = 2 * CHUNK  # elements: the same where threads share the arrays, for at the start of each call others must wait
WORK = 1 << 19  # elements times calls: what is worth a thread of its own, since waking it takes time

Rule = Callable[..., dict[str, Any]]
Run = Callable[..., None]  # updates w and memory in place, given [w, g, *memory]; on a GPU as kernels/updates.py says


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
        self._programs: dict[Any, Program | None] = {}

    def __call__(self, xp: Any, w: Array, g: Array, *memory: Array, **letters: float) -> dict[str, Any]:
        """Every quantity of the update, computed as the rule is printed; nothing is changed."""
        w, g = self.prepared(w, g, **letters)
        results = self.rule(xp, w, g, *memory, **self.of_rule(letters))
        if missing := [name for name in ("w", *self.memory) if name not in results]:
            raise TypeError(f"{self.rule.__qualname__} must return the new {missing}, returns {list(results)} only")
        return results

    def prepared(self, w: Array, g: Array, **letters: float) -> tuple[Array, Array]:
        """The weights and the gradient that the rule is given: with weight decay, uphill or downhill."""
        if self.maximize:
            g = -g
        if self.decay == "gradient":
            g = g + letters["weight_decay"] * w
        if self.decay == "weights":
            w = w - letters["lr"] * letters["weight_decay"] * w
        return w, g

    def of_rule(self, letters: Mapping[str, float]) -> dict[str, float]:
        """Those of the numbers that the rule asks for."""
        return {name: letters[name] for name in self._of_rule}

    def __reduce__(self) -> tuple[Any, ...]:
        return Update, (self.rule, self.maximize, self.decay)  # a copy finds the fast way itself

    def runner(self, xp: Any, dtype: np.dtype[Any], letters: Mapping[str, float]) -> Run | None:
        """The fast way to do this update with these numbers, on flat arrays; None if it must be called as it is."""
        key = xp.__name__, dtype
        if key not in self._programs:
            method = hasattr(self.rule, "__self__")  # what it reads from its object may change: it is called every time
            self._programs[key] = None if method else record(self, xp, dtype, letters)
        program = self._programs[key]
        if program is None:
            return None
        numbers = program.numbers(letters)
        if xp is np:
            program.cells[:] = numbers
            return program.run
        return partial(updates.update, xp, program.code, numbers)


# -- recording: what does the rule do? -----------------------------------------------------------------------------

# A quantity is an array, known by its place (first those that the rule is given, then the results of its calls), or a
# number, known by its formula, such as "(float(1) - letters['b1'])".
Key = int | str
Call = tuple[np.ufunc, tuple[Key, ...], int]  # a ufunc, its operands, its result
Placed = tuple[np.ufunc, int, int | None, int]  # a ufunc, the places of one or two operands and of the result

# Numbers are computed by Python: NumPy's would turn float32 arrays to float64.
_FORMULAS = {
    np.add: "({} + {})", np.subtract: "({} - {})", np.multiply: "({} * {})", np.true_divide: "({} / {})",
    np.power: "({} ** {})", np.negative: "(-{})", np.positive: "{}",
}  # fmt: skip


class _Recorder:
    """The calls of ufuncs that a rule makes, in order; some error for one that cannot be repeated."""

    def __init__(self, xp: Any, dtype: np.dtype[Any], arrays: int) -> None:
        self.xp, self.example, self.arrays = xp, np.ones(1, dtype), arrays
        self.calls: list[Call] = []

    def call(self, ufunc: np.ufunc, *operands: Any) -> _Quantity:
        keys = tuple(x.key if isinstance(x, _Quantity) else f"float({x!r})" for x in operands)
        if all(isinstance(key, str) for key in keys):
            return _Quantity(self, _FORMULAS[ufunc].format(*keys))
        result = ufunc(*[1.0 if isinstance(key, str) else self.example for key in keys])
        if result.dtype != self.example.dtype:
            raise TypeError(f"{ufunc.__name__} makes {result.dtype}")
        self.calls.append((ufunc, keys, self.arrays + len(self.calls)))
        return _Quantity(self, self.calls[-1][2])


class _Quantity(NDArrayOperatorsMixin):
    """Stands for an array or a number while a rule is recorded; NumPy hands every ufunc called on it to it."""

    def __init__(self, recorder: _Recorder, key: Key) -> None:
        self.recorder, self.key = recorder, key

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> _Quantity:
        if method != "__call__" or options:
            raise TypeError(f"{ufunc.__name__}.{method} with {sorted(options)} in a rule")
        return self.recorder.call(ufunc, *operands)

    def __pow__(self, exponent: Any) -> _Quantity:
        # As arrays do: x**2 is the square, which has other last bits than the power function.
        if isinstance(self.key, int) and type(exponent) in (int, float) and exponent in (2, 0.5):
            return self.recorder.call(np.square if exponent == 2 else np.sqrt, self)
        return self.recorder.call(np.power, self, exponent)

    __bool__ = __array__ = __array_function__ = None  # TypeError: a rule that looks at the numbers themselves


def record(update: Update, xp: Any, dtype: np.dtype[Any], letters: Mapping[str, float]) -> Program | None:
    """The program of `update` on arrays of `dtype`, for `xp`; None where it must be called itself.

    A program is believed only if it repeats the rule bit for bit on random arrays, with these `letters`.
    """
    names = ("w", "g", *update.memory)
    recorder, random = _Recorder(xp, dtype, len(names)), np.random.default_rng(0)
    numbers: dict[str, Any] = {name: _Quantity(recorder, f"letters[{name!r}]") for name in letters}
    given = [*random.standard_normal((2, 257)).astype(dtype), *random.random((len(names) - 2, 257)).astype(dtype)]

    def outcome(arrays: list[Any], numbers: Mapping[str, Any]) -> dict[str, Any]:
        return update(np, *arrays, **numbers) | {"g": arrays[1]}

    with np.errstate(all="ignore"):
        try:
            results = outcome([_Quantity(recorder, i) for i in range(len(names))], numbers)
            program = Program(recorder, _finals(recorder, [results[name] for name in names]))
            expected = outcome([x.copy() for x in given], letters)
            program.cells[:] = program.numbers(letters)
            program.run(given)
        except Exception:  # whatever a rule does with stand-ins: if it is a mistake, arrays will meet it, too
            return None
    same = [expected[name].dtype == x.dtype and np.array_equal(expected[name], x, equal_nan=True)
            for name, x in zip(names, given, strict=True)]  # fmt: skip
    return program if all(same) else None


def _finals(recorder: _Recorder, results: Sequence[Any]) -> dict[Key, int]:
    """Which array is to be written over which of the given ones (both by number)."""
    finals: dict[Key, int] = {}
    for target, final in enumerate(results):
        if final.key != target:
            if final.key in finals or final.key < len(results):
                final = recorder.call(np.positive, final)  # a copy, so that each target has a result of its own
            finals[final.key] = target
    return finals


# -- repeating ---------------------------------------------------------------------------------------------------


class Program:
    """The calls of a rule that its results need, with a place for every value.

    Places: first the given arrays [w, g, *memory], then the numbers, then buffers.  `finals` says which value is
    written over which given array; this is done by the call that computes it wherever the old value has been read
    for the last time.
    """

    def __init__(self, recorder: _Recorder, finals: Mapping[Key, int]) -> None:
        needed, calls, arrays = set[Key](finals), list[Call](), recorder.arrays
        for call in reversed(recorder.calls):
            if call[2] in needed:
                needed.update(call[1])
                calls.insert(0, call)
        numbers = list(dict.fromkeys(key for call in calls for key in call[1] if isinstance(key, str)))
        places: dict[Key, int] = {i: i for i in range(arrays)} | {x: arrays + i for i, x in enumerate(numbers)}
        self._calls, buffers = _placed(calls, places, finals)
        self._targets, self._least = sorted(finals.values()), WORK // max(1, len(self._calls))

        # The numbers that meet arrays in the rule, such as 1 - b1**t, for the values of the letters.
        self.numbers: Callable[[Mapping[str, float]], list[float]] = eval(f"lambda letters: [{', '.join(numbers)}]")
        self.cells = np.empty(len(numbers), recorder.example.dtype)  # for them
        self._cells = [self.cells[i, ...] for i in range(len(numbers))]  # 0-d arrays: faster than Python's floats
        self._buffers = [[aligned(np, SHARE, self.cells.dtype) for _ in range(buffers)]]  # of each thread
        sizes = arrays - 2, len(numbers), self.cells.dtype
        self.code = "" if recorder.xp is np else updates.written(self.kernel, *sizes)

    def run(self, arrays: Sequence[Array]) -> None:
        """Update w and memory in `arrays`, which are [w, g, *memory], flat; the numbers are in `cells`."""
        n = len(arrays[0])
        if n < 2 * self._least or (threads := min(get_num_threads(), n // self._least)) == 1:
            return self._repeat(CHUNK, 0, arrays)
        while len(self._buffers) < threads:
            self._buffers.append([aligned(np, SHARE, x.dtype) for x in self._buffers[0]])
        size = -(-n // (threads * LINE)) * LINE
        parts = [(SHARE, k, [a[k * size : (k + 1) * size] for a in arrays]) for k in range(threads)]
        in_threads(self._repeat, parts)

    def _repeat(self, chunk: int, thread: int, arrays: Sequence[Array]) -> None:
        """The calls on so many entries at a time, in the buffers of that thread."""
        n = len(arrays[0])
        pieces = -(-n // chunk)
        size = -(-n // (pieces * LINE)) * LINE if pieces else 1  # equal, and aligned
        for start in range(0, n, size):
            values = [a[start : start + size] for a in arrays] if pieces > 1 else list(arrays)
            count = len(values[0])
            values += self._cells
            values += [buffer[:count] for buffer in self._buffers[thread]]
            for ufunc, x, y, out in self._calls:
                if y is None:
                    ufunc(values[x], out=values[out])
                else:
                    ufunc(values[x], values[y], out=values[out])

    def kernel(self, xp: Any) -> Callable[..., None]:
        """The same as one function of all arrays and numbers that calls ufuncs of `xp` only, to be written as C."""

        def update(*given: Any) -> None:
            values = [*given, *[None] * len(self._buffers[0])]
            for ufunc, x, y, out in self._calls:
                values[out] = getattr(xp, ufunc.__name__)(*[values[i] for i in (x, y) if i is not None])
            for target in self._targets:
                given[target][...] = values[target]

        return update


def _placed(calls: list[Call], given: Mapping[Key, int], finals: Mapping[Key, int]) -> tuple[list[Placed], int]:
    """The calls with the place of every operand and result, and how many buffers they need.

    A place is free once its value was read for the last time, even by the call that writes there, for ufuncs work
    element by element.  That of an array to be overwritten is free only until its new value comes.
    """
    places, free, buffers, placed, late = {**given}, list[int](), 0, list[Placed](), []
    last_read = {key: position for position, call in enumerate(calls) for key in call[1]}
    new_comes = {finals[call[2]]: position for position, call in enumerate(calls) if call[2] in finals}
    for position, (ufunc, operands, result) in enumerate(calls):
        x, y = places[operands[0]], places[operands[1]] if len(operands) > 1 else None
        done = [key for key in dict.fromkeys(operands) if last_read[key] == position and key not in finals]
        free += [places[key] for key in done if key not in given or key in new_comes]
        place = finals.get(result)
        if place is None or last_read.get(place, -1) > position:
            if place is not None:
                late.append((result, place))  # the old value is still to be read
            until = last_read[result] if place is None else len(calls)
            if not (fitting := [x for x in free if until <= new_comes.get(x, until)]):
                fitting, buffers = [len(given) + buffers], buffers + 1
            place = fitting[-1]
            free = [x for x in free if x != place]
        places[result] = place
        placed.append((ufunc, x, y, place))
    return placed + [(np.positive, places[result], None, place) for result, place in late], buffers
