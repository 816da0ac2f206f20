"""`profile`: where the time and the memory of a training step go, by op and by module, forward and backward.

For the length of a run, what the engine calls is wrapped in a clock: the function of every op, the rules of the
backward pass, the steps of optimizers.  Afterwards everything is as it was.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial, wraps
from time import perf_counter
from types import FunctionType
from typing import Any, NamedTuple, Self

import numpy as np

from minidl.autograd import engine
from minidl.autograd.tensor import Tensor
from minidl.backend import array_module
from minidl.nn import Module
from minidl.ops.elementwise import add
from minidl.optim import Optimizer
from minidl.replay import compiled
from minidl.study.calls import Calls, replace, replace_steps, titles
from minidl.study.costs.profiles import Entry, Profile

Key = tuple[tuple[Module, ...], str, str]


class Found(NamedTuple):
    """One measurement: the modules at work, outermost first; forward, backward or optimizer; the op; and how much.

    `amount` is in seconds; in the run that measures memory in bytes that are still allocated, `peak` being the most at
    once.
    """

    modules: tuple[Module, ...]
    phase: str
    op: str
    calls: int
    amount: float
    peak: int


def profile(step: Callable[[], Any], runs: int = 20) -> Profile:
    """Where `step()`, say a training step, spends its time and its memory: print it, `plot(path)` it.

    `step` is called 2 · `runs` + 2 times (`runs` being even), with all that it changes: once to warm up; then twice as
    it is and twice measured, in turn; and once to measure memory, which takes too long to be timed.  Of every time the
    shortest is kept, which other programs disturbed least.

    The time that measuring adds to a step is stated, and taken off what is outside ops.  Time between ops, in the
    engine, the modules and the program, is called "Python outside ops".  The steps of optimizers are measured, too, if
    `step` calls them as methods.  Memory is that of the host.  What minidl.compile would replay, which has no ops, runs
    as it is written.  ValueError without a run, TypeError for what is no function.

    >>> import minidl
    >>> from minidl import study
    >>> w = minidl.ones(3, requires_grad=True)
    >>> result = study.profile(lambda: (w * w).sum().backward())
    >>> {(entry.op, entry.phase, entry.calls) for entry in result.entries} == {
    ...     ("multiply", "forward", 1), ("sum", "forward", 1), ("sum", "backward", 1), ("multiply", "backward", 2)}
    True
    """
    if not callable(step) or not hasattr(runs, "__index__") or isinstance(runs, Tensor):
        came = type(runs if callable(step) else step).__name__
        raise TypeError(f"profile: expected a function without arguments, such as lambda: step(x, y), and a number of "
                        f"runs, got {came}")  # fmt: skip
    if runs < 1:
        raise ValueError(f"profile: expected at least one run, got runs={runs}")
    replays = list[Any]()
    compiled.written.append(replays)
    try:
        found = _profile(step, runs)
    finally:
        compiled.written[:] = [calls for calls in compiled.written if calls is not replays]
    found.replays = bool(replays)
    return found


def _profile(step: Callable[[], Any], runs: int) -> Profile:
    step()
    ops = _ops()
    plain, measured = list[float](), list[tuple[float, list[Found]]]()
    for _ in range((runs + 1) // 2):
        plain += [_seconds(step), _seconds(step)]
        with Meter(ops) as meter:
            for _ in range(2):  # the second is the faster: Python has adapted itself to what was wrapped
                meter.found = []
                measured.append((_seconds(step), meter.found))
    with MemoryMeter(ops) as memory:
        step()
    times = [_sums(found) for _, found in measured]
    between = min(seconds - sum(one.amount for one in found) for seconds, found in measured)
    return Profile(_entries(times, _sums(memory.found)), min(plain), between, memory.most, len(plain))


def _seconds(step: Callable[[], Any]) -> float:
    start = perf_counter()
    step()
    return perf_counter() - start


def _sums(found: list[Found]) -> dict[Key, Found]:
    """What was found, by module, phase and op, in the order of the run."""
    sums: dict[Key, Found] = {}
    for one in found:
        key = one[:3]
        calls, amount, peak = sums[key][3:] if key in sums else (0, 0.0, 0)
        sums[key] = Found(*key, calls + one.calls, amount + one.amount, max(peak, one.peak))
    return sums


def _entries(times: list[dict[Key, Found]], memory: dict[Key, Found]) -> list[Entry]:
    """The shortest times of several runs, with the bytes of another."""
    names, entries = _Names(), list[Entry]()
    for key in dict.fromkeys(key for run in times for key in run):
        runs, size = [run[key] for run in times if key in run], memory.get(key)
        kept, peak = (int(size.amount), size.peak) if size else (0, 0)
        seconds = min(run.amount for run in runs)
        entries.append(Entry(names.of(key[0]), key[1], key[2], runs[0].calls, seconds, kept, peak))
    return entries


class _Names:
    """Modules as tables call them, by the names that the outermost of them knows; several of a kind are numbered."""

    def __init__(self) -> None:
        self.known: dict[Module, dict[Module, str]] = {}

    def of(self, modules: tuple[Module, ...]) -> tuple[str, ...]:
        """The titles of modules, the outermost first."""
        if not modules:
            return ()
        if (outer := modules[0]) not in self.known:
            like = sum(type(other) is type(outer) for other in self.known)
            self.known[outer] = titles(outer) | ({outer: f"{type(outer).__name__} {like + 1}"} if like else {})
        names = self.known[outer]
        return tuple(names.get(module, type(module).__name__) for module in modules)


# -- measuring ----------------------------------------------------------------------------------------------------


class Meter:
    """Measures what runs meanwhile, the `ops` above all; one that another or a rule calls counts as a part of that."""

    def __init__(self, ops: list[Any]) -> None:
        self.ops = ops
        self.found = list[Found]()
        self.inside = False  # an op or a rule
        self.spent = 0.0  # by all that was found so far
        self.calls = Calls()

    def __enter__(self) -> Self:
        with ExitStack() as undo:  # also where it cannot be entered
            undo.enter_context(self.calls)
            replace(undo, engine, "watch", self)
            for call in self.ops:
                cell = call.__closure__[call.__code__.co_freevars.index("function")]
                replace(undo, cell, "cell_contents", self._op(cell.cell_contents))
            replace_steps(undo, self._optimizer)
            self.undo = undo.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.undo.close()

    def read(self) -> Any:
        """The state of what is measured, from which `since` counts."""
        return perf_counter()

    def since(self, start: Any) -> float:
        """How much was used since that state."""
        return perf_counter() - start

    def add(self, modules: tuple[Module, ...], phase: str, op: str, start: Any, calls: int = 1,
            before: float = 0.0) -> None:  # fmt: skip
        """Note a measurement; `before` is what was found inside it, on its own."""
        amount = self.since(start) - before
        self.found.append(Found(modules, phase, op, calls, amount, self.peak(start)))
        self.spent += amount

    def peak(self, start: Any) -> int:
        """The most that was used at once since then."""
        return 0

    # -- what is wrapped

    def _op(self, function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__

        @wraps(function)
        def measured(*arrays: Any, **settings: Any) -> Any:
            if self.inside or not self.calls.here:
                return function(*arrays, **settings)
            self.inside, start = True, self.read()
            try:
                out = function(*arrays, **settings)
                _wait(out)
                return out
            finally:
                self.inside = False
                self.add(self.calls.running, "forward", name, start)

        return measured

    def _optimizer(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(step)
        def measured(optimizer: Optimizer, *closure: Any, **options: Any) -> Any:
            start, before = self.read(), self.spent
            try:
                return step(optimizer, *closure, **options)
            finally:
                _wait(optimizer.param_groups[0]["params"][0].array)
                self.add((), "optimizer", f"{type(optimizer).__name__}.step", start, 1, self.spent - before)

        return measured

    # -- what the engine shows

    def result(self, name: str, result: Tensor, inputs: Any, settings: dict[str, Any]) -> None:
        """Results are measured where they are computed."""

    def rules(self, node: Tensor, rules: Iterable[Any]) -> Iterator[Any]:
        """The rules of the op that made `node`, each wrapped."""
        if self.inside or not self.calls.here:
            return iter(rules)
        self.of = self.calls.at(node.order), "backward", node.op.__name__  # type: ignore[union-attr]
        return (rule and partial(self._rule, rule) for rule in rules)

    def _rule(self, rule: Callable[..., Any], *given: Any, **settings: Any) -> Any:
        self.inside, start = True, self.read()
        try:
            out = rule(*given, **settings)
            _wait(out)
            return out
        finally:
            self.inside = False
            self.add(*self.of, start)
            self.after = self.read()

    def received(self, x: Tensor, gx: Any, total: Any) -> None:
        """The sums over what was broadcast, and over several uses, belong to the op that gave the gradient."""
        if not self.inside and self.calls.here:
            _wait(total)
            self.add(*self.of, self.after, calls=0)


class MemoryMeter(Meter):
    """Measures the bytes that are still allocated afterwards, and the most at once: `most` of all."""

    def __enter__(self) -> Self:
        super().__enter__()
        if not tracemalloc.is_tracing():
            tracemalloc.start()
            self.undo.callback(tracemalloc.stop)
        self.most, self.bottom = 0, tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(self, *error: object) -> None:
        self.read()
        super().__exit__(*error)

    def read(self) -> int:
        now, self.top = tracemalloc.get_traced_memory()
        self.most = max(self.most, self.top - self.bottom)
        tracemalloc.reset_peak()
        return now

    def since(self, start: int) -> float:
        return self.read() - start

    def peak(self, start: int) -> int:
        return self.top - start


def _wait(out: Any) -> None:
    """Let a GPU finish what it was asked for, which is otherwise timed by whoever looks first."""
    array = out.array if isinstance(out, Tensor) else out
    if type(array) is not np.ndarray and (xp := array_module(array)) is not np:
        xp.cuda.get_current_stream().synchronize()


def _ops() -> list[Any]:
    """Every op that there is, the user's own too: `@op` made them all, so they share one code."""
    code = add.__code__  # type: ignore[attr-defined]
    return [found for found in gc.get_referrers(code) if isinstance(found, FunctionType)]
