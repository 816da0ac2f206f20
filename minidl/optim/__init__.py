"""Optimizers: how the gradient changes the weights.

`descent` holds gradient descent, momentum and averaging, `adaptive` the methods with a rate for each weight from
AdaGrad to AdamW, `adam_family` variants of Adam, `signs` what looks only at signs, `lbfgs` what looks at curvature.
`optimizer` is what they share, `flat` and `runner` make their steps fast; `lr_scheduler` and `swa_utils` are used
beside an optimizer.  PyTorch's options `foreach`, `fused` and `capturable` are
accepted and change nothing: every step is fused.
"""

from __future__ import annotations

import re

from minidl.optim import lr_scheduler
from minidl.optim.adam_family import Adamax, NAdam, RAdam
from minidl.optim.adaptive import Adadelta, Adagrad, Adam, AdamW, RMSprop
from minidl.optim.descent import ASGD, SGD, Momentum, Nesterov
from minidl.optim.lbfgs import LBFGS
from minidl.optim.optimizer import Optimizer
from minidl.optim.signs import Lion, Muon, Rprop

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Momentum", "Muon", "NAdam",
    "Nesterov", "Optimizer", "RAdam", "RMSprop", "Rprop", "by_name", "describe", "lr_scheduler",
]  # fmt: skip

# The classical line, in the order in which each fixes a fault of an earlier one; then its branches.
by_name: dict[str, type[Optimizer]] = {kind.__name__.lower(): kind for kind in (
    SGD, Momentum, Nesterov, Adagrad, RMSprop, Adadelta, Adam, AdamW,
    ASGD, Rprop, Adamax, NAdam, RAdam, Lion, Muon, LBFGS,
)}  # fmt: skip


def describe() -> list[dict[str, str]]:
    """One row for each optimizer, read from the docstring of its class.

    The columns: "name", "source", "fixes", "strengths", "weaknesses", "use when", "recommended lr".

    >>> [row["name"] for row in describe()][:8]
    ['sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adadelta', 'adam', 'adamw']
    >>> describe()[6]["use when"]
    'you do not know better: the safe default.'
    """
    rows = []
    for name, kind in by_name.items():
        doc = kind.__doc__ or ""
        labelled = re.findall(r"^ *(Fixes|Strengths|Weaknesses|Use when): (.*)$", doc, re.MULTILINE)
        source = re.findall(r"\((.*?)\)", doc)[0]
        said = {label.lower(): text for label, text in labelled}
        rows.append({"name": name, "source": source, **said, "recommended lr": f"{kind.recommended_lr:g}"})
    return rows
