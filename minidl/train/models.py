"""The two networks that the command `minidl train mnist` trains: the smallest that do the job well.

Both take images (batch, 1, 28, 28) and give a score for each of the ten digits, (batch, 10).
"""

from __future__ import annotations

from collections.abc import Callable

from minidl import nn


def mlp() -> nn.Module:
    """A multilayer perceptron: 784 pixels, 128 hidden units, 10 scores; 101,770 weights.

    >>> import minidl
    >>> mlp()(minidl.zeros(64, 1, 28, 28)).shape
    (64, 10)
    """
    return nn.Sequential(
        nn.Flatten(),  # (batch, 784)
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Linear(128, 10),  # (batch, 10)
    )


def lenet() -> nn.Module:
    """LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998), with ReLU and max pooling; 61,706 weights.

    >>> import minidl
    >>> lenet()(minidl.zeros(64, 1, 28, 28)).shape
    (64, 10)
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),  # (batch, 6, 28, 28)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (batch, 6, 14, 14)
        nn.Conv2d(6, 16, 5),  # (batch, 16, 10, 10)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (batch, 16, 5, 5)
        nn.Flatten(),  # (batch, 400)
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),  # (batch, 10)
    )


by_name: dict[str, Callable[[], nn.Module]] = {"mlp": mlp, "lenet": lenet}
