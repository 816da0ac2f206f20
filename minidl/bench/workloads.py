"""What is timed, written once: `m` is the module minidl or torch, and both know the names that are used here.

MLPS, LARGER and STEPS describe what there is to do, for functions.py and by_hand.py to do in their ways.
`compiled` is minidl.compile where that is to be timed, and else leaves a step as it is written.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

MNIST_FILES = Path(__file__).resolve().parents[1] / "data" / "mnist"
PREPARED = 4096  # MNIST images that a network sees again and again while it is timed

Step = Callable[[], Any]  # does the work once, and returns a tensor on which all libraries must agree


# -- the networks ----------------------------------------------------------------------------------------------


def mlp(m: Any, hidden: int = 128, depth: int = 1) -> Any:
    """A multilayer perceptron; 784-128-10 has 101,770 weights."""
    layers = [m.nn.Flatten(), m.nn.Linear(784, hidden), m.nn.ReLU()]
    for _ in range(depth - 1):
        layers += [m.nn.Linear(hidden, hidden), m.nn.ReLU()]
    return m.nn.Sequential(*layers, m.nn.Linear(hidden, 10))


def lenet(m: Any) -> Any:
    """LeNet-5 with ReLU and max pooling: 61,706 weights."""
    nn = m.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def batch_norm_cnn(m: Any) -> Any:
    """Two blocks of 3x3 convolution, batch norm, ReLU and pooling, 16 and 32 channels: 20,586 weights."""
    nn = m.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1568, 10),
    )  # fmt: skip


def example_cnn(m: Any) -> Any:
    """The network of PyTorch's MNIST example without its dropout, whose random numbers differ: 1,199,882 weights."""
    nn = m.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def row_lstm(m: Any) -> Any:
    """An LSTM that reads an image row by row, 28 -> 128, and a linear layer on its last state: 82,186 weights."""

    class RowLSTM(m.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = m.nn.LSTM(28, 128, batch_first=True), m.nn.Linear(128, 10)

        def forward(self, images: Any) -> Any:
            return self.head(self.lstm(images.squeeze(1))[0][:, -1])

    return RowLSTM()


def row_transformer(m: Any) -> Any:
    """The rows of an image as 28 tokens, one TransformerEncoderLayer(64, 4 heads, 128), and the mean of its results."""

    class RowTransformer(m.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = m.nn.Linear(28, 64)
            self.layer = m.nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
            self.head = m.nn.Linear(64, 10)

        def forward(self, images: Any) -> Any:
            return self.head(self.layer(self.embed(images.squeeze(1))).mean(1))

    return RowTransformer()


NETWORKS = {
    network.__name__: network for network in (mlp, lenet, batch_norm_cnn, example_cnn, row_lstm, row_transformer)
}


# -- what is done with them ------------------------------------------------------------------------------------


def as_written(step: Any) -> Any:
    return step


def small_ops(m: Any, *, compiled: Any = as_written) -> Step:
    """Eight operations on 4 x 5 numbers and their backward pass: nothing but overhead."""
    x, w = (m.tensor(numbers, dtype=m.get_default_dtype()) for numbers in small_numbers())
    w.requires_grad_()

    @compiled
    def step() -> Any:
        w.grad = None
        (((x * w + x).tanh() * w).sigmoid() - x).exp().mean().backward()
        return w.grad

    return step


def training(
    m: Any, *, batch_size: int, optimizer: str, options: dict[str, float], network: str = "mlp",
    compiled: Any = as_written, **size: int,
) -> Step:  # fmt: skip
    """Train a network: zero_grad, forward, cross entropy, backward, step; prepared batches."""
    model = with_known_weights(m, NETWORKS[network](m, **size))
    descent = getattr(m.optim, optimizer)(model.parameters(), **options)
    batches = prepared_tensors(m, batch_size)

    @compiled
    def learn(images: Any, labels: Any) -> Any:
        descent.zero_grad()
        loss = m.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        descent.step()
        return loss

    return lambda: learn(*next(batches))


def predicting(m: Any, *, compiled: Any = as_written) -> Step:
    """Predict one image with the MLP, under no_grad."""
    model = with_known_weights(m, mlp(m)).eval()
    batches = prepared_tensors(m, 1)

    @compiled
    def predict(images: Any) -> Any:
        with m.no_grad():
            return model(images)

    return lambda: predict(next(batches)[0])


def stepping(m: Any, *, shapes: list[tuple[int, ...]], optimizer: str, options: dict[str, float]) -> Step:
    """One step of an optimizer on weights of the given shapes, always with the same gradient."""
    arrays, gradients = weights_and_gradients(shapes)
    weights = [m.tensor(w, dtype=m.get_default_dtype(), requires_grad=True) for w in arrays]
    descent = getattr(m.optim, optimizer)(weights, **options)
    for w, g in zip(weights, gradients, strict=True):
        w.grad = m.tensor(g, dtype=w.dtype)

    def step() -> Any:
        descent.step()
        return weights[0]

    return step


def epoch(m: Any) -> None:
    """Train the MLP for one shuffled epoch of MNIST, as a user's program would."""
    m.manual_seed(0)
    model = mlp(m)
    descent = m.optim.Adam(model.parameters(), lr=1e-3)
    for images, labels in epoch_batches(m):
        descent.zero_grad()
        loss = m.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        descent.step()


SMALL_OPS, PREDICTION = "8 small ops, forward and backward", "MLP 784-128-10, batch 1, prediction"
FORTY, MILLION = [(20, 20), (20,)] * 20, [(1000, 1000)]
RATES = {"SGD": 1e-3, "Adagrad": 1e-2, "RMSprop": 1e-3, "Adadelta": 1.0, "Adam": 1e-3}

MLPS: dict[str, dict[str, Any]] = {
    "MLP 784-128-10, batch 64, Adam": {"batch_size": 64, "optimizer": "Adam", "options": {"lr": 1e-3}},
    "MLP 784-128-10, batch 1, SGD": {"batch_size": 1, "optimizer": "SGD", "options": {"lr": 1e-2}},
    "MLP 784-512-10, batch 256, Adam": {
        "batch_size": 256, "optimizer": "Adam", "options": {"lr": 1e-3}, "hidden": 512,
    },
}  # fmt: skip
LARGER: dict[str, dict[str, Any]] = {
    "LeNet-5, batch 64, Adam": {"network": "lenet", "batch_size": 64, "optimizer": "Adam", "options": {"lr": 1e-3}},
    "CNN 16-32 with batch norm, batch 64, Adam": {
        "network": "batch_norm_cnn", "batch_size": 64, "optimizer": "Adam", "options": {"lr": 1e-3},
    },
    "CNN 32-64, batch 64, Adadelta": {
        "network": "example_cnn", "batch_size": 64, "optimizer": "Adadelta", "options": {"lr": 1.0},
    },
    "LSTM 28 -> 128 over 28 rows, batch 64, Adam": {
        "network": "row_lstm", "batch_size": 64, "optimizer": "Adam", "options": {"lr": 1e-3},
    },
    "TransformerEncoderLayer, 28 tokens, batch 32, AdamW": {
        "network": "row_transformer", "batch_size": 32, "optimizer": "AdamW", "options": {"lr": 1e-3},
    },
}  # fmt: skip
STEPS: dict[str, dict[str, Any]] = {
    "40 small tensors: momentum step": {
        "shapes": FORTY, "optimizer": "SGD", "options": {"lr": 1e-3, "momentum": 0.9},
    },
    "40 small tensors: Adam step": {"shapes": FORTY, "optimizer": "Adam", "options": {"lr": 1e-3}},
    **{
        f"1,000,000 weights: {name} step": {"shapes": MILLION, "optimizer": name, "options": {"lr": rate}}
        for name, rate in RATES.items()
    },
}  # fmt: skip


WORKLOADS: dict[str, Callable[[Any], Step]] = {
    SMALL_OPS: small_ops,
    **{name: partial(training, **plan) for name, plan in MLPS.items()},
    PREDICTION: predicting,
    **{name: partial(training, **plan) for name, plan in LARGER.items()},
    **{name: partial(stepping, **plan) for name, plan in STEPS.items()},
}

IMPORT = "import"
EPOCH = ("whole process: MLP, one epoch", "peak memory of that process")
COST = ("LeNet-5, batch 256: peak memory", "LeNet-5, batch 256: memory added by the steps")
NAMES = (*WORKLOADS, IMPORT, *EPOCH, *COST)  # of all that is measured


# -- the same numbers for all: float32, also where they are computed with in float64 -----------------------------


def small_numbers() -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(0)
    x, w = stream.normal(size=(2, 4, 5)).astype(np.float32)
    return x, w


def weights_and_gradients(shapes: list[tuple[int, ...]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    stream = np.random.default_rng(0)
    weights, gradients = ([stream.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(2))
    return weights, gradients


def known_weights(shapes: list[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """Weights for layers of the given shapes (results, inputs, ...): uniform, scaled by the number of inputs."""
    stream = np.random.default_rng(0)
    for shape in shapes:
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        yield stream.uniform(-bound, bound, shape).astype(np.float32)


def starting_weights(network: str, hidden: int = 128) -> list[np.ndarray]:
    """The weight and the bias of each layer of a network, as `with_known_weights` sets them.

    The LSTM has two layers for its gates, of the row and of h; a layer of shape (features,) is a normalisation.
    """
    shapes: dict[str, list[tuple[int, ...]]] = {
        "mlp": [(hidden, 784), (10, hidden)],
        "lenet": [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)],
        "batch_norm_cnn": [(16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (10, 1568)],
        "example_cnn": [(32, 1, 3, 3), (64, 32, 3, 3), (128, 9216), (10, 128)],
        "row_lstm": [(512, 28), (512, 128), (10, 128)],
        "row_transformer": [(64, 28), (192, 64), (64, 64), (128, 64), (64, 128), (64,), (64,), (10, 64)],
    }
    drawn = known_weights([shape for shape in shapes[network] if len(shape) > 1])
    weights = [next(drawn) if len(shape) > 1 else np.ones(shape, np.float32) for shape in shapes[network]]
    return [part for w in weights for part in (w, np.zeros(len(w), np.float32))]


def with_known_weights(m: Any, model: Any) -> Any:
    """`model` with weights drawn here; biases zero, other vectors untouched."""
    state = model.state_dict()
    drawn = known_weights([tuple(w.shape) for w in state.values() if w.ndim > 1])
    model.load_state_dict({
        name: m.tensor(next(drawn)) if w.ndim > 1 else w * 0 if "bias" in name else w for name, w in state.items()
    })
    return model


def read_mnist(count: int = 60000) -> tuple[np.ndarray, np.ndarray]:
    """The first training images (count, 1, 28, 28) as bytes, and their labels (count,)."""
    with gzip.open(MNIST_FILES / "train-images-idx3-ubyte.gz") as images:
        pixels = np.frombuffer(images.read(16 + count * 784), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(MNIST_FILES / "train-labels-idx1-ubyte.gz") as labels:
        return pixels, np.frombuffer(labels.read(8 + count), np.uint8, offset=8).astype(np.int64)


@cache
def prepared_batches(batch_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first PREPARED images, from 0 to 1, and their labels in batches."""
    images, labels = read_mnist(PREPARED)
    images = np.divide(images, 255, dtype=np.float32)
    starts = range(0, PREPARED, batch_size)
    return [(images[start : start + batch_size], labels[start : start + batch_size]) for start in starts]


def prepared_tensors(m: Any, batch_size: int) -> Iterator[tuple[Any, Any]]:
    """The same as tensors, again and again."""
    dtype = m.get_default_dtype()
    return cycle([(m.tensor(images, dtype=dtype), m.tensor(labels)) for images, labels in prepared_batches(batch_size)])


def epoch_batches(m: Any) -> Iterator[tuple[Any, Any]]:
    """One shuffled epoch of MNIST in batches of 64, bytes in memory, float32 when drawn.

    minidl's own loader; for PyTorch the quickest way, which is not its DataLoader: indexing tensors.
    """
    if m.__name__ == "minidl":
        yield from m.data.DataLoader(m.data.MNIST(), batch_size=64, shuffle=True)
        return
    images, labels = map(m.tensor, read_mnist())
    for chosen in m.randperm(len(labels)).split(64):
        yield images[chosen].float() / 255, labels[chosen]
