"""Losses as functions and as layers: the same draws for both."""

from collections.abc import Callable
from typing import Any

import numpy as np
from parity.drawing import Call, Draw, call, case, fixed, layer


def reduction(draw: Draw) -> str:
    return draw.one_of("mean", "sum", "none")


def loss(function: str, layer_name: str, to_layer: tuple[str, ...] = (), **how: Any) -> Callable[..., Any]:
    """A case draws the inputs, and all options by name; those in `to_layer`, and `reduction`, are the layer's."""

    def decorate(draw_call: Callable[[Draw], Call]) -> Callable[[Draw], Call]:
        def as_layer(draw: Draw) -> tuple[Call, Call]:
            drawn = draw_call(draw)
            kept = {name: x for name, x in drawn.options.items() if name in (*to_layer, "reduction")}
            return call(**kept), call(*drawn.arguments)

        case(f"nn.functional.{function}", **how)(draw_call)
        layer(f"nn.{layer_name}", **how)(as_layer)
        return draw_call

    return decorate


def numbers(draw: Draw, shape: tuple[int, ...], *scales: float, ties: bool = True) -> np.ndarray:
    """Small numbers, now and then large ones."""
    x = draw.floats(shape, ties=ties)
    return np.asarray(x * draw.one_of(*(scales or (1.0, 1.0, 100.0, 1000.0))), x.dtype)


def other_shape(draw: Draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Mostly the same shape, else one that broadcasts, or does not."""
    return draw.one_of(shape, shape, shape, draw.broadcastable(shape), (*shape, 2))


def pair(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    shape = draw.shape()
    x, y = numbers(draw, shape), draw.floats(other_shape(draw, shape))
    if x.shape == y.shape and draw.flag():
        y = np.where(draw.booleans(shape), x, y)  # equal entries
    return x, y


# -- regression ---------------------------------------------------------------------------------------------------


def weight_of(draw: Draw, x: np.ndarray) -> Any:
    """A weight for each entry; its gradient, a difference of large losses, has a test of its own."""
    same = draw.positive(x.shape)
    return draw.one_of(None, None, fixed(same), fixed(same), fixed(draw.positive((*x.shape, 1))))


@loss("mse_loss", "MSELoss")
@loss("l1_loss", "L1Loss")
def squares(draw: Draw) -> Call:
    x, y = pair(draw)
    return call(x, y, reduction=reduction(draw), weight=weight_of(draw, x))


@loss("huber_loss", "HuberLoss", ("delta",))
def huber(draw: Draw) -> Call:
    x, y = pair(draw)
    return call(x, y, reduction=reduction(draw), delta=draw.one_of(1.0, 0.5, 2.0), weight=weight_of(draw, x))


@loss("smooth_l1_loss", "SmoothL1Loss", ("beta",))
def smooth_l1(draw: Draw) -> Call:
    return call(*pair(draw), reduction=reduction(draw), beta=draw.one_of(1.0, 0.5, 2.0, 0.0, draw.number(-0.1)))


@loss("poisson_nll_loss", "PoissonNLLLoss", ("log_input", "full", "eps"))
def poisson(draw: Draw) -> Call:
    shape = draw.shape()
    log_input = draw.flag()
    x = numbers(draw, shape, 1.0, 100.0) if log_input else draw.positive(shape)
    y = draw.positive(other_shape(draw, shape), 0.1, 20)
    counts = fixed(draw.integers(other_shape(draw, shape), 0, 5).astype(draw.dtype))
    return call(x, draw.one_of(y, counts), log_input=log_input, full=draw.flag(), eps=draw.one_of(1e-8, 0.1),
                reduction=reduction(draw))  # fmt: skip


@loss("gaussian_nll_loss", "GaussianNLLLoss", ("full", "eps"))
def gaussian(draw: Draw) -> Call:
    x, y = pair(draw)
    shape = draw.one_of(x.shape, x.shape[:-1], (*x.shape[:-1], 1), (*x.shape, 1), (2,))
    var = draw.one_of(draw.positive(shape), draw.positive(shape, 0.0, 0.2), draw.positive(shape, -0.01, 0.2), 0.5, -0.5)
    return call(x, y, var, full=draw.flag(), eps=draw.one_of(1e-6, 0.1), reduction=reduction(draw))


# -- classification -----------------------------------------------------------------------------------------------


def scores(draw: Draw) -> tuple[np.ndarray, tuple[int, ...], int]:
    """Logits, the shape of the labels, and the number of classes."""
    classes, batch = draw.size(1, 5), draw.size(0, 4)
    shape, labels = draw.one_of(
        ((classes,), ()), ((batch, classes), (batch,)), ((batch, classes, 2), (batch, 2)),
        ((batch, classes, 2, 3), (batch, 2, 3)),
    )  # fmt: skip
    x = np.ascontiguousarray(numbers(draw, shape))  # PyTorch fails in a backward pass to images laid out otherwise
    return x, labels, classes


def labels_of(draw: Draw, shape: tuple[int, ...], classes: int, ignored: int) -> np.ndarray:
    """Labels, some to be ignored; now and then one that is no class, or too many."""
    labels = draw.integers(shape, 0, classes - 1)
    if draw.flag():
        labels = np.where(draw.booleans(shape), ignored, labels)
    kind = draw.integer(0, 9)
    if kind == 9:
        return np.where(draw.booleans(shape), draw.one_of(-1, classes), labels)
    return labels[None].repeat(2, 0) if kind == 8 and shape else labels


def class_weight(draw: Draw, classes: int) -> Any:
    kind = draw.integer(0, 9)
    if kind < 5:
        return None
    return fixed(draw.positive((classes + (kind == 9),)))  # PyTorch has no gradient at the weight


@loss("cross_entropy", "CrossEntropyLoss", ("weight", "ignore_index", "label_smoothing"))
def cross_entropy(draw: Draw) -> Call:
    x, shape, classes = scores(draw)
    ignored = draw.one_of(-100, -100, 0, 1, -1)
    labels = labels_of(draw, shape, classes, ignored)
    probabilities = draw.positive(x.shape)
    target = draw.one_of(labels, labels, probabilities)
    return call(x, target, weight=class_weight(draw, classes), ignore_index=ignored, reduction=reduction(draw),
                label_smoothing=draw.one_of(0.0, 0.0, 0.1, 1.0, 1.5))  # fmt: skip


@loss("nll_loss", "NLLLoss", ("weight", "ignore_index"))
def nll(draw: Draw) -> Call:
    x, shape, classes = scores(draw)
    ignored = draw.one_of(-100, -100, 0, 1, -1)
    target = labels_of(draw, shape, classes, ignored)
    return call(x, target, weight=class_weight(draw, classes), ignore_index=ignored, reduction=reduction(draw))


@loss("kl_div", "KLDivLoss", ("log_target",))
def kl_div(draw: Draw) -> Call:
    shape = draw.shape()
    x = draw.floats(shape)
    y, log_y = draw.positive(other_shape(draw, shape)), numbers(draw, other_shape(draw, shape))
    counts = fixed(draw.integers(shape, -1, 1).astype(draw.dtype))  # 0, where y has no gradient, and less, which is NaN
    log_target = draw.flag()
    return call(x, log_y if log_target else draw.one_of(y, counts), log_target=log_target,
                reduction=draw.one_of(reduction(draw), "batchmean"))  # fmt: skip


def probabilities(draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers from 0 to 1, now and then some outside."""
    x = draw.positive(shape, 0.0, 1.0)
    kind = draw.integer(0, 9)
    return np.asarray(x - 0.5 if kind == 9 else x)


@loss("binary_cross_entropy", "BCELoss", ("weight",))
def bce(draw: Draw) -> Call:
    shape = draw.shape()
    other = draw.one_of(shape, shape, shape, (*shape, 1))
    weight = draw.one_of(None, None, fixed(draw.positive(draw.broadcastable(shape))))
    p, y = probabilities(draw, shape), probabilities(draw, other)
    if draw.integer(0, 4) == 4:
        # At 0 and 1 a logarithm is -100; gradients are 1e12, which PyTorch rounds to float32, and infinite.
        return call(fixed(np.asarray(np.round(p))), fixed(y), weight=weight, reduction=reduction(draw))
    return call(p, y, weight=weight, reduction=reduction(draw))


@loss("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", ("weight", "pos_weight"))
def bce_with_logits(draw: Draw) -> Call:
    shape = draw.shape()
    other = draw.one_of(shape, shape, shape, (*shape, 1))
    weight, pos_weight = (draw.one_of(None, None, fixed(draw.positive(draw.broadcastable(shape)))) for _ in range(2))
    return call(numbers(draw, shape), draw.positive(other, 0.0, 1.0), weight=weight, pos_weight=pos_weight,
                reduction=reduction(draw))  # fmt: skip


# -- margins ------------------------------------------------------------------------------------------------------


def signs(draw: Draw, shape: tuple[int, ...]) -> Any:
    """1 and -1, now and then other numbers."""
    y = np.where(draw.booleans(shape), 1, -1)
    if draw.integer(0, 4) == 4:
        y = y * draw.integers(shape, 0, 2)
    return fixed(np.asarray(y, draw.dtype))


@loss("margin_ranking_loss", "MarginRankingLoss", ("margin",))
def margin_ranking(draw: Draw) -> Call:
    x1, x2 = pair(draw)
    target = draw.one_of(signs(draw, x1.shape), draw.floats(other_shape(draw, x1.shape)))
    return call(x1, x2, target, margin=draw.one_of(0.0, 1.0, draw.number()), reduction=reduction(draw))


@loss("hinge_embedding_loss", "HingeEmbeddingLoss", ("margin",))
def hinge_embedding(draw: Draw) -> Call:
    shape = draw.shape()
    x = numbers(draw, shape)
    return call(x, signs(draw, other_shape(draw, shape)), margin=draw.one_of(1.0, draw.number()),
                reduction=reduction(draw))  # fmt: skip


@loss("soft_margin_loss", "SoftMarginLoss")
def soft_margin(draw: Draw) -> Call:
    shape = draw.shape()
    x = numbers(draw, shape, 1.0, 10.0)  # PyTorch's overflows beyond 88 in float32
    return call(x, signs(draw, other_shape(draw, shape)), reduction=reduction(draw))


def rows(draw: Draw) -> np.ndarray:
    shape = draw.one_of((draw.size(1, 4), draw.size(1, 5)), (draw.size(1, 5),), (2, 3, 4))
    return numbers(draw, shape)


@loss("multi_margin_loss", "MultiMarginLoss", ("p", "margin", "weight"))
def multi_margin(draw: Draw) -> Call:
    x = rows(draw)
    classes = x.shape[-1]
    labels = draw.integers(draw.one_of(x.shape[:-1], x.shape[:-1], x.shape[:-1] or (1,), (5,)), 0, classes - 1)
    if draw.integer(0, 9) == 9:
        labels = np.asarray(labels + draw.one_of(-1, 1))
    return call(x, labels, p=draw.one_of(1, 2, 1, 2, 3), margin=draw.one_of(1.0, draw.number()),
                weight=class_weight(draw, classes), reduction=reduction(draw))  # fmt: skip


@loss("multilabel_margin_loss", "MultiLabelMarginLoss")
def multilabel_margin(draw: Draw) -> Call:
    x = rows(draw)
    labels = draw.integers(draw.one_of(x.shape, x.shape, x.shape, (*x.shape, 1)), -1, x.shape[-1] - 1)
    if draw.integer(0, 9) == 9:
        labels = np.asarray(labels + draw.one_of(-1, 1))
    return call(x, labels, reduction=reduction(draw))


@loss("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", ("weight",))
def multilabel_soft_margin(draw: Draw) -> Call:
    shape = draw.shape()
    smaller = shape[draw.one_of(0, 0, len(shape) // 2) :]  # with a larger one PyTorch averages over another dimension
    x, y = numbers(draw, shape), draw.positive(smaller, 0.0, 1.0)
    weight = draw.one_of(None, draw.positive(shape[-1:]))
    return call(x, y, weight=weight, reduction=reduction(draw))


# -- distances ----------------------------------------------------------------------------------------------------


@loss("cosine_embedding_loss", "CosineEmbeddingLoss", ("margin",))
def cosine_embedding(draw: Draw) -> Call:
    shape = draw.shape(1, draw.one_of(2, 2, 2, 3))
    x1, x2 = draw.floats(shape, ties=False), draw.floats(other_shape(draw, shape), ties=False)
    if x1.shape == x2.shape:
        x2 = np.where(draw.booleans((*shape[:-1], 1)), x1, x2)  # equal vectors
    target = signs(draw, draw.one_of(shape[:-1], shape[:-1], shape[:-1], shape, (1,)))
    return call(x1, x2, target, margin=draw.number(-1, 1), reduction=reduction(draw))


def vectors(draw: Draw, count: int, empty: bool = True) -> list[np.ndarray]:
    """Vectors of one shape, the last of which may have another."""
    shape = draw.shape(1, 3, empty=empty)
    shapes = [shape] * (count - 1) + [draw.one_of(shape, shape, shape, other_shape(draw, shape))]
    return [numbers(draw, s, 1.0, 100.0, ties=False) for s in shapes]


@loss("triplet_margin_loss", "TripletMarginLoss", ("margin", "p", "eps", "swap"))
def triplet(draw: Draw) -> Call:
    return call(*vectors(draw, 3), margin=draw.number(-0.1), p=draw.one_of(2.0, 1.0, 3.0), eps=draw.one_of(1e-6, 0.1),
                swap=draw.flag(), reduction=reduction(draw))  # fmt: skip


def largest(x: Any, y: Any) -> Any:
    return abs(x - y).amax(-1)


@loss("triplet_margin_with_distance_loss", "TripletMarginWithDistanceLoss", ("distance_function", "margin", "swap"))
def triplet_with_distance(draw: Draw) -> Call:
    inputs = vectors(draw, 3, empty=False)
    return call(*inputs, distance_function=draw.one_of(None, largest), margin=draw.number(-0.1),
                swap=draw.flag(), reduction=reduction(draw))  # fmt: skip


NORMS = (2.0, 1.0, 0.0, 0.5, 1.5, 3.0, float("inf"))


@case("nn.functional.pairwise_distance", "pairwise_distance")
def pairwise_distance(draw: Draw) -> Call:
    x, y = vectors(draw, 2)
    if x.shape == y.shape and draw.integer(0, 4) == 4:
        y = np.where(draw.booleans(x.shape), x, y)
    p, options = draw.one_of(*NORMS), dict(eps=draw.one_of(1e-6, 0.1, 0.0), keepdim=draw.flag())
    if p == 0:
        return call(fixed(x), fixed(y), p=p, **options)  # a count: PyTorch has no gradient instead of zeros
    return call(x, y, p=p, **options)


@layer("nn.PairwiseDistance")
def pairwise_distance_layer(draw: Draw) -> tuple[Call, Call]:
    drawn = pairwise_distance(draw)
    return call(**drawn.options), call(*drawn.arguments)


@case("nn.functional.cosine_similarity", "cosine_similarity")
def cosine_similarity(draw: Draw) -> Call:
    shape = draw.shape()
    x, y = draw.floats(shape), draw.floats(other_shape(draw, shape))
    return call(x, y, dim=draw.dim(max(x.ndim, y.ndim)), eps=draw.one_of(1e-8, 0.5))


@layer("nn.CosineSimilarity")
def cosine_similarity_layer(draw: Draw) -> tuple[Call, Call]:
    drawn = cosine_similarity(draw)
    return call(**drawn.options), call(*drawn.arguments)


@case("nn.functional.normalize")
def normalize(draw: Draw) -> Call:
    x = draw.floats(draw.shape())
    return call(x, p=draw.one_of(*NORMS), dim=draw.dim(x.ndim), eps=draw.one_of(1e-12, 0.5))


@case("nn.functional.pdist", "pdist")
def pdist(draw: Draw) -> Call:
    x = draw.floats(draw.shape(2, draw.one_of(2, 2, 3), empty=False), ties=False)
    p = draw.one_of(2.0, 1.0, 1.5, 3.0, 0.0, float("inf"), -1.0)
    return call(x if p else fixed(x), p=p)  # for p = 0 PyTorch has a gradient of zeros here, and none elsewhere
