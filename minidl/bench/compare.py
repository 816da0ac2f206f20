"""Time minidl beside other libraries: each in a process of its own, taking turns, so that all meet the same machine.

All do the same work: their first steps are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minidl.bench.report import Agreement, Row, duration, megabytes, report
from minidl.bench.worker import MODULES, PARTS
from minidl.bench.workloads import WORKLOADS

WORKER = Path(__file__).with_name("worker.py")
CHECKED_STEPS = 20
WARMING_STEPS = 10
PAUSE = 0.03  # seconds: after its last product, the other process's threads go on spinning for about that long
# What tells glibc to keep freed memory for the next step, since pages that it asks for anew cost more than many a pass.
# By hand one would write into buffers made before; this gives the same without another word in the code.
KEEPING_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 29)}
LARGE_BATCH = {"network": "lenet", "batch_size": 256}

Turns = dict[str, list[Any]]  # what was measured in each round, for each peer


def run(options: argparse.Namespace, command: str) -> int:
    """Measure everything and print the tables (see `add_options`); 1 if not all libraries compute the same."""
    rounds, seconds, starts, programs = (3, 0.02, 2, 1) if options.quick else (15, 0.1, 11, 5)
    workloads = [name for name in WORKLOADS if not options.only or any(words in name for words in options.only)]
    if not workloads:
        raise SystemExit(f"--only {' '.join(options.only)}: no workload is named so; there are {', '.join(WORKLOADS)}")
    environment = surroundings(options.threads)
    own = {"NumPy by hand": KEEPING_MEMORY}
    peers = {
        name: Peer(name, {**environment, **own.get(name, {})}) for name, module in MODULES.items() if find_spec(module)
    }
    whole: list[str] = [name for name in ("minidl", "PyTorch", "NumPy by hand") if name in peers]
    versions = {name: peer.version for name, peer in peers.items() if name not in PARTS}
    programs, starts = (0, 0) if options.only else (programs, starts)
    with tqdm(total=len(workloads) * rounds + starts + 2 * programs, unit=" rounds", leave=False) as bar:
        rows = [time_workload(name, peers, rounds, seconds, bar) for name in workloads]
        for peer in peers.values():
            peer.close()
        if not options.only:
            rows.append(time_imports(whole, environment, starts, bar))
            rows += measure_programs(whole, environment, programs, bar)
    missing = [name for name in MODULES if name not in (*peers, *PARTS)]
    text = report(rows, versions, missing, options.threads, command, CHECKED_STEPS)
    print(text, end="")
    if options.write:
        options.write.write_text(f"# minidl beside others\n\n{text}", encoding="utf-8")
    different = [row.name for row in rows if row.agreement is not None and not row.agreement.holds()]
    if different:
        print(f"not all libraries compute the same: {', '.join(different)}", file=sys.stderr)
    return 1 if different else 0


def surroundings(threads: int) -> dict[str, str]:
    """The environment of a worker: so many threads for all libraries, and the minidl that is running now."""
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    counts = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
    environment = {**os.environ, **counts, "PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an import is timed as it is after the first one, compiled
    return environment


# -- a process of each library -----------------------------------------------------------------------------------


class Peer:
    """A process that has imported one of the libraries and runs workloads when asked to; `program` is worker.py."""

    def __init__(self, name: str, environment: dict[str, str], program: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *(program or [str(WORKER), "serve", name])],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.name, self.greeting = name, self._answer()
        self.version, self.workloads = self.greeting["version"], self.greeting["workloads"]

    def run(self, workload: str, steps: int, anew: bool = False, dtype: str = "float32") -> dict[str, Any]:
        """Go on with `workload`, or begin it `anew`, for so many steps: their seconds, and numbers of the result."""
        print(json.dumps([workload, steps, anew, dtype]), file=self._process.stdin, flush=True)
        return self._answer()

    def first_values(self, workload: str, dtype: str) -> np.ndarray:
        """Numbers of the results of the first steps: (steps, numbers)."""
        return np.array([
            self.run(workload, 1, anew=number == 0, dtype=dtype)["values"] for number in range(CHECKED_STEPS)
        ])

    def enough_steps(self, workload: str, seconds: float) -> int:
        """How many steps take about so long."""
        steps = 1
        while self.run(workload, steps)["seconds"] < seconds / 2:
            steps *= 2
        return steps

    def seconds_per_step(self, workload: str, steps: int) -> float:
        """One turn, with steps before it that wake threads and fill caches.

        Every turn begins anew: a network that has learned its images by heart leaves gradients so small that
        all libraries compute with denormal numbers, three times slower.
        """
        time.sleep(PAUSE)
        self.run(workload, min(steps, WARMING_STEPS), anew=True)
        return self.run(workload, steps)["seconds"] / steps

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit("a benchmark process ended early; its own message stands above")
        return json.loads(line)


def asked(environment: dict[str, str], *arguments: str) -> dict[str, float]:
    """What a worker prints that was started for one task."""
    return json.loads(subprocess.check_output([sys.executable, str(WORKER), *arguments], env=environment))


# -- measuring -----------------------------------------------------------------------------------------------------


def in_turns(names: list[str], rounds: int, measure: Callable[[str], Any], bar: Any) -> Turns:
    """What `measure` gives for each library, round by round; who begins changes every round."""
    found: Turns = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(measure(name))
        bar.update()
    return found


def time_workload(workload: str, peers: dict[str, Peer], rounds: int, seconds: float, bar: Any) -> Row:
    """Check that all compute the same, find out how many steps make a turn, and time the rounds."""
    bar.set_description(workload)
    able = {name: peer for name, peer in peers.items() if workload in peer.workloads}
    agreement = compare_results(workload, {name: peer for name, peer in able.items() if name not in PARTS})
    steps = {name: peer.enough_steps(workload, seconds) for name, peer in able.items()}
    turns = in_turns(list(able), rounds, lambda name: able[name].seconds_per_step(workload, steps[name]), bar)
    return Row(workload, turns, duration, agreement)


def compare_results(workload: str, peers: dict[str, Peer]) -> Agreement:
    """How far the first steps of the libraries are apart, from the same weights; in float64, minidl's and PyTorch's."""
    values = {name: peer.first_values(workload, "float32") for name, peer in peers.items()}
    exact = {name: peers[name].first_values(workload, "float64") for name in ("minidl", "PyTorch") if name in peers}
    if "PyTorch" not in peers:
        return Agreement({name: apart(found, values["minidl"]) for name, found in values.items()})
    theirs, theirs_exact = values["PyTorch"], exact["PyTorch"]
    return Agreement(
        {name: apart(found, theirs) for name, found in values.items()},
        apart(theirs, theirs_exact), apart(exact["minidl"], theirs_exact),
    )  # fmt: skip


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference between two results in any step, relative to the largest number of that step."""
    return float((np.abs(one - other).max(1) / np.abs(other).max(1)).max())


def time_imports(names: list[str], environment: dict[str, str], rounds: int, bar: Any) -> Row:
    """The seconds that the import takes in a fresh process, and that of NumPy by itself."""

    def measure(name: str) -> float:
        program = f"import time; start = time.time(); import {MODULES[name]}; print(time.time() - start)"
        return float(subprocess.check_output([sys.executable, "-c", program], env=environment))

    bar.set_description("import")
    return Row("import", in_turns(names, rounds, measure, bar), duration)


def measure_programs(names: list[str], environment: dict[str, str], rounds: int, bar: Any) -> list[Row]:
    """Seconds and peak memory of a whole program that trains the MLP for one epoch; the memory that LeNet-5 needs."""

    def epoch(name: str) -> dict[str, float]:
        started = time.perf_counter()
        answer = asked(environment, "epoch", name)
        return {"seconds": time.perf_counter() - started, **answer}

    bar.set_description("one epoch")
    epochs = in_turns(names, rounds, epoch, bar)
    bar.set_description("memory of LeNet-5")
    costs = in_turns(names, rounds, lambda name: asked(environment, "cost", name, json.dumps(LARGE_BATCH)), bar)

    def row(title: str, turns: Turns, key: str, text: Callable[[float], str]) -> Row:
        return Row(title, {name: [answer[key] for answer in turns[name]] for name in names}, text)

    return [
        row("whole process: MLP, one epoch", epochs, "seconds", duration),
        row("peak memory of that process", epochs, "megabytes", megabytes),
        row("LeNet-5, batch 256: peak memory", costs, "megabytes", megabytes),
        row("LeNet-5, batch 256: memory added by the steps", costs, "added", megabytes),
    ]
