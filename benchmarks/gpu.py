"""Check and time minidl on a GPU beside PyTorch, in one call: benchmarks, checks, tests, and tables of all of it.

    python benchmarks/gpu.py            some minutes; writes benchmarks/gpu_results.md
    python benchmarks/gpu.py --quick    a minute, to see that it works; writes nothing
    python benchmarks/gpu.py --quick --device cpu    that this script works, where there is no GPU; judges nothing

Both libraries stay in processes of their own (gpu_worker.py) and take turns.  What fails is named in the report, and
the rest goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import platform
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("gpu_worker.py")
sys.path[:0] = [str(ROOT), str(WORKER.parent)]

from gpu_worker import SMALL  # noqa: E402

from minidl.bench.compare import Peer, apart, in_turns, surroundings  # noqa: E402
from minidl.bench.report import Row, duration, table  # noqa: E402

MODULES = {"minidl": "minidl", "PyTorch": "torch"}
NETWORKS = {  # the largest ratios to PyTorch's eager step that minidl allows itself: eager, replayed
    "MLP 784-128-10, batch 64": (1.2, 0.35), "MLP 784-128-10, batch 128": (1.2, 0.35), "LeNet-5, batch 128": (1.3, 0.4),
}  # fmt: skip
OPTIMIZERS = {f"{kind}, 1,000,000 weights": 1.0 for kind in ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam")}
PRODUCTS = {"matrix product 4096": 1.05, "matrix product 8192": 1.05,
            "convolution 64 to 64, 3x3 on 32x32, batch 128": None}  # fmt: skip
BATCHES = dict.fromkeys(["batch of 128 digits, kept on the GPU", "batch of 128 digits, copied ahead"])
KERNELS = 20  # of a step of the MLP, at most
ACCURACY = 98.7  # of LeNet-5 after five epochs, per cent
ALL, PART = 500, 90  # seconds for everything, and for each part of it
SHARDS = 8  # processes that run the tests: most of the time goes into the compilation of kernels
PRECISIONS = ("float32", "TF32")


class GpuPeer(Peer):
    """A library's process; what goes wrong there is a RuntimeError here."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        program = [str(WORKER), name, options.device, *["--quick"] * options.quick]
        super().__init__(name, surroundings(threads=1), program)

    def run(self, workload: str, steps: int, anew: bool = False, dtype: str = "float32") -> dict[str, Any]:
        answer = super().run(workload, steps, anew, dtype)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def seconds_per_step(self, workload: str, steps: int) -> float:
        return self.run(workload, steps)["seconds"] / steps

    def kill(self) -> None:
        self._process.kill()


class Bench:
    """The peers, how long the rounds are, and what has gone wrong."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.ends = options, time.monotonic() + ALL
        self.on_gpu = options.device != "cpu"
        self.rounds, self.seconds = (3, 0.002) if options.quick else (9, 0.15)
        self.failures: list[str] = []
        self.names = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
        self.peers: dict[str, GpuPeer] = {}

    @contextlib.contextmanager
    def part(self, title: str, seconds: float = PART) -> Iterator[None]:
        """A part that may fail, or be stopped because it takes too long; the next one gets new processes then."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            for peer in self.peers.values():
                peer.kill()

        title = self.sized(title)
        print(f"{ALL - self.left():4.0f} s  {title}", flush=True)
        timer = threading.Timer(max(1.0, min(seconds, self.left())), stop)
        timer.start()
        try:
            self.start()
            yield
        except Exception as error:
            why = f"stopped after {seconds:.0f} s" if late.is_set() else f"{type(error).__name__}: {error}"
            self.failures.append(f"{title}: {why}")
            if late.is_set() or isinstance(error, OSError):
                for peer in self.peers.values():
                    peer.kill()
                    peer.close()
                self.peers.clear()
        finally:
            timer.cancel()

    def start(self) -> None:
        """Let every library have its process; one that cannot begin is left out from then on."""
        for name in [name for name in self.names if name not in self.peers]:
            try:
                self.peers[name] = GpuPeer(name, self.options)
            except ConnectionError:
                self.failures.append(f"{name} cannot be started on {self.options.device}; its message is on the screen")
                self.names.remove(name)

    def left(self) -> float:
        return self.ends - time.monotonic()

    def sized(self, name: str) -> str:
        """The name of a workload with its true sizes, which are smaller in a quick run."""
        if not self.options.quick:
            return name
        sizes = r"(?<=batch )\d+|(?<=product )\d+|[\d,]+(?= weights)"
        return re.sub(sizes, lambda found: f"{int(found[0].replace(',', '')) // SMALL:,}", name)

    def turns(self, workload: str, ways: dict[str, tuple[str, str]]) -> dict[str, list[float]]:
        """Seconds a step in each round, by column; `ways` names the column's library and its kind of step."""
        steps: dict[str, int] = {}
        for column, (name, how) in ways.items():
            if name not in self.peers:
                continue
            try:
                key = how.replace("*", workload)
                if key.partition(" ")[2] in self.peers[name].workloads:
                    self.peers[name].run(key, 3)
                    steps[column] = self.peers[name].enough_steps(key, self.seconds)
            except RuntimeError as error:
                self.failures.append(f"{self.sized(workload)}, {column}: {error}")

        def measure(column: str) -> float:
            name, how = ways[column]
            return self.peers[name].seconds_per_step(how.replace("*", workload), steps[column])

        return in_turns(list(steps), self.rounds, measure, _NoBar)


class _NoBar:
    update = staticmethod(lambda: None)


# -- tables ------------------------------------------------------------------------------------------------------------


def beside(turns: dict[str, list[float]], ours: str, theirs: str, goal: float | None = None) -> list[str]:
    """The ratio of two columns, its quartiles, and what it should be."""
    if ours not in turns or theirs not in turns:
        return ["", "", "" if goal is None else f"≤ {goal:.2f}"]
    middle, quartiles = Row("", {"minidl": turns[ours], "other": turns[theirs]}, duration).ratio("other")
    judged = "" if goal is None else f"≤ {goal:.2f}, {'met' if middle <= goal else 'missed'}"
    return [f"{middle:.2f}", quartiles, judged]


def medians(name: str, turns: dict[str, list[float]], columns: list[str]) -> list[str]:
    row = Row(name, turns, lambda seconds: f"{1e3 * seconds:.3f} ms" if seconds < 1 else duration(seconds))
    return [name, *[row.median(column) for column in columns]]


def filled(head: list[str], rows: list[list[str]]) -> str:
    """A table without the columns in which nothing stands, such as goals on a CPU."""
    kept = [i for i, cells in enumerate(zip(*rows, strict=True)) if any(cells)]
    return table([head[i] for i in kept], [[row[i] for i in kept] for row in rows]) if rows else "Nothing was measured."


def networks(bench: Bench, precision: str) -> str:
    """Training steps: eager, replayed, and PyTorch's own graph."""
    columns = ["minidl", "minidl replayed", "PyTorch", "PyTorch graph"]
    ways = {column: (column.split()[0], f"{precision} {'replayed' if ' ' in column else 'eager'}: *")
            for column in columns}  # fmt: skip
    rows = []
    for workload, goals in NETWORKS.items():
        eager_goal, replayed_goal = goals if bench.on_gpu else (None, None)
        with bench.part(f"{workload}, {precision}"):
            turns = bench.turns(workload, ways)
            rows.append([
                *medians(bench.sized(workload), turns, columns), *beside(turns, "minidl", "PyTorch", eager_goal),
                *beside(turns, "minidl replayed", "PyTorch", replayed_goal),
                *beside(turns, "minidl replayed", "PyTorch graph")[:2],
            ])  # fmt: skip
    head = ["training step", *columns, "eager / PyTorch", "quartiles", "goal", "replayed / PyTorch", "quartiles",
            "goal", "replayed / graph", "quartiles"]  # fmt: skip
    return filled(head, rows)


def others(bench: Bench, precision: str, goals: dict[str, Any]) -> str:
    """Single kinds of work, eager; where PyTorch has a fused optimizer, beside that as well."""
    ways = {"minidl": ("minidl", f"{precision} eager: *"), "PyTorch": ("PyTorch", f"{precision} eager: *"),
            "PyTorch fused": ("PyTorch", f"{precision} fused: *")}  # fmt: skip
    rows = []
    for workload, goal in goals.items():
        with bench.part(f"{workload}, {precision}"):
            turns = bench.turns(workload, ways)
            judged = beside(turns, "minidl", "PyTorch", goal if bench.on_gpu else None)
            rows.append([*medians(bench.sized(workload), turns, list(ways)), *judged])
    return filled([f"work, {precision}", *ways, "ratio", "quartiles", "goal"], rows)


def host(bench: Bench) -> str:
    """How long the host is busy with an op."""
    rows: list[list[str]] = []
    with bench.part("what an op costs the host"):
        calls = [name for name in bench.peers["minidl"].workloads if name.startswith("host: ")]
        for call in calls:
            turns = bench.turns(call, {name: (name, "float32 *") for name in MODULES})
            row = Row(call, turns, lambda seconds: f"{1e6 * seconds:.1f} µs")
            rows.append([call.removeprefix("host: "), *[row.median(name) for name in MODULES],
                         *beside(turns, "minidl", "PyTorch")[:2]])  # fmt: skip
    return filled(["op on 64 x 128 numbers", *MODULES, "ratio", "quartiles"], rows)


# -- checks ------------------------------------------------------------------------------------------------------------


def agreement(bench: Bench) -> str:
    """How far the losses of the first 20 steps are apart, from the same weights and on the same digits."""
    import numpy as np

    lines = []
    for workload in NETWORKS:
        with bench.part(f"{workload}: losses"):
            losses = {
                name: np.array([peer.run(f"float32 eager: {workload}", 1, anew=number == 0)["values"]
                                for number in range(20)]) for name, peer in bench.peers.items()
            }  # fmt: skip
            if len(losses) == 2:
                lines.append(f"{bench.sized(workload)}: {apart(losses['minidl'], losses['PyTorch']):.0e}")
    return f"Losses of the first 20 steps, largest relative difference to PyTorch's: {'; '.join(lines)}."


def replay_is_eager(bench: Bench) -> str:
    found = "not found out"
    with bench.part("replay and eager, bit for bit"):
        found = bench.peers["minidl"].run("float32 check: ", 1)["values"]
    return f"Replayed and eager, with dropout, batch norm, a schedule and clipping: {found}."


def kernels(bench: Bench) -> str:
    rows = []
    for workload in NETWORKS:
        with bench.part(f"{workload}: kernels"):
            counts = [str(bench.peers[name].run(f"float32 kernels: {workload}", 1)["values"]) for name in bench.names]
            rows.append([bench.sized(workload), *counts, f"≤ {KERNELS}" if workload.startswith("MLP") else ""])
    return filled(["kernels an eager step", *bench.names, "goal"], rows)


def trained(bench: Bench) -> str:
    """What `minidl train mnist --model lenet` ends with, and the time of an epoch."""
    quick = bench.options.quick
    judged = bench.on_gpu and not quick
    command = [sys.executable, "-m", "minidl", "train", "mnist", "--device", bench.options.device,
               "--model", "mlp" if quick else "lenet", "--epochs", "1" if quick else "5"]  # fmt: skip
    text = ""
    with bench.part(" ".join(command[1:])):
        text = subprocess.check_output(command, cwd=ROOT, text=True, timeout=PART)
    last = (text.strip().splitlines() or ["failed"])[-1]
    times = [f"{60_000 / float(rate.replace(',', '')):.2f} s" for rate in re.findall(r"([\d,]+) images/s", text)]
    reached = re.search(r"test accuracy ([\d.]+)", last)
    met = f" (goal: ≥ {ACCURACY} %, {'met' if reached and float(reached[1]) >= ACCURACY else 'missed'})"
    return f"`minidl {' '.join(command[3:])}`: {last}{met if judged else ''}; training epochs: {', '.join(times)}."


def tested(bench: Bench) -> str:
    """The last lines of `pytest -m gpu`, which several processes share."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-o", "addopts=", "-p", "no:cacheprovider", "--noconftest"]
    command += ["-q", "-W", "default", "--continue-on-collection-errors"]  # some need what is not installed
    pipes: dict[str, Any] = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    lines = []
    with bench.part("pytest -m gpu", bench.left()):
        listed = subprocess.run([*command, "--collect-only", "tests/gpu"], timeout=PART, **pipes).stdout
        names = [line for line in listed.splitlines() if "::" in line and not line.startswith("ERROR")]
        lines += [line for line in listed.splitlines() if line.startswith("ERROR")]
        if not names:
            raise RuntimeError(f"no tests were found: {listed.strip().splitlines()[-1]}")
        shards = [subprocess.Popen([*command, "-rfE", *names[i::SHARDS]], **pipes) for i in range(SHARDS) if names[i:]]
        for number, shard in enumerate(shards):
            try:
                text = shard.communicate(timeout=max(1.0, bench.left()))[0]
            except subprocess.TimeoutExpired:
                shard.kill()
                text = f"{shard.communicate()[0]}\nERROR: out of time"
            lines += [line[:300] for line in text.splitlines() if re.match("FAILED|ERROR", line)]
            lines.append(f"process {number + 1} of {len(shards)}: {text.strip().splitlines()[-1].strip('= ')}")
    return "\n".join(["Tests on the device (`pytest -m gpu`):", "", *[f"- {line}" for line in lines]])


# -- all together ------------------------------------------------------------------------------------------------------


def versions(bench: Bench, command: str) -> str:
    found = [f"{name} {peer.version}" for name, peer in bench.peers.items()]
    found.append(f"Python {platform.python_version()}")
    for package in ("numpy", "cupy-cuda12x", "cupy-cuda13x", "cupy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    device = next((peer.greeting["device"] for peer in bench.peers.values()), "no library can be imported")
    return f"{device}; {', '.join(found)}; {date.today()}. Made by `{command}`."


def report(options: argparse.Namespace, command: str) -> str:
    """Everything in Markdown; what matters most is done first."""
    bench = Bench(options)
    with bench.part("starting both libraries"):
        pass
    title = "minidl on a GPU" if bench.on_gpu else "minidl and PyTorch on a CPU, to try the script"
    parts = [f"# {title}", versions(bench, command)]
    reading = (
        f"Times are medians of {bench.rounds} rounds in which the libraries take turns, ratios those of the same "
        "rounds, with their quartiles; below 1 minidl is faster."
    )
    if bench.on_gpu:
        reading += "  Both use TF32, or neither."
    works = OPTIMIZERS | PRODUCTS | (BATCHES if bench.on_gpu else {})
    sections: dict[str, list[Callable[[], str]]] = {
        "Training steps, float32": [lambda: networks(bench, "float32"), lambda: agreement(bench)],
        "Checks": [lambda: replay_is_eager(bench), lambda: trained(bench)],
        "Single kinds of work": [lambda: others(bench, "float32", works)],
    }
    if bench.on_gpu:
        sections["Single kinds of work"].append(lambda: others(bench, "TF32", PRODUCTS))
        sections["Training steps, TF32"] = [lambda: networks(bench, "TF32")]
    sections["The host"] = [lambda: host(bench)]
    if bench.on_gpu:
        sections["Kernels"] = [lambda: kernels(bench)]
    if bench.on_gpu and not options.quick:
        sections["Tests"] = [lambda: tested(bench)]
    for title, makers in sections.items():
        parts += [f"## {title}", *[make() for make in makers]]
    for peer in bench.peers.values():
        peer.close()
    failed = [f"- {failure}" for failure in bench.failures] or ["Nothing."]
    return "\n\n".join([*parts[:2], reading, "## What failed", "\n".join(failed), *parts[2:]]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Check and time minidl on a GPU beside PyTorch.")
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it works, writes nothing")
    parser.add_argument("--device", default="cuda", help="where to compute (default: cuda)")
    options = parser.parse_args()
    if options.device != "cpu":  # found out in another process, so that this one takes no memory of the GPU
        ask = f"from minidl.backend import as_device; as_device({options.device!r})"
        found = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        if found.returncode:
            parser.error(found.stderr.strip().splitlines()[-1])
    text = report(options, shlex.join(["python", "benchmarks/gpu.py", *sys.argv[1:]]))
    print(text)
    if not options.quick and options.device != "cpu":
        (ROOT / "benchmarks" / "gpu_results.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
