"""Adam with and without the correction of its bias: the first steps.

    python examples/bias_correction.py

Both are fed the same gradients, noise around 1. Seen: Adam's first step has the size lr, whatever the gradient; without
the correction it is (1 - β₁) / √(1 - β₂) = 3.2 times as large, for v starts at 0 and needs a thousand steps to forget
that, m only ten: the steps grow to 6 lr before they come down.
"""

import argparse

import numpy as np

from minidl import optim, study


class Uncorrected(optim.Adam):
    """Adam that takes its averages as they are, though they start at 0."""

    @staticmethod
    def rule(xp, w, g, m, v, *, lr, b1, b2, eps):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        rate = lr / (xp.sqrt(v) + eps)
        return dict(w=w - rate * m, m=m, v=v, rate=rate)


def main() -> None:
    parser = argparse.ArgumentParser(description="Feed Adam with and without bias correction the same gradients.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/bias_correction.png", help="rates and paths (%(default)s)"
    )
    options = parser.parse_args()
    gradients = 1 + 0.3 * np.random.default_rng(0).standard_normal(200)
    fed = study.feed(gradients, {"Adam": (optim.Adam, {"lr": 0.01}), "uncorrected": (Uncorrected, {"lr": 0.01})})
    for label, trace in fed.traces.items():
        steps = -trace.series("step") / 0.01
        sizes = ", ".join(f"{steps[t - 1]:.2f}" for t in (1, 2, 5, 10, 20, 50, 200))
        print(f"{label:11} step 1, 2, 5, 10, 20, 50, 200 in units of lr: {sizes}")
    try:
        fed.plot(options.out)
        print(f"picture: {options.out}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
