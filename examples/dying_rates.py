"""AdaGrad's rate dies, RMSprop's does not: following a target that jumps every 200 steps.

    python examples/dying_rates.py

The loss is (w - target)² / 2, with noise on its gradient. Seen: AdaGrad divides by all gradients that ever were, so
that its rate only falls and each jump takes it longer; RMSprop forgets, its rate recovers, and after the second jump it
needs the same time for each.
"""

import argparse
from pathlib import Path

import numpy as np

import minidl
from minidl import optim, study

TARGET = np.repeat([1.0, -1.0, 1.0, -1.0, 1.0], 200)
METHODS = {"Adagrad": (optim.Adagrad, {"lr": 0.3}, "#d55e00"), "RMSprop": (optim.RMSprop, {"lr": 0.02}, "#0072b2")}


def follow(kind: type[optim.Optimizer], options: dict[str, float]) -> study.OptimizerTrace:
    """What the optimizer did in each step."""
    noise = 0.2 * np.random.default_rng(0).standard_normal(len(TARGET))
    w = minidl.tensor(0.0, requires_grad=True)
    optimizer = kind([w], **options)
    with study.OptimizerTrace(optimizer) as trace:
        for target, tilt in zip(TARGET, noise, strict=True):
            optimizer.zero_grad()
            ((w - float(target)) ** 2 / 2 + float(tilt) * w).backward()
            optimizer.step()
    return trace


def main() -> None:
    parser = argparse.ArgumentParser(description="Follow a target that jumps, with AdaGrad and RMSprop.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/dying_rates.png", help="rates and weights (%(default)s)"
    )
    options = parser.parse_args()
    traces = {name: follow(kind, settings) for name, (kind, settings, _) in METHODS.items()}
    for name, trace in traces.items():
        near = np.abs(trace.series("w") - TARGET).reshape(5, 200) < 0.5
        rates = ", ".join(f"{rate:.3f}" for rate in trace.series("rate")[199::200])
        print(f"{name}: rate at the end of each stretch {rates}; half way after", *near.argmax(1), "steps")
    draw(traces, options.out)


def draw(traces: dict[str, study.OptimizerTrace], path: Path) -> None:
    """The rates on the left, the weights and their target on the right."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    right.plot(TARGET, color="#7a8699", linestyle="--", label="target")
    for name, trace in traces.items():
        left.plot(trace.series("rate"), color=METHODS[name][-1])
        right.plot(trace.series("w"), color=METHODS[name][-1], label=name)
    left.set(yscale="log", xlabel="step", ylabel="effective learning rate")
    right.set(xlabel="step", ylabel="weight", ylim=(-1.5, 2))
    right.legend(frameon=False, ncols=3, loc="upper right")
    study.charts.save(figure, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
