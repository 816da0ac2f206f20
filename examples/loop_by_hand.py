"""The training loop, written out by hand: what `Trainer.fit` does, one line at a time.

    python examples/loop_by_hand.py            three passes over MNIST, a few seconds

Loading, printing and drawing aside, the lesson is the inner loop: forward, backward, step.
"""

import argparse
from pathlib import Path

import minidl
from minidl import nn, optim, study
from minidl.data import MNIST, DataLoader
from minidl.nn.functional import cross_entropy


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a network on MNIST with a loop of your own.")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the data (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/loop_by_hand.png", help="picture of loss (%(default)s)"
    )
    options = parser.parse_args()

    minidl.manual_seed(0)
    train_loader = DataLoader(MNIST(train=True), batch_size=64, shuffle=True)
    test_images, test_labels = MNIST(train=False)[:]

    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    losses = []
    for epoch in range(1, options.epochs + 1):  # an epoch: every training image once, in a new order
        for images, labels in train_loader:  # a batch: (64, 1, 28, 28) pixels, (64,) digits
            # Forward: ten scores for each image, and one number that says how wrong they are all in all.
            scores = model(images)  # (64, 10)
            loss = cross_entropy(scores, labels)

            # Backward: how would the loss change with each weight? The answer goes to `weight.grad`, where it
            # is added to what is there, so the gradients of the step before must be forgotten first.
            optimizer.zero_grad()
            loss.backward()

            # Step: move every weight a little against its gradient.
            optimizer.step()

            losses.append(loss.item())  # a plain number: keeping `loss` itself would keep its graph, too

        # The exam: images that were never learned from. Nothing is learned here, so no graph is recorded.
        with minidl.no_grad():
            guesses = model(test_images).argmax(dim=1)
        accuracy = (guesses == test_labels).float().mean().item()
        recent = sum(losses[-100:]) / 100
        print(f"epoch {epoch}: loss of the last 100 batches {recent:.3f}, test accuracy {accuracy:.2%}")

    draw(losses, options.out)


def draw(losses: list[float], path: Path) -> None:
    """The loss of every step, and the mean of each hundred: single batches say little, the trend says all."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    means = [sum(losses[i : i + 100]) / 100 for i in range(0, len(losses) - 99, 100)]
    figure = Figure(figsize=(8, 4), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.plot(losses, color="#c9d1d9", linewidth=0.7, label="each batch")
    axes.plot(range(50, 50 + 100 * len(means), 100), means, color="#0b6bcb", linewidth=2, label="mean of 100 batches")
    axes.set(yscale="log", xlabel="gradient step", ylabel="cross entropy")
    axes.legend(frameon=False)
    study.charts.save(figure, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
