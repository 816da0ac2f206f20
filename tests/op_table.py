"""The table of ops: every generic test runs over each row.  A new op joins by a row in its family's file in op_rows/.

A row names the op, inputs on which it is smooth, its settings, and the function of PyTorch that it must equal.
"""

import importlib
from pathlib import Path

from op_rows.row import Row

_families = [
    importlib.import_module(f"op_rows.{path.stem}") for path in sorted((Path(__file__).parent / "op_rows").glob("*.py"))
]
DIFFERENTIABLE: list[Row] = [row for family in _families for row in getattr(family, "DIFFERENTIABLE", [])]
WITHOUT_DERIVATIVE: list[Row] = [row for family in _families for row in getattr(family, "WITHOUT_DERIVATIVE", [])]
