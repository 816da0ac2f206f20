"""One kernel for the step of an optimizer, written from the calls that its rule makes, for many parameters at once.

The rule stays the only copy of its mathematics: it is called with names in place of arrays, and what it would compute
is noted as C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from minidl.backend import Array
from minidl.kernels import THREADS, TYPES, contiguous, source
from minidl.kernels.parts import tables

# How NumPy's functions are written in C; {0} and {1} are their operands.
_FORMULAS = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}",
    "negative": "-{0}", "positive": "{0}", "square": "{0} * {0}", "reciprocal": "T(1) / {0}",
    "power": "pow({0}, {1})", "absolute": "fabs({0})", "fabs": "fabs({0})",
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}", "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
    "sign": "{0} != {0} ? {0} : T(({0} > 0) - ({0} < 0))",
    **{name: f"{name}({{0}})" for name in ("sqrt", "exp", "expm1", "log", "log1p", "tanh")},
}  # fmt: skip


class _Writer:
    """Stands for NumPy or CuPy: its functions are given names of numbers, and write down what they would compute."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., str]:
        if name not in _FORMULAS:
            raise AttributeError(f"{name} is not among the functions that are written in C")

        def call(*operands: str) -> str:
            result = f"x{len(self.lines)}"
            self.lines.append(f"T {result} = {_FORMULAS[name].format(*operands)};")
            return result

        return call


class _Name(str):
    """The name of a number that is to become another: `name[...] = value`."""

    lines: list[str]

    def __setitem__(self, _: Any, value: str) -> None:
        self.lines.append(f"{self} = {value};")


def written(rule: Callable[[Any], Callable[..., None]], memory: int, numbers: int, dtype: Any) -> str:
    """The kernel of an update of arrays of `dtype`, in CUDA.

    `rule(xp)` is a function of w, g, so many arrays of memory, and so many numbers, which writes into w and memory
    what it computes with functions of xp alone.  TypeError for a dtype, AttributeError for a function not known here.
    """
    if dtype not in TYPES:
        raise TypeError(f"there are kernels for {list(TYPES)}, not for {dtype}")
    writer = _Writer()
    arrays = [_Name(name) for name in ("w", "g", *[f"m{i}" for i in range(memory)])]
    for name in arrays:
        name.lines = writer.lines
    constants = [f"c{i}" for i in range(numbers)]
    rule(writer)(*arrays, *constants)
    own, given = arrays[2:], "".join([f", T* {x}s" for x in arrays[2:]] + [f", double {x}_" for x in constants])
    return "\n".join([
        f'extern "C" __global__ void update(Parts parts{given}) {{',
        "INDEX i = entry();",
        "int k = part_of(parts, i);",
        "if (k < 0) return;",
        "INDEX at = i - (INDEX)parts.start[k];",
        "T w = parts.w[k][at], g = parts.g[k][at];",
        *[f"T {x} = {x}s[i];" for x in own],
        *[f"T {x} = (T){x}_;" for x in constants],
        *writer.lines,
        "parts.w[k][at] = w;",
        *[f"{x}s[i] = {x};" for x in own],
        "}",
    ])  # fmt: skip


@cache
def _kernel(xp: Any, code: str, dtype: Any, large: bool) -> Any:
    # A product is rounded before it is added, as in the rule: preview() shows the very bits of the step.
    return xp.RawKernel(source("parts", dtype, large * 2**30) + code, "update", options=("--fmad=false",))


def update(xp: Any, code: str, numbers: Sequence[float], ws: Sequence[Array], gs: Sequence[Array],
           memory: Sequence[Array], starts: Sequence[int]) -> None:  # fmt: skip
    """Run the kernel that `written` gave on weights ws and gradients gs.

    What is remembered of parameter i lies in the flat arrays `memory` from starts[i] on.
    """
    new, gs = [contiguous(xp, w) for w in ws], [contiguous(xp, g) for g in gs]
    for table, start, count in tables(new, gs, starts):
        if count:
            kernel = _kernel(xp, code, ws[0].dtype, count >= 2**30)
            parts = [x[start:] for x in memory] if start else memory
            kernel((-(-count // THREADS),), (THREADS,), (table, *parts, *numbers))
    for w, changed in zip(ws, new, strict=True):
        if changed is not w:
            w[...] = changed
