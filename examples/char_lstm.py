"""Learn to write, letter by letter: an LSTM reads a short story and goes on in its manner.

    python examples/char_lstm.py               a quarter of a minute

It sees nothing but letters, and finds out about words and sentences by itself; the story is so short that in the end
it knows much of it by heart.  The loss, in bits per letter, is compared with what the frequencies of letters give.
"""

import argparse
from pathlib import Path

import numpy as np

import minidl
from minidl import Tensor, nn, optim, study
from minidl.nn.functional import cross_entropy

STORY = Path(__file__).with_name("lighthouse.txt")
LENGTH, BATCH = 64, 32
BITS = 1 / np.log(2)  # in one nat


class Writer(nn.Module):
    """A score for every letter that may come next, from the letters so far."""

    def __init__(self, letters: int, hidden: int = 128) -> None:
        super().__init__()
        self.embed = nn.Embedding(letters, 32)
        self.memory = nn.LSTM(32, hidden)
        self.score = nn.Linear(hidden, letters)

    def forward(self, text: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        states, state = self.memory(self.embed(text), state)  # (length, batch) -> (length, batch, hidden)
        return self.score(states), state  # (length, batch, letters)


def write(model: Writer, letters: str, start: str, count: int, generator: np.random.Generator) -> str:
    """`start`, and `count` letters more, each drawn with the probability that the model gives it."""
    text, state, new = start, None, start
    with minidl.no_grad():
        for _ in range(count):
            scores, state = model(minidl.tensor([[letters.index(letter)] for letter in new]), state)
            chances = (scores[-1, 0] / 0.7).softmax(dim=0).double().numpy()  # below 1: the likely becomes likelier
            new = letters[generator.choice(len(letters), p=chances / chances.sum())]
            text += new
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Train an LSTM on a story, letter by letter.")
    parser.add_argument("--steps", type=int, default=400, help="gradient steps (%(default)s)")
    parser.add_argument(
        "--out", type=study.charts.with_ending, default="runs/char_lstm.png", help="picture of the loss (%(default)s)"
    )
    options = parser.parse_args()

    story = STORY.read_text("utf-8")
    letters = "".join(sorted(set(story)))
    numbers = np.array([letters.index(letter) for letter in story])
    shares = np.bincount(numbers) / len(numbers)
    frequencies = float(-(shares * np.log2(shares)).sum())
    print(f"{len(story)} letters, {len(letters)} different ones; their frequencies alone give {frequencies:.2f} bits")

    minidl.manual_seed(0)
    generator = np.random.default_rng(0)
    model = Writer(len(letters))
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for step in range(1, options.steps + 1):
        starts = generator.integers(0, len(numbers) - LENGTH - 1, BATCH)
        windows = minidl.tensor(numbers[starts + np.arange(LENGTH + 1)[:, None]])  # (LENGTH + 1, BATCH)
        scores, _ = model(windows[:-1])
        loss = cross_entropy(scores.flatten(0, 1), windows[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item() * BITS)
        if step in (1, 25, 50) or step % 100 == 0:
            sample = write(model, letters, "On Monday", 60, generator)
            print(f"step {step:3}: {losses[-1]:.2f} bits per letter  {sample!r}", flush=True)
    print("\n" + write(model, letters, "On Monday", 400, generator) + "\n")

    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    axes = (figure := Figure(figsize=(6, 4), dpi=150, layout="constrained")).subplots()
    axes.plot(losses, label="LSTM")
    axes.axhline(frequencies, color="gray", linestyle="--", label="frequencies of the letters")
    axes.set(xlabel="step", ylabel="bits per letter", ylim=(0, None))
    axes.legend()
    study.charts.save(figure, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
