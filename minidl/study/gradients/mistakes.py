"""The kinds of mistakes that gradients by hand have, the likeliest first: undo each, and see whether the right one is
what comes out.

A cause is named only where the graph has what it takes: no mean that was forgotten where there is no mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.ops.fused import softmax
from minidl.study.graphs.backward import Observer, Share, Step
from minidl.study.graphs.graph import Graph, Node, gradients_of
from minidl.study.text import number, on_host

CLOSE = 1e-4  # relative, which float32 by hand can reach
NEAR = 1e-2  # relative, which finite differences reach
MOST_TRIED = 200  # ops of which one is left out

Mistake = tuple[str, str]  # its kind, and what to say


class Question(NamedTuple):
    """A gradient `mine` that is not the `right` one, that of the last tensor of `graph` at `wrt`.

    `steps` are those of the backward pass; `stored` says whether `mine` is what lies in `wrt.grad`.
    """

    mine: np.ndarray
    right: np.ndarray
    wrt: Tensor
    graph: Graph
    steps: list[Step]
    stored: bool

    @property
    def shares(self) -> list[tuple[np.ndarray, Share]]:
        """What `wrt` receives, each with the upstream gradient of its step."""
        return [(step.upstream, share) for step in self.steps for share in step.shares if share.node.tensor is self.wrt]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether both are equal but for rounding."""
    return a.shape == b.shape and bool(close(a, b).all())


def close(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which entries are equal but for rounding."""
    return np.isclose(a, b, rtol=CLOSE, atol=CLOSE * 0.1 * np.abs(b).max(initial=0.0))


def mistakes(asked: Question) -> Iterator[Mistake]:
    """The mistakes that explain it, the likeliest first."""
    mine, right = asked.mine, asked.right
    yield from _no_numbers(mine)
    if mine.shape == right.shape:
        yield from _one_use(asked)
        yield from _factor(mine, right, asked)
    yield from _wrong_axis(asked)
    for kind, undone, words in _shapes(asked):
        if same(undone, right):
            yield kind, words
        for _, more in _factor(undone, right, asked) if undone.shape == right.shape else ():
            yield kind, _besides(words, more)
    if mine.shape == right.shape:
        yield from _chain_factor(asked)
        yield from _rounding(mine, right)


def _besides(words: str, more: str) -> str:
    return f"{words}\nBesides: {more[0].lower()}{more[1:]}"


def _no_numbers(mine: np.ndarray) -> Iterator[Mistake]:
    """Nothing that could be compared."""
    if bad := int((~np.isfinite(mine)).sum()):
        words = "a division by 0, the logarithm of 0, or an exp or a power that overflows"
        yield "not finite", f"{bad} of its {mine.size} entries are nan or inf: look for {words}."
    elif mine.size and not mine.any():
        words = "look for a detach() on the way, or a .grad that was read before backward() or after zero_grad()"
        yield "zeros", f"It is 0 everywhere, as if the chain were cut: {words}."


def _rounding(mine: np.ndarray, right: np.ndarray) -> Iterator[Mistake]:
    """Small differences everywhere."""
    off = np.abs(mine - right)
    size = np.abs(right).max(initial=0.0)
    if 0 < off.max(initial=0.0) < NEAR * size and (off > 0).mean() > 0.5:
        digits = int(-np.log10(off.max() / size))
        words = "rounding, or finite differences, which in float32 have no more?  In float64 it would show"
        yield "rounding", f"It is right to about {digits} digits: {words}."


# -- shapes and sums ----------------------------------------------------------------------------------------------


def _shapes(asked: Question) -> Iterator[tuple[str, np.ndarray, str]]:
    """What `mine` may be before its dimensions were put right: a kind, the gradient put right, what to say."""
    mine, right = asked.mine, asked.right
    if mine.ndim == right.ndim == 2:
        yield "transposed", mine.T, "It is transposed: check the order of the factors, and which of them has the .T."
    stretched = _stretched(mine.shape, right.shape)
    if mine.ndim >= right.ndim and mine.size > right.size:
        summed = mine.sum(axis=stretched, keepdims=True)
        if summed.size == right.size:
            if any(share.given.shape == mine.shape != share.received.shape for _, share in asked.shares):
                places = list(stretched)
                words = f"Broadcasting is not undone: the tensor was repeated along {places}; sum over these."
                yield "broadcasting", summed.reshape(right.shape), words
            words = f"The sum over the batch is missing: every example adds its share, so sum over {list(stretched)}."
            yield "batch sum", summed.reshape(right.shape), words
    if mine.size == right.size:
        yield "shape", mine.reshape(right.shape), f"Only the shape is wrong: reshape it to {right.shape}."


def _stretched(wide: tuple[int, ...], narrow: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of `wide` along which something of the shape `narrow` is repeated."""
    new = len(wide) - len(narrow)
    return tuple(i for i, n in enumerate(wide) if i < new or (narrow[i - new] == 1 and n != 1))


def _wrong_axis(asked: Question) -> Iterator[Mistake]:
    """What a bias receives is the upstream gradient, summed over other dimensions than those it was repeated along."""
    for upstream, share in asked.shares:
        if not same(share.received.astype(np.float64), asked.right) or upstream.ndim < asked.right.ndim:
            continue
        needed = _stretched(upstream.shape, asked.right.shape)
        for axis in range(upstream.ndim):
            summed = upstream.astype(np.float64).sum(axis)
            if (axis,) != needed and summed.size == asked.mine.size and same(asked.mine.reshape(summed.shape), summed):
                words = f"It is summed over dimension {axis}, but the tensor was repeated along {list(needed)}"
                yield "wrong axis", f"{words}: sum over these."


def _one_use(asked: Question) -> Iterator[Mistake]:
    """A tensor is used more than once, and one use is all that was counted."""
    shares = asked.shares
    for _, share in shares if len(shares) > 1 else ():
        if same(asked.mine, share.received.astype(np.float64)):
            words = f"The tensor is used {len(shares)} times and only one of its shares is there: add them all up."
            yield "one use", words


# -- factors ------------------------------------------------------------------------------------------------------


def _factor(mine: np.ndarray, right: np.ndarray, asked: Question) -> Iterator[Mistake]:
    """One factor that is wrong everywhere."""
    square = float((right * right).sum())
    factor = float((mine * right).sum()) / square if square else 0.0
    if not factor or not np.isfinite(factor) or not same(mine / factor, right):
        return
    if _is(factor, -1):
        yield "sign", "The sign is wrong everywhere: look for a minus, as in d(a - b)/db = -1."
        return
    size = abs(factor)
    causes = list(_causes(size, asked))
    spare = f"a factor of {number(1 / size)} is missing" if size < 1 else f"a factor {number(size)} is too much"
    kind = causes[0][0] if causes else "factor 2" if _is(size, 2, 0.5) else "factor"
    said = "; or ".join(words for _, words in causes) or spare
    sign = "  The sign is wrong, too." if factor < 0 else ""
    yield kind, f"It is {number(factor)} times the right one everywhere: {said}.{sign}"


def _causes(size: float, asked: Question) -> Iterator[Mistake]:
    """Where a factor of that size may come from."""
    graph, whole = asked.graph, round(size)
    repeated = whole > 1 and _is(size, whole)
    if repeated and asked.stored:
        words = f"backward() adds to .grad, and this is the sum of {whole} passes; call zero_grad() before each"
        yield "accumulated", words
    for n in sorted({n for node in graph.nodes for n in _exponents(node)}):
        if _is(size, n, 1 / n):
            name = "square" if n == 2 else "power"
            did = "is missing" if size < 1 else "is there once too often"
            yield "factor 2" if n == 2 else "factor", f"the {number(n)} from the derivative of the {name} {did}"
    counts = {n for node in graph.nodes for n in (*node.value.shape, node.value.size) if n > 1}
    if size < 1 and any(_is(size, 1 / n) for n in counts):
        yield "factor N", f"{round(1 / size)} is a number of entries here, and yours divides by it, as a mean does"
    if repeated and whole in {n for node in graph.nodes for n in _divisors(node)}:
        yield "factor N", f"the loss divides by {whole}, as a mean does, and yours lacks that"
    if repeated and not asked.stored:
        yield "accumulated", f"it is the sum of {whole} backward passes without zero_grad() between them"


def _is(size: float, *values: float) -> bool:
    return bool(np.isclose(size, values, rtol=CLOSE).any())


def _exponents(node: Node) -> Iterator[float]:
    """The powers that an op raises to, 2 also where something is multiplied by itself."""
    arrays, inputs = node.tensor.arrays or [], node.tensor.inputs or ()
    if node.op in ("square", "var"):
        yield 2
    elif node.op == "power" and np.size(arrays[1]) == 1:
        yield abs(float(arrays[1]))
    elif node.op in ("multiply", "matrix_product") and len({x.tensor for x in map(_laid_out, node.inputs)}) == 1:
        yield from [2] if len(inputs) == len(node.inputs) else []


def _laid_out(node: Node) -> Node:
    """What a node is a transposed or reshaped form of."""
    while node.op in ("transpose", "reshape"):
        node = node.inputs[0]
    return node


def _divisors(node: Node) -> Iterator[int]:
    """By what an op divides: the number of entries that a mean is taken of, each of its dimensions, a constant."""
    if node.op == "mean":
        shape = node.inputs[0].value.shape
        yield node.inputs[0].value.size // max(1, node.value.size)
        yield from shape
    elif node.op in ("divide", "multiply"):
        for value in (float(x) for x in node.tensor.arrays or [] if np.size(x) == 1):
            wanted = value if node.op == "divide" else 1 / value if value else 0.0
            yield from [round(wanted)] if _is(wanted, round(wanted)) else []


# -- the chain ----------------------------------------------------------------------------------------------------


def _chain_factor(asked: Question) -> Iterator[Mistake]:
    """The derivative of one op was forgotten, or a part of it: go back without that."""
    ops = [node for node in asked.graph.nodes if any(x.value.shape == node.value.shape for x in node.inputs)]
    scores = [node for node in asked.graph.nodes if node.op in NO_ONE_HOT]
    tries = [(node, NO_ONE_HOT[node.op], ONE_HOT) for node in scores]
    tries += [(node, _passed_on, f"The derivative of {node.op} is missing from the chain") for node in ops]
    for node, rule, missing in tries[-MOST_TRIED:]:
        with _Instead(node, rule):
            found = gradients_of(asked.graph.nodes[-1].tensor, [asked.wrt])
        tried = on_host(found[asked.wrt]).astype(np.float64)
        if not same(tried, asked.right):
            words = f"{missing}, in {node.computed}."
            if same(asked.mine, tried):
                yield "chain factor" if rule is _passed_on else "one-hot", words
            for _, more in _factor(asked.mine, tried, asked):
                yield "chain factor" if rule is _passed_on else "one-hot", _besides(words, more)


class _Instead(Observer):
    """A backward pass in which one op has another rule for its first input, or for all that have its shape."""

    def __init__(self, node: Node, rule: Callable[..., Any]) -> None:
        super().__init__()
        self.node, self.rule = node.tensor, rule

    def rules(self, node: Tensor, rules: Iterable[Any]) -> Iterator[Any]:
        for place, rule in zip(range(len(node.inputs or ())), rules, strict=False):
            fits = node is self.node and node.arrays is not None
            if fits and self.rule is _passed_on:
                fits = np.shape((node.arrays or [])[place]) == node.shape
            yield self.rule if fits and rule is not None else rule

    def received(self, x: Tensor, gx: Any, total: Any) -> None:
        """Nobody asks."""


def _passed_on(g: Any, out: Any, /, *inputs: Any, **settings: Any) -> Any:
    return g


ONE_HOT = "Softmax alone is there: the right answer, 1 at the right class, is not subtracted from it (p - y)"
NO_ONE_HOT: dict[str, Callable[..., Any]] = {
    "softmax_cross_entropy": lambda g, out, x, target: g[:, None] * softmax(x, axis=1),
    "log_softmax": lambda g, out, x, axis: -softmax(x, axis=axis) * g.sum(axis=axis, keepdims=True),
}
