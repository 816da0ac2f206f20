"""The meter: means over examples, not over batches, and the first loss that is no number."""

import math

import numpy as np
import pytest

import minidl
from minidl.train import Meter


def test_a_batch_counts_by_its_size():
    meter = Meter()
    meter.add(minidl.tensor(1.0), minidl.zeros(3, 1), minidl.zeros(3, 1))
    meter.add(minidl.tensor(5.0), minidl.zeros(1, 1), minidl.zeros(1, 1))
    assert meter.means() == {"loss": 2.0}
    assert (meter.batches, meter.examples) == (2, 4)


def test_the_accuracy_counts_labels_with_the_highest_score():
    meter = Meter()
    scores = minidl.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    meter.add(minidl.tensor(0.0), scores, minidl.tensor([1, 0, 0, 0]))
    assert meter.means()["accuracy"] == 0.75


def test_labels_may_have_more_dimensions():
    scores = np.zeros((2, 3, 4, 5), np.float32)  # (batch, classes, height, width)
    scores[:, 1] = 1.0
    labels = np.ones((2, 4, 5), np.int64)
    labels[0, 0, 0] = 2
    meter = Meter()
    meter.add(minidl.tensor(0.0), minidl.Tensor(scores), minidl.Tensor(labels))
    assert meter.means()["accuracy"] == pytest.approx(39 / 40)


def test_reading_in_between_changes_nothing():
    often, once = Meter(), Meter()
    for number in range(5):
        batch = minidl.tensor(number / 3), minidl.rand(4, 3), minidl.randint(0, 3, (4,))
        often.add(*batch)
        often.read()
        once.add(*batch)
    assert often.means() == pytest.approx(once.means(), rel=1e-12)


def test_the_first_loss_that_is_not_finite_is_remembered():
    meter = Meter()
    for loss in (1.0, 2.0, math.inf, math.nan):
        meter.add(minidl.tensor(loss), minidl.zeros(1, 1), minidl.zeros(1, 1))
        meter.read()
    assert meter.first_bad == 3


def test_nothing_to_measure_is_an_error():
    with pytest.raises(ValueError, match="no batches"):
        Meter().means()
