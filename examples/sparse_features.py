"""Sparse features: some words are in every second text, most in one of a hundred or fewer.

    python examples/sparse_features.py

Logistic regression on made-up texts, with the best of the same learning rates for each method. Seen: SGD has one rate
for all words, and what the frequent ones stand is too small for the rare, whose weights get half as far; AdaGrad and
Adam, which divide by the size of a word's own gradients, learn the rare words too and end at a lower loss.
"""

import argparse
from pathlib import Path

import numpy as np

import minidl
from minidl import nn, optim, study

WORDS, TEXTS, BATCH, RATES = 200, 4000, 8, [10 ** (k / 2) for k in range(-5, 4)]
METHODS = {"SGD": (optim.SGD, "#0072b2"), "Adagrad": (optim.Adagrad, "#d55e00"), "Adam": (optim.Adam, "#009e73")}


def texts() -> tuple[minidl.Tensor, minidl.Tensor, np.ndarray]:
    """Which words are in which text (TEXTS, WORDS), whether a reader likes it (TEXTS), how frequent each word is."""
    random, frequency = np.random.default_rng(0), 0.5 / np.arange(1, WORDS + 1)  # Zipf's law
    words = random.random((TEXTS, WORDS)) < frequency
    taste = 3 * random.standard_normal(WORDS)
    likes = random.random(TEXTS) < 1 / (1 + np.exp(-(words @ taste)))
    return minidl.tensor(words.astype("float32")), minidl.tensor(likes.astype("float32")), frequency


def train(kind: type[optim.Optimizer], lr: float, x: minidl.Tensor, y: minidl.Tensor) -> tuple[list[float], np.ndarray]:
    """One pass over the texts: the loss over all of them on the way, and the weights at the end."""
    w, loss_function, losses = minidl.zeros(WORDS, requires_grad=True), nn.BCEWithLogitsLoss(), []
    optimizer = kind([w], lr=lr)
    for start in range(0, TEXTS, BATCH):
        optimizer.zero_grad()
        loss_function(x[start : start + BATCH] @ w, y[start : start + BATCH]).backward()
        optimizer.step()
        if start % (20 * BATCH) == 0:
            losses.append(loss_function(x @ w, y).item())
    return losses, w.detach().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn from words of which most are rare.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/sparse_features.png", help="picture of loss (%(default)s)"
    )
    options = parser.parse_args()
    (x, y, frequency), results = texts(), {}
    for name, (kind, _) in METHODS.items():
        tried = {lr: train(kind, lr, x, y) for lr in RATES}
        best = min(tried, key=lambda lr: tried[lr][0][-1])
        results[name] = losses, w = tried[best]
        sizes = np.abs(w).reshape(4, -1).mean(1).round(2)
        print(f"{name:8} lr {best:<5.3g} loss {losses[-1]:.3f}, mean |w|, from frequent to rare words:", *sizes)
    draw(results, frequency, options.out)


def draw(results: dict[str, tuple[list[float], np.ndarray]], frequency: np.ndarray, path: Path) -> None:
    """The loss on the way, and the size of the weights by how frequent their words are, 20 words to a point."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    left, right = (figure := Figure(figsize=(10, 4.2), dpi=150, layout="constrained")).subplots(1, 2)
    for name, (losses, w) in results.items():
        left.plot(20 * np.arange(len(losses)), losses, color=METHODS[name][1], label=name)
        right.plot(frequency[10::20], np.abs(w).reshape(-1, 20).mean(1), "o-", color=METHODS[name][1])
    left.set(xlabel="steps", ylabel="loss over all texts")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    right.set(xscale="log", xlim=(1e-3, 1), xlabel="part of the texts with the word", ylabel="mean size of its weight")
    study.charts.save(figure, path)
    print("picture:", path)


if __name__ == "__main__":
    main()
