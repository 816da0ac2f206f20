"""Functions that make tensors of random numbers, and those that fill tensors with them.

The numbers are drawn on the host, so that a seed gives the same ones on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor
from minidl.backend import Generator, random_stream
from minidl.functional.creation import beside, like, made, of_shape


@of_shape
def rand(shape: Any, dtype: Any, generator: Generator | None = None) -> Any:
    """Numbers drawn evenly from 0 (included) to 1 (not)."""
    below_1 = 1 - np.finfo(dtype).epsneg  # a number just below 1 would become 1 in a shorter dtype
    return np.minimum(random_stream(generator).random(shape), below_1)


@of_shape
def randn(shape: Any, dtype: Any, generator: Generator | None = None) -> Any:
    """Numbers drawn from the normal distribution with mean 0 and variance 1."""
    return _for_floats(dtype, generator).standard_normal(shape)


def _for_floats(dtype: Any, generator: Generator | None) -> np.random.Generator:
    if dtype.kind != "f":
        raise RuntimeError(f"expected a floating dtype for numbers with fractions, got {dtype}")
    return random_stream(generator)


rand_like, randn_like = like(rand), like(randn)


def randint(low: int = 0, high: Any = None, size: Any = None, *, generator: Generator | None = None,
            dtype: Any = np.int64, **how: Any) -> Tensor:  # fmt: skip
    """Whole numbers drawn evenly from `low` up to but without `high`: randint(low, high, size) or randint(high, size).

    Raises RuntimeError if there is no such number, TypeError for a size that is no tuple.
    """
    if isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    low, high = (0, low) if high is None else (low, high)
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint: expected a size such as (2, 3), got {size!r}")
    if not low < high:
        raise RuntimeError(f"randint: expected low < high, got {low} and {high}")
    kind = np.int64 if np.dtype(dtype).kind == "f" else dtype
    return made(random_stream(generator).integers, low, high, tuple(size), kind, dtype=dtype, **how)


def randint_like(input: Tensor, low: int = 0, high: int | None = None, **how: Any) -> Tensor:
    """`randint` in the shape of `input`, and in its dtype and on its device if none are named."""
    return beside(randint)(input, low, high, input.shape, **how)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = np.int64, **how: Any) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    if n < 0:
        raise RuntimeError(f"randperm: expected a number from 0, got {n}")
    return made(random_stream(generator).permutation, n, dtype=dtype, **how)


# -- from a distribution ------------------------------------------------------------------------------------------


def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability `p` (a number or a tensor; without it, that of each entry of `input`), otherwise 0.

    It has the shape and dtype of `input`.  Raises RuntimeError for probabilities outside [0, 1].
    """
    chances = _on_host(input if p is None else p)
    if not np.all((chances >= 0) & (chances <= 1)):
        raise RuntimeError(f"bernoulli: expected probabilities from 0 to 1, got {np.min(chances)} to {np.max(chances)}")
    return made(np.less, random_stream(generator).random(input.shape), chances, dtype=input.dtype, device=input.device)


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
           device: str | None = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Numbers from normal distributions with `mean` and standard deviation `std`, tensors that broadcast or numbers.

    Two numbers need a `size`.  Raises RuntimeError for a negative std.  No gradient goes to mean and std.
    """
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    if size is None and not given:
        raise TypeError("normal: expected a tensor of means or of standard deviations, or a size, got two numbers")
    dtype, device = (given[0].dtype, given[0].device) if given else (dtype, device)
    return made(random_stream(generator).normal, _on_host(mean), _on_host(std), size, dtype=dtype, device=device,
                requires_grad=requires_grad)  # fmt: skip


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *,
                generator: Generator | None = None) -> Tensor:  # fmt: skip
    """Positions drawn by the weights (chances) in each row: (n,) or (rows, n) -> (samples,) or (rows, samples).

    Raises RuntimeError for weights that are negative, infinite, NaN or all zero, and for more samples than positions
    if none may be drawn twice.

    >>> import minidl
    >>> multinomial(minidl.tensor([0.0, 1.0]), 3, replacement=True)
    tensor([1, 1, 1])
    """
    weights = np.atleast_2d(_on_host(input)).astype(np.float64)
    if input.ndim not in (1, 2) or input.dtype.kind != "f":
        raise RuntimeError(f"multinomial: expected floats of shape (n,) or (rows, n), got {input.dtype} {input.shape}")
    if not np.all((weights >= 0) & (weights < np.inf)) or not np.all(weights.any(axis=1)):
        raise RuntimeError("multinomial: expected finite weights from 0, not all of them 0, got others")
    if num_samples < 1 or not (replacement or num_samples <= weights.shape[1]):
        raise RuntimeError(f"multinomial: expected 1 to {weights.shape[1]} samples (more with replacement=True), "
                           f"got {num_samples}")  # fmt: skip
    stream = random_stream(generator)
    if replacement or num_samples == 1:
        ends = weights.cumsum(axis=1)
        ends /= ends[:, -1:]  # of the numbers from 0 to 1, position i has those from ends[i - 1] to ends[i]
        spots = stream.random((len(weights), num_samples))
        drawn = np.array([np.searchsorted(*row, side="right") for row in zip(ends, spots, strict=True)])
    else:
        with np.errstate(divide="ignore"):  # drawn are those whose events, at these rates, come first
            drawn = np.argsort(stream.exponential(size=weights.shape) / weights, axis=1)[:, :num_samples]
    return made(drawn.reshape, (*input.shape[:-1], num_samples), dtype=np.int64, device=input.device)


def _on_host(x: Any) -> Any:
    return backend.to_device(x.array, "cpu") if isinstance(x, Tensor) else x


# -- in place -----------------------------------------------------------------------------------------------------


def _whole_numbers(x: Tensor, low: Any = None, high: Any = None, *, generator: Generator | None = None) -> Tensor:
    """random_(low, high) or random_(high); without bounds, all numbers from 0 that the dtype holds exactly."""
    dtype, kind = x.dtype, x.dtype.kind
    most = 2 ** (np.finfo(dtype).nmant + 1) if kind == "f" else 1 if kind == "b" else np.iinfo(dtype).max
    low, high = (0, low) if high is None else (low, high)
    return randint(low, int(most) + 1 if high is None else high, x.shape, generator=generator, dtype=dtype)


# What methods of these names fill a tensor with.
FILLINGS: dict[str, Callable[..., Any]] = {
    "bernoulli_": lambda x, p=0.5, *, generator=None: bernoulli(x, p, generator=generator),
    "random_": _whole_numbers,
    "exponential_": lambda x, lambd=1.0, *, generator=None:
        made(_for_floats(x.dtype, generator).exponential, 1 / lambd if lambd > 0 else -1, x.shape, dtype=x.dtype),
    "normal_": lambda x, mean=0.0, std=1.0, *, generator=None:
        made(_for_floats(x.dtype, generator).normal, mean, std, x.shape, dtype=x.dtype),
    "uniform_": lambda x, low=0.0, high=1.0, *, generator=None:
        made(_for_floats(x.dtype, generator).uniform, low, high, x.shape, dtype=x.dtype),
}  # fmt: skip
