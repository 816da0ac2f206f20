"""Time minidl beside other libraries: each in a process of its own, taking turns, so that all meet the same machine.

All do the same work: their first steps are compared before anything is timed.  One that fails or hangs is left out of
that row, and begins the next one anew.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minidl.bench.report import Agreement, Row, duration, megabytes, report
from minidl.bench.worker import KEEPING_MEMORY, MODULES, PARTS
from minidl.bench.workloads import COST, EPOCH, IMPORT, NAMES, WORKLOADS

WORKER = Path(__file__).with_name("worker.py")
CHECKED_STEPS = 20
FIRST_STEPS, WARMING_STEPS = 3, 10  # minidl.compile records two steps, and replays from the third
PATIENCE = 120.0  # seconds for an answer
ENOUGH, FEWEST = 30.0, 5  # no more rounds after so many seconds, but never fewer than these
PAUSE = 0.03  # seconds: after its last product, the other process's threads go on spinning for about that long
LARGE_BATCH = {"network": "lenet", "batch_size": 256}

FAILED = (ConnectionError, subprocess.SubprocessError)  # what another process may do to us

Turns = dict[str, list[Any]]  # what was measured in each round, for each peer


def run(options: argparse.Namespace, command: str) -> int:
    """Measure everything and print the tables (see `add_options`); 1 if a library failed or computes something else."""
    rounds, seconds, starts, programs = (3, 0.02, 2, 1) if options.quick else (15, 0.1, 11, 5)
    chosen = [name for name in NAMES if not options.only or any(words in name.lower() for words in options.only)]
    environment, failures = surroundings(options.threads), list[str]()
    found = [name for name, module in MODULES.items() if find_spec(module)]
    whole: list[str] = [name for name in ("minidl", "PyTorch", "NumPy by hand") if name in found]
    workloads = [name for name in WORKLOADS if name in chosen]
    starts *= IMPORT in chosen
    epochs, costs = (programs if set(names) & set(chosen) else 0 for names in (EPOCH, COST))
    peers = begin(found, environment, failures)
    versions = {name: peer.version for name, peer in peers.items() if name not in PARTS}
    with tqdm(total=len(workloads) * rounds + starts + epochs + costs, unit=" rounds", leave=False) as bar:
        rows = [time_workload(name, peers, rounds, seconds, bar, failures) for name in workloads]
        for peer in peers.values():
            peer.close()
        rows.append(time_imports(whole, environment, starts, bar, failures))
        rows += measure_epochs(whole, environment, epochs, bar, failures)
        rows += measure_costs(whole, environment, costs, bar, failures)
    rows = [row for row in rows if row.name in chosen and row.turns.get("minidl")]
    missing = [name for name in MODULES if name not in (*found, *PARTS)]
    text = report(rows, versions, missing, failures, options.threads, command, CHECKED_STEPS)
    print(text, end="")
    if options.write:
        options.write.write_text(f"# minidl beside others\n\n{text}", encoding="utf-8")
    different = [row.name for row in rows if row.agreement is not None and not row.agreement.holds()]
    if different:
        print(f"not all libraries compute the same: {', '.join(different)}", file=sys.stderr)
    return 1 if different or failures else 0


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
        self.name, self._environment = name, environment
        self._command = [sys.executable, *(program or [str(WORKER), "serve", name])]
        self.start()
        self.version, self.workloads = self.greeting["version"], self.greeting["workloads"]

    def start(self) -> None:
        """Begin the process; ConnectionError, if it ends early."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.greeting = self._answer()

    def revive(self) -> None:
        """Begin it anew, if it has ended."""
        if self._process.poll() is not None:
            self.start()

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
        """How many steps take about so long, once the first one has been taken and no other library's threads spin."""
        time.sleep(PAUSE)
        self.run(workload, steps := 1)
        while self.run(workload, steps)["seconds"] < seconds / 2:
            steps *= 2
        return steps

    def seconds_per_step(self, workload: str, steps: int) -> float:
        """One turn, with steps before it that wake threads and fill caches.

        Every turn begins anew: a network that has learned its images by heart leaves gradients so small that
        all libraries compute with denormal numbers, three times slower.
        """
        time.sleep(PAUSE)
        self.run(workload, min(max(steps, FIRST_STEPS), WARMING_STEPS), anew=True)
        return self.run(workload, steps)["seconds"] / steps

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        timer = threading.Timer(PATIENCE, self._process.kill)
        timer.start()
        line = self._process.stdout.readline() if self._process.stdout else ""
        timer.cancel()
        if not line:
            self._process.kill()
            self.close()
            raise ConnectionError(
                f"its process ended early (its own message is on the screen), or gave no answer for {PATIENCE:.0f} s"
            )
        return json.loads(line)


def begin(names: list[str], environment: dict[str, str], failures: list[str]) -> dict[str, Peer]:
    """A process for each library that can begin."""
    own, peers = {"NumPy by hand": KEEPING_MEMORY}, dict[str, Peer]()
    for name in names:
        with noted(name, failures):
            peers[name] = Peer(name, {**environment, **own.get(name, {})})
    return peers


@contextlib.contextmanager
def noted(what: str, failures: list[str]) -> Iterator[None]:
    """What goes wrong with a library's process is written down, and the others go on."""
    try:
        yield
    except FAILED as error:
        failures.append(f"{what}: {error}")


def asked(environment: dict[str, str], *arguments: str) -> dict[str, float]:
    """What a worker prints that was started for one task."""
    command = [sys.executable, str(WORKER), *arguments]
    return json.loads(subprocess.check_output(command, env=environment, timeout=PATIENCE))


# -- measuring -----------------------------------------------------------------------------------------------------


def in_turns(
    names: list[str], rounds: int, measure: Callable[[str], Any], bar: Any, failures: list[str] | None = None
) -> Turns:
    """What `measure` gives for each library, round by round; who begins changes every round.

    One that fails is noted in `failures` and left out; without `failures` its error goes on.
    """
    found: Turns = {name: [] for name in names}
    ends = time.monotonic() + ENOUGH
    for number in range(rounds):
        for name in list(found) if number % 2 == 0 else list(reversed(found)):
            try:
                found[name].append(measure(name))
            except FAILED as error:
                if failures is None:
                    raise
                failures.append(f"{name}: {error}")
                del found[name]
        bar.update()
        if number + 1 >= FEWEST and time.monotonic() > ends:
            break
    return found


def time_workload(
    workload: str, peers: dict[str, Peer], rounds: int, seconds: float, bar: Any, failures: list[str]
) -> Row:
    """Check that all compute the same, find out how many steps make a turn, and time the rounds."""
    bar.set_description(workload)
    values, exact, steps, failed = dict[str, np.ndarray](), dict[str, np.ndarray](), dict[str, int](), list[str]()
    for name, peer in peers.items():
        if workload not in peer.workloads:
            continue
        with noted(name, failed):
            peer.revive()
            if name in ("minidl", "PyTorch"):
                exact[name] = peer.first_values(workload, "float64")
            if name not in PARTS:
                values[name] = peer.first_values(workload, "float32")
            steps[name] = peer.enough_steps(workload, seconds)
    turns = in_turns(list(steps), rounds, lambda name: peers[name].seconds_per_step(workload, steps[name]), bar, failed)
    failures += [f"{workload}, {failure}" for failure in failed]
    return Row(workload, turns, duration, compared(values, exact) if "minidl" in values else None)


def compared(values: dict[str, np.ndarray], exact: dict[str, np.ndarray]) -> Agreement:
    """How far the first steps of the libraries are apart, from the same weights; in float64, minidl's and PyTorch's."""
    replayed = np.array_equal(values.get("minidl.compile", values["minidl"]), values["minidl"])
    if "PyTorch" not in values:
        return Agreement({name: apart(found, values["minidl"]) for name, found in values.items()}, replayed=replayed)
    theirs, theirs_exact = values["PyTorch"], exact["PyTorch"]
    return Agreement(
        {name: apart(found, theirs) for name, found in values.items()},
        apart(theirs, theirs_exact), apart(exact["minidl"], theirs_exact), replayed,
    )  # fmt: skip


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference between two results in any step, relative to the largest number of that step."""
    return float((np.abs(one - other).max(1) / np.abs(other).max(1)).max())


def time_imports(names: list[str], environment: dict[str, str], rounds: int, bar: Any, failures: list[str]) -> Row:
    """The seconds that the import takes in a fresh process, and that of NumPy by itself."""

    def measure(name: str) -> float:
        program = f"import time; start = time.time(); import {MODULES[name]}; print(time.time() - start)"
        return float(subprocess.check_output([sys.executable, "-c", program], env=environment, timeout=PATIENCE))

    bar.set_description(IMPORT)
    return Row(IMPORT, in_turns(names, rounds, measure, bar, failures), duration)


def measure_epochs(
    names: list[str], environment: dict[str, str], rounds: int, bar: Any, failures: list[str]
) -> list[Row]:
    """Seconds and peak memory of a whole program that trains the MLP for one epoch."""

    def epoch(name: str) -> dict[str, float]:
        started = time.perf_counter()
        answer = asked(environment, "epoch", name)
        return {"seconds": time.perf_counter() - started, **answer}

    bar.set_description("one epoch")
    turns = in_turns(names, rounds, epoch, bar, failures)
    return [part_of(turns, "seconds", EPOCH[0], duration), part_of(turns, "megabytes", EPOCH[1], megabytes)]


def measure_costs(
    names: list[str], environment: dict[str, str], rounds: int, bar: Any, failures: list[str]
) -> list[Row]:
    """The memory that LeNet-5 needs, in all and for its steps."""
    bar.set_description("memory of LeNet-5")
    plan = json.dumps(LARGE_BATCH)
    turns = in_turns(names, rounds, lambda name: asked(environment, "cost", name, plan), bar, failures)
    return [part_of(turns, key, name, megabytes) for key, name in zip(("megabytes", "added"), COST, strict=True)]


def part_of(turns: Turns, key: str, name: str, text: Callable[[float], str]) -> Row:
    return Row(name, {library: [answer[key] for answer in answers] for library, answers in turns.items()}, text)
