"""Teach a small network to read handwritten digits: MNIST, one hidden layer, Adam.

    python examples/mnist_mlp.py               about 97.5 % of the test images, in a few seconds
    python examples/mnist_mlp.py --epochs 10

The loop that trains is inside the Trainer; loop_by_hand.py writes it out.
"""

import argparse

import minidl
from minidl import nn, optim, study
from minidl.data import MNIST, DataLoader
from minidl.train import Trainer, learning_curve


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a multilayer perceptron on MNIST.")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the data (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/mnist_mlp.png", help="learning curve (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)  # the same initial weights and the same order of images in every run
    train_loader = DataLoader(MNIST(train=True), batch_size=64, shuffle=True)
    test_loader = DataLoader(MNIST(train=False), batch_size=1000)

    model = nn.Sequential(
        nn.Flatten(),  # (batch, 1, 28, 28) -> (batch, 784)
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Linear(128, 10),  # one score for each digit
    )
    print(model)

    trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-3))
    history = trainer.fit(train_loader, options.epochs, validation=test_loader, unit="images")
    print(f"test accuracy: {history[-1]['val_accuracy']:.2%}")

    try:
        figure = learning_curve(history, validation="test")
    except ImportError as error:  # everything but pictures works without matplotlib
        print(f"no picture: {error}")
    else:
        study.charts.save(figure, options.out)
        print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
