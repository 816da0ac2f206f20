"""Recurrent layers and cells."""

from typing import Any

from parity.drawing import Call, Draw, call, layer


def settings(draw: Draw) -> dict[str, Any]:
    return {
        "num_layers": draw.integer(1, 3), "bias": draw.flag(), "batch_first": draw.flag(),
        "bidirectional": draw.flag(),
    }  # fmt: skip


def sequence(draw: Draw, options: dict[str, Any], inputs: int, hidden: int, states: int) -> Call:
    """A batch or one sequence, with or without first states; now and then something does not fit."""
    length, batch, count = draw.size(1, 6), draw.size(1, 4), options["num_layers"] * (1 + options["bidirectional"])
    wrong = draw.integer(0, 11)
    inputs += wrong == 11
    count += wrong == 10
    batched = draw.flag()
    shape = (batch, length) if options["batch_first"] else (length, batch)
    x = draw.floats((*shape, inputs) if batched else (length, inputs))
    if draw.flag():
        return call(x)
    given = tuple(draw.floats((count, batch, hidden) if batched != (wrong == 9) else (count, hidden))
                  for _ in range(states))  # fmt: skip
    return call(x, given if states > 1 else given[0])


@layer("nn.RNN")
def rnn(draw: Draw) -> tuple[Call, Call]:
    inputs, hidden, options = draw.size(), draw.size(), settings(draw)
    nonlinearity = draw.one_of("tanh", "relu")
    return call(inputs, hidden, nonlinearity=nonlinearity, **options), sequence(draw, options, inputs, hidden, 1)


@layer("nn.LSTM")
def lstm(draw: Draw) -> tuple[Call, Call]:
    inputs, hidden, options = draw.size(), draw.size(), settings(draw)
    return call(inputs, hidden, **options), sequence(draw, options, inputs, hidden, 2)


@layer("nn.GRU")
def gru(draw: Draw) -> tuple[Call, Call]:
    inputs, hidden, options = draw.size(), draw.size(), settings(draw)
    return call(inputs, hidden, **options), sequence(draw, options, inputs, hidden, 1)


def cell_inputs(draw: Draw, inputs: int, hidden: int, states: int) -> Call:
    batch = (draw.size(),) if draw.flag() else ()
    wrong = draw.integer(0, 11)
    x = draw.floats((*batch, inputs + (wrong == 11)))
    if draw.flag():
        return call(x)
    given = tuple(draw.floats((*batch, hidden + (wrong == 10))) for _ in range(states))
    return call(x, given if states > 1 else given[0])


@layer("nn.RNNCell")
def rnn_cell(draw: Draw) -> tuple[Call, Call]:
    inputs, hidden = draw.size(), draw.size()
    nonlinearity = draw.one_of("tanh", "relu")
    return call(inputs, hidden, bias=draw.flag(), nonlinearity=nonlinearity), cell_inputs(draw, inputs, hidden, 1)


@layer("nn.LSTMCell")
def lstm_cell(draw: Draw) -> tuple[Call, Call]:
    inputs, hidden = draw.size(), draw.size()
    return call(inputs, hidden, bias=draw.flag()), cell_inputs(draw, inputs, hidden, 2)


@layer("nn.GRUCell")
def gru_cell(draw: Draw) -> tuple[Call, Call]:
    inputs, hidden = draw.size(), draw.size()
    return call(inputs, hidden, bias=draw.flag()), cell_inputs(draw, inputs, hidden, 1)
