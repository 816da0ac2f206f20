"""Adam against SGD with momentum on MNIST: the accuracy after each epoch, over several seeds.

    python examples/adam_or_momentum.py

Both have the learning rate recommended for this network. Seen: after one epoch momentum is more than one percentage
point ahead, after five the two are level to within the spread between seeds: an adaptive method is no better always.
"""

import argparse
from pathlib import Path

import numpy as np

import minidl
from minidl import nn, optim, study
from minidl.data import MNIST, DataLoader

METHODS = {"SGD with momentum": (optim.Momentum, "#0072b2"), "Adam": (optim.Adam, "#d55e00")}


def accuracies(kind: type[optim.Optimizer], seed: int, epochs: int) -> list[float]:
    """The part of the test images that is right after each epoch, in percent."""
    minidl.manual_seed(seed)
    (images, labels), train_set = MNIST(train=False)[:], MNIST()
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer, results = kind(model.parameters(), lr=kind.recommended_lr), []
    for _ in range(epochs):
        for x, y in DataLoader(train_set, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        with minidl.no_grad():
            results.append(100 * (model(images).argmax(1) == labels).float().mean().item())
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on MNIST with Adam and with momentum.")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the 60,000 images (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/adam_or_momentum.png", help="accuracy (%(default)s)"
    )
    options = parser.parse_args()
    results = {}
    for name, (kind, _) in METHODS.items():
        results[name] = np.array([accuracies(kind, seed, options.epochs) for seed in range(options.seeds)])
        for epoch, column in enumerate(results[name].T, start=1):
            print(f"{name:17} epoch {epoch}: {column.mean():.2f} %, from {column.min():.2f} to {column.max():.2f}")
    draw(results, options.out)


def draw(results: dict[str, np.ndarray], path: Path) -> None:
    """Mean and range over the seeds."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    figure = Figure(figsize=(6, 4), dpi=150, layout="constrained")
    axes = figure.subplots()
    for name, rows in results.items():
        epochs = np.arange(1, rows.shape[1] + 1)
        axes.fill_between(epochs, rows.min(0), rows.max(0), color=METHODS[name][1], alpha=0.2, linewidth=0)
        axes.plot(epochs, rows.mean(0), "o-", color=METHODS[name][1], label=name)
    axes.set(xlabel="epoch", ylabel="test accuracy, %", xticks=epochs)
    axes.legend(frameon=False, loc="lower right")
    study.charts.save(figure, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
