"""Variants of Adam: another measure of the gradients' size, Nesterov's look ahead, a careful start.

Letters:  w weights   g gradient   m, v averages of g and g²   m_hat, v_hat the same without the bias to 0
          t number of the step, from 1   lr learning rate η (α in the papers)   b1, b2 = β₁, β₂   eps = ε
          u largest |g|, slowly forgotten   mu momentum μ of this step, mu_next of the next   product of all mu so far
          psi how fast μ rises (ψ)   r rectification   rate the effective learning rate of each weight
"""


from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minidl.optim.optimizer import Group, Optimizer
from minidl.optim.runner import Rule


class Adamax(Optimizer):
    """Adamax (Kingma and Ba 2015, algorithm 2): Adam, divided by the largest recent gradient.

    Fixes: Adam's average of squares, which one tiny gradient after another can shrink and so blow up the step.
    Strengths: no step is larger than lr; the size needs no correction of its first averages.
    Weaknesses: one outlier makes the steps of its weight small for a long time.
    Use when: gradients are sparse or have outliers, as those of embeddings.

    ε stands inside the maximum, as in PyTorch; the paper has none.
    Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 0.005.

    >>> import minidl
    >>> w = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> (w * minidl.tensor([1.0, 100.0])).sum().backward()
    >>> Adamax([w], lr=0.5).preview(w)["w"]  # the first step has the same size for every gradient
    array([-0.5, -0.5], dtype=float32)
    """

    recommended_lr = 0.005
    state_names: ClassVar[dict[str, str | None]] = {"m": "exp_avg", "u": "exp_inf"}

    def __init__(
        self, params: Iterable[Any], lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False,
        capturable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, m, u, *, t, lr, b1, b2, eps):
        m = b1 * m + (1 - b1) * g
        u = xp.maximum(b2 * u, xp.abs(g) + eps)  # the largest gradient, slowly forgotten
        m_hat = m / (1 - b1**t)
        rate = lr / u
        return dict(w=w - rate * m_hat, m=m, u=u, m_hat=m_hat, rate=rate)


class NAdam(Optimizer):
    """NAdam (Dozat 2016): Adam with Nesterov's momentum.

    Fixes: Adam's late reaction, by a step along the average gradient as it will be.
    Strengths: often a little faster than Adam, at the same price.
    Weaknesses: the momentum follows a schedule of its own, one more number to know of.
    Use when: Adam is right, and you would take Nesterov's momentum over plain momentum.

    μ rises from b1 / 2 to b1: μ = b1 · (1 - 0.96^(t·ψ) / 2), with ψ = `momentum_decay`.
    Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 0.002.

    >>> import minidl
    >>> w = minidl.tensor([0.0], requires_grad=True)
    >>> w.sum().backward()
    >>> NAdam([w], lr=0.5).preview(w)["v_hat"]
    array([1.], dtype=float32)
    """

    recommended_lr = 0.002
    state_names: ClassVar[dict[str, str | None]] = {"m": "exp_avg", "v": "exp_avg_sq", "product": "mu_product"}
    starts: ClassVar[dict[str, str | float]] = {"product": 1.0}
    kept = ("product",)

    def __init__(
        self, params: Iterable[Any], lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, m, v, *, t, lr, b1, b2, mu, mu_next, product, eps):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        m_hat = mu_next / (1 - product * mu_next) * m + (1 - mu) / (1 - product) * g  # a look ahead
        v_hat = v / (1 - b2**t)
        rate = lr / (xp.sqrt(v_hat) + eps)
        return dict(w=w - rate * m_hat, m=m, v=v, m_hat=m_hat, v_hat=v_hat, rate=rate)

    def letters(self, group: Group, t: int) -> dict[str, Any]:
        b1, psi = group["betas"][0], group["momentum_decay"]
        mu, mu_next = (b1 * (1 - 0.96 ** (step * psi) / 2) for step in (t, t + 1))
        return super().letters(group, t) | {"mu": mu, "mu_next": mu_next, "product": group["product"] * mu}


class RAdam(Optimizer):
    """RAdam (Liu et al. 2020, algorithm 2): Adam that waits until its average of squares can be trusted.

    Fixes: Adam's first steps, which divide by an average of a few gradients only, and so vary wildly.
    Strengths: needs no warm-up of the learning rate; the choice of lr matters less.
    Weaknesses: starts slowly, as plain momentum for the first five steps.
    Use when: Adam needs a warm-up, and you do not want to choose one.

    ρ measures how many gradients the average of squares holds; up to 5 the step is not divided by it, later the rate
    is scaled by r.  ε is added before the bias is undone, as in PyTorch; the paper has none.
    Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 0.002.

    >>> import minidl
    >>> w = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> (w * minidl.tensor([1.0, 100.0])).sum().backward()
    >>> RAdam([w], lr=0.5).preview(w)["w"]  # the first steps follow the gradients as they are
    array([ -0.5, -50. ], dtype=float32)
    """

    recommended_lr = 0.002
    state_names: ClassVar[dict[str, str | None]] = {"m": "exp_avg", "v": "exp_avg_sq"}

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, m, v, *, t, lr, b1, b2, r, eps):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        m_hat = m / (1 - b1**t)
        rate = lr * r * (1 - b2**t) ** 0.5 / (xp.sqrt(v) + eps)
        return dict(w=w - rate * m_hat, m=m, v=v, m_hat=m_hat, rate=rate)

    @staticmethod
    def first_rule(xp, w, g, m, v, *, t, lr, b1, b2):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        m_hat = m / (1 - b1**t)
        return dict(w=w - lr * m_hat, m=m, v=v, m_hat=m_hat, rate=lr)

    def select(self, group: Group, t: int) -> Rule:
        return self.rule if self.letters(group, t)["rho"] > 5 else self.first_rule

    def letters(self, group: Group, t: int) -> dict[str, Any]:
        b2 = group["betas"][1]
        rho_inf = 2 / (1 - b2) - 1
        rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
        squared = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho) if rho > 5 else 1.0
        return super().letters(group, t) | {"rho": rho, "r": squared**0.5}
