"""The classic bugs of whoever writes a framework for the first time, each beside the right run.

    python examples/classic_bugs.py
    python examples/classic_bugs.py --bug wrong_order

minidl itself gets the bug, a line or two of its source, for as long as an example runs. Seen: all bugs in gradients but
one change numbers and no shape, so that only gradcheck finds them. Of those in optimizers one swings and one climbs;
both of Adam's show in the size of its steps only, too large at first, or hardly any where gradients are small.
"""

import argparse

from minidl import study
from minidl.study import charts

DRAWN = (
    "forget_accumulation", "skip_unbroadcast", "wrong_order",
    "forget_zero_grad", "no_bias_correction", "epsilon_inside",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="See what classic bugs do.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/classic_bugs.png", help="six of them (%(default)s)"
    )
    parser.add_argument("--bug", choices=study.bugs, help="print this one only")
    options = parser.parse_args()
    for bug in [options.bug] if options.bug else study.bugs:
        print(study.symptom(bug), end="\n\n")
    try:
        drawn = charts.figure(13, 6.5)
    except ImportError as error:
        print(f"no picture: {error}")
        return
    for bug, axes in zip(DRAWN, drawn.subplots(2, 3).flat, strict=True):
        study.symptom(bug).draw(axes)
    charts.save(drawn, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
