"""The workloads for libraries that differentiate functions of arrays: JAX (jit), HIPS autograd and MyGrad.

What is differentiated is written once in NumPy's words.  JAX compiles a whole step, its optimizer included, out of the
pure rules below; autograd and MyGrad, which work on NumPy's arrays, use the optimizers of by_hand.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from itertools import cycle
from typing import Any

import numpy as np

from minidl.bench.by_hand import mlp_weights, updates
from minidl.bench.workloads import (
    MLPS,
    PREDICTION,
    SMALL_OPS,
    STEPS,
    Step,
    prepared_batches,
    small_numbers,
    weights_and_gradients,
)

# -- what is differentiated: `n` has NumPy's words ---------------------------------------------------------------


def sigmoid(n: Any, x: Any) -> Any:
    return 1 / (1 + n.exp(-x))


def small_ops(n: Any, w: Any, x: Any, sigmoid: Any = sigmoid) -> Any:
    return n.sum(n.exp(sigmoid(n, n.tanh(x * w + x) * w) - x)) * (1 / x.size)


def cross_entropy(n: Any, scores: Any, labels: Any, constant: Any = lambda x: x) -> Any:
    """The mean is a product, and the largest score a `constant`, since autograd's derivatives of mean and max are
    float64, which would make all that follows twice as slow.
    """
    scores = scores - constant(n.max(scores, axis=1, keepdims=True))
    logs = scores - n.log(n.sum(n.exp(scores), axis=1, keepdims=True))
    return n.sum(logs[np.arange(len(labels)), labels]) * (-1 / len(labels))


def mlp(n: Any, weights: Any, images: Any) -> Any:
    w1, b1, w2, b2 = weights
    hidden = n.maximum(n.matmul(images.reshape(len(images), 784), w1.T) + b1, 0)
    return n.matmul(hidden, w2.T) + b2


# -- HIPS autograd -----------------------------------------------------------------------------------------------


def autograd_workloads(autograd: Any) -> dict[str, Any]:
    from autograd import numpy as n
    from autograd.tracer import getval

    def small() -> Step:
        x, w = small_numbers()
        gradient = autograd.grad(lambda w: small_ops(n, w, x))
        return lambda: gradient(w)

    def training(*, batch_size: int, optimizer: str, options: dict[str, float], **size: int) -> Step:
        weights, batches = mlp_weights(**size), cycle(prepared_batches(batch_size))
        descent = updates(weights, optimizer, options)
        loss_and_gradients = autograd.value_and_grad(lambda ws, x, y: cross_entropy(n, mlp(n, ws, x), y, getval))

        def step() -> Any:
            loss, gradients = loss_and_gradients(weights, *next(batches))
            for update, g in zip(descent, gradients, strict=True):
                update(g)
            return loss

        return step

    return {SMALL_OPS: small, **{name: partial(training, **plan) for name, plan in MLPS.items()}}


# -- MyGrad ------------------------------------------------------------------------------------------------------


def mygrad_workloads(mygrad: Any) -> dict[str, Any]:
    """With its own sigmoid and cross entropy, and without the guards that its documentation says cost time."""
    from mygrad import nnet

    mygrad.turn_memory_guarding_off()

    def small() -> Step:
        x, start = small_numbers()
        w = mygrad.tensor(start)

        def step() -> Any:
            w.null_grad()
            small_ops(mygrad, w, x, lambda _, y: nnet.sigmoid(y)).backward()
            return w.grad

        return step

    def training(*, batch_size: int, optimizer: str, options: dict[str, float], **size: int) -> Step:
        weights, batches = [mygrad.tensor(w) for w in mlp_weights(**size)], cycle(prepared_batches(batch_size))
        descent = updates([w.data for w in weights], optimizer, options)

        def step() -> Any:
            images, labels = next(batches)
            loss = nnet.softmax_crossentropy(mlp(mygrad, weights, images), labels)
            loss.backward()
            for update, w in zip(descent, weights, strict=True):
                update(w.grad)
                w.null_grad()
            return loss.data

        return step

    return {SMALL_OPS: small, **{name: partial(training, **plan) for name, plan in MLPS.items()}}


# -- JAX -----------------------------------------------------------------------------------------------------------


def sgd(n: Any, t: Any, w: Any, g: Any, b: Any, lr: float, momentum: float = 0.0) -> Any:
    b = momentum * b + g
    return w - lr * b, b


def adagrad(n: Any, t: Any, w: Any, g: Any, v: Any, lr: float) -> Any:
    v = v + g * g
    return w - lr * g / (n.sqrt(v) + 1e-10), v


def rmsprop(n: Any, t: Any, w: Any, g: Any, v: Any, lr: float, alpha: float = 0.99) -> Any:
    v = alpha * v + (1 - alpha) * g * g
    return w - lr * g / (n.sqrt(v) + 1e-8), v


def adadelta(n: Any, t: Any, w: Any, g: Any, v: Any, a: Any, lr: float, rho: float = 0.9, eps: float = 1e-6) -> Any:
    v = rho * v + (1 - rho) * g * g
    d = n.sqrt(a + eps) / n.sqrt(v + eps) * g
    return w - lr * d, v, rho * a + (1 - rho) * d * d


def adam(n: Any, t: Any, w: Any, g: Any, m: Any, v: Any, lr: float, beta1: float = 0.9, beta2: float = 0.999) -> Any:
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    c1, c2 = (-n.expm1(t * math.log(beta)) for beta in (beta1, beta2))  # 1 - beta**t, exact in float32 as well
    return w - lr / c1 * m / (n.sqrt(v / c2) + 1e-8), m, v


RULES: dict[str, tuple[Callable[..., Any], int]] = {  # and how many arrays each remembers
    "SGD": (sgd, 1), "Adagrad": (adagrad, 1), "RMSprop": (rmsprop, 1), "Adadelta": (adadelta, 2), "Adam": (adam, 2),
}  # fmt: skip


def jax_workloads(jax: Any) -> dict[str, Any]:
    """A step is one compiled function; the arrays that it replaces are given to it to write over."""
    n = jax.numpy

    def descend(rule: Any, options: Any, t: Any, weights: Any, gradients: Any, memories: Any) -> Any:
        new = [rule(n, t, w, g, *m, **dict(options)) for w, g, m in zip(weights, gradients, memories, strict=True)]
        return [w for w, *_ in new], [m for _, *m in new]

    @cache  # compiled once, however often the workload begins anew
    def compiled(optimizer: str, options: Any) -> Any:
        def step(t: Any, weights: Any, memories: Any, images: Any, labels: Any) -> Any:
            loss, gradients = jax.value_and_grad(lambda ws: cross_entropy(n, mlp(n, ws, images), labels))(weights)
            return loss, t + 1, *descend(RULES[optimizer][0], options, t, weights, gradients, memories)

        return jax.jit(step, donate_argnums=(1, 2))

    @cache
    def compiled_update(optimizer: str, options: Any) -> Any:
        def step(t: Any, weights: Any, memories: Any, gradients: Any) -> Any:
            return t + 1, *descend(RULES[optimizer][0], options, t, weights, gradients, memories)

        return jax.jit(step, donate_argnums=(1, 2))

    def beginning(arrays: list[np.ndarray], optimizer: str) -> Any:
        memories = [[n.zeros_like(w) for _ in range(RULES[optimizer][1])] for w in arrays]
        return n.float32(1), [n.array(w) for w in arrays], memories

    small_gradient = jax.jit(jax.grad(partial(small_ops, n)))
    scores = jax.jit(partial(mlp, n))

    def small() -> Step:
        x, w = map(n.array, small_numbers())
        return lambda: small_gradient(w, x)

    def batches_of(batch_size: int) -> Any:
        return cycle([(n.array(images), n.array(labels, n.int32)) for images, labels in prepared_batches(batch_size)])

    def training(*, batch_size: int, optimizer: str, options: dict[str, float], **size: int) -> Step:
        do, state = compiled(optimizer, tuple(options.items())), beginning(mlp_weights(**size), optimizer)
        batches = batches_of(batch_size)

        def step() -> Any:
            nonlocal state
            loss, *state = do(*state, *next(batches))
            return loss

        return step

    def predicting() -> Step:
        weights, batches = [n.array(w) for w in mlp_weights()], batches_of(1)
        return lambda: scores(weights, next(batches)[0])

    def stepping(*, shapes: list[tuple[int, ...]], optimizer: str, options: dict[str, float]) -> Step:
        arrays, gradients = weights_and_gradients(shapes)
        do, state = compiled_update(optimizer, tuple(options.items())), beginning(arrays, optimizer)
        gradients = [n.array(g) for g in gradients]

        def step() -> Any:
            nonlocal state
            state = do(*state, gradients)
            return state[1][0]

        return step

    return {
        SMALL_OPS: small,
        **{name: partial(training, **plan) for name, plan in MLPS.items()},
        PREDICTION: predicting,
        **{name: partial(stepping, **plan) for name, plan in STEPS.items()},
    }
