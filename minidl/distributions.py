"""Probability distributions under PyTorch's names: numbers drawn from them, and how likely numbers are.

Normal, Bernoulli, Categorical, Uniform, and Independent, which makes one distribution of several; `kl_divergence`
compares two.  `sample` gives numbers without history, for the score function (REINFORCE: Williams 1992); `rsample`
lets gradients through to the parameters (reparametrization: Kingma and Welling, "Auto-encoding variational Bayes",
ICLR 2014).

Letters: x a value, p a probability, μ and σ mean and standard deviation.  Parameters broadcast to the `batch_shape`;
a sample has the shape `sample_shape` + `batch_shape` + `event_shape`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from minidl.autograd import Tensor, no_grad, tensor
from minidl.functional import broadcast_tensors, clamp, gather, where
from minidl.functional.creation import full_like
from minidl.functional.random import bernoulli, multinomial, rand, randn
from minidl.functional.reductions import log_softmax, softmax
from minidl.nn.functional import binary_cross_entropy_with_logits
from minidl.ops.elementwise import erf, exp, log, log1p, sigmoid, sqrt
from minidl.ops.logic import logical_and, logical_or

Shape = tuple[int, ...]


class Distribution:
    """Base class.  Wrong parameters, and values that cannot come from the distribution, raise ValueError.

    `validate_args=False` leaves the checks out.  `sample`, `log_prob`, `entropy`, `mean`, `variance` and `stddev` are
    there for each, `rsample` where a sample depends smoothly on the parameters (`has_rsample`), otherwise RuntimeError.
    """

    has_rsample = False
    batch_shape: Shape = ()
    event_shape: Shape = ()
    parameters: tuple[str, ...] = ()
    validate = True

    def _check(self, name: str, fits: Any, expected: str) -> None:
        if self.validate and not bool(fits.all()):
            raise ValueError(f"{type(self).__name__}: expected {name} to be {expected}, got others in {self}")

    def _check_value(self, value: Any, fits: Any, expected: str) -> None:
        if self.validate and not bool(fits.all()):
            raise ValueError(f"{type(self).__name__}.log_prob: expected values that are {expected}, got others")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Numbers drawn at random, of shape sample_shape + batch_shape + event_shape, without history."""
        with no_grad():
            return self.rsample(sample_shape).detach()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The same, with a history that leads to the parameters."""
        raise RuntimeError(f"{type(self).__name__} has no rsample: its samples jump; use sample() and log_prob()")

    def _shape(self, sample_shape: Any) -> Shape:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability (or of its density) of `value`."""
        raise RuntimeError(f"{type(self).__name__} does not say how likely a value is: define log_prob(self, value)")

    variance: Any

    @property
    def stddev(self) -> Tensor:
        """The standard deviation σ."""
        return sqrt(self.variance)

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in self.parameters if name in vars(self)}
        parts = [f"{name}: {x.item() if x.numel() == 1 else x.shape}" for name, x in values.items()]
        return f"{type(self).__name__}({', '.join(parts)})"


def _as_float(x: Any) -> Tensor:
    if not isinstance(x, Tensor | int | float | np.generic):
        raise ValueError(f"a parameter of a distribution must be a number or a Tensor, got {type(x).__name__}")
    return x if isinstance(x, Tensor) else tensor(float(x))


def _value(x: Any) -> Tensor:
    if not isinstance(x, Tensor):
        raise ValueError(f"log_prob: expected a Tensor, got {type(x).__name__}")
    return x


class Normal(Distribution):
    """The normal distribution with mean `loc` and standard deviation `scale`.

    >>> import minidl
    >>> Normal(0.0, 1.0).log_prob(minidl.tensor(1.0))
    tensor(-1.4189385)
    """

    has_rsample = True
    parameters = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.validate = validate_args is not False
        self.loc, self.scale = broadcast_tensors(_as_float(loc), _as_float(scale))
        self.batch_shape = self.loc.shape
        self._check("scale", self.scale > 0, "above 0")
        self._check("loc", self.loc == self.loc, "a number")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = randn(self._shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * noise

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_value(value, _value(value) == value, "numbers")
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - log(self.scale) - math.log(math.sqrt(2 * math.pi))

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + log(self.scale)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a number up to `value`."""
        return 0.5 * (1 + erf((value - self.loc) / (self.scale * math.sqrt(2))))

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return self.scale**2


class Uniform(Distribution):
    """The uniform distribution from `low` (included) to `high` (not)."""

    has_rsample = True
    parameters = ("low", "high")

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.validate = validate_args is not False
        self.low, self.high = broadcast_tensors(_as_float(low), _as_float(high))
        self.batch_shape = self.low.shape
        self._check("low", self.low < self.high, "less than high")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        share = rand(self._shape(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + share * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        inside = logical_and(self.low <= _value(value), value <= self.high)
        self._check_value(value, inside, "from low to high")
        return log(logical_and(inside, value < self.high).to(self.low.dtype)) - log(self.high - self.low)

    def entropy(self) -> Tensor:
        return log(self.high - self.low)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12


class _Discrete(Distribution):
    """What the distributions given by probabilities `probs` or by their `logits` share."""

    parameters = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError(f"{type(self).__name__}: expected either probs or logits, got both or neither")
        self.validate = validate_args is not False
        self._set_up(_as_float(logits if probs is None else probs), probs is not None)

    def _set_up(self, given: Tensor, are_probs: bool) -> None:
        raise RuntimeError(f"{type(self).__name__} does not say what its parameters mean")


def _inside(p: Tensor) -> Tensor:
    """Probabilities so far from 0 and 1 that their logarithms are finite."""
    eps = float(np.finfo(p.dtype).eps)
    return clamp(p, eps, 1 - eps)


class Bernoulli(_Discrete):
    """1 with probability `probs`, otherwise 0; `logits` are ln(p / (1 - p)), what a network gives.

    >>> Bernoulli(0.25).entropy()
    tensor(0.56233513)
    """

    def _set_up(self, given: Tensor, are_probs: bool) -> None:
        setattr(self, "probs" if are_probs else "logits", given)
        self.batch_shape = given.shape
        if are_probs:
            self._check("probs", logical_and(given >= 0, given <= 1), "from 0 to 1")

    @cached_property
    def probs(self) -> Tensor:
        """The probabilities of 1."""
        return sigmoid(self.logits)

    @cached_property
    def logits(self) -> Tensor:
        """ln(p / (1 - p))."""
        p = _inside(self.probs)
        return log(p) - log1p(-p)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return bernoulli(self.probs.detach().expand(self._shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_value(value, logical_or(_value(value) == 0, value == 1), "0 or 1")
        logits, value = broadcast_tensors(self.logits, value if value.is_floating_point() else value.float())
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Categorical(_Discrete):
    """A class 0 … K-1, with probabilities proportional to `probs`, or to exp(`logits`): both of shape (..., K).

    A policy of reinforcement learning, or the next letter of a text.

    >>> import minidl
    >>> coin = Categorical(probs=minidl.tensor([1.0, 3.0]))
    >>> coin.log_prob(minidl.tensor(1)).exp()
    tensor(0.75)
    """

    def _set_up(self, given: Tensor, are_probs: bool) -> None:
        if not given.ndim:
            raise ValueError(f"Categorical: expected a dimension for the classes, got shape {given.shape}")
        self.batch_shape, self._classes = given.shape[:-1], given.shape[-1]
        if are_probs:
            total = given.sum(-1, keepdim=True)
            self._check("probs", logical_and(given >= 0, total > 0), "from 0, and not all of them 0")
            self.probs = given / total
        else:
            self.logits = log_softmax(given, -1)
            self._check("logits", given == given, "numbers")

    @cached_property
    def probs(self) -> Tensor:
        """The probabilities, which add up to 1."""
        return softmax(self.logits, -1)

    @cached_property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return log(_inside(self.probs))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        rows = self.probs.detach().reshape(-1, self._classes)
        return multinomial(rows, math.prod(sample_shape), True).T.reshape(self._shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        fits = logical_and(logical_and(_value(value) >= 0, value < self._classes), value == value.long())
        self._check_value(value, fits, f"classes from 0 to {self._classes - 1}")
        shape = np.broadcast_shapes(value.shape, self.batch_shape)
        places, logits = value.long().expand(shape).unsqueeze(-1), self.logits.expand(*shape, self._classes)
        return gather(logits, -1, places).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(clamp(self.logits, min=float(np.finfo(self.logits.dtype).min)) * self.probs).sum(-1)

    @property
    def mean(self) -> Tensor:
        """NaN: classes have no order."""
        return full_like(self.probs[..., 0], math.nan)

    variance = mean

    @property
    def mode(self) -> Tensor:
        """The most probable class."""
        return self.probs.argmax(-1)


class Independent(Distribution):
    """One distribution of vectors made of `base_distribution`, whose last batch dimensions become one event.

    `log_prob` and `entropy` are summed over these.  ValueError if there are fewer.
    """

    def __init__(
        self, base_distribution: Any, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        shape, self._dims = base_distribution.batch_shape, reinterpreted_batch_ndims
        if self._dims > len(shape):
            raise ValueError(f"Independent: {base_distribution} has {len(shape)} batch dimensions, got {self._dims}")
        cut = len(shape) - self._dims
        self.base_dist, self.has_rsample = base_distribution, base_distribution.has_rsample
        self.batch_shape, self.event_shape = shape[:cut], shape[cut:] + base_distribution.event_shape

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def _summed(self, x: Tensor) -> Tensor:
        return x.sum(tuple(range(-self._dims, 0))) if self._dims else x

    def log_prob(self, value: Tensor) -> Tensor:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._summed(self.base_dist.entropy())

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self._dims})"


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The Kullback-Leibler divergence from p to q, two distributions of one kind; RuntimeError for others.

    That of two normal distributions is ln(σ_q/σ_p) + (σ_p² + (μ_p - μ_q)²) / (2σ_q²) - ½; the regulariser of a VAE.

    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0))
    tensor(0.5)
    """
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale) ** 2
        return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - log(ratio))
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        return p.probs * (p.logits - q.logits) + log1p(exp(-abs(q.logits))) - log1p(exp(-abs(p.logits))) + (
            clamp(q.logits, min=0) - clamp(p.logits, min=0))  # fmt: skip
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return (p.probs * (p.logits - q.logits)).sum(-1)
    if isinstance(p, Uniform) and isinstance(q, Uniform):
        inside = logical_and(q.low <= p.low, p.high <= q.high)
        return where(inside, log((q.high - q.low) / (p.high - p.low)), math.inf)
    if isinstance(p, Independent) and isinstance(q, Independent) and p._dims == q._dims:
        return p._summed(kl_divergence(p.base_dist, q.base_dist))
    raise RuntimeError(f"kl_divergence: there is no formula for {p} and {q}")
