"""Activations as functions: of one number without weights, softmax and its relatives, and two with a twist.

`prelu` takes its slope from a tensor, `glu` multiplies one half of its input by a function of the other.  `inplace` is
accepted for PyTorch's sake and changes nothing: a result always has memory of its own, so that backward finds the input
as it was.
"""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd import Tensor
from minidl.backend import array_module, random_stream
from minidl.functional import reductions as functions
from minidl.functional.creation import ones_like
from minidl.functional.elementwise import clamp, floats
from minidl.functional.random import rand
from minidl.functional.shapes import split
from minidl.ops import elementwise, fused, reductions
from minidl.ops.elementwise import abs, erf, expm1, where
from minidl.ops.indexing import put_along_axis

# -- straight lines that bend at 0 --------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0).

    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.
    """
    return elementwise.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where it is positive, negative_slope · x elsewhere.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> import minidl
    >>> leaky_relu(minidl.tensor([-2.0, 3.0]), 0.1)
    tensor([-0.2,  3. ])
    """
    return _bent(input, negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where it is positive, weight · x elsewhere, with one weight for all or one per channel (dimension 1).

    Raises RuntimeError for another number of weights, or another dtype than that of the input.
    Source: He et al., "Delving deep into rectifiers", ICCV 2015, section 2.1.
    """
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise RuntimeError(f"prelu: expected 1 or {channels} weights for shape {input.shape}, got {weight.shape}")
    if weight.dtype != input.dtype:
        raise RuntimeError(f"prelu: the input is {input.dtype} and the weight {weight.dtype}: make them equal")
    return _bent(input, weight.reshape([weight.numel() if dim == 1 else 1 for dim in range(input.ndim)]))


def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x where it is positive, slope · x elsewhere, each slope drawn evenly from `lower` to `upper`.

    Without `training` every slope is their mean.  Raises RuntimeError if `lower` is above `upper`.
    Source: Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.
    """
    if not lower <= upper:
        raise RuntimeError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    if not training:
        return _bent(input, (lower + upper) / 2)
    return _bent(input, lower + (upper - lower) * rand(input.shape, dtype=input.dtype, device=input.device))


def _bent(x: Tensor, slope: Any) -> Tensor:
    """x where it is positive, slope · x elsewhere (there 0 belongs)."""
    return elementwise.relu(x) + slope * clamp(x, max=0)


# -- exponentials below 0 -----------------------------------------------------------------------------------------


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, alpha · (exp(x) - 1) elsewhere.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear
    units", ICLR 2016.
    """
    return elementwise.relu(input) + alpha * expm1(clamp(input, max=0))


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """`elu` scaled so that a deep network keeps mean 0 and variance 1 of its activations.

    Source of both constants: Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, equation 14.
    """
    return 1.0507009873554804934 * elu(input, 1.6732632423543772848)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, alpha · (exp(x / alpha) - 1) elsewhere: its slope at 0 is 1 for every `alpha`.

    Raises RuntimeError for alpha = 0.  Source: Barron, "Continuously differentiable exponential linear units", 2017.
    """
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0")
    return elementwise.relu(input) + alpha * expm1(clamp(input, max=0) / alpha)


# -- smooth gates -------------------------------------------------------------------------------------------------


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return elementwise.sigmoid(input)


def logsigmoid(input: Tensor) -> Tensor:
    """log sigmoid(x), right where sigmoid(x) is 0 to the last bit.

    >>> import minidl
    >>> logsigmoid(minidl.tensor([-1000.0]))
    tensor([-1000.])
    """
    return -fused.softplus(-floats(input))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · x)) / beta, a smooth relu; x itself where beta · x is above `threshold`.

    Source: Dugas et al., "Incorporating second-order functional knowledge for better option pricing", NIPS 2000.
    """
    scaled = input * beta
    return where(scaled > threshold, input, fused.softplus(scaled) / beta)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also called swish.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", Neural Networks 107 (2018).
    """
    return input * elementwise.sigmoid(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(log(1 + exp(x))).  Source: Misra, "Mish: a self regularized non-monotonic activation", BMVC 2020."""
    return input * elementwise.tanh(fused.softplus(input))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), where Φ is the distribution function of the normal distribution.

    With `approximate="tanh"` Φ is 0.5 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).  RuntimeError for another word.
    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate == "none":
        return 0.5 * input * (1 + erf(input * math.sqrt(0.5)))
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
        return 0.5 * input * (1 + elementwise.tanh(inner))
    raise RuntimeError(f'gelu: approximate must be "none" or "tanh", got {approximate!r}')


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b), where a and b are the two halves of the input along `dim`.

    Raises RuntimeError where there are no equal halves.
    Source: Dauphin et al., "Language modeling with gated convolutional networks", ICML 2017.

    >>> import minidl
    >>> glu(minidl.tensor([4.0, 6.0, 0.0, 0.0]))
    tensor([2., 3.])
    """
    if not input.ndim:
        raise RuntimeError("glu: expected a dimension to halve, got a single number")
    length = input.shape[dim] if -input.ndim <= dim < input.ndim else 0  # split says what is wrong with another dim
    if length % 2:
        raise RuntimeError(f"glu: expected an even length in dimension {dim}, got shape {input.shape}")
    a, b = split(input, [length // 2] * 2, dim)
    return a * elementwise.sigmoid(b)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return elementwise.tanh(input)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - elementwise.tanh(input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|).  Source: Bergstra et al., "Quadratic polynomials learn better image features", 2009."""
    return input / (abs(input) + 1)


# -- straight lines in pieces -------------------------------------------------------------------------------------


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where it is above `threshold`, `value` elsewhere.

    >>> import minidl
    >>> threshold(minidl.tensor([0.5, 2.0]), 1.0, -7.0)
    tensor([-7.,  2.])
    """
    return where(input <= threshold, value, input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x brought between `min_val` and `max_val`; unlike that of `clamp`, its slope at the bounds is 0.

    Raises ValueError if `min_val` is above `max_val`.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must not be above max_val, got {min_val} and {max_val}")
    return fused.hardtanh(input, low=min_val, high=max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x brought between 0 and 6.  Source: Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010."""
    return fused.hardtanh(input, low=0, high=6)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2 brought between 0 and 1.  Source: Howard et al., "Searching for MobileNetV3", ICCV 2019."""
    return fused.hardtanh(input, low=-3, high=3) / 6 + 0.5


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · hardsigmoid(x).  Source: Howard et al., "Searching for MobileNetV3", ICCV 2019, section 5.2."""
    return input * hardsigmoid(input)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| is above `lambd`, 0 elsewhere.

    Source: Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81 (1994).
    """
    return where(abs(input) <= lambd, 0.0, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x brought nearer to 0 by `lambd`, 0 where |x| is less.  Raises RuntimeError for a negative `lambd`.

    Source: Donoho, "De-noising by soft-thresholding", IEEE Transactions on Information Theory 41 (1995).
    """
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must not be negative, got {lambd}")
    return input - clamp(input, -lambd, lambd)


# -- softmax ------------------------------------------------------------------------------------------------------


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """exp(x) scaled so that it sums to 1 along `dim`, which has to be given (TypeError)."""
    return functions.softmax(input if dtype is None else input.astype(dtype), dim)


def softmin(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """`softmax` of -x."""
    return softmax(-floats(input), dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, without its rounding errors."""
    return functions.log_softmax(input if dtype is None else input.astype(dtype), dim)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A random choice along `dim` with the probabilities softmax(logits), softened so that it has a gradient.

    It is softmax((logits + noise) / tau), the sharper the smaller `tau`; with `hard` the result is one-hot, and only
    the gradient is that of the soft choice.  `eps` has no effect, as in PyTorch.
    Source: Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017.

    >>> import minidl
    >>> gumbel_softmax(minidl.zeros(2, 5), hard=True).sum(1)
    tensor([1., 1.])
    """
    noise = random_stream().gumbel(size=logits.shape).astype(logits.dtype)
    soft = softmax((logits + Tensor(array_module(logits.array).asarray(noise))) / tau, dim)
    if not hard:
        return soft
    choice = reductions.argmax(soft, axis=dim, keepdims=True)
    one_hot = put_along_axis(ones_like(choice, dtype=soft.dtype), choice, axis=dim, length=soft.shape[dim])
    return one_hot - soft.detach() + soft
