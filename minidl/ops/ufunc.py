"""NumPy's functions that work entry by entry ("universal functions") as ops: a name, and the derivatives.

CuPy has them under the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.autograd import Op, op


def ufunc(name: str, *rules: Callable[..., Any]) -> Op:
    """The op that NumPy has under this name, with its rules, one for each of its one or two arrays, or none at all.

    >>> import minidl
    >>> cube_root = ufunc("cbrt", lambda g, out, x: g / (3 * out * out))
    >>> cube_root(minidl.tensor([8.0]))
    tensor([2.])
    """

    def of_one(xp: Any, x: Any) -> Any:
        return getattr(xp, name)(x)

    def of_two(xp: Any, x: Any, y: Any) -> Any:
        return getattr(xp, name)(x, y)

    function = of_one if getattr(np, name).nin == 1 else of_two
    function.__name__ = function.__qualname__ = name
    made = op(function)
    if rules:
        made.vjps(*rules)
    return made
