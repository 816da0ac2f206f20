"""Embeddings as layers: a learned table whose rows stand for words, letters or other numbered things.

What is computed stands with the functions of the same names in nn.functional.
"""

from __future__ import annotations

from typing import Any, Self

from minidl.autograd import Tensor, no_grad
from minidl.functional.creation import zeros
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter


class _Table(Module):
    """What Embedding and EmbeddingBag share: `weight` (num_embeddings, embedding_dim), normal numbers at the start."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    _shown: tuple[str, ...]

    def _set_up(self, size: tuple[int, int], padding_idx: int | None, weight: Tensor | None, freeze: bool,
                place: dict[str, Any]) -> None:  # fmt: skip
        rows, _ = self.num_embeddings, self.embedding_dim = size
        if padding_idx is not None and not -rows <= padding_idx < rows:
            raise AssertionError(f"padding_idx must name one of the {rows} rows, got {padding_idx}")
        self.padding_idx = None if padding_idx is None else padding_idx % rows
        if weight is not None and weight.shape != size:
            raise AssertionError(f"expected a table of shape {size}, got {weight.shape}")
        self.weight = Parameter(zeros(size, **place) if weight is None else weight, requires_grad=not freeze)
        if weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw a new table; the row `padding_idx` is zeros."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def extra_repr(self) -> str:
        usual = dict(padding_idx=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode=None, sparse=False)
        settings = {word: getattr(self, word, usual[word]) for word in self._shown}
        changed = [f"{word}={value!r}" for word, value in settings.items() if value != usual[word]]
        return ", ".join([str(self.num_embeddings), str(self.embedding_dim), *changed])

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """A layer with the table `embeddings` (rows, features), which is not trained if `freeze`."""
        if embeddings.ndim != 2:
            raise AssertionError(f"expected a table of shape (rows, features), got {embeddings.shape}")
        layer = cls(*embeddings.shape, **options, _weight=embeddings)  # type: ignore[call-arg]
        layer.weight.requires_grad = not freeze
        return layer


class Embedding(_Table):
    """Rows of a learned table: whole numbers (...) -> (..., embedding_dim).

    `weight` (num_embeddings, embedding_dim) starts as normal numbers, its row `padding_idx` as zeros, which receives
    no gradient.  See `nn.functional.embedding` for the other options.

    >>> import minidl
    >>> Embedding(10, 3)(minidl.tensor([[1, 2, 4, 5]])).shape
    (1, 4, 3)
    """

    _shown = ("padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        size, place = (num_embeddings, embedding_dim), {"device": device, "dtype": dtype}
        self._set_up(size, padding_idx, _weight, _freeze, place)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )


class EmbeddingBag(_Table):
    """The sum, mean or largest entries of the rows that a bag of whole numbers names: (B, L) -> (B, embedding_dim).

    Bags of different lengths come as one list (N,) with `offsets` (B,), where each starts; see
    `nn.functional.embedding_bag`.

    >>> import minidl
    >>> EmbeddingBag(10, 3, mode="sum")(minidl.tensor([1, 2, 4, 5, 4]), minidl.tensor([0, 3])).shape
    (2, 3)
    """

    _shown = ("max_norm", "norm_type", "scale_grad_by_freq", "mode", "padding_idx")

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset
        size, place = (num_embeddings, embedding_dim), {"device": device, "dtype": dtype}
        self._set_up(size, padding_idx, _weight, False, place)

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
            self.sparse, per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip
