"""One library at work: the process that compare.py talks to, a program of its own.

    python minidl/bench/worker.py serve PyTorch             read requests on stdin, answer each with a line
    python minidl/bench/worker.py epoch minidl              train the MLP on MNIST for one epoch
    python minidl/bench/worker.py cost PyTorch '{"network": "lenet", "batch_size": 256}'    time and memory of a step
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

PACKAGE = Path(__file__).resolve().parents[1]
FUSED = ("SGD", "Adagrad", "Adam", "AdamW")  # PyTorch's optimizers that know `fused=True`
# What tells glibc to keep freed memory for the next step, as minidl does by itself (minidl/pages.py).
# By hand one would write into buffers made before; this gives the same without another word in the code.
KEEPING_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 29)}
REQUESTED = 0.3  # seconds for which the cost of a step is measured

MODULES = {  # each peer, and the library that it needs
    "minidl": "minidl",
    "minidl.compile": "minidl",
    "PyTorch": "torch",
    "NumPy by hand": "numpy",
    "PyTorch fused": "torch",
    "JAX jit": "jax",
    "autograd": "autograd",
    "MyGrad": "mygrad",
    "parts in NumPy": "minidl",
    "parts in PyTorch": "torch",
}
PARTS = ("parts in NumPy", "parts in PyTorch")  # no libraries at work, but what parts.py times


def library_of(peer: str) -> Any:
    """The peer's library.  Other libraries do not get minidl with it: it would add to their time and their memory."""
    if peer not in ("minidl", "minidl.compile", *PARTS):
        sys.modules["minidl"] = empty = ModuleType("minidl")  # so that minidl.bench can be found
        empty.__path__ = [str(PACKAGE)]
    if peer == "JAX jit" and hasattr(os, "sched_setaffinity"):  # the only way to tell it how many threads to use
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: int(os.environ.get("OMP_NUM_THREADS", len(cores)))])
    return importlib.import_module(MODULES[peer])


def workloads_of(peer: str, library: Any) -> dict[str, Callable[[], Any]]:
    """What the peer can do, by name: a function that begins the workload, and returns the function that does a step."""
    from minidl.bench.workloads import STEPS, WORKLOADS

    if peer in PARTS:
        from minidl.bench import parts

        m = importlib.import_module("minidl")
        return parts.torch_parts(m, library) if peer == "parts in PyTorch" else parts.numpy_parts(m)
    from minidl.bench import by_hand, functions

    makers = {
        "NumPy by hand": lambda numpy: by_hand.WORKLOADS,
        "JAX jit": functions.jax_workloads,
        "autograd": functions.autograd_workloads,
        "MyGrad": functions.mygrad_workloads,
    }
    if peer in makers:
        return makers[peer](library)
    known: Any = WORKLOADS
    if peer == "minidl.compile":
        replayed = partial(library.compile, fullgraph=True)
        known = {name: partial(work, compiled=replayed) for name, work in known.items() if name not in STEPS}
    if peer == "PyTorch fused":
        known = {name: work for name, work in known.items() if getattr(work, "keywords", {}).get("optimizer") in FUSED}
        optimizers = SimpleNamespace(**{name: partial(getattr(library.optim, name), fused=True) for name in FUSED})
        library = SimpleNamespace(**{**vars(library), "optim": optimizers})
    return {name: partial(work, library) for name, work in known.items()}


def serve(peer: str) -> None:
    """Answer each line `[workload, steps, anew, dtype]` with the seconds they took and up to ten numbers of the result.

    `anew` starts the workload from its first step, with `dtype` as the library's default.
    """
    library = library_of(peer)
    workloads = workloads_of(peer, library)
    number = getattr(library, "__version__", None) or version(MODULES[peer])  # autograd has only the latter
    print(json.dumps({"version": number, "workloads": list(workloads)}), flush=True)
    name, step = "", cast(Any, None)
    for line in sys.stdin:
        asked, steps, anew, dtype = json.loads(line)
        if asked != name or anew:
            if peer in ("minidl", "PyTorch"):
                library.set_default_dtype(getattr(library, dtype))
            name, step = asked, workloads[asked]()
        started = time.perf_counter()
        for _ in range(steps):
            result = step()
        values = result.reshape(-1)[:10].tolist()  # JAX has then done the work, too
        print(json.dumps({"seconds": time.perf_counter() - started, "values": values}), flush=True)


def epoch(peer: str) -> None:
    """Train the MLP for one epoch, as a user's program would, and print the most memory that this process had."""
    m = library_of(peer)
    from minidl.bench import by_hand, workloads

    by_hand.epoch() if peer == "NumPy by hand" else workloads.epoch(m)
    print(json.dumps({"megabytes": peak_megabytes()}))


def cost(peer: str, plan: str) -> None:
    """Print the seconds of a training step with Adam, the peak memory, and what of it the steps added."""
    m = library_of(peer)
    from minidl.bench import by_hand, workloads

    training = by_hand.training if peer == "NumPy by hand" else partial(workloads.training, m)
    step = training(optimizer="Adam", options={"lr": 1e-3}, **json.loads(plan))
    before = peak_megabytes()
    for _ in range(3):
        step()
    seconds, ends = list[float](), time.perf_counter() + REQUESTED
    while time.perf_counter() < ends or len(seconds) < 3:
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    peak = peak_megabytes()
    median = sorted(seconds)[len(seconds) // 2]
    print(json.dumps({"seconds": median, "megabytes": peak, "added": peak - before}))


def peak_megabytes() -> float:
    """The most memory so far; what it begins with is its parent's, which is why compare.py imports little."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS, in KiB elsewhere
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    tasks: dict[str, Callable[..., None]] = {"serve": serve, "epoch": epoch, "cost": cost}
    tasks[sys.argv[1]](*sys.argv[2:])
