"""The loss functions of nn.functional that compare scores or distances with a margin.

They are content, with a loss of 0, once what should be larger is larger by the margin.  For `reduction` see losses.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from minidl.autograd import Tensor
from minidl.functional import bounds
from minidl.functional.creation import arange
from minidl.functional.elementwise import clamp
from minidl.nn.functional.distances import pairwise_distance
from minidl.nn.functional.losses import reduced, scaled
from minidl.ops import fused, reductions
from minidl.ops.elementwise import minimum, relu, sqrt, square, where
from minidl.ops.indexing import take_along_axis
from minidl.ops.logic import logical_and, logical_not
from minidl.ops.shapes import unsqueeze

# -- a sign for each entry: 1 or -1 -------------------------------------------------------------------------------


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - y (x1 - x2)): x1 should be the larger by `margin` where y is 1, x2 where it is -1.

    Raises RuntimeError for different numbers of dimensions.

    >>> import minidl
    >>> margin_ranking_loss(minidl.tensor([1.0]), minidl.tensor([3.0]), minidl.tensor([1.0]))
    tensor(2.)
    """
    _check_dimensions("margin_ranking_loss", input1=input1, input2=input2, target=target)
    return reduced(clamp(margin - target * (input1 - input2), min=0), reduction)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """Of distances x: x itself where y is 1 (should be near), max(0, margin - x) where y is -1 (should be apart)."""
    near = where(target == -1, 0.0, input)
    apart = where(target == 1, 0.0, clamp(margin - input, min=0))
    return reduced(near + apart, reduction)


def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-y x)) for scores x and signs y.  Unlike PyTorch's it does not overflow.

    >>> import minidl
    >>> soft_margin_loss(minidl.tensor([-1000.0]), minidl.ones(1))
    tensor(1000.)
    """
    return reduced(fused.softplus(-scaled(input, target)), reduction)


# -- a score for each class ---------------------------------------------------------------------------------------


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Σ max(0, margin - x[y] + x[i])^p / C over the classes i other than the label y: (N, C), (N,) or (C,), ().

    `p` is 1 or 2; `weight` (C,) scales the loss of each label.
    Raises ValueError for another p, RuntimeError for shapes that do not fit and labels that are no class.
    Source: Weston and Watkins, "Support vector machines for multi-class pattern recognition", ESANN 1999.

    >>> import minidl
    >>> multi_margin_loss(minidl.tensor([[0.5, 2.0, 1.5, 0.0]]), minidl.tensor([1]))  # only 1.5 is too near: 0.5 / 4
    tensor(0.125)
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, got {p}")
    if weight is not None and weight.ndim != 1:
        raise ValueError(f"multi_margin_loss: expected a weight of shape (C,), got {weight.shape}")
    if target.shape == (1,) and input.ndim == 1:
        input = unsqueeze(input, 0)
    classes = _checked_classes("multi_margin_loss", input, target, input.shape[:-1], lowest=0)
    if weight is not None and len(weight) != classes:
        raise RuntimeError(f"multi_margin_loss: expected a weight for each of {classes} classes, got {weight.shape}")
    label = unsqueeze(target, -1)
    hinge = relu(margin - take_along_axis(input, label, axis=-1) + input)
    terms = hinge if p == 1 else square(hinge)
    terms = where(label == arange(classes, device=input.device), 0.0, terms)
    if weight is not None:
        terms = weight[label] * terms
    return reduced(reductions.sum(terms, axis=-1) / classes, reduction)


def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Σ max(0, 1 - x[y] + x[i]) / C over the labels y and the classes i that are none: (N, C), (N, C) or (C,), (C,).

    The labels of an example are the numbers before the first -1 in its row of the target.
    Raises RuntimeError for different shapes and for labels that are no class.
    """
    classes = _checked_classes("multilabel_margin_loss", input, target, input.shape, lowest=-1)
    class_ = arange(classes, device=input.device)
    end = reductions.amin(where(target < 0, class_, classes), axis=-1, keepdims=True)
    label = where(class_ < end, target, -1)
    is_label = reductions.any(unsqueeze(label, -1) == class_, axis=-2, keepdims=True)  # (..., 1, class)
    score = take_along_axis(input, label, axis=-1)  # whatever it is for -1 does not count
    hinge = relu(1 - unsqueeze(score, -1) + unsqueeze(input, -2))  # (..., label, class)
    counts = logical_and(unsqueeze(label, -1) >= 0, logical_not(is_label))
    return reduced(reductions.sum(where(counts, hinge, 0.0), axis=(-2, -1)) / classes, reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """`binary_cross_entropy_with_logits`, times `weight` (C,), as its mean over the classes: (..., C) -> (...).

    Raises IndexError for a single number.
    """
    if not input.ndim:
        raise IndexError("multilabel_soft_margin_loss: expected a dimension of classes, got a single number")
    losses = (1 - target) * input + fused.softplus(-input)
    return reduced(reductions.mean(losses if weight is None else losses * weight, axis=-1), reduction)


def _checked_classes(name: str, input: Tensor, target: Tensor, expected: tuple[int, ...], lowest: int) -> int:
    """The number of classes; RuntimeError unless the target has the shape `expected` and holds labels or `lowest`."""
    if input.ndim not in (1, 2) or not input.shape[-1]:
        raise RuntimeError(f"{name}: expected scores of shape (N, C) or (C,), got {input.shape}")
    if target.shape != expected or target.dtype.kind not in "iu":
        raise RuntimeError(f"{name}: expected a target of whole numbers of shape {expected} for an input of shape "
                           f"{input.shape}, got {target.dtype} of shape {target.shape}")  # fmt: skip
    bounds.check(target.array, lowest, input.shape[-1], RuntimeError, f"{name}: a label must be")
    return input.shape[-1]


# -- distances ----------------------------------------------------------------------------------------------------


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """1 - cos where y is 1 (should be alike), max(0, cos - margin) where it is -1, cos being the cosine of two vectors.

    Shapes (N, n), (N, n), (N,) or (n,), (n,), (); RuntimeError for others.

    >>> import minidl
    >>> x = minidl.tensor([[1.0, 0.0]])
    >>> cosine_embedding_loss(x, x, minidl.tensor([-1]), margin=0.5)
    tensor(0.5)
    """
    if target.ndim > 1 or not input1.ndim == input2.ndim == target.ndim + 1:
        raise RuntimeError("cosine_embedding_loss: expected shapes (N, n), (N, n), (N,) or (n,), (n,), (), "
                           f"got {input1.shape}, {input2.shape}, {target.shape}")  # fmt: skip
    product, square1, square2 = (
        reductions.sum(x * y, axis=-1) for x, y in ((input1, input2), (input1, input1), (input2, input2))
    )
    cos = product / sqrt((square1 + 1e-12) * (square2 + 1e-12))
    alike = where(target == 1, 1 - cos, 0.0)
    unlike = where(target == -1, clamp(cos - margin, min=0), 0.0)
    return reduced(alike + unlike, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_with_distance_loss` of the `pairwise_distance` with `p` and `eps`: (N, n) three times -> (N,).

    >>> import minidl
    >>> triplet_margin_loss(minidl.tensor([0.0]), minidl.tensor([2.0]), minidl.tensor([2.5]), eps=0)
    tensor(0.5)
    """
    distance = partial(pairwise_distance, p=p, eps=eps)
    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + d(anchor, positive) - d(anchor, negative)): the negative should be farther off by `margin`.

    With `swap`, d(positive, negative) takes the place of the second distance where it is smaller.  d is
    `distance_function`, `pairwise_distance` unless given.
    Raises ValueError for a margin that is not above 0, RuntimeError for different numbers of dimensions.
    Source: Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural
    networks", BMVC 2016.
    """
    if margin <= 0:
        raise ValueError(f"the margin of a triplet loss must be above 0, got {margin}")
    _check_dimensions("a triplet loss", anchor=anchor, positive=positive, negative=negative)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp(margin + near - far, min=0), reduction)


def _check_dimensions(name: str, **tensors: Tensor) -> None:
    if len({x.ndim for x in tensors.values()}) > 1:
        got = ", ".join(f"{word} {x.shape}" for word, x in tensors.items())
        raise RuntimeError(f"{name} needs tensors with equal numbers of dimensions, got {got}")
