"""Pictures of a training run: the learning curve, and digits with what the network takes them for.

They need matplotlib, which `pip install "minidl[study]"` brings; it is imported when the first is drawn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor
from minidl.train.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION, WRONG, RIGHT, GRID = "#7a8699", "#0b6bcb", "#d1242f", "#57606a", "#e6e8eb"


def learning_curve(history: History, validation: str = "validation") -> Figure:
    """The loss of every epoch and, where there is one, the accuracy, beside each other.

    `validation` is the word for the second set of examples.  Save with `figure.savefig(path)`.  Raises
    ImportError without matplotlib, ValueError for an empty history.

    >>> figure = learning_curve(History([{"epoch": 1, "loss": 0.4, "val_loss": 0.3}]))
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['loss']
    """
    if not history:
        raise ValueError("the history is empty: train for at least one epoch before drawing it")
    panels = [name for name in ("loss", "accuracy") if name in history.columns]
    figure = _figure(5.2 * len(panels), 3.6)
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for column, label, color in ((name, "training", TRAIN), (f"val_{name}", validation, VALIDATION)):
            if column in history.columns:
                _curve(
                    axes, history.column("epoch"), history.column(column), label, color, name == "accuracy"
                )
        axes.set_title("accuracy, %" if name == "accuracy" else name, loc="left", fontweight="bold")
        axes.set_xlabel("epoch")
        axes.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(color=GRID)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def _curve(
    axes: Axes, epochs: list[float], values: list[float], label: str, color: str, percent: bool
) -> None:
    """One line, whose last value stands in the legend and, as a dot, at its end."""
    if percent:
        values = [100 * value for value in values]
    last = f"{values[-1]:.1f} %" if percent else f"{values[-1]:.3f}"
    axes.plot(epochs, values, color=color, linewidth=2, label=f"{label}: {last}")
    axes.plot(epochs[-1:], values[-1:], "o", color=color)


def digits(images: Any, labels: Any, predictions: Any, columns: int = 10) -> Figure:
    """Images (count, 28, 28) or (count, 1, 28, 28) in rows, each over the class predicted for it.

    A wrong prediction is red, and what the image really shows stands beside it.  Arrays and Tensors of any
    device will do.  Raises ImportError without matplotlib, ValueError for lengths that differ.

    >>> figure = digits(np.zeros((2, 28, 28)), [7, 1], [7, 2])
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['7', '2, not 1']
    """
    pictures, truths, guesses = (_on_host(values) for values in (images, labels, predictions))
    if not len(pictures) == len(truths) == len(guesses) > 0:
        raise ValueError(
            "digits needs one label and one prediction for each image, "
            f"got {len(pictures)} images, {len(truths)} labels, {len(guesses)} predictions"
        )
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    figure = _figure(0.9 * columns, 1.15 * rows)
    for place, (picture, truth, guess) in enumerate(zip(pictures, truths, guesses, strict=True), 1):
        color = RIGHT if guess == truth else WRONG
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(picture.reshape(picture.shape[-2:]), cmap="gray_r")
        axes.set_xlabel(f"{guess}" if guess == truth else f"{guess}, not {truth}", color=color)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color=color if guess != truth else GRID, linewidth=1 if guess == truth else 1.5)
    return figure


def _figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches; made without pyplot, it needs no screen and no closing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('pictures need matplotlib: pip install "minidl[study]"') from None
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def _on_host(values: Any) -> np.ndarray:
    array = values.array if isinstance(values, Tensor) else values
    return backend.to_device(array, "cpu") if type(array) in backend.modules else np.asarray(array)
