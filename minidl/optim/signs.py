"""Optimizers that look only at the signs of gradients, or of whole matrices: how steep the slope is does not matter.

The sign of a matrix keeps its directions and makes all its singular values 1, as that of a number keeps its direction.

Letters:  w weights   g gradient   lr learning rate η   m average of g   c what the sign is taken of
          b1, b2 how much of an average is kept (β₁, β₂)   p gradient of the step before   delta length of a step Δ
          eta_minus, eta_plus factors to delta (η⁻, η⁺)   rate the length of the step of each weight
          b average of g, mu how much of it is kept (μ)   d direction   o d with all singular values near 1
          c0, c1, c2 coefficients of the iteration that finds o
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minidl.backend import Array
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
    starts: ClassVar[dict[str, str | float]] = {"delta": "lr"}

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, p, delta, *, eta_minus, eta_plus, shortest, longest):
        sign = xp.sign(g * p)
        same, turned = xp.maximum(sign, 0), xp.maximum(-sign, 0)  # 1 or 0
        delta = delta * (1 + (eta_plus - 1) * same - (1 - eta_minus) * turned)
        delta = xp.minimum(xp.maximum(delta, shortest), longest)
        g = g * (1 - turned)  # wait, and do not shrink twice
        return dict(w=w - delta * xp.sign(g), p=g, delta=delta, rate=delta)

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
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, m, *, lr, b1, b2):
        c = b1 * m + (1 - b1) * g
        m = b2 * m + (1 - b2) * g  # remembers longer than c
        return dict(w=w - lr * xp.sign(c), m=m, c=c, rate=lr)


def orthogonal(xp: Any, d: Array, coefficients: tuple[float, float, float], steps: float, eps: float) -> Array:
    """The matrix d = U·S·Vᵀ with its singular values S brought to about 1 (0.7 to 1.2), by products only.

    The iteration of Newton and Schulz with polynomials of degree 5: x ← (c0 + c1·x·xᵀ + c2·(x·xᵀ)²)·x.
    """
    c0, c1, c2 = coefficients
    rows, columns = d.shape
    x = d.T if rows > columns else d
    x = x / xp.maximum(xp.linalg.norm(x), eps)  # no singular value above 1
    for _ in range(int(steps)):
        s = x @ x.T
        x = c0 * x + (c1 * s + c2 * s @ s) @ x
    return x.T if rows > columns else x


class Muon(Optimizer):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum, made orthogonal, for weight matrices.

    Fixes: steps that are almost of rank one: rare directions of a matrix move as far as the strong ones.
    Strengths: learns hidden layers in fewer steps than AdamW; one memory only.
    Weaknesses: matrices only; a few matrix products in each step.
    Use when: training the hidden layers of a larger network, with AdamW for biases, embeddings and the last layer.

    `adjust_lr_fn` fits lr to the shape: "original" (None) by √max(1, rows/columns), "match_rms_adamw" by
    0.2·√max(rows, columns), for which rates of AdamW fit (Liu et al. 2025).  Computed in the dtype of the weights;
    PyTorch iterates in bfloat16.  ValueError for a parameter that is not a matrix.  Learning rate recommended for
    the matrices of the MNIST network 784-128-10 at batch size 64: 0.01.

    >>> import minidl
    >>> W = minidl.zeros(2, 2, requires_grad=True)
    >>> (W * minidl.tensor([[100.0, 0.0], [0.0, 1.0]])).sum().backward()
    >>> Muon([W]).preview(W)["o"].round(1)  # both directions count
    array([[0.7, 0. ],
           [0. , 0.7]], dtype=float32)
    """

    recommended_lr = 0.01
    state_names: ClassVar[dict[str, str | None]] = {"b": "momentum_buffer", "t": None}
    decoupled = True

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, b, *, lr, mu, look, c0, c1, c2, ns_steps, eps, matched):
        b = mu * b + (1 - mu) * g
        d = look * b + (1 - look) * g  # Nesterov's: look = mu, otherwise 1
        o = orthogonal(xp, d, (c0, c1, c2), ns_steps, eps)
        rows, columns = w.shape
        rate = lr * (0.2 * max(rows, columns) ** 0.5 if matched else max(1, rows / max(1, columns)) ** 0.5)
        return dict(w=w - rate * o, b=b, d=d, o=o, rate=rate)

    def letters(self, group: Group, t: int) -> dict[str, Any]:
        coefficients = dict(zip(("c0", "c1", "c2"), group["ns_coefficients"], strict=True))
        mu = group["momentum"]
        look = mu if group["nesterov"] else 1
        matched = group["adjust_lr_fn"] == "match_rms_adamw"
        return super().letters(group, t) | coefficients | {"mu": mu, "look": look, "matched": matched}

    def check(self, group: Group) -> None:
        super().check(group)
        if shapes := [p.array.shape for p in group["params"] if p.array.ndim != 2]:
            raise ValueError(f"Muon takes matrices, got shapes {shapes}: give these to another optimizer, as AdamW")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(f'adjust_lr_fn is "original" or "match_rms_adamw", got {group["adjust_lr_fn"]!r}')
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"ns_coefficients are three numbers, got {group['ns_coefficients']}")
