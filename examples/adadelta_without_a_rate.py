"""Adadelta needs no learning rate: the same bowl, measured in three units.

    python examples/adadelta_without_a_rate.py

The loss is multiplied by 0.01, 1 and 100; each method keeps its settings. Seen: SGD, with the rate that is right for
the bowl as it is, crawls or flees, while Adadelta's path hardly changes, because its steps are made of its own earlier
steps and have the units of the weights; but the first are as small as √ε, so that it arrives late.
"""

import argparse

from minidl import Tensor, optim, study


def scaled(scale: float) -> study.Surface:
    """Booth's bowl, times a number."""
    booth = study.surfaces["booth"]

    def f(w: Tensor) -> Tensor:
        return scale * booth.f(w)

    return study.Surface(f"booth x {scale:g}", f, booth.start, booth.minima, 0.0, booth.box, many=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Walk down one bowl in three units.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/adadelta.png", help="paths, units of 1 (%(default)s)"
    )
    options = parser.parse_args()
    optimizers = {"SGD": (optim.SGD, {"lr": 0.1}), "Adadelta": optim.Adadelta}
    for scale in (0.01, 100, 1):
        race = study.race(scaled(scale), optimizers, steps=2000, tolerance=0.01)
        print(race.surface.name, race, sep="\n")
    try:
        race.plot(options.out)
        print(f"picture: {options.out}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
