"""What is measured is left as it was, to the last bit, whatever was done to it and however that ended."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim, study
from minidl.data import DataLoader, TensorDataset
from minidl.study.measuring import untouched

X, Y = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32), np.arange(24) % 3
BATCH = (minidl.tensor(X), minidl.tensor(Y))
CROSS_ENTROPY = nn.CrossEntropyLoss()


class Counting(nn.Module):
    """Replaces a buffer, counts, and changes its mode when it is called."""

    def __init__(self):
        self.register_buffer("last", minidl.zeros(1))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        self.last = x.detach().mean()
        self.eval()
        return x


def network():
    """A model with all that may change, in the middle of its training."""
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), Counting(), nn.Dropout(0.5), nn.Linear(8, 3))
    model[5].bias.requires_grad = False
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        CROSS_ENTROPY(model(BATCH[0]), BATCH[1]).backward()
        optimizer.step()
    model[0].eval()
    return model, optimizer


def snapshot(model, optimizer):
    """All of its state as bytes, and which objects hold it."""
    tensors = [*model.parameters(), *model.buffers()]
    grads = [x.grad for x in tensors]
    numbers = [x.array.tobytes() for x in [*tensors, *[g for g in grads if g is not None]]]
    memory = [x.array.tobytes() for state in optimizer.state.values() for x in state.values() if hasattr(x, "array")]
    objects = [id(x) for t in tensors for x in (t, t.array, t.grad)]
    modes = [dict(vars(module)) for module in model.modules()]
    rates = [group["lr"] for group in optimizer.param_groups]
    stream = str(minidl.backend.random_stream().bit_generator.state)
    return numbers, memory, objects, modes, rates, stream


def of_the_batch(model):
    return CROSS_ENTROPY(model(BATCH[0]), BATCH[1])


def failing(after):
    """A loss that raises at a later call."""
    calls = []

    def loss(model):
        calls.append(1)
        value = of_the_batch(model)
        if len(calls) > after:
            raise ArithmeticError("planted")
        return value

    return loss


def loader():
    return DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True)


MEASURES = {
    "landscape": lambda model, _, loss: study.landscape(model, loss, points=3),
    "eigenvalues": lambda model, _, loss: study.top_hessian_eigenvalues(model, loss, k=2),
    "sharpness": lambda model, optimizer, loss: study.Sharpness(model, optimizer, loss).look(),
    "range": lambda model, optimizer, loss: study.lr_range_test(model, optimizer, loss, steps=20),
}


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_leaves_all_as_it_was(name):
    model, optimizer = network()
    before = snapshot(model, optimizer)
    MEASURES[name](model, optimizer, of_the_batch)
    assert snapshot(model, optimizer) == before


@pytest.mark.parametrize(("name", "after"), [*[(name, 0) for name in MEASURES], ("landscape", 4), ("range", 4)])
def test_also_when_the_loss_raises(name, after):
    model, optimizer = network()
    before = snapshot(model, optimizer)
    with pytest.raises(ArithmeticError, match="planted"):
        MEASURES[name](model, optimizer, failing(after))
    assert snapshot(model, optimizer) == before


@pytest.mark.parametrize("name", MEASURES)
def test_a_graph_recorded_before_can_still_be_used(name):
    model, optimizer = network()
    loss = of_the_batch(model)
    MEASURES[name](model, optimizer, of_the_batch)
    before = model[0].weight.grad.array.copy()
    loss.backward()
    assert not np.array_equal(model[0].weight.grad.array, before)


def test_the_random_numbers_of_a_loader_go_on_as_if_nothing_had_been():
    model, optimizer = network()
    for shuffled in (
        DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True, seed=5),
        DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True),
    ):
        minidl.manual_seed(1)
        study.lr_range_test(model, optimizer, CROSS_ENTROPY, shuffled, steps=10)
        labels = [y.tolist() for _, y in shuffled]
        fresh = DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True, seed=5 if shuffled.generator else 1)
        assert labels == [y.tolist() for _, y in fresh]


def test_a_seed_that_is_set_inside_does_not_count_outside():
    minidl.manual_seed(3)
    with untouched(nn.Linear(1, 1)):
        minidl.manual_seed(4)
        minidl.randn(5)
    after = minidl.randn(2).tolist(), minidl.backend.default_generator().initial_seed()
    minidl.manual_seed(3)
    nn.Linear(1, 1)
    assert after == (minidl.randn(2).tolist(), 3)


def test_losses_and_batches_that_do_not_fit():
    model = nn.Linear(4, 3)
    with pytest.raises(ValueError, match=r"a batch is \(inputs, targets\).*got 3 parts"):
        study.landscape(model, CROSS_ENTROPY, (*BATCH, BATCH[1]))
    with pytest.raises(ValueError, match="got Tensor"):
        study.top_hessian_eigenvalues(model, CROSS_ENTROPY, BATCH[0])
    with pytest.raises(RuntimeError, match=r"one element, got shape \(24,\)"):
        study.landscape(model, nn.CrossEntropyLoss(reduction="none"), BATCH)
