"""The summary: shapes, parameters, multiply-adds and memory are those of the real pass, which leaves no trace."""

import tracemalloc

import pytest

import minidl
from minidl import nn, study
from minidl.train.models import lenet


class Net(nn.Module):
    """A recurrent net with attention, shared weights, a module used twice, one never used, and several outputs."""

    def __init__(self):
        self.lstm = nn.LSTM(5, 7)
        self.attention = nn.MultiheadAttention(7, 1)
        self.first, self.second, self.unused = nn.Linear(7, 7), nn.Linear(7, 7), nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.layers = nn.ModuleList([self.first, nn.BatchNorm1d(7)])

    def forward(self, x):
        y, state = self.lstm(x)
        y, _ = self.attention(y, y, y)
        y = self.second(self.first(self.first(y)))
        return {"product": y @ y.transpose(1, 2), "normal": self.layers[1](y[0])}, state


@pytest.fixture
def found():
    return study.summary(Net(), (6, 3, 5))


def layer(found, path):
    return next(layer for layer in found.layers if layer.path == path)


def test_shapes_of_all_that_a_module_returns(found):
    assert layer(found, "lstm").output == "(6, 3, 7), ((1, 3, 7), (1, 3, 7))"
    assert layer(found, "attention").output == "(6, 3, 7), (3, 6, 6)"
    assert layer(found, "").output == "{product: (6, 3, 3), normal: (3, 7)}, ((1, 3, 7), (1, 3, 7))"


def test_parameters_are_counted_once(found):
    assert found.parameters == sum(p.numel() for p in Net().parameters())
    assert found.parameters == sum(layer.parameters for layer in found.layers)
    assert layer(found, "first").parameters == 7 * 7 + 7
    assert layer(found, "second").parameters == 7
    assert layer(found, "second").note == "weight is first.weight, counted there"
    assert layer(found, "layers.0").note == "the same module as first"
    assert layer(found, "unused").parameters == 6


def test_a_module_that_is_called_twice_does_twice_the_work(found):
    assert layer(found, "first").calls == 2
    assert layer(found, "first").multiply_adds == 2 * 18 * 7 * 7
    assert layer(found, "second").multiply_adds == 18 * 7 * 7
    assert layer(found, "unused").calls == 0 and layer(found, "layers").output == "-"


def test_products_outside_layers_count(found):
    assert layer(found, "").multiply_adds == 6 * 3 * 3 * 7  # y @ yᵀ in forward
    assert layer(found, "lstm").multiply_adds == 6 * 3 * (4 * 7) * (5 + 7)
    assert found.multiply_adds == sum(layer.multiply_adds for layer in found.layers)


def models(nn):
    yield nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.ReLU(), nn.Conv2d(6, 8, (1, 3), 2)), (3, 4, 9, 7)
    yield nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2), nn.Flatten(2), nn.Linear(11 * 11, 3)), (2, 4, 5, 5)
    yield nn.MultiheadAttention(8, 2, batch_first=True), (3, 5, 8), (3, 4, 8), (3, 4, 8)


@pytest.mark.parametrize("number", range(3))
def test_multiply_adds_are_those_that_pytorch_counts(number):
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter")
    model, *shapes = list(models(torch.nn))[number]
    with counter.FlopCounterMode(display=False) as counted:
        model(*map(torch.randn, shapes))
    ours, *_ = list(models(nn))[number]
    given = tuple(minidl.randn(*shape) for shape in shapes)
    assert 2 * study.summary(ours, given).multiply_adds == counted.get_total_flops()


def test_the_pass_leaves_no_trace():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 36, 2))
    model[2].eval()
    x = minidl.randn(8, 1, 8, 8)
    loss = model(x).sum()  # a graph that needs the buffers and weights as they are
    model[4].bias.grad = minidl.ones(2)
    modes = [module.training for module in model.modules()]
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    stream = minidl.backend.random_stream()
    before = stream.bit_generator.state
    study.summary(model, x)
    assert stream.bit_generator.state == before
    assert all((value.numpy() == state[name]).all() for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert model[4].bias.grad.tolist() == [1, 1] and model[0].weight.grad is None
    assert model[0].weight.name is None and minidl.autograd.engine.watch is None
    loss.backward()


def test_the_pass_leaves_no_trace_after_an_error():
    call = nn.Module.__call__
    with pytest.raises(RuntimeError, match="in 0"):
        study.summary(nn.Sequential(nn.Linear(3, 2)), (4, 5))
    assert nn.Module.__call__ is call and minidl.autograd.engine.watch is None


def test_the_mode_matters():
    model = nn.Sequential(nn.Linear(100, 100), nn.Dropout(0.5))
    trained = study.summary(model, (10, 100)).bytes["kept"]
    assert study.summary(model.eval(), (10, 100)).bytes["kept"] == trained - 2 * 4000  # the result and the mask


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lenet, (100, 1, 28, 28)),
        (lambda: nn.LSTM(28, 32), (28, 50, 28)),
        (lambda: nn.TransformerEncoderLayer(32, 4, 64), (30, 20, 32)),
        (lambda: nn.BatchNorm2d(8), (50, 8, 20, 20)),
    ],
    ids=["lenet", "lstm", "transformer", "batch norm"],
)
def test_what_is_kept_is_what_the_graph_holds(make, shape):
    model, x = make(), minidl.randn(*shape)
    expected = study.summary(model, x).bytes["kept"]
    tracemalloc.start()
    output = model(x)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert output is not None and expected == pytest.approx(held, rel=0.05)


def test_nothing_is_kept_of_a_frozen_model():
    model = lenet().requires_grad_(False)
    found = study.summary(model, (2, 1, 28, 28))
    assert found.bytes["kept"] == 0 and found.trainable == 0 and "61,706 of them frozen" in str(found)
    assert found.multiply_adds == study.summary(lenet(), (2, 1, 28, 28)).multiply_adds


def test_inputs_of_every_kind():
    with minidl.no_grad():  # where nothing would be recorded
        assert study.summary(lenet().double(), [2, 1, 28, 28]).bytes["kept"] > 0
    pair = nn.Bilinear(3, 4, 2)
    assert study.summary(pair, (minidl.ones(5, 3), minidl.ones(5, 4))).layers[0].output == "(5, 2)"
    assert study.summary(nn.Embedding(10, 3), minidl.tensor([1, 2])).layers[0].output == "(2, 3)"
    with pytest.raises(TypeError, match="expected a tensor, a tuple of tensors or a shape"):
        study.summary(pair, "5 by 3")
    with pytest.raises(TypeError, match="expected a Module"):
        study.summary(minidl.relu, (2, 3))


def test_the_table(found, tmp_path):
    text = str(found)
    assert text.splitlines()[0].split() == ["layer", "output", "calls", "parameters", "multiply-adds", "kept", "note"]
    assert "    attention.out_proj (Linear)" in text and "multiply-adds: 14,112" in text
    found.table().to_csv(tmp_path / "layers.csv")
    assert len((tmp_path / "layers.csv").read_text().splitlines()) == len(found.layers) + 2
