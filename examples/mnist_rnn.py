"""Read handwritten digits row by row, as a sentence is read word by word: an LSTM (Hochreiter & Schmidhuber 1997).

    python examples/mnist_rnn.py               about 98 % of the test images, in less than a minute

The picture shows how the network makes up its mind while it sees the rows of an image, from the top to the bottom.
"""

import argparse
from pathlib import Path

import minidl
from minidl import Tensor, nn, optim, study
from minidl.data import MNIST, DataLoader
from minidl.train import Trainer


class RowReader(nn.Module):
    """An image is a sequence of 28 rows of 28 pixels; what the LSTM remembers of them tells the digit."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.memory = nn.LSTM(28, hidden, batch_first=True)
        self.decide = nn.Linear(hidden, 10)

    def after_each_row(self, images: Tensor) -> Tensor:
        states, _ = self.memory(images.squeeze(1))  # (batch, 1, 28, 28) -> (batch, 28, hidden)
        return self.decide(states)  # (batch, 28, 10)

    def forward(self, images: Tensor) -> Tensor:
        _, (last, _) = self.memory(images.squeeze(1))  # (1, batch, hidden)
        return self.decide(last[0])  # (batch, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train an LSTM on the rows of MNIST's images.")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the data (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/mnist_rnn.png", help="picture of guesses (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)
    train_loader = DataLoader(MNIST(train=True), batch_size=64, shuffle=True)
    test_set = MNIST(train=False)

    model = RowReader()
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=3e-3))
    history = trainer.fit(train_loader, options.epochs, validation=DataLoader(test_set, batch_size=1000), unit="images")
    print(f"test accuracy: {history[-1]['val_accuracy']:.2%}")

    images, labels = test_set[:6]
    with minidl.no_grad():
        guesses = model.after_each_row(images).softmax(dim=-1)  # (6, 28, 10)
    draw(images, labels, guesses, options.out)


def draw(images: Tensor, labels: Tensor, guesses: Tensor, path: Path) -> None:
    """Each image, and beside every row of it how probable the network then thinks each digit."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    figure = Figure(figsize=(9, 6.2), dpi=150, layout="constrained")
    panels = figure.subplots(2, 6).reshape(-1, 2)
    for (left, right), image, label, guess in zip(panels, images.numpy(), labels.numpy(), guesses.numpy(), strict=True):
        left.imshow(image[0], cmap="gray_r", aspect="auto")
        left.set(xticks=[], yticks=[], title=f"a {label}")
        right.imshow(guess, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        right.set(xticks=range(10), yticks=[], title="taken for")
    study.charts.save(figure, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
