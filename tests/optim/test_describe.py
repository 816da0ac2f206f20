"""What is said of the optimizers: the names, the table, and the recommended learning rates."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.data import MNIST

NAMES = [
    "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw",
    "asgd", "rprop", "adamax", "nadam", "radam", "lion", "muon", "lbfgs",
]  # fmt: skip
FULL_BATCH = {"rprop": 50, "lbfgs": 3}  # steps


def test_names_and_table_have_the_same_order():
    assert list(optim.by_name) == [row["name"] for row in optim.describe()] == NAMES


@pytest.mark.parametrize("row", optim.describe(), ids=NAMES)
def test_every_row_is_complete(row):
    columns = ["name", "source", "fixes", "strengths", "weaknesses", "use when", "recommended lr"]
    assert list(row) == columns
    assert all(row.values())
    assert any(character.isdigit() for character in row["source"])  # the year


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_names_the_recommended_rate(name):
    kind = optim.by_name[name]
    text = " ".join(kind.__doc__.split())
    batch = "with all images in one batch" if name in FULL_BATCH else "at batch size 64"
    assert f"784-128-10 {batch}: {kind.recommended_lr:g}." in text


def network():
    minidl.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def accuracy(model):
    images, labels = MNIST(train=False)[:]
    return (model(images).array.argmax(1) == labels.array).mean()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FULL_BATCH])
def test_the_recommended_rate_reaches_95_percent_within_3_epochs(name):
    train, order, model = MNIST(train=True), np.random.default_rng(0), network()
    kind, params = optim.by_name[name], list(model.parameters())
    mine = [p for p in params if name != "muon" or p.ndim == 2]
    optimizers = [kind(mine, lr=kind.recommended_lr)]
    if name == "muon":
        optimizers.append(optim.AdamW([p for p in params if p.ndim != 2]))
    for _ in range(3):
        for i, batch in enumerate(np.array_split(order.permutation(len(train)), len(train) // 64), 1):
            images, targets = train.batch(batch)
            model.zero_grad()
            nn.functional.cross_entropy(model(images), targets).backward()
            for optimizer in optimizers:
                optimizer.step()
            if i % 300 == 0 and accuracy(model) >= 0.95:
                return
    pytest.fail(f"{name} reaches {accuracy(model):.2%} only")


@pytest.mark.parametrize(("name", "steps"), FULL_BATCH.items())
def test_full_batch_methods_learn_10_000_images_better_than_descent(name, steps):
    images, targets = MNIST(train=True)[:10_000]
    model = network()
    kind = optim.by_name[name]
    optimizer = kind(model.parameters(), lr=kind.recommended_lr)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), targets)
        loss.backward()
        return loss

    for _ in range(steps):  # up to 60 gradients; with so many SGD reaches 88 %
        optimizer.step(closure)
    assert accuracy(model) >= 0.925
