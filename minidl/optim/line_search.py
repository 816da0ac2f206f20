"""A line search: how far to go along a direction, so that the loss falls enough and has become flat enough.

Letters:  t length of the step   f loss   g gradient   slope g·d along the direction d
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from minidl.backend import Array

C1, C2 = 1e-4, 0.9  # how much f must fall, and how flat it must become
CLOSE = 1e-9  # where two points are as good as one


class Point(NamedTuple):
    """A place on the line: t steps along d, with the loss f, its gradient g and the slope there."""

    t: float
    f: float
    g: Array
    slope: float


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
