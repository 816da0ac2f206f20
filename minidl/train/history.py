"""The record of a training run: one row of numbers for each epoch.

It is a list of dictionaries, and can be written as a table that any spreadsheet opens.
"""

from __future__ import annotations

import csv
import os


class History(list[dict[str, float]]):
    """Rows of a training run, oldest first; a row that lacks a column (no validation, say) leaves it empty.

    >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "val_loss": 0.4}])
    >>> history.columns, history.column("loss")
    (['epoch', 'loss', 'val_loss'], [0.5, 0.25])
    """

    @property
    def columns(self) -> list[str]:
        """The names of all columns, in the order in which they first appear."""
        return list(dict.fromkeys(name for row in self for name in row))

    def column(self, name: str) -> list[float]:
        """One number for each epoch, nan where a row lacks it; KeyError if no row has it."""
        if name not in self.columns:
            raise KeyError(
                f"the history has no column {name!r}, only {', '.join(self.columns) or 'no rows yet'}"
            )
        return [row.get(name, float("nan")) for row in self]

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table to the file `path`: a line of names, then a line for each epoch."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, self.columns, lineterminator="\n")
            table.writeheader()
            table.writerows(self)
