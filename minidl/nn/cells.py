"""One time step of a recurrent network: the formulas of Elman's cell, the LSTM and the GRU, and modules of them.

`step` is a formula, `back` under it the chain rule through it.  The layers that read whole sequences with them are
in nn/rnn.py, the loop over time is in ops/recurrent.py.

Letters: x the input of a step after its weights, u the hidden state h after its own, c the memory of an LSTM;
dh the gradient of the loss at h, and so on.  Gates lie side by side: x and u are (..., gates · H), h and c (..., H).

- `step(x, u, *states)`: the new states, and what `back` needs to know of the step.
- `back(needed, before, after, *gradients)`: given the gradients at the states after the step, those at x, at u and
  at each state before; without what went from h by way of u, for which the loop over time has the weights.
"""

from __future__ import annotations

from typing import Any

from minidl.autograd import Tensor
from minidl.functional.creation import zeros
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.elementwise import relu, tanh
from minidl.ops.shapes import concatenate

Step = tuple[tuple[Any, ...], tuple[Any, ...]]


class Elman:
    """h' = tanh(x + u).  Source: Elman, "Finding structure in time", Cognitive Science 14 (1990)."""

    gates, states = 1, 1

    @staticmethod
    def step(x: Any, u: Any, h: Any) -> Step:
        return (tanh(x + u),), ()

    @staticmethod
    def back(needed: Any, before: Any, after: Any, dh: Any) -> tuple[Any, ...]:
        da = dh * (1 - after[0] * after[0])
        return da, da, 0


class ElmanReLU:
    """h' = max(x + u, 0)."""

    gates, states = 1, 1

    @staticmethod
    def step(x: Any, u: Any, h: Any) -> Step:
        return (relu(x + u),), ()

    @staticmethod
    def back(needed: Any, before: Any, after: Any, dh: Any) -> tuple[Any, ...]:
        da = dh * (after[0] > 0)
        return da, da, 0


class LSTM:
    """c' = f · c + i · g, h' = o · tanh(c'): the memory forgets and takes in, the hidden state shows a part of it.

    i, f, o = σ(x + u) and g = tanh(x + u), each with weights of its own.
    Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), with the forget gate f
    of Gers, Schmidhuber and Cummins, "Learning to forget", Neural Computation 12 (2000).
    """

    gates, states = 4, 2

    @staticmethod
    def step(x: Any, u: Any, h: Any, c: Any) -> Step:
        i, f, g, o = _parts(x + u, 4)
        i, f, g, o = _sigmoid(i), _sigmoid(f), tanh(g), _sigmoid(o)
        c = f * c + i * g
        shown = tanh(c)
        return (o * shown, c), (i, f, g, o, shown)

    @staticmethod
    def back(needed: Any, before: Any, after: Any, dh: Any, dc: Any) -> tuple[Any, ...]:
        i, f, g, o, shown = needed
        dc = dc + dh * o * (1 - shown * shown)
        di, df, dg, do = dc * g, dc * before[1], dc * i, dh * shown
        da = concatenate(di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o), axis=-1)
        return da, da, 0, dc * f


class GRU:
    """h' = (1 - z) · n + z · h with n = tanh(x + r · u): z is how much stays, r how much the news hears of the past.

    r, z = σ(x + u), each with weights of its own.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", EMNLP 2014; as in PyTorch, r comes after the weights of h, not before them.
    """

    gates, states = 3, 1

    @staticmethod
    def step(x: Any, u: Any, h: Any) -> Step:
        (xr, xz, xn), (ur, uz, un) = _parts(x, 3), _parts(u, 3)
        r, z = _sigmoid(xr + ur), _sigmoid(xz + uz)
        n = tanh(xn + r * un)
        return ((1 - z) * n + z * h,), (r, z, n, un)

    @staticmethod
    def back(needed: Any, before: Any, after: Any, dh: Any) -> tuple[Any, ...]:
        r, z, n, un = needed
        dn, dz = dh * (1 - z) * (1 - n * n), dh * (before[0] - n) * z * (1 - z)
        dr = dn * un * r * (1 - r)
        return concatenate(dr, dz, dn, axis=-1), concatenate(dr, dz, dn * r, axis=-1), dh * z


def _parts(x: Any, count: int) -> list[Any]:
    """The gates one by one: (..., count · H) -> count times (..., H)."""
    length = x.shape[-1] // count
    return [x[..., k * length : (k + 1) * length] for k in range(count)]


def _sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) by way of tanh: fewer passes over the numbers, and no overflow."""
    return 0.5 * tanh(0.5 * x) + 0.5


# -- modules -------------------------------------------------------------------------------------------------------


class RNNCellBase(Module):
    """What the cells share: `weight_ih` (gates · hidden, inputs), `weight_hh` (gates · hidden, hidden), two biases."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias

        def parameter(*shape: int) -> Parameter:
            return Parameter(zeros(num_chunks * hidden_size, *shape, device=device, dtype=dtype))

        self.weight_ih, self.weight_hh = parameter(input_size), parameter(hidden_size)
        self.bias_ih = parameter() if bias else None
        self.bias_hh = parameter() if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial weights."""
        draw_(self)

    def _step(self, cell: Any, input: Tensor, states: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        """The states after one step from `states`, or from zeros: (N, inputs), (N, H) ... -> (N, H) ...; N may lack."""
        if input.ndim not in (1, 2):
            raise ValueError(f"{type(self).__name__}: expected input (batch, {self.input_size}) or "
                             f"({self.input_size},), got shape {input.shape}")  # fmt: skip
        shape = (*input.shape[:-1], self.hidden_size)
        states = states or (zeros(shape, dtype=input.dtype, device=input.device),) * cell.states
        for h in states:
            if h.shape != shape:
                raise (RuntimeError if h.ndim in (1, 2) else ValueError)(
                    f"{type(self).__name__}: expected a hidden state of shape {shape} for input of shape "
                    f"{input.shape}, got {h.shape}"
                )
        x = F.linear(input, self.weight_ih, self.bias_ih)
        u = F.linear(states[0], self.weight_hh, self.bias_hh)
        return cell.step(x, u, *states)[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias is True else f", bias={self.bias}")


class RNNCell(RNNCellBase):
    """One step of an Elman network, see `RNN`: (N, input_size), h (N, hidden) or None for zeros -> h' (N, hidden).

    N may be left out of both.  RuntimeError or ValueError for other shapes.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        cell = {"tanh": Elman, "relu": ElmanReLU}.get(self.nonlinearity)
        if cell is None:
            raise RuntimeError(f'RNNCell: expected the nonlinearity "tanh" or "relu", got {self.nonlinearity!r}')
        return self._step(cell, input, None if hx is None else (hx,))[0]

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an LSTM, see `LSTM`: (N, input_size), the pair (h, c) or None for zeros -> the pair (h', c').

    >>> import minidl
    >>> h, c = LSTMCell(3, 5)(minidl.ones(2, 3))
    >>> h, c = LSTMCell(3, 5)(minidl.ones(2, 3), (h, c))
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, ...]:
        if isinstance(hx, Tensor):
            raise TypeError(f"LSTMCell: expected hx to be the pair (h, c), got a Tensor of shape {hx.shape}")
        return self._step(LSTM, input, None if hx is None else (hx[0], hx[1]))


class GRUCell(RNNCellBase):
    """One step of a GRU, see `GRU`: (N, input_size), h (N, hidden) or None for zeros -> h' (N, hidden)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(GRU, input, None if hx is None else (hx,))[0]


def draw_(module: Any) -> None:
    """PyTorch's initial weights of everything recurrent: drawn evenly from ±1/√hidden_size."""
    bound = 1 / module.hidden_size**0.5
    for weight in module.parameters():
        init.uniform_(weight, -bound, bound)
