"""Numbers, arrays and settings as the short texts that stand in boxes and tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import zip_longest
from typing import Any, TypeVar

import numpy as np

from minidl import backend
from minidl.autograd import Tensor
from minidl.backend import Array
from minidl.ops.windows import Window

SMALL, WIDE = 12, 4  # so many entries, and so many in a row, are shown one by one
COLUMNS = ("mean", "std", "norm")
Thing = TypeVar("Thing")


def on_host(value: Any) -> np.ndarray:
    """A tensor, an array on any device or a number, as a NumPy array."""
    array = value.array if isinstance(value, Tensor) else value
    return backend.to_device(array, "cpu") if type(array) in backend.modules else np.asarray(array)


def number(value: Any) -> str:
    """Four significant digits, which is what one can compare by eye.

    >>> number(0.123456), number(-3.0), number(True)
    ('0.1235', '-3', 'True')
    """
    return f"{value + 0.0:.4g}" if np.asarray(value).dtype.kind == "f" else str(value)  # + 0.0 makes 0 of -0


def is_small(array: Array) -> bool:
    """Whether an array is shown entry by entry."""
    return array.size <= SMALL and array.ndim <= 2 and (not array.ndim or array.shape[-1] <= WIDE)


def entries(array: Array) -> str:
    """A small array on one line.

    >>> entries(np.array([[1.0, 2.5], [3.0, 4.0]]))
    '[[1, 2.5], [3, 4]]'
    """
    if not array.ndim:
        return number(array[()])
    return f"[{', '.join(entries(row) for row in array)}]"


def statistics(array: Array) -> tuple[str, str, str]:
    """Mean, standard deviation and norm of all entries.

    >>> statistics(np.array([3.0, 4.0]))
    ('3.5', '0.5', '5')
    """
    if not array.size:
        return "-", "-", "0"
    wide = array.astype(np.float64)
    with np.errstate(all="ignore"):  # infinite entries are shown as they are
        return number(wide.mean()), number(wide.std()), number(np.sqrt((wide * wide).sum()))


def brief(array: Array) -> str:
    """An array on one line: its entries, or its shape and what is known of them all.

    >>> brief(np.ones((2, 3))), brief(np.ones((20, 30)))
    ('[[1, 1, 1], [1, 1, 1]]', '(20, 30) mean 1, std 0, norm 24.49')
    """
    return entries(array) if is_small(array) else f"{array.shape} {facts(array)}"


def facts(array: Array) -> str:
    """The entries of a small array, the statistics of a large one; of whole numbers and booleans, what they may be.

    >>> facts(np.arange(20) % 10)
    '0, 1, 2, 3, … from 0 to 9'
    """
    if is_small(array):
        return entries(array)
    if array.dtype.kind in "iub":
        first = ", ".join(map(str, array.reshape(-1)[:WIDE].tolist()))
        return f"{first}, … from {array.min()} to {array.max()}" if array.size else ""
    return ", ".join(f"{name} {fact}" for name, fact in zip(COLUMNS, statistics(array), strict=True))


def named_lines(**rows: Array) -> list[tuple[str, str]]:
    """Arrays of one shape as lines under each other, each with the name of its row.

    >>> for _, line in named_lines(value=np.arange(12.0), gradient=np.ones(12)): print(line)
              mean    std   norm
    value      5.5  3.452  22.49
    gradient     1      0  3.464
    """
    width = max(map(len, rows), default=0)
    if all(is_small(array) for array in rows.values()):
        lines = []
        for name, array in rows.items():
            stacked = array if array.ndim == 2 else [array]
            lines += [(name, f"{name if not i else '':{width}}  {entries(row)}") for i, row in enumerate(stacked)]
        return lines
    if any(array.dtype.kind in "iub" for array in rows.values()):
        return [(name, f"{name:{width}}  {facts(array)}") for name, array in rows.items()]
    known = {name: statistics(array) for name, array in rows.items()}
    widths = [max(map(len, column)) for column in zip(COLUMNS, *known.values(), strict=True)]
    cells = {"": COLUMNS, **known}
    return [
        (name, f"{name:{width}}" + "".join(f"  {fact:>{w}}" for fact, w in zip(cells[name], widths, strict=True)))
        for name in cells
    ]


def wrapped(row: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """A row of texts as rows of pieces of them, each of at most so many letters.

    >>> wrapped(("a + b", "c"), most=3)
    [('a +', 'c'), ('b', '')]
    """
    cells = [textwrap.wrap(text, most) for text in row]
    return list(zip_longest(*cells, fillvalue=""))


def aligned(rows: Iterable[Sequence[str]], widest: int | None = None) -> list[str]:
    """Rows of texts as lines with their columns under each other; beyond `widest` letters a column may be ragged.

    >>> aligned([("a", "b"), ("longer", "c")])
    ['a       b', 'longer  c']
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths = [min(width, widest or width) for width in widths]
    return ["  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def shortened(text: str, most: int) -> str:
    """The text, or as much of it as goes into `most` letters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def settings_text(settings: Mapping[str, Any]) -> str:
    """The settings of an op, those that say something; lists, in which an op keeps what it needs later, do not.

    >>> settings_text({"axis": (0, 1), "keepdims": False, "dtype": None})
    'axis=(0, 1), keepdims=False'
    """
    said = {name: value for name, value in settings.items() if not isinstance(value, (list, type(None)))}
    return ", ".join(f"{name}={setting(value)}" for name, value in said.items())


def named(kind: str, name: str, among: Mapping[str, Thing]) -> Thing:
    """What has that name; ValueError if nothing has, which says what is like it.

    >>> named("bug", "wrong_sine", {"wrong_sign": 1, "wrong_order": 2})
    Traceback (most recent call last):
    ValueError: there is no bug 'wrong_sine', only wrong_sign, wrong_order; did you mean wrong_sign?
    """
    if name in among:
        return among[name]
    like = "".join(f"; did you mean {x}?" for x in get_close_matches(str(name), among, 1))
    raise ValueError(f"there is no {kind} {name!r}, only {', '.join(among)}{like}")


def setting(value: Any) -> str:
    """A setting, or an input that is no tensor, in a few letters."""
    if hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, np.dtype):
        return f"array{value.shape}"
    if isinstance(value, Window):
        return _window(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(setting, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, slice):
        return ":".join("" if end is None else str(end) for end in (value.start, value.stop))
    if value is ...:
        return "..."
    if isinstance(value, type):
        return value.__name__
    text = repr(value)
    return text if len(text) <= 24 else type(value).__name__


def _window(window: Window) -> str:
    """The size of a window, and how it moves where that is not the usual: "5×5, padding 2×2"."""
    moves = {"stride": (window.stride, 1), "padding": (window.padding, 0), "dilation": (window.dilation, 1)}
    unusual = [f", {word} {_times(sides)}" for word, (sides, usual) in moves.items() if set(sides) != {usual}]
    return _times(window.kernel) + "".join(unusual)


def _times(sides: tuple[int, ...]) -> str:
    return "×".join(map(str, sides))
