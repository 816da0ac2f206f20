"""The curvature of the loss: the largest eigenvalues of its Hessian, and how they stand to the learning rate.

Gradient descent on a quadratic of curvature λ multiplies the distance to the minimum by 1 - lr·λ in each step, and
converges if lr·λ < 2.  On networks, λ of the steepest direction rises to about 2/lr and stays there:
J. Cohen et al., "Gradient descent on neural networks typically occurs at the edge of stability" (2021).

Letters: H the Hessian, v a direction of length 1, θ = vᵀHv the curvature along it, r = Hv - θv how far it is from
being an eigenvector.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import nn
from minidl.autograd import Tensor, enable_grad, grad
from minidl.optim import SGD, Optimizer
from minidl.study import charts
from minidl.study.measuring import Loss, bar, cut, expect, flat, loss_of, untouched
from minidl.study.table import Table
from minidl.train.callbacks import Callback

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDS = {"magnitude": (1, -1), "largest": (1,), "smallest": (-1,)}  # of the spectrum: from which to look
SHOWN = 20  # looks of a training that are printed


@dataclass(frozen=True)
class Eigenpair:
    """An eigenvalue of the Hessian, its direction (entries of all parameters,), and how it was found.

    `residual` is the norm of Hv - λv: some eigenvalue lies no further away than that.  `products` counts those with H.
    """

    value: float
    vector: np.ndarray
    residual: float
    products: int


class Eigenvalues:
    """Eigenvalues of a Hessian: their `values` (k,), and `vectors` (k, entries), in the order of the parameters."""

    def __init__(self, pairs: list[Eigenpair]) -> None:
        self.pairs = pairs
        self.values = np.array([pair.value for pair in pairs])
        self.vectors = np.array([pair.vector for pair in pairs])

    def table(self) -> Table:
        """A row for each: the eigenvalue, the largest stable rate of gradient descent, how sure it is, what it took."""
        rows: list[dict[str, Any]] = [
            {"eigenvalue": pair.value, "2/eigenvalue": 2 / pair.value if pair.value > 0 else None,
             "residual": pair.residual, "products": pair.products} for pair in self.pairs
        ]  # fmt: skip
        return Table(rows)

    def __repr__(self) -> str:
        return str(self.table())


def top_hessian_eigenvalues(
    model: nn.Module, loss: Loss, batch: Any = None, k: int = 1, *, which: str = "magnitude",
    tolerance: float = 1e-3, steps: int = 200, seed: int = 0, progress: bool = True,
) -> Eigenvalues:  # fmt: skip
    """The k eigenvalues of the Hessian of the loss that are largest in "magnitude", or the "largest" or "smallest".

    The loss is loss(model(inputs), targets) for `batch` = (inputs, targets), and without a batch loss(model); the
    parameters are those of the model that require a gradient.  Power iteration on products with the Hessian, each one
    a backward pass through the gradient's own graph, with deflation: what was found is taken out of every product.
    Each step keeps the best direction of the plane of v and Hv (Rayleigh and Ritz) instead of Hv, so that λ and -λ are
    told apart, and few steps are enough.  It ends when the residual is below `tolerance` times the largest curvature
    that was met, or after `steps` products: the table says which.  The model is left as it was.  ValueError for a k
    that is not from 1 to the number of weights.

    >>> import minidl
    >>> from minidl import nn, study
    >>> model = nn.Linear(2, 1, bias=False)
    >>> x = minidl.tensor([[3.0, 0.0], [0.0, 1.0]])
    >>> found = study.top_hessian_eigenvalues(model, nn.MSELoss(), (x, minidl.zeros(2, 1)), k=2)
    >>> found.values.round(3)  # of 2 xᵀx / 2
    array([9., 1.])
    """
    expect(nn.Module, model, "top_hessian_eigenvalues")
    if which not in ENDS:
        raise ValueError(f"which: expected one of {', '.join(ENDS)}, got {which!r}")
    with untouched(model), np.errstate(all="ignore"):
        hessian = _Hessian(model, loss, batch)
        if not 1 <= k <= hessian.size:
            raise ValueError(f"k must be from 1 to {hessian.size}, the number of weights, got {k}")
        random, found = np.random.default_rng(seed), list[Eigenpair]()
        nearest: dict[int, Eigenpair] = {}  # at each end of the spectrum, the first that was not found before
        for _ in bar(range(k), "eigenvalues", progress):
            for end in ENDS[which]:
                known = [*found, *nearest.values()]
                if end not in nearest and len(known) < hessian.size:
                    start = random.standard_normal(hessian.size)
                    nearest[end] = _end(hessian, end, start, known, tolerance, steps)
            found.append(nearest.pop(max(nearest, key=lambda end: abs(nearest[end].value))))
    return Eigenvalues(found)


class _Hessian:
    """The Hessian of a loss as something that vectors are multiplied with, from one graph of the gradient for all."""

    def __init__(self, model: nn.Module, loss: Loss, batch: Any) -> None:
        self.params = [p for p in model.parameters() if p.requires_grad]
        if not self.params:
            raise ValueError("no parameter of the model requires a gradient, so that there is no Hessian")
        self.size = sum(p.numel() for p in self.params)
        with enable_grad():
            value = loss_of(model, loss, batch)
            self.slopes = grad(value, self.params, create_graph=True, materialize_grads=True)
        self.loss = value.item()

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        """Hv, the gradient of gradientᵀv: (entries,)."""
        pairs = zip(self.slopes, cut(v, self.params), strict=True)
        curved = [(slope, part) for slope, part in pairs if slope.requires_grad]  # the loss is linear in the others
        if not curved:
            return np.zeros_like(v)
        slopes, weights = zip(*curved, strict=True)
        return flat(grad(slopes, self.params, weights, retain_graph=True, materialize_grads=True))


def unit(x: np.ndarray) -> np.ndarray:
    """The direction of x, as a vector of length 1."""
    return x / np.linalg.norm(x)


def _end(
    hessian: _Hessian, end: int, start: np.ndarray, found: list[Eigenpair], tolerance: float, steps: int
) -> Eigenpair:
    """The eigenvalue that lies furthest up (`end` 1) or down (-1), of those that are not `found`."""

    def deflated(x: np.ndarray) -> np.ndarray:
        for pair in 2 * found:  # twice, because rounding leaves a little the first time
            x = x - (pair.vector @ x) * pair.vector
        return x

    v = unit(deflated(start))
    hv = deflated(hessian @ v)
    scale = max([float(np.linalg.norm(hv)), *[abs(pair.value) for pair in found]])
    for count in range(1, max(1, steps) + 1):
        value = float(v @ hv)
        r = hv - value * v
        residual = float(np.linalg.norm(r))
        if not residual > tolerance * scale or count >= steps:  # also where it is nan
            break
        u = unit(deflated(r - (v @ r) * v))
        hu = deflated(hessian @ u)
        scale = max(scale, float(np.linalg.norm(hu)))
        plane = np.array([[value, u @ hv], [u @ hv, u @ hu]])  # the Hessian, seen from the plane of v and Hv
        a, b = np.linalg.eigh(plane).eigenvectors[:, -1 if end > 0 else 0]
        v, hv = a * v + b * u, a * hv + b * hu
    return Eigenpair(value, v, residual, count)


class Sharpness(Callback):
    """The sharpness λ, the largest eigenvalue of the Hessian of the loss on `batch`, watched during training.

    Call `look(step)` between steps, or give it to `Trainer.fit(callbacks=[...])`, where it looks after every `every`
    steps.  `rows` has one row for each look, with what gradient descent compares: lr·λ, and in `limit` the largest that
    is stable on a quadratic.  That is 2 for plain descent, 2 + 2μ with momentum μ, and (2 + 2μ) / (1 + 2μ) with
    Nesterov's; other optimizers, which change the gradient in other ways, are compared with 2.  Loss and batch are as
    in `top_hessian_eigenvalues`, and each look begins near the direction that the last one ended with.

    >>> import minidl
    >>> from minidl import nn, optim, study
    >>> model = nn.Linear(1, 1, bias=False)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.25)
    >>> watch = study.Sharpness(model, optimizer, nn.MSELoss(), (minidl.tensor([[2.0]]), minidl.tensor([[0.0]])))
    >>> row = watch.look(step=0)
    >>> row["sharpness"], row["lr·sharpness"], watch.limit
    (8.0, 2.0, 2.0)
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, loss: Loss, batch: Any = None, *, every: int = 1,
        tolerance: float = 1e-2, steps: int = 100,
    ) -> None:  # fmt: skip
        expect(nn.Module, model, "Sharpness")
        expect(Optimizer, optimizer, "Sharpness")
        if not {*model.parameters()} & {p for group in optimizer.param_groups for p in group["params"]}:
            raise ValueError("the optimizer has none of the model's parameters: is it that of another model?")
        if every < 1:
            raise ValueError(f"every must be a number of steps from 1, got {every}")
        self.model, self.optimizer, self.loss, self.batch = model, optimizer, loss, batch
        self.every, self.tolerance, self.steps = every, tolerance, steps
        self.rows = Table()
        self._seen = 0  # steps of a Trainer
        self._last: np.ndarray | None = None  # direction
        self._random = np.random.default_rng(0)

    @property
    def limit(self) -> float:
        """The lr·λ beyond which the optimizer diverges on a quadratic (Cohen et al. 2021, appendix B)."""
        group = self.optimizer.param_groups[0]
        if not isinstance(self.optimizer, SGD) or not (mu := group["momentum"]):
            return 2.0
        return (2 + 2 * mu) / (1 + 2 * mu if group["nesterov"] else 1 - group["dampening"])

    def look(self, step: float | None = None) -> dict[str, Any]:
        """Measure now, and return the new row; `step` is its number, by default one more than that of the last."""
        if step is None:
            step = self.rows[-1]["step"] + 1 if self.rows else 0
        with untouched(self.model), np.errstate(all="ignore"):
            hessian, lr = _Hessian(self.model, self.loss, self.batch), float(self.optimizer.param_groups[0]["lr"])
            start = unit(self._random.standard_normal(hessian.size))
            if self._last is not None:  # nearly, because what was on top may be an eigenvector still, below another
                start = self._last + 0.3 * start
            top = _end(hessian, 1, start, [], self.tolerance, self.steps)
        self._last = top.vector if np.isfinite(top.vector).all() else None
        row = {"step": step, "loss": hessian.loss, "lr": lr, "sharpness": top.value, "lr·sharpness": lr * top.value}
        self.rows.append(row)
        return row

    def on_step(self, trainer: Any, loss: Tensor) -> None:
        self._seen += 1
        if self._seen % self.every == 0:
            self.look(self._seen)

    def table(self) -> Table:
        """A row for each look: step, loss, lr, sharpness (λ) and lr·sharpness."""
        return self.rows

    def __repr__(self) -> str:
        return f"{self.rows.some(SHOWN)}\nlr·sharpness, at most {self.limit:.4g} on a quadratic, {len(self.rows)} looks"

    def plot(self, path: str | Path | None = None) -> Figure:
        """The loss over the steps, and lr·λ with the limit, as a picture; saved, if `path` names a file.

        ImportError without matplotlib, ValueError before the first look.
        """
        if not self.rows:
            raise ValueError("nothing was measured yet: call look() between the steps of the training")
        blue, red = charts.COLORS[:2]
        drawn = charts.figure(6.5, 5.6)
        upper, lower = drawn.subplots(2, 1, sharex=True)
        steps, losses, products = (self.rows.column(name) for name in ("step", "loss", "lr·sharpness"))
        upper.plot(steps, losses, color=blue)
        upper.set(ylabel="loss", yscale="log" if min(losses) > 0 else "linear")
        lower.plot(steps, products, color=blue)
        note = f"{self.limit:.4g}: above it, descent on a quadratic diverges"
        lower.axhline(self.limit, color=red, linestyle="--", label=note)
        lower.legend(loc="lower right", frameon=False)
        lower.set(xlabel="step", ylabel="learning rate × sharpness λ", ylim=(min(0, *products), None))
        lower.margins(y=0.15)
        for axes in (upper, lower):
            charts.tidy(axes, whole=True)
        return charts.save(drawn, path)
