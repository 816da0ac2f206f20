"""What `lint` looks for in a training loop: a table of checks, each with what it expects and what is to be done.

A check is a function that is shown something that happened, and says in words what came instead, or None if all is
well.  The thresholds stand here, each with its reason.  Those that look at losses are in losses.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minidl.nn import Module
from minidl.study.text import number

WINDOW = 10  # batches or steps in a row: what a single one shows may be chance
TOO_LARGE = 1.0  # update over weight, in the median: such a step replaces the weights; healthy first steps reach 0.2
TOO_SMALL = 1e-5  # the same: 100,000 steps to change the weights by their own size; about 0.001 is usual
TIMID = 1e-3  # of the recommended learning rate: above it, small updates come from small gradients, as near a minimum
DEAD = 0.9  # of the ReLUs behind a layer: in networks that learn well it may be more than half
EXPLODED = 100.0  # times the largest of the first losses: hard batches and the noise of single examples stay below

# What other checks find is only what follows from these, which say what to do.
CAUSES = {
    "first_loss_far_from_ln_c": ("softmax_over_the_examples", "nan_in_inputs", "labels_out_of_range"),
    "dead_units": ("nan_in_inputs", "loss_exploded", "zero_weights"),
    "loss_exploded": ("nan_in_inputs",),
    "no_gradient": ("backward_elsewhere",),
    "not_in_optimizer": ("backward_elsewhere", "new_optimizer_every_round"),
}
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


# -- the loop -------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A step of an optimizer, just taken."""

    added: Sequence[str]  # parameters with gradients that hold those of an earlier step, too
    gradients: int  # how many parameters have one
    fresh: bool  # whether any of these is new
    evaluating: Sequence[str]  # models that learned from it in evaluation mode
    elsewhere: bool  # whether a backward pass ran, and reached nothing that the optimizer has


@check(Step, expected="gradients since the last step only",
       do="call optimizer.zero_grad() before loss.backward() in every round")  # fmt: skip
def no_zero_grad(step: Step) -> Words:
    if not step.added:
        return None
    return f"sums of these and those of steps before, in {listed(step.added)}: backward() adds to what is there"


@check(Step, expected="new gradients in every step",
       do="call loss.backward() in every round, after zero_grad() and before step()")  # fmt: skip
def no_backward(step: Step) -> Words:
    if step.fresh or step.elsewhere:
        return None
    return "those of the step before, once more" if step.gradients else "none: no parameter has a gradient"


@check(Step, expected="gradients at what the optimizer has",
       do="give it the parameters of the model that is trained, and call that outside of no_grad()")  # fmt: skip
def backward_elsewhere(step: Step) -> Words:
    if step.fresh or not step.elsewhere:
        return None
    return "none: backward() ran, but reached no parameter of this optimizer"


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


class Renewed(NamedTuple):
    """An optimizer that takes its first step, on parameters that others took over from others after a single one."""

    kind: str


@check(Renewed, expected="one optimizer, which remembers what it has seen",
       do="make it once, before the loop: its averages, and its count of steps, begin anew with each")  # fmt: skip
def new_optimizer_every_round(renewed: Renewed) -> Words:
    return f"the third {renewed.kind} for the same parameters, each of which took a single step"


class Inputs(NamedTuple):
    """What a model was given, when NaN came out of it."""

    nans: int
    entries: int


@check(Inputs, expected="numbers as inputs",
       do="look where they come from: a division by 0 when data were scaled, or gaps in a table")  # fmt: skip
def nan_in_inputs(inputs: Inputs) -> Words:
    return f"nan in {inputs.nans:,} of {inputs.entries:,} entries, which makes all that is computed nan"


class Parameters(NamedTuple):
    """Parameters that require a gradient, after some steps, by what is wrong with them."""

    unreached: Sequence[str]  # in an optimizer, but had no gradient
    forgotten: Sequence[str]  # in a model, but in no optimizer
    hidden: Sequence[str] = ()  # layers that got a gradient, but are in no optimizer, nor in the model that calls them


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


@check(Parameters, expected="every layer that a model calls among its modules",
       do="keep layers in nn.ModuleList or nn.ModuleDict: in a plain list parameters() does not find them")  # fmt: skip
def layers_in_a_list(parameters: Parameters) -> Words:
    names = listed(parameters.hidden)
    return f"{names}, which got a gradient, but are in no optimizer" if names else None


class Units(NamedTuple):
    """The ReLUs behind a layer over some batches, and the share of those that were 0 for every example."""

    layer: str
    dead: float
    zero: bool  # whether all weights of the layer are


@check(Units, expected="weights that differ from each other",
       do="draw them at random (nn.init.kaiming_uniform_): units that begin alike stay alike")  # fmt: skip
def zero_weights(units: Units) -> Words:
    return f"{units.layer} with 0 in all entries" if units.zero and units.dead > DEAD else None


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
    grown = len(descent.latest) == 3 and min(descent.latest) > EXPLODED * first > 0
    return f"{number(last)}, while the first were at most {number(first)}" if grown else None
