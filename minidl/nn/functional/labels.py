"""Whole numbers that name a class or a row of a table, and those that name none.

On the CPU these are an error.  Nobody waits for a GPU to say that there is one: the results are nan there instead,
which can be neither overlooked nor mistaken, and costs no time.
"""

from __future__ import annotations

from minidl.autograd import Tensor
from minidl.backend import on_gpu
from minidl.functional import bounds
from minidl.ops.logic import logical_or


def outside(numbers: Tensor, count: int, what: str, named: str) -> Tensor | None:
    """Where `numbers` are not from 0 to count - 1; on the CPU None, or IndexError: `what` names one of the `named`."""
    if on_gpu(numbers.array):
        return logical_or(numbers < 0, numbers >= count)
    bounds.check(numbers.array, 0, count, IndexError, f"{what} must be", f" for {count} {named}")
    return None
