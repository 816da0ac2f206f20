"""Three arms of a spiral, three classes: a problem that can be seen whole.

    python examples/spiral.py

The picture, runs/spiral.png, shows how two hidden layers of ReLUs bend the plane until the classes come apart.
"""

import argparse
import math
from pathlib import Path

import numpy as np

import minidl
from minidl import Tensor, nn, optim, study
from minidl.nn.functional import cross_entropy

COLORS = ["#0b6bcb", "#e08a00", "#2a9d4b"]


def spiral(points: int = 200, classes: int = 3) -> tuple[Tensor, Tensor]:
    """`points` noisy points on each arm, (classes * points, 2), and the arm of each, (classes * points,)."""
    radius = minidl.linspace(0.05, 1, points).unsqueeze(0)  # (1, points)
    start = minidl.arange(classes).unsqueeze(1) * (2 * math.pi / classes)  # (classes, 1)
    angle = start + 5 * radius + 0.25 * minidl.randn(classes, points)  # every arm turns by 5 rad
    arms = minidl.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)  # (classes, points, 2)
    labels = minidl.arange(classes).unsqueeze(1).expand(classes, points)
    return arms.reshape(-1, 2), labels.reshape(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn to tell the arms of a spiral apart.")
    parser.add_argument("--steps", type=int, default=400, help="gradient steps, each with all points (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/spiral.png", help="decision boundary (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)
    x, y = spiral()
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    for step in range(1, options.steps + 1):
        scores = model(x)  # (600, 3)
        loss = cross_entropy(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == 1 or step % 50 == 0:
            accuracy = (scores.argmax(dim=1) == y).float().mean().item()
            print(f"step {step:3}: loss {loss.item():.3f}, accuracy {accuracy:.1%}")

    draw(model, x, y, options.out)


def draw(model: nn.Module, x: Tensor, y: Tensor, path: Path) -> None:
    """Every place in the colour of the class that the network would give it, and the points it learned from."""
    try:
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    side = np.linspace(-1.2, 1.2, 400, dtype=np.float32)
    plane = np.stack(np.meshgrid(side, side), axis=-1)  # (400, 400, 2)
    with minidl.no_grad():
        classes = model(minidl.tensor(plane)).argmax(dim=-1).numpy()  # (400, 400)
    figure = Figure(figsize=(5, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.pcolormesh(side, side, classes, cmap=ListedColormap(COLORS), alpha=0.3, linewidth=0, rasterized=True)
    axes.scatter(*x.numpy().T, c=y.numpy(), cmap=ListedColormap(COLORS), s=14, edgecolors="white", linewidths=0.5)
    axes.set(aspect="equal", xticks=[], yticks=[])
    study.charts.save(figure, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
