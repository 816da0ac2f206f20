"""Time minidl beside PyTorch: each in a process of its own, taking turns, so that both meet the same machine.

    python benchmarks/compare.py            less than four minutes
    python benchmarks/compare.py --quick    half a minute, to see that it works
    python benchmarks/compare.py --write    also writes the table to benchmarks/results.md, or to the file named

This file imports neither library: what a child process reports as its peak memory begins with its parent's.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[1]
WORKER = ROOT / "benchmarks" / "workloads.py"
LIBRARIES = ("minidl", "torch")
TORCH_MISSING = "benchmarks/compare.py measures beside PyTorch, which is not installed: pip install torch==2.13.0"

GOALS = {  # the largest ratio to PyTorch that minidl allows itself
    "8 small ops, forward and backward": 0.65,
    "MLP, batch 64, Adam": 0.75,
    "LeNet-5, batch 64, Adam": 1.2,
    "peak memory of that process": 0.5,
}
IMPORT_GOAL = 0.15  # seconds
CHECKED_STEPS = 20
WARMING_STEPS = 10
SAME = 1e-5  # the largest relative difference in those steps that float32 rounding explains
PAUSE = 0.03  # seconds: after its last product, the other process's threads go on spinning for about that long


# -- measuring -------------------------------------------------------------------------------------------------


class Peer:
    """A process that has imported one of the libraries and runs workloads when asked to."""

    def __init__(self, library: str, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), "serve", library],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.library, self.version = library, self._answer()["version"]

    def run(self, workload: str, steps: int, anew: bool = False) -> dict[str, Any]:
        """Go on with `workload`, or begin it `anew`, for so many steps: their seconds, and numbers of the result."""
        print(json.dumps([workload, steps, anew]), file=self._process.stdin, flush=True)
        return self._answer()

    def seconds_per_step(self, workload: str, steps: int) -> float:
        """One round, with steps before it that wake threads and fill caches.

        Every round begins anew: a network that has learned its images by heart leaves gradients so small that
        both libraries compute with denormal numbers, three times slower.
        """
        time.sleep(PAUSE)
        self.run(workload, WARMING_STEPS, anew=True)
        return self.run(workload, steps)["seconds"] / steps

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit("a benchmark process ended early; its own message stands above")
        return json.loads(line)


@dataclass
class Row:
    """One line of the table: what was measured, a number per round for each library."""

    name: str
    minidl: list[float]
    torch: list[float]
    text: Callable[[float], str]  # how such a number is printed
    difference: float | None = None

    def cells(self) -> list[str]:
        low, ratio, high = np.quantile(np.divide(self.minidl, self.torch), [0.25, 0.5, 0.75])
        ours, theirs = np.median(self.minidl), np.median(self.torch)
        goal = ""
        if self.name in GOALS:
            goal = f"≤ {GOALS[self.name]}, {'met' if ratio <= GOALS[self.name] else 'missed'}"
        elif self.name == "import":
            goal = f"≤ {IMPORT_GOAL} s, {'met' if ours <= IMPORT_GOAL else 'missed'}"
        same = "" if self.difference is None else f"{self.difference:.0e}"
        return [self.name, self.text(ours), self.text(theirs), f"{ratio:.2f}", f"{low:.2f}–{high:.2f}", goal, same]


def in_turns(rounds: int, measure: Callable[[str], Any], bar: Any) -> tuple[list[Any], list[Any]]:
    """What `measure` gives for each library, round by round; who begins changes every round."""
    found: dict[str, list[Any]] = {library: [] for library in LIBRARIES}
    for number in range(rounds):
        for library in LIBRARIES if number % 2 == 0 else reversed(LIBRARIES):
            found[library].append(measure(library))
        bar.update()
    return found["minidl"], found["torch"]


def time_workload(name: str, peers: dict[str, Peer], rounds: int, seconds: float, bar: Any) -> Row:
    """Check that both compute the same, find out how many steps make a round, and time the rounds."""
    bar.set_description(name)
    difference = 0.0
    for _ in range(CHECKED_STEPS):
        one, other = (np.array(peer.run(name, 1)["values"]) for peer in peers.values())
        difference = max(difference, np.abs(one - other).max() / np.abs(other).max())
    steps = 1
    while max(peer.run(name, steps)["seconds"] for peer in peers.values()) < seconds / 2:
        steps *= 2
    ours, theirs = in_turns(rounds, lambda library: peers[library].seconds_per_step(name, steps), bar)
    return Row(name, ours, theirs, duration, difference)


def time_imports(environment: dict[str, str], rounds: int, bar: Any) -> Row:
    """The seconds that the import takes in a fresh process."""

    def measure(library: str) -> float:
        program = f"import time; start = time.perf_counter(); import {library}; print(time.perf_counter() - start)"
        return float(subprocess.check_output([sys.executable, "-c", program], env=environment))

    bar.set_description("import")
    ours, theirs = in_turns(rounds, measure, bar)
    return Row("import", ours, theirs, duration)


def measure_epochs(environment: dict[str, str], rounds: int, bar: Any) -> list[Row]:
    """Seconds and peak memory of a whole program that trains the MLP for one epoch."""

    def measure(library: str) -> tuple[float, float]:
        started = time.perf_counter()
        answer = subprocess.check_output([sys.executable, str(WORKER), "epoch", library], env=environment)
        return time.perf_counter() - started, json.loads(answer)["megabytes"]

    bar.set_description("one epoch")
    (our_seconds, our_memory), (their_seconds, their_memory) = (
        zip(*found, strict=True) for found in in_turns(rounds, measure, bar)
    )
    return [
        Row("whole process: MLP, one epoch", list(our_seconds), list(their_seconds), duration),
        Row("peak memory of that process", list(our_memory), list(their_memory), "{:.0f} MB".format),
    ]


# -- reporting -------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Seconds in the unit that a reader would choose."""
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds / 1e-6:.0f} µs"


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table with straight columns."""
    head = ["workload", "minidl", "PyTorch", "ratio", "quartiles", "goal", "difference"]
    lines = [head, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def circumstances(peers: dict[str, Peer], options: argparse.Namespace) -> str:
    """Where, when and with what the table was made, and how to read it."""
    versions = {peer.library: peer.version for peer in peers.values()}
    return (
        f"{cpu_name()}, {os.cpu_count()} cores, threads for each library: {options.threads}; "
        f"{platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"minidl {versions['minidl']}, PyTorch {versions['torch']}; {datetime.date.today()}; "
        f"`{' '.join(['python benchmarks/compare.py', *sys.argv[1:]])}`.\n\n"
        "Ratio: minidl's number divided by PyTorch's, below 1 is better than PyTorch; the median of "
        "alternating rounds, and beside it the quartiles, which are far apart where other programs were busy.  "
        "Difference: between what both compute in the first "
        f"{CHECKED_STEPS} steps from the same weights (losses, gradients or new weights), relative to the largest."
    )


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description="Time minidl beside PyTorch and print the ratios.")
    parser.add_argument("--quick", action="store_true", help="few and short rounds: half a minute")
    parser.add_argument(
        "--write", type=Path, nargs="?", const=ROOT / "benchmarks" / "results.md", metavar="FILE",
        help="write the table to a file (default: benchmarks/results.md)",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="for each library (default: 2)")
    options = parser.parse_args()
    if find_spec("torch") is None:
        parser.exit(1, TORCH_MISSING + "\n")
    threads = {f"{name}_NUM_THREADS": str(options.threads) for name in ("OMP", "OPENBLAS", "MKL")}
    environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT)}  # the minidl that is timed is this one
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an import is timed as it is after the first one, compiled
    rounds, seconds, imports, epochs = (5, 0.02, 2, 1) if options.quick else (31, 0.1, 11, 5)

    peers = {library: Peer(library, environment) for library in LIBRARIES}
    with tqdm(total=len(WORKLOADS) * rounds + imports + epochs, unit=" rounds", leave=False) as bar:
        rows = [time_workload(name, peers, rounds, seconds, bar) for name in WORKLOADS]
        for peer in peers.values():
            peer.close()
        rows += [time_imports(environment, imports, bar), *measure_epochs(environment, epochs, bar)]

    report = f"{table(rows)}\n\n{circumstances(peers, options)}\n"
    print(report, end="")
    if options.write:
        options.write.write_text(f"# minidl beside PyTorch\n\n{report}", encoding="utf-8")
    different = [row.name for row in rows if row.difference is not None and not row.difference <= SAME]
    if different:
        print(f"minidl and PyTorch do not compute the same: {', '.join(different)}", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
