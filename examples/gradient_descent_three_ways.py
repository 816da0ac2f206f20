"""Gradient descent three ways: on the full batch, on one example at a time, and on minibatches.

    python examples/gradient_descent_three_ways.py

It is the same `SGD` three times, only the DataLoader's batch size differs. The full batch gives the exact gradient,
smooth but slow to get; one example a noisy one for next to nothing; a minibatch has most of both advantages.
"""

import argparse
import time
from pathlib import Path

import minidl
from minidl import Tensor, nn, optim, study
from minidl.data import MNIST, DataLoader, TensorDataset

WAYS = {  # batch size, learning rate (the noisier the smaller), epochs, colour
    "full batch (Cauchy 1847)": (2000, 0.2, 300, "#7a8699"),
    "one example (Robbins & Monro 1951)": (1, 0.01, 4, "#e08a00"),
    "minibatch of 32": (32, 0.1, 60, "#0b6bcb"),
}
Look = tuple[int, float, float]  # gradient steps so far, seconds they took, loss over all examples


def descend(images: Tensor, labels: Tensor, batch_size: int, lr: float, epochs: int) -> list[Look]:
    """Train a small network, and look at it after 1 step, 2, ... at ever larger distances, and at the end."""
    minidl.manual_seed(0)  # each way starts from the same weights
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
    loss_function = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=lr)
    loader = DataLoader(TensorDataset(images, labels), batch_size, shuffle=True)
    looks, seconds = [], 0.0
    for step, (x, y) in enumerate((batch for _ in range(epochs) for batch in loader), start=1):
        started = time.perf_counter()
        optimizer.zero_grad()
        loss_function(model(x), y).backward()
        optimizer.step()
        seconds += time.perf_counter() - started
        if not looks or step >= 1.1 * looks[-1][0] or step == epochs * len(loader):
            looks.append((step, seconds, loss_function(model(images), labels).item()))
    return looks


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare three batch sizes of gradient descent on MNIST.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/three_ways.png", help="picture of the loss (%(default)s)"
    )
    options, results = parser.parse_args(), {}
    images, labels = MNIST(train=True)[:2000]
    for way, (batch_size, lr, epochs, _) in WAYS.items():
        results[way] = descend(images, labels, batch_size, lr, epochs)
        steps, took, loss = results[way][-1]
        print(f"{way:35} {steps:5,} steps of {1e3 * took / steps:4.2f} ms = {took:4.2f} s, loss {loss:.3f}")
    draw(results, options.out)


def draw(results: dict[str, list[Look]], path: Path) -> None:
    """The loss over steps, where the exact gradient is the best guide, and over time, where it is too dear."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
    by_step, by_time = figure.subplots(1, 2, sharey=True)
    for way, looks in results.items():
        steps, seconds, losses = zip(*looks, strict=True)
        by_step.plot(steps, losses, color=WAYS[way][-1])
        by_time.plot(seconds, losses, color=WAYS[way][-1], label=way)
    by_step.set(xscale="log", yscale="log", xlabel="gradient steps", ylabel="loss over all examples")
    by_time.set(xlabel="seconds")
    by_time.legend(frameon=False)
    study.charts.save(figure, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
