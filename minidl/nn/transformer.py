"""Transformers: layers of attention and of small networks for each position, as encoder, decoder, and both.

Source: Vaswani et al., "Attention is all you need", NeurIPS 2017.  With `norm_first` the layers normalise before, not
after, each of their parts: Xiong et al., "On layer normalization in the Transformer architecture", ICML 2020.

Letters: N sequences, S length of the source, T length of the target, E = d_model features.  Without `batch_first` a
batch is (S, N, E), with it (N, S, E); for a single sequence N is left out.  What masks mean is said by
`MultiheadAttention`; where one is causal, is_causal may say so, which changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from minidl.autograd import Tensor
from minidl.functional.creation import arange
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.attention import MultiheadAttention
from minidl.nn.containers import ModuleList
from minidl.nn.dropout import Dropout
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.normalization import LayerNorm
from minidl.ops.elementwise import where
from minidl.ops.shapes import unsqueeze

Activation = str | Callable[[Tensor], Tensor]


class _Layer(Module):
    """What the layers of encoder and decoder share: parts with a way around each, and the last part of both."""

    linear1: Linear
    linear2: Linear
    dropout: Dropout

    def __init__(
        self,
        attentions: tuple[str, ...],
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: Activation,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        place = {"device": device, "dtype": dtype}
        for name in attentions:
            attention = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **place)
            self.add_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm_first = norm_first
        parts = range(1, len(attentions) + 2)
        for i in parts:
            self.add_module(f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **place))
        for i in parts:
            self.add_module(f"dropout{i}", Dropout(dropout))
        self.activation = _named(activation) if isinstance(activation, str) else activation

    def _around(self, x: Tensor, norm: Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        """x plus what a part of the layer makes of it."""
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))

    def _each_position(self, x: Tensor) -> Tensor:
        """The network with one hidden layer that is applied to each position for itself."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a network with `dim_feedforward` hidden units for each position: (S, N, E) -> (S, N, E).

    `activation` is "relu", "gelu" or a function.  RuntimeError for another name.

    >>> import minidl
    >>> TransformerEncoderLayer(16, nhead=2, batch_first=True)(minidl.zeros(8, 5, 16)).shape
    (8, 5, 16)
    """

    self_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(("self_attn",), d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
                         batch_first, norm_first, bias, device, dtype)  # fmt: skip

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        def attention(x: Tensor) -> Tensor:
            return self.dropout1(self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0])

        x = self._around(src, self.norm1, attention)
        return self._around(x, self.norm2, lambda x: self.dropout2(self._each_position(x)))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's result, a network: (T, N, E), memory (S, N, E) -> (T, N, E).

    `activation` is "relu", "gelu" or a function.  RuntimeError for another name.
    """

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    norm3: LayerNorm
    dropout1: Dropout
    dropout2: Dropout
    dropout3: Dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(("self_attn", "multihead_attn"), d_model, nhead, dim_feedforward, dropout, activation,
                         layer_norm_eps, batch_first, norm_first, bias, device, dtype)  # fmt: skip

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attention(x: Tensor) -> Tensor:
            attended, _ = self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)
            return self.dropout1(attended)

        def attention_to_memory(x: Tensor) -> Tensor:
            attended, _ = self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )
            return self.dropout2(attended)

        x = self._around(tgt, self.norm1, attention)
        x = self._around(x, self.norm2, attention_to_memory)
        return self._around(x, self.norm3, lambda x: self.dropout3(self._each_position(x)))


class TransformerEncoder(Module):
    """`num_layers` copies of an encoder layer, one after the other, and a last `norm`: (S, N, E) -> (S, N, E).

    The copies start with equal weights, as in PyTorch.  `enable_nested_tensor` and `mask_check` are accepted and change
    nothing.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.layers = ModuleList([deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        x = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, is_causal=bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """`num_layers` copies of a decoder layer, and a last `norm`: (T, N, E), memory (S, N, E) -> (T, N, E)."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = ModuleList([deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        x = tgt
        for layer in self.layers:
            x = layer(x, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                      tgt_is_causal=bool(tgt_is_causal), memory_is_causal=memory_is_causal)  # fmt: skip
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder that reads the source, and a decoder that writes the target while looking at what was read.

    (S, N, E), (T, N, E) -> (T, N, E).  Embeddings, positions and the last linear layer are not part of it.  All
    matrices start as Glorot and Bengio's numbers.  RuntimeError for features other than `d_model`.

    >>> import minidl
    >>> model = Transformer(16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=32)
    >>> causal = Transformer.generate_square_subsequent_mask(3)
    >>> model(minidl.zeros(5, 8, 16), minidl.zeros(3, 8, 16), tgt_mask=causal).shape
    (3, 8, 16)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        how = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
               device, dtype)  # fmt: skip
        last = (d_model, layer_norm_eps, True, bias, device, dtype)
        if custom_encoder is None:
            custom_encoder = TransformerEncoder(TransformerEncoderLayer(*how), num_encoder_layers, LayerNorm(*last))
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(TransformerDecoderLayer(*how), num_decoder_layers, LayerNorm(*last))
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def _reset_parameters(self) -> None:
        for weight in self.parameters():
            if weight.ndim > 1:
                init.xavier_uniform_(weight)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        batch = 0 if self.batch_first else 1
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(f"Transformer: expected d_model={self.d_model} features, got src {src.shape} and tgt "
                               f"{tgt.shape}")  # fmt: skip
        if src.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise RuntimeError(f"Transformer: expected src and tgt of one batch size, which is dimension {batch}, got "
                               f"{src.shape} and {tgt.shape}")  # fmt: skip
        memory = self.encoder(src, src_mask, src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                            tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The mask that lets position i look at positions 0 to i: (sz, sz), -inf above the diagonal and else 0.

        >>> Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]])
        """
        steps = arange(sz, device=device)
        mask = where(steps > unsqueeze(steps, 1), -math.inf, 0.0)
        return mask if dtype is None else mask.to(dtype)


def _named(activation: str) -> Callable[[Tensor], Tensor]:
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f'expected the activation "relu", "gelu" or a function, got {activation!r}')
    return F.relu if activation == "relu" else F.gelu
