"""Ops that turn, shift and repeat entries, and those that read and write diagonals and triangles of matrices.

minidl/functional/arranging.py gives them PyTorch's names.
"""

from __future__ import annotations

from collections.abc import Sequence

from minidl.autograd import op


@op
def flipped(xp, x, *, axis): return xp.flip(x, axis).copy()
flipped.vjps(lambda g, out, x, axis: flipped(g, axis=axis))


@op
def rolled(xp, x, *, shift, axis): return xp.roll(x, shift, axis)
rolled.vjps(lambda g, out, x, shift, axis: rolled(g, shift=tuple(-n for n in shift), axis=axis))


@op
def tiled(xp, x, *, reps): return xp.tile(x, reps)
tiled.vjps(lambda g, out, x, reps: g.reshape(_copies(reps, x.shape)).sum(axis=tuple(range(0, 2 * len(reps), 2))))


def _copies(reps: Sequence[int], shape: tuple[int, ...]) -> list[int]:
    """The shape in which the copies of each dimension have a dimension of their own, in front of it."""
    return [n for pair in zip(reps, (1,) * (len(reps) - len(shape)) + shape, strict=True) for n in pair]


@op
def diagonals(xp, x, *, offset):
    """The diagonals of matrices, as a view: (..., n, m) -> (..., entries)."""
    x = x[..., max(-offset, 0) :, max(offset, 0) :]
    length = min(x.shape[-2:])
    return xp.einsum("...ii->...i", x[..., :length, :length])
diagonals.vjps(lambda g, out, x, offset: diagonal_matrices(g, offset=offset, shape=x.shape))


@op
def diagonal_matrices(xp, x, *, offset, shape):
    """Zeros of `shape` with x on the diagonals: (..., entries) -> (..., n, m)."""
    out, entries = xp.zeros(shape, x.dtype), xp.arange(x.shape[-1])
    out[..., entries + max(-offset, 0), entries + max(offset, 0)] = x
    return out
diagonal_matrices.vjps(lambda g, out, x, offset, shape: diagonals(g, offset=offset))


@op
def lower_triangle(xp, x, *, diagonal): return xp.tril(x, diagonal)
lower_triangle.vjps(lambda g, out, x, diagonal: lower_triangle(g, diagonal=diagonal))


@op
def upper_triangle(xp, x, *, diagonal): return xp.triu(x, diagonal)
upper_triangle.vjps(lambda g, out, x, diagonal: upper_triangle(g, diagonal=diagonal))
