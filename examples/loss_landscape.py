"""The landscape that a network is trained in: the loss over the plane in which the weights moved most, and their path.

    python examples/loss_landscape.py
    python examples/loss_landscape.py --page landscape.html       to turn it in a browser

Gradient descent with momentum on three arms of a spiral. Seen: two of 1,251 directions hold 99 % of the way, so that
the picture shows nearly all of it. The path does not make for the minimum: it follows the slope, well aside of the
straight way, down to the floor of a valley, and only there it turns.
"""

import argparse
from pathlib import Path

import minidl
from minidl import Generator, nn, optim, study
from minidl.data import synthetic


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the landscape of the loss, and the path of training in it.")
    parser.add_argument("--steps", type=int, default=300, help="gradient steps (%(default)s)")
    parser.add_argument(
        "--out",
        type=study.charts.with_ending,
        default="runs/loss_landscape.png",
        help="seen from above (%(default)s)",
    )
    parser.add_argument("--page", type=Path, help="page on which it can be turned")
    options = parser.parse_args()

    minidl.manual_seed(0)
    x, y = synthetic.spirals(300, generator=Generator(0))[:]
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3))
    optimizer, criterion, path = optim.SGD(model.parameters(), lr=0.05, momentum=0.9), nn.CrossEntropyLoss(), []
    for step in range(options.steps):
        if step % 5 == 0:
            path.append(nn.utils.parameters_to_vector(model.parameters()).detach())
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

    landscape = study.landscape(model, criterion, (x, y), path=path, points=41)
    print(landscape)
    try:
        landscape.plot(options.out)
        print(f"picture: {options.out}")
        if options.page:
            landscape.to_html(options.page)
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
