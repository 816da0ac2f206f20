"""A table of numbers that prints itself with its columns under each other, and can be written for a spreadsheet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from minidl.study import charts
from minidl.train.history import History


class Table(History):
    """Rows as dictionaries; `columns`, `column(name)` and `to_csv(path)` as a history of training has them.

    >>> table = Table([{"step": 1, "g": np.float32(0.1), "name": "w"}, {"step": 10, "g": -2.5, "name": "bias"}])
    >>> print(table)
    step     g  name
       1   0.1  w
      10  -2.5  bias
    """

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table to the file `path`, for a spreadsheet: a line of names, then a line for each row."""
        super().to_csv(charts.ready(Path(path), [".csv", ".txt"]))

    def some(self, most: int) -> Table:
        """The first row, the last, and others between them, evenly spread: at most so many."""
        return Table(self[i] for i in evenly(len(self), most))

    def __str__(self) -> str:
        columns = [self._cells(name) for name in self.columns]
        return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))

    __repr__ = __str__

    def _cells(self, name: str) -> list[str]:
        """A column as texts of one width, under its name: numbers to the right, words to the left."""
        values: list[Any] = [row.get(name) for row in self]
        cells = [name, *map(_text, values)]
        width = max(map(len, cells))
        words = any(isinstance(value, str) for value in values)
        return [cell.ljust(width) if words else cell.rjust(width) for cell in cells]


def evenly(count: int, most: int) -> list[int]:
    """The indices of at most so many of `count` things, evenly spread, the first and the last among them.

    >>> evenly(3, 5), evenly(11, 3)
    ([0, 1, 2], [0, 5, 10])
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{float(value):.5g}" if isinstance(value, (float, np.floating)) else str(value)
