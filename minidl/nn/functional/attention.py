"""Attention: a query is compared with all keys, and takes from the values in proportion to how well each key fits.

Letters: L queries, S keys and values, E features of queries and keys, F of values; ... any number of sequences, heads.
"""

from __future__ import annotations

import math

from minidl.autograd import Tensor
from minidl.functional.creation import arange
from minidl.functional.reductions import softmax
from minidl.functional.shapes import expand
from minidl.nn.functional.dropout import dropout
from minidl.ops.elementwise import where
from minidl.ops.shapes import unsqueeze


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q Kᵀ · scale) V: (..., L, E), (..., S, E), (..., S, F) -> (..., L, F); scale is 1/√E unless given.

    `attn_mask`, which broadcasts with (..., L, S), is True where a query may look at a key, or is added to the scores;
    `is_causal` lets query i look at the keys 0 to i.  A query that may look at none gets zeros.  `dropout_p` of the
    weights are left out, in evaluation, too.  With `enable_gqa` several heads (dimension -3) of queries share one of
    keys and values.  RuntimeError for shapes and dtypes that do not fit, and for a mask beside is_causal.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 1.

    >>> import minidl
    >>> values = minidl.tensor([[1.0], [3.0]])
    >>> scaled_dot_product_attention(minidl.zeros(2, 4), minidl.zeros(2, 4), values, is_causal=True)
    tensor([[1.],
            [2.]])
    """
    _check(query, key, value, attn_mask)
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"scaled_dot_product_attention: dropout_p must be from 0 to 1, got {dropout_p}")
    if is_causal:
        if attn_mask is not None:
            raise RuntimeError("scaled_dot_product_attention: is_causal=True is a mask of its own, got attn_mask, too")
        steps = arange(max(query.shape[-2], key.shape[-2]), device=query.device)
        attn_mask = unsqueeze(steps[: query.shape[-2]], 1) >= steps[: key.shape[-2]]  # (L, S)
    if enable_gqa:
        key, value = _for_each_head(key, query), _for_each_head(value, query)
    return attend(query, key, value, attn_mask, dropout_p, scale)[0]


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """What each query takes from the values, (..., L, F), and the weights with which it does so, (..., L, S).

    `mask` is True where a query may look, or is added to the scores.
    """
    scores = q * (1 / math.sqrt(q.shape[-1]) if scale is None else scale) @ k.mT
    if mask is None:
        weights = softmax(scores, -1)
    else:
        mask = (where(mask, 0.0, -math.inf) if mask.dtype.kind == "b" else mask).to(q.dtype)
        sees = (mask > -math.inf).any(-1, keepdim=True)  # a row of -inf would be 0/0 in softmax
        masked = scores + where(sees, mask, 0.0)
        if masked.shape != scores.shape:
            raise RuntimeError(f"attention: expected a mask that broadcasts to {scores.shape}, got {mask.shape}")
        weights = softmax(masked, -1) * sees
    weights = dropout(weights, dropout_p)
    return weights @ v, weights


def _for_each_head(x: Tensor, query: Tensor) -> Tensor:
    """Each head of x as often as heads of queries share it: (..., fewer, S, E) -> (..., heads, S, E)."""
    heads = query.shape[-3]
    if heads % x.shape[-3]:
        raise RuntimeError(f"scaled_dot_product_attention: {heads} heads of queries cannot share {x.shape[-3]} of keys "
                           "or values evenly")  # fmt: skip
    shape = (*x.shape[:-2], heads // x.shape[-3], *x.shape[-2:])
    return expand(unsqueeze(x, -3), shape).reshape(*x.shape[:-3], heads, *x.shape[-2:])


def _check(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
    given = f"got query {query.dtype} {query.shape}, key {key.dtype} {key.shape}, value {value.dtype} {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(f"scaled_dot_product_attention: expected (..., L, E), (..., S, E) and (..., S, F), {given}")
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(f"scaled_dot_product_attention: expected query, key and value of one dtype, {given}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise RuntimeError("scaled_dot_product_attention: expected as many features in query and key, and as many keys "
                           f"as values, {given}")  # fmt: skip
    if mask is not None and mask.dtype not in (bool, query.dtype):
        raise RuntimeError(f"scaled_dot_product_attention: expected a mask of bool or {query.dtype}, got {mask.dtype}")
