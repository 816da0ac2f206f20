"""Distributions: PyTorch's numbers, gradients and errors on the same parameters, and samples that fit them."""

import numpy as np
import pytest
import torch

import minidl
from minidl import distributions

random = np.random.default_rng(0)
MEANS, SPREADS = random.standard_normal(3), np.exp(random.standard_normal((2, 1, 3)))

# from the module of distributions, two tensors and a number that tells two distributions apart
EACH = {
    "Normal": lambda d, m, s, i: d.Normal(m * (i + 1), s),
    "Bernoulli": lambda d, m, s, i: d.Bernoulli(1 / (1 + (m - i).exp())),
    "Bernoulli of logits": lambda d, m, s, i: d.Bernoulli(logits=m * s - i),
    "Categorical": lambda d, m, s, i: d.Categorical(s + i),
    "Categorical of logits": lambda d, m, s, i: d.Categorical(logits=s - m * i),
    "Uniform": lambda d, m, s, i: d.Uniform(m - i, m + s),
    "Independent": lambda d, m, s, i: d.Independent(d.Normal(m, s + i), 1),
}
each = pytest.mark.parametrize("name", EACH)


def made(library, name, i=0):
    """The distribution and the tensors of which it was made."""
    parts = [library.tensor(numbers, requires_grad=True) for numbers in (MEANS, SPREADS)]
    return EACH[name](library.distributions, *parts, i), parts


def numbers(x):
    return np.array(x.detach().tolist())


def values(library, distribution):
    """Values that may come from it, of shape (5, ...)."""
    shape = (5, *distribution.batch_shape, *distribution.event_shape)
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    if isinstance(distribution, library.distributions.Categorical):
        return library.tensor(places % 3)
    if isinstance(distribution, library.distributions.Bernoulli):
        return library.tensor(places % 2 * 1.0)
    if isinstance(distribution, library.distributions.Uniform):
        return (distribution.low + (distribution.high - distribution.low) * 0.3).detach()
    return library.tensor(np.sin(places))


@each
def test_log_prob_entropy_and_their_gradients_are_pytorchs(name):
    found = []
    for library in (minidl, torch):
        distribution, parts = made(library, name)
        log_prob, entropy = distribution.log_prob(values(library, distribution)), distribution.entropy()
        (log_prob.sum() + entropy.sum()).backward()
        found.append([log_prob, entropy, *(x.grad for x in parts if x.grad is not None)])
    for ours, theirs in zip(*found, strict=True):
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-9, atol=1e-12)


@each
def test_moments_shapes_and_divergences_are_pytorchs(name):
    (ours, _), (theirs, _) = (made(library, name) for library in (minidl, torch))
    assert (ours.batch_shape, ours.event_shape, ours.has_rsample) == (
        tuple(theirs.batch_shape), tuple(theirs.event_shape), theirs.has_rsample)  # fmt: skip
    for word in ("mean", "variance", "stddev"):
        np.testing.assert_allclose(numbers(getattr(ours, word)), numbers(getattr(theirs, word)), rtol=1e-9)
    for first, second in ((0, 1), (1, 0)):
        a, b = (library.distributions.kl_divergence(made(library, name, first)[0], made(library, name, second)[0])
                for library in (minidl, torch))  # fmt: skip
        np.testing.assert_allclose(numbers(a), numbers(b), rtol=1e-9)


@each
def test_samples_have_the_moments_of_the_distribution(name):
    minidl.manual_seed(0)
    distribution, (means, spreads) = made(minidl, name)
    drawn = distribution.sample((4000,))
    assert drawn.shape == (4000, *distribution.batch_shape, *distribution.event_shape) and not drawn.requires_grad
    assert distribution.sample().shape == drawn.shape[1:] and distribution.sample((2, 3)).shape[:2] == (2, 3)
    if name.startswith("Categorical"):
        shares = np.stack([(drawn.array == k).mean(0) for k in range(3)], -1)
        np.testing.assert_allclose(shares, numbers(distribution.probs), atol=0.03)
        return
    scale = numbers(distribution.stddev)
    np.testing.assert_allclose((drawn.array.mean(0) - numbers(distribution.mean)) / scale, 0, atol=0.06)
    np.testing.assert_allclose(drawn.array.std(0) / scale, 1, atol=0.06)
    if distribution.has_rsample:
        distribution.rsample((2,)).sum().backward()
        assert means.grad is not None and spreads.grad is not None


@pytest.mark.parametrize("call", [
    lambda t, d: d.Normal(0.0, -1.0),
    lambda t, d: d.Normal(t.tensor([float("nan")]), 1.0),
    lambda t, d: d.Normal("a", 1.0),
    lambda t, d: d.Normal(t.zeros(2), t.ones(3)),
    lambda t, d: d.Normal(0.0, 1.0).log_prob(1.0),
    lambda t, d: d.Bernoulli(2.0),
    lambda t, d: d.Bernoulli(),
    lambda t, d: d.Bernoulli(0.5, logits=0.0),
    lambda t, d: d.Bernoulli(0.5).rsample(),
    lambda t, d: d.Bernoulli(0.5).log_prob(t.tensor(0.3)),
    lambda t, d: d.Categorical(probs=t.tensor([-1.0, 2.0])),
    lambda t, d: d.Categorical(t.tensor([0.0, 0.0])),
    lambda t, d: d.Categorical(t.tensor(1.0)),
    lambda t, d: d.Categorical(t.ones(3)).log_prob(t.tensor(3)),
    lambda t, d: d.Uniform(1.0, 0.0),
    lambda t, d: d.Uniform(0.0, 1.0).log_prob(t.tensor(2.0)),
    lambda t, d: d.Independent(d.Normal(0.0, 1.0), 1),
    lambda t, d: d.kl_divergence(d.Normal(0.0, 1.0), d.Bernoulli(0.5)),
])  # fmt: skip
def test_what_is_wrong_is_refused_as_in_pytorch(call):
    with pytest.raises(Exception) as theirs:
        call(torch, torch.distributions)
    with pytest.raises(RuntimeError if issubclass(theirs.type, RuntimeError) else theirs.type):
        call(minidl, distributions)


def test_numbers_as_parameters_and_values_that_are_not_checked():
    normal = distributions.Normal(0, 2, validate_args=False)
    assert str(normal) == "Normal(loc: 0.0, scale: 2.0)" and normal.sample().dtype == minidl.float32
    assert distributions.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    assert str(distributions.Categorical(minidl.ones(2, 3))) == "Categorical(probs: (2, 3))"
    assert normal.cdf(minidl.tensor(0.0)).item() == 0.5
    assert distributions.Categorical(minidl.eye(2)).mode.tolist() == [0, 1]
