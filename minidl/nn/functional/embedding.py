"""Embeddings as functions: rows of a table looked up by number, one by one or in bags that are summed up.

The table is passed in; its gradient is dense, also where PyTorch's `sparse=True` asks for another.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import array_module
from minidl.functional.creation import full
from minidl.nn.functional.labels import outside
from minidl.ops import indexing
from minidl.ops.elementwise import where


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (rows, features) that `input`, whole numbers, names: (...) -> (..., features).

    The row `padding_idx` receives no gradient.  Rows longer than `max_norm`, in the norm `norm_type`, are first
    shortened to it, in place.  `scale_grad_by_freq` divides a row's gradient by how often the row was named.
    IndexError for a number outside the table (on a GPU the row is nan instead); RuntimeError for an input of floats.

    >>> import minidl
    >>> embedding(minidl.tensor([[0, 2]]), minidl.arange(6.0).reshape(3, 2))
    tensor([[[0., 1.],
             [4., 5.]]])
    """
    _check_rows("embedding", input, weight)
    padding_idx = _row("padding_idx", padding_idx, weight)
    wrong = outside(input, len(weight), "embedding: a number", "rows of the table")
    if max_norm is not None:
        _shorten(weight, input.array, max_norm, norm_type)
    rows = indexing.getitem(weight, input if wrong is None else where(wrong, 0, input))
    if rows.requires_grad and (padding_idx is not None or scale_grad_by_freq):
        share = _gradient_share(input.array, padding_idx, scale_grad_by_freq, rows.dtype)
        rows.register_hook(lambda gradient: gradient * share)
    return rows if wrong is None else where(wrong[..., None], math.nan, rows)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The "sum", "mean" or "max" of the rows of each bag: bags (B, L), or (N,) with where each starts -> (B, features).

    An empty bag gives zeros; `padding_idx` is left out of every bag; `per_sample_weights` are factors for a sum.
    ValueError for arguments that do not fit together.

    >>> import minidl
    >>> embedding_bag(minidl.tensor([0, 2, 1]), minidl.eye(3), minidl.tensor([0, 2]), mode="sum")
    tensor([[1., 0., 1.],
            [0., 1., 0.]])
    """
    _check_rows("embedding_bag", input, weight)
    if per_sample_weights is not None and per_sample_weights.shape != input.shape:
        raise ValueError(
            f"embedding_bag: per_sample_weights have the input's shape {input.shape}, got {per_sample_weights.shape}"
        )
    if per_sample_weights is not None and mode != "sum":
        raise RuntimeError(f'embedding_bag: per_sample_weights are factors for mode "sum", got mode {mode!r}')
    starts, end = _bounds(input, offsets, include_last_offset)
    padding_idx = _row("padding_idx", padding_idx, weight)
    xp, numbers = array_module(input.array), input.array.reshape(-1)[:end]
    bag = xp.searchsorted(xp.asarray(starts), xp.arange(end), side="right") - 1  # of each entry
    kept = xp.nonzero(numbers != (-1 if padding_idx is None else padding_idx))[0]
    rows = embedding(Tensor(numbers[kept]), weight, None, max_norm, norm_type, scale_grad_by_freq)
    if per_sample_weights is not None:
        rows = rows * indexing.getitem(per_sample_weights.reshape(-1), kept)[:, None]
    return _united(rows, bag[kept], len(starts), mode)


def _united(rows: Tensor, bag: Any, bags: int, mode: str) -> Tensor:
    """The sum, mean or largest entries of the rows of each bag: (entries, features), (entries,) -> (bags, features)."""
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f'embedding_bag: expected the mode "sum", "mean" or "max", got {mode!r}')
    xp = array_module(bag)
    counts = xp.bincount(bag, minlength=bags)
    if mode != "max":
        total = indexing.put(rows, index=bag, shape=(bags, *rows.shape[1:]))
        return total if mode == "sum" else total / Tensor(counts.clip(1)[:, None].astype(total.dtype))
    place = xp.arange(len(bag)) - (xp.cumsum(counts) - counts)[bag]  # of each entry in its bag
    gaps = full((bags, max([1, *counts.tolist()]), rows.shape[1]), -math.inf, dtype=rows.dtype, device=rows.device)
    largest = indexing.replaced(gaps, rows, index=(bag, place)).max(1).values
    return where(Tensor(counts[:, None] > 0), largest, 0.0)


def _bounds(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[np.ndarray[Any, Any], int]:
    """Where each bag starts among the entries of `input`, and where the last one ends."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(f"embedding_bag: bags of shape {input.shape} have one length, so offsets must be None")
        return np.arange(input.shape[0]) * input.shape[1], input.numel()
    if input.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise ValueError(
            f"embedding_bag: expected an input (B, L), or (N,) with offsets (B,), got {input.shape} and "
            f"{None if offsets is None else offsets.shape}"
        )
    bounds = offsets.cpu().array
    if not include_last_offset:  # the last bag goes to the end, and without a bag there is nothing
        bounds = np.append(bounds, input.numel() if len(bounds) else 0)
    lengths = np.diff(bounds, append=input.numel())
    if bounds.dtype.kind != "i" or not len(bounds) or bounds[0] != 0 or (lengths < 0).any():
        raise RuntimeError(
            f"embedding_bag: expected whole offsets that start with 0 and grow to {input.numel()}, the number of "
            f"entries, at most, got {offsets.tolist()}"
        )
    return bounds[:-1], int(bounds[-1])


def _check_rows(name: str, input: Tensor, weight: Tensor) -> None:
    if input.dtype not in (np.int64, np.int32):  # bytes would be taken for a mask
        raise RuntimeError(f"{name}: expected an input of int64 or int32, got {input.dtype}: use .long()")
    if weight.ndim != 2:
        raise RuntimeError(f"{name}: expected a table of shape (rows, features), got {weight.shape}")


def _row(word: str, row: int | None, weight: Tensor) -> int | None:
    """A row's number counted from the front; RuntimeError if there is no such row."""
    if row is not None and not -len(weight) <= row < len(weight):
        raise RuntimeError(f"embedding: {word} must name one of the {len(weight)} rows, got {row}")
    return None if row is None else row % len(weight)


def _shorten(weight: Tensor, numbers: Any, max_norm: float, norm_type: float) -> None:
    xp = array_module(numbers)
    named = xp.unique(numbers)
    norms = xp.linalg.norm(weight.array[named], norm_type, axis=1)
    if (long := norms > max_norm).any():  # else the table, which may be part of a graph, stays as it is
        scale = (max_norm / (norms[long] + 1e-7)).astype(weight.dtype)
        weight.array[named[long]] *= scale[:, None]
        weight.mark_changed()


def _gradient_share(numbers: Any, padding_idx: int | None, by_frequency: bool, dtype: Any) -> Tensor:
    """The factor of each entry's gradient: (...) -> (..., 1)."""
    xp = array_module(numbers)
    share = xp.ones(numbers.shape, dtype)
    if by_frequency:
        _, which, counts = xp.unique(numbers, return_inverse=True, return_counts=True)
        share = (1 / counts[which.reshape(numbers.shape)]).astype(dtype)
    if padding_idx is not None:
        share = share * (numbers != padding_idx)
    return Tensor(share[..., None].astype(dtype))
