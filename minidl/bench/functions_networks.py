"""The networks as functions of their weights, written once for libraries that differentiate such functions.

`n` has NumPy's words, and what functions.py adds where a library has a way of its own: `constant(x)` is x without
derivatives, `relu(x)` max(x, 0), `each(f, rows)` f of each row, `last(step, state, rows)` the state after a step with
each row, and `convolution(x, w, padding)`, `max_pool(x)` of 2 by 2 and `batch_norm(x, w, b)` take (N, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def sigmoid(n: Any, x: Any) -> Any:
    return 1 / (1 + n.exp(-x))


def linear(n: Any, x: Any, w: Any, b: Any) -> Any:
    return n.matmul(x, w.T) + b


def convolution(n: Any, x: Any, w: Any, b: Any, padding: int = 0) -> Any:
    return n.convolution(x, w, padding) + b.reshape(1, -1, 1, 1)


def softmax(n: Any, x: Any) -> Any:
    e = n.exp(x - n.constant(n.max(x, axis=-1, keepdims=True)))
    return e / n.sum(e, axis=-1, keepdims=True)


def mean(n: Any, x: Any, axis: int, keepdims: bool = False) -> Any:
    """A product, since autograd's derivative of the mean is float64, which would make all that follows slow."""
    return n.sum(x, axis=axis, keepdims=keepdims) * (1 / x.shape[axis])


def layer_norm(n: Any, x: Any, w: Any, b: Any) -> Any:
    d = x - mean(n, x, -1, keepdims=True)
    return d / n.sqrt(mean(n, d * d, -1, keepdims=True) + 1e-5) * w + b


def mlp(n: Any, weights: Any, images: Any) -> Any:
    w1, b1, w2, b2 = weights
    return linear(n, n.relu(linear(n, images.reshape(len(images), 784), w1, b1)), w2, b2)


def lenet(n: Any, weights: Any, images: Any) -> Any:
    w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = weights
    x = n.max_pool(n.relu(convolution(n, images, w1, b1, 2)))
    x = n.max_pool(n.relu(convolution(n, x, w2, b2)))
    x = n.relu(linear(n, x.reshape(len(images), 400), w3, b3))
    return linear(n, n.relu(linear(n, x, w4, b4)), w5, b5)


def batch_norm_cnn(n: Any, weights: Any, images: Any) -> Any:
    w1, b1, s1, c1, w2, b2, s2, c2, w3, b3 = weights
    x = n.max_pool(n.relu(n.batch_norm(convolution(n, images, w1, b1, 1), s1, c1)))
    x = n.max_pool(n.relu(n.batch_norm(convolution(n, x, w2, b2, 1), s2, c2)))
    return linear(n, x.reshape(len(images), 1568), w3, b3)


def example_cnn(n: Any, weights: Any, images: Any) -> Any:
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    x = n.relu(convolution(n, images, w1, b1))
    x = n.max_pool(n.relu(convolution(n, x, w2, b2)))
    return linear(n, n.relu(linear(n, x.reshape(len(images), 9216), w3, b3)), w4, b4)


def row_lstm(n: Any, weights: Any, images: Any) -> Any:
    w_x, b_x, w_h, b_h, w, b = weights
    units = w_h.shape[1]

    def step(state: Any, row: Any) -> Any:
        h, c = state
        z = row + linear(n, h, w_h, b_h)  # (N, 4 · units)
        i, f, g, o = (z[:, k * units : (k + 1) * units] for k in range(4))
        c = sigmoid(n, f) * c + sigmoid(n, i) * n.tanh(g)
        return sigmoid(n, o) * n.tanh(c), c

    rows = n.each(lambda row: linear(n, row, w_x, b_x), images[:, 0].transpose(1, 0, 2))
    zeros = n.zeros((len(images), units), n.float32)
    return linear(n, n.last(step, (zeros, zeros), rows)[0], w, b)


def row_transformer(n: Any, weights: Any, images: Any) -> Any:
    we, be, wa, ba, wo, bo, w1, b1, w2, b2, s1, c1, s2, c2, w, b = weights
    x = linear(n, images[:, 0], we, be)  # (N, length, features)
    batch, length, features = x.shape
    qkv = linear(n, x, wa, ba).reshape(batch, length, 3, 4, features // 4)
    q, k, v = (n.transpose(qkv[:, :, i], (0, 2, 1, 3)) for i in range(3))  # (N, heads, length, size)
    taken = n.matmul(softmax(n, n.matmul(q * (features // 4) ** -0.5, n.swapaxes(k, -1, -2))), v)
    taken = n.transpose(taken, (0, 2, 1, 3)).reshape(batch, length, features)
    x = layer_norm(n, x + linear(n, taken, wo, bo), s1, c1)
    x = layer_norm(n, x + linear(n, n.relu(linear(n, x, w1, b1)), w2, b2), s2, c2)
    return linear(n, mean(n, x, 1), w, b)


NETWORKS: dict[str, Callable[[Any, Any, Any], Any]] = {
    network.__name__: network for network in (mlp, lenet, batch_norm_cnn, example_cnn, row_lstm, row_transformer)
}
WITHOUT_IMAGES = ("mlp", "row_lstm", "row_transformer")  # those that need no convolution
