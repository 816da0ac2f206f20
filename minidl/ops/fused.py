"""What networks do most, each as one op: linear layers, softmax, cross-entropy, normalisation.

One op in place of several saves calls, and often rounding errors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import kernels, sums, threads
from minidl.autograd import Tensor, op
from minidl.kernels import normalization
from minidl.ops.elementwise import clip, exp, log, maximum, sigmoid, sqrt, where
from minidl.ops.indexing import one_hot_float
from minidl.ops.reductions import count, inner, mean
from minidl.ops.reductions import sum as total

# -- linear ------------------------------------------------------------------------------------------------------


@op
def linear(xp, x, w, b=None):
    """x Wᵀ + b over the last dimension of x: (..., in), (out, in), (out,) -> (..., out)."""
    if w.ndim != 2 or not x.ndim or x.shape[-1] != w.shape[1]:
        raise ValueError(f"expected an input of shape (..., {w.shape[-1]}) for a weight of shape {w.shape} (out, in), "
                         f"got an input of shape {x.shape}")
    out = kernels.matmul(xp, _rows(x), w.T)
    if b is not None and (xp is np or not kernels.bias_and_relu(xp, out, b)):
        out += b
    return out if x.ndim == 2 else out.reshape(x.shape[:-1] + w.shape[:1])
linear.vjps(lambda g, out, x, w, b=None: linear(g, w.T),
            lambda g, out, x, w, b=None: kernels.product(_rows(g).T, _rows(x)),
            lambda g, out, x, w, b=None: total(_rows(g), axis=0))


def _rows(x: Any) -> Any:
    """All leading dimensions as one: (..., n) -> (rows, n)."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))  # n may be 0: no place for -1


# -- softmax -----------------------------------------------------------------------------------------------------


@op
def softmax(xp, x, *, axis):
    e = xp.exp(_shifted(xp, x, axis))
    return e / sums.total(xp, e, axis, keepdims=True)
softmax.vjps(lambda g, out, x, axis: out * (g - inner(g, out, axis=axis)))


@op
def log_softmax(xp, x, *, axis):
    x = _shifted(xp, x, axis)
    return x - xp.log(sums.total(xp, xp.exp(x), axis, keepdims=True))
log_softmax.vjps(lambda g, out, x, axis: g - exp(out) * total(g, axis=axis, keepdims=True))


def _shifted(xp: Any, x: Any, axis: int) -> Any:
    """x minus its largest entries along the axis: changes no softmax, but avoids overflow."""
    return x - sums.largest(xp, x, axis) if x.size else x.copy()


@op
def softmax_cross_entropy(xp, x, target):
    """-log softmax(x)[target] in each row: (rows, classes), (rows,) whole numbers -> (rows,).

    IndexError for a target that is no class; on a GPU, whose answer nobody waits for, nan.
    """
    if kernels.fit(xp, x):
        return kernels.softmax_cross_entropy(xp, x, target)
    classes = x.shape[1]
    if target.size and (int(target.min()) < 0 or int(target.max()) >= classes):
        raise IndexError(f"a class label must be from 0 to {classes - 1} for {classes} classes, "
                         f"got labels from {int(target.min())} to {int(target.max())}")
    x = x - x.max(axis=1, keepdims=True)
    return xp.log(xp.exp(x).sum(axis=1)) - x[xp.arange(len(target)), target]
softmax_cross_entropy.vjps(
    lambda g, out, x, target:
        kernels.softmax_cross_entropy_input(g, x, target) if kernels.fit_without_xp(g, x) else
        g[:, None] * (softmax(x, axis=1) - one_hot_float(target, classes=x.shape[1], dtype=x.dtype)),
    None)


# -- activations -------------------------------------------------------------------------------------------------


@op
def softplus(xp, x): return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))  # log(1 + exp(x)), without overflow
softplus.vjps(lambda g, out, x: g * sigmoid(x))


@op
def hardtanh(xp, x, *, low, high): return xp.clip(x, low, high)
hardtanh.vjps(lambda g, out, x, low, high: where((x <= low) | (x >= high), 0.0, g))  # unlike clip's, 0 at the bounds


# -- binary cross-entropy -------------------------------------------------------------------------------------------


@op
def binary_cross_entropy(xp, p, y):
    """-(y log p + (1 - y) log(1 - p)), where a logarithm is at least -100."""
    return -(y * _bounded_log(p) + (1 - y) * _bounded_log(1 - p))
binary_cross_entropy.vjps(
    lambda g, out, p, y: g * (p - y) / clip(p * (1 - p), low=1e-12, high=None),  # PyTorch's bound: steep, but finite
    lambda g, out, p, y: g * (_bounded_log(1 - p) - _bounded_log(p)))


def _bounded_log(p: Any) -> Any:
    """log p, at least -100."""
    return maximum(log(maximum(p, 1e-45)), -100.0)


# -- normalisation ---------------------------------------------------------------------------------------------------


@op
def standardize(xp, x, w=None, b=None, *, axis, eps, kept=None):
    """(x - mean) / sqrt(var + eps) · w + b, with mean and variance of x along `axis`; w and b broadcast against x.

    In the list `kept` it leaves mean and variance, which saves computing them again on the way back.
    """
    if kernels.fit(xp, x) and (groups := normalization.groups(x, w, b, axis)):
        return groups.standardize(x, w, b, eps, kept)
    out, *statistics = threads.in_slices(_standardize, x, w, b, axis=axis, eps=eps)
    if kept is not None:
        kept += statistics
    return out


def _standardize(x: Any, w: Any, b: Any, *, axis: Any, eps: float) -> Any:
    """The result, mean and variance."""
    average = mean(x, axis=axis, keepdims=True)
    out = x - average
    variance = inner(out, out, axis=axis) / count(x, axis)
    r = 1 / sqrt(variance + eps)
    out *= r if w is None else r * w
    if b is not None:
        out += b
    return out, average, variance


@normalization.or_kernels
def _standardize_slopes(g: Any, out: Any, x: Any, w: Any = None, b: Any = None, *, axis: Any, eps: float,
                        kept: Any = None) -> Any:  # fmt: skip
    """The gradients of x, w and b: with d = x - mean and r = (var + eps)^-½, d·r has r·(g - ḡ - d·r²·mean(g·d)).

    A w that is the same for all entries that share a mean need not be multiplied into g entry by entry.
    """
    if kept is None or isinstance(g, Tensor):  # what is kept has no history
        d = x - mean(x, axis=axis, keepdims=True)
        r = (inner(d, d, axis=axis) / count(x, axis) + eps) ** -0.5
    else:
        d, r = x - kept[0], (kept[1] + eps) ** -0.5
    shared = w is None or w.shape == r.shape
    h = g if shared else g * w
    s, scale = inner(h, d, axis=axis), r * w if shared and w is not None else r
    return (
        (h - mean(h, axis=axis, keepdims=True) - d * (r * r * s / count(x, axis))) * scale,
        s * r if shared else g * d * r,
        g,
    )


standardize.vjps(together=_standardize_slopes)
