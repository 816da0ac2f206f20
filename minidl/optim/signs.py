"""Optimizers that look only at the signs of the gradients: how steep the slope is does not matter.

Letters:  w weights   g gradient   lr learning rate η   m average of g   c what the sign is taken of
          b1, b2 how much of an average is kept (β₁, β₂)   p gradient of the step before   delta length of a step Δ
          eta_minus, eta_plus factors to delta (η⁻, η⁺)   rate the length of the step of each weight
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minidl.optim.optimizer import Group, Optimizer


class Rprop(Optimizer):
    """Rprop (Riedmiller and Braun 1993): a length of step for each weight, from the signs of its gradients.

    Fixes: the gradient's size, which says little of how far to go: only its sign is used.
    Strengths: hardly anything to tune; fast on a full batch; flat and steep regions are the same to it.
    Weaknesses: fails on small batches, where signs change by chance.
    Use when: the whole data fits into one batch, and the network is small.

    Where the sign stays, the step grows by η⁺, where it changes, it shrinks by η⁻ and the weight waits for one step
    (without going back: Igel and Hüsken 2000 call this iRprop⁻).  `etas` are (η⁻, η⁺), `step_sizes` the shortest and
    the longest step, `lr` the first one.  Learning rate recommended for the MNIST network 784-128-10 with all images
    in one batch: 0.001.

    >>> import minidl
    >>> w = minidl.tensor([2.0, 0.01], requires_grad=True)
    >>> optimizer = Rprop([w], lr=0.1)
    >>> for step in range(2):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> optimizer.state[w]["step_size"]  # the second weight has jumped over its minimum
    array([0.12, 0.05], dtype=float32)
    """

    recommended_lr = 0.001
    state_names: ClassVar[dict[str, str | None]] = {"p": "prev", "delta": "step_size"}

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize), differentiable)

    @staticmethod
    def rule(xp, w, g, p, delta, *, eta_minus, eta_plus, shortest, longest):
        sign = xp.sign(g * p)
        same, turned = xp.maximum(sign, 0), xp.maximum(-sign, 0)  # 1 or 0
        delta = delta * (1 + (eta_plus - 1) * same - (1 - eta_minus) * turned)
        delta = xp.minimum(xp.maximum(delta, shortest), longest)
        g = g * (1 - turned)  # wait, and do not shrink twice
        return dict(w=w - delta * xp.sign(g), p=g, delta=delta, rate=delta)

    def start(self, group: Group, letter: str) -> float:
        return float(group["lr"]) if letter == "delta" else 0.0

    def letters(self, group: Group, t: int) -> dict[str, Any]:
        numbers = (*group["etas"], *group["step_sizes"])
        return dict(zip(("eta_minus", "eta_plus", "shortest", "longest"), numbers, strict=True))

    def check(self, group: Group) -> None:
        super().check(group)
        low, high = group["etas"]
        if not 0 < low < 1 < high:
            raise ValueError(f"Rprop: etas must be a factor between 0 and 1 and one above 1, got {group['etas']}")


class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2): the sign of an average gradient, found by a search over programs.

    Fixes: Adam's second memory: the sign needs no average of squares.
    Strengths: half of Adam's memory; every weight moves by the same length, which works well at large batches.
    Weaknesses: small batches and noise; wants a smaller lr and a larger decay than AdamW (3 to 10 times each).
    Use when: training large networks on large batches, and memory matters.

    PyTorch has none; the names of options and state are those of its Adam.  The decay is apart from the gradient.
    Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 0.0003.

    >>> import minidl
    >>> w = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> (w * minidl.tensor([1.0, -100.0])).sum().backward()
    >>> Lion([w], lr=0.5).preview(w)["w"]
    array([-0.5,  0.5], dtype=float32)
    """

    recommended_lr = 0.0003
    state_names: ClassVar[dict[str, str | None]] = {"m": "exp_avg", "t": None}
    decoupled = True

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0, *, maximize: bool = False, foreach: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize))

    @staticmethod
    def rule(xp, w, g, m, *, lr, b1, b2):
        c = b1 * m + (1 - b1) * g
        m = b2 * m + (1 - b2) * g  # remembers longer than c
        return dict(w=w - lr * xp.sign(c), m=m, c=c, rate=lr)
