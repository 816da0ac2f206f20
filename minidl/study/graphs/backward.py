"""`explain_backward`: the backward pass as a list of the steps that it took, each with its rule and its numbers.

The engine runs its own pass and calls its own rules; an observer notes what comes by.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from html import escape
from importlib.util import find_spec
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np

from minidl.autograd import engine
from minidl.autograd.tensor import Tensor
from minidl.study import charts
from minidl.study.graphs import page
from minidl.study.graphs.boxes import boxes
from minidl.study.graphs.draw import opened, variables
from minidl.study.graphs.formula import Formula
from minidl.study.graphs.graph import Graph, Node, array_of, behind, gradients_of, read
from minidl.study.graphs.words import in_words
from minidl.study.text import aligned, brief, wrapped

WIDEST = 44  # letters in a column of the printed table


@dataclass(eq=False)
class Share:
    """What one input receives in one step.

    - `formula`: its letter, the derivative, the rule, and the rule with the numbers put in.
    - `given`: the rule's answer; `received`: the same, summed over the dimensions along which the input was broadcast.
    - `total`: the sum of all that the input has received so far.
    """

    node: Node
    formula: Formula
    given: np.ndarray
    received: np.ndarray
    total: np.ndarray
    times: int  # how often it has received something by now
    uses: int = 1  # how often it will have

    @property
    def title(self) -> str:
        """The input, by the rule's letter and by its name: "x = a"."""
        name, letter = self.node.name, self.formula.letter
        return name if letter == name else f"{letter} = {name}"

    @property
    def numbers(self) -> str:
        """The numbers put in, and what comes out."""
        result = brief(self.given)
        if self.formula.numbers and self.formula.numbers != result:
            result = f"{self.formula.numbers} = {result}"
        if self.given.shape != self.received.shape:
            result += f", summed over what was broadcast: {brief(self.received)}"
        return result

    @property
    def sum_text(self) -> str:
        """The sum so far, where a tensor is used more than once."""
        return f"{brief(self.total)} ({self.times} of {self.uses})" if self.uses > 1 else ""


@dataclass(eq=False)
class Step:
    """One op gone back through: the upstream gradient, and what each input receives of it."""

    node: Node
    upstream: np.ndarray
    shares: list[Share] = field(default_factory=list)


@dataclass(eq=False, repr=False)
class Explanation:
    """A backward pass to be read: `steps` in the order in which they ran, on the tensors of `graph`."""

    graph: Graph
    steps: list[Step]

    def __str__(self) -> str:
        end = self.graph.nodes[-1]
        head = f"backward from {end.name} = {brief(end.value)}: {len(self.steps)} steps"
        leaves = [f"  {x.name}: {brief(x.gradient)}" for x in self.graph.nodes if not x.op and x.gradient is not None]
        names = dict.fromkeys(step.node.op for step in self.steps)
        lines = [head, "", *self._table(), "", "gradients", *leaves]
        lines += ["", "in words", *_paragraphs((name, in_words(name)) for name in names)]
        formulas = [share.formula for step in self.steps for share in step.shares]
        if meanings := dict.fromkeys(pair for formula in formulas for pair in formula.meanings.items()):
            lines += ["", "in the formulas", *_paragraphs(meanings)]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        """The steps as a table, a line for each input."""
        rows = [("step", "computed", "upstream", "input", "derivative", "so it receives", "numbers", "sum so far")]
        for number, step in enumerate(self.steps, 1):
            first = (str(number), step.node.computed, brief(step.upstream))
            shares = [_cells(share) for share in step.shares] or [("",) * 5]
            rows += [(*(first if not k else ("",) * 3), *cells) for k, cells in enumerate(shares)]
        return aligned((line for row in rows for line in wrapped(row, WIDEST)), WIDEST)

    def to_html(self, path: str | Path) -> None:
        """Write a page, which needs nothing else, with a slider through the steps, forward and back."""
        path = charts.ready(path, [".html"])
        path.write_text(self._page() + "\n", encoding="utf-8")

    def _page(self) -> str:
        return page.page(self.graph, boxes(self.graph), opened(self.graph, None), self.steps)

    def _repr_html_(self) -> str | None:
        if not find_spec("igraph"):
            return None
        return f'<iframe srcdoc="{escape(self._page())}" width="100%" height="720" style="border:0"></iframe>'


def _paragraphs(found: Iterable[tuple[str, str]]) -> list[str]:
    return [
        textwrap.fill(f"{name}: {text}", 110, initial_indent="  ", subsequent_indent="    ") for name, text in found
    ]


def _cells(share: Share) -> tuple[str, str, str, str, str]:
    return share.title, share.formula.derivative, share.formula.rule, share.numbers, share.sum_text


def explain_backward(loss: Tensor) -> Explanation:
    """The backward pass from `loss`, a single number, step by step: print it, or write it `to_html`.

    Each step has the op, the upstream gradient, the derivative as a formula and in words, the numbers put in, what
    each input receives, and the sum so far of a tensor that is used more than once.  The pass is the engine's own;
    the graph and every `.grad` stay as they are.  Tensors are called as in `draw_graph`.  RuntimeError for a tensor
    without a graph or of several elements, or whose graph was freed.

    >>> import minidl
    >>> from minidl import study
    >>> a = minidl.tensor(2.0, requires_grad=True)
    >>> b = minidl.tensor(-3.0, requires_grad=True)
    >>> c = a * b
    >>> for share in study.explain_backward(c).steps[0].shares:
    ...     print(f"{share.node.name}: {share.formula.derivative}, so {share.formula.rule} = {share.numbers}")
    a: d(x · y)/dx = y, so upstream · y = 1 · (-3) = -3
    b: d(x · y)/dy = x, so upstream · x = 1 · 2 = 2
    """
    tensors = behind(loss)
    observer = Observer()
    with observer:
        gradients = gradients_of(loss, tensors)
    graph = read(loss, variables(sys._getframe(1)), gradients)
    return Explanation(graph, observer.steps(graph))


class Observer:
    """What the engine shows its rules and sums to while a backward pass, of this thread, is explained."""

    def __init__(self) -> None:
        self.thread = get_ident()
        self.seen: list[tuple[Tensor, Any, list[Any]]] = []  # node, upstream gradient, shares
        self.inside = False  # a rule: what it computes on its way is no step

    def __enter__(self) -> None:
        self.before, engine.watch = engine.watch, self

    def __exit__(self, *error: object) -> None:
        engine.watch = self.before

    def result(self, name: str, result: Tensor, inputs: Any, settings: dict[str, Any]) -> None:
        """Results are there already; another watch may want to see those of a rule."""
        if self.before is not None:
            self.before.result(name, result, inputs, settings)

    def rules(self, node: Tensor, rules: Iterable[Any]) -> Iterator[Any]:
        """The rules of the op that made `node`, each noted when it is called."""
        found = rules if self.before is None else self.before.rules(node, rules)
        if self.inside or get_ident() != self.thread:
            return iter(found)
        self.seen.append((node, None, []))
        pairs = zip(rules, found)  # noqa: B905 (both may be endless)
        return (rule and partial(self._called, node, place, own, rule) for place, (own, rule) in enumerate(pairs))

    def _called(self, node: Tensor, place: int, rule: Any, watched: Callable[..., Any], g: Any, out: Any, /,
                *inputs: Any, **settings: Any) -> Any:  # fmt: skip
        self.inside = True
        try:
            given = watched(g, out, *inputs, **settings)
        finally:
            self.inside = False
        formula = Formula(node.op, rule, place, (g, out, *inputs), settings)
        shares = self.seen[-1][2]
        self.seen[-1] = node, g, shares
        shares.append([formula, given])
        return given

    def received(self, x: Tensor, gx: Any, total: Any) -> None:
        """Note what the engine has added for the input x, and the sum so far."""
        if not self.inside and get_ident() == self.thread:
            self.seen[-1][2][-1] += [x, gx, total]

    def steps(self, graph: Graph) -> list[Step]:
        """What was seen, on the nodes of the graph."""
        steps, latest, times = [], dict[Node, list[Share]](), dict[Node, int]()
        for tensor, upstream, shares in self.seen:
            step = Step(graph.of[tensor], array_of(upstream))
            for formula, *values in shares:
                if len(values) < 4:  # a Function that passes nothing on
                    continue
                given, x, gx, total = values
                node = graph.of[x]
                times[node] = times.get(node, 0) + 1
                share = Share(node, formula, array_of(given), array_of(gx), array_of(total), times[node])
                latest.setdefault(node, []).append(share)
                step.shares.append(share)
            steps.append(step)
        for found in latest.values():
            for share in found:
                share.uses = len(found)
        return steps
