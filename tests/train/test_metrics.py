"""Metrics against their definitions, written out by hand for a small example and drawn at random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.train import metrics

labels = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@given(labels)
def test_counts_are_those_of_the_definitions(pairs: list[tuple[int, int]]) -> None:
    predicted, true = map(np.array, zip(*pairs, strict=True))
    table = metrics.confusion_matrix(predicted, true, classes=4)
    for t in range(4):
        for p in range(4):
            assert table[t, p] == sum(pair == (p, t) for pair in pairs)
    assert metrics.accuracy(predicted, true) == pytest.approx(np.trace(table) / len(pairs))
    for c in range(4):
        hits, said, are = table[c, c], table[:, c].sum(), table[c].sum()
        assert metrics.precision(predicted, true, 4)[c] == (hits / said if said else 0)
        assert metrics.recall(predicted, true, 4)[c] == (hits / are if are else 0)
        p, r = metrics.precision(predicted, true, 4)[c], metrics.recall(predicted, true, 4)[c]
        assert metrics.f1_score(predicted, true, 4)[c] == pytest.approx(2 * p * r / (p + r) if p + r else 0)


def test_scores_tensors_and_labels_mean_the_same() -> None:
    scores = minidl.tensor([[0.1, 0.7, 0.2], [0.9, 0.0, 0.1], [0.2, 0.3, 0.5]])
    true = minidl.tensor([1, 0, 1])
    assert metrics.accuracy(scores, true) == metrics.accuracy([1, 0, 2], true.numpy()) == pytest.approx(2 / 3)
    assert metrics.top_k_accuracy(scores, true, 1) == pytest.approx(2 / 3)
    assert metrics.top_k_accuracy(scores, true, 2) == 1
    assert metrics.confusion_matrix(scores, true).shape == (3, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: metrics.accuracy([], []),
        lambda: metrics.accuracy([1, 2], [1]),
        lambda: metrics.accuracy([0.5, 1.0], [0, 1]),
        lambda: metrics.top_k_accuracy([[0.1, 0.9]], [1], k=3),
        lambda: metrics.confusion_matrix([5], [0], classes=3),
    ],
)
def test_what_does_not_fit_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()
