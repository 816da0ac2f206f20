"""The loss functions of nn.functional: how far predictions are from targets, as a number that can be made smaller.

Those that compare scores or distances with a margin stand in margins.py.

`reduction` says what becomes of the losses of the single entries: their "mean", their "sum", or "none" to keep them.
PyTorch's deprecated arguments size_average and reduce are not here, so what stands behind them is keyword-only.
"""

from __future__ import annotations

import math
import warnings

from minidl import kernels
from minidl.autograd import Tensor
from minidl.backend import on_gpu
from minidl.functional.creation import ones_like
from minidl.functional.elementwise import clamp, floats
from minidl.nn.functional.counting import counted_mean
from minidl.nn.functional.distances import at_least
from minidl.nn.functional.labels import outside
from minidl.ops import fused, reductions
from minidl.ops.elementwise import abs, exp, log, square, where
from minidl.ops.indexing import take_along_axis
from minidl.ops.logic import logical_not
from minidl.ops.shapes import squeeze, unsqueeze


def reduced(losses: Tensor, reduction: str, weights: Tensor | None = None) -> Tensor:
    """The losses as they are, their sum, or their mean, which divides by the sum of the `weights` if there are any.

    Raises ValueError for another word.
    """
    if reduction == "mean":
        return reductions.mean(losses) if weights is None else reductions.sum(losses) / reductions.sum(weights)
    if reduction == "sum":
        return reductions.sum(losses)
    if reduction == "none":
        return losses
    raise ValueError(f'expected the reduction "mean", "sum" or "none", got {reduction!r}')


def scaled(x: Tensor, factor: Tensor | None) -> Tensor:
    """x times a factor, if there is one, that broadcasts to the shape of x; RuntimeError for a larger one."""
    if factor is None:
        return x
    if (product := x * factor).shape != x.shape:
        raise RuntimeError(f"a weight or target of shape {factor.shape} is too large for an input of shape {x.shape}")
    return product


# -- classification -----------------------------------------------------------------------------------------------


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ q log softmax(x) over the classes, where q is what the target says they should be.

    `input` is (N, C) or (C,), or (N, C, d1, ...) with a target for each place.  `target` holds either class labels,
    whole numbers of shape (N,), (), or (N, d1, ...), or class probabilities in the shape of the input.  `weight`
    (C,) scales the loss of each class, and "mean" divides by the weights of the labels; labels equal to
    `ignore_index` do not count.  `label_smoothing` mixes q with the even distribution.

    Raises IndexError for a label that is no class (on a GPU the loss is nan instead), ValueError for batches of
    different size, RuntimeError for a target of the wrong dtype or shape.
    Source for label smoothing: Szegedy et al., "Rethinking the Inception architecture", CVPR 2016, section 7.

    >>> import minidl
    >>> cross_entropy(minidl.zeros(1, 4), minidl.tensor([2]))  # log 4
    tensor(1.3862944)
    """
    if not isinstance(target, Tensor):
        raise TypeError(f"cross_entropy: expected a Tensor as target, got {type(target).__name__}")
    if (weight is None and not label_smoothing and ignore_index < 0 and input.ndim == 2
            and target.dtype.kind in "iu" and target.shape == input.shape[:1]):  # fmt: skip
        if kernels.fit_without_xp(input.array):
            losses = fused.softmax_cross_entropy(input, target := target.long())
            if reduction == "mean":
                return counted_mean(losses, target, ignore=ignore_index)
            return reduced(where(target == ignore_index, 0.0, losses), reduction)
        if not on_gpu(input.array):
            try:
                return reduced(fused.softmax_cross_entropy(input, target), reduction)
            except IndexError:
                pass  # a label to ignore, or one that is no class: told apart below
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing}")
    if input.shape == target.shape:
        return _soft_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
    target = _labels("cross_entropy", input, target, weight)
    log_p = fused.log_softmax(input, axis=_class_dim(input))
    return _label_loss(log_p, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability, `input`, of each label: `cross_entropy` of what is behind log_softmax already.

    Shapes, `weight`, `ignore_index` and errors are those of `cross_entropy` with labels.

    >>> import minidl
    >>> nll_loss(minidl.tensor([[-0.5, -1.0]]), minidl.tensor([1]))
    tensor(1.)
    """
    target = _labels("nll_loss", input, target, weight)
    return _label_loss(floats(input), target, weight, ignore_index, reduction)


def _class_dim(input: Tensor) -> int:
    return 0 if input.ndim == 1 else 1


def _label_loss(
    log_p: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, smoothing: float = 0.0
) -> Tensor:
    """The loss of labels, with all that may be asked for: weights, labels to ignore, smoothing."""
    dim = _class_dim(log_p)
    ignored = target == ignore_index
    label = where(ignored, 0, target).long()  # as an index, bytes would be a mask
    wrong = outside(label, log_p.shape[dim], "a class label", "classes")
    label = label if wrong is None else where(wrong, 0, label)
    losses = -squeeze(take_along_axis(log_p, unsqueeze(label, dim), axis=dim), dim)
    weights = logical_not(ignored)
    if weight is not None:
        weights = where(ignored, 0.0, weight[label])
        losses = losses * weights
    if smoothing:
        spread = -reductions.sum(_weighted(log_p, weight), axis=dim)
        losses = (1 - smoothing) * losses + smoothing / log_p.shape[dim] * spread
    losses = where(ignored, 0.0, losses)
    return reduced(losses if wrong is None else where(wrong, math.nan, losses), reduction, weights)


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, smoothing: float
) -> Tensor:
    """The loss of class probabilities."""
    if target.dtype.kind != "f":
        raise RuntimeError(
            f"cross_entropy: a target of the input's shape {input.shape} holds class probabilities and must be "
            f"floating, got {target.dtype}; labels have shape {input.shape[:1] + input.shape[2:]}"
        )
    if ignore_index >= 0:
        raise RuntimeError("cross_entropy: ignore_index is for labels, the target holds class probabilities")
    dim = _class_dim(input)
    _check_weight("cross_entropy", weight, input, classes := input.shape[dim])
    if smoothing:
        target = (1 - smoothing) * target + smoothing / classes
    losses = -reductions.sum(_weighted(fused.log_softmax(input, axis=dim), weight) * target, axis=dim)
    return reduced(losses, reduction)


def _weighted(log_p: Tensor, weight: Tensor | None) -> Tensor:
    """log_p (N, C, ...) or (C,) times the weight (C,) of each class."""
    return log_p if weight is None else log_p * weight.reshape((-1,) + (1,) * (log_p.ndim - 2))


def _labels(name: str, input: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """The checked class labels, one for each place of the input."""
    if input.ndim == 0:
        raise ValueError(f"{name}: expected an input of shape (C,), (N, C) or (N, C, d1, ...), got a single number")
    if target.dtype.kind not in "iu":
        raise RuntimeError(
            f"{name}: expected class labels, whole numbers such as int64, got {target.dtype} of shape {target.shape} "
            f"for an input of shape {input.shape}"
        )
    if input.ndim == 1 and target.shape == (1,):
        target = squeeze(target, 0)
    expected = () if input.ndim == 1 else input.shape[:1] + input.shape[2:]
    if input.ndim > 1 and target.ndim and target.shape[0] != input.shape[0]:
        raise ValueError(
            f"{name}: the input has a batch of {input.shape[0]} and the target one of {target.shape[0]} "
            f"(shapes {input.shape} and {target.shape}): they must be equal"
        )
    if target.shape != expected:
        raise RuntimeError(f"{name}: expected labels of shape {expected} for input {input.shape}, got {target.shape}")
    _check_weight(name, weight, input, input.shape[_class_dim(input)])
    return target


def _check_weight(name: str, weight: Tensor | None, input: Tensor, classes: int) -> None:
    if weight is None:
        return
    if weight.shape != (classes,):
        raise RuntimeError(f"{name}: expected a weight for each of {classes} classes, got shape {weight.shape}")
    if weight.dtype != input.dtype and input.dtype.kind == "f":
        raise RuntimeError(f"{name}: the input is {input.dtype} and the weight {weight.dtype}: make them equal")


# -- regression ---------------------------------------------------------------------------------------------------


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x - y)², times `weight`, by whose sum "mean" then divides.  ValueError for a weight of another shape than x.

    >>> import minidl
    >>> mse_loss(minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 4.0]))
    tensor(2.)
    """
    return reduced(_weighed(square(_difference("mse_loss", input, target)), weight, input), reduction, weight)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x - y|, times `weight`, by whose sum "mean" then divides.  ValueError for a weight of another shape than x."""
    return reduced(_weighed(abs(_difference("l1_loss", input, target)), weight, input), reduction, weight)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """(x - y)² / (2 beta) where |x - y| < beta, |x - y| - beta / 2 elsewhere.  RuntimeError for a negative beta.

    Source: Girshick, "Fast R-CNN", ICCV 2015, equation 3.
    """
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return reduced(_huber(_difference("smooth_l1_loss", input, target), beta) / beta, reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """(x - y)² / 2 where |x - y| < delta, delta · (|x - y| - delta / 2) elsewhere.  RuntimeError for delta <= 0.

    It is multiplied by `weight` (ValueError for another shape than that of x), but "mean" divides by the number of
    entries, as in PyTorch.
    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).

    >>> import minidl
    >>> huber_loss(minidl.tensor([0.5, 3.0]), minidl.zeros(2), reduction="none")
    tensor([0.125, 2.5  ])
    """
    if delta <= 0:
        raise RuntimeError(f"huber_loss: delta must be above 0, got {delta}")
    return reduced(_weighed(_huber(_difference("huber_loss", input, target), delta), weight, input), reduction)


def _huber(difference: Tensor, delta: float) -> Tensor:
    """Both cases at once: with c the difference brought into ±delta, c · (difference - c / 2)."""
    c = clamp(difference, -delta, delta)
    return c * (difference - 0.5 * c)


def _weighed(losses: Tensor, weight: Tensor | None, input: Tensor) -> Tensor:
    """The losses times their weights, if there are any."""
    if weight is None:
        return losses
    if weight.shape != input.shape:
        raise ValueError(f"expected a weight for each entry of the input {input.shape}, got shape {weight.shape}")
    return losses * weight


def _difference(name: str, input: Tensor, target: Tensor) -> Tensor:
    """input - target, with a warning if that broadcasts."""
    if input.shape != target.shape:
        warnings.warn(
            f"{name}: the target has shape {target.shape} and the input {input.shape}; broadcasting compares every "
            "one with every other where it should compare pairs: give both the same shape",
            stacklevel=3,
        )
    return floats(input) - target


# -- probabilities ------------------------------------------------------------------------------------------------


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """-(y log p + (1 - y) log(1 - p)) for probabilities p, `input`, where a logarithm is at least -100.

    Raises ValueError for different shapes and RuntimeError for numbers outside 0 to 1.

    >>> import minidl
    >>> binary_cross_entropy(minidl.tensor([0.5]), minidl.tensor([1.0]))  # log 2
    tensor(0.6931472)
    """
    target = _checked_pair("binary_cross_entropy", input, target)
    for word, x in (("input", input), ("target", target)):
        if not (x >= 0).all() or not (x <= 1).all():
            raise RuntimeError(f"binary_cross_entropy: the {word} must hold probabilities, from 0 to 1")
    return reduced(scaled(fused.binary_cross_entropy(input, target), weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(x), without its rounding errors: no logarithm of a number near 0.

    With log(1 - sigmoid(x)) = -x - log(1 + exp(-x)) it is (1 - y) x + (1 + (pos_weight - 1) y) log(1 + exp(-x));
    `pos_weight`, a number per class, scales the loss of the positive examples.  ValueError for different shapes.
    """
    input, target = floats(input), _checked_pair("binary_cross_entropy_with_logits", input, target)
    factor = None if pos_weight is None else 1 + (pos_weight - 1) * target
    losses = (1 - target) * input + scaled(fused.softplus(-input), factor)
    return reduced(scaled(losses, weight), reduction)


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """y (log y - x) for log-probabilities x and probabilities y (log y with `log_target`).

    The sum over a distribution is the Kullback-Leibler divergence of x from y, and reduction="batchmean", the sum
    divided by the length of the first dimension, its mean; "mean" divides by the number of entries and warns.
    Source: Kullback and Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22 (1951).
    """
    if reduction == "mean":
        warnings.warn(
            'kl_div: reduction="mean" divides by the number of classes, too: "batchmean" is the mean divergence',
            stacklevel=2,
        )
    if log_target:
        losses = exp(target) * (target - input)
    else:
        zero = target == 0
        losses = where(zero, 0.0, target * (log(where(zero, 1.0, target)) - input))  # 0 log 0 is 0
    if reduction == "batchmean":
        return reductions.sum(losses) / (input.shape[0] if input.ndim else 1)
    return reduced(losses, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability of a count y, the target, under the Poisson distribution of mean λ.

    That is λ - y log λ + log y!.  The input is log λ or, without `log_input`, λ, to which `eps` is added under the
    logarithm.  log y!, which does not depend on the input, is left out; with `full` it is approximated by Stirling's
    formula y log y - y + log(2πy) / 2 where y > 1.

    >>> import minidl
    >>> poisson_nll_loss(minidl.zeros(1), minidl.tensor([3.0]))
    tensor(1.)
    """
    losses = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        y = where(target > 1, target, 1.0)
        losses = losses + where(target > 1, y * log(y) - y + 0.5 * log(2 * math.pi * y), 0.0)
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-density of y, the target, under the normal distribution of mean x and variance `var`.

    That is (log var + (x - y)² / var) / 2, and with `full` the constant log(2π) / 2 more.  `var` is a number or has
    the shape of the input, perhaps without its last dimension or with one of length 1 for all in it.  What is below
    `eps` counts as `eps`, with the gradient as if it were not so.
    Raises ValueError for a negative variance or another shape.
    Source: Nix and Weigend, "Estimating the mean and variance of the target probability distribution", ICNN 1994.
    """
    lowest = var if not isinstance(var, Tensor) else var.min().item() if var.numel() else 0.0
    if lowest < 0:
        raise ValueError(f"gaussian_nll_loss: a variance must not be negative, got {lowest}")
    if not isinstance(var, Tensor):
        var = ones_like(input) * var
    if input.ndim and var.shape == input.shape[:-1]:
        var = unsqueeze(var, -1)
    ones = [v for n, v in zip(input.shape, var.shape, strict=False) if n != v]
    if var.ndim != input.ndim or ones not in ([], [1]):
        raise ValueError(f"gaussian_nll_loss: a var of shape {var.shape} does not fit an input of {input.shape}")
    var = at_least(var, eps)
    losses = 0.5 * (log(var) + square(input - target) / var)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def _checked_pair(name: str, input: Tensor, target: Tensor) -> Tensor:
    """The target in the input's kind of numbers, if it has its shape."""
    if input.shape != target.shape:
        raise ValueError(f"{name}: the target has shape {target.shape} and the input {input.shape}: make them equal")
    return target if target.dtype.kind == "f" else target.astype(floats(input).dtype)
