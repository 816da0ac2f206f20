"""The workloads for libraries that differentiate functions of arrays: JAX (jit), HIPS autograd and MyGrad.

What is differentiated is written once in NumPy's words.  JAX compiles a whole step, its optimizer included, out of the
pure rules below; autograd and MyGrad, which work on NumPy's arrays, use the optimizers of by_hand.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial, reduce
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import numpy as np

from minidl.bench.by_hand import together
from minidl.bench.functions_networks import NETWORKS, WITHOUT_IMAGES, mlp, sigmoid
from minidl.bench.workloads import (
    LARGER,
    MLPS,
    PREDICTION,
    SMALL_OPS,
    STEPS,
    Step,
    prepared_batches,
    small_numbers,
    starting_weights,
    weights_and_gradients,
)

# -- what is differentiated: `n` has NumPy's words ---------------------------------------------------------------


def small_ops(n: Any, w: Any, x: Any, sigmoid: Any = sigmoid) -> Any:
    return n.sum(n.exp(sigmoid(n, n.tanh(x * w + x) * w) - x)) * (1 / x.size)


def cross_entropy(n: Any, scores: Any, labels: Any) -> Any:
    """The mean is a product, and the largest score a `constant`, since autograd's derivatives of mean and max are
    float64, which would make all that follows twice as slow.
    """
    scores = scores - n.constant(n.max(scores, axis=1, keepdims=True))
    logs = scores - n.log(n.sum(n.exp(scores), axis=1, keepdims=True))
    return n.sum(logs[np.arange(len(labels)), labels]) * (-1 / len(labels))


def in_python(n: Any, constant: Any, **own: Any) -> Any:
    """What functions_networks.py asks of a library without loops of its own, out of its module like NumPy."""
    return SimpleNamespace(**{
        **vars(n),
        "constant": constant,
        "relu": lambda x: n.maximum(x, 0),
        "each": lambda f, rows: [f(row) for row in rows],
        "last": lambda step, state, rows: reduce(step, rows, state),
        **own,
    })


# -- HIPS autograd -----------------------------------------------------------------------------------------------


def autograd_workloads(autograd: Any) -> dict[str, Any]:
    """Without convolutions: it has only SciPy's for signals, which are hundreds of times slower."""
    from autograd import numpy
    from autograd.tracer import getval

    n = in_python(numpy, getval)

    def small() -> Step:
        x, w = small_numbers()
        gradient = autograd.grad(lambda w: small_ops(n, w, x))
        return lambda: gradient(w)

    def training(
        *, batch_size: int, optimizer: str, options: dict[str, float], network: str = "mlp", **size: int
    ) -> Step:
        weights, update = together(starting_weights(network, **size), optimizer, options)
        scores, batches = NETWORKS[network], cycle(prepared_batches(batch_size))
        loss_and_gradients = autograd.value_and_grad(lambda ws, x, y: cross_entropy(n, scores(n, ws, x), y))

        def step() -> Any:
            loss, gradients = loss_and_gradients(weights, *next(batches))
            update(gradients)
            return loss

        return step

    able = {name: plan for name, plan in LARGER.items() if plan["network"] in WITHOUT_IMAGES}
    return {SMALL_OPS: small, **{name: partial(training, **plan) for name, plan in {**MLPS, **able}.items()}}


# -- MyGrad ------------------------------------------------------------------------------------------------------


def mygrad_workloads(mygrad: Any) -> dict[str, Any]:
    """With its own layers and cross entropy, and without the guards that its documentation says cost time."""
    from mygrad import nnet

    mygrad.turn_memory_guarding_off()
    n = in_python(
        mygrad, lambda x: x.data,
        convolution=lambda x, w, padding: nnet.conv_nd(x, w, stride=1, padding=padding),
        max_pool=lambda x: nnet.max_pool(x, (2, 2), 2),
        batch_norm=lambda x, w, b: nnet.batchnorm(x, gamma=w, beta=b, eps=1e-5),
    )  # fmt: skip

    def small() -> Step:
        x, start = small_numbers()
        w = mygrad.tensor(start)

        def step() -> Any:
            w.null_grad()
            small_ops(mygrad, w, x, lambda _, y: nnet.sigmoid(y)).backward()
            return w.grad

        return step

    def training(
        *, batch_size: int, optimizer: str, options: dict[str, float], network: str = "mlp", **size: int
    ) -> Step:
        arrays, update = together(starting_weights(network, **size), optimizer, options)
        weights, batches = [mygrad.tensor(w, copy=False) for w in arrays], cycle(prepared_batches(batch_size))

        def step() -> Any:
            images, labels = next(batches)
            loss = nnet.softmax_crossentropy(NETWORKS[network](n, weights, images), labels)
            loss.backward()
            update([w.grad for w in weights])
            for w in weights:
                w.null_grad()
            return loss.data

        return step

    return {SMALL_OPS: small, **{name: partial(training, **plan) for name, plan in {**MLPS, **LARGER}.items()}}


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


def adamw(n: Any, t: Any, w: Any, g: Any, m: Any, v: Any, lr: float, weight_decay: float = 0.01) -> Any:
    return adam(n, t, w * (1 - lr * weight_decay), g, m, v, lr)


RULES: dict[str, tuple[Callable[..., Any], int]] = {  # and how many arrays each remembers
    "SGD": (sgd, 1), "Adagrad": (adagrad, 1), "RMSprop": (rmsprop, 1), "Adadelta": (adadelta, 2), "Adam": (adam, 2),
    "AdamW": (adamw, 2),
}  # fmt: skip


def jax_layers(jax: Any) -> dict[str, Any]:
    """What functions_networks.py asks for beside NumPy's words."""
    n, lax = jax.numpy, jax.lax

    def batch_norm(x: Any, w: Any, b: Any) -> Any:
        d = x - x.mean((0, 2, 3), keepdims=True)
        d = d / n.sqrt((d * d).mean((0, 2, 3), keepdims=True) + 1e-5)
        return d * w.reshape(1, -1, 1, 1) + b.reshape(1, -1, 1, 1)

    squares = (1, 1, 2, 2)
    return {
        "constant": lax.stop_gradient,
        "relu": jax.nn.relu,  # whose slope at 0 is 0 as in PyTorch; that of its maximum is ½
        "each": lambda f, rows: f(rows),  # all at once
        "last": lambda step, state, rows: lax.scan(lambda state, row: (step(state, row), None), state, rows)[0],
        "convolution": lambda x, w, padding: lax.conv_general_dilated(x, w, (1, 1), [(padding, padding)] * 2),
        "max_pool": lambda x: lax.reduce_window(x, -math.inf, lax.max, squares, squares, "VALID"),
        "batch_norm": batch_norm,
    }


def jax_workloads(jax: Any) -> dict[str, Any]:
    """A step is one compiled function; the arrays that it replaces are given to it to write over."""
    n = SimpleNamespace(**{**vars(jax.numpy), **jax_layers(jax)})

    def descend(rule: Any, options: Any, t: Any, weights: Any, gradients: Any, memories: Any) -> Any:
        new = [rule(n, t, w, g, *m, **dict(options)) for w, g, m in zip(weights, gradients, memories, strict=True)]
        return [w for w, *_ in new], [m for _, *m in new]

    @cache  # compiled once, however often the workload begins anew
    def compiled(network: str, optimizer: str, options: Any) -> Any:
        def loss_of(weights: Any, images: Any, labels: Any) -> Any:
            return cross_entropy(n, NETWORKS[network](n, weights, images), labels)

        def step(t: Any, weights: Any, memories: Any, images: Any, labels: Any) -> Any:
            loss, gradients = jax.value_and_grad(loss_of)(weights, images, labels)
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

    def training(
        *, batch_size: int, optimizer: str, options: dict[str, float], network: str = "mlp", **size: int
    ) -> Step:
        state = beginning(starting_weights(network, **size), optimizer)
        do, batches = compiled(network, optimizer, tuple(options.items())), batches_of(batch_size)

        def step() -> Any:
            nonlocal state
            loss, *state = do(*state, *next(batches))
            return loss

        return step

    def predicting() -> Step:
        weights, batches = [n.array(w) for w in starting_weights("mlp")], batches_of(1)
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
        **{name: partial(training, **plan) for name, plan in {**MLPS, **LARGER}.items()},
        PREDICTION: predicting,
        **{name: partial(stepping, **plan) for name, plan in STEPS.items()},
    }
