"""Recurrent layers, which read a sequence step by step and remember what was: RNN, LSTM and GRU.

Their formulas are in nn/cells.py.  Letters: L length of the sequences, N their number, D directions, S states of a
cell (h, and in an LSTM also c), H hidden units.
"""

from __future__ import annotations

import warnings
from typing import Any

from minidl.autograd import Tensor, is_grad_enabled
from minidl.functional.creation import zeros
from minidl.functional.shapes import cat
from minidl.nn import cells
from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.recurrent import recurrence
from minidl.ops.shapes import stack, unsqueeze

MODES: dict[str, Any] = {
    "RNN_TANH": cells.Elman, "RNN_RELU": cells.ElmanReLU, "LSTM": cells.LSTM, "GRU": cells.GRU,
}  # fmt: skip


class RNNBase(Module):
    """What RNN, LSTM and GRU share: the weights of every layer and direction, and the way through them.

    Layer k has the parameters `weight_ih_l{k}` (gates · hidden, inputs), `weight_hh_l{k}` (gates · hidden, hidden) and,
    with `bias`, `bias_ih_l{k}` and `bias_hh_l{k}` (gates · hidden,); the same with `_reverse` if `bidirectional`.
    All start as numbers drawn evenly from ±1/√hidden_size.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"RNNBase: expected one of the modes {', '.join(MODES)}, got {mode!r}")
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._check_settings()
        self._cell = MODES[mode]
        self._names: list[list[str]] = []  # of the weights: one list for each direction of each layer
        rows = self._cell.gates * hidden_size
        for layer in range(num_layers):
            columns = self._directions * hidden_size if layer else input_size
            for suffix in (f"_l{layer}", f"_l{layer}_reverse")[: self._directions]:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, columns), "weight_hh": (rows, hidden_size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    self.register_parameter(name + suffix, Parameter(zeros(shape, device=device, dtype=dtype)))
                self._names.append([name + suffix for name in shapes])
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of each layer and direction: [weight_ih, weight_hh, bias_ih, bias_hh]."""
        return [[getattr(self, name) for name in names] for names in self._names]

    def flatten_parameters(self) -> None:
        """Nothing: the weights need no special place in memory here."""

    def reset_parameters(self) -> None:
        """Draw new initial weights."""
        cells.draw_(self)

    # -- the way through the layers

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        self._check_input(input)
        batched = input.ndim == 3
        x = unsqueeze(input, 1) if not batched else input.transpose(0, 1) if self.batch_first else input  # (L, N, ...)
        if not len(x):
            raise RuntimeError(f"{type(self).__name__}: expected a sequence of at least 1 step, got {input.shape}")
        start = self._start(x, hx, batched)
        final = []
        for layer in range(self.num_layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            runs = [self._run(x, start, layer, direction) for direction in range(self._directions)]
            x = cat([outputs for outputs, _ in runs], -1) if self.bidirectional else runs[0][0]  # (L, N, D · H)
            final += [last for _, last in runs]
        ends = stack(final, 1)  # (S, layers · D, N, H) of S states: h, and in an LSTM also c
        if not batched:
            x, ends = x.squeeze(1), ends.squeeze(2)
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, ends[0] if len(ends) == 1 else (ends[0], ends[1])

    def _run(self, x: Tensor, start: Tensor, layer: int, direction: int) -> tuple[Tensor, Tensor]:
        """One layer in one direction: (L, N, inputs), all starts -> h of each step (L, N, H), last states (S, N, H)."""
        place = layer * self._directions + direction
        w_ih, w_hh, b_ih, b_hh = (*(getattr(self, name) for name in self._names[place]), None, None)[:4]
        if self.bias and self._cell is not cells.GRU:  # the others add both biases at the same place
            b_ih, b_hh = b_ih + b_hh, None
        x = F.linear(x[::-1] if direction else x, w_ih, b_ih)  # (L, N, gates · H), in one product
        kept: list[Any] | None = [] if is_grad_enabled() else None
        states = recurrence(x, start[:, place], w_hh, b_hh, cell=self._cell, kept=kept)  # (L + 1, S, N, H)
        return states[:0:-1, 0] if direction else states[1:, 0], states[-1]

    def _start(self, x: Tensor, hx: Any, batched: bool) -> Tensor:
        """The states before the first step, zeros if none are given: (S, layers · D, N, H)."""
        shape = (self.num_layers * self._directions, x.shape[1], self.hidden_size)
        if hx is None:
            return zeros(self._cell.states, *shape, dtype=x.dtype, device=x.device)
        if self._cell.states == 2 and len(hx) < 2:
            raise IndexError(f"{type(self).__name__}: expected hx to be the pair (h_0, c_0), got {len(hx)} of them")
        given = [hx] if self._cell.states == 1 else [hx[0], hx[1]]
        expected = shape if batched else (shape[0], shape[2])
        for name, h in zip(("h_0", "c_0"), given, strict=False):
            if h.shape != expected or h.dtype != x.dtype:
                raise RuntimeError(
                    f"{type(self).__name__}: expected {name} {x.dtype} of shape {expected}, (layers · directions, "
                    f"{'batch, ' if batched else ''}hidden), got {h.dtype} {h.shape}"
                )
        return stack(given if batched else [unsqueeze(h, 1) for h in given])

    def _check_input(self, input: Any) -> None:
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}; packed sequences are left out, "
                            "pad to one length with nn.utils.rnn.pad_sequence")  # fmt: skip
        if input.ndim not in (2, 3):
            layout = "(batch, length, input_size)" if self.batch_first else "(length, batch, input_size)"
            raise ValueError(f"{name}: expected input {layout} or, for one sequence, (length, input_size), "
                             f"got shape {input.shape}")  # fmt: skip
        weight = getattr(self, self._names[0][0])
        if input.dtype != weight.dtype:
            raise ValueError(f"{name}: the input is {input.dtype} and the weights are {weight.dtype}: use input.to("
                             f"minidl.{weight.dtype}) or model.to(minidl.{input.dtype})")  # fmt: skip
        if input.shape[-1] != self.input_size:
            raise RuntimeError(f"{name}: expected input_size={self.input_size} in the last dimension, "
                               f"got shape {input.shape}")  # fmt: skip

    def _check_settings(self) -> None:
        for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first"):
            value, kind = getattr(self, name), bool if name.startswith("b") else int
            if not isinstance(value, kind):
                raise TypeError(f"{name} must be of type {kind.__name__}, got {value!r}")
            if kind is int and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout <= 1:
            raise ValueError(f"dropout must be a probability from 0 to 1, got {self.dropout!r}")
        self.dropout = float(self.dropout)
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                f"dropout={self.dropout} comes between the layers, and there is only one: give num_layers=2 or more, "
                "or put nn.Dropout behind",
                stacklevel=4,
            )
        if self.proj_size:
            raise ValueError(f"proj_size={self.proj_size}: projected states are not there; use nn.Linear on the output")

    def extra_repr(self) -> str:
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        changed = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])


class RNN(RNNBase):
    """Layers of Elman networks: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or max(·, 0) for "relu".

    (L, N, input_size), h_0 (layers · D, N, hidden) or None for zeros -> h_t of the last layer for all t
    (L, N, D · hidden), and the last h_t of every layer and direction (layers · D, N, hidden).  With `batch_first`
    N comes before L in input and output; for a single sequence N is left out.  If `bidirectional`, D = 2: a second
    network reads from the end.  `dropout` is that between the layers.  ValueError, TypeError or RuntimeError for
    settings and shapes that do not fit.  Source: Elman, "Finding structure in time", Cognitive Science 14 (1990).

    >>> import minidl
    >>> output, h_n = RNN(28, 128)(minidl.zeros(5, 64, 28))
    >>> output.shape, h_n.shape
    ((5, 64, 128), (1, 64, 128))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f'RNN: expected the nonlinearity "tanh" or "relu", got {nonlinearity!r}')
        self.nonlinearity = nonlinearity
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         device=device, dtype=dtype)  # fmt: skip


class LSTM(RNNBase):
    """Layers of long short-term memory: gates i, f, o and a proposal g decide what the memory c keeps and shows.

    c_t = f · c_{t-1} + i · g and h_t = o · tanh(c_t), where i, f, o = σ(·) and g = tanh(·) of
    W_ih x_t + b_ih + W_hh h_{t-1} + b_hh, whose rows are those of i, f, g, o.  As for `RNN`, but the states are the
    pair (h, c): LSTM(x, (h_0, c_0)) -> output, (h_n, c_n).
    Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997).

    >>> import minidl
    >>> output, (h_n, c_n) = LSTM(28, 128, num_layers=2, batch_first=True)(minidl.zeros(64, 5, 28))
    >>> output.shape, h_n.shape, c_n.shape
    ((64, 5, 128), (2, 64, 128), (2, 64, 128))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         proj_size, device, dtype)  # fmt: skip


class GRU(RNNBase):
    """Layers of gated recurrent units: h_t = (1 - z) · n + z · h_{t-1}.

    r, z = σ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) and n = tanh(W_in x_t + b_in + r · (W_hn h_{t-1} + b_hn)); the
    rows of the weights are those of r, z, n.  Shapes as for `RNN`.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.

    >>> import minidl
    >>> output, h_n = GRU(28, 128, bidirectional=True)(minidl.zeros(5, 28))
    >>> output.shape, h_n.shape
    ((5, 256), (2, 128))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         device=device, dtype=dtype)  # fmt: skip
