"""The flow of gradients: measures are those of the tensors, and each verdict is found where its cause was planted."""

import numpy as np
import pytest
from study.study_cases import lenet_loss

import minidl
from minidl import nn, optim, study

X = minidl.tensor(np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32))
Y = minidl.tensor(np.arange(64) % 4)


def network(activation, hidden=8, gain=1.0):
    minidl.manual_seed(0)
    layers = [layer for _ in range(hidden) for layer in (nn.Linear(32, 32), activation())]
    model = nn.Sequential(*layers, nn.Linear(32, 4))
    with minidl.no_grad():
        for p in model.parameters():
            p.mul_(gain)
    return model


def loss_of(model):
    return nn.functional.cross_entropy(model(X), Y)


def flow(model, optimizer=None):
    return study.gradient_flow(model, loss_of(model), optimizer)


def test_a_healthy_network_has_no_verdict():
    model = network(nn.ReLU, hidden=2, gain=1.7)
    assert flow(model, optim.Adam(model.parameters(), lr=1e-3)).verdicts == {}
    assert study.gradient_flow(*lenet_loss(2)).verdicts == {}  # too few examples to call a unit dead


def test_a_deep_sigmoid_network_vanishes():
    verdicts = flow(network(nn.Sigmoid)).verdicts
    assert verdicts["0"].startswith("vanishing") and "14" not in verdicts


def test_weights_far_too_large_explode():
    verdicts = flow(network(nn.ReLU, gain=30)).verdicts
    assert verdicts["0"].startswith("exploding") and "16" not in verdicts


def test_numbers_that_overflow_explode():
    with np.errstate(all="ignore"):
        assert "not finite" in flow(network(nn.ReLU, hidden=3, gain=1e15)).verdicts["0"]


def test_tanh_saturates():
    assert flow(network(nn.Tanh, hidden=2, gain=30)).verdicts["0"].startswith("saturated")


def test_dead_relus():
    model = network(nn.ReLU, hidden=2)
    with minidl.no_grad():
        model[2].bias[:24].fill_(-1e3)
    result = flow(model)
    assert result.verdicts["2"].startswith("dead: 7")  # three quarters, and few of the others
    assert 0.75 <= result.layers[1].dead < 0.8 and result.layers[0].dead < 0.2


def test_dead_channels_of_a_convolution():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 1))
    with minidl.no_grad():
        model[0].bias[:3].fill_(-100)
    assert study.gradient_flow(model, model(minidl.randn(8, 1, 8, 8)).sum()).layers[0].dead == 0.75


@pytest.mark.parametrize(("lr", "verdict"), [(100.0, "steps too large"), (1e-9, "steps too small")])
def test_steps_of_the_wrong_size(lr, verdict):
    model = network(nn.ReLU, hidden=2, gain=1.7)
    assert flow(model, optim.SGD(model.parameters(), lr=lr)).verdicts["0"].startswith(verdict)


def test_the_measures_are_those_of_the_tensors():
    model = network(nn.Tanh, hidden=1)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    hidden = model[0](X)
    hidden.retain_grad()
    loss = nn.functional.cross_entropy(model[2](model[1](hidden)), Y)
    first = study.gradient_flow(model, loss, optimizer).layers[0]
    assert model[0].weight.grad is None and hidden.grad is None and not optimizer.state
    loss.backward()
    before = [p.detach().numpy().copy() for p in model[0].parameters()]
    optimizer.step()
    moved = [p.detach().numpy() - old for p, old in zip(model[0].parameters(), before, strict=True)]
    norm = np.linalg.norm
    assert first.activation == pytest.approx(norm(hidden.detach().numpy()))
    assert first.gradient == pytest.approx(norm(hidden.grad.numpy()))
    assert first.weight_gradient == pytest.approx(norm([norm(p.grad.numpy()) for p in model[0].parameters()]))
    assert first.update == pytest.approx(norm([norm(change) for change in moved]))
    assert first.ratio == pytest.approx(first.update / norm([norm(old) for old in before]))


def test_several_looks_are_plotted(tmp_path):
    pytest.importorskip("matplotlib")
    model = network(nn.ReLU, hidden=2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    result = flow(model, optimizer)
    for _ in range(3):
        result.look(loss_of(model))
    figure = result.plot(tmp_path / "new" / "flow.png")
    assert (tmp_path / "new" / "flow.png").read_bytes().startswith(b"\x89PNG")
    assert [len(axes.get_lines()) for axes in figure.axes] == [3, 3, 2]
    assert all(len(line.get_xdata()) == 4 for line in figure.axes[0].get_lines())
    assert "verdict" in str(result) and str(result).count("\n") == 3


def test_a_loss_of_another_model_is_refused():
    with pytest.raises(RuntimeError, match="not computed with this model"):
        study.gradient_flow(network(nn.ReLU), loss_of(network(nn.ReLU)))
