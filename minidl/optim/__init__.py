"""Optimizers: how the gradient changes the weights.

`descent` holds gradient descent and momentum, `adaptive` the methods with a rate for each weight; `optimizer`
is what they share, `flat` and `runner` make their steps fast.
"""

from __future__ import annotations

import re

from minidl.optim.adaptive import Adadelta, Adagrad, Adam, AdamW, RMSprop
from minidl.optim.descent import SGD, Momentum, Nesterov
from minidl.optim.optimizer import Optimizer

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Momentum", "Nesterov", "Optimizer", "RMSprop", "by_name",
    "describe",
]  # fmt: skip

# The classical line, in the order in which each fixes a fault of an earlier one.
by_name: dict[str, type[Optimizer]] = {
    kind.__name__.lower(): kind for kind in (SGD, Momentum, Nesterov, Adagrad, RMSprop, Adadelta, Adam, AdamW)
}


def describe() -> list[dict[str, str]]:
    """One row for each optimizer, read from the docstring of its class.

    The columns: "name", "source", "fixes", "strengths", "weaknesses", "use when", "recommended lr".

    >>> [row["name"] for row in describe()]
    ['sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adadelta', 'adam', 'adamw']
    >>> describe()[6]["use when"]
    'you do not know better: the safe default.'
    """
    rows = []
    for name, kind in by_name.items():
        doc = kind.__doc__ or ""
        labelled = re.findall(r"^ *(Fixes|Strengths|Weaknesses|Use when): (.*)$", doc, re.MULTILINE)
        source = re.findall(r"\((.*?)\)", doc)[0]
        row = {"name": name, "source": source, **{label.lower(): text for label, text in labelled}}
        rows.append(row | {"recommended lr": f"{kind.recommended_lr:g}"})
    return rows
