"""Where the time of a training step goes: by op, by module, forward and backward.

    python examples/where_the_time_goes.py
    python examples/where_the_time_goes.py --page runs/profile.html

Seen: LeNet-5's two convolutions take almost two thirds of its step, and backward takes twice as long as forward. A
multilayer perceptron that is given one image spends more than half of its step in Adam's passes over the weights, and
with 512 images an eighth; what is outside ops, which is Python, stays below a tenth in both.
"""

import argparse
from functools import partial
from pathlib import Path

import minidl
from minidl import Tensor, nn, optim, study
from minidl.data import MNIST
from minidl.train.models import lenet, mlp


def step(model: nn.Module, optimizer: optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()


def profile(model: nn.Module, batch: int) -> study.Profile:
    """A step of Adam with so many images."""
    optimizer = optim.Adam(model.parameters())
    return study.profile(partial(step, model, optimizer, *MNIST(train=False)[:batch]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Profile training steps.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/profile.png", help="LeNet-5's step (%(default)s)"
    )
    parser.add_argument("--page", type=Path, help="page (.html) in which a click shows a part of it larger")
    options = parser.parse_args()
    minidl.manual_seed(0)
    model = lenet()
    print(study.summary(model, (64, 1, 28, 28)), end="\n\n")
    found = profile(model, 64)
    print(found, end="\n\n")
    for batch in (1, 64, 512):
        small = profile(mlp(), batch)
        shares = {row["op"]: row["%"] for row in small.table()}
        adam, outside = shares["Adam.step"], shares["Python outside ops"]
        time = f"{1e3 * small.seconds:.2f} ms"
        print(f"multilayer perceptron, batch {batch:3}: {time}, {adam:.0f} % in Adam, {outside:.0f} % outside ops")
    try:
        found.plot(options.out)
        print(f"picture: {options.out}")
        if options.page:
            found.to_html(options.page)
            print(f"page: {options.page}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
