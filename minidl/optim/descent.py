"""Gradient descent with one learning rate for all weights: plain, with momentum, with Nesterov's, with an average.

Full-batch, stochastic and minibatch descent are the same rule; they differ in the batch that the gradient is of.

Letters:  w weights   g gradient of the loss at w   b the remembered direction   t number of the step, from 1
          lr learning rate η   mu momentum μ   tau dampening τ   rate the effective learning rate of each weight
          a average of w   c how much of w joins it in a step   eta rate of this step   lambd decay λ
"""


from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minidl.optim.optimizer import Group, Optimizer
from minidl.optim.runner import Rule


class SGD(Optimizer):
    """Gradient descent (Cauchy 1847; on one example or a small batch: Robbins and Monro 1951).

    Fixes: the weights, by a step against the gradient; noise from small batches instead of a pass over all data.
    Strengths: nothing to remember, nothing hidden; small batches are cheap, and their noise leaves shallow minima.
    Weaknesses: one learning rate for all weights, hard to choose; slow in ravines; never settles at a fixed rate.
    Use when: the data is tiny or streams in, the problem is convex, or you want to see what happens.

    `momentum`, `dampening` and `nesterov` make it the methods of Polyak and of Nesterov, as in PyTorch: there the
    first direction is the gradient itself, without dampening, and lr stands outside b (in Polyak's print inside,
    which is the same as long as lr does not change).  Learning rate recommended for the MNIST network
    784-128-10 at batch size 64: 0.3.

    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5, 1. ], requires_grad=True)
    """

    recommended_lr = 0.3
    state_names: ClassVar[dict[str, str | None]] = {"b": "momentum_buffer", "t": None}

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False, foreach: bool | None = None,
        differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, *, lr):
        return dict(w=w - lr * g, rate=lr)

    @staticmethod
    def momentum_rule(xp, w, g, b, *, lr, mu):
        b = mu * b + g
        return dict(w=w - lr * b, b=b, rate=lr)

    @staticmethod
    def dampened_rule(xp, w, g, b, *, lr, mu, tau):
        b = mu * b + (1 - tau) * g
        return dict(w=w - lr * b, b=b, rate=lr)

    @staticmethod
    def nesterov_rule(xp, w, g, b, *, lr, mu):
        b = mu * b + g
        d = g + mu * b  # a look ahead: the direction in which b will go on
        return dict(w=w - lr * d, b=b, d=d, rate=lr)

    def select(self, group: Group, t: int) -> Rule:
        if not group["momentum"]:
            return self.rule
        if group["nesterov"]:
            return self.nesterov_rule
        return self.dampened_rule if group["dampening"] else self.momentum_rule

    def letters(self, group: Group, t: int) -> dict[str, Any]:
        tau = 0 if t == 1 else group["dampening"]  # the first direction is the gradient itself
        return super().letters(group, t) | {"mu": group["momentum"], "tau": tau}

    def check(self, group: Group) -> None:
        super().check(group)
        mu, tau = group["momentum"], group["dampening"]
        if group["nesterov"] and (mu <= 0 or tau != 0):
            got = f"got momentum={mu}, dampening={tau}"
            raise ValueError(f"Nesterov momentum requires a momentum and zero dampening, {got}")


class Momentum(SGD):
    """Descent with momentum (Polyak 1964): `SGD` with a momentum of 0.9.

    Fixes: the zigzag of plain descent, by remembering the direction of the steps before.
    Strengths: crosses ravines, damps oscillation, speeds up where gradients agree.
    Weaknesses: overshoots a minimum that it reaches at speed; the momentum is one more number to choose.
    Use when: training deep networks, with a learning rate that falls on a schedule.

    Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 0.05.

    >>> import minidl
    >>> w = minidl.tensor([1.0], requires_grad=True)
    >>> optimizer = Momentum([w], lr=0.25)
    >>> for step in range(2):
    ...     optimizer.zero_grad()
    ...     w.sum().backward()
    ...     optimizer.step()
    >>> w.item(), round(optimizer.state[w]["momentum_buffer"].item(), 6)  # 1 - 0.25 · (1 + 1.9)
    (0.2750000059604645, 1.9)
    """

    recommended_lr = 0.05

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(params, lr, momentum, **options)


class Nesterov(SGD):
    """Descent with Nesterov's momentum (Nesterov 1983): `SGD` with a momentum of 0.9 and `nesterov=True`.

    Fixes: momentum's late reaction, by looking one step ahead along the remembered direction.
    Strengths: brakes before it overshoots; on convex problems provably faster than plain descent.
    Weaknesses: with noisy gradients hardly better than plain momentum; two numbers to choose.
    Use when: momentum is right, but the path still swings.

    As in PyTorch the gradient is taken at w, not at the point ahead (Sutskever et al. 2013), which is the same
    path seen from the other point.  Learning rate recommended for the MNIST network 784-128-10 at batch size 64:
    0.05.

    >>> import minidl
    >>> w = minidl.tensor([1.0], requires_grad=True)
    >>> w.sum().backward()
    >>> Nesterov([w], lr=0.25, momentum=0.5).preview(w)["d"]  # g + mu · b
    array([1.5], dtype=float32)
    """

    recommended_lr = 0.05

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(params, lr, momentum, nesterov=True, **options)


class ASGD(Optimizer):
    """Averaged descent (Polyak and Juditsky 1992): plain descent, with an average of its path beside it.

    Fixes: descent at a fixed rate, which circles around the minimum: the average of the circle is close to it.
    Strengths: as good as knowing the curvature, for the price of one sum; the rate may stay large.
    Weaknesses: the average only helps where the path circles; averaging too early drags the start along.
    Use when: the problem is close to convex and the gradients are noisy.

    The rate falls as η / (1 + λ·η·t)^alpha, with λ = `lambd`, which is also a small weight decay (Bottou 2012).
    After `t0` steps the state "ax" holds the average of the weights, before that the weights; the weights themselves
    are not replaced by it.  Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 0.3.

    >>> import minidl
    >>> w = minidl.tensor([1.0], requires_grad=True)
    >>> optimizer = ASGD([w], lr=0.25, lambd=0, t0=0)
    >>> for step in range(3):
    ...     optimizer.zero_grad()
    ...     w.sum().backward()
    ...     optimizer.step()
    >>> w.item(), optimizer.state[w]["ax"]  # 0.75, 0.5, 0.25, averaged from step 2 on
    (0.25, array([0.375], dtype=float32))
    """

    recommended_lr = 0.3
    state_names: ClassVar[dict[str, str | None]] = {"a": "ax", "c": "mu"}
    starts: ClassVar[dict[str, str | float]] = {"eta": "lr", "c": 1.0}
    kept = ("eta", "c")

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0, foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
        capturable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, a, *, lambd, eta, c):
        w = w - eta * lambd * w - eta * g
        return dict(w=w, a=a + c * (w - a), rate=eta)

    def keep(self, letters: dict[str, Any]) -> dict[str, float]:
        lr, t = float(letters["lr"]), letters["t"]
        return {"eta": lr / (1 + letters["lambd"] * lr * t) ** letters["alpha"], "c": 1 / max(1, t - letters["t0"])}
