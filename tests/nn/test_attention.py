"""Attention and Transformers: what parity draws cannot show of them, their start, what masks hide, dropout, errors."""

import numpy as np
import pytest
import torch
from against_torch import normal, pair

import minidl
from minidl import nn
from minidl.autograd import gradcheck, gradgradcheck
from minidl.nn.functional import scaled_dot_product_attention

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # PyTorch's, of a fast path that it has

MODULES = [
    lambda nn: nn.MultiheadAttention(8, 2),
    lambda nn: nn.MultiheadAttention(8, 2, bias=False, add_bias_kv=True, kdim=3, vdim=5),
    lambda nn: nn.TransformerEncoderLayer(8, 2, 16, activation=nn.GELU()),
    lambda nn: nn.TransformerDecoderLayer(8, 2, 16, norm_first=True, bias=False),
    lambda nn: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, nn.LayerNorm(8)),
    lambda nn: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 3),
    lambda nn: nn.Transformer(8, 2, 1, 2, 16),
]


@pytest.mark.parametrize("make", MODULES)
def test_text_and_state_are_those_of_pytorch(make):
    ours, theirs = make(nn), make(torch.nn)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
    assert {name: x.shape for name, x in ours.state_dict().items()} == {
        name: tuple(x.shape) for name, x in theirs.state_dict().items()
    }
    assert list(ours.state_dict()) == list(theirs.state_dict())


# -- the start --------------------------------------------------------------------------------------------------------


def spread(weight):
    """The standard deviation, which for numbers drawn evenly tells their bounds."""
    return weight.array.std().item()


def test_attention_starts_with_glorots_weights_and_no_biases():
    minidl.manual_seed(0)
    layer = nn.MultiheadAttention(100, 4, add_bias_kv=True)
    assert spread(layer.in_proj_weight) == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert spread(layer.out_proj.weight) == pytest.approx(0.1 / 3**0.5, rel=0.02)
    assert spread(layer.bias_k) == pytest.approx((2 / 200) ** 0.5, rel=0.2)
    assert not layer.in_proj_bias.array.any()
    assert not layer.out_proj.bias.array.any()
    separate = nn.MultiheadAttention(100, 4, kdim=50)
    assert spread(separate.k_proj_weight) == pytest.approx((2 / 150) ** 0.5, rel=0.02)


def test_the_layers_of_an_encoder_start_equal_and_are_learned_apart():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2)
    first, second = encoder.layers
    assert np.array_equal(first.linear1.weight.array, second.linear1.weight.array)
    assert len(list(encoder.parameters())) == 2 * len(list(first.parameters()))


def test_all_matrices_of_a_transformer_start_with_glorots_weights():
    minidl.manual_seed(0)
    model = nn.Transformer(64, 2, 1, 1, 128)
    assert spread(model.encoder.layers[0].linear1.weight) == pytest.approx((2 / 192) ** 0.5, rel=0.03)


# -- what is seen -----------------------------------------------------------------------------------------------------


def test_the_weights_are_shares():
    x = minidl.tensor(normal(5, 3, 8), dtype="float32")
    _, each = nn.MultiheadAttention(8, 4)(x, x, x, average_attn_weights=False)
    _, mean = nn.MultiheadAttention(8, 4)(x, x, x)
    assert each.shape == (3, 4, 5, 5)
    assert mean.shape == (3, 5, 5)
    np.testing.assert_allclose(each.array.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_behind_a_causal_mask_nothing_comes_from_later(norm_first):
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=norm_first)
    x = minidl.tensor(normal(1, 5, 8), dtype="float32", requires_grad=True)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    (layer(x, mask, is_causal=True)[0, 2] ** 2).sum().backward()
    assert [bool(g.any()) for g in x.grad.array[0]] == [True, True, True, False, False]


def test_padding_changes_nothing():
    model = nn.Transformer(8, 2, 2, 2, 16, batch_first=True).eval()
    source, target = (minidl.tensor(normal(1, n, 8), dtype="float32") for n in (3, 4))
    padded = minidl.cat([source, minidl.ones(1, 2, 8) * 9], 1)
    padding = minidl.tensor([[False, False, False, True, True]])
    out = model(padded, target, src_key_padding_mask=padding, memory_key_padding_mask=padding)
    np.testing.assert_allclose(out.array, model(source, target).array, atol=1e-5)


def test_a_query_that_sees_nothing_gets_zeros_and_passes_no_nan_back():
    layer, x = nn.MultiheadAttention(4, 2), minidl.ones(3, 2, 4, requires_grad=True)
    nothing = minidl.tensor([[False, False, False], [True, True, True]])  # the second sequence is padding only
    output, weights = layer(x, x, x, key_padding_mask=nothing)
    assert not output.array[:, 1].any()
    assert not weights.array[1].any()
    output.sum().backward()
    assert all(np.isfinite(g.grad.array).all() for g in (x, *layer.parameters()))


def test_a_mask_can_be_learned():
    q, mask = minidl.tensor(normal(2, 3, 4)), minidl.tensor(normal(3, 3), requires_grad=True)
    assert gradcheck(lambda mask: scaled_dot_product_attention(q, q, q, mask), [mask])


def test_second_derivatives():
    layer = nn.TransformerEncoderLayer(2, 1, 2, 0.0, "gelu").double()
    x = minidl.tensor(normal(2, 1, 2), requires_grad=True)
    assert gradgradcheck(lambda x, *_: layer(x), [x, layer.self_attn.in_proj_weight, layer.linear1.weight])


def test_the_causal_mask_is_that_of_pytorch():
    make, expected = (library.nn.Transformer.generate_square_subsequent_mask for library in (minidl, torch))
    assert np.array_equal(make(4).array, expected(4).numpy())
    assert make(4).dtype == minidl.float32
    assert make(2, dtype=minidl.float64).dtype == minidl.float64


# -- activations and dropout ------------------------------------------------------------------------------------------


def test_the_copies_in_a_decoder_keep_a_module_as_activation():  # PyTorch's change it to ReLU
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, activation=nn.Tanh()), 2)
    assert all(isinstance(layer.activation, nn.Tanh) for layer in decoder.layers)


def test_dropout_of_the_weights():
    q, k, v = minidl.zeros(50, 4), minidl.zeros(400, 4), minidl.ones(400, 1)
    minidl.manual_seed(0)
    out = scaled_dot_product_attention(q, k, v, dropout_p=0.2)
    assert len(set(out.array.ravel().tolist())) > 10
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    minidl.manual_seed(0)
    assert np.array_equal(scaled_dot_product_attention(q, k, v, dropout_p=0.2).array, out.array)


@pytest.mark.parametrize("make", [
    lambda nn: nn.MultiheadAttention(8, 2, dropout=0.5), lambda nn: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5),
])  # fmt: skip
def test_dropout_is_for_training(make):
    layer, _ = pair(make)
    x = minidl.tensor(normal(5, 3, 8))

    def run():
        out = layer(x, x, x)[0] if isinstance(layer, nn.MultiheadAttention) else layer(x)
        return out.array

    assert not np.array_equal(run(), run())
    layer.eval()
    assert np.array_equal(run(), run())


# -- errors -----------------------------------------------------------------------------------------------------------

x = np.ones((5, 2, 4), "float32")


def attention(nn, t, *inputs, **masks):
    return nn.MultiheadAttention(4, 2)(*map(t, inputs), **{name: t(mask) for name, mask in masks.items()})


@pytest.mark.parametrize(("call", "message"), [
    (lambda nn, t: nn.MultiheadAttention(5, 2), "5 is not divisible by 2"),
    (lambda nn, t: nn.MultiheadAttention(4, 0), "above 0, got 4 and 0"),
    (lambda nn, t: attention(nn, t, x[None], x, x), r"\(length, batch, features\).*\(1, 5, 2, 4\)"),
    (lambda nn, t: attention(nn, t, x, x[0], x[0]), r"key \(2, 4\)"),
    (lambda nn, t: attention(nn, t, x[..., :3], x, x), r"4, 4 and 4 features.*\(5, 2, 3\)"),
    (lambda nn, t: attention(nn, t, x, x, x[:3]), "as many keys as values"),
    (lambda nn, t: attention(nn, t, x, x[:, :1], x[:, :1]), "one batch size"),
    (lambda nn, t: attention(nn, t, x, x, x, attn_mask=np.ones((5, 4)) > 0), r"\(5, 5\) or \(4, 5, 5\), got \(5, 4\)"),
    (lambda nn, t: attention(nn, t, x, x, x, key_padding_mask=np.ones((5, 2)) > 0), r"shape \(2, 5\), got \(5, 2\)"),
    (lambda nn, t: attention(nn, t, x, x, x, attn_mask=np.ones((5, 5), int)), "bool or floats, got int64"),
    (lambda nn, t: nn.MultiheadAttention(4, 2)(t(x), t(x), t(x), is_causal=True), "give the mask"),
    (lambda nn, t: nn.TransformerEncoderLayer(4, 2, activation="tanh"), "'tanh'"),
    (lambda nn, t: nn.Transformer(4, 2, 1, 1, 8)(t(x), t(x[:, :1])), "one batch size"),
    (lambda nn, t: nn.Transformer(8, 2, 1, 1, 8)(t(x), t(x)), "d_model=8"),
    (lambda nn, t: nn.functional.scaled_dot_product_attention(t(x), t(x), t(x), t(x[0] > 0), is_causal=True), "mask"),
    (lambda nn, t: nn.functional.scaled_dot_product_attention(t(x), t(x.astype("float64")), t(x)), "float64"),
    (lambda nn, t: nn.functional.scaled_dot_product_attention(t(x[0, 0]), t(x), t(x)), r"\(4,\)"),
    (lambda nn, t: nn.functional.scaled_dot_product_attention(t(x), t(x[..., :3]), t(x)), "as many features"),
    (lambda nn, t: nn.functional.scaled_dot_product_attention(t(x), t(x), t(x), t(np.ones((2, 2), int))), "int64"),
    (lambda nn, t: nn.functional.scaled_dot_product_attention(t(x), t(x[:2]), t(x[:2]), enable_gqa=True), "share"),
    (lambda nn, t: nn.functional.scaled_dot_product_attention(t(x[0]), t(x[0]), t(x[0]), t(x[:, :, :2])), "broadcasts"),
])  # fmt: skip
def test_what_does_not_fit_raises_as_in_pytorch(call, message):
    with pytest.raises(Exception) as theirs:
        call(torch.nn, torch.tensor)
    with pytest.raises(theirs.type, match=message):
        call(nn, minidl.tensor)
