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

from minidl.bench.workloads import (
    MLPS,
    PREDICTION,
    SMALL_OPS,
    STEPS,
    Step,
    known_weights,
    prepared_batches,
    small_numbers,
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


OPTIMIZERS: dict[str, Callable[..., Update]] = {
    "SGD": sgd, "Adagrad": adagrad, "RMSprop": rmsprop, "Adadelta": adadelta, "Adam": adam,
}  # fmt: skip


def updates(weights: list[np.ndarray], optimizer: str, options: dict[str, float]) -> list[Update]:
    return [OPTIMIZERS[optimizer](w, **options) for w in weights]


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


def mlp_weights(hidden: int = 128) -> list[np.ndarray]:
    w1, w2 = known_weights([(hidden, 784), (10, hidden)])
    return [w1, np.zeros(hidden, np.float32), w2, np.zeros(10, np.float32)]


def training(*, batch_size: int, optimizer: str, options: dict[str, float], hidden: int = 128) -> Step:
    weights = w1, b1, w2, b2 = mlp_weights(hidden)
    descent = updates(weights, optimizer, options)
    batches, rows = cycle(prepared_batches(batch_size)), np.arange(batch_size)

    def step() -> np.ndarray:
        images, labels = next(batches)
        x = images.reshape(batch_size, 784)
        h = x @ w1.T  # (batch, hidden)
        h += b1
        np.maximum(h, 0, out=h)
        scores = h @ w2.T + b2  # (batch, 10)
        scores -= scores.max(1, keepdims=True)
        g = np.exp(scores)
        total = g.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - scores[rows, labels]).mean()

        g /= total
        g[rows, labels] -= 1
        g /= batch_size
        back = g @ w2
        back *= h > 0
        for update, gradient in zip(descent, (back.T @ x, back.sum(0), g.T @ h, g.sum(0)), strict=True):
            update(gradient)
        return loss

    return step


def predicting() -> Step:
    w1, b1, w2, b2 = mlp_weights()
    batches = cycle(prepared_batches(1))

    def step() -> np.ndarray:
        h = next(batches)[0].reshape(1, 784) @ w1.T
        h += b1
        return np.maximum(h, 0, out=h) @ w2.T + b2

    return step


def stepping(*, shapes: list[tuple[int, ...]], optimizer: str, options: dict[str, float]) -> Step:
    weights, gradients = weights_and_gradients(shapes)
    descent = updates(weights, optimizer, options)

    def step() -> np.ndarray:
        for update, g in zip(descent, gradients, strict=True):
            update(g)
        return weights[0]

    return step


WORKLOADS: dict[str, Callable[[], Any]] = {
    SMALL_OPS: small_ops,
    **{name: partial(training, **plan) for name, plan in MLPS.items()},
    PREDICTION: predicting,
    **{name: partial(stepping, **plan) for name, plan in STEPS.items()},
}
