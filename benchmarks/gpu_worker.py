"""One library at work on a GPU, in a process of its own, which gpu.py talks to.

    python benchmarks/gpu_worker.py PyTorch cuda             read requests on stdin, answer each with a line
    python benchmarks/gpu_worker.py minidl cpu --quick       the same, with all sizes divided

`m` is the module minidl or torch, which both know the names that are used here.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from minidl.bench.worker import library_of

Step = Callable[[], Any]
MODELS = {"MLP 784-128-10, batch 64": ("mlp", 64), "MLP 784-128-10, batch 128": ("mlp", 128),
          "LeNet-5, batch 128": ("lenet", 128)}  # fmt: skip
OPTIMIZERS = {"SGD": 1e-3, "Adagrad": 1e-2, "RMSprop": 1e-3, "Adadelta": 1.0, "Adam": 1e-3}
FUSED = ("SGD", "Adagrad", "Adam")  # in PyTorch
SMALL = 16  # by so much sizes are divided in a quick run
CHECKED = 1000  # steps after which a replay and an eager run must have the same weights


# -- what is timed -----------------------------------------------------------------------------------------------------


def training(m: Any, device: str, kind: str, batch_size: int, **options: Any) -> tuple[Any, Any, Any]:
    """A step of Adam on the cross entropy as a function of a batch, and the batch: real digits, known weights."""
    from minidl.bench import workloads

    model = workloads.with_known_weights(m, getattr(workloads, kind)(m)).to(device)
    images, labels = (m.tensor(array).to(device) for array in workloads.prepared_batches(batch_size)[0])
    optimizer = m.optim.Adam(model.parameters(), **options)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = m.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    step.forget = optimizer.zero_grad  # type: ignore[attr-defined]
    return step, images, labels


def eager(m: Any, device: str, *what: Any) -> Step:
    step, x, y = training(m, device, *what)
    return lambda: step(x, y)


def replayed(m: Any, device: str, *what: Any) -> Step:
    """The step by `minidl.compile`; RuntimeError says why, if it is not replayed."""
    step, x, y = training(m, device, *what)
    return watched(m.compile(step), x, y)


def watched(step: Any, *inputs: Any) -> Step:
    """A compiled step that has been recorded; a warning that it is not replayed becomes an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for _ in range(4):
            step(*inputs)
    return lambda: step(*inputs)


def graphed(m: Any, device: str, *what: Any) -> Step:
    """The step as a CUDA graph of PyTorch's; as in `minidl.compile`, the batch is copied to where the graph expects it.

    See "Whole-network capture" in PyTorch's notes on CUDA semantics.
    """
    step, x, y = training(m, device, *what, capturable=True, fused=True)
    static_x, static_y, beside = x.clone(), y.clone(), m.cuda.Stream()
    beside.wait_stream(m.cuda.current_stream())
    with m.cuda.stream(beside):
        for _ in range(3):
            step(static_x, static_y)
    m.cuda.current_stream().wait_stream(beside)
    step.forget()  # so that new gradients come from the graph's own memory
    graph = m.cuda.CUDAGraph()
    with m.cuda.graph(graph):
        loss = step(static_x, static_y)

    def replay() -> Any:
        static_x.copy_(x)
        static_y.copy_(y)
        graph.replay()
        return loss

    return replay


def updating(m: Any, device: str, kind: str, weights: int, **options: Any) -> Step:
    """The optimizer's step alone."""
    w = m.zeros(weights, device=device).requires_grad_()
    w.grad = m.ones(weights, device=device)
    optimizer = getattr(m.optim, kind)([w], lr=OPTIMIZERS[kind], **options)

    def step() -> Any:
        optimizer.step()
        return w.detach()[:1]

    return step


def multiplying(m: Any, device: str, n: int) -> Step:
    x, y = m.ones(n, n, device=device), m.ones(n, n, device=device)
    return lambda: x @ y


def convolving(m: Any, device: str, batch: int) -> Step:
    """Forward and backward, also to the input."""
    layer, x = m.nn.Conv2d(64, 64, 3, padding=1).to(device), m.ones(batch, 64, 32, 32, device=device).requires_grad_()

    def step() -> Any:
        layer.weight.grad = layer.bias.grad = x.grad = None
        layer(x).sum().backward()
        return layer.bias.grad

    return step


def feeding(m: Any, device: str, kept: bool) -> Step:
    """The next shuffled batch of 128 digits on the GPU: from a set that is kept there, or copied from the host."""
    from minidl.bench.workloads import read_mnist

    def epochs() -> Iterator[Any]:
        while True:
            yield from batches(kept)

    def batches(kept: bool) -> Any:
        if m.__name__ == "minidl":
            return on_gpu if kept else m.data.ahead.CopiedAhead(loader, m.device("cuda:0"))
        if kept:
            chosen = m.randperm(len(labels)).to(device).split(128)
            return ((images[part].float() / 255, labels[part]) for part in chosen)
        return ((x.to(device, non_blocking=True), y.to(device, non_blocking=True)) for x, y in loader)

    if m.__name__ == "minidl":
        loader = m.data.DataLoader(m.data.MNIST(), 128, shuffle=True)
        on_gpu = m.data.on_device(loader, device) if kept else None
    else:
        images, labels = map(m.tensor, read_mnist())
        if kept:
            images, labels = images.to(device), labels.to(device)
        else:
            digits = m.utils.data.TensorDataset(images.float() / 255, labels)
            # The rows of a whole batch at once, as minidl takes them; by default PyTorch puts single ones together.
            order = m.utils.data.BatchSampler(m.utils.data.RandomSampler(digits), 128, drop_last=False)
            loader = m.utils.data.DataLoader(digits, batch_size=None, sampler=order, pin_memory=True)
    source = epochs()
    return lambda: next(source)[1][:1]


def steps(m: Any, device: str, quick: bool) -> dict[str, Callable[[], Step]]:
    """All that is timed: how it begins, by "how: what"."""
    shrink = SMALL if quick else 1
    known: dict[str, Callable[[], Step]] = {}
    for name, (kind, batch_size) in MODELS.items():
        what = kind, batch_size // shrink
        known[f"eager: {name}"] = lambda what=what: eager(m, device, *what)
        if m.__name__ == "minidl":
            known[f"replayed: {name}"] = lambda what=what: replayed(m, device, *what)
        elif device != "cpu":
            known[f"replayed: {name}"] = lambda what=what: graphed(m, device, *what)
    for kind in OPTIMIZERS:
        known[f"eager: {kind}, 1,000,000 weights"] = lambda kind=kind: updating(m, device, kind, 1_000_000 // shrink)
        if kind in FUSED and m.__name__ == "torch":
            known[f"fused: {kind}, 1,000,000 weights"] = lambda kind=kind: updating(
                m, device, kind, 1_000_000 // shrink, fused=True
            )
    for n in (4096, 8192):
        known[f"eager: matrix product {n}"] = lambda n=n: multiplying(m, device, n // shrink)
    if device != "cpu":
        known["eager: batch of 128 digits, kept on the GPU"] = lambda: feeding(m, device, kept=True)
        known["eager: batch of 128 digits, copied ahead"] = lambda: feeding(m, device, kept=False)
    known["eager: convolution 64 to 64, 3x3 on 32x32, batch 128"] = lambda: convolving(m, device, 128 // shrink)
    return known


def calls(m: Any, device: str) -> dict[str, Step]:
    """Single ops on 64 x 128 numbers, of which is timed how long the host is busy with them."""
    x, w = m.ones(64, 128, device=device), m.ones(128, 128, device=device).requires_grad_()
    return {
        "x + x": lambda: x + x, "x * 2.0": lambda: x * 2.0, "relu": lambda: m.relu(x), "exp": lambda: x.exp(),
        "sum": lambda: x.sum(), "mean of rows": lambda: x.mean(1), "softmax": lambda: m.softmax(x, 1),
        "x @ w": lambda: x @ w.detach(), "x @ w, recorded": lambda: x @ w, "transpose": lambda: x.T,
        "x[3:7]": lambda: x[3:7],
    }  # fmt: skip


# -- what is checked ---------------------------------------------------------------------------------------------------


def same_bits(m: Any, device: str, count: int) -> str:
    """Whether `minidl.compile` gives an eager run's bits, with dropout, batch norm, a schedule and clipping."""
    from minidl.bench.workloads import prepared_batches

    batches = [tuple(m.tensor(x).to(device) for x in batch) for batch in prepared_batches(64)[:10]]

    def trained(compiled: bool) -> dict[str, Any]:
        m.manual_seed(0)
        nn = m.nn
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                              nn.Dropout(0.5), nn.Linear(676, 10)).to(device)  # fmt: skip
        optimizer = m.optim.Adam(model.parameters(), lr=1e-3)
        schedule = m.optim.lr_scheduler.CosineAnnealingLR(optimizer, count)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            return loss.detach()

        run, losses = m.compile(step) if compiled else step, []
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            for number in range(count):
                losses.append(run(*batches[number % len(batches)]).clone())
        state = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
        return {**state, "the losses": m.stack(losses).cpu().numpy()}

    ours, theirs = trained(True), trained(False)
    different = [name for name, value in ours.items() if value.tobytes() != theirs[name].tobytes()]
    return f"different after {count} steps: {', '.join(different)}" if different else f"the same after {count} steps"


def launches(step: Step, wait: Step) -> int:
    """How many kernels a step launches, as PyTorch's profiler sees them in the whole process."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.zeros(1, device="cuda")  # so that the profiler finds the device
    for _ in range(3):
        step()
    wait()
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        step()
        wait()
    names = [event.name for event in record.events()]
    return sum(not re.match(r"cuda|Memcpy|Memset|Activity|Command Buffer|Lazy", name) for name in names)


# -- requests ----------------------------------------------------------------------------------------------------------


class Worker:
    """Answers requests about one library on one device."""

    def __init__(self, m: Any, device: str, quick: bool) -> None:
        self.m, self.device, self.quick = m, device, quick
        self.wait: Step = m.cuda.synchronize if device != "cpu" else lambda: None
        self.known, self.calls = steps(m, device, quick), calls(m, device)
        self.begun: dict[str, Step] = {}

    def answer(self, name: str, count: int, anew: bool) -> dict[str, Any]:
        """`name` is "float32 (or TF32) how: what", and how is eager, replayed, fused, host, kernels or check."""
        precision, _, name = name.partition(" ")
        self.m.backends.cuda.matmul.allow_tf32 = self.m.backends.cudnn.allow_tf32 = precision == "TF32"
        how, _, what = name.partition(": ")
        if how == "check":
            return {"seconds": 0.0, "values": same_bits(self.m, self.device, 20 if self.quick else CHECKED)}
        if how == "kernels":
            return {"seconds": 0.0, "values": launches(self.known[f"eager: {what}"](), self.wait)}
        key = f"{precision} {name}"
        if anew or key not in self.begun:
            self.begun[key] = self.calls[what] if how == "host" else self.known[name]()
        return self.timed(self.begun[key], count, host_only=how == "host")

    def timed(self, step: Step, count: int, host_only: bool) -> dict[str, Any]:
        self.wait()
        started = time.perf_counter()
        for _ in range(count):
            result = step()
        if not host_only:
            self.wait()
        seconds = time.perf_counter() - started
        values = [] if host_only else result.reshape(-1)[:10].tolist()
        self.wait()
        return {"seconds": seconds, "values": values}


def main(name: str, device: str, *options: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    m = library_of(name)
    worker = Worker(m, device, "--quick" in options)
    title = m.cuda.get_device_name() if device != "cpu" else platform.processor() or "a CPU"
    host = [f"host: {call}" for call in worker.calls]
    print(json.dumps({"version": m.__version__, "device": title, "workloads": [*worker.known, *host]}),
          file=answers, flush=True)  # fmt: skip
    for line in sys.stdin:
        workload, count, anew, _ = json.loads(line)
        try:
            found = worker.answer(workload, count, anew)
        except Exception as error:
            found = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
