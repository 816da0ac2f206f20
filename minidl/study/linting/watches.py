"""What `lint` remembers of a training loop, from one op, backward pass and step to the next.

Each class here follows one thing, and hands what happened to `look`, which shows it to the checks in rules.py.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import FrameType, TracebackType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from minidl import nn
from minidl.autograd import Tensor, is_grad_enabled
from minidl.backend import Array, array_module
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.study.gradients.flow import FEW, dead
from minidl.study.linting import losses, rules

SETTLED = 20  # steps of an optimizer, after which all that it was given should have had a gradient
DEEP = 6  # calls: a loss function calls another, that an operator, and that an op
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NOT_THE_USERS = (f"{Path(__file__).parents[2]}{os.sep}", contextlib.__file__)  # files

Look = Callable[[Any], None]


def user_line(frame: FrameType | None) -> tuple[str, int]:
    """The file and the number of the line that runs now outside of this package."""
    while frame is not None and frame.f_back is not None and frame.f_code.co_filename.startswith(NOT_THE_USERS):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("?", 0)


class Losses:
    """The calls of loss functions.

    A program may import these functions from anywhere, so they are recognised while they run, by their code.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._call: losses.Loss | None = None  # the latest, which may not be over
        self._lines = set[tuple[str, int]]()  # on which there was one
        self._first: list[losses.FirstLoss] = []  # since the last step, of a line that had none before

    def op(self, result: Tensor) -> None:
        """If a loss function runs, note what it was given, and that it computed `result`."""
        frame: FrameType | None = sys._getframe(2)
        for _ in range(DEEP):
            if frame is None:
                return
            if name := losses.LOSSES.get(frame.f_code):
                break
            frame = frame.f_back
        else:
            return
        if self._call is None or self._call.scores is not frame.f_locals["input"] or self._call.name != name:
            self.over()
            self._call = _call(name, frame)
        self._call.result = result

    def over(self) -> None:
        """The latest call is over, and its last result was the loss."""
        call, self._call = self._call, None
        if call is None or call.result is None:
            return
        self._look(call)
        if call.place not in self._lines and call.result.tracked and not call.weighted:
            self._lines.add(call.place)
            count = max(1, call.target.numel()) if call.given["reduction"] == "sum" else 1
            value = float(call.result.array.mean()) / count
            self._first.append(losses.FirstLoss(call.name, value, call.classes, call.place))

    def step(self, first: bool) -> None:
        """An optimizer took a step, its first perhaps."""
        self.over()
        for loss in self._first if first else ():
            self._look(loss)
        self._first.clear()

    def failed(self, traceback: TracebackType | None) -> None:
        """An error came from where `traceback` says: what was given to a loss function may be the reason."""
        while traceback is not None:
            frame, traceback = traceback.tb_frame, traceback.tb_next
            if name := losses.LOSSES.get(frame.f_code):
                call = _call(name, frame)
                if isinstance(call.scores, Tensor) and isinstance(call.target, Tensor) and call.scores.ndim:
                    self._look(call)


def _call(name: str, frame: FrameType) -> losses.Loss:
    given = {argument: frame.f_locals.get(argument) for argument in losses.ARGUMENTS}
    return losses.Loss(name, given, user_line(frame))


class Activity:
    """Which ReLUs were above 0 for some example of the last batches, for each layer."""

    def __init__(self, look: Look, name: Callable[[Tensor], str]) -> None:
        self._look, self._name = look, name
        self._seen: dict[Tensor, list[Array]] = {}  # by the weight of the layer, a row for each batch

    def op(self, name: str, result: Tensor) -> None:
        if name != "relu" or result.ndim < 2 or len(result) < FEW or (weight := _weight_behind(result)) is None:
            return
        units = ~dead(result.array, weight.array)
        seen = self._seen.setdefault(weight, [])
        if seen and seen[0].shape != units.shape:
            seen.clear()
        seen.append(units)
        if len(seen) == rules.WINDOW:
            alive = float(array_module(units).stack(seen).any(axis=0).mean())
            self._look(rules.Units(self._name(weight), 1 - alive, not weight.array.any()))
            seen.clear()


def _weight_behind(x: Tensor) -> Tensor | None:
    """The weight of the layer that x was computed with last."""
    while x.inputs:
        tensors = [y for y in x.inputs if isinstance(y, Tensor) and y.tracked]
        if not tensors:
            return None
        if leaves := [y for y in tensors if y.op is None]:
            return leaves[0]
        x = tensors[0]
    return None


class Numbers:
    """Whether what models are given are numbers; it is looked at where what they answer is none."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def seen(self, inputs: Iterable[Any], output: Any) -> None:
        """A model was called, and has answered."""
        if _nans(output):
            counts = [(_nans(x), x.numel()) for x in inputs if isinstance(x, Tensor)]
            nans, entries = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
            if nans:
                self._look(rules.Inputs(nans, entries))


def _nans(x: Any) -> int:
    return int((x.array != x.array).sum()) if isinstance(x, Tensor) and x.array.dtype.kind == "f" else 0


class Evaluations:
    """What models say under no_grad() while they are in training mode, and what becomes of it.

    It is no mistake if something is learned from it: it may be the target of a loss, or an image for a GAN's judge.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._running: Module | None = None  # a layer, in a call that is not over, that would differ when evaluated
        self._last: Module | None = None  # the same, of the last call in which there was one
        self._from = WeakValueDictionary[int, Tensor]()  # all that was computed from what that call returned, by id
        self._looked_at = False

    def begin(self) -> None:
        """A model is called."""
        self._running = None

    def layer(self, module: Module) -> None:
        """A model, or a layer in it, is called."""
        if not is_grad_enabled() and module.training and _differs_in_evaluation(module):
            self._running = module

    def returned(self, output: Any) -> None:
        """The model has answered."""
        if self._running is not None:
            self._last = self._running
            outputs = output if isinstance(output, (tuple, list)) else (output,)
            self._from.update({id(x): x for x in outputs if isinstance(x, Tensor)})

    def op(self, result: Tensor, inputs: Iterable[Any]) -> None:
        if not self._from or not any(id(x) in self._from for x in inputs):
            return
        self._looked_at = not result.tracked
        if result.tracked:  # a gradient will know of it
            self._from.clear()
        else:
            self._from[id(result)] = result

    def over(self) -> None:
        """A step was taken, or the program is over: nothing will be learned from it any more."""
        looked_at, self._looked_at = self._looked_at, False
        self._from.clear()
        if looked_at and self._last is not None:
            self._look(rules.Evaluation(self._last))


def _differs_in_evaluation(module: Module) -> bool:
    if isinstance(module, NORMS):
        return module.running_mean is not None
    share = module.p if isinstance(module, DROPOUTS) else getattr(module, "dropout", 0)
    return isinstance(share, (int, float)) and share > 0


@dataclass
class Progress:
    """What is known of an optimizer: how many steps it took, and how large the first ones were."""

    steps: int = 0
    lr: float = 0.0
    sizes: dict[Tensor, float] = field(default_factory=dict)  # of the weights before the first
    ratios: list[float] = field(default_factory=list)  # of each step to these
    passes: int = 0  # backward passes before the last


class Loop:
    """Models, optimizers, and the way of gradients: from a backward pass to a step, and no further."""

    def __init__(self, look: Look, models: Sequence[Module], optimizers: Sequence[Optimizer]) -> None:
        self._look, self._given = look, models
        self.models = dict.fromkeys(models)
        self.layers: dict[Module | None, dict[Module, None]] = {}  # what runs in each model
        self.stepping = False
        self._passes = 0  # backward passes so far
        self._arrived: dict[int, int] = {}  # by the id of a leaf, the latest of them that reached it
        self._optimizers = {optimizer: Progress() for optimizer in optimizers}
        self._before: dict[Tensor, Tensor | None] = {}  # the backward pass that runs: gradients of leaves it reaches
        self._reached: dict[Tensor, None] = {}  # parameters that had a gradient
        self._used: dict[Tensor, tuple[Tensor, Any]] = {}  # the gradient that the last step used, and its version
        self._added: dict[Tensor, Tensor] = {}  # the sum of that one and later ones
        self._descents: dict[Any, tuple[list[float], deque[float]]] = {}

    def name(self, p: Tensor) -> str:
        """How messages call a parameter: its path, with the class of the model where there are several."""
        owners = [model for model in self.models if next(model.parameters(), None) is not None]
        for model in owners:
            for path, parameter in model.named_parameters():
                if parameter is p:
                    return f"{path} of {type(model).__name__}" if len(owners) > 1 else path
        return p.name or f"a parameter of shape {p.shape}"

    # -- backward passes

    @contextmanager
    def backward(self, roots: Sequence[Tensor]) -> Iterator[None]:
        """A backward pass, around it."""
        self._passes += 1
        around, self._before = self._before, {}
        try:
            yield
        finally:
            before, self._before = self._before, around
        reached = [p for p, grad in before.items() if p.grad is not grad and p.grad is not None]
        self._reached.update(dict.fromkeys(reached))
        for p in reached:
            grad, total = before[p], p.grad
            if grad is not None and total is not None and self._is_old(p, grad) and grad.array.any():
                self._added[p] = total
        layers = [p for p in reached if isinstance(p, nn.Parameter)]
        if len(roots) == 1 and roots[0].numel() == 1 and layers and not self.stepping:  # in a step, lines are searched
            self._descend((user_line(sys._getframe()), id(layers[-1])), roots[0].item())

    def arrives(self, leaf: Tensor) -> None:
        """A gradient is on its way to a leaf, and was not added to its `.grad` yet."""
        self._arrived[id(leaf)] = self._passes
        if isinstance(leaf, nn.Parameter) or leaf in self._used:
            self._before.setdefault(leaf, leaf.grad)

    def _is_old(self, p: Tensor, grad: Tensor) -> bool:
        """Whether a step has used this gradient, or a part of it."""
        return self._was_used(p, grad) or self._added.get(p) is grad

    def _was_used(self, p: Tensor, grad: Tensor) -> bool:
        """Whether the last step used this gradient, and nobody has written to it since, as `grad.zero_()` does."""
        used, version = self._used.get(p, (None, None))
        return used is grad and version == _version(grad)

    def _descend(self, place: Any, value: float) -> None:
        first, latest = self._descents.setdefault(place, ([], deque(maxlen=3)))
        latest.append(value)
        self._look(rules.Descent(first, latest))
        if len(first) < rules.WINDOW:
            first.append(latest.pop())

    # -- steps

    @contextmanager
    def step(self, optimizer: Optimizer) -> Iterator[None]:
        """A step of an optimizer, around it."""
        if optimizer not in self._optimizers:
            self._judge_newcomer(optimizer)
        progress = self._optimizers.setdefault(optimizer, Progress())
        weights = _matrices(optimizer) if len(progress.ratios) < rules.WINDOW else {}
        self.stepping = True
        try:
            yield
        finally:
            self.stepping = False
        progress.steps += 1
        self._judge_gradients(learned(optimizer), progress)
        if weights:
            self._judge_rate(optimizer, progress, weights)
        if progress.steps == SETTLED:
            self.judge_parameters(SETTLED)

    def _judge_newcomer(self, optimizer: Optimizer) -> None:
        """Whether it takes the place of others that were as it is, and were left after a single step."""
        alike = [
            other for other, progress in self._optimizers.items()
            if progress.steps == 1 and type(other) is type(optimizer) and _settings(other) == _settings(optimizer)
        ]  # fmt: skip
        if len(alike) > 1:
            self._look(rules.Renewed(type(optimizer).__name__))

    def _judge_gradients(self, params: Sequence[Tensor], progress: Progress) -> None:
        arrived = any(self._arrived.get(id(p), 0) > progress.passes for p in params)
        elsewhere = self._passes > progress.passes and not arrived
        progress.passes = self._passes
        grads = {p: p.grad for p in params if p.grad is not None}
        self._reached.update(dict.fromkeys(grads))
        added = [self.name(p) for p, grad in grads.items() if self._added.pop(p, None) is grad]
        fresh = not params or any(not self._was_used(p, grad) for p, grad in grads.items())
        self._used.update({p: (grad, _version(grad)) for p, grad in grads.items()})
        asleep = [model for model in self.models if not model.training]
        evaluating = [type(model).__name__ for model in asleep if any(p in grads for p in model.parameters())]
        self._look(rules.Step(added, len(grads), fresh, evaluating, elsewhere))

    def _judge_rate(self, optimizer: Optimizer, progress: Progress, before: dict[Tensor, Array]) -> None:
        lr = float(optimizer.param_groups[0].get("lr", 0))
        if lr > progress.lr:  # it is still being warmed up: what was measured does not count
            progress.ratios.clear()
        progress.lr = lr
        for p, w in before.items():
            progress.sizes.setdefault(p, _norm(w))
        ratios = [_norm(p.array - w) / size for p, w in before.items() if (size := progress.sizes[p])]
        if ratios:
            progress.ratios.append(median(ratios))
        if len(progress.ratios) == rules.WINDOW:
            self._look(rules.Rate(median(progress.ratios), lr, getattr(optimizer, "recommended_lr", np.inf)))

    def judge_parameters(self, least: int) -> None:
        """Which parameters get no gradient, or are in no optimizer, where one has taken `least` steps?"""
        ripe = [optimizer for optimizer, progress in self._optimizers.items() if progress.steps >= least]
        mine = dict.fromkeys(p for optimizer in ripe for p in learned(optimizer))
        anyones = {p for optimizer in self._optimizers for p in learned(optimizer)}
        learning = [x for x in self.models if x in self._given or any(p in mine for p in x.parameters())]
        theirs = dict.fromkeys(p for model in learning for p in model.parameters() if p.requires_grad)
        unreached = [p for p in mine if p not in self._reached]
        if len(unreached) == len(mine):  # no backward pass at all is another mistake
            unreached = []
        forgotten = [p for p in theirs if p not in anyones] if ripe else []
        hidden = self._hidden(learning, anyones)
        self._look(rules.Parameters([*map(self.name, unreached)], [*map(self.name, forgotten)], hidden))

    def _hidden(self, models: Sequence[Module], known: Collection[Tensor]) -> list[str]:
        """The layers that got gradients while one of the models ran, but are neither in it nor in an optimizer."""
        strays = dict.fromkeys(layer for model in models for layer in self.layers.get(model, ())
                               if layer not in dict.fromkeys(model.modules()))  # fmt: skip
        own = [(layer, list(layer.parameters(recurse=False))) for layer in strays]
        return [
            f"{type(layer).__name__} with {' and '.join(str(p.shape) for p in params)}"
            for layer, params in own if any(p in self._reached and p not in known for p in params)
        ]  # fmt: skip


def learned(optimizer: Optimizer) -> list[Tensor]:
    """What an optimizer changes, without what is frozen."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.tracked]


def _matrices(optimizer: Optimizer) -> dict[Tensor, Array]:
    """Copies of the weights of layers, if they are learned by a rule with a learning rate."""
    if not hasattr(optimizer, "rule"):
        return {}
    return {p: p.array.copy() for p in learned(optimizer) if isinstance(p, nn.Parameter) and p.ndim > 1}


def _settings(optimizer: Optimizer) -> list[tuple[Any, ...]]:
    """What tells optimizers of one class apart."""
    return [(group.get("lr"), *map(id, group["params"])) for group in optimizer.param_groups]


def _version(grad: Tensor) -> Any:
    """When it was last written to."""
    return None if grad.version is None else grad.version[0]


def _norm(array: Array) -> float:
    with np.errstate(all="ignore"):  # weights that are not finite are found by their loss
        return float(array_module(array).linalg.norm(array))
