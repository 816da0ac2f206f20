"""Rows of the op that runs a recurrent cell over all time steps."""

from collections.abc import Callable
from typing import Any

import torch
from op_rows.row import Row, normal

from minidl.nn import cells
from minidl.ops.recurrent import recurrence


def by_steps(step: Callable[..., Any]) -> Callable[..., torch.Tensor]:
    """All states by PyTorch's function for one step, whose input weights are the identity here."""

    def function(x: torch.Tensor, s: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        states = [s]
        for x_t in x:
            before = tuple(states[-1]) if len(s) > 1 else states[-1][0]
            biases = () if b is None else (torch.zeros_like(b), b)
            after = step(x_t, before, torch.eye(len(w), dtype=w.dtype), w, *biases)
            states.append(torch.stack(after if len(s) > 1 else [after]))
        return torch.stack(states)

    return function


def row(cell: Any, step: Callable[..., Any], steps: int = 3, bias: bool = True) -> Row:
    count, hidden, rows = 2, 2, 2 * cell.gates
    inputs = (normal(steps, count, rows), normal(cell.states, count, hidden), normal(rows, hidden), normal(rows))
    return Row(recurrence, inputs if bias else inputs[:3], {"cell": cell}, by_steps(step), f"{cell.__name__}-{steps}")


DIFFERENTIABLE = [
    row(cells.Elman, torch.rnn_tanh_cell),
    row(cells.ElmanReLU, torch.rnn_relu_cell),
    row(cells.LSTM, torch.lstm_cell),
    row(cells.GRU, torch.gru_cell),
    row(cells.LSTM, torch.lstm_cell, steps=1, bias=False),
    row(cells.GRU, torch.gru_cell, steps=2, bias=False),
]
