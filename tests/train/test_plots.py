"""The pictures: what they show, and what they say when matplotlib is missing."""

import sys

import numpy as np
import pytest

import minidl
from minidl.train import History, digits, learning_curve

pytest.importorskip("matplotlib")

HISTORY = History(
    {"epoch": n, "loss": 1 / n, "accuracy": 1 - 0.1 / n, "val_loss": 1.1 / n, "val_accuracy": 1 - 0.2 / n}
    for n in (1, 2, 3)
)


def test_the_learning_curve_has_a_panel_for_the_loss_and_one_for_the_accuracy(tmp_path):
    figure = learning_curve(HISTORY, validation="test")
    loss, accuracy = figure.axes
    assert list(loss.lines[0].get_ydata()) == HISTORY.column("loss")
    assert list(accuracy.lines[2].get_ydata()) == [100 * value for value in HISTORY.column("val_accuracy")]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training: 0.333", "test: 0.367"]
    figure.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_not_measured_is_not_drawn():
    (loss,) = learning_curve(History([{"epoch": 1, "loss": 0.5}])).axes
    assert len(loss.get_legend().get_texts()) == 1


def test_an_empty_history_cannot_be_drawn():
    with pytest.raises(ValueError, match="history is empty"):
        learning_curve(History())


@pytest.mark.parametrize("shape", [(12, 28, 28), (12, 1, 28, 28)])
def test_wrong_predictions_stand_out(shape):
    labels = minidl.arange(12) % 10
    predictions = labels.numpy().copy()
    predictions[3] = 5
    figure = digits(minidl.rand(*shape), labels, predictions, columns=5)
    captions = [axes.xaxis.label for axes in figure.axes]
    assert [caption.get_text() for caption in captions[:5]] == ["0", "1", "2", "5, not 3", "4"]
    assert captions[3].get_color() != captions[2].get_color() == captions[4].get_color()
    assert figure.axes[3].spines["top"].get_edgecolor() != figure.axes[2].spines["top"].get_edgecolor()


def test_lengths_that_differ_are_named():
    with pytest.raises(ValueError, match="got 2 images, 3 labels, 2 predictions"):
        digits(np.zeros((2, 28, 28)), [1, 2, 3], [1, 2])


def test_without_matplotlib_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "minidl\[study\]"'):
        learning_curve(HISTORY)
