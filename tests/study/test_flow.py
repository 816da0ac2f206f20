"""The flow of gradients: measures are those of the tensors, and each verdict is found where its cause was planted."""

import contextlib

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
    assert {layer.dead for layer in study.gradient_flow(*lenet_loss(2)).layers} == {None}  # for two may be 0 by chance


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


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: [nn.Conv2d(1, 4, 3)], (8, 1, 8, 8)),
        (lambda: [nn.Conv1d(2, 4, 3)], (8, 2, 8)),
        (lambda: [nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)], (8, 2, 8)),
        (lambda: [nn.Linear(2, 4)], (8, 5, 2)),
        (lambda: [nn.Linear(2, 4)], (8, 4, 2)),
    ],
)
def test_dead_channels_and_units(make, shape):
    model = nn.Sequential(*make(), nn.ReLU())
    with minidl.no_grad():
        model[-2].bias[:3].fill_(-100.0)
        model[-2].bias[3].fill_(100.0)
    assert study.gradient_flow(model, model(minidl.randn(*shape)).sum()).layers[-1].dead == 0.75


@pytest.mark.parametrize(("lr", "verdict"), [(100.0, "steps too large"), (1e-9, "steps too small")])
def test_steps_of_the_wrong_size(lr, verdict):
    model = network(nn.ReLU, hidden=2, gain=1.7)
    assert flow(model, optim.SGD(model.parameters(), lr=lr)).verdicts["0"].startswith(verdict)


def test_the_measures_are_those_of_the_tensors():
    model = network(nn.Tanh, hidden=1, gain=3.0)
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
    assert first.saturated == (abs(np.tanh(hidden.detach().numpy())) > 0.97).mean() > 0
    assert first.ratio == pytest.approx(first.update / norm([norm(old) for old in before]))


LAYERS = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), (8, 4)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), (8, 4, 3, 3)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (8, 4, 3, 3)),
    "LayerNorm": (lambda: nn.LayerNorm(4), (8, 4)),
    "Embedding": (lambda: nn.Embedding(9, 4), None),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 2, 3), (8, 4, 3, 3)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_activation_is_what_the_layer_gives_whatever_it_does_with_its_parameters(kind):
    minidl.manual_seed(0)
    make, shape = LAYERS[kind]
    model = nn.ModuleList([layer := make()])
    out = layer(minidl.tensor([1, 2]) if shape is None else minidl.randn(*shape))
    out.retain_grad()
    penalty = sum((p * p).sum() for p in layer.parameters())
    loss = out.sin().sum() + 0.1 * penalty
    (found,) = study.gradient_flow(model, loss).layers
    loss.backward()
    assert found.activation == pytest.approx(np.linalg.norm(out.detach().numpy()), rel=1e-5)
    assert found.gradient == pytest.approx(np.linalg.norm(out.grad.numpy()), rel=1e-5)
    assert found.weight == pytest.approx(float(penalty.item()) ** 0.5, rel=1e-5)
    assert found.weight_gradient == pytest.approx(
        np.linalg.norm(np.concatenate([p.grad.numpy().ravel() for p in layer.parameters()])), rel=1e-5
    )


def test_parameters_that_meet_nothing_else():
    model = nn.ParameterList([nn.Parameter(minidl.tensor([3.0, 4.0]))])
    (layer,) = study.gradient_flow(model, model[0].square().sum()).layers
    assert (layer.weight, layer.weight_gradient) == (5, 10)


@pytest.mark.parametrize(("bias", "names"), [(False, ["embed = head"]), (True, ["embed = head", "head"])])
def test_layers_that_share_a_weight(bias, names):
    class Tied(nn.Module):
        def __init__(self):
            self.embed, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=bias)
            self.head.weight = self.embed.weight

        def forward(self, x):
            return self.head(self.embed(x).tanh())

    model = Tied()
    result = study.gradient_flow(model, model(minidl.tensor([0, 1, 2])).square().sum())
    assert [layer.name for layer in result.layers] == names
    size = np.linalg.norm([np.linalg.norm(p.detach().numpy()) for p in model.parameters()])
    assert result.layers[-1].weight == pytest.approx(size)


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


# -- what a layer returned ----------------------------------------------------------------------------------------

RETURNS = {
    "Linear": lambda: (nn.Linear(6, 4), (8, 6)),
    "Bilinear": lambda: (nn.Bilinear(6, 6, 4), (8, 6), (8, 6)),
    "Conv1d": lambda: (nn.Conv1d(6, 4, 2), (8, 6, 5)),
    "Conv2d": lambda: (nn.Conv2d(2, 4, 2), (8, 2, 5, 5)),
    "Conv3d": lambda: (nn.Conv3d(2, 4, 2), (8, 2, 3, 3, 3)),
    "ConvTranspose1d": lambda: (nn.ConvTranspose1d(6, 4, 2), (8, 6, 5)),
    "ConvTranspose2d": lambda: (nn.ConvTranspose2d(2, 4, 2), (8, 2, 5, 5)),
    "BatchNorm1d": lambda: (nn.BatchNorm1d(6), (8, 6)),
    "BatchNorm1d of sequences": lambda: (nn.BatchNorm1d(6), (8, 6, 5)),
    "BatchNorm2d": lambda: (nn.BatchNorm2d(2), (8, 2, 5, 5)),
    "BatchNorm1d in eval": lambda: (nn.BatchNorm1d(6).eval(), (8, 6)),
    "GroupNorm": lambda: (nn.GroupNorm(2, 6), (8, 6, 5)),
    "LayerNorm": lambda: (nn.LayerNorm(6), (8, 6)),
    "RMSNorm": lambda: (nn.RMSNorm(6), (8, 6)),
    "InstanceNorm1d": lambda: (nn.InstanceNorm1d(6, affine=True), (8, 6, 5)),
    "InstanceNorm2d": lambda: (nn.InstanceNorm2d(2, affine=True), (8, 2, 5, 5)),
    "PReLU": lambda: (nn.PReLU(), (8, 6)),
    "PReLU by channel": lambda: (nn.PReLU(6), (8, 6, 5)),
    "RNN": lambda: (nn.RNN(6, 4), (5, 8, 6)),
    "LSTM": lambda: (nn.LSTM(6, 4, num_layers=2, batch_first=True), (8, 5, 6)),
    "LSTM, bidirectional": lambda: (nn.LSTM(6, 4, bidirectional=True), (5, 8, 6)),
    "GRU": lambda: (nn.GRU(6, 4, num_layers=2, bidirectional=True), (5, 8, 6)),
    "MultiheadAttention": lambda: (nn.MultiheadAttention(6, 2), (5, 8, 6), (5, 8, 6), (5, 8, 6)),
    "MultiheadAttention, kdim": lambda: (nn.MultiheadAttention(6, 2, kdim=3, vdim=5), (5, 8, 6), (5, 8, 3), (5, 8, 5)),
    "RNNCell, recorded": lambda: (nn.RNNCell(6, 4), (8, 6)),
    "LSTMCell, recorded": lambda: (nn.LSTMCell(6, 4), (8, 6)),
    "GRUCell, recorded": lambda: (nn.GRUCell(6, 4), (8, 6)),
    "of ones own, recorded": lambda: (Gate(), (8, 6)),
}


class Gate(nn.Module):
    def __init__(self):
        self.w = nn.Parameter(minidl.full((6,), 0.3))

    def forward(self, x):
        return (x * self.w).sigmoid() * x


class Around(nn.Module):
    """A layer with something before and behind it."""

    def __init__(self, layer):
        self.scale, self.layer = nn.Parameter(minidl.ones(1)), layer

    def forward(self, *inputs):
        output = self.layer(*(x * self.scale for x in inputs))
        while isinstance(output, tuple):
            output = output[0]
        return output.sigmoid().square()


@pytest.mark.parametrize("case", RETURNS)
def test_the_activation_is_what_a_forward_hook_sees(case):
    minidl.manual_seed(0)
    layer, *shapes = RETURNS[case]()
    model, inputs, seen = Around(layer), [minidl.randn(*shape) for shape in shapes], []
    layer.register_forward_hook(lambda module, given, output: seen.append(output))
    with study.record(model) if "recorded" in case else contextlib.nullcontext():
        loss = model(*inputs).sum()
    output = seen[0]
    while isinstance(output, tuple):
        output = output[0]
    (gradient,) = minidl.autograd.grad(loss, output, retain_graph=True)
    (found,) = [row for row in study.gradient_flow(model, loss).layers if row.name == "layer"]
    assert found.activation == pytest.approx(np.linalg.norm(output.array), rel=1e-5)
    assert found.gradient == pytest.approx(np.linalg.norm(gradient.array), rel=1e-5)
    assert (found.calls, found.note) == (1, "")
    size = np.linalg.norm([np.linalg.norm(p.array) for p in layer.parameters()])
    assert found.weight == pytest.approx(size, rel=1e-5)


def test_what_a_graph_alone_does_not_tell_is_said():
    model = Around(Gate())
    table = study.gradient_flow(model, model(minidl.randn(8, 6)).sum()).table()
    assert all("study.record(model)" in row["note"] for row in table)


# -- dead units ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "activation", [nn.ELU, nn.PReLU, nn.LeakyReLU, nn.SELU, nn.CELU, nn.SiLU, nn.Softplus, nn.GELU]
)
def test_living_units_are_not_called_dead(activation):
    model = nn.Sequential(nn.Linear(32, 16), activation(), nn.Linear(16, 4))
    with minidl.no_grad():
        model[0].bias.fill_(-3.0)
        model[0].weight.mul_(0.1)
    assert study.gradient_flow(model, loss_of(model)).layers[0].dead == 0


@pytest.mark.parametrize("between", [[], [nn.Dropout(0.1)], [nn.BatchNorm1d(16)]], ids=["nothing", "dropout", "norm"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Softshrink])
def test_dead_units_of_every_activation(activation, between):
    model = nn.Sequential(nn.Linear(32, 16), *between, activation(), nn.Linear(16, 4))
    last = between[0] if between and not isinstance(between[0], nn.Dropout) else model[0]
    with minidl.no_grad():
        last.weight.mul_(0.01)
        last.bias.fill_(0.0 if activation is nn.Softshrink else -100.0)
    dead = [name for name, verdict in flow(model).verdicts.items() if verdict.startswith("dead: 100% of its units")]
    assert dead == ["0" if last is model[0] else "1"]


def test_saturation_is_that_of_a_tanh_that_stands_alone():
    model = nn.Sequential(nn.Linear(32, 16), nn.SiLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 4))
    with minidl.no_grad():
        model[0].bias.fill_(20.0)
    first, second, _ = study.gradient_flow(model, loss_of(model)).layers
    assert first.saturated is None and second.saturated > 0.9


# -- shared layers, and what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", [False, True])
def test_calls_are_counted(recorded):
    layer = nn.Linear(32, 32)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(32, 4))
    with study.record(model) if recorded else contextlib.nullcontext():
        loss = loss_of(model)
    result = study.gradient_flow(model, loss)
    assert [row["calls"] for row in result.table()] == [2, 1]
    assert result.layers[0].activation == pytest.approx(np.linalg.norm(model[:3](X).array))
    assert "calls" not in flow(network(nn.Tanh)).table().columns


def test_it_says_where_a_shared_weight_is_counted():
    model = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32), nn.Linear(32, 4))
    model[2].weight = model[0].weight
    notes = [layer.note for layer in flow(model).layers]
    assert notes == ["weight is that of 0 and 2, counted in both rows"] * 2 + [""]


def test_verdicts_say_that_they_compare_entries():
    assert "per entry" in flow(network(nn.Sigmoid)).verdicts["0"]


def test_a_loss_that_is_not_reduced_and_what_is_no_model():
    model = network(nn.ReLU, 1)
    with pytest.raises(RuntimeError, match=r"reduce it with .sum\(\) or .mean\(\)"):
        study.gradient_flow(model, nn.functional.cross_entropy(model(X), Y, reduction="none"))
    for given, message in [
        ((None, loss_of(model)), "expected a Module, got NoneType"),
        ((model, None), "expected a tensor that was computed, such as a loss, got NoneType"),
        ((model, loss_of(model), model), "expected an Optimizer, got Sequential"),
    ]:
        with pytest.raises(TypeError, match=message):
            study.gradient_flow(*given)
    with pytest.raises(ValueError, match="that of another model"):
        flow(model, optim.SGD(network(nn.ReLU).parameters(), lr=0.1))


def test_one_look_is_drawn_as_bars(tmp_path):
    pytest.importorskip("matplotlib")
    model = network(nn.ReLU, hidden=9)
    figure = flow(model, optim.SGD(model.parameters(), lr=0.1)).plot(tmp_path / "flow.png")
    assert [len(axes.patches) for axes in figure.axes] == [10, 10, 9]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == [str(2 * i) for i in range(10)]
