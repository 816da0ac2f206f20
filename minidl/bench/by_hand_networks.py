"""Backpropagation by hand: six networks in bare NumPy, each a function that gives the loss and all its gradients.

Every step forward is undone further below, from the last to the first, by the chain rule.

Numbers lie features first and batch last, (features, N) and (channels, height, width, N): NumPy is quick along long
contiguous runs, and W @ x and its way back need no transposed copies.  What nobody needs any more is written over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray
LossAndGradients = tuple[np.floating, list[Array]]  # the gradients in the order of the weights

BLOCK = 1 << 19  # bytes of columns that are made at a time, so that they are still in the cache when they are used


# -- layers: a way forward, and the way back through it ------------------------------------------------------------


def cross_entropy(scores: Array, labels: Array) -> tuple[np.floating, Array]:
    """The mean of -log softmax(scores)[label], and its gradient: (classes, N), (N,).  The scores are written over."""
    columns = np.arange(len(labels))
    scores -= scores.max(0)
    g = np.exp(scores)
    total = g.sum(0)
    loss = (np.log(total) - scores[labels, columns]).mean()
    g /= total
    g[labels, columns] -= 1
    g /= len(labels)
    return loss, g


def sums(x: Array) -> Array:
    """The sum of each row, as a product, which is quicker."""
    return x @ np.ones(x.shape[1], x.dtype)


def linear(x: Array, w: Array, b: Array) -> Array:
    out = w @ x  # (out, N)
    out += b[:, None]
    return out


def linear_gradients(g: Array, x: Array) -> list[Array]:
    """The gradients of w and b."""
    return [g * x.T if x.shape[1] == 1 else g @ x.T, sums(g)]


def relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x)


def relu_back(g: Array, out: Array) -> Array:
    g *= out > 0
    return g


def padded(x: Array, p: int) -> Array:
    channels, height, width, batch = x.shape
    frame = np.zeros((channels, height + 2 * p, width + 2 * p, batch), x.dtype)
    frame[:, p:-p, p:-p] = x
    return frame


def columns_of(x: Array, k: int) -> Iterator[tuple[slice, Array]]:
    """What a k by k window sees of x (C, H, W, N), some rows of positions at a time: where, (C·k·k, positions·N)."""
    seen = sliding_window_view(x, (k, k), axis=(1, 2)).transpose(0, 4, 5, 1, 2, 3)  # (C, k, k, height, width, N)
    entries, row = len(x) * k * k, seen.shape[4] * seen.shape[5]
    rows = max(1, BLOCK // (entries * row * x.itemsize))
    for start in range(0, seen.shape[3], rows):
        columns = seen[:, :, :, start : start + rows].reshape(entries, -1)
        yield slice(start * row, start * row + columns.shape[1]), columns


def convolution(x: Array, w: Array, b: Array) -> Array:
    """(C, H, W, N), (O, C, k, k), (O,) -> (O, H - k + 1, W - k + 1, N)"""
    outputs, k, (_, height, width, batch) = len(w), w.shape[2], x.shape
    out = np.empty((outputs, height - k + 1, width - k + 1, batch), x.dtype)
    flat = out.reshape(outputs, -1)
    for places, columns in columns_of(x, k):
        block = np.matmul(w.reshape(outputs, -1), columns, out=flat[:, places])
        block += b[:, None]
    return out


def convolution_gradients(g: Array, x: Array, w: Array) -> list[Array]:
    """The gradients of w and b."""
    g = g.reshape(len(g), -1)
    dw = sum(columns @ g[:, places].T for places, columns in columns_of(x, w.shape[2]))  # (C·k·k, O)
    return [dw.T.reshape(w.shape), sums(g)]


def convolution_back(g: Array, w: Array) -> Array:
    """The gradient of x: each g is added to all that its window saw."""
    (outputs, channels, k, _), (_, height, width, batch) = w.shape, g.shape
    dx = np.zeros((channels, height + k - 1, width + k - 1, batch), g.dtype)
    entries = w.transpose(2, 3, 1, 0).reshape(-1, outputs)  # (k·k·C, O)
    rows = max(1, BLOCK // (len(entries) * width * batch * g.itemsize))
    for top in range(0, height, rows):
        part = g[:, top : top + rows]
        seen = (entries @ part.reshape(outputs, -1)).reshape(k, k, channels, -1, width, batch)
        for i, j in np.ndindex(k, k):
            dx[:, top + i : top + i + part.shape[1], j : j + width] += seen[i, j]
    return dx


def corners(x: Array) -> list[Array]:
    """The four entries of each 2 by 2 square."""
    return [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def pool(x: Array) -> Array:
    """The largest entry of each 2 by 2 square."""
    first, *others = corners(x)
    out = first.copy()
    for corner in others:
        np.maximum(out, corner, out=out)
    return out


def pool_back(g: Array, x: Array, out: Array) -> Array:
    """The gradient goes to the first entry that is the largest."""
    dx, free = np.empty_like(x), np.ones(out.shape, bool)
    for corner, slope in zip(corners(x), corners(dx), strict=True):
        chosen = corner == out
        chosen &= free
        free ^= chosen
        np.multiply(g, chosen, out=slope)
    return dx


def batch_norm(x: Array, w: Array, b: Array) -> tuple[Array, Array, Array]:
    """(x - mean) / √(variance + 1e-5) · w + b for each channel; beside it the standardized x, and 1 / √…

    Without the running averages, which training does not read.
    """
    rows = x.reshape(len(x), -1)  # (C, H·W·N)
    rows -= (sums(rows) / rows.shape[1])[:, None]
    scale = 1 / np.sqrt(np.vecdot(rows, rows) / rows.shape[1] + np.float32(1e-5))
    rows *= scale[:, None]
    out = rows * w[:, None]
    out += b[:, None]
    return out.reshape(x.shape), rows, scale


def batch_norm_back(g: Array, x: Array, scale: Array, w: Array) -> list[Array]:
    """The gradients of what batch_norm was given, of w and of b: g - mean(g) - x · mean(g · x), scaled."""
    shape, g = g.shape, g.reshape(x.shape)
    dw, db = np.vecdot(g, x), sums(g)
    dx = x * (dw / -x.shape[1])[:, None]
    dx += g
    dx -= (db / x.shape[1])[:, None]
    dx *= (w * scale)[:, None]
    return [dx.reshape(shape), dw, db]


def layer_norm(x: Array, w: Array, b: Array) -> tuple[Array, Array, Array]:
    """The same for each column of x (features, tokens)."""
    x -= x.mean(0)
    scale = 1 / np.sqrt((x * x).mean(0) + np.float32(1e-5))
    x *= scale
    out = x * w[:, None]
    out += b[:, None]
    return out, x, scale


def layer_norm_back(g: Array, x: Array, scale: Array, w: Array) -> list[Array]:
    dw, db = np.vecdot(g, x), sums(g)
    dx = g * w[:, None]
    dx -= dx.mean(0) + x * (dx * x).mean(0)
    dx *= scale
    return [dx, dw, db]


def lstm(rows: Array, w_x: Array, b_x: Array, w_h: Array, b_h: Array) -> tuple[Array, ...]:
    """What each step sees, gates, memories c, and tanh(c), for rows (T, inputs, N).

    With σ(z) = ½ + ½ tanh(z/2), one tanh serves all gates; each step is one product, the bias included.
    """
    (steps, inputs, batch), units = rows.shape, w_h.shape[1]
    half = np.repeat(np.array([0.5, 0.5, 1, 0.5], np.float32), units)[:, None]  # input, forget, news, output
    weights = np.concatenate([w_x, w_h, (b_x + b_h)[:, None]], 1) * half
    seen = np.ones((steps + 1, inputs + units + 1, batch), np.float32)  # a row, h, and 1 for the bias
    seen[:-1, :inputs], h = rows, seen[:, inputs:-1]
    gates = np.empty((steps, 4, units, batch), np.float32)
    c, shown = np.zeros((steps + 1, units, batch), np.float32), np.empty((steps, units, batch), np.float32)
    h[0] = 0
    for t in range(steps):
        z = np.matmul(weights, seen[t], out=gates[t].reshape(4 * units, batch))
        np.tanh(z, out=z)
        z *= half
        z += 1 - half
        i, f, g, o = gates[t]
        np.multiply(f, c[t], out=c[t + 1])
        c[t + 1] += i * g
        np.tanh(c[t + 1], out=shown[t])
        np.multiply(o, shown[t], out=h[t + 1])
    return seen, gates, c, shown


def lstm_back(dh: Array, seen: Array, gates: Array, c: Array, shown: Array, w_h: Array) -> list[Array]:
    """The gradients of all weights and biases, where dh is that of the last h."""
    steps, _, units, batch = gates.shape
    dc, dz = np.zeros((units, batch), np.float32), np.empty_like(gates)
    for t in reversed(range(steps)):
        i, f, g, o = gates[t]
        dc += dh * o * (1 - shown[t] * shown[t])
        for slope, along, other in zip(dz[t], (dc, dc, dc, dh), (g, c[t], i, shown[t]), strict=True):
            np.multiply(along, other, out=slope)
        slopes = 1 - gates[t]
        slopes *= gates[t]  # σ' = σ (1 - σ)
        np.subtract(1, g * g, out=slopes[2])  # tanh' = 1 - tanh²
        dz[t] *= slopes
        dc *= f
        dh = w_h.T @ dz[t].reshape(4 * units, batch)
    z, x = (y.reshape(steps, -1, batch).transpose(1, 0, 2).reshape(-1, steps * batch) for y in (dz, seen[:-1]))
    dw = z @ x.T  # (4·units, inputs + units + 1)
    db = dw[:, -1]
    return [dw[:, : -units - 1], db, dw[:, -units - 1 : -1], db]


def by_head(x: Array, heads: int, batch: int) -> Array:
    """(some · features, N·length) -> (some, N, heads, size, length), on the same memory; size = 16."""
    return x.reshape(-1, heads, 16, batch, x.shape[1] // batch).transpose(0, 3, 1, 2, 4)


def attention(qkv: Array, heads: int, batch: int) -> tuple[Array, Array]:
    """What the queries take from the values, (features, N·length), and softmax(Qᵀ K / √size), by which they take it."""
    q, k, v = by_head(qkv, heads, batch)
    q *= 0.25  # 1 / √size
    p = q.mT @ k  # (N, heads, queries, keys)
    p -= p.max(-1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(-1, keepdims=True)
    taken = np.empty((len(qkv) // 3, qkv.shape[1]), qkv.dtype)
    np.matmul(v, p.mT, out=by_head(taken, heads, batch)[0])
    return taken, p


def attention_back(g: Array, qkv: Array, p: Array) -> Array:
    """The gradient of qkv, whose queries have been scaled."""
    dqkv, (batch, heads) = np.empty_like(qkv), p.shape[:2]
    (g,), (q, k, v), (dq, dk, dv) = (by_head(x, heads, batch) for x in (g, qkv, dqkv))
    np.matmul(g, p, out=dv)
    dp = g.mT @ v
    dp -= np.vecdot(dp, p)[..., None]
    dp *= p  # softmax' : p · (dp - Σ dp · p)
    np.matmul(q, dp, out=dk)
    np.matmul(k, dp.mT, out=dq)
    dq *= 0.25
    return dqkv


# -- networks ------------------------------------------------------------------------------------------------------


def mlp_scores(weights: list[Array], images: Array) -> tuple[Array, ...]:
    w1, b1, w2, b2 = weights
    x = images.reshape(len(images), -1).T  # (784, N)
    h = relu(linear(x, w1, b1))
    return x, h, linear(h, w2, b2)


def mlp(weights: list[Array], images: Array, labels: Array) -> LossAndGradients:
    x, h, scores = mlp_scores(weights, images)
    loss, g = cross_entropy(scores, labels)

    second = linear_gradients(g, h)
    g = relu_back(weights[2].T @ g, h)
    return loss, [*linear_gradients(g, x), *second]


def lenet(weights: list[Array], images: Array, labels: Array) -> LossAndGradients:
    w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = weights
    x1 = padded(images.transpose(1, 2, 3, 0), 2)  # (1, 32, 32, N)
    y1 = relu(convolution(x1, w1, b1))  # (6, 28, 28, N)
    x2 = pool(y1)
    y2 = relu(convolution(x2, w2, b2))  # (16, 10, 10, N)
    p2 = pool(y2)
    x3 = p2.reshape(400, -1)
    x4 = relu(linear(x3, w3, b3))
    x5 = relu(linear(x4, w4, b4))
    loss, g = cross_entropy(linear(x5, w5, b5), labels)

    fifth = linear_gradients(g, x5)
    g = relu_back(w5.T @ g, x5)
    fourth = linear_gradients(g, x4)
    g = relu_back(w4.T @ g, x4)
    third = linear_gradients(g, x3)
    g = relu_back(pool_back((w3.T @ g).reshape(p2.shape), y2, p2), y2)
    second = convolution_gradients(g, x2, w2)
    g = relu_back(pool_back(convolution_back(g, w2), y1, x2), y1)
    first = convolution_gradients(g, x1, w1)
    return loss, [*first, *second, *third, *fourth, *fifth]


def batch_norm_cnn(weights: list[Array], images: Array, labels: Array) -> LossAndGradients:
    w1, b1, s1, c1, w2, b2, s2, c2, w3, b3 = weights
    x1 = padded(images.transpose(1, 2, 3, 0), 1)  # (1, 30, 30, N)
    y1, n1, scale1 = batch_norm(convolution(x1, w1, b1), s1, c1)  # (16, 28, 28, N)
    p1 = pool(relu(y1))
    x2 = padded(p1, 1)  # (16, 16, 16, N)
    y2, n2, scale2 = batch_norm(convolution(x2, w2, b2), s2, c2)  # (32, 14, 14, N)
    p2 = pool(relu(y2))
    x3 = p2.reshape(1568, -1)
    loss, g = cross_entropy(linear(x3, w3, b3), labels)

    third = linear_gradients(g, x3)
    g = relu_back(pool_back((w3.T @ g).reshape(p2.shape), y2, p2), y2)
    g, *second_norm = batch_norm_back(g, n2, scale2, s2)
    second = convolution_gradients(g, x2, w2)
    g = convolution_back(g, w2)[:, 1:-1, 1:-1]
    g = relu_back(pool_back(g, y1, p1), y1)
    g, *first_norm = batch_norm_back(g, n1, scale1, s1)
    first = convolution_gradients(g, x1, w1)
    return loss, [*first, *first_norm, *second, *second_norm, *third]


def example_cnn(weights: list[Array], images: Array, labels: Array) -> LossAndGradients:
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    x1 = images.transpose(1, 2, 3, 0).copy()  # (1, 28, 28, N)
    x2 = relu(convolution(x1, w1, b1))  # (32, 26, 26, N)
    y2 = relu(convolution(x2, w2, b2))  # (64, 24, 24, N)
    p2 = pool(y2)
    x3 = p2.reshape(9216, -1)
    x4 = relu(linear(x3, w3, b3))
    loss, g = cross_entropy(linear(x4, w4, b4), labels)

    fourth = linear_gradients(g, x4)
    g = relu_back(w4.T @ g, x4)
    third = linear_gradients(g, x3)
    g = relu_back(pool_back((w3.T @ g).reshape(p2.shape), y2, p2), y2)
    second = convolution_gradients(g, x2, w2)
    g = relu_back(convolution_back(g, w2), x2)
    first = convolution_gradients(g, x1, w1)
    return loss, [*first, *second, *third, *fourth]


def row_lstm(weights: list[Array], images: Array, labels: Array) -> LossAndGradients:
    *recurrent, w, b = weights
    seen, gates, c, shown = lstm(images[:, 0].transpose(1, 2, 0), *recurrent)
    h = seen[-1, 28:-1]  # (units, N)
    loss, g = cross_entropy(linear(h, w, b), labels)
    return loss, [*lstm_back(w.T @ g, seen, gates, c, shown, recurrent[2]), *linear_gradients(g, h)]


def row_transformer(weights: list[Array], images: Array, labels: Array) -> LossAndGradients:
    we, be, wa, ba, wo, bo, w1, b1, w2, b2, s1, c1, s2, c2, w, b = weights
    batch, _, length, _ = images.shape
    x = images.reshape(batch * length, -1).T
    e = linear(x, we, be)  # (features, tokens)
    qkv = linear(e, wa, ba)
    taken, p = attention(qkv, 4, batch)
    y = linear(taken, wo, bo)
    y += e
    y, n1, scale1 = layer_norm(y, s1, c1)
    h = relu(linear(y, w1, b1))
    z = linear(h, w2, b2)
    z += y
    z, n2, scale2 = layer_norm(z, s2, c2)
    average = z.reshape(-1, batch, length).mean(2)  # (features, N)
    loss, g = cross_entropy(linear(average, w, b), labels)

    head = linear_gradients(g, average)
    dz, *second_norm = layer_norm_back(np.repeat(w.T @ g / length, length, axis=1), n2, scale2, s2)
    second = linear_gradients(dz, h)
    g = relu_back(w2.T @ dz, h)
    first = linear_gradients(g, y)
    dz += w1.T @ g
    dy, *first_norm = layer_norm_back(dz, n1, scale1, s1)
    out = linear_gradients(dy, taken)
    g = attention_back(wo.T @ dy, qkv, p)
    attended = linear_gradients(g, e)
    dy += wa.T @ g
    return loss, [*linear_gradients(dy, x), *attended, *out, *first, *second, *first_norm, *second_norm, *head]


NETWORKS: dict[str, Callable[[list[Array], Array, Array], LossAndGradients]] = {
    network.__name__: network for network in (mlp, lenet, batch_norm_cnn, example_cnn, row_lstm, row_transformer)
}
