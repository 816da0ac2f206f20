"""The floor: the same arithmetic in bare NumPy, derivatives and optimizers written out by hand, no framework.

What a framework takes beyond this is its own share.  Everything large is written in place, as one would who cares.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

from minidl.bench.by_hand_networks import NETWORKS, mlp_scores
from minidl.bench.workloads import (
    LARGER,
    MLPS,
    PREDICTION,
    SMALL_OPS,
    STEPS,
    Step,
    prepared_batches,
    read_mnist,
    small_numbers,
    starting_weights,
    weights_and_gradients,
)

Update = Callable[[np.ndarray], None]  # changes the weights that it was made for, by their gradient


# -- optimizers: each makes the Update of one array of weights -----------------------------------------------------


def averaged(memory: np.ndarray, x: np.ndarray, beta: float, scratch: np.ndarray) -> None:
    """memory = beta * memory + (1 - beta) * x"""
    np.multiply(memory, beta, out=memory)
    np.multiply(x, 1 - beta, out=scratch)
    np.add(memory, scratch, out=memory)


def sgd(w: np.ndarray, lr: float, momentum: float = 0.0) -> Update:
    b, s = np.zeros_like(w), np.empty_like(w)

    def update(g: np.ndarray) -> None:
        if momentum:
            np.multiply(b, momentum, out=b)
            g = np.add(b, g, out=b)
        np.multiply(g, lr, out=s)
        np.subtract(w, s, out=w)

    return update


def adagrad(w: np.ndarray, lr: float, eps: float = 1e-10) -> Update:
    v, s, d = np.zeros_like(w), np.empty_like(w), np.empty_like(w)

    def update(g: np.ndarray) -> None:
        np.add(v, np.multiply(g, g, out=s), out=v)
        np.add(np.sqrt(v, out=s), eps, out=s)
        np.divide(np.multiply(g, lr, out=d), s, out=d)
        np.subtract(w, d, out=w)

    return update


def rmsprop(w: np.ndarray, lr: float, alpha: float = 0.99, eps: float = 1e-8) -> Update:
    v, s, d = np.zeros_like(w), np.empty_like(w), np.empty_like(w)

    def update(g: np.ndarray) -> None:
        averaged(v, np.multiply(g, g, out=d), alpha, s)
        np.add(np.sqrt(v, out=s), eps, out=s)
        np.divide(np.multiply(g, lr, out=d), s, out=d)
        np.subtract(w, d, out=w)

    return update


def adadelta(w: np.ndarray, lr: float, rho: float = 0.9, eps: float = 1e-6) -> Update:
    v, a, s, d = np.zeros_like(w), np.zeros_like(w), np.empty_like(w), np.empty_like(w)

    def update(g: np.ndarray) -> None:
        averaged(v, np.multiply(g, g, out=d), rho, s)
        np.sqrt(np.divide(np.add(a, eps, out=d), np.add(v, eps, out=s), out=d), out=d)
        np.multiply(d, g, out=d)
        np.subtract(w, np.multiply(d, lr, out=s), out=w)
        averaged(a, np.multiply(d, d, out=d), rho, s)

    return update


def adam(w: np.ndarray, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Update:
    m, v, s, d = np.zeros_like(w), np.zeros_like(w), np.empty_like(w), np.empty_like(w)
    t = 0

    def update(g: np.ndarray) -> None:
        nonlocal t
        t += 1
        averaged(m, g, beta1, s)
        averaged(v, np.multiply(g, g, out=d), beta2, s)
        np.multiply(np.sqrt(v, out=s), 1 / math.sqrt(1 - beta2**t), out=s)
        np.divide(np.multiply(m, lr / (1 - beta1**t), out=d), np.add(s, eps, out=s), out=d)
        np.subtract(w, d, out=w)

    return update


def adamw(w: np.ndarray, lr: float, weight_decay: float = 0.01) -> Update:
    descend = adam(w, lr)

    def update(g: np.ndarray) -> None:
        np.multiply(w, 1 - lr * weight_decay, out=w)
        descend(g)

    return update


OPTIMIZERS: dict[str, Callable[..., Update]] = {
    "SGD": sgd, "Adagrad": adagrad, "RMSprop": rmsprop, "Adadelta": adadelta, "Adam": adam, "AdamW": adamw,
}  # fmt: skip
PART = 1 << 16  # entries that are taken through all passes of an update while the cache has them


def together(
    weights: list[np.ndarray], optimizer: str, options: dict[str, float]
) -> tuple[list[np.ndarray], Callable[[list[np.ndarray]], None]]:
    """The weights in one stretch of memory, and what changes all of them by their gradients: a few calls for many."""
    w = np.concatenate([part.reshape(-1) for part in weights])
    ends = np.cumsum([part.size for part in weights])
    views = [part.reshape(own.shape) for part, own in zip(np.split(w, ends[:-1]), weights, strict=True)]
    places = [slice(start, start + PART) for start in range(0, w.size, PART)]
    descent = [OPTIMIZERS[optimizer](w[place], **options) for place in places]
    copied = np.empty_like(w)

    def update(gradients: list[np.ndarray]) -> None:
        parts = [g.reshape(-1) for g in gradients]
        g = parts[0] if len(parts) == 1 else np.concatenate(parts, out=copied)
        for place, change in zip(places, descent, strict=True):
            change(g[place])

    return views, update


# -- workloads -----------------------------------------------------------------------------------------------------


def small_ops() -> Step:
    x, w = small_numbers()
    n = np.float32(x.size)

    def step() -> np.ndarray:
        a = np.tanh(x * w + x)
        s = 1 / (1 + np.exp(-(a * w)))
        y = np.exp(s - x)
        y.mean()
        g = y / n * s * (1 - s)
        return g * a + g * w * (1 - a * a) * x

    return step


def training(
    *, batch_size: int, optimizer: str, options: dict[str, float], network: str = "mlp", batches: Any = (), **size: int
) -> Step:
    loss_and_gradients = NETWORKS[network]
    weights, update = together(starting_weights(network, **size), optimizer, options)
    batches = batches or cycle(prepared_batches(batch_size))

    def step() -> np.floating:
        loss, gradients = loss_and_gradients(weights, *next(batches))
        update(gradients)
        return loss

    return step


def epoch() -> None:
    """Train the MLP for one shuffled epoch of MNIST, bytes in memory, float32 when drawn."""
    images, labels = read_mnist()
    order = np.random.default_rng(0).permutation(len(labels))
    parts = [order[start : start + 64] for start in range(0, len(order), 64)]
    batches = ((np.divide(images[chosen], 255, dtype=np.float32), labels[chosen]) for chosen in parts)
    step = training(batch_size=64, optimizer="Adam", options={"lr": 1e-3}, batches=batches)
    for _ in parts:
        step()


def predicting() -> Step:
    weights, batches = starting_weights("mlp"), cycle(prepared_batches(1))
    return lambda: mlp_scores(weights, next(batches)[0])[-1]


def stepping(*, shapes: list[tuple[int, ...]], optimizer: str, options: dict[str, float]) -> Step:
    weights, gradients = weights_and_gradients(shapes)
    weights, update = together(weights, optimizer, options)

    def step() -> np.ndarray:
        update(gradients)
        return weights[0]

    return step


WORKLOADS: dict[str, Callable[[], Any]] = {
    SMALL_OPS: small_ops,
    **{name: partial(training, **plan) for name, plan in {**MLPS, **LARGER}.items()},
    PREDICTION: predicting,
    **{name: partial(stepping, **plan) for name, plan in STEPS.items()},
}
