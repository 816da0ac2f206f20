"""Optimizers with a learning rate for each weight, found from the size of its past gradients.

Products, quotients and roots are element by element.

Letters:  w weights   g gradient of the loss at w   t number of the step, from 1   lr learning rate η
          s sum or average of g²   m, v averages of g and g²   m_hat, v_hat the same without the bias to 0
          u average of d²   d the step before lr   a average of g (RMSprop)   b the remembered direction
          b1, b2, rho how much of an average is kept (β₁, β₂, ρ)   mu momentum μ   eps keeps from dividing by 0 (ε)
          rate the effective learning rate of each weight
"""


from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minidl.optim.optimizer import Group, Optimizer
from minidl.optim.runner import Rule


class Adagrad(Optimizer):
    """AdaGrad (Duchi, Hazan and Singer 2011): the rate falls with the sum of the squared gradients.

    Fixes: the one learning rate for all weights: each gets its own, from all its gradients so far.
    Strengths: large steps for rare features; little tuning.
    Weaknesses: the sum only grows, so all rates die in the end.
    Use when: features are sparse, or the problem is convex.

    `lr_decay` lets lr fall to lr / (1 + (t - 1) · lr_decay), which is PyTorch's, not the paper's, and 0 by default.
    Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 0.03.

    >>> import minidl
    >>> w = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.5)
    >>> (w * minidl.tensor([1.0, 100.0])).sum().backward()
    >>> optimizer.step()  # the first step has the same size for every gradient
    >>> w
    tensor([-0.5, -0.5], requires_grad=True)
    """

    recommended_lr = 0.03
    state_names: ClassVar[dict[str, str | None]] = {"s": "sum"}
    starts: ClassVar[dict[str, str | float]] = {"s": "initial_accumulator_value"}

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, s, *, t, lr, lr_decay, eps):
        s = s + g * g  # every squared gradient so far
        rate = lr / (1 + (t - 1) * lr_decay) / (xp.sqrt(s) + eps)
        return dict(w=w - rate * g, s=s, rate=rate)


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012, lecture 6e): divides by the root mean square of recent gradients.

    Fixes: AdaGrad's dying rates: old squared gradients are forgotten.
    Strengths: keeps moving; the scale of the gradients does not matter; follows a loss that changes.
    Weaknesses: lr is still to be chosen; no correction of the first averages, so the first steps are too large.
    Use when: training recurrent networks, or online.

    `alpha` is ρ: 0.99 in PyTorch, 0.9 in the lecture, which prints no ε.  `momentum` remembers the divided gradients
    as b; `centered` divides by the standard deviation instead (Graves 2013, with ε inside the root).
    Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 0.001.

    >>> import minidl
    >>> w = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.1)
    >>> (w * minidl.tensor([1.0, 100.0])).sum().backward()
    >>> optimizer.preview(w)["rate"].round(4)
    array([1.  , 0.01], dtype=float32)
    """

    recommended_lr = 0.001
    state_names: ClassVar[dict[str, str | None]] = {"s": "square_avg", "a": "grad_avg", "b": "momentum_buffer"}

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0, momentum: float = 0, centered: bool = False, capturable: bool = False,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, s, *, lr, rho, eps):
        s = rho * s + (1 - rho) * g * g
        rate = lr / (xp.sqrt(s) + eps)
        return dict(w=w - rate * g, s=s, rate=rate)

    @staticmethod
    def centered_rule(xp, w, g, s, a, *, lr, rho, eps):
        s = rho * s + (1 - rho) * g * g
        a = rho * a + (1 - rho) * g
        rate = lr / (xp.sqrt(s - a * a) + eps)  # s - a²: the variance
        return dict(w=w - rate * g, s=s, a=a, rate=rate)

    @staticmethod
    def momentum_rule(xp, w, g, s, b, *, lr, rho, mu, eps):
        s = rho * s + (1 - rho) * g * g
        root = xp.sqrt(s) + eps
        b = mu * b + g / root
        return dict(w=w - lr * b, s=s, b=b, rate=lr / root)

    @staticmethod
    def centered_momentum_rule(xp, w, g, s, a, b, *, lr, rho, mu, eps):
        s = rho * s + (1 - rho) * g * g
        a = rho * a + (1 - rho) * g
        root = xp.sqrt(s - a * a) + eps
        b = mu * b + g / root
        return dict(w=w - lr * b, s=s, a=a, b=b, rate=lr / root)

    def select(self, group: Group, t: int) -> Rule:
        if group["momentum"]:
            return self.centered_momentum_rule if group["centered"] else self.momentum_rule
        return self.centered_rule if group["centered"] else self.rule

    def letters(self, group: Group, t: int) -> dict[str, Any]:
        return super().letters(group, t) | {"rho": group["alpha"], "mu": group["momentum"]}


class Adadelta(Optimizer):
    """AdaDelta (Zeiler 2012, algorithm 1): the ratio of past steps to past gradients is the learning rate.

    Fixes: RMSprop's lr: steps get the units of the weights, from the average size of the steps before.
    Strengths: no learning rate to set.
    Weaknesses: two memories; starts slowly, because the first steps are made of ε; can stay too cautious.
    Use when: nothing should be tuned.

    `lr` is PyTorch's, 1.0 by default, which is the paper's rule; the paper's experiments use rho = 0.95, PyTorch 0.9.
    Learning rate recommended for the MNIST network 784-128-10 at batch size 64: 1.

    >>> import minidl
    >>> w = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> optimizer = Adadelta([w])
    >>> (w * minidl.tensor([1.0, 100.0])).sum().backward()
    >>> optimizer.preview(w)["d"].round(5)  # √ε / √(0.1 · g²) · g: the same for every gradient
    array([0.00316, 0.00316], dtype=float32)
    """

    recommended_lr = 1.0
    state_names: ClassVar[dict[str, str | None]] = {"s": "square_avg", "u": "acc_delta"}

    def __init__(
        self, params: Iterable[Any], lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0,
        foreach: bool | None = None, *, capturable: bool = False, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, s, u, *, lr, rho, eps):
        s = rho * s + (1 - rho) * g * g
        ratio = xp.sqrt(u + eps) / xp.sqrt(s + eps)  # size of past steps over size of gradients
        d = ratio * g
        u = rho * u + (1 - rho) * d * d
        return dict(w=w - lr * d, s=s, u=u, d=d, rate=lr * ratio)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1): momentum, divided by the root mean square of past gradients.

    Fixes: RMSprop's first steps, by undoing the bias of averages that start at 0; and adds momentum.
    Strengths: works from the first step on with little tuning; stands sparse and noisy gradients.
    Weaknesses: can generalise worse than tuned SGD; its weight_decay is no true decay; v can forget (see amsgrad).
    Use when: you do not know better: the safe default.

    The paper's defaults.  `amsgrad` divides by the largest v so far (Reddi, Kale and Kumar 2018); as in PyTorch
    that is bias-corrected, which the paper leaves out.  `decoupled_weight_decay` makes it `AdamW`.  Learning rate
    recommended for the MNIST network 784-128-10 at batch size 64: 0.001.

    >>> import minidl
    >>> w = minidl.tensor([0.0, 0.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * minidl.tensor([1.0, 100.0])).sum().backward()
    >>> optimizer.preview(w)["m_hat"]  # without bias: the gradient itself
    array([  1., 100.], dtype=float32)
    >>> optimizer.step()
    >>> w
    tensor([-0.5, -0.5], requires_grad=True)
    """

    recommended_lr = 0.001
    state_names: ClassVar[dict[str, str | None]] = {"m": "exp_avg", "v": "exp_avg_sq", "v_max": "max_exp_avg_sq"}

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None, maximize: bool = False,
        capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, locals())

    @staticmethod
    def rule(xp, w, g, m, v, *, t, lr, b1, b2, eps):
        m = b1 * m + (1 - b1) * g  # average gradient
        v = b2 * v + (1 - b2) * g * g  # average squared gradient
        m_hat = m / (1 - b1**t)  # both start at 0: undo the bias
        v_hat = v / (1 - b2**t)
        rate = lr / (xp.sqrt(v_hat) + eps)
        return dict(w=w - rate * m_hat, m=m, v=v, m_hat=m_hat, v_hat=v_hat, rate=rate)

    @staticmethod
    def amsgrad_rule(xp, w, g, m, v, v_max, *, t, lr, b1, b2, eps):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        v_max = xp.maximum(v_max, v)  # never forgets a large gradient
        m_hat = m / (1 - b1**t)
        v_hat = v_max / (1 - b2**t)
        rate = lr / (xp.sqrt(v_hat) + eps)
        return dict(w=w - rate * m_hat, m=m, v=v, v_max=v_max, m_hat=m_hat, v_hat=v_hat, rate=rate)

    def select(self, group: Group, t: int) -> Rule:
        return self.amsgrad_rule if group["amsgrad"] else self.rule


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter 2019): Adam, with weight decay apart from the gradient.

    Fixes: Adam's weight decay, which is divided by the size of the gradients like everything else.
    Strengths: decay acts equally on all weights, so lr and decay can be tuned apart.
    Weaknesses: one more number to choose; the decay still scales with lr.
    Use when: training Transformers and most modern networks.

    First w ← w - η·λ·w, with λ = `weight_decay` and η = lr (in the paper λ is multiplied by the schedule only,
    not by its base rate), then Adam.  Learning rate recommended for the MNIST network 784-128-10 at batch size
    64: 0.001.

    >>> import minidl
    >>> w = minidl.tensor([1.0], requires_grad=True)
    >>> (w * 0.0).sum().backward()
    >>> AdamW([w], lr=0.1, weight_decay=0.5).preview(w)["w"]  # no gradient, and still w - 0.1 · 0.5 · w
    array([0.95], dtype=float32)
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False, foreach: bool | None = None,
        capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        options: dict[str, Any] = dict(maximize=maximize, differentiable=differentiable, decoupled_weight_decay=True)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **options)
