"""Recurrent networks: all time steps as one op, for any cell.

A cell (see nn/cells.py) gives its formulas for one step, and the chain rule through it; the loop over time and the
way back through it stand here.

Letters: T time steps, N sequences, H hidden units, G gates of the cell, S its states: h, and in the LSTM also c.
x is the input of a step after its weights, u = h Wᵀ + b the hidden state after its own: both (N, G·H).
"""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd import Tensor, op
from minidl.ops.fused import linear
from minidl.ops.shapes import stack


@op
def recurrence(xp, x, s, w, b=None, *, cell, kept=None):
    """All states: (T, N, G·H), (S, N, H), (G·H, H), (G·H,) -> (T + 1, S, N, H), the first of which is s.

    In the list `kept` each step leaves what its way back needs, which saves computing the gates again.
    """
    out = xp.empty((len(x) + 1, *s.shape), x.dtype)
    out[0] = s
    wt = xp.ascontiguousarray(w.T)
    for t in range(len(x)):
        u = kernels.matmul(xp, out[t, 0], wt)
        if b is not None:
            u += b
        states, needed = cell.step(x[t], u, *out[t])
        for k, state in enumerate(states):
            out[t + 1, k] = state
        if kept is not None:
            kept.append(needed)
    return out


def _through_time(g: Any, out: Any, x: Any, s: Any, w: Any, b: Any = None, *, cell: Any, kept: Any = None) -> Any:
    """The gradients of x, s, w and b, from the last time step to the first."""
    if isinstance(g, Tensor):
        kept = None  # it holds bare arrays, through which no second derivative would find its way
    dx, du, ds = list[Any](), list[Any](), list(g[-1])
    for t in reversed(range(len(x))):
        needed = kept[t] if kept else cell.step(x[t], linear(out[t, 0], w, b), *out[t])[1]
        dx_t, du_t, *ds = cell.back(needed, out[t], out[t + 1], *ds)
        dx.append(dx_t)
        du.append(du_t)
        ds[0] = ds[0] + kernels.product(du_t, w)
        ds = [own + later for own, later in zip(g[t], ds, strict=True)]
    all_du = stack(du[::-1])
    all_dx = all_du if dx[-1] is du[-1] else stack(dx[::-1])
    u, h = all_du.reshape((-1, len(w))), out[:-1, 0].reshape((-1, w.shape[1]))  # (T·N, G·H), (T·N, H)
    return all_dx, stack(ds), kernels.product(u.T, h), None if b is None else u.sum(axis=0)


recurrence.vjps(together=_through_time)
