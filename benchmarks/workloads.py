"""What is timed, written once: `m` is the module minidl or torch, and both know the names that are used here.

Run as a program, this file is one of the two processes that compare.py talks to:

    python benchmarks/workloads.py serve minidl      read requests on stdin, answer each with a line
    python benchmarks/workloads.py epoch torch       train the MLP on MNIST for one epoch, print the peak memory
"""

from __future__ import annotations

import gzip
import importlib
import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

MNIST_FILES = Path(__file__).resolve().parents[1] / "minidl" / "data" / "mnist"
PREPARED = 4096  # MNIST images that a network sees again and again while it is timed

Step = Callable[[], Any]  # does the work once, and returns a tensor on which both libraries must agree


# -- the workloads ---------------------------------------------------------------------------------------------


def small_ops(m: Any) -> Step:
    """Eight operations on 4 x 5 numbers and their backward pass: nothing but overhead."""
    stream = np.random.default_rng(0)
    x = m.tensor(stream.normal(size=(4, 5)).astype(np.float32))
    w = m.tensor(stream.normal(size=(4, 5)).astype(np.float32), requires_grad=True)

    def step() -> Any:
        w.grad = None
        (((x * w + x).tanh() * w).sigmoid() - x).exp().mean().backward()
        return w.grad

    return step


def mlp(m: Any) -> Any:
    """784-128-10: 101,770 weights."""
    return m.nn.Sequential(m.nn.Flatten(), m.nn.Linear(784, 128), m.nn.ReLU(), m.nn.Linear(128, 10))


def lenet(m: Any) -> Any:
    """LeNet-5 with ReLU and max pooling: 61,706 weights."""
    nn = m.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def training(network: Callable[[Any], Any], batch_size: int, optimizer: str, **options: float) -> Any:
    """The workload "train this network": zero_grad, forward, cross entropy, backward, step; prepared batches."""

    def workload(m: Any) -> Step:
        model = with_known_weights(m, network(m))
        descent = getattr(m.optim, optimizer)(model.parameters(), **options)
        batches = cycle(prepared_batches(m, batch_size))

        def step() -> Any:
            images, labels = next(batches)
            descent.zero_grad()
            loss = m.nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            descent.step()
            return loss

        return step

    return workload


def stepping(shapes: list[tuple[int, ...]], optimizer: str, **options: float) -> Any:
    """The workload "one step of this optimizer" on weights of the given shapes, always with the same gradient."""

    def workload(m: Any) -> Step:
        stream = np.random.default_rng(0)
        weights = [m.tensor(stream.normal(size=s).astype(np.float32), requires_grad=True) for s in shapes]
        descent = getattr(m.optim, optimizer)(weights, **options)
        for w in weights:
            w.grad = m.tensor(stream.normal(size=tuple(w.shape)).astype(np.float32))

        def step() -> Any:
            descent.step()
            return weights[0]

        return step

    return workload


MLP_SHAPES = [(128, 784), (128,), (10, 128), (10,)]

WORKLOADS: dict[str, Callable[[Any], Step]] = {
    "8 small ops, forward and backward": small_ops,
    "MLP, batch 64, Adam": training(mlp, 64, "Adam", lr=1e-3),
    "MLP, batch 1, SGD": training(mlp, 1, "SGD", lr=1e-2),
    "LeNet-5, batch 64, Adam": training(lenet, 64, "Adam", lr=1e-3),
    "MLP's weights: SGD step": stepping(MLP_SHAPES, "SGD", lr=1e-3),
    "MLP's weights: momentum step": stepping(MLP_SHAPES, "SGD", lr=1e-3, momentum=0.9),
    "MLP's weights: Adagrad step": stepping(MLP_SHAPES, "Adagrad", lr=1e-2),
    "MLP's weights: RMSprop step": stepping(MLP_SHAPES, "RMSprop", lr=1e-3),
    "MLP's weights: Adadelta step": stepping(MLP_SHAPES, "Adadelta", lr=1.0),
    "MLP's weights: Adam step": stepping(MLP_SHAPES, "Adam", lr=1e-3),
    "MLP's weights: AdamW step": stepping(MLP_SHAPES, "AdamW", lr=1e-3),
    "1,000,000 weights: Adam step": stepping([(1000, 1000)], "Adam", lr=1e-3),
}


# -- the same weights and the same images for both -------------------------------------------------------------


def with_known_weights(m: Any, model: Any) -> Any:
    """`model` with weights drawn here: uniform, scaled by the number of inputs; biases zero."""
    stream = np.random.default_rng(0)
    state = {}
    for name, w in model.state_dict().items():
        shape = tuple(w.shape)
        bound = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.0
        state[name] = m.tensor(stream.uniform(-bound, bound, shape).astype(np.float32))
    model.load_state_dict(state)
    return model


@cache
def read_mnist() -> tuple[np.ndarray, np.ndarray]:
    """The training images (60000, 1, 28, 28) as bytes, and their labels (60000,)."""
    images = gzip.decompress((MNIST_FILES / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((MNIST_FILES / "train-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def prepared_batches(m: Any, batch_size: int) -> list[tuple[Any, Any]]:
    """The first PREPARED images and labels in batches of float32 tensors."""
    images, labels = read_mnist()
    starts = range(0, PREPARED, batch_size)
    return [
        (
            m.tensor(images[start : start + batch_size].astype(np.float32) / 255),
            m.tensor(labels[start : start + batch_size]),
        )
        for start in starts
    ]


def epoch_batches(m: Any) -> Iterator[tuple[Any, Any]]:
    """One shuffled epoch of MNIST in batches of 64, bytes in memory, float32 when drawn.

    minidl's own loader; for PyTorch the quickest way, which is not its DataLoader: indexing tensors.
    """
    if m.__name__ == "minidl":
        yield from m.data.DataLoader(m.data.MNIST(), batch_size=64, shuffle=True)
        return
    images, labels = map(m.tensor, read_mnist())
    for chosen in m.randperm(len(labels)).split(64):
        yield images[chosen].float() / 255, labels[chosen]


# -- the process that runs them --------------------------------------------------------------------------------


def serve(m: Any) -> None:
    """Answer each line `[workload, steps, anew]` with the seconds they took and up to ten numbers of the result.

    `anew` starts the workload from its first step.
    """
    name, step = None, None
    print(json.dumps({"version": m.__version__}), flush=True)
    for line in sys.stdin:
        asked, steps, anew = json.loads(line)
        if asked != name or anew:
            name, step = asked, WORKLOADS[asked](m)
        started = time.perf_counter()
        for _ in range(steps):
            result = step()
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "values": result.reshape(-1)[:10].tolist()}), flush=True)


def epoch(m: Any) -> None:
    """Train the MLP for one epoch, as a user's program would, and print the most memory that this process had."""
    m.manual_seed(0)
    model = mlp(m)
    descent = m.optim.Adam(model.parameters(), lr=1e-3)
    for images, labels in epoch_batches(m):
        descent.zero_grad()
        loss = m.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        descent.step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS, in KiB elsewhere
    print(json.dumps({"megabytes": peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6}))


if __name__ == "__main__":
    what, library = sys.argv[1:]
    {"serve": serve, "epoch": epoch}[what](importlib.import_module(library))
