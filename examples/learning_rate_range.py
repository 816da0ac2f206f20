"""The range test: which learning rate to take, from one hundred steps on MNIST.

    python examples/learning_rate_range.py
    python examples/learning_rate_range.py --optimizer Momentum

The rate grows from 0.000001 by 18 % in each step (Smith 2017). Seen: Adam's loss is lowest at a rate of 0.011, which is
about to do damage; a tenth of it is what the class recommends for this network, 0.001. With SGD the test suggests
0.063, with RMSprop 0.0003: on the safe side of what these recommend, 0.3 and 0.001.
"""

import argparse

import minidl
from minidl import nn, optim, study
from minidl.data import MNIST, DataLoader


def main() -> None:
    parser = argparse.ArgumentParser(description="Find a learning rate for a network on MNIST.")
    parser.add_argument("--optimizer", default="Adam", help="a class in minidl.optim (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/learning_rate_range.png", help="loss (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    loader = DataLoader(MNIST(train=True), batch_size=64, shuffle=True)
    kind = getattr(optim, options.optimizer)
    test = study.lr_range_test(model, kind(model.parameters()), nn.CrossEntropyLoss(), loader)
    print(test)
    print(f"recommended by the class for this network: {kind.recommended_lr:g}")
    try:
        test.plot(options.out)
        print(f"picture: {options.out}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
