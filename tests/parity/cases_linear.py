"""Linear and bilinear maps, embeddings, dropout without its randomness, and the layers that only reshape."""

from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, layer


@case("nn.functional.linear")
def linear(draw: Draw) -> Call:
    n, out = draw.size(), draw.size()
    wrong = draw.integer(0, 9) == 9
    return call(draw.floats((*draw.shape(0, 3), n + wrong)), draw.floats((out, n)),
                draw.floats((out,)) if draw.flag() else None)  # fmt: skip


@case("nn.functional.bilinear")
def bilinear(draw: Draw) -> Call:
    lead, (n, m, out) = draw.shape(0, 3), draw.shape(3, 3, empty=False)
    x, y = draw.floats((*lead, n + (draw.integer(0, 9) == 9))), draw.floats((*lead, m))
    return call(x, y, draw.floats((out, n, m)), draw.floats((out,)) if draw.flag() else None)


@layer("nn.Linear")
def linear_layer(draw: Draw) -> tuple[Call, Call]:
    n = draw.size()
    return call(n, draw.size(), bias=draw.flag()), call(draw.floats((*draw.shape(), n)))


@layer("nn.Bilinear")
def bilinear_layer(draw: Draw) -> tuple[Call, Call]:
    lead, (n, m, out) = draw.shape(0, 3), draw.shape(3, 3, empty=False)
    return call(n, m, out, bias=draw.flag()), call(draw.floats((*lead, n)), draw.floats((*lead, m)))


@layer("nn.Identity")
def identity(draw: Draw) -> tuple[Call, Call]:
    return call(54, unused=True), call(draw.floats(draw.shape()))


@layer("nn.Flatten")
def flatten(draw: Draw) -> tuple[Call, Call]:
    shape = draw.shape(1, 4)
    return call(draw.dim(len(shape), wrong=False), draw.dim(len(shape))), call(draw.floats(shape))


@layer("nn.Unflatten")
def unflatten(draw: Draw) -> tuple[Call, Call]:
    parts, shape = draw.shape(1, 3, empty=False), draw.shape(0, 3)
    whole, dim = 1, draw.integer(0, len(shape))
    for n in parts:
        whole *= n
    sizes = (-1, *parts[1:]) if draw.flag() else (*parts[:-1], parts[-1] + (draw.integer(0, 9) == 9))
    return call(dim, sizes), call(draw.floats((*shape[:dim], whole, *shape[dim:])))


@layer("nn.Dropout", "nn.Dropout1d", "nn.Dropout2d", "nn.AlphaDropout", "nn.FeatureAlphaDropout")
def dropout_of_nothing_or_all(draw: Draw) -> tuple[Call, Call]:
    return call(draw.one_of(0.0, 1.0, -0.1, 1.5)), call(draw.floats(draw.shape(3, 3, empty=False)))


@layer("nn.Dropout3d")
def dropout3d_layer(draw: Draw) -> tuple[Call, Call]:
    return call(draw.one_of(0.0, 1.0)), call(draw.floats(draw.shape(4, 5, empty=False)))


@case("nn.functional.dropout", "nn.functional.dropout1d", "nn.functional.dropout2d", "nn.functional.alpha_dropout",
      "nn.functional.feature_alpha_dropout")  # fmt: skip
def dropout(draw: Draw) -> Call:
    return call(draw.floats(draw.shape(3, 3, empty=False)), **draw.one_of(
        dict(p=0.0, training=True), dict(p=1.0, training=True), dict(p=0.5, training=False), dict(p=1.5, training=True)
    ))  # fmt: skip


@case("nn.functional.dropout3d")
def dropout3d(draw: Draw) -> Call:
    return call(draw.floats(draw.shape(4, 5, empty=False)), p=draw.one_of(0.0, 1.0), training=True)


# -- embeddings -----------------------------------------------------------------------------------------------------


def maybe_row(draw: Draw, rows: int) -> Any:
    return draw.one_of(None, draw.integer(-rows, rows - 1))


@case("nn.functional.embedding")
def embedding(draw: Draw) -> Call:
    rows = draw.size(1, 5)
    numbers = draw.integers(draw.shape(0, 3), 0, rows - 1 + (draw.integer(0, 9) == 9))
    return call(numbers, draw.floats((rows, draw.size())), maybe_row(draw, rows), scale_grad_by_freq=draw.flag())


@layer("nn.Embedding")
def embedding_layer(draw: Draw) -> tuple[Call, Call]:
    rows = draw.size(1, 5)
    norm = dict(max_norm=draw.one_of(None, 0.5), norm_type=draw.one_of(1.0, 2.0, 3.0))
    numbers = draw.integers(draw.shape(0, 3, empty=False), 0, rows - 1)
    return call(rows, draw.size(), maybe_row(draw, rows), **norm, scale_grad_by_freq=draw.flag()), call(numbers)


def bags(draw: Draw, rows: int) -> tuple[Any, Any, bool]:
    """Numbers, offsets, and whether the last offset is the end."""
    if draw.flag():
        return draw.integers((draw.size(), draw.size()), 0, rows - 1), None, False
    lengths = [draw.integer(0, 3) for _ in range(draw.size(1, 4))]
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    last = draw.flag()
    ends = [sum(lengths)] if last else []
    return draw.integers((sum(lengths),), 0, rows - 1), np.array(starts + ends), last


@case("nn.functional.embedding_bag")
def embedding_bag(draw: Draw) -> Call:
    rows, mode = draw.size(1, 5), draw.one_of("sum", "mean", "max")
    numbers, offsets, last = bags(draw, rows)
    weights = draw.floats(numbers.shape) if draw.flag() and (mode == "sum" or draw.flag()) else None
    return call(numbers, draw.distinct((rows, draw.size())), offsets, mode=mode, per_sample_weights=weights,
                include_last_offset=last, padding_idx=maybe_row(draw, rows))  # fmt: skip


@layer("nn.EmbeddingBag")
def embedding_bag_layer(draw: Draw) -> tuple[Call, Call]:
    rows = draw.size(1, 5)
    numbers, offsets, last = bags(draw, rows)
    options = dict(mode=draw.one_of("sum", "mean", "max"), include_last_offset=last, padding_idx=maybe_row(draw, rows),
                   max_norm=draw.one_of(None, 0.5))  # fmt: skip
    return call(rows, draw.size(), **options), call(numbers, offsets)
