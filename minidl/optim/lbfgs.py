"""L-BFGS: steps along a direction that knows the curvature of the loss, learned from the last gradients.

Letters:  x all weights as one vector   g gradient   d direction   t length of the step: x + t·d   f loss
          s step and y change of the gradient in an earlier iteration   rho = 1 / (y·s)   al α of the two loops
          slope g·d of the loss along d
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.backend import Array
from minidl.optim.optimizer import Group, Optimizer
from minidl.worked import Explanation, Walk, place

C1, C2 = 1e-4, 0.9  # how much f must fall, and how flat it must become
CLOSE = 1e-9  # where two points are as good as one


class Point(NamedTuple):
    """A place on the line: t steps along d, with the loss f, its gradient g and the slope there."""

    t: float
    f: float
    g: Array
    slope: float


class LBFGS(Optimizer):
    """L-BFGS (Liu and Nocedal 1989): Newton's method, with the curvature guessed from the last gradients.

    Fixes: slow progress in ravines and the choice of lr: curvature says how far to go in each direction.
    Strengths: very few iterations on smooth problems; with a line search nothing is to be tuned.
    Weaknesses: noise of small batches spoils the guess; much memory: two vectors for each past iteration.
    Use when: the loss is smooth and always over the same data: small networks, curves, physics.

    `step(closure)` does up to `max_iter` iterations and calls `closure()`, which computes the loss and the gradients,
    up to `max_eval` times.  `line_search_fn="strong_wolfe"` searches a good length along each direction; without it
    the length is `lr`, and the first one shorter.  It ends earlier when the largest gradient is not above
    `tolerance_grad`, or the step or the change of the loss not above `tolerance_change`.  One parameter group only.
    Learning rate recommended for the MNIST network 784-128-10 with all images in one batch: 1.

    >>> import minidl
    >>> w = minidl.tensor([-1.5, 2.0], requires_grad=True)
    >>> optimizer = LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2  # Rosenbrock's banana: the minimum is at (1, 1)
    ...     loss.backward()
    ...     return loss
    >>> for step in range(3):
    ...     loss = optimizer.step(closure)
    >>> w.array.round(3)
    array([1., 1.], dtype=float32)
    """

    recommended_lr = 1.0

    def __init__(
        self, params: Iterable[Any], lr: float = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, locals())
        self._memory: dict[str, Any] = {}  # under PyTorch's names

    def _add(self, groups: list[Group]) -> None:
        if len(self.param_groups + groups) > 1:
            raise ValueError("LBFGS takes one group of parameters only, for its direction is one vector of all weights")
        super()._add(groups)

    def check(self, group: Group) -> None:
        super().check(group)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError(f'line_search_fn is "strong_wolfe" or None, got {group["line_search_fn"]!r}')

    # -- steps

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Do up to `max_iter` iterations; returns what `closure()` returned before the first."""
        self.stepped = True
        group = self.param_groups[0]
        memory = self._memory = {"func_evals": 0, "n_iter": 0, **self._memory}
        most = memory["func_evals"] + group["max_eval"]
        memory["func_evals"] += 1
        loss = closure()
        f, g = float(loss), self._gradient()
        for iteration in range(1, group["max_iter"] + 1):
            if abs(g).max() <= group["tolerance_grad"]:
                break
            memory["n_iter"] += 1
            d, t = self._direction(g, group["history_size"]), float(group["lr"])
            if memory["n_iter"] == 1:
                t *= min(1.0, 1 / float(abs(g).sum()))  # nothing is known of the curvature yet
            here = Point(0.0, f, g, float(g @ d))
            memory.update(d=d, t=t, prev_flat_grad=g, prev_loss=f)
            if here.slope > -group["tolerance_change"]:
                break
            x = _vector([p.array for p in group["params"]])
            look = partial(self._look, closure, x, d)
            if group["line_search_fn"]:
                t, f, g, _ = strong_wolfe(look, here, t, float(abs(d).max()), most - memory["func_evals"])
            elif iteration < group["max_iter"]:  # else nobody would use the gradient
                t, f, g, _ = look(t)
            self._move(x + t * d)
            memory["t"] = t
            small = abs(t * d).max() <= group["tolerance_change"] or abs(f - here.f) < group["tolerance_change"]
            if small or memory["func_evals"] >= most:
                break
        return loss

    def _direction(self, g: Array, history_size: int) -> Array:
        """-H·g, with H the inverse of the curvature as the last steps showed it (Nocedal and Wright 2006, alg. 7.4)."""
        memory = self._memory
        if memory["n_iter"] == 1:
            memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -g
        y, s = g - memory["prev_flat_grad"], memory["t"] * memory["d"]
        if (ys := float(y @ s)) > 1e-10:  # the curvature along s is positive
            for name, new in (("old_dirs", y), ("old_stps", s), ("ro", 1 / ys)):
                memory[name] = [*memory[name], new][-history_size:]
            memory["H_diag"] = ys / float(y @ y)
        past, al = list(zip(memory["old_dirs"], memory["old_stps"], memory["ro"], strict=True)), []
        d = -g
        for y, s, rho in reversed(past):
            al.append(rho * float(s @ d))
            d = d - al[-1] * y
        d = memory["H_diag"] * d
        for y, s, rho in past:
            d = d + (al.pop() - rho * float(y @ d)) * s
        return d

    def _look(self, closure: Callable[[], Any], x: Array, d: Array, t: float) -> Point:
        """Go to x + t·d, and see what is there."""
        self._move(x + t * d)
        f, g = float(closure()), self._gradient()
        self._memory["func_evals"] += 1
        return Point(t, f, g, float(g @ d))

    def _gradient(self) -> Array:
        """The gradients of all parameters as one vector, 0 where there is none."""
        params = self.param_groups[0]["params"]
        return _vector([p.array * 0 if p.grad is None else p.grad.array for p in params])

    def _move(self, x: Array) -> None:
        """Write the vector x into the parameters."""
        start = 0
        for p in self.param_groups[0]["params"]:
            p.array[...] = x[start : start + p.array.size].reshape(p.array.shape)
            start += p.array.size
            p.mark_changed()

    def preview(self, param: Any) -> dict[str, Any]:
        """TypeError: where a step of L-BFGS ends is known only when `closure` has been called along the way."""
        raise TypeError("LBFGS has no preview: its step calls the closure at several places to find out where to go")

    def explain(self, param: Any, index: int | tuple[int, ...] = 0) -> Explanation:
        """The direction of the next step for one entry of `param`, to be printed; nothing is changed.

        Each line that finds it is shown with the numbers put in.  How far the step goes along it is not known before.
        """
        group, ids = self.param_groups[0], [id(p) for p in self.param_groups[0]["params"]]
        if id(param) not in ids:
            raise ValueError("a tensor that this optimizer was not given: it is in none of its param_groups")
        i, g, shape = ids.index(id(param)), self._gradient(), param.array.shape
        where = place(index, shape)
        start = sum(p.array.size for p in group["params"][:i])
        twin, n = copy.copy(self), self._memory.get("n_iter", 0) + 1
        twin._memory = {**self._memory, "n_iter": n}
        walk = Walk(g.shape, (start + int(np.ravel_multi_index(where, shape)) if shape else start,))
        walk.run(partial(twin._direction, g, group["history_size"]), name="d")
        title = f"LBFGS, direction of step {n}, parameter {i} of group 0, entry {list(where)}"
        return Explanation(title, {"g": walk.entry(g)}, walk.lines)

    # -- state

    def _states(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """All that is remembered belongs to the first parameter, as in PyTorch."""
        for i, p in enumerate(self.param_groups[0]["params"]):
            yield p, {} if i else self._memory

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over state and options from `state_dict()`, or from that of PyTorch's LBFGS; ValueError as ever."""
        (group,) = self._checked_options(state_dict)
        self.param_groups[0].update(group)
        device = backend.device_of(group["params"][0].array)
        saved = state_dict["state"].get(state_dict["param_groups"][0]["params"][0], {})
        self._memory = {name: _own(x, device) for name, x in saved.items() if name != "al"}  # which lasts one iteration


def _vector(arrays: list[Array]) -> Array:
    return backend.array_module(arrays[0]).concatenate([x.ravel() for x in arrays])


def _own(value: Any, device: str) -> Any:
    """A copy of an array or a tensor, a number if it has no dimensions; of a list, one of each."""
    if isinstance(value, list):
        return [_own(x, device) for x in value]
    x = getattr(value, "array", value)
    x = x if backend.array_module(x) is not np else np.asarray(x)
    return backend.to_device(x.copy(), device) if x.ndim else x.item()


# -- the line search: how far to go along d, so that the loss falls enough and has become flat enough ----------------


def strong_wolfe(look: Callable[[float], Point], here: Point, t: float, size: float, most: int) -> Point:
    """A point that fulfils the strong conditions of Wolfe (Nocedal and Wright 2006, algorithms 3.5 and 3.6).

    `look(t)` says what is t steps ahead of `here`; after the first guess `t` it is called up to `most` times.  If no
    such point was found then, or before that between two that are `CLOSE`, the better of the last two is the answer.
    `size` is the largest component of the direction.
    """

    def too_high(point: Point) -> bool:
        return point.f > here.f + C1 * point.t * here.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -C2 * here.slope

    before, point = here, look(t)  # go on until a minimum lies between the two
    for used in range(most):
        if too_high(point) or (used > 1 and point.f >= before.f):
            break
        if flat(point):
            return point
        if point.slope >= 0:
            break
        t = minimum_of_cubic(before, point, point.t + 0.01 * (point.t - before.t), 10 * point.t)
        before, point = point, look(t)
    else:
        used, before = most, here

    ends, stuck = [before, point], False  # take them closer together
    for _ in range(used, most):
        left, right = sorted(end.t for end in ends)
        if (right - left) * size < CLOSE:
            break
        t, margin = minimum_of_cubic(ends[0], ends[1], left, right), 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or not left < t < right):  # again so close to an end: move away from it
            t, near = right - margin if right - t < t - left else left + margin, False
        stuck = near
        point = look(t)
        low = int(ends[0].f > ends[1].f)
        if too_high(point) or point.f >= ends[low].f:
            ends[1 - low] = point
            continue
        if flat(point):
            return point
        if point.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = point
    return min(ends, key=lambda end: end.f)


def minimum_of_cubic(p: Point, q: Point, low: float, high: float) -> float:
    """Where the cubic with the values and slopes of p and q is least (the same, equation 3.59), within low and high."""
    p, q = (p, q) if p.t <= q.t else (q, p)
    d1 = p.slope + q.slope - 3 * (p.f - q.f) / (p.t - q.t)
    square = d1 * d1 - p.slope * q.slope
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    if (divisor := q.slope - p.slope + 2 * d2) == 0:  # a straight line
        return high
    return min(max(q.t - (q.t - p.t) * ((q.slope + d2 - d1) / divisor), low), high)
