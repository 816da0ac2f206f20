"""Ops of angles and hyperbolas, entry by entry: sine to inverse hyperbolic tangent, and the sides of triangles.

Each is the function on arrays, then its derivatives; `ufunc` names a function of NumPy.
"""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd import op
from minidl.ops.elementwise import sqrt, where
from minidl.ops.ufunc import ufunc

# -- angles ---------------------------------------------------------------------------------------------------

sin = ufunc("sin", lambda g, out, x: g * cos(x))
cos = ufunc("cos", lambda g, out, x: -g * sin(x))
tan = ufunc("tan", lambda g, out, x: g * (1 + out * out))
asin = ufunc("arcsin", lambda g, out, x: g / sqrt(1 - x * x))
acos = ufunc("arccos", lambda g, out, x: -g / sqrt(1 - x * x))
atan = ufunc("arctan", lambda g, out, x: g / (x * x + 1))
atan2 = ufunc("arctan2",
              lambda g, out, y, x: g * x / _squares(x, y),
              lambda g, out, y, x: -g * y / _squares(x, y))
hypot = ufunc("hypot",
              lambda g, out, x, y: g * x / out,
              lambda g, out, x, y: g * y / out)


def _squares(x: Any, y: Any) -> Any:
    """x² + y², but 1 at the origin, where there is no angle: its derivatives count as 0 there."""
    return where((x == 0) & (y == 0), 1.0, x * x + y * y)


@op
def sinc(xp, x): return xp.sinc(x)  # sin(πx)/(πx), and 1 at 0
sinc.vjps(lambda g, out, x: g * (cos(x * math.pi) - out) / where(x == 0, 1.0, x))


# -- hyperbolas -----------------------------------------------------------------------------------------------

sinh = ufunc("sinh", lambda g, out, x: g * cosh(x))
cosh = ufunc("cosh", lambda g, out, x: g * sinh(x))
asinh = ufunc("arcsinh", lambda g, out, x: g / sqrt(x * x + 1))
acosh = ufunc("arccosh", lambda g, out, x: g / sqrt(x * x - 1))
atanh = ufunc("arctanh", lambda g, out, x: g / (1 - x * x))
