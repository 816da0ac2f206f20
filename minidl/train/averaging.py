"""Averages of a network's weights along its training, which often generalise better than the last weights.

PyTorch calls this file `optim.swa_utils`, and so can you.  Two averages: of all weights alike (SWA), and one that
forgets old weights (EMA).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from minidl import nn
from minidl.autograd import Tensor, no_grad, tensor
from minidl.optim import Optimizer
from minidl.optim.cycles import between
from minidl.optim.schedule import LRScheduler, for_groups

Average = Callable[[Tensor, Tensor, Tensor], Tensor]  # (average so far, weights now, how many were averaged) -> average
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], None]  # the same for many, in place


def get_swa_avg_fn() -> Average:
    """For `AveragedModel`: the average of all weights alike, a + (w - a) / (n + 1)."""
    return lambda average, now, n: average + (now - average) / (n + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """For `AveragedModel`: decay · a + (1 - decay) · w.  ValueError for a decay that is not from 0 to 1."""
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must be from 0 to 1, got {decay}")
    return lambda average, now, n: decay * average + (1 - decay) * now


def get_swa_multi_avg_fn() -> Averages:
    """`get_swa_avg_fn` for lists of tensors, in place."""
    return _in_place(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """`get_ema_avg_fn` for lists of tensors, in place."""
    return _in_place(get_ema_avg_fn(decay))


def _in_place(function: Average) -> Averages:
    def update(averages: Sequence[Tensor], now: Sequence[Tensor], n: Tensor) -> None:
        with no_grad():
            for average, w in zip(averages, now, strict=True):
                average.copy_(function(average, w, n))

    return update


class AveragedModel(nn.Module):
    """A copy of `model` whose weights are an average (Izmailov et al. 2018: stochastic weight averaging).

    `update_parameters(model)` adds the weights of the moment.  The average is that of all so far, or what `avg_fn` or
    `multi_avg_fn` (AssertionError for both) makes of it: see `get_ema_avg_fn`.  `use_buffers` averages the buffers,
    too; otherwise they are copied, and `update_bn` finds the statistics of batch normalisation that fit.

    >>> import minidl
    >>> from minidl import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> averaged = AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged(minidl.ones(1, 1)).item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self, model: nn.Module, device: Any = None, avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None, use_buffers: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("give either avg_fn or multi_avg_fn, got both")
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)

    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights that `model` has now into the average; the first are the average."""
        mine, theirs = list(self._averaged(self.module)), list(self._averaged(model))
        now = [w.detach().to(average.device) for average, w in zip(mine, theirs, strict=True)]
        with no_grad():
            if self.n_averaged.item() == 0:
                for average, w in zip(mine, now, strict=True):
                    average.copy_(w)
            else:
                update = self.multi_avg_fn or _in_place(self.avg_fn or get_swa_avg_fn())
                update([average.detach() for average in mine], now, self.n_averaged)
            if not self.use_buffers:
                for copied, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
                    copied.copy_(buffer.to(copied.device))
            self.n_averaged.add_(1)

    def _averaged(self, model: nn.Module) -> Iterator[Tensor]:
        return itertools.chain(model.parameters(), model.buffers() if self.use_buffers else ())


def update_bn(loader: Iterable[Any], model: nn.Module, device: Any = None) -> None:
    """Find the running statistics of all batch normalisation in `model` anew, in one pass over `loader`.

    To be called after averaging, which knows nothing of them.  A batch is a tensor, or a tuple that begins with one.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], model.training
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain average of all batches
    with no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """From the rate that it finds to `swa_lr` in `anneal_epochs` epochs, and then constant: the rate for averaging.

    `anneal_strategy` is "cos" or "linear".  ValueError for others, and for fewer than 0 epochs.

    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    >>> schedule = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for epoch in range(3):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(optimizer.param_groups[0]["lr"])
    0.75
    0.5
    0.5
    """

    def __init__(
        self, optimizer: Optimizer, swa_lr: float | list[float], anneal_epochs: int = 10,
        anneal_strategy: str = "cos", last_epoch: int = -1,
    ) -> None:  # fmt: skip
        for rate, group in zip(for_groups(optimizer, "swa_lr", swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f'anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}')
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be a whole number from 0, got {anneal_epochs}")
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        left, before = self._left(self._step_count - 1), self._left(self._step_count - 2)
        change = left / before if before else 0.0  # multiplies what is still to go
        return [group["swa_lr"] + (group["lr"] - group["swa_lr"]) * change for group in self.optimizer.param_groups]

    def _left(self, step: int) -> float:
        """Which share of the way is still to go after so many steps."""
        if self.anneal_epochs == 0:
            return 0.0
        return between(1.0, 0.0, max(0, min(1, step / self.anneal_epochs)), self._anneal_strategy)
