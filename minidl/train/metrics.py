"""Metrics of classification: numbers that say how well predicted classes fit the true ones.

Predictions are scores (N, classes), of which the highest counts, or class labels (N,); targets are labels (N,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor


def accuracy(predictions: Any, targets: Any) -> float:
    """The part of the predictions that is right; ValueError for none, or for shapes that do not fit.

    >>> accuracy([2, 0, 1, 1], [2, 0, 1, 0])
    0.75
    """
    predicted, true = _labels(predictions, targets)
    return float((predicted == true).mean())


def top_k_accuracy(scores: Any, targets: Any, k: int = 5) -> float:
    """The part of the targets that is among the k highest scores of its row (N, classes).

    >>> top_k_accuracy([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], [1, 2], k=2)
    0.5
    """
    values, true = _host(scores), _host(targets)
    if values.ndim != 2 or true.shape != values.shape[:1] or not 1 <= k <= values.shape[1]:
        raise ValueError(
            f"top_k_accuracy: expected scores (N, classes), targets (N,) and k from 1 to the number of classes, got "
            f"{values.shape}, {true.shape} and k={k}"
        )
    better = (values > np.take_along_axis(values, true[:, None], 1)).sum(1)  # scores above that of the target
    return float((better < k).mean())


def confusion_matrix(predictions: Any, targets: Any, classes: int | None = None) -> np.ndarray:
    """How many examples of each true class (row) were taken for each class (column): (classes, classes), int64.

    `classes` is one more than the largest label unless given.

    >>> confusion_matrix([0, 1, 1, 1], [0, 0, 1, 1])
    array([[1, 1],
           [0, 2]])
    """
    predicted, true = _labels(predictions, targets)
    largest = int(max(predicted.max(), true.max()))
    classes = largest + 1 if classes is None else classes
    if largest >= classes or min(predicted.min(), true.min()) < 0:
        raise ValueError(f"confusion_matrix: expected labels from 0 to {classes - 1}, got {largest}")
    return np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def precision(predictions: Any, targets: Any, classes: int | None = None) -> np.ndarray:
    """For each class, the part of what was taken for it that is of it: (classes,); 0 where nothing was."""
    table = confusion_matrix(predictions, targets, classes)
    return _share(np.diag(table), table.sum(0))


def recall(predictions: Any, targets: Any, classes: int | None = None) -> np.ndarray:
    """For each class, the part of its examples that was recognised: (classes,); 0 where there are none."""
    table = confusion_matrix(predictions, targets, classes)
    return _share(np.diag(table), table.sum(1))


def f1_score(predictions: Any, targets: Any, classes: int | None = None) -> np.ndarray:
    """For each class, the harmonic mean of precision and recall, 2·TP / (predicted + true): (classes,).

    >>> f1_score([0, 1, 1, 1], [0, 0, 1, 1]).round(3)
    array([0.667, 0.8  ])
    """
    table = confusion_matrix(predictions, targets, classes)
    return _share(2 * np.diag(table), table.sum(0) + table.sum(1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return part / np.maximum(whole, 1)


def _labels(predictions: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true labels on the host; scores become the class with the highest."""
    predicted, true = _host(predictions), _host(targets)
    if predicted.ndim == true.ndim + 1:
        predicted = predicted.argmax(1)
    whole = predicted.dtype.kind in "iu" and true.dtype.kind in "iu"
    if predicted.shape != true.shape or not true.size or not whole:
        raise ValueError(
            "expected scores (N, classes) or labels (N,) beside true labels (N,), whole numbers and at least one; got "
            f"{predicted.dtype} {predicted.shape} and {true.dtype} {true.shape}"
        )
    return predicted.reshape(-1), true.reshape(-1)


def _host(values: Any) -> np.ndarray:
    return backend.to_device(values.array, "cpu") if isinstance(values, Tensor) else np.asarray(values)
