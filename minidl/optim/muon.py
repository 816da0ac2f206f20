"""Muon: momentum whose steps turn a weight matrix in all directions alike.

Letters:  W weights (rows, columns)   g gradient   b its average   d direction   o d with all singular values near 1
          lr learning rate η   mu momentum μ   c0, c1, c2 coefficients of the iteration   rate lr fitted to the shape
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minidl.backend import Array
from minidl.optim.optimizer import Group, Optimizer


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
        options: dict[str, Any] = dict(lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov)
        options |= dict(ns_coefficients=ns_coefficients, eps=eps, ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn)
        super().__init__(params, options)

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
