"""Attention with learned weights, by several heads: the layer that Transformers are made of."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd import Tensor
from minidl.functional.creation import zeros
from minidl.functional.shapes import cat, expand, permute
from minidl.nn import init
from minidl.nn.functional.attention import attend
from minidl.nn.functional.linear import linear
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.elementwise import where
from minidl.ops.shapes import unsqueeze


class MultiheadAttention(Module):
    """Queries look at keys and take from values, by `num_heads` heads, each in a space of its own with learned weights.

    (L, N, E), (S, N, kdim), (S, N, vdim) -> (L, N, E), and the weights of the S keys, averaged over the heads
    (N, L, S), or (N, heads, L, S) without `average_attn_weights`, or None without `need_weights`.  With `batch_first`
    N is the first dimension; for a single sequence it is left out.

    - `attn_mask` (L, S) or (N · heads, L, S), `key_padding_mask` (N, S): True where a query must *not* look, or floats
      that are added to the scores.  A query that may look nowhere gets zeros.  `is_causal` only says that attn_mask is
      causal, and needs it.
    - `add_bias_kv` adds a learned key and value to those given, `add_zero_attn` a key and value of zeros.
    - `dropout` of the weights are left out in training.
    - Parameters: `in_proj_weight` (3 E, E), whose thirds are for query, key and value, or three weights where kdim or
      vdim is not E; `in_proj_bias` (3 E,), `out_proj`.  They start as Glorot and Bengio's numbers, the biases as 0.

    AssertionError, as in PyTorch, or RuntimeError for shapes that do not fit.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.2.

    >>> import minidl
    >>> x = minidl.ones(8, 5, 16)
    >>> output, weights = MultiheadAttention(16, num_heads=4, batch_first=True)(x, x, x)
    >>> output.shape, weights.shape
    ((8, 5, 16), (8, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(f"embed_dim and num_heads must be above 0, got {embed_dim} and {num_heads}")
        if embed_dim % num_heads:
            raise AssertionError(f"the heads share embed_dim evenly: {embed_dim} is not divisible by {num_heads}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn

        def parameter(*shape: int, wanted: bool = True) -> Parameter | None:
            return Parameter(zeros(shape, device=device, dtype=dtype)) if wanted else None

        together = self.kdim == self.vdim == embed_dim
        self.q_proj_weight = parameter(embed_dim, embed_dim, wanted=not together)
        self.k_proj_weight = parameter(embed_dim, self.kdim, wanted=not together)
        self.v_proj_weight = parameter(embed_dim, self.vdim, wanted=not together)
        self.in_proj_weight = parameter(3 * embed_dim, embed_dim, wanted=together)
        self.in_proj_bias = parameter(3 * embed_dim, wanted=bias)
        self.bias_k = parameter(1, 1, embed_dim, wanted=add_bias_kv)
        self.bias_v = parameter(1, 1, embed_dim, wanted=add_bias_kv)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight, self.in_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        self._check(query, key, value, key_padding_mask, attn_mask)
        if is_causal and attn_mask is None:
            raise RuntimeError("MultiheadAttention: is_causal=True only says what attn_mask is; give the mask, as from "
                               "nn.Transformer.generate_square_subsequent_mask(length)")  # fmt: skip
        q, k, v = self._projected(query, key, value)  # (N, h, L, d), (N, h, S, d), (N, h, S, d)
        mask = self._combined(attn_mask, key_padding_mask, k)
        taken, weights = attend(q, k, v, mask, self.dropout if self.training else 0.0)  # (N, h, L, d), (N, h, L, S)
        output = self.out_proj(self._side_by_side(taken, query.ndim))
        if not need_weights:
            return output, None
        weights = weights.mean(1) if average_attn_weights else weights
        return output, weights if query.ndim == 3 else weights.squeeze(0)

    def _projected(self, *inputs: Tensor) -> list[Tensor]:
        """Query, key and value in the spaces of the heads, with the further keys and values."""
        separate = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        weights = separate if self.in_proj_weight is None else self.in_proj_weight.chunk(3)
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, *pair = (self._heads(linear(x, w, b)) for x, w, b in zip(inputs, weights, biases, strict=True))
        for i, bias in enumerate((self.bias_k, self.bias_v)):
            further = [] if bias is None else [expand(self._heads(bias), len(q), -1, -1, -1)]
            if self.add_zero_attn:
                further.append(zeros(len(q), self.num_heads, 1, self.head_dim, dtype=q.dtype, device=q.device))
            pair[i] = cat([pair[i], *further], 2) if further else pair[i]
        return [q, *pair]

    def _heads(self, x: Tensor) -> Tensor:
        """(L, N, E), with `batch_first` (N, L, E), or (L, E) -> (N, h, L, d) with E = h · d."""
        x = x.reshape(*x.shape[:-1], self.num_heads, self.head_dim)
        if x.ndim == 3:
            return unsqueeze(permute(x, 1, 0, 2), 0)
        return permute(x, 0, 2, 1, 3) if self.batch_first else permute(x, 1, 2, 0, 3)

    def _side_by_side(self, x: Tensor, ndim: int) -> Tensor:
        """The way back from `_heads`."""
        x = permute(x, 0, 2, 1, 3) if self.batch_first or ndim == 2 else permute(x, 2, 0, 1, 3)
        return x.reshape(*x.shape[:2], self.embed_dim)[0 if ndim == 2 else ...]

    def _combined(self, attn_mask: Tensor | None, padding: Tensor | None, k: Tensor) -> Tensor | None:
        """Both masks as one that is added to the scores: (L, S), or (N, 1 or h, 1 or L, S)."""
        masks = []
        if attn_mask is not None:
            shape = attn_mask.shape
            masks.append(attn_mask if len(shape) == 2 else attn_mask.reshape(len(k), self.num_heads, *shape[1:]))
        if padding is not None:
            masks.append(padding.reshape(len(k), 1, 1, padding.shape[-1]))
        if not masks:
            return None
        mask, *others = ((where(m, -math.inf, 0.0) if m.dtype.kind == "b" else m).to(k.dtype) for m in masks)
        for other in others:
            mask = mask + other
        further = k.shape[2] - mask.shape[-1]
        zero = zeros(*mask.shape[:-1], further, dtype=k.dtype, device=k.device)
        return cat([mask, zero], -1) if further else mask

    def _check(
        self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, attn_mask: Tensor | None
    ) -> None:
        given = f"got query {query.shape}, key {key.shape} and value {value.shape}"
        if not query.ndim == key.ndim == value.ndim or query.ndim not in (2, 3):
            layout = "(batch, length, features)" if self.batch_first else "(length, batch, features)"
            raise ShapeError(f"MultiheadAttention: expected all three {layout}, or all without the batch, {given}")
        sizes = self.embed_dim, self.kdim, self.vdim
        if (query.shape[-1], key.shape[-1], value.shape[-1]) != sizes:
            raise ShapeError("MultiheadAttention: expected {}, {} and {} features; {}".format(*sizes, given))
        batch = 0 if self.batch_first or query.ndim == 2 else 1
        if key.shape[:-1] != value.shape[:-1] or (query.ndim == 3 and query.shape[batch] != key.shape[batch]):
            raise ShapeError(f"MultiheadAttention: expected as many keys as values, and one batch size, {given}")
        count = query.shape[batch] if query.ndim == 3 else 1
        length, keys = (x.shape[1 - batch] if x.ndim == 3 else len(x) for x in (query, key))
        allowed: dict[str, list[tuple[int, ...]]] = {
            "key_padding_mask": [(count, keys) if query.ndim == 3 else (keys,)],
            "attn_mask": [(length, keys), (count * self.num_heads, length, keys)],
        }
        for (name, shapes), mask in zip(allowed.items(), (padding, attn_mask), strict=True):
            if mask is None:
                continue
            if mask.dtype.kind not in "bf":
                raise ShapeError(f"MultiheadAttention: expected {name} of bool or floats, got {mask.dtype}")
            if mask.shape not in shapes:
                expected = " or ".join(map(str, shapes))
                raise ShapeError(f"MultiheadAttention: expected {name} of shape {expected}, got {mask.shape}; {given}")


class ShapeError(AssertionError, RuntimeError):
    """Shapes that do not fit: PyTorch's attention raises now the one, now the other."""
