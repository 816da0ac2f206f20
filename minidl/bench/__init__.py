"""`minidl bench`: minidl timed beside PyTorch and others, and beside bare NumPy.

Each library works in a process of its own (worker.py); compare.py lets them take turns, and report.py makes the tables.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser, written: Path = Path("results.md")) -> None:
    """The options of `compare.run`; `written` is the file that --write writes if it names none."""
    add = parser.add_argument
    add("--quick", action="store_true", help="few and short rounds: two minutes instead of twelve")
    add("--only", nargs="+", metavar="WORDS", help="only the workloads with any of these words in their names")
    add("--threads", type=_threads, default=2, metavar="N", help="for each library (default: 2)")
    add("--write", type=Path, nargs="?", const=written, metavar="FILE",
        help=f"write the tables to a file, too, as Markdown (default: {written.name})")  # fmt: skip


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text}")
    return int(text)
