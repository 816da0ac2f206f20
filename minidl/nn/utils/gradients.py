"""What is done to all parameters of a network at once: clip their gradients, or line them up in one vector.

Gradients may be shared, so none is written into: a clipped gradient is a new tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from minidl import kernels
from minidl.autograd import Tensor, no_grad, tensor
from minidl.backend import Array, array_module, on_gpu
from minidl.functional.shapes import cat
from minidl.kernels import parts


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """Scale all gradients together so that their norm, as one vector, is at most `max_norm`; return it as it was.

    The norm is (Σ |g|^p)^(1/p) with p = `norm_type`, or the largest |g| for infinity.  ValueError for p <= 0 or
    max_norm < 0; RuntimeError for a norm that is not finite, if `error_if_nonfinite`.  `foreach` changes nothing.
    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.

    >>> import minidl
    >>> w = minidl.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm_(w, max_norm=1.0)
    tensor(10.)
    >>> w.grad.array.round(3)
    array([0.6, 0.8], dtype=float32)
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must be 0 or larger, got {max_norm}")
    clipped = _with_gradient(parameters)
    if not clipped:
        return tensor(0.0)
    grads = [grad.array for _, grad in clipped]
    if norm_type == 2 and not error_if_nonfinite and kernels.fit_without_xp(*grads):
        # nobody waits to see whether they are large
        norm, smaller = parts.clipped(array_module(*grads), grads, max_norm)
        for (p, _), array in zip(clipped, smaller, strict=True):
            p.grad = Tensor(array)
        return Tensor(norm)
    norm = _norm(grads, float(norm_type))
    if on_gpu(norm) and not error_if_nonfinite:
        return _scaled(clipped, Tensor(norm), max_norm)
    total = float(norm)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total}; without error_if_nonfinite they "
                           "are scaled by it all the same")  # fmt: skip
    scale = max_norm / (total + 1e-6)
    if not scale >= 1:  # NaN, too
        with no_grad():
            for p, grad in clipped:
                p.grad = grad * scale
    return tensor(total, dtype=clipped[0][1].dtype, device=clipped[0][1].device)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Bring every entry of the gradients between -clip_value and clip_value.  `foreach` changes nothing."""
    with no_grad():
        for p, grad in _with_gradient(parameters):
            p.grad = grad.clamp(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All entries of all parameters, one after the other: (number of entries,).

    >>> from minidl import nn
    >>> parameters_to_vector(nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the entries of `vec` into the parameters, in the order of `parameters_to_vector`.

    RuntimeError, and nothing copied, if their numbers differ; TypeError for anything but a tensor.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a Tensor, got {type(vec).__name__}")
    parameters = list(parameters)
    sizes = [p.numel() for p in parameters]
    if vec.shape != (sum(sizes),):
        raise RuntimeError(f"vector_to_parameters: expected a vector of shape ({sum(sizes)},), got {vec.shape}")
    with no_grad():
        for p, part in zip(parameters, vec.split(sizes), strict=True):
            p.copy_(part.reshape(p.shape))


def _with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The parameters that have a gradient, each with it."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [(p, p.grad) for p in given if p.grad is not None]


def _scaled(clipped: list[tuple[Tensor, Tensor]], norm: Tensor, max_norm: float) -> Tensor:
    """The norm, after every gradient was multiplied by a factor that is 1 if it is small enough."""
    with no_grad():
        factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        for p, grad in clipped:
            p.grad = grad * factor
    return norm


def _norm(arrays: list[Array], p: float) -> Array:
    """The norm of all entries together, a number on the device where the arrays are."""
    xp = array_module(*arrays)
    if p <= 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be above 0, got {p}")
    if p == math.inf:
        largest = [abs(array).max() for array in arrays if array.size]
        return xp.asarray(largest or [0.0]).max()  # NaN, too
    if p == 2:
        return xp.sqrt(sum(xp.vdot(array.ravel(), array.ravel()) for array in arrays))
    return sum((abs(array) ** p).sum() for array in arrays) ** (1 / p)
