"""`lint` stands around a training loop, looks at what happens, and warns about the usual mistakes.

It sees the results of ops, calls of modules, backward passes and steps; what it remembers of them is in
watches.py, and what it looks for in rules.py.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import wraps
from threading import get_ident
from types import TracebackType
from typing import Any, NamedTuple

from minidl.autograd import Tensor, engine, gradients
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.study.calls import replace, replace_steps
from minidl.study.linting import losses, rules
from minidl.study.linting.watches import Activity, Evaluations, Look, Loop, Losses, Numbers, user_line


class LintWarning(UserWarning):
    """The category of what `lint` warns about."""


class Finding(NamedTuple):
    """A mistake: the check that found it, what was expected, what came, what to do; file and line of the program."""

    check: str
    expected: str
    came: str
    do: str
    place: tuple[str, int]

    @property
    def message(self) -> str:
        """All but the place, in one line."""
        return f"{self.check}: expected {self.expected}; came {self.came}. {self.do[0].upper()}{self.do[1:]}."

    def __str__(self) -> str:
        file, line = self.place
        rows = [f"{name:9} {value}" for name, value in zip(self._fields[1:4], self[1:4], strict=True)]
        return "\n  ".join([f"{self.check}, at {file}:{line}", *rows])


class lint:
    """Warn, once each, about mistakes in the training loop that runs inside this `with` block.

    Every model that is called and every optimizer that steps in it is watched; those that are given are known even if
    they are not used.  A warning is a `LintWarning` and says what was expected, what came and what to do; `findings`
    keeps them, and `print` shows them.  An error that comes from the labels of a loss is explained by a warning, too.

    The loop computes the same numbers to the bit, in about twice the time where steps are small, and nothing is left
    behind afterwards, nor does it cost anything then.  Learning rates are judged by weights of modules only.  What
    other threads do is not looked at.  RuntimeError for a block inside a block of the same `lint`.

    >>> import minidl, warnings
    >>> from minidl import nn, optim, study
    >>> model = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1))
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> with warnings.catch_warnings(action="ignore"), study.lint(model, optimizer) as report:
    ...     for step in range(3):
    ...         nn.functional.cross_entropy(model(minidl.ones(2, 3)), minidl.tensor([0, 1])).backward()
    ...         optimizer.step()
    >>> [finding.check for finding in report.findings]
    ['softmax_before_cross_entropy', 'no_zero_grad']
    """

    def __init__(self, *watched: Module | Optimizer) -> None:
        for x in watched:
            if not isinstance(x, (Module, Optimizer)):
                raise TypeError(f"lint: expected models and optimizers, got {type(x).__name__}")
        self._watched = watched
        self._on = False
        self.findings: list[Finding] = []

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "lint found nothing"

    __repr__ = __str__

    # -- attaching

    def __enter__(self) -> lint:
        if self._on:
            raise RuntimeError("this lint is watching already: give the inner block one of its own, study.lint()")
        self._watches, self._next, self._on = _Watches(self._look, self._watched), engine.watch, True
        self._thread = get_ident()
        with ExitStack() as undo:
            replace(undo, engine, "watch", self)
            replace(undo, gradients, "run_backward", self._by_way_of(self._backward, gradients.run_backward))
            replace(undo, Module, "__call__", self._by_way_of(self._call, Module.__call__))
            replace_steps(undo, lambda step: self._by_way_of(self._step, step))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._undo.close()
        watches, self._on = self._watches, False
        del self._watches  # which keeps gradients alive
        if error is None:
            watches.losses.over()
            watches.evaluations.over()
            watches.loop.judge_parameters(1)
        else:
            watches.losses.failed(traceback)

    def _by_way_of(self, see: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
        """A function that does what `original` does, while `see` looks on; who keeps it longer has the original."""

        @wraps(original)
        def watched(*inputs: Any, **options: Any) -> Any:
            watching = self._on and get_ident() == self._thread
            return see(original, *inputs, **options) if watching else original(*inputs, **options)

        return watched

    def _look(self, event: Any) -> None:
        """Show something that happened to the checks of its kind, but for those that have found something."""
        for check in rules.CHECKS[type(event)]:
            known = {finding.check for finding in self.findings}
            if not known & {check.name, *rules.CAUSES.get(check.name, ())} and (came := check.find(event)):
                place = event.place if hasattr(event, "place") else user_line(sys._getframe())
                self.findings.append(finding := Finding(check.name, check.expected, came, check.do, place))
                warnings.warn_explicit(finding.message, LintWarning, *place)

    # -- what is seen

    def _call(self, original: Callable[..., Any], module: Module, *inputs: Any, **options: Any) -> Any:
        watches = self._watches
        if watches.depth == 0:
            watches.loop.models.setdefault(module)
            watches.evaluations.begin()
            watches.outermost = module
        watches.loop.layers.setdefault(watches.outermost, {}).setdefault(module)
        watches.evaluations.layer(module)
        watches.depth += 1
        try:
            output = original(module, *inputs, **options)
        finally:
            watches.depth -= 1
        if watches.depth == 0:
            watches.evaluations.returned(output)
            watches.numbers.seen((*inputs, *options.values()), output)
        return output

    def _backward(self, original: Callable[..., Any], roots: Any, *given: Any, **options: Any) -> Any:
        self._watches.losses.over()
        with self._watches.loop.backward(roots):
            return original(roots, *given, **options)

    def _step(self, original: Callable[..., Any], optimizer: Optimizer, *closure: Any, **options: Any) -> Any:
        if self._watches.loop.stepping:  # it is that of the class above
            return original(optimizer, *closure, **options)
        first = not optimizer.stepped
        with self._watches.loop.step(optimizer):
            answer = original(optimizer, *closure, **options)
        self._watches.losses.step(first)
        self._watches.evaluations.over()
        return answer

    def result(self, name: str, result: Tensor, inputs: tuple[Any, ...], settings: dict[str, Any]) -> None:
        """The engine shows the result of an op."""
        if self._next is not None:
            self._next.result(name, result, inputs, settings)
        if get_ident() != self._thread:
            return
        self._watches.losses.op(result)
        self._watches.evaluations.op(result, inputs)
        if result.tracked:
            self._watches.activity.op(name, result)
            if name == "subtract" and all(isinstance(x, Tensor) for x in inputs):
                self._look(losses.Difference(inputs[0], inputs[1], result))

    def rules(self, node: Tensor, found: Iterable[Any]) -> Iterable[Any]:
        """The engine asks for the rules of an op: they stay what they are."""
        return found if self._next is None else self._next.rules(node, found)

    def received(self, x: Tensor, gx: Any, total: Any) -> None:
        """The engine shows a gradient on its way."""
        if self._next is not None:
            self._next.received(x, gx, total)
        if x.op is None and get_ident() == self._thread:
            self._watches.loop.arrives(x)


class _Watches:
    """All that is remembered while a block runs."""

    def __init__(self, look: Look, watched: tuple[Module | Optimizer, ...]) -> None:
        models = [x for x in watched if isinstance(x, Module)]
        self.depth = 0  # of the modules that are running
        self.outermost: Module | None = None  # of these
        self.numbers = Numbers(look)
        self.loop = Loop(look, models, [x for x in watched if isinstance(x, Optimizer)])
        self.losses = Losses(look)
        self.evaluations = Evaluations(look)
        self.activity = Activity(look, self.loop.name)
