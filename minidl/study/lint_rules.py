"""What `lint` looks for in a training loop: a table of checks, each with what it expects and what is to be done.

A check is a function that is shown something that happened, and says in words what came instead, or None if all is
well.  The thresholds stand here, each with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from minidl.autograd import Tensor
from minidl.nn import Module
from minidl.nn import functional as F
from minidl.study.text import number

FIRST_LOSS = 2.0  # times ln C: usual initial weights and small batches stay below 1.5, inputs of 0 to 255 go far above
WINDOW = 10  # batches or steps in a row: what a single one shows may be chance
TOO_LARGE = 1.0  # update over weight, in the median: such a step replaces the weights; healthy first steps reach 0.2
TOO_SMALL = 1e-5  # the same: 100,000 steps to change the weights by their own size; about 0.001 is usual
TIMID = 1e-3  # of the recommended learning rate: above it, small updates come from small gradients, as near a minimum
DEAD = 0.9  # of the ReLUs behind a layer: in networks that learn well it may be more than half
EXPLODED = 100.0  # times the largest of the first losses: hard batches and the noise of single examples stay below
ROUNDING = 1e-4  # so far above 0 may rounding lift a log-probability

Words = str | None


class Check(NamedTuple):
    """What is expected, the function that finds that something else came, and what is to be done then."""

    name: str
    expected: str
    find: Callable[[Any], Words]
    do: str


CHECKS: dict[type, list[Check]] = {}  # by what they look at


def check(event: type, *, expected: str, do: str) -> Callable[[Callable[[Any], Words]], Callable[[Any], Words]]:
    """Enter a function into the table: it is asked about every `event`, and the finding has its name."""

    def enter(find: Callable[[Any], Words]) -> Callable[[Any], Words]:
        CHECKS.setdefault(event, []).append(Check(find.__name__, expected, find, do))
        return find

    return enter


def listed(names: Sequence[str], most: int = 4) -> str:
    """Some of the names, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


# -- the loss -------------------------------------------------------------------------------------------------------

LOGITS = "binary_cross_entropy_with_logits"
OF_LABELS = ("cross_entropy", "nll_loss")
LOSSES = {getattr(F, name).__code__: name for name in (*OF_LABELS, LOGITS, "binary_cross_entropy")}
ARGUMENTS = ("input", "target", "weight", "pos_weight", "ignore_index", "reduction")
SQUASHED = ("softmax", "log_softmax", "sigmoid")
HARMLESS = ("reshape", "transpose", "take", "astype", "copied", "log", "clip")  # may stand between those and the loss


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


def made_by(x: Tensor) -> str:
    """The op that x comes from, past the harmless ones; "" if that was not recorded.

    >>> import minidl
    >>> made_by(minidl.ones(2, 3, requires_grad=True).softmax(1).flatten())
    'softmax'
    """
    while x.op is not None and x.op.__name__ in HARMLESS and x.inputs and isinstance(x.inputs[0], Tensor):
        x = x.inputs[0]
    return x.op.__name__ if x.op is not None else ""


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


# -- the loop -------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A step of an optimizer, just taken."""

    added: Sequence[str]  # parameters with gradients that hold those of an earlier step, too
    gradients: int  # how many parameters have one
    fresh: bool  # whether any of these is new
    evaluating: Sequence[str]  # models that learned from it in evaluation mode


@check(Step, expected="gradients since the last step only",
       do="call optimizer.zero_grad() before loss.backward() in every round")  # fmt: skip
def no_zero_grad(step: Step) -> Words:
    if not step.added:
        return None
    return f"sums of these and those of steps before, in {listed(step.added)}: backward() adds to what is there"


@check(Step, expected="new gradients in every step",
       do="call loss.backward() in every round, after zero_grad() and before step()")  # fmt: skip
def no_backward(step: Step) -> Words:
    if step.fresh:
        return None
    return "those of the step before, once more" if step.gradients else "none: no parameter has a gradient"


@check(Step, expected="training mode while weights are learned",
       do="call model.train() at the start of every epoch, for model.eval() lasts until then")  # fmt: skip
def training_in_eval_mode(step: Step) -> Words:
    if not step.evaluating:
        return None
    return f"{listed(step.evaluating)} in evaluation mode, in which dropout is off and batch norm learns no statistics"


class Evaluation(NamedTuple):
    """What a model said under no_grad() was looked at, and nothing was learned from it."""

    layer: Module  # in training mode, and different in evaluation mode


@check(Evaluation, expected="evaluation mode where a model is tested",
       do="call model.eval() before, and model.train() before the next epoch")  # fmt: skip
def evaluating_in_train_mode(evaluation: Evaluation) -> Words:
    layer = type(evaluation.layer).__name__
    return f"{layer} in training mode under no_grad(): noise, or numbers that depend on the other examples of the batch"


class Parameters(NamedTuple):
    """Parameters that require a gradient, after some steps, by what is wrong with them."""

    unreached: Sequence[str]  # in an optimizer, but had no gradient
    forgotten: Sequence[str]  # in a model, but in no optimizer


@check(Parameters, expected="a gradient for every parameter that the optimizer was given",
       do="use the layer in forward(), without detach(), .data or numpy() behind it, or leave it out")  # fmt: skip
def no_gradient(parameters: Parameters) -> Words:
    names = listed(parameters.unreached)
    return f"none at {names} in any backward pass: the loss was not computed with it" if names else None


@check(Parameters, expected="every parameter that requires a gradient in an optimizer",
       do="make the optimizer after the model is complete, or freeze it with requires_grad_(False)")  # fmt: skip
def not_in_optimizer(parameters: Parameters) -> Words:
    names = listed(parameters.forgotten)
    return f"{names} in none that took a step: it keeps its initial values" if names else None


class Units(NamedTuple):
    """The ReLUs behind a layer over some batches, and the share of those that were 0 for every example."""

    layer: str
    dead: float


@check(Units, expected="ReLUs that are above 0 for some of the examples",
       do="lower the learning rate, look at the initial weights and biases, or use LeakyReLU")  # fmt: skip
def dead_units(units: Units) -> Words:
    if units.dead <= DEAD:
        return None
    return f"{units.dead:.0%} of those behind {units.layer} at 0 for {WINDOW} whole batches: no gradient passes them"


class Rate(NamedTuple):
    """The first steps of an optimizer: how large they were beside the weights, with which learning rate."""

    ratio: float
    lr: float
    recommended: float  # for this kind of optimizer


@check(Rate, expected="steps of about 0.001 of the weights",
       do="lower the learning rate, ten times at first")  # fmt: skip
def learning_rate_too_large(rate: Rate) -> Words:
    return f"{number(rate.ratio)} times the weights, with lr {rate.lr:g}" if rate.ratio > TOO_LARGE else None


@check(Rate, expected="steps of about 0.001 of the weights",
       do="raise the learning rate, ten times at first")  # fmt: skip
def learning_rate_too_small(rate: Rate) -> Words:
    if rate.ratio >= TOO_SMALL or rate.lr > TIMID * rate.recommended:
        return None
    return f"{number(rate.ratio)} times the weights, with lr {rate.lr:g}: they hardly move"


class Descent(NamedTuple):
    """The losses of one loop: the first ones, and the latest."""

    first: Sequence[float]
    latest: Sequence[float]


@check(Descent, expected="a finite loss that does not grow",
       do="look at the inputs, lower the learning rate, or clip gradients (nn.utils.clip_grad_norm_)")  # fmt: skip
def loss_exploded(descent: Descent) -> Words:
    first, last = max(map(abs, descent.first), default=math.inf), descent.latest[-1]
    if not math.isfinite(last):
        return str(last)
    grown = len(descent.latest) == 3 and min(descent.latest) > EXPLODED * first
    return f"{number(last)}, while the first were at most {number(first)}" if grown else None
