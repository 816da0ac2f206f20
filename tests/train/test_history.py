"""The history: columns from rows, and the file they are written to."""

import csv
import math

import pytest

from minidl.train import History

ROWS = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 0.25, "val_loss": 1 / 3}]


def test_columns_come_in_the_order_of_their_first_row():
    history = History(ROWS)
    assert history.columns == ["epoch", "loss", "val_loss"]
    assert history.column("loss") == [0.1 + 0.2, 0.25]
    assert math.isnan(history.column("val_loss")[0])


def test_a_column_that_is_not_there_is_named_beside_those_that_are():
    with pytest.raises(KeyError, match="no column 'los', only epoch, loss, val_loss"):
        History(ROWS).column("los")


def test_the_file_holds_the_very_numbers(tmp_path):
    History(ROWS).to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "val_loss"]
    assert rows[0]["epoch"] == "1" and rows[0]["val_loss"] == ""
    assert float(rows[0]["loss"]) == 0.1 + 0.2 and float(rows[1]["val_loss"]) == 1 / 3
