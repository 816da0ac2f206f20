"""What compare.py found, as tables in Markdown: medians, ratios with their quartiles, and goals.

Below the tables stands how they are to be read, and where, when and with what they were made.
"""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidl.bench.worker import KEEPING_MEMORY, PARTS

GOALS = {  # the largest ratio to PyTorch that minidl allows itself
    "8 small ops, forward and backward": 0.55,
    "MLP 784-128-10, batch 64, Adam": 0.60,
    "MLP 784-128-10, batch 1, SGD": 0.60,
    "MLP 784-512-10, batch 256, Adam": 0.80,
    "MLP 784-128-10, batch 1, prediction": 0.60,
    "LeNet-5, batch 64, Adam": 0.90,
    "CNN 16-32 with batch norm, batch 64, Adam": 0.90,
    "CNN 32-64, batch 64, Adadelta": 1.20,
    "LSTM 28 -> 128 over 28 rows, batch 64, Adam": 1.10,
    "TransformerEncoderLayer, 28 tokens, batch 32, AdamW": 0.90,
    "40 small tensors: momentum step": 0.40,
    "40 small tensors: Adam step": 0.40,
    **{f"1,000,000 weights: {name} step": 1.00 for name in ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam")},
    "import": 0.15,
    "whole process: MLP, one epoch": 0.60,
    "peak memory of that process": 0.45,
    "LeNet-5, batch 256: peak memory": 1.00,
    "LeNet-5, batch 256: memory added by the steps": 1.00,
}
SAME = 1e-5  # the largest relative difference in the checked steps that float32 rounding explains
SAME_IN_FLOAT64 = 1e-9
NAMED = ("minidl.compile", "NumPy by hand", "PyTorch fused")  # peers at work with a library that is listed already
OTHERS = (*NAMED, "JAX jit", "autograd", "MyGrad")


@dataclass
class Agreement:
    """How far results are apart: each library's from PyTorch's (without it, from minidl's), relative to the largest.

    `rounding` is how far PyTorch's own float32 is from its float64, `float64` how far minidl's float64 is from it;
    `replayed` says whether minidl.compile's results have the bits of minidl's own.
    """

    float32: dict[str, float]
    rounding: float | None = None
    float64: float | None = None
    replayed: bool = True

    def holds(self) -> bool:
        """Whether all compute the same.  Where a workload amplifies rounding, so that PyTorch's float32 is no judge, it
        is float64 that shows it.
        """
        judged = self.rounding is None or self.rounding <= SAME
        same = all(difference <= SAME for difference in self.float32.values())
        return self.replayed and (same or not judged) and (self.float64 or 0.0) <= SAME_IN_FLOAT64

    def cells(self) -> list[str]:
        found = (self.float32["minidl"], self.rounding, self.float64)
        return ["" if number is None else f"{number:.0e}" for number in found]


@dataclass
class Row:
    """What was measured under one name: a number per round for each library."""

    name: str
    turns: dict[str, list[float]]
    text: Callable[[float], str]  # how such a number is printed
    agreement: Agreement | None = None

    def median(self, library: str) -> str:
        return self.text(float(np.median(self.turns[library]))) if library in self.turns else ""

    def quartiles(self, library: str, ours: str = "minidl") -> tuple[float, float, float]:
        """Of minidl's numbers, or `ours`, divided by the library's in the same rounds; the second is the median."""
        with np.errstate(divide="ignore", invalid="ignore"):  # there may have been no memory added
            low, middle, high = np.quantile(np.divide(self.turns[ours], self.turns[library]), [0.25, 0.5, 0.75])
        return float(low), float(middle), float(high)

    def ratio(self, library: str, ours: str = "minidl") -> tuple[float, str]:
        """The median of these, and between what it lies."""
        low, middle, high = self.quartiles(library, ours)
        return middle, f"{low:.2f}–{high:.2f}"

    def verdict(self) -> str:
        (low, middle, high), goal = self.quartiles("PyTorch"), GOALS[self.name]
        return "too noisy" if low <= goal <= high > 2 * low else "missed" if middle > goal else "met"

    def missed(self) -> bool:
        return "PyTorch" in self.turns and self.name in GOALS and self.verdict() == "missed"

    def beside_pytorch(self) -> list[str]:
        ratio, quartiles, goal, compiled = "", "", "", ""
        if "PyTorch" in self.turns:
            middle, quartiles = self.ratio("PyTorch")
            ratio = f"{middle:.2f}"
            if self.name in GOALS:
                goal = f"≤ {GOALS[self.name]:.2f}, {self.verdict()}"
            if "minidl.compile" in self.turns:
                compiled = "{:.2f} ({})".format(*self.ratio("PyTorch", "minidl.compile"))
        same = self.agreement.cells() if self.agreement else [""] * 3
        return [self.name, self.median("minidl"), self.median("PyTorch"), ratio, quartiles, goal, compiled, *same]

    def beside_others(self, others: list[str]) -> list[str]:
        cells = [self.name, self.median("minidl")]
        for other in others:
            if other in self.turns:
                middle, quartiles = self.ratio(other)
                cells.append(f"{self.median(other)}: {middle:.2f} ({quartiles})")
            else:
                cells.append("")
        return cells

    def account(self) -> str:
        """What holds a number that misses its goal, as far as what was measured beside it tells."""
        median = {name: float(np.median(found)) for name, found in self.turns.items()}
        mine, theirs = median["minidl"], median["PyTorch"]
        allowed, text = theirs * GOALS[self.name], self.text
        hand, part, their_part = (median.get(name) for name in ("NumPy by hand", *PARTS))
        what = "a single pass over all that it changes" if self.name.endswith(" step") else "its matrix products alone"
        told = [f"**{self.name}**: minidl {text(mine)}, PyTorch {text(theirs)}; the goal allows {text(allowed)}."]
        if part is not None:
            beside = "" if their_part is None else f", {text(their_part)} in PyTorch"
            told.append(f"{what.capitalize()}: {text(part)} in NumPy{beside}.")
        if hand is not None:
            adds = f"adds {text(mine - hand)} ({(mine - hand) / mine:.0%})" if mine > hand else "takes less"
            named = "NumPy's own import" if self.name == "import" else "The same by hand, without a framework"
            told.append(f"{named}: {text(hand)}, and minidl {adds}.")
        if mine <= allowed or mine < (part or 0.0):
            told.append("These rounds are too unlike each other to say what holds it.")
        elif part is not None and part > allowed:
            told.append(f"What holds it: {what}, longer than the goal allows.")
        elif hand is not None and hand > allowed:
            told.append("What holds it: NumPy, in which it misses the goal by hand, too.")
        elif hand is not None:
            told.append("What holds it: the framework's own share, without which it would meet the goal.")
        if "minidl.compile" in self.turns:
            met = self.ratio("PyTorch", "minidl.compile")[0] <= GOALS[self.name]  # as the table says
            told.append(f"`minidl.compile` {'meets' if met else 'misses'} it with {text(median['minidl.compile'])}.")
        return " ".join(told)


def report(
    rows: list[Row],
    versions: dict[str, str],
    missing: list[str],
    failures: list[str],
    threads: int,
    command: str,
    checked_steps: int,
) -> str:
    """Both tables, each with how to read it, the circumstances, and what failed."""
    head = ["workload", "minidl", "PyTorch", "ratio", "quartiles", "goal", "compiled", "difference", "rounding",
            "in float64"]  # fmt: skip
    others = [name for name in OTHERS if name in versions]
    shared = [row for row in rows if set(others) & set(row.turns)]
    rounds = max((len(row.turns["minidl"]) for row in rows), default=0)
    left_out = f'Left out, since not installed: {", ".join(missing)} (`pip install "minidl[bench]"`).'
    settings = " and ".join(f"`{name}={value}`" for name, value in KEEPING_MEMORY.items())
    parts = [
        *([left_out] if missing else []),
        table(head, [row.beside_pytorch() for row in rows]),
        f"Ratio: minidl's number divided by PyTorch's of the same round, below 1 is better than PyTorch; the median of "
        f"the ratios of {rounds} alternating rounds (fewer for whole processes and where a round takes long), and "
        "beside it their quartiles, which are far apart where other programs were busy; where the goal lies between "
        "them, and the upper one is more than twice the lower one, nothing is said of it.  **It is not the quotient of "
        "the two medians beside it**: the machine may be busy in one round and quiet in the next, so that only numbers "
        "of the same round can be divided.  "
        "Compiled: the same ratio for the step that `minidl.compile` replays.  "
        f"Difference: between what both compute in the first {checked_steps} steps from the same weights (losses, "
        "gradients or new weights), relative to the largest.  Rounding: the same between PyTorch in float32 and "
        f"PyTorch in float64; where it is above {SAME:.0e}, the workload amplifies rounding, and it is the last column "
        "that shows that both compute the same: the difference between them in float64.",
        "## Beside others",
        "The time of a step, and minidl's divided by it: median (quartiles).  *NumPy by hand* is the same arithmetic "
        "without any framework, and without asking the system for memory anew in every step: what minidl takes beyond "
        "it is its own share (beside the import stands NumPy's own).  "
        "With glibc, minidl tells it to keep freed memory for the next step (minidl/pages.py), and NumPy by hand is "
        "told the same; the other libraries run as they come, and some would gain, too, among them PyTorch's "
        f"convolutions: {settings} in the environment.  "
        "Cells are empty where a library has nothing to offer: autograd no convolutions for networks, autograd and "
        "MyGrad no optimizers, PyTorch not all of them fused; `minidl.compile` runs an optimizer as it is.",
        table(["workload", "minidl", *others], [row.beside_others(others) for row in shared]),
        *held(rows),
        circumstances(versions, threads, command),
        *(["What failed, and is missing above:", "\n".join(f"- {text}" for text in failures)] if failures else []),
    ]
    return "\n\n".join(parts) + "\n"


def held(rows: list[Row]) -> list[str]:
    """What a step is made of, and for each goal that is missed a sentence on what holds it."""
    taken_apart = [row for row in rows if set(PARTS) & set(row.turns)]
    columns = ["minidl", "NumPy by hand", "parts in NumPy", "PyTorch", "parts in PyTorch"]
    if not taken_apart:
        return []
    reasons = [f"- {row.account()}" for row in rows if row.missed()]
    return [
        "## What a step is made of, and what holds it",
        "*Parts* are what no framework can do without, timed alone: for a network the matrix products of minidl's "
        "step, on arrays of the same shapes, strides and dtypes, one after the other; for an optimizer one pass over "
        "all that it changes, in one stretch of memory.",
        table(["workload", *columns], [[row.name, *map(row.median, columns)] for row in taken_apart]),
        *(["The numbers that miss their goal, by the medians of this run:", "\n".join(reasons)] if reasons else []),
    ]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with straight columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def circumstances(versions: dict[str, str], threads: int, command: str) -> str:
    """Where, when and with what the tables were made."""
    libraries = {name: number for name, number in versions.items() if name not in NAMED}
    return (
        f"{cpu_name()}, {os.cpu_count()} cores, threads for each library: {threads}; "
        f"{platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"{', '.join(f'{name} {number}' for name, number in libraries.items())}; {datetime.date.today()}; `{command}`."
    )


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def duration(seconds: float) -> str:
    """Seconds in the unit that a reader would choose.

    >>> duration(0.00123), duration(0.000045), duration(2.5)
    ('1.23 ms', '45 µs', '2.50 s')
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds / 1e-6:.0f} µs"


def megabytes(number: float) -> str:
    return f"{number:.0f} MB"
