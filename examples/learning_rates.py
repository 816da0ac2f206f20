"""The learning rate too small, right, at the limit, and too large.

    python examples/learning_rates.py

Plain descent in Booth's bowl, whose curvature is 18 across and 2 along. Seen: a step multiplies the distance to the
bottom by 1 - 18·lr across and by 1 - 2·lr along, so that 0.005 crawls, 0.1 is there in 16 steps, and beyond
2/18 = 0.111 every step ends higher up the opposite wall.
"""

import argparse

from minidl import optim, study


def main() -> None:
    parser = argparse.ArgumentParser(description="Walk down with four learning rates.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/learning_rates.png", help="picture of paths (%(default)s)"
    )
    options = parser.parse_args()
    rates = {"too large": 0.113, "at the limit": 1 / 9, "right": 0.1, "too small": 0.005}
    race = study.race("booth", {label: (optim.SGD, {"lr": lr}) for label, lr in rates.items()}, steps=40)
    print(race)
    try:
        race.plot(options.out)
        print(f"picture: {options.out}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
