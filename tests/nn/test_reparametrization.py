"""Weight norm and spectral norm: the same weights, gradients and state as PyTorch's, and the way back."""

import numpy as np
import pytest
import torch
from against_torch import assert_same, normal, pair

from minidl import nn

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils:FutureWarning")  # PyTorch has newer forms, too

LAYERS = {
    "linear": (lambda nn: nn.Linear(3, 4), (5, 3)),
    "conv": (lambda nn: nn.Conv2d(2, 3, 2), (2, 2, 4, 4)),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weight_norm(layer: str, dim: int | None) -> None:
    make, shape = LAYERS[layer]
    if dim == -1:
        ours, theirs = pair(lambda library: library.utils.weight_norm(make(library), dim=1))
    else:
        ours, theirs = pair(lambda library: library.utils.weight_norm(make(library), dim=dim))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert_same(ours, theirs, normal(*shape))


@pytest.mark.parametrize("layer", LAYERS)
def test_spectral_norm_follows_pytorch_over_steps_and_in_evaluation(layer: str) -> None:
    make, shape = LAYERS[layer]
    ours, theirs = pair(lambda library: library.utils.spectral_norm(make(library), n_power_iterations=2))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = normal(*shape)
    for _ in range(3):
        for p in (*ours.parameters(), *theirs.parameters()):
            p.grad = None
        assert_same(ours, theirs, x)
    assert_same(ours.eval(), theirs.eval(), x)


def test_the_largest_singular_value_becomes_one() -> None:
    layer = nn.utils.spectral_norm(nn.Linear(6, 4), n_power_iterations=50)
    layer(nn.Parameter(np.zeros((1, 6), "float32")))
    assert np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)[0] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
def test_the_way_back_keeps_the_numbers(kind: str) -> None:
    layer = getattr(nn.utils, kind)(nn.Linear(3, 2))
    x = nn.Parameter(np.ones((1, 3), "float32"))
    layer.eval()
    before = layer(x).detach().numpy()
    getattr(nn.utils, f"remove_{kind}")(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer(x).detach().numpy(), before, rtol=1e-6)
    with pytest.raises(ValueError, match="not computed from"):
        getattr(nn.utils, f"remove_{kind}")(layer)


def test_what_is_refused() -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match="normalised already"):
        nn.utils.weight_norm(layer)
    with pytest.raises(ValueError, match="n_power_iterations"):
        nn.utils.spectral_norm(nn.Linear(3, 2), n_power_iterations=0)
    with pytest.raises(ValueError):
        torch.nn.utils.spectral_norm(torch.nn.Linear(3, 2), n_power_iterations=0)
