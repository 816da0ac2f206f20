"""What is said of the optimizers: the names, the table, and the recommended learning rates."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.data import MNIST

NAMES = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw"]


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
    assert f"784-128-10 at batch size 64: {kind.recommended_lr:g}." in text


@pytest.mark.parametrize("name", NAMES)
def test_the_recommended_rate_reaches_95_percent_within_3_epochs(name):
    train, test = MNIST(train=True), MNIST(train=False)
    order = np.random.default_rng(0)
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = optim.by_name[name](model.parameters(), lr=optim.by_name[name].recommended_lr)
    everything, labels = test[:]
    for _ in range(3):
        for batch in np.array_split(order.permutation(len(train)), len(train) // 64):
            images, targets = train.batch(batch)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), targets).backward()
            optimizer.step()
        accuracy = (model(everything).array.argmax(1) == labels.array).mean()
        if accuracy >= 0.95:
            return
    pytest.fail(f"{name} reaches {accuracy:.2%} only")
