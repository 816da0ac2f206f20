"""Attention and Transformers."""

from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, fixed, layer, named


def mask(draw: Draw, shape: tuple[int, ...], meaning: bool) -> Any:
    """Booleans, True where `meaning` holds, or floats to add; every query sees the first key, unless all see none.

    PyTorch answers a query that sees nothing with zeros in one place and NaN in another.
    """
    seen = draw.booleans(shape) | (np.arange(shape[-1]) == 0)
    if draw.flag():
        return seen if meaning else ~seen
    return fixed(np.where(seen, draw.floats(shape), -np.inf).astype(draw.dtype))


@case("nn.functional.scaled_dot_product_attention")
def scaled_dot_product_attention(draw: Draw) -> Call:
    batch = draw.shape(0, 2, empty=False)
    queries, keys, features, values = draw.size(), draw.size(), draw.size(), draw.size()
    heads, shared = (2 * draw.size(1, 2), draw.one_of(1, 2)) if draw.flag() else (0, 0)
    few, many = ((shared,), (heads,)) if heads else ((), ())
    options: dict[str, Any] = {"enable_gqa": True} if heads else {}
    if draw.flag():
        options["scale"] = draw.number(0.1, 2.0)
    kind = draw.one_of("none", "causal", "mask", "gradient", "both")
    if kind in ("causal", "both"):
        options["is_causal"] = True
    if kind == "mask":
        shape = (*draw.one_of((), (1,), many), queries, keys)
        options["attn_mask"] = mask(draw, shape, meaning=True)
        if draw.flag() and isinstance(options["attn_mask"], np.ndarray):
            options["attn_mask"][..., -1, :] = False  # a query that sees nothing gets zeros
    if kind in ("gradient", "both"):  # other masks beside is_causal PyTorch takes in one of its code paths
        options["attn_mask"] = draw.floats((queries, keys))
    return call(draw.floats((*batch, *many, queries, features)), draw.floats((*batch, *few, keys, features)),
                draw.floats((*batch, *few, keys, values)), **options)  # fmt: skip


@layer("nn.MultiheadAttention")
def multihead_attention(draw: Draw) -> tuple[Call, Call]:
    heads = draw.size(1, 3)
    size = heads * draw.size(1, 3) + (draw.integer(0, 19) == 19)  # now and then not divisible by the heads
    options: dict[str, Any] = {name: draw.flag() for name in ("bias", "add_bias_kv", "add_zero_attn", "batch_first")}
    key_size = value_size = size
    if draw.flag():
        key_size, value_size = options["kdim"], options["vdim"] = draw.size(), draw.size()
    batch = (draw.size(),) if draw.flag() else ()
    queries, keys, wrong = draw.size(), draw.size(), draw.integer(0, 19)
    queries_in, keys_in, values_in = (
        draw.floats((*batch, *length, width) if options["batch_first"] else (*length, *batch, width))
        for length, width in (((queries,), size + (wrong == 19)), ((keys,), key_size), ((keys,), value_size))
    )
    inputs: dict[str, Any] = {"need_weights": draw.flag(), "average_attn_weights": draw.flag()}
    if draw.flag():
        several = (int(np.prod(batch)) * heads,) if draw.flag() else ()
        inputs["attn_mask"] = mask(draw, (*several, queries + (wrong == 18), keys), meaning=False)
    if draw.flag():
        inputs["key_padding_mask"] = mask(draw, (*batch, keys + (wrong == 17)), meaning=False)
    return call(size, heads, **options), call(queries_in, keys_in, values_in, **inputs)


def layer_settings(draw: Draw, modules: bool = True) -> tuple[Call, bool]:
    """How a layer is made, and whether its batch comes first; without `modules`, its activation is a function.

    A norm of two features is ±1 and its gradient rounding errors, so there are more.
    PyTorch's TransformerDecoder forgets an activation that is a module: its copies of the layer have ReLU.
    """
    heads = draw.size(1, 2)
    batch_first = draw.flag()
    activation = draw.one_of("relu", "gelu", named("nn.functional.gelu"), *[named("nn.Tanh", call())] * modules)
    how = call(heads * 4, heads, draw.size(), 0.0, activation, draw.one_of(1e-5, 1e-2), batch_first=batch_first,
               norm_first=draw.flag(), bias=draw.flag())  # fmt: skip
    return how, batch_first


def sequences(draw: Draw, features: int, batch_first: bool) -> tuple[int, int, tuple[int, ...], list[np.ndarray]]:
    """Two lengths, the batch (maybe none), and a batch of sequences of either length."""
    batch = (draw.size(1, 3),) if draw.flag() else ()
    lengths = draw.size(), draw.size()
    arrays = [draw.floats((*batch, n, features) if batch_first else (n, *batch, features), ties=False) for n in lengths]
    return *lengths, batch, arrays


def encoder_inputs(draw: Draw, features: int, batch_first: bool, name: str) -> Call:
    length, _, batch, (source, _) = sequences(draw, features, batch_first)
    inputs: dict[str, Any] = {}
    if draw.flag():
        inputs[name] = mask(draw, (length, length), meaning=False)
    if draw.flag():
        inputs["src_key_padding_mask"] = mask(draw, (*batch, length), meaning=False)
    return call(source, **inputs)


def decoder_inputs(draw: Draw, features: int, batch_first: bool) -> Call:
    length, memory_length, batch, (target, memory) = sequences(draw, features, batch_first)
    inputs: dict[str, Any] = {}
    if draw.flag():
        inputs["tgt_mask"] = mask(draw, (length, length), meaning=False)
    if draw.flag():
        inputs["memory_mask"] = mask(draw, (length, memory_length), meaning=False)
    if draw.flag():
        inputs["memory_key_padding_mask"] = mask(draw, (*batch, memory_length), meaning=False)
    return call(target, memory, **inputs)


@layer("nn.TransformerEncoderLayer")
def transformer_encoder_layer(draw: Draw) -> tuple[Call, Call]:
    how, batch_first = layer_settings(draw)
    return how, encoder_inputs(draw, how.arguments[0], batch_first, "src_mask")


@layer("nn.TransformerDecoderLayer")
def transformer_decoder_layer(draw: Draw) -> tuple[Call, Call]:
    how, batch_first = layer_settings(draw)
    return how, decoder_inputs(draw, how.arguments[0], batch_first)


def stack(draw: Draw, kind: str) -> tuple[Call, int, bool]:
    how, batch_first = layer_settings(draw, modules=kind == "Encoder")
    norm = {"norm": named("nn.LayerNorm", call(how.arguments[0]))} if draw.flag() else {}
    return call(named(f"nn.Transformer{kind}Layer", how), draw.size(1, 2), **norm), how.arguments[0], batch_first


@layer("nn.TransformerEncoder")
def transformer_encoder(draw: Draw) -> tuple[Call, Call]:
    how, features, batch_first = stack(draw, "Encoder")
    return how, encoder_inputs(draw, features, batch_first, "mask")


@layer("nn.TransformerDecoder")
def transformer_decoder(draw: Draw) -> tuple[Call, Call]:
    how, features, batch_first = stack(draw, "Decoder")
    return how, decoder_inputs(draw, features, batch_first)


@layer("nn.Transformer")
def transformer(draw: Draw) -> tuple[Call, Call]:
    layer, batch_first = layer_settings(draw, modules=False)
    (features, heads, *rest), options = layer
    how = call(features, heads, draw.size(1, 2), draw.size(1, 2), *rest, layer_norm_eps=1e-5, **options)
    length, target_length, batch, (source, target) = sequences(draw, features, batch_first)
    inputs: dict[str, Any] = {"tgt_mask": mask(draw, (target_length, target_length), meaning=False)}
    if draw.flag():
        padding = mask(draw, (*batch, length), meaning=False)
        inputs |= {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    return how, call(source, target, **inputs)
