"""`check_my_grad`: whether a gradient worked out by hand is right, and if not, what kind of mistake it looks like.

The right one is the engine's own; `mistakes` says what may have gone wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor, describe
from minidl.study.gradients.mistakes import Question, close, mistakes, same
from minidl.study.graphs.backward import Observer
from minidl.study.graphs.graph import gradients_of, read
from minidl.study.measuring import expect
from minidl.study.text import number, on_host


@dataclass(repr=False)
class Verdict:
    """What `check_my_grad` found; true if the gradient is right.

    `kind` is "right", "transposed", "batch sum", "broadcasting", "wrong axis", "shape", "sign", "factor 2",
    "factor N", "factor", "accumulated", "chain factor", "one-hot", "one use", "rounding", "not finite", "zeros",
    "nothing" (None) or "unknown"; `text` says it in words.
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
    `loss` is no single number, or was not computed from `wrt`; TypeError for what is no tensor, or not made of numbers.

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
    expect(Tensor, wrt, "check_my_grad, wrt")
    observer = Observer()
    with observer, np.errstate(all="ignore"):
        found = gradients_of(loss, [wrt])
    if wrt not in found:
        raise RuntimeError(f"the loss was not computed from {describe(wrt)}: there is no gradient to compare with")
    expected = on_host(found[wrt]).astype(np.float64)
    if mine is None:
        words = "None, as .grad is before backward(), or for a tensor without requires_grad"
        return Verdict("nothing", f"wrong: expected shape {expected.shape}, got {words}.", expected)
    given = _numbers(mine)
    if not np.isfinite(expected).all():
        words = "nan or inf in it: look into the loss for a division by 0, or the logarithm or the root of 0"
        return Verdict("not finite", f"nothing to compare with: the right gradient itself has {words}.", expected)
    if same(given, expected):
        return Verdict("right", f"right: it agrees in all {expected.size} entries", expected)
    graph = read(loss, {}, {})
    stored = wrt.grad is not None and np.may_share_memory(on_host(mine), on_host(wrt.grad))
    asked = Question(given, expected, wrt, graph, observer.steps(graph), stored)
    kind, words = next(mistakes(asked), ("unknown", "It looks like no usual mistake."))
    return Verdict(kind, f"{_where(given, expected)}\n{words}", expected)


def _numbers(mine: Any) -> np.ndarray:
    try:
        return on_host(mine).astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"check_my_grad: expected an array or a tensor of numbers, got {type(mine).__name__}") from None


def _where(mine: np.ndarray, right: np.ndarray) -> str:
    if mine.shape != right.shape:
        return f"wrong: expected shape {right.shape}, that of the tensor, got {mine.shape}."
    distance = np.abs(mine - right)
    worst = np.unravel_index(np.nan_to_num(distance, nan=np.inf).argmax(), right.shape)
    off = int((~close(mine, right)).sum())
    place = tuple(map(int, worst))
    numbers = f"{number(mine[worst])} instead of {number(right[worst])}"
    return f"wrong in {off} of {right.size} entries, most at {place}: {numbers}."
