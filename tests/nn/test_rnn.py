"""Recurrent layers and cells: what parity draws cannot show of them, their start, dropout, errors, long sequences."""

import numpy as np
import pytest
import torch
from against_torch import close, normal, pair

import minidl
from minidl import nn
from minidl.autograd import gradcheck, gradgradcheck
from minidl.nn.utils.rnn import pad_sequence, unpad_sequence

LAYERS = [
    lambda nn: nn.RNN(3, 4),
    lambda nn: nn.RNN(3, 4, 2, "relu", bias=False, batch_first=True),
    lambda nn: nn.LSTM(3, 4, num_layers=2, dropout=0.3, bidirectional=True),
    lambda nn: nn.GRU(3, 4, bidirectional=True),
    lambda nn: nn.RNNCell(3, 4),
    lambda nn: nn.RNNCell(3, 4, nonlinearity="relu"),
    lambda nn: nn.LSTMCell(3, 4, bias=False),
    lambda nn: nn.GRUCell(3, 4),
]
NAMES = [repr(make(torch.nn)) for make in LAYERS]


@pytest.mark.parametrize("make", LAYERS, ids=NAMES)
def test_text_and_state_are_those_of_pytorch(make):
    ours, theirs = make(nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    assert {name: x.shape for name, x in ours.state_dict().items()} == {
        name: tuple(x.shape) for name, x in theirs.state_dict().items()
    }
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_all_weights_stand_layer_by_layer():
    ours, theirs = pair(lambda nn: nn.LSTM(3, 4, 2, bidirectional=True))
    for mine, others in zip(ours.all_weights, theirs.all_weights, strict=True):
        for a, b in zip(mine, others, strict=True):
            close(a.array, b, 0)


@pytest.mark.parametrize("make", [lambda: nn.LSTM(100, 25), lambda: nn.GRUCell(100, 25)])
def test_weights_start_evenly_within_one_over_the_root_of_the_hidden_size(make):
    minidl.manual_seed(0)
    layer = make()
    for x in layer.parameters():
        assert abs(x.array).max() <= 0.2
    numbers = np.concatenate([x.array.ravel() for x in layer.parameters()])
    assert numbers.std() == pytest.approx(0.4 / 12**0.5, rel=0.02)
    assert numbers.mean() == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize(("layer", "cell"), [("RNN", "RNNCell"), ("LSTM", "LSTMCell"), ("GRU", "GRUCell")])
def test_a_layer_is_its_cell_step_by_step(layer, cell):
    layer, cell = getattr(nn, layer)(3, 4), getattr(nn, cell)(3, 4)
    cell.load_state_dict({name.removesuffix("_l0"): x for name, x in layer.state_dict().items()})
    x, state, steps = minidl.tensor(normal(5, 2, 3), dtype="float32"), None, []
    for x_t in x:
        state = cell(x_t, state)
        steps.append(state[0] if isinstance(state, tuple) else state)
    output, last = layer(x)
    np.testing.assert_allclose(output.array, minidl.stack(steps).array, atol=1e-6)
    for a, b in zip(*(s if isinstance(s, tuple) else (s,) for s in (last, state)), strict=True):
        np.testing.assert_allclose(a.array[0], b.array, atol=1e-6)


def test_the_reverse_direction_reads_from_the_end():
    layer = nn.GRU(3, 4, bidirectional=True)
    x = minidl.tensor(normal(5, 2, 3), dtype="float32", requires_grad=True)
    layer(x)[0][3, :, 4:].sum().backward()  # the second half of the features, at step 3
    assert [bool(g.any()) for g in x.grad.array] == [False, False, False, True, True]


# -- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda: nn.RNN(2, 2), lambda: nn.LSTM(1, 1, 2), lambda: nn.GRU(2, 1, bidirectional=True),
])  # fmt: skip
def test_first_and_second_derivatives(make):
    layer = make().double()
    inputs = [minidl.tensor(normal(2, 1, layer.input_size), requires_grad=True), layer.weight_hh_l0, layer.bias_hh_l0]

    def run(x, *_):
        output, last = layer(x)
        return output + sum(state.sum() ** 2 for state in (last if isinstance(last, tuple) else (last,)))

    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


def test_one_graph_carries_different_gradients_back():
    layer, x = nn.LSTM(3, 4).double(), minidl.tensor(normal(5, 2, 3))
    output, _ = layer(x)
    weights = list(layer.parameters())
    first = minidl.autograd.grad(output, weights, minidl.ones_like(output), retain_graph=True)
    twice = minidl.autograd.grad(output, weights, minidl.ones_like(output) * 2, retain_graph=True)
    again = minidl.autograd.grad(output, weights, minidl.ones_like(output))
    for a, b, c in zip(first, twice, again, strict=True):
        np.testing.assert_allclose(2 * a.array, b.array, rtol=1e-12)
        assert np.array_equal(a.array, c.array)


def test_a_frozen_part_gets_no_gradient_and_the_rest_the_same():
    layer, x = nn.GRU(3, 4).double(), minidl.tensor(normal(5, 2, 3))
    layer(x)[0].sum().backward()
    whole = layer.weight_hh_l0.grad.array
    for frozen in (layer.weight_ih_l0, layer.bias_hh_l0):
        frozen.requires_grad, frozen.grad = False, None
    layer.weight_hh_l0.grad = None
    layer(x)[0].sum().backward()
    assert layer.weight_ih_l0.grad is None
    assert np.array_equal(layer.weight_hh_l0.grad.array, whole)


def test_a_long_sequence_needs_no_recursion():
    layer = nn.RNN(1, 1)
    layer(minidl.ones(5000, 1, 1))[0].sum().backward()
    assert np.isfinite(layer.weight_hh_l0.grad.array).all()


def test_large_inputs_saturate_without_overflow():
    for layer in (nn.LSTM(1, 2), nn.GRU(1, 2)):
        x = minidl.tensor([[[1e6]], [[-1e6]]], requires_grad=True)
        layer(x)[0].sum().backward()
        assert np.isfinite(x.grad.array).all()


def test_an_empty_batch_passes():
    assert nn.LSTM(3, 4)(minidl.zeros(2, 0, 3))[0].shape == (2, 0, 4)


def test_float32_stays_float32():
    layer, x = nn.GRU(3, 4, 2), minidl.ones(5, 2, 3, requires_grad=True)
    output, last = layer(x)
    output.sum().backward()
    assert {output.dtype, last.dtype, x.grad.dtype, *(p.grad.dtype for p in layer.parameters())} == {minidl.float32}


# -- dropout ----------------------------------------------------------------------------------------------------------


def passing_on(dropout):
    """Two layers of h' = max(x, 0): between them is nothing but the dropout."""
    layer = nn.RNN(1000, 1000, 2, "relu", bias=False, dropout=dropout)
    for name, weight in layer.named_parameters():
        (nn.init.eye_ if "ih" in name else nn.init.zeros_)(weight)
    return layer


def test_dropout_comes_between_the_layers_and_repeats_with_the_seed():
    layer = passing_on(0.3)
    minidl.manual_seed(0)
    output, _ = layer(minidl.ones(4, 10, 1000))
    assert sorted(set(output.array.ravel().tolist())) == pytest.approx([0, 1 / 0.7])
    assert (output == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    minidl.manual_seed(0)
    assert np.array_equal(layer(minidl.ones(4, 10, 1000))[0].array, output.array)
    layer.eval()
    assert (layer(minidl.ones(4, 10, 1000))[0] == 1).all()


def test_dropout_of_a_single_layer_warns_and_does_nothing():
    with pytest.warns(UserWarning, match="between the layers") as caught:
        layer = nn.GRU(2, 2, dropout=0.5)
    assert caught[0].filename == __file__, "the line of the user's code"
    x = minidl.ones(3, 1, 2)
    assert np.array_equal(layer(x)[0].array, layer(x)[0].array)


# -- errors -----------------------------------------------------------------------------------------------------------

x = np.ones((5, 2, 3), "float32")


@pytest.mark.parametrize(("call", "message"), [
    (lambda nn, t: nn.LSTM(3, 0), "hidden_size"), (lambda nn, t: nn.LSTM(3, 4.0), "hidden_size"),
    (lambda nn, t: nn.GRU(0, 4), "input_size"), (lambda nn, t: nn.GRU(3, 4, 0), "num_layers"),
    (lambda nn, t: nn.GRU(3, 4, bias=1), "bias"), (lambda nn, t: nn.GRU(3, 4, batch_first="yes"), "batch_first"),
    (lambda nn, t: nn.GRU(3, 4, dropout=1.5), "dropout"), (lambda nn, t: nn.GRU(3, 4, dropout=True), "dropout"),
    (lambda nn, t: nn.RNN(3, 4, nonlinearity="foo"), "'foo'"), (lambda nn, t: nn.RNNBase("foo", 3, 4), "foo"),
    (lambda nn, t: nn.LSTM(3, 4, proj_size=-1), "proj_size"), (lambda nn, t: nn.LSTM(3, 4, proj_size=9), "proj_size"),
    (lambda nn, t: nn.GRU(3, 4)(t(x[None])), r"\(1, 5, 2, 3\)"), (lambda nn, t: nn.GRU(3, 4)(t(x[0, 0])), r"\(3,\)"),
    (lambda nn, t: nn.GRU(5, 4)(t(x)), "input_size=5"), (lambda nn, t: nn.GRU(3, 4)(t(x[:0])), "at least 1 step"),
    (lambda nn, t: nn.GRU(3, 4)(t(x.astype("float64"))), "float64"), (lambda nn, t: nn.GRU(3, 4)(t(x > 0)), "bool"),
    (lambda nn, t: nn.GRU(3, 4)(t(x), t(x)), r"h_0 float32 of shape \(1, 2, 4\).* got float32 \(5, 2, 3\)"),
    (lambda nn, t: nn.GRU(3, 4)(t(x[0]), t(x)), r"h_0 float32 of shape \(1, 4\)"),
    (lambda nn, t: nn.LSTM(3, 4)(t(x), (t(np.ones((1, 2, 4), "float32")), t(x))), "c_0"),
    (lambda nn, t: nn.LSTM(3, 4)(t(x), (t(x),)), "pair"), (lambda nn, t: nn.LSTM(3, 4)(t(x), t(x[:1])), "pair"),
    (lambda nn, t: nn.GRU(3, 4)(t(x), t(np.ones((1, 2, 4)))), "float64"),
    (lambda nn, t: nn.GRUCell(3, 4)(t(x)), r"\(5, 2, 3\)"), (lambda nn, t: nn.GRUCell(5, 4)(t(x[0])), r"\(\.\.\., 5\)"),
    (lambda nn, t: nn.GRUCell(3, 4)(t(x[0]), t(x)), r"\(2, 4\).*\(5, 2, 3\)"),
    (lambda nn, t: nn.LSTMCell(3, 4)(t(x[0]), (t(x[0]), t(x[0]))), r"\(2, 4\)"),
    (lambda nn, t: nn.RNNCell(3, 4, nonlinearity="foo")(t(x[0])), "'foo'"),
])  # fmt: skip
def test_what_does_not_fit_raises_as_in_pytorch(call, message):
    with pytest.raises(Exception) as theirs:
        call(torch.nn, torch.tensor)
    with pytest.raises(theirs.type, match=message):
        call(nn, minidl.tensor)


def test_what_is_left_out_says_so():
    with pytest.raises(ValueError, match="projected states are not there"):
        nn.LSTM(3, 4, proj_size=2)
    with pytest.raises(TypeError, match="packed sequences are left out"):
        nn.LSTM(3, 4)(torch.nn.utils.rnn.pack_sequence([torch.ones(2, 3)]))


# -- sequences of different lengths -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"padding_value": 1.5}, {"padding_side": "left"}])
def test_padding_is_that_of_pytorch(options):
    arrays = [normal(n, 2) for n in (3, 1, 4)]
    ours, theirs = ([make(a, requires_grad=True) for a in arrays] for make in (minidl.tensor, torch.tensor))
    out, expected = pad_sequence(ours, **options), torch.nn.utils.rnn.pad_sequence(theirs, **options)
    close(out.array, expected, 0)
    (out**2).sum().backward()
    (expected**2).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad.array, b.grad, 0)


@pytest.mark.parametrize("batch_first", [False, True])
def test_unpadding_is_the_way_back(batch_first):
    sequences = [minidl.tensor(normal(n, 2)) for n in (3, 1, 4)]
    back = unpad_sequence(pad_sequence(sequences, batch_first), minidl.tensor([3, 1, 4]), batch_first)
    assert all(np.array_equal(a.array, b.array) for a, b in zip(back, sequences, strict=True))


def test_whole_numbers_are_padded_as_such():
    assert pad_sequence([minidl.tensor([1, 2]), minidl.tensor([3])], True, -1).tolist() == [[1, 2], [3, -1]]


@pytest.mark.parametrize("wrong", [
    lambda: pad_sequence([]), lambda: pad_sequence(3), lambda: pad_sequence([minidl.tensor(1.0)]),
    lambda: pad_sequence([minidl.ones(2, 3), minidl.ones(2, 4)]),
    lambda: pad_sequence([minidl.ones(2)], padding_side="up"),
])  # fmt: skip
def test_padding_refuses(wrong):
    with pytest.raises(RuntimeError, match="pad_sequence"):
        wrong()
    with pytest.raises(ValueError, match="2 sequences, got 3"):
        unpad_sequence(minidl.ones(3, 2), minidl.tensor([1, 2, 3]))
