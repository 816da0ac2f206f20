"""The edge of stability: gradient descent makes its landscape as steep as its learning rate allows.

    python examples/edge_of_stability.py

Descent with all of 300 digits at once on a small network, as in Cohen et al. (2021). Seen: the sharpness λ grows with
the training until lr·λ = 2, where a step in the steepest direction overshoots as far as it came. There it stays, and
the loss falls on, if not in every step: overshooting drives the weights to where the ground is less steep.
"""

import argparse

import minidl
from minidl import nn, optim, study
from minidl.data import MNIST


def main() -> None:
    parser = argparse.ArgumentParser(description="Watch the largest eigenvalue of the Hessian during descent.")
    parser.add_argument("--lr", type=float, default=0.3, help="learning rate (%(default)s)")
    parser.add_argument("--steps", type=int, default=2000, help="gradient steps, each with all digits (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/edge_of_stability.png", help="both curves (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)
    images, labels = MNIST(train=True)[:300]
    targets = nn.functional.one_hot(labels, 10).float()
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 24), nn.Tanh(), nn.Linear(24, 10))
    optimizer, criterion = optim.SGD(model.parameters(), lr=options.lr), nn.MSELoss()
    watch = study.Sharpness(model, optimizer, criterion, (images, targets))
    for step in range(options.steps + 1):
        if step % 10 == 0:
            watch.look(step)
        optimizer.zero_grad()
        criterion(model(images), targets).backward()
        optimizer.step()
    print(watch)
    try:
        watch.plot(options.out)
        print(f"picture: {options.out}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
