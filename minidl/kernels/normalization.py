"""Normalisation by kernels of its own: mean, variance and result in one launch, and all gradients in another.

The entries that share a mean are brought together in memory first, in the order in which they lie there, so that for
images with the batch innermost nothing has to be copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from minidl import threads
from minidl.backend import Array, array_module
from minidl.kernels import fit_without_xp, launch

MOST = 1024  # threads in a block


def groups(x: Array, w: Array | None, b: Array | None, axis: Sequence[int]) -> Groups | None:
    """The groups of entries of x that share a mean along `axis`; None if w and b are not as in layers.

    There they belong both to groups or both to the entries of a group, have the dtype of x, and b is not alone.
    """
    given = [weights for weights in (w, b) if weights is not None]
    if not x.size or (w is None and given) or any(weights.dtype != x.dtype for weights in given):
        return None
    found, shapes = Groups(x, axis), {weights.shape for weights in given}
    return found if not shapes or shapes in ({found.shape}, {found.last}) else None


def or_kernels(slopes: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of standardize, `slopes`, shared among threads, and kernels in its place where they can be had."""

    @wraps(slopes)
    def gradients(g: Any, out: Any, x: Any, w: Any = None, b: Any = None, *, axis: Any, eps: float,
                  kept: Any = None) -> Any:  # fmt: skip
        found = groups(x, w, b, axis) if kept is not None and fit_without_xp(g, x) else None
        if found:
            return found.gradients(g, x, w, eps, *kept)
        return threads.in_slices(slopes, g, out, x, w, b, axis=axis, eps=eps, kept=kept)

    return gradients


class Groups:
    """Which entries of x share a mean: `order` names the dimensions that stay, then those of `axis`."""

    def __init__(self, x: Array, axis: Sequence[int]) -> None:
        reduced = [a % x.ndim for a in axis]
        stay = [d for d in range(x.ndim) if d not in reduced]
        self.within = sorted(reduced, key=lambda d: -x.strides[d])  # from the slowest dimension to the fastest
        self.xp, self.order = array_module(x), stay + self.within
        self.shape = tuple([1 if d in reduced else n for d, n in enumerate(x.shape)])  # of their means
        self.last = x.shape[len(stay) :] if stay == [*range(len(stay))] else None  # of weights for entries
        self.count = math.prod(self.shape)
        self.entries = x.size // self.count
        self.threads = 32 if self.entries <= 256 else 256 if self.entries <= 4096 else MOST

    def standardize(self, x: Array, w: Array | None, b: Array | None, eps: float, kept: list[Array] | None) -> Array:
        """(x - mean) / sqrt(var + eps) · w + b; in `kept` mean and variance are left, which keep all dimensions."""
        out, means, variances = self._new(x.shape, x), self._new(self.shape, x), self._new(self.shape, x)
        x = self._together(x)
        inputs, facts = (x, self._weights(w, x), self._weights(b, x)), (w is not None, b is not None)
        self._launch("standardize", inputs, (means, variances, out), eps, *facts, self._of_entries(w))
        if kept is not None:
            kept += [means, variances]
        return out

    def gradients(self, g: Array, x: Array, w: Array | None, eps: float, means: Array, variances: Array) -> Any:
        """Those of x, w and b, the latter two perhaps still to be summed over what w was broadcast along."""
        each = self._of_entries(w)
        of_x, of_w = self._new(x.shape, x), self._new(x.shape if each else self.shape, x)
        of_b, x = self._new(self.shape, x), self._together(x)
        inputs = self._together(g), x, self._weights(w, x), means, variances
        self._launch("standardize_input", inputs, (of_w, of_b, of_x), eps, w is not None, each)
        return of_x, of_w, g if each else of_b

    def _launch(self, name: str, inputs: Sequence[Array], results: Sequence[Array], eps: float, *facts: bool) -> None:
        numbers, (*others, out) = (self.entries, float(eps), *map(int, facts)), map(self._together, results)
        launch(self.xp, "standardize", name, self.count, self.threads, inputs, out, *numbers, others=others)

    def _together(self, x: Array) -> Array:
        """A view in which the entries of a group come one after the other; an array that has a mean stays as it is."""
        return x if x.shape == self.shape else x.transpose(self.order)

    def _new(self, shape: tuple[int, ...], like: Array) -> Array:
        """An array of that shape whose groups lie together in memory."""
        memory = self.xp.empty(tuple([shape[d] for d in self.order]), like.dtype)
        return memory.transpose([self.order.index(d) for d in range(like.ndim)])

    def _weights(self, w: Array | None, x: Array) -> Array:
        """Weights of entries in the order of these, others as they are; x, at which nobody looks, if there are none."""
        if w is None:
            return x
        return w.transpose([d - min(self.within) for d in self.within]) if self._of_entries(w) else w

    def _of_entries(self, w: Array | None) -> bool:
        return w is not None and w.shape != self.shape
