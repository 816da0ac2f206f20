"""Losses with a margin, and distances: what drawn comparisons with PyTorch (tests/parity) do not show."""

import numpy as np
import pytest
import torch
from against_torch import assert_same, normal

import minidl
from minidl import nn
from minidl.autograd import gradcheck, gradgradcheck
from minidl.nn import functional as F

SIGNS, LABELS = minidl.tensor([1.0, -1.0, 1.0, -1.0]), minidl.tensor([0, 2, 1, 2])
SEVERAL = minidl.tensor([[0, 2, -1], [1, -1, 0], [-1, 0, 0], [0, 1, 2]])
A, B, C = normal(4, 3), normal(4, 3), normal(4, 3)

LOSSES = {
    "margin_ranking": (lambda x, y, **o: F.margin_ranking_loss(x, y, SIGNS[:, None], 0.5, **o), A, B),
    "hinge_embedding": (lambda x, **o: F.hinge_embedding_loss(x, SIGNS[:, None], **o), A),
    "soft_margin": (lambda x, **o: F.soft_margin_loss(x, SIGNS[:, None], **o), A),
    "multi_margin": (lambda x, **o: F.multi_margin_loss(x, LABELS, **o), A),
    "multi_margin-square": (lambda x, **o: F.multi_margin_loss(x, LABELS, p=2, **o), A),
    "multilabel_margin": (lambda x, **o: F.multilabel_margin_loss(x, SEVERAL, **o), A),
    "multilabel_soft_margin": (lambda x, **o: F.multilabel_soft_margin_loss(x, SEVERAL > 0, **o), A),
    "cosine_embedding": (lambda x, y, **o: F.cosine_embedding_loss(x, y, SIGNS, -1.0, **o), A, B),
    "triplet_margin": (lambda x, y, z, **o: F.triplet_margin_loss(x, y, z, 3.0, swap=True, **o), A, B, C),
    "triplet_margin-cube": (lambda x, y, z, **o: F.triplet_margin_loss(x, y, z, 3.0, p=3, **o), A, B, C),
}
DISTANCES = {
    "cosine_similarity": (F.cosine_similarity, A, B),
    "pairwise_distance": (F.pairwise_distance, A, B),
    "normalize": (F.normalize, A),
    "pdist": (F.pdist, A),
}


def needing_gradients(arrays):
    return [minidl.tensor(x, requires_grad=True) for x in arrays]


@pytest.mark.parametrize(("function", "inputs"), [(f, x) for f, *x in (*LOSSES.values(), *DISTANCES.values())],
                         ids=[*LOSSES, *DISTANCES])  # fmt: skip
def test_first_and_second_derivatives(function, inputs):
    assert gradcheck(function, needing_gradients(inputs))
    assert gradgradcheck(function, needing_gradients(inputs))


@pytest.mark.parametrize(("loss", "inputs"), [(f, x) for f, *x in LOSSES.values()], ids=LOSSES)
def test_a_reduction_that_is_none_raises(loss, inputs):
    with pytest.raises(ValueError, match="'foo'"):
        loss(*map(minidl.tensor, inputs), reduction="foo")


def test_soft_margin_does_not_overflow():
    x = minidl.tensor([-1000.0, 1000.0], requires_grad=True)
    losses = F.soft_margin_loss(x, minidl.ones(2), reduction="none")
    losses.sum().backward()
    assert losses.tolist() == [1000, 0]
    assert x.grad.tolist() == [-1, 0]


def test_labels_end_at_the_first_minus_one():
    scores = minidl.tensor([[0.1, 0.2, 0.4, 0.8]])
    expected = F.multilabel_margin_loss(scores, minidl.tensor([[3, 0, -1, -1]]))
    assert expected.item() == pytest.approx(0.85)
    assert F.multilabel_margin_loss(scores, minidl.tensor([[3, 0, -1, 1]])).item() == expected.item()
    assert F.multilabel_margin_loss(scores[0], minidl.tensor([3, 0, -1, 1])).item() == expected.item()


def test_a_vector_shorter_than_eps_has_a_gradient():
    zero = np.zeros((2, 3))
    assert_same(F.cosine_similarity, torch.nn.functional.cosine_similarity, zero, B[:2])
    assert_same(F.normalize, torch.nn.functional.normalize, zero)


@pytest.mark.parametrize("make", [
    lambda nn: nn.PairwiseDistance(), lambda nn: nn.CosineSimilarity(), lambda nn: nn.TripletMarginLoss(),
    lambda nn: nn.TripletMarginWithDistanceLoss(), lambda nn: nn.MultiMarginLoss(), lambda nn: nn.HingeEmbeddingLoss(),
])  # fmt: skip
def test_the_text_is_that_of_pytorch(make):
    assert repr(make(nn)) == repr(make(torch.nn))


x = minidl.ones(2, 3)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: F.margin_ranking_loss(x, x, x[0]), RuntimeError, r"dimensions, got .*target \(3,\)"),
    (lambda: F.soft_margin_loss(x[0], x), RuntimeError, r"\(2, 3\) is too large for an input of shape \(3,\)"),
    (lambda: F.multi_margin_loss(x, LABELS[:2], p=3), ValueError, "1 or 2, got 3"),
    (lambda: F.multi_margin_loss(x, LABELS[:2], weight=x), ValueError, r"\(C,\), got \(2, 3\)"),
    (lambda: F.multi_margin_loss(x, LABELS[:2], weight=x[0, :2]), RuntimeError, r"each of 3 classes, got \(2,\)"),
    (lambda: F.multi_margin_loss(x, LABELS), RuntimeError, r"of shape \(2,\) .* got int64 of shape \(4,\)"),
    (lambda: F.multi_margin_loss(x, x[:, 0]), RuntimeError, "whole numbers .* got float32"),
    (lambda: F.multi_margin_loss(x, minidl.tensor([0, 3])), RuntimeError, "from 0 to 2, got 3"),
    (lambda: F.multi_margin_loss(x[None], LABELS), RuntimeError, r"\(N, C\) or \(C,\), got \(1, 2, 3\)"),
    (lambda: F.multilabel_margin_loss(x, SEVERAL), RuntimeError, r"of shape \(2, 3\) .* \(4, 3\)"),
    (lambda: F.multilabel_margin_loss(x, minidl.full((2, 3), -2)), RuntimeError, "from -1 to 2, got -2"),
    (lambda: F.multilabel_soft_margin_loss(x[0, 0], x[0, 0]), IndexError, "single number"),
    (lambda: F.cosine_embedding_loss(x, x, x), RuntimeError, r"\(N,\) .*got \(2, 3\), \(2, 3\), \(2, 3\)"),
    (lambda: F.triplet_margin_loss(x, x, x, margin=0), ValueError, "above 0, got 0"),
    (lambda: F.triplet_margin_loss(x, x, x[0]), RuntimeError, r"negative \(3,\)"),
    (lambda: nn.TripletMarginLoss(margin=-1), ValueError, "above 0, got -1"),
    (lambda: nn.TripletMarginWithDistanceLoss(margin=0), ValueError, "above 0, got 0"),
    (lambda: nn.MultiMarginLoss(p=3), ValueError, "1 or 2, got 3"),
    (lambda: nn.MultiMarginLoss(weight=x), ValueError, r"\(C,\), got \(2, 3\)"),
    (lambda: F.pdist(x[0]), RuntimeError, r"\(n, features\) .*got \(3,\)"),
    (lambda: F.pdist(x, p=-1), RuntimeError, "from 0, got .* and -1"),
    (lambda: F.cosine_similarity(LABELS, LABELS, dim=0), RuntimeError, "floating dtype, got int64"),
])  # fmt: skip
def test_what_does_not_fit(call, error, message):
    with pytest.raises(error, match=message):
        call()
