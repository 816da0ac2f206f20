"""XOR, the smallest problem that needs a hidden layer: the answer is yes if exactly one of two inputs is 1.

    python examples/xor.py

No straight line parts the two yes from the two no, so no single layer can do it (Minsky & Papert 1969); two hidden
units bend the plane enough.
"""

import argparse
from pathlib import Path

import numpy as np

import minidl
from minidl import nn, optim, study

INPUTS = minidl.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
ANSWERS = minidl.tensor([[0.0], [1.0], [1.0], [0.0]])


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn XOR with two hidden units.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/xor.png", help="network's answers (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1), nn.Sigmoid())
    loss_function = nn.BCELoss()
    optimizer = optim.Adam(model.parameters(), lr=0.05)

    for step in range(1, 301):
        loss = loss_function(model(INPUTS), ANSWERS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == 1 or step % 50 == 0:
            print(f"step {step:3}: loss {loss.item():.4f}")

    for (a, b), answer in zip(INPUTS.tolist(), model(INPUTS).tolist(), strict=True):
        print(f"{a:.0f} xor {b:.0f}: yes with a probability of {answer[0]:.3f}")
    draw(model, options.out)


def draw(model: nn.Module, path: Path) -> None:
    """The network's answer everywhere in the plane, and the four points that it learned from."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    side = np.linspace(-0.5, 1.5, 201, dtype=np.float32)
    plane = np.stack(np.meshgrid(side, side), axis=-1)  # (201, 201, 2)
    with minidl.no_grad():
        answers = model(minidl.tensor(plane)).squeeze(-1).numpy()  # (201, 201)
    figure = Figure(figsize=(5.2, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    shades = axes.contourf(side, side, answers, levels=20, cmap="RdBu", vmin=0, vmax=1)
    axes.contour(side, side, answers, levels=[0.5], colors="black", linewidths=1)
    axes.scatter(*INPUTS.numpy().T, c=ANSWERS.numpy(), cmap="RdBu", s=120, edgecolors="white", linewidths=2)
    axes.set(xlabel="first input", ylabel="second input", aspect="equal", xticks=[0, 1], yticks=[0, 1])
    figure.colorbar(shades, label="probability of yes", ticks=[0, 0.5, 1])
    study.charts.save(figure, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
