"""See backpropagation: every number of a backward pass, first of one neuron, then of LeNet-5.

    python examples/see_backprop.py
    python examples/see_backprop.py --page runs/steps.html

The first prints the neuron's backward pass step by step, checks two gradients by hand (one with a mistake), and draws
the graph of the network. The second also writes a page with a slider that walks through the network's steps.
"""

import argparse
from pathlib import Path

import numpy as np

import minidl
from minidl import Tensor, nn, study
from minidl.data import MNIST
from minidl.train.models import lenet


def neuron() -> None:
    """tanh(x·w + b), from the loss back to the weights, with the tanh written out so that e is used twice."""
    x = minidl.tensor(2.0)
    w = minidl.tensor(-3.0, requires_grad=True)
    b = minidl.tensor(6.7, requires_grad=True)
    e = (2 * (x * w + b)).exp()
    out = (e - 1) / (e + 1)
    loss = (out - 1) ** 2
    print(study.explain_backward(loss))


def homework() -> None:
    """A layer's gradient by hand: right, and with the derivative of tanh forgotten."""
    random = np.random.default_rng(0)
    x = random.normal(size=(8, 3)).astype(np.float32)  # (examples, inputs)
    w = minidl.tensor(random.normal(size=(3, 2)), dtype=np.float32, requires_grad=True)  # (inputs, units)
    h = (minidl.tensor(x) @ w).tanh()  # (examples, units)
    loss = (h**2).mean()
    upstream = 2 * h.detach().numpy() / h.numel()
    print("by hand:", study.check_my_grad(x.T @ (upstream * (1 - h.detach().numpy() ** 2)), w, loss))
    print("with a mistake:", study.check_my_grad(x.T @ upstream, w, loss))


def network() -> Tensor:
    """The loss of an untrained LeNet-5 for 32 digits; `record` lets the picture know its layers."""
    images, labels = MNIST(train=False)[:32]
    model = lenet()
    with study.record(model):
        loss = nn.functional.cross_entropy(model(images), labels)
    images.name, labels.name, loss.name = "images", "labels", "loss"
    print(study.gradient_flow(model, loss))
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description="Look at every number of a backward pass.")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/see_backprop.png", help="LeNet-5's graph (%(default)s)"
    )
    parser.add_argument("--page", type=Path, help="page (.html) that walks through LeNet-5's backward pass")
    options = parser.parse_args()
    minidl.manual_seed(0)
    neuron()
    homework()
    loss = network()
    try:
        study.draw_graph(loss, options.out)
        print(f"picture: {options.out}")
        if options.page:
            study.explain_backward(loss).to_html(options.page)
            print(f"page: {options.page}")
    except ImportError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
