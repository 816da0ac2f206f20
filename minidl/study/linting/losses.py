"""What `lint` looks for where a loss is computed: scores and labels that do not fit it, or each other.

The checks enter the table in rules.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from minidl.autograd import Tensor
from minidl.nn import functional as F
from minidl.study.linting.rules import Words, check
from minidl.study.text import number

FIRST_LOSS = 2.0  # times ln C: usual initial weights and small batches stay below 1.5, inputs of 0 to 255 go far above
ROUNDING = 1e-4  # so far above 0 may rounding lift a log-probability
LOGITS = "binary_cross_entropy_with_logits"
OF_LABELS = ("cross_entropy", "nll_loss")
LOSSES = {getattr(F, name).__code__: name for name in (*OF_LABELS, LOGITS, "binary_cross_entropy")}
ARGUMENTS = ("input", "target", "weight", "pos_weight", "ignore_index", "reduction")
SQUASHED = ("softmax", "log_softmax", "sigmoid")
LAYOUT = ("reshape", "transpose", "take", "astype", "copied")
HARMLESS = (*LAYOUT, "log", "clip")  # may stand between those and the loss


@dataclass
class Loss:
    """A call of one of the LOSSES: the user's line, what it was given, and the last that it computed: its result."""

    name: str
    given: Mapping[str, Any]
    place: tuple[str, int]
    result: Tensor | None = None

    @property
    def scores(self) -> Tensor:
        return self.given["input"]

    @property
    def target(self) -> Tensor:
        return self.given["target"]

    @property
    def weighted(self) -> bool:
        """Whether some examples count more than others."""
        return self.given["weight"] is not None or self.given["pos_weight"] is not None

    @property
    def of_labels(self) -> bool:
        """Whether one class of many is right, rather than yes or no."""
        return self.name in OF_LABELS

    @property
    def classes(self) -> int:
        """How many answers there are."""
        return self.scores.shape[min(1, self.scores.ndim - 1)] if self.of_labels else 2


def made_by(x: Tensor, past: Sequence[str] = HARMLESS) -> str:
    """The op that x comes from, past the harmless ones; "" if that was not recorded.

    >>> import minidl
    >>> made_by(minidl.ones(2, 3, requires_grad=True).softmax(1).flatten())
    'softmax'
    """
    while x.op is not None and x.op.__name__ in past and x.inputs and isinstance(x.inputs[0], Tensor):
        x = x.inputs[0]
    return "softmax" if _by_hand(x) else _op(x)


def _by_hand(x: Any) -> bool:
    """Whether x is exp(...) over its own sum."""
    if _op(x) != "divide":
        return False
    e, total = x.inputs
    while _op(total) in LAYOUT:
        total = total.inputs[0]
    return _op(e) == "exp" and _op(total) == "sum" and total.inputs[0] is e


def _op(x: Any) -> str:
    """The name of the op that computed x, "" if none was recorded."""
    return x.op.__name__ if isinstance(x, Tensor) and x.op is not None and x.inputs else ""


@check(Loss, expected="scores of any size, for cross_entropy takes their softmax itself",
       do="give it what the last layer says, without softmax, log_softmax or sigmoid")  # fmt: skip
def softmax_before_cross_entropy(loss: Loss) -> Words:
    op = made_by(loss.scores)
    if loss.name == "cross_entropy" and op in SQUASHED:
        return f"scores that went through {op} already: what is squashed twice learns slowly, or not at all"
    return None


@check(Loss, expected=f"scores of any size, for {LOGITS} takes their sigmoid itself",
       do="give it what the last layer says, or give probabilities to binary_cross_entropy (nn.BCELoss)")  # fmt: skip
def sigmoid_before_logits(loss: Loss) -> Words:
    op = made_by(loss.scores)
    if loss.name == LOGITS and op in SQUASHED:
        return f"scores that went through {op} already, so that no answer can be surer than sigmoid(1) = 0.73"
    return None


@check(Loss, expected="scores of any sign",
       do="leave out the ReLU behind the last layer, for what is unlikely needs scores below 0")  # fmt: skip
def scores_never_negative(loss: Loss) -> Words:
    squashed = loss.name in ("cross_entropy", LOGITS) and made_by(loss.scores, LAYOUT) == "relu"
    return "scores that went through relu: no answer can be less likely than by a score of 0" if squashed else None


@check(Loss, expected="probabilities of the classes of each example, which sum to 1",
       do="take log_softmax along the dimension of the classes, dim=1 for (N, C)")  # fmt: skip
def softmax_over_the_examples(loss: Loss) -> Words:
    scores = loss.scores
    if loss.name != "nll_loss" or _op(scores) != "log_softmax" or not scores.settings:
        return None
    axis, classes = scores.settings["axis"] % scores.ndim, min(1, scores.ndim - 1)
    return None if axis == classes else f"log_softmax over dimension {axis} of scores {scores.shape}"


@check(Loss, expected="log-probabilities, none above 0, for nll_loss takes no logarithm",
       do="end the network with log_softmax, or give its scores to cross_entropy")  # fmt: skip
def no_log_probabilities(loss: Loss) -> Words:
    if loss.name != "nll_loss" or not loss.scores.numel() or not (most := float(loss.scores.array.max())) > ROUNDING:
        return None
    return f"{'probabilities' if made_by(loss.scores) == 'softmax' else 'scores'} up to {number(most)}"


@check(Loss, expected="as target the number of a class, 0 to C - 1 for C scores; or, for yes and no, from 0 to 1",
       do="number the classes from 0, and give the last layer a score for each of them")  # fmt: skip
def labels_out_of_range(loss: Loss) -> Words:
    labels = loss.target.array
    if loss.of_labels:
        if labels.dtype.kind not in "iu" or labels.ndim >= loss.scores.ndim > 1:
            return None
        labels = labels[labels != loss.given["ignore_index"]]
    if not labels.size:
        return None
    low, high = labels.min().item(), labels.max().item()
    if low >= 0 and high <= loss.classes - 1:
        return None
    return f"{number(low)} to {number(high)} for {f'{loss.classes} scores' if loss.of_labels else 'yes and no'}"


@check(Loss, expected="as target the number of the right class, one for each example",
       do="give the labels themselves, or rows.argmax(1)")  # fmt: skip
def one_hot_labels(loss: Loss) -> Words:
    rows = loss.target.array
    if not loss.of_labels or rows.shape != loss.scores.shape or rows.ndim < 2 or loss.classes < 2:
        return None
    if not ((rows == 0) | (rows == 1)).all() or not (rows.sum(axis=1) == 1).all():
        return None
    return f"one-hot rows {loss.target.dtype} {rows.shape}, {loss.classes} numbers for one, none of which is a label"


class FirstLoss(NamedTuple):
    """The mean loss of the first batch, before the first step, when nothing was learned."""

    name: str
    value: float
    classes: int
    place: tuple[str, int]


@check(FirstLoss, expected="at first about ln C for C classes, the loss of one who knows nothing",
       do="scale the inputs to about 1, and keep the initial weights (above all the last layer's) small")  # fmt: skip
def first_loss_far_from_ln_c(loss: FirstLoss) -> Words:
    usual = math.log(max(2, loss.classes))
    if not loss.value > FIRST_LOSS * usual:
        return None
    return f"{number(loss.value)}, and ln {max(2, loss.classes)} is {number(usual)}: the network is sure, and wrong"


class Difference(NamedTuple):
    """One tensor minus another, recorded."""

    x: Tensor
    y: Tensor
    result: Tensor


@check(Difference, expected="one target for each prediction, in the same shape",
       do="bring them into one shape, as with prediction.squeeze(1) or target.unsqueeze(1)")  # fmt: skip
def unpaired_shapes(difference: Difference) -> Words:
    x, y, result = difference
    prediction, target = (x, y) if x.tracked else (y, x)
    paired = x.numel() != y.numel() or result.numel() == x.numel()
    if paired or target.tracked or prediction.op is None:  # such as the distances of all points from all centres
        return None
    return f"prediction {prediction.shape} and target {target.shape}: every one is compared with every other"
