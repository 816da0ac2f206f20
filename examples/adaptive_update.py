"""The classical picture of adaptive updates: the same 50 gradients, fed to SGD, Adagrad, RMSprop and Adam.

    python examples/adaptive_update.py

Seen: Adagrad's rate only falls, while RMSprop's and Adam's stay where the size of the gradients puts them. Adam ends
furthest away, because its average of gradients still follows the old direction when the gradients have turned.

The script that the picture is known from ends elsewhere: its Adam takes m and v without bias, and then multiplies the
rate by √(1 - β₂ᵗ) / (1 - β₁ᵗ) as well. But that factor *is* the correction, written another way (Kingma & Ba 2015, end
of section 2). Done twice, it makes the rate a third of what it should be in step 1, and less than a quarter in step 50.
"""

import argparse

import numpy as np

from minidl import optim, study


class TwiceCorrected(optim.Adam):
    """Adam as in that script: the bias is undone in m and v, and once more in the rate."""

    @staticmethod
    def rule(xp, w, g, m, v, *, t, lr, b1, b2, eps):
        adam = optim.Adam.rule(xp, w, g, m, v, t=t, lr=lr, b1=b1, b2=b2, eps=eps)
        rate = adam["rate"] * (1 - b2**t) ** 0.5 / (1 - b1**t)
        return adam | dict(w=w - rate * adam["m_hat"], rate=rate)


def main() -> None:
    parser = argparse.ArgumentParser(description="Feed one sequence of gradients to four optimizers.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/adaptive_update.png", help="rates and paths (%(default)s)"
    )
    options = parser.parse_args()

    gradients = np.random.RandomState(0).randn(50) * 0.2 + np.linspace(-0.5, 0.5, 50)
    optimizers = {
        "SGD": (optim.SGD, {"lr": 0.1}),
        "Adagrad": (optim.Adagrad, {"lr": 0.1, "eps": 1e-8}),
        "RMSprop": (optim.RMSprop, {"lr": 0.1, "alpha": 0.9}),
        "Adam": (optim.Adam, {"lr": 0.1}),
        "Adam, corrected twice": (TwiceCorrected, {"lr": 0.1}),
    }
    fed = study.feed(gradients, optimizers)
    print(f"{'':22}  first rate   last rate     final w")
    for label in optimizers:
        rates, path = fed.rates[label], fed.paths[label]
        print(f"{label:22} {rates[0]:11.6f} {rates[-1]:11.6f} {path[-1]:11.6f}")
    try:
        fed.plot(options.out)
        print(f"picture: {options.out}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
