"""Escaping a saddle: downhill along x to a place where the slope is almost nothing, and then aside along y.

    python examples/escaping_a_saddle.py

All methods start a ten-thousandth beside the ridge, with the learning rate 0.05. Seen: plain descent sits on the saddle
from step 20 to step 80, for its steps are as small as the slope there, and momentum does so half as long. The adaptive
methods never come near it, because they divide the small slope by its own size (though AdaGrad's rate dies before it
is down).
"""

import argparse

from minidl import optim, study


def main() -> None:
    parser = argparse.ArgumentParser(description="Leave a saddle point, each method in its way.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/saddle.png", help="picture of the paths (%(default)s)"
    )
    options = parser.parse_args()
    kinds = (optim.SGD, optim.Momentum, optim.Adagrad, optim.RMSprop, optim.Adam)
    race = study.race("saddle", {kind.__name__: (kind, {"lr": 0.05}) for kind in kinds}, steps=200)
    print(race)
    try:
        race.plot(options.out)
        print(f"picture: {options.out}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
