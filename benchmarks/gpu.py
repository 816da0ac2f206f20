"""Check and time minidl on a GPU beside PyTorch, in one call: the tests, the benchmarks, and a table of both.

    python benchmarks/gpu.py            about five minutes; writes benchmarks/gpu_results.md
    python benchmarks/gpu.py --quick    a minute, to see that it works; writes nothing
    python benchmarks/gpu.py --quick --device cpu    that this script works, where there is no GPU

Each library runs in a process of its own, once with TF32 and once without: CuPy reads CUPY_TF32 when it is imported.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
MODULES = {"minidl": "minidl", "PyTorch": "torch"}
GOALS = {  # the largest ratio of the times, minidl's over PyTorch's, that issue and README ask for
    "MLP 784-128-10, batch 64": 1.2, "MLP 784-128-10, batch 128": 1.2, "LeNet-5, batch 128": 1.3,
    "SGD, 1,000,000 weights": 1.0, "Adam, 1,000,000 weights": 1.0, "AdamW, 1,000,000 weights": 1.0,
    "matrix product 4096": 1.05, "matrix product 8192": 1.05,
}  # fmt: skip
SMALL = 16  # by so much all sizes are divided in a quick run

Step = Callable[[], Any]


# -- what is timed: `m` is minidl or torch, which both know the names that are used here -------------------------------


def training(m: Any, device: str, model: Any, images: Any, classes: int = 10) -> Step:
    """One step of Adam on the cross entropy, always on the same batch."""
    model, x = model.to(device), images.to(device)
    y = m.arange(len(images)).to(device) % classes
    optimizer = m.optim.Adam(model.parameters())

    def step() -> Any:
        optimizer.zero_grad()
        loss = m.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def updating(m: Any, device: str, kind: str, weights: int) -> Step:
    """The optimizer's step alone."""
    w = m.zeros(weights, device=device).requires_grad_()
    w.grad = m.ones(weights, device=device)
    return getattr(m.optim, kind)([w], lr=1e-3).step


def multiplying(m: Any, device: str, n: int) -> Step:
    x, y = m.ones(n, n, device=device), m.ones(n, n, device=device)
    return lambda: x @ y


def convolving(m: Any, device: str, batch: int) -> Step:
    """Forward and backward, also to the input."""
    layer, x = m.nn.Conv2d(64, 64, 3, padding=1).to(device), m.ones(batch, 64, 32, 32, device=device).requires_grad_()

    def step() -> Any:
        layer.weight.grad = layer.bias.grad = x.grad = None
        layer(x).sum().backward()

    return step


def steps(m: Any, device: str, quick: bool) -> dict[str, Callable[[], Step]]:
    """All that is timed, by name."""
    from minidl.bench.workloads import lenet, mlp

    shrink = SMALL if quick else 1
    return {
        "MLP 784-128-10, batch 64": lambda: training(m, device, mlp(m), m.ones(64, 1, 28, 28)),
        "MLP 784-128-10, batch 128": lambda: training(m, device, mlp(m), m.ones(128, 1, 28, 28)),
        "LeNet-5, batch 128": lambda: training(m, device, lenet(m), m.ones(128, 1, 28, 28)),
        **{f"{kind}, 1,000,000 weights": lambda kind=kind: updating(m, device, kind, 1_000_000 // shrink)
           for kind in ("SGD", "Adam", "AdamW")},
        "matrix product 4096": lambda: multiplying(m, device, 4096 // shrink),
        "matrix product 8192": lambda: multiplying(m, device, 8192 // shrink),
        "convolution 64 to 64, 3x3 on 32x32, batch 128": lambda: convolving(m, device, 128 // shrink),
    }  # fmt: skip


def calls(m: Any, device: str) -> dict[str, Step]:
    """Single ops on 64 x 128 numbers: what is timed is how long the host is busy with them."""
    x, w = m.ones(64, 128, device=device), m.ones(128, 128, device=device).requires_grad_()
    return {
        "x + x": lambda: x + x, "x * 2.0": lambda: x * 2.0, "relu": lambda: m.relu(x), "exp": lambda: x.exp(),
        "sum": lambda: x.sum(), "mean of rows": lambda: x.mean(1), "softmax": lambda: m.softmax(x, 1),
        "x @ w": lambda: x @ w.detach(), "x @ w, recorded": lambda: x @ w, "transpose": lambda: x.T,
        "x[3:7]": lambda: x[3:7],
    }  # fmt: skip


# -- one library, in a process of its own -----------------------------------------------------------------------------


def work(name: str, device: str, quick: bool, tf32: bool) -> dict[str, Any]:
    """Milliseconds a step, microseconds of the host an op, kernels a step, and the GPU's name."""
    m = importlib.import_module(MODULES[name])
    if name == "PyTorch":
        m.backends.cuda.matmul.allow_tf32 = m.backends.cudnn.allow_tf32 = tf32
    wait = m.cuda.synchronize if device != "cpu" else lambda: None
    seconds, rounds = (0.02, 3) if quick else (0.3, 7)
    found: dict[str, Any] = {"milliseconds": {}, "host": {}, "kernels": {}}
    for title, begin in steps(m, device, quick).items():
        step = begin()
        found["milliseconds"][title] = 1e3 * median_time(step, wait, seconds, rounds)
        if device != "cpu" and "batch" in title and (kernels := launches(step, wait)):
            found["kernels"][title] = kernels
    for title, call in calls(m, device).items():
        found["host"][title] = 1e6 * median_time(call, wait, seconds / 3, rounds, host_only=True)
    found["device"] = m.cuda.get_device_name() if device != "cpu" else platform.processor() or "a CPU"
    return found


def median_time(step: Step, wait: Callable[[], None], seconds: float, rounds: int, host_only: bool = False) -> float:
    """Seconds a step, the median of some rounds; with `host_only` those until the host is free again."""
    for _ in range(3):  # kernels are compiled, memory is there
        step()
    wait()
    started = time.perf_counter()
    step()
    wait()
    count = min(1000, max(1, int(seconds / (time.perf_counter() - started))))
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(count):
            step()
        if host_only:
            times.append((time.perf_counter() - started) / count)
        wait()
        if not host_only:
            times.append((time.perf_counter() - started) / count)
    return statistics.median(times)


def launches(step: Step, wait: Callable[[], None]) -> int:
    """How many kernels a step launches, as PyTorch's profiler sees them in the whole process; 0 where it cannot."""
    try:
        import torch
        from torch.profiler import ProfilerActivity, profile
    except ImportError:
        return 0
    torch.zeros(1, device="cuda")  # so that the profiler finds the device
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        step()
        wait()
    names = [event.name for event in record.events()]
    return sum(not re.match(r"cuda|Memcpy|Memset|Activity|Command Buffer|Lazy", name) for name in names)


# -- all together ------------------------------------------------------------------------------------------------------


def measured(name: str, options: argparse.Namespace, tf32: bool) -> dict[str, Any]:
    """What the library's own process found."""
    command = [sys.executable, __file__, "--worker", name, "--device", options.device, *["--quick"] * options.quick]
    environment = {**os.environ, "CUPY_TF32": str(int(tf32))}
    print(f"timing {name}, TF32 {'on' if tf32 else 'off'}", flush=True)
    run = subprocess.run([*command, *["--tf32"] * tf32], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def tested() -> str:
    """The last line of `pytest -m gpu`."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-o", "addopts=", "--noconftest", "-q", "-rfEs"]
    command += ["-W", "default", "tests/gpu", "--continue-on-collection-errors"]  # some need what is not installed
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(run.stdout[-6000:])
    return run.stdout.strip().splitlines()[-1].strip("= ")


def trained(options: argparse.Namespace) -> str:
    """What `minidl train mnist --model lenet` prints last, and the images a second of its last epoch."""
    command = [sys.executable, "-m", "minidl", "train", "mnist", "--model", "lenet", "--batch-size", "128"]
    command += ["--device", options.device, "--epochs", "1" if options.quick else "5"]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    print(run.stdout)
    lines = run.stdout.strip().splitlines() or ["it failed"]
    return "; ".join([lines[-1], *re.findall(r"[\d,]+ images/s", run.stdout)[-1:]])


def table(title: str, unit: str, ours: dict[str, float], theirs: dict[str, float], goals: dict[str, float]) -> str:
    """Both libraries' numbers, their ratio, and the goal."""
    lines = [f"| {title} | minidl, {unit} | PyTorch, {unit} | ratio | goal |", "|---|---|---|---|---|"]
    for name, number in ours.items():
        other = theirs.get(name)
        ratio, theirs_text = (f"{number / other:.2f}", f"{other:.3g}") if other else ("", "")
        lines.append(f"| {name} | {number:.3g} | {theirs_text} | {ratio} | {goals.get(name, '')} |")
    return "\n".join(lines)


def versions() -> str:
    found = [f"minidl {importlib.import_module('minidl').__version__}, Python {platform.python_version()}"]
    for package in ("numpy", "cupy-cuda12x", "cupy-cuda13x", "cupy", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(found)


def report(options: argparse.Namespace) -> str:
    """Everything in Markdown."""
    peers = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
    off, on = ({name: measured(name, options, tf32) for name in peers} for tf32 in (False, True))
    ours, theirs = off["minidl"], off.get("PyTorch", {"milliseconds": {}, "host": {}, "kernels": {}})
    parts = [
        "# minidl on a GPU",
        f"{ours['device']}; {versions()}; {date.today()}. Made by `python benchmarks/gpu.py`.",
        f"Tests on the device: {tested() if options.device != 'cpu' else 'none, this is a CPU'}",
        f"LeNet-5 on MNIST: {trained(options)}",
        table("without TF32", "ms", ours["milliseconds"], theirs["milliseconds"], GOALS),
        table("with TF32", "ms", on["minidl"]["milliseconds"],
              on["PyTorch"]["milliseconds"] if "PyTorch" in on else {}, GOALS),
        table("kernels a step", "launches", ours["kernels"], theirs["kernels"], {"MLP 784-128-10, batch 64": 20}),
        table("the host, for an op on 64 x 128 numbers", "µs", ours["host"], theirs["host"], {}),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Check and time minidl on a GPU beside PyTorch.")
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it works, writes nothing")
    parser.add_argument("--device", default="cuda", help="where to compute (default: cuda)")
    parser.add_argument("--worker", choices=list(MODULES), help=argparse.SUPPRESS)
    parser.add_argument("--tf32", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker, options.device, options.quick, options.tf32)))
        return 0
    from minidl.backend import as_device

    try:
        as_device(options.device)
    except RuntimeError as error:
        parser.error(str(error))
    text = report(options)
    print(text)
    if not options.quick:
        (ROOT / "benchmarks" / "gpu_results.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
