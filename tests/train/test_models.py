"""The networks of the command: as large as they say, and trainable."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.train import models


@pytest.mark.parametrize("name, weights", [("mlp", 784 * 128 + 128 + 128 * 10 + 10), ("lenet", 61_706)])
def test_the_number_of_weights_is_the_known_one(name, weights):
    assert sum(parameter.numel() for parameter in models.by_name[name]().parameters()) == weights


@pytest.mark.parametrize("name", models.by_name)
def test_images_give_scores_and_every_weight_a_gradient(name):
    minidl.manual_seed(0)
    model = models.by_name[name]()
    scores = model(minidl.rand(4, 1, 28, 28))
    assert scores.shape == (4, 10) and scores.dtype == np.float32
    nn.functional.cross_entropy(scores, minidl.tensor([0, 1, 2, 3])).backward()
    assert all(np.any(parameter.grad.array) for parameter in model.parameters())
