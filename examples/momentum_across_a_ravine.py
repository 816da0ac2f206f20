"""Momentum across a ravine: a valley 100 times as steep across as along.

    python examples/momentum_across_a_ravine.py

Each method has the best of the same 16 learning rates. Seen: plain descent may not step further than the steep walls
allow, so that it creeps along the floor, while momentum adds up the small slopes that agree and arrives in 62 steps;
Nesterov's, which looks ahead, swings less. To AdaGrad, which divides each weight's step by the size of its own slopes,
it is hardly a ravine at all.
"""

import argparse

from minidl import optim, study


def main() -> None:
    parser = argparse.ArgumentParser(description="Walk along a ravine, with momentum and without.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/ravine.png", help="picture of the paths (%(default)s)"
    )
    options = parser.parse_args()
    optimizers = {"SGD": optim.SGD, "Momentum": optim.Momentum, "Nesterov": optim.Nesterov, "Adagrad": optim.Adagrad}
    race = study.race("ravine", optimizers, steps=200, search=True)
    print(race)
    try:
        race.plot(options.out)
        print(f"picture: {options.out}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
