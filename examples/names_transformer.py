"""Invent names: a small Transformer (Vaswani et al. 2017) learns from a list of first names which letter comes next.

    python examples/names_transformer.py               a few seconds

The picture shows where its heads look: each row is a letter, dark are those up to it that it makes use of.
"""

import argparse
from pathlib import Path

import minidl
from minidl import Tensor, nn, optim, study
from minidl.nn.functional import cross_entropy

NAMES = Path(__file__).with_name("names.txt").read_text("utf-8").split()
LETTERS = ".abcdefghijklmnopqrstuvwxyz"  # a point stands before and after each name
LENGTH = 1 + max(map(len, NAMES))
MASK = nn.Transformer.generate_square_subsequent_mask(LENGTH)  # nobody looks ahead


class Inventor(nn.Module):
    """Scores for the next letter at every place of a name, each from the letters up to there."""

    def __init__(self, size: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.letter = nn.Embedding(len(LETTERS), size)
        self.place = nn.Embedding(LENGTH, size)
        layer = nn.TransformerEncoderLayer(size, heads, 2 * size, batch_first=True, norm_first=True)
        self.attend = nn.TransformerEncoder(layer, layers, nn.LayerNorm(size))
        self.score = nn.Linear(size, len(LETTERS))

    def embed(self, names: Tensor) -> Tensor:
        return self.letter(names) + self.place(minidl.arange(names.shape[1]))  # (batch, length, size)

    def forward(self, names: Tensor) -> Tensor:
        mask = MASK[: names.shape[1], : names.shape[1]]
        return self.score(self.attend(self.embed(names), mask))  # (batch, length, letters)


def as_numbers(words: list[str], fill: int) -> Tensor:
    """The place of each letter in the alphabet, filled up to one length: (words, LENGTH)."""
    return minidl.tensor([[LETTERS.index(c) for c in word.lower()] + [fill] * (LENGTH - len(word)) for word in words])


def invent(model: Inventor, count: int) -> list[str]:
    """New names, written letter by letter, all at once."""
    text = minidl.zeros(count, 1, dtype=minidl.int64)
    with minidl.no_grad():
        for _ in range(LENGTH - 1):
            chances = (model.eval()(text)[:, -1] / 0.8).softmax(dim=-1)  # below 1: the likely becomes likelier
            text = minidl.cat([text, minidl.multinomial(chances, 1)], dim=1)
    return ["".join(LETTERS[i] for i in row).split(".")[1].title() for row in text.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a Transformer on first names.")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the data (%(default)s)")
    parser.add_argument("--out", type=study.charts.with_ending, default="runs/names.png", help="picture (%(default)s)")
    options = parser.parse_args()

    minidl.manual_seed(0)
    names = [NAMES[i] for i in minidl.randperm(len(NAMES)).tolist()]
    x = as_numbers(["." + name for name in names], fill=0)  # nobody looks at what comes behind ".anna"
    y = as_numbers([name + "." for name in names], fill=-100)  # cross_entropy leaves out what comes behind "anna."
    model = Inventor()
    optimizer = optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(1, options.epochs + 1):
        for batch in minidl.randperm(1100).split(50):
            loss = cross_entropy(model.train()(x[batch]).flatten(0, 1), y[batch].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch == 1 or epoch % 5 == 0:
            with minidl.no_grad():
                unseen = cross_entropy(model.eval()(x[1100:]).flatten(0, 1), y[1100:].flatten())
            print(f"epoch {epoch:2}: loss {loss.item():.2f}, on names that are new to it {unseen.item():.2f}")

    new = [name for name in invent(model, 60) if name not in NAMES]
    print(f"{len(new)} of 60 are new:", " ".join(new))
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no picture: it needs matplotlib, pip install "minidl[study]"')
        return
    text, first = "." + max(new, key=len), model.attend.layers[0]
    with minidl.no_grad():
        heard = first.norm1(model.embed(as_numbers([text], fill=0)))  # (1, LENGTH, size)
        _, looks = first.self_attn(heard, heard, heard, attn_mask=MASK, average_attn_weights=False)
    figure = Figure(figsize=(12, 3.2), dpi=150, layout="constrained")
    for axes, weights in zip(figure.subplots(1, 4), looks[0, :, : len(text), : len(text)].numpy(), strict=True):
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        axes.set(xticks=range(len(text)), xticklabels=text, yticks=range(len(text)), yticklabels=text)
    study.charts.save(figure, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
