"""How the cost of minidl grows: with the batch, the width and the depth of a network, its weights, and the graph.

    python benchmarks/growth.py             about a minute
    python benchmarks/growth.py --quick     few points, to see that it works
    python benchmarks/growth.py --write     also writes benchmarks/growth.md and growth.png (with matplotlib)

PyTorch stands beside minidl if it is installed.  Every point of the first table is a process of its own.
OMP_NUM_THREADS says how many threads each library may use, 2 if it is not set.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "2"))  # read when NumPy is imported

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

import minidl  # noqa: E402
from minidl.bench.compare import asked, surroundings  # noqa: E402
from minidl.bench.report import circumstances, duration, megabytes, table  # noqa: E402
from minidl.bench.worker import MODULES  # noqa: E402
from minidl.bench.workloads import WORKLOADS  # noqa: E402
from minidl.data import MNIST, DataLoader, TensorDataset  # noqa: E402

MIDDLE = {"batch_size": 64, "hidden": 128, "depth": 1}  # the network from which one number at a time is changed
SWEEPS = {
    "batch_size": (1, 4, 16, 64, 256, 1024, 4096),
    "hidden": (8, 32, 128, 512, 2048),
    "depth": (1, 2, 4, 8, 16, 32),
}
TITLES = {"batch_size": "images in a batch", "hidden": "width of the hidden layer", "depth": "hidden layers"}
CHAINS = (10, 100, 1_000, 10_000, 100_000)

Point = dict[str, Any]


# -- a network that grows --------------------------------------------------------------------------------------


def weights_of(hidden: int, depth: int, **others: int) -> int:
    return 785 * hidden + (depth - 1) * (hidden + 1) * hidden + (hidden + 1) * 10


def measure_networks(libraries: list[str], environment: dict[str, str], quick: bool) -> list[Point]:
    """Seconds of a step, peak memory and what of it the steps added, for every network and library."""
    plans = [(name, {**MIDDLE, name: size}) for name, sizes in SWEEPS.items() for size in sizes[:: 3 if quick else 1]]
    points = []
    for name, plan in tqdm(plans, desc="networks", leave=False):
        for library in libraries:
            found = asked(environment, "cost", library, json.dumps({"network": "mlp", **plan}))
            points.append({"sweep": name, "library": library, "weights": weights_of(**plan), **plan, **found})
    return points


def network_table(points: list[Point], libraries: list[str]) -> str:
    head = ["changed", "batch", "width", "depth", "weights"]
    head += [f"{library}: {what}" for library in libraries for what in ("step", "peak memory", "added by the steps")]
    rows = []
    for found in zip(*([p for p in points if p["library"] == library] for library in libraries), strict=True):
        p = found[0]
        row = [TITLES[p["sweep"]], *(str(p[name]) for name in MIDDLE), f"{p['weights']:,}"]
        for q in found:
            row += [duration(q["seconds"]), megabytes(q["megabytes"]), megabytes(q["added"])]
        rows.append(row)
    return table(head, rows)


# -- a graph that grows ----------------------------------------------------------------------------------------


def chain(m: Any, length: int) -> float:
    """Seconds for each op of a chain, forward and backward: the best of some runs."""
    x = m.ones(4, 5, requires_grad=True)

    def run() -> float:
        started = time.perf_counter()
        y = x
        for _ in range(length):
            y = y * 0.5
        y.sum().backward()
        del y  # freeing the graph is part of the cost
        return (time.perf_counter() - started) / length

    return min(run() for _ in range(3 if length > 1000 else 30))


def chain_rows(libraries: dict[str, Any], lengths: tuple[int, ...]) -> list[list[str]]:
    """The time of an op in chains of many lengths, for minidl also without Python's search for cycles of garbage."""
    rows = []
    for length in lengths:
        times = [chain(m, length) for m in libraries.values()]
        gc.disable()
        times.append(chain(minidl, length))
        gc.enable()
        rows.append([f"{length:,}", *(f"{1e6 * seconds:.2f} µs" for seconds in times)])
    return rows


def bytes_of_a_node() -> float:
    """The memory that each op of a chain keeps until the backward pass."""
    y = minidl.ones(4, 5, requires_grad=True)
    tracemalloc.start()
    for _ in range(1000):
        y = y * 0.5
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / 1000


# -- what the loader takes -------------------------------------------------------------------------------------


def seconds_each(times: int, *works: Callable[[], Any]) -> list[float]:
    """The medians of the seconds that each of `works` takes, where they are done in turn, as in training."""
    seconds = []
    for _ in range(times):
        clock = [time.perf_counter()]
        for work in works:
            work()
            clock.append(time.perf_counter())
        seconds.append(np.diff(clock))
    return np.median(seconds, axis=0).tolist()


def loader_rows(times: int) -> list[list[str]]:
    """The time of a shuffled batch of 64 from a set in memory: by hand, by a DataLoader, and as a share of a step.

    Steps are taken in between: they leave the caches as a loader finds them in training.
    """
    mnist, order = MNIST(), np.random.default_rng(0).permutation(60_000)
    pixels, labels = mnist.images.reshape(-1, 1, 28, 28), mnist.labels
    images = np.divide(pixels, 255, dtype=np.float32)
    sets = {
        "float32 tensors": (
            TensorDataset(minidl.tensor(images), minidl.tensor(labels)),
            lambda chosen: (images[chosen], labels[chosen]),
        ),
        "MNIST, bytes that become float32": (
            mnist,
            lambda chosen: (np.divide(pixels[chosen], 255, dtype=np.float32), labels[chosen]),
        ),
    }
    rows = []
    for name, (dataset, look_up) in sets.items():
        looked_up, batches = map(look_up, order[:59_968].reshape(-1, 64)), iter(DataLoader(dataset, 64, shuffle=True))
        row, shares = [], []
        for workload in ("MLP 784-128-10, batch 64, Adam", "LeNet-5, batch 64, Adam"):
            step = WORKLOADS[workload](minidl)
            first, _, second, whole = seconds_each(times, partial(next, looked_up), step, partial(next, batches), step)
            row = row or [name, duration(first), duration(second)]
            shares.append(f"{100 * second / whole:.1f} %")
        rows.append([*row, *shares])
    return rows


# -- the report ------------------------------------------------------------------------------------------------


def draw(points: list[Point], libraries: list[str], path: Path) -> None:
    """Time and memory against batch, width, depth and weights."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.5), layout="constrained")
    axes = figure.subplots(2, 4, sharey="row")
    columns = [(name, name, title) for name, title in TITLES.items()] + [("hidden", "weights", "weights (by width)")]
    for (time_axis, memory_axis), (sweep, key, title) in zip(axes.T, columns, strict=True):
        for library, colour in zip(libraries, ("C0", "C1"), strict=False):
            mine = [p for p in points if p["library"] == library and p["sweep"] == sweep]
            sizes = [p[key] for p in mine]
            time_axis.loglog(sizes, [1e3 * p["seconds"] for p in mine], "o-", color=colour, label=library)
            memory_axis.loglog(sizes, [p["megabytes"] for p in mine], "o-", color=colour, label=f"{library}, process")
            memory_axis.loglog(sizes, [max(p["added"], 0.1) for p in mine], "o:", color=colour, label="added by steps")
        memory_axis.set_xlabel(title)
    axes[0, 0].set_ylabel("ms for a step")
    axes[1, 0].set_ylabel("MB at most")
    axes[0, 0].legend()
    axes[1, 0].set_ylim(bottom=0.2)
    axes[1, 0].legend(fontsize="x-small", loc="lower center")
    figure.savefig(path, dpi=80)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how time and memory of minidl grow.")
    parser.add_argument("--quick", action="store_true", help="few points")
    parser.add_argument("--write", action="store_true", help="write benchmarks/growth.md and growth.png")
    options = parser.parse_args()
    libraries = [name for name, module in MODULES.items() if name in ("minidl", "PyTorch") and find_spec(module)]
    points = measure_networks(libraries, surroundings(THREADS), options.quick)
    modules = {name: importlib.import_module(MODULES[name]) for name in libraries}
    lengths = CHAINS[:3] if options.quick else CHAINS
    text = "\n\n".join([
        "# How the cost grows",
        "A training step of a multilayer perceptron with Adam: the median of its times; the peak memory of the "
        "process, of which most is the libraries' own; and what the steps added to it.",
        network_table(points, libraries),
        *(["![time and memory](growth.png)"] if options.write else []),
        "## The graph",
        "One op of a chain on 4×5 numbers, forward, backward and freed again, in graphs of different length.  An op "
        "makes the same calls at every length, which tests/benchmarks/test_calls.py counts.  What grows in very long "
        "graphs is the time in which Python looks for cycles of garbage among all that is alive: the last column is "
        f"without it.  A node keeps {bytes_of_a_node():.0f} bytes until the backward pass.",
        table(["ops in the graph", *libraries, "minidl, gc.disable()"], chain_rows(modules, lengths)),
        "## The loader",
        "A shuffled batch of 64 images from a dataset in memory, drawn after each training step of the MLP, when "
        "little of it is left in the caches; and the DataLoader's share of a step.",
        table(["dataset", "NumPy by hand", "DataLoader", "of the MLP's step", "of LeNet-5's"], loader_rows(150)),
        circumstances(
            {name: m.__version__ for name, m in modules.items()},
            THREADS,
            " ".join(["python benchmarks/growth.py", *sys.argv[1:]]),
        ),
    ])  # fmt: skip
    print(text)
    if options.write:
        (ROOT / "benchmarks" / "growth.md").write_text(text + "\n", encoding="utf-8")
        draw(points, libraries, ROOT / "benchmarks" / "growth.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
