"""`check_my_grad`: whether a gradient worked out by hand is right, and if not, what kind of mistake it looks like.

Each kind of mistake is tried in turn: undo it, and see whether the right gradient comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor, describe
from minidl.study.backward import Observer, Share
from minidl.study.graph import Graph, Node, gradients_of, read
from minidl.study.text import number, on_host

CLOSE = 1e-4  # relative, which float32 by hand can reach
MOST_TRIED = 200  # ops of which one is left out


@dataclass(repr=False)
class Verdict:
    """What `check_my_grad` found; true if the gradient is right.

    `kind` is "right", "transposed", "batch sum", "broadcasting", "shape", "sign", "factor 2", "factor N", "factor",
    "chain factor", "one use", or "unknown"; `text` says it in words.
    """

    kind: str
    text: str
    expected: np.ndarray

    def __bool__(self) -> bool:
        return self.kind == "right"

    def __repr__(self) -> str:
        return self.text


def check_my_grad(mine: Any, wrt: Tensor, loss: Tensor) -> Verdict:
    """Whether `mine`, an array or a tensor, is the gradient of `loss` at the tensor `wrt`; if not, what went wrong.

    The graph must still be there, so ask before `backward()`, or after `backward(retain_graph=True)`.  RuntimeError if
    `loss` is no single number, or was not computed from `wrt`.

    >>> import minidl
    >>> from minidl import study
    >>> x, y = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True), minidl.tensor([3.0, 0.0, 3.0])
    >>> loss = ((x - y) ** 2).sum()
    >>> study.check_my_grad(2 * (x - y), x, loss)
    right: it agrees in all 3 entries
    >>> study.check_my_grad(x - y, x, loss)
    wrong in 2 of 3 entries, most at (0,): -2 instead of -4.
    It is 0.5 times the right one everywhere: the 2 from the derivative of the square is missing.
    """
    observer = Observer()
    with observer:
        found = gradients_of(loss, [wrt])
    if wrt not in found:
        raise RuntimeError(f"the loss was not computed from {describe(wrt)}: there is no gradient to compare with")
    expected, given = on_host(found[wrt]).astype(np.float64), on_host(mine).astype(np.float64)
    if _same(given, expected):
        return Verdict("right", f"right: it agrees in all {expected.size} entries", expected)
    graph = read(loss, {}, {})
    shares = [share for step in observer.steps(graph) for share in step.shares if share.node.tensor is wrt]
    kind, words = next(_mistakes(given, expected, graph, shares, wrt), ("unknown", "It looks like no usual mistake."))
    return Verdict(kind, f"{_where(given, expected)}\n{words}", expected)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether both are equal but for rounding."""
    return a.shape == b.shape and np.allclose(a, b, rtol=CLOSE, atol=CLOSE * 0.1 * np.abs(b).max(initial=0.0))


def _where(mine: np.ndarray, right: np.ndarray) -> str:
    if mine.shape != right.shape:
        return f"wrong: expected shape {right.shape}, that of the tensor, got {mine.shape}."
    distance = np.abs(mine - right)
    worst = np.unravel_index(np.nan_to_num(distance, nan=np.inf).argmax(), right.shape)
    off = int((~np.isclose(mine, right, rtol=CLOSE, atol=CLOSE * 0.1 * np.abs(right).max(initial=0.0))).sum())
    place = tuple(map(int, worst))
    numbers = f"{number(mine[worst])} instead of {number(right[worst])}"
    return f"wrong in {off} of {right.size} entries, most at {place}: {numbers}."


# -- kinds of mistakes --------------------------------------------------------------------------------------------


def _mistakes(
    mine: np.ndarray, right: np.ndarray, graph: Graph, shares: list[Share], wrt: Tensor
) -> Iterator[tuple[str, str]]:
    """The mistakes that explain `mine`, the likeliest first: a kind, and what to say."""
    if mine.shape == right.shape:
        yield from _factor(mine, right, graph)
        yield from _one_use(mine, shares)
    for kind, undone, words in _shapes(mine, right, shares):
        if _same(undone, right):
            yield kind, words
        for _, more in _factor(undone, right, graph) if undone.shape == right.shape else ():
            yield kind, f"{words}\nBesides: {more[0].lower()}{more[1:]}"
    if mine.shape == right.shape:
        yield from _chain_factor(mine, right, graph, wrt)


def _shapes(mine: np.ndarray, right: np.ndarray, shares: list[Share]) -> Iterator[tuple[str, np.ndarray, str]]:
    """What `mine` may be before its dimensions were put right: a kind, the gradient put right, what to say."""
    if mine.ndim == right.ndim == 2:
        yield "transposed", mine.T, "It is transposed: check the order of the factors, and which of them has the .T."
    new = mine.ndim - right.ndim
    stretched = [i for i, n in enumerate(mine.shape) if i < new or (right.shape[i - new] == 1 and n != 1)]
    if new >= 0 and mine.size > right.size:
        summed = mine.sum(axis=tuple(stretched), keepdims=True)
        if summed.size == right.size:
            if any(share.given.shape == mine.shape != share.received.shape for share in shares):
                words = f"Broadcasting is not undone: the tensor was repeated along {stretched}; sum over these."
                yield "broadcasting", summed.reshape(right.shape), words
            words = f"The sum over the batch is missing: every example adds its share, so sum over {stretched}."
            yield "batch sum", summed.reshape(right.shape), words
    if mine.size == right.size:
        yield "shape", mine.reshape(right.shape), f"Only the shape is wrong: reshape it to {right.shape}."


def _factor(mine: np.ndarray, right: np.ndarray, graph: Graph) -> Iterator[tuple[str, str]]:
    """One factor that is wrong everywhere."""
    square = float((right * right).sum())
    factor = float((mine * right).sum()) / square if square else 0.0
    if not factor or not _same(mine / factor, right):
        return
    said = f"It is {number(factor)} times the right one everywhere"
    lengths = sorted({n for node in graph.nodes for n in (*node.value.shape, node.value.size) if n > 2}, reverse=True)
    counts = [n for n in lengths if np.isclose(abs(factor), [n, 1 / n], rtol=CLOSE).any()]
    if np.isclose(factor, -1, rtol=CLOSE):
        yield "sign", "The sign is wrong everywhere: look for a minus, as in d(a - b)/db = -1."
    elif np.isclose(abs(factor), [2, 0.5], rtol=CLOSE).any():
        did = "is missing" if abs(factor) < 1 else "is there once too often"
        yield "factor 2", f"{said}: the 2 from the derivative of the square {did}."
    elif counts:
        did = "divides by it, as a mean does" if abs(factor) < 1 else "lacks the division of a mean over them"
        yield "factor N", f"{said}, and {counts[0]} is a number of entries here: yours {did}."
    else:
        yield "factor", f"{said}: a constant factor is wrong."


def _one_use(mine: np.ndarray, shares: list[Share]) -> Iterator[tuple[str, str]]:
    """A tensor is used more than once, and one use is all that was counted."""
    for share in shares if len(shares) > 1 else ():
        if _same(mine, share.received.astype(np.float64)):
            words = f"The tensor is used {len(shares)} times and only one of its shares is there: add them all up."
            yield "one use", words


def _chain_factor(mine: np.ndarray, right: np.ndarray, graph: Graph, wrt: Tensor) -> Iterator[tuple[str, str]]:
    """The derivative of one op was forgotten: go back without it."""
    ops = [node for node in graph.nodes if any(x.value.shape == node.value.shape for x in node.inputs)]
    for node in ops[-MOST_TRIED:]:
        with _Without(node):
            found = on_host(gradients_of(graph.nodes[-1].tensor, [wrt])[wrt]).astype(np.float64)
        if not _same(found, right):
            missing = f"The derivative of {node.op} is missing from the chain, in {node.computed}."
            if _same(mine, found):
                yield "chain factor", missing
            for _, more in _factor(mine, found, graph):
                yield "chain factor", f"{missing}\nBesides: {more[0].lower()}{more[1:]}"


class _Without(Observer):
    """A backward pass in which one op passes the upstream gradient on as it is."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node.tensor

    def rules(self, node: Tensor, rules: Iterable[Any]) -> Iterator[Any]:
        for place, rule in zip(range(len(node.inputs or ())), rules, strict=False):
            fits = node is self.node and node.arrays is not None and np.shape(node.arrays[place]) == node.shape
            yield _passed_on if fits and rule is not None else rule

    def received(self, x: Tensor, gx: Any, total: Any) -> None:
        """Nobody asks."""


def _passed_on(g: Any, out: Any, /, *inputs: Any, **settings: Any) -> Any:
    return g
