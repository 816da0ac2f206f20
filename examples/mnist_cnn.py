"""Teach a convolutional network to read handwritten digits: LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998) on MNIST.

    python examples/mnist_cnn.py               about 99 % of the test images, in less than a minute

The picture shows test images that the network still gets wrong: many are hard for people, too.
"""

import argparse

import minidl
from minidl import Tensor, nn, optim, study
from minidl.data import MNIST, DataLoader
from minidl.train import Trainer, digits


class LeNet5(nn.Module):
    """Two convolutions find strokes and parts of digits, three linear layers decide which digit they make.

    As is usual today with ReLU and max pooling, where the paper had tanh and averages.
    """

    def __init__(self) -> None:
        super().__init__()
        self.strokes = nn.Conv2d(1, 6, kernel_size=5, padding=2)
        self.parts = nn.Conv2d(6, 16, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.decide = nn.Sequential(
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.strokes(images).relu())  # (batch, 1, 28, 28) -> (batch, 6, 14, 14)
        x = self.pool(self.parts(x).relu())  # (batch, 16, 5, 5)
        return self.decide(x.flatten(1))  # (batch, 400) -> (batch, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train LeNet-5 on MNIST.")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the data (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/mnist_cnn.png", help="picture of mistakes (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)  # the same initial weights and the same order of images in every run
    train_loader = DataLoader(MNIST(train=True), batch_size=64, shuffle=True)
    test_set = MNIST(train=False)

    model = LeNet5()
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-3))
    trainer.fit(train_loader, options.epochs, validation=DataLoader(test_set, batch_size=1000), unit="images")

    images, labels = test_set[:]  # all 10,000
    guesses = trainer.predict(images).argmax(dim=1)
    (wrong,) = (guesses != labels).numpy().nonzero()
    print(f"test accuracy: {1 - len(wrong) / len(labels):.2%}, {len(wrong)} mistakes")

    try:
        figure = digits(images[wrong[:40]], labels[wrong[:40]], guesses[wrong[:40]])
    except ImportError as error:  # everything but pictures works without matplotlib
        print(f"no picture: {error}")
    else:
        study.charts.save(figure, options.out)
        print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
