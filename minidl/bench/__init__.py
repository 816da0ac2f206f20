"""`minidl bench`: minidl timed beside PyTorch and others, and beside bare NumPy.

Each library works in a process of its own (worker.py); compare.py lets them take turns, and report.py makes the tables.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_options(parser: argparse.ArgumentParser, written: Path = Path("results.md")) -> None:
    """The options of `compare.run`; `written` is the file that --write writes if it names none."""
    add = parser.add_argument
    add("--quick", action="store_true", help="few and short rounds: two minutes instead of twelve")
    add("--only", nargs="+", type=_words, metavar="WORDS",
        help="only the rows with any of these words in their names; words that fit none show all names")
    add("--threads", type=_threads, default=2, metavar="N", help="for each library (default: 2)")
    add("--write", type=_file, nargs="?", const=str(written), metavar="FILE",
        help=f"write the tables to a file, too, as Markdown (default: {written.name})")  # fmt: skip


def _words(text: str) -> str:
    from minidl.bench.workloads import NAMES

    if not any(text.lower() in name.lower() for name in NAMES):
        lines = "".join(f"\n  {name}" for name in NAMES)
        raise argparse.ArgumentTypeError(f"{text!r} is in none of these names:{lines}\nany part of one will do")
    return text.lower()


def _file(text: str) -> Path:
    """A file that can be written: what is wrong with it is better known before all is measured."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder: name a file in it, such as {path / 'results.md'}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}: make it first, or name another")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} must not be written by you: name a file elsewhere")
    return path


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text}")
    return int(text)
