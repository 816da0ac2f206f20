"""Ops about order: the positions in which entries are sorted, and the place of others among them.

They return positions, and so have no derivative.
"""

from __future__ import annotations

from minidl.autograd import op


@op
def order(xp, x, *, axis, descending=False):
    """The positions along `axis` in which x is sorted; equal entries stay in their order, NaN counts as the largest."""
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)


@op
def insertion_points(xp, sequence, x, *, right):
    """How many entries of the sorted sequence, or of that in the same row, are below x (or equal, if `right`)."""
    if sequence.ndim == 1:
        return xp.searchsorted(sequence, x, "right" if right else "left")
    sequence, x = sequence[..., None, :], x[..., None]
    return (sequence <= x if right else sequence < x).sum(axis=-1)
