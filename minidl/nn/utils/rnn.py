"""Sequences of different lengths as one tensor: padded at their ends to the longest, and back.

Packed sequences, which spare a network the padding, are left out; give it a mask, or read its output at the lengths.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl.autograd import Tensor
from minidl.functional.creation import full
from minidl.functional.shapes import cat
from minidl.ops.shapes import stack


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (L_i, ...) as one tensor (longest L, N, ...), or (N, longest L, ...) with `batch_first`.

    The shorter ones are filled up with `padding_value`, behind or, with `padding_side="left"`, in front.
    RuntimeError if there are none, if they differ in more than their length, or for another side.

    >>> import minidl
    >>> pad_sequence([minidl.ones(3), minidl.ones(1)], batch_first=True)
    tensor([[1., 1., 1.],
            [1., 0., 0.]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(f"pad_sequence: expected a list of tensors, got {type(sequences).__name__}")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f'pad_sequence: expected the padding_side "left" or "right", got {padding_side!r}')
    rows = list(sequences)
    if len({x.shape[1:] for x in rows}) != 1 or not rows[0].ndim:
        raise RuntimeError("pad_sequence: expected at least one sequence, all alike but for their first dimension, got "
                           f"the shapes {[x.shape for x in rows]}")  # fmt: skip
    longest, like = max(map(len, rows)), rows[0]

    def padded(x: Tensor) -> Tensor:
        fill = full((longest - len(x), *like.shape[1:]), padding_value, dtype=like.dtype, device=like.device)
        return cat([x.to(like.dtype), fill] if padding_side == "right" else [fill, x.to(like.dtype)])

    return stack([padded(x) for x in rows], 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The way back from `pad_sequence`: (L, N, ...) and N lengths -> N sequences (L_i, ...).

    ValueError for another number of lengths.

    >>> import minidl
    >>> [len(x) for x in unpad_sequence(minidl.zeros(3, 2, 5), minidl.tensor([3, 1]))]
    [3, 1]
    """
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    if len(rows) != len(lengths):
        raise ValueError(f"unpad_sequence: expected a length for each of {len(rows)} sequences, got {len(lengths)}")
    return [x[: int(length)] for x, length in zip(rows, lengths, strict=True)]
