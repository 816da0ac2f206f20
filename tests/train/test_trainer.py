"""The Trainer: it does what the loop by hand does, and stops when and how it should."""

import math
import os
import signal

import numpy as np
import pytest
import torch

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.train import Trainer


def clusters(size=60, seed=0):
    """Points around three centres, with the number of the centre as label."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, size)
    centres = np.array([[0.0, 2.0], [-2.0, -1.0], [2.0, -1.0]])
    return TensorDataset((centres[labels] + random.normal(size=(size, 2))).astype(np.float32), labels)


def network(seed=0, dropout=0.0):
    """A small network with its weights drawn from `seed`."""
    minidl.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))


def trainer(model=None, lr=0.1, **settings):
    model = model or network()
    return Trainer(model, optim.SGD(model.parameters(), lr=lr), **settings)


def weights(model):
    """Copies of all weights."""
    return [parameter.array.copy() for parameter in model.parameters()]


def equal(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_fit_is_the_loop_written_by_hand():
    by_hand, fitted = network(), network()
    optimizer = optim.Adam(by_hand.parameters(), lr=0.01)
    for _ in range(2):
        for x, y in DataLoader(clusters(), 16):
            loss = nn.functional.cross_entropy(by_hand(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    Trainer(fitted, optim.Adam(fitted.parameters(), lr=0.01)).fit(
        DataLoader(clusters(), 16), 2, progress=False
    )
    assert equal(weights(by_hand), weights(fitted))


def test_the_losses_are_pytorchs():
    model, data = network(), clusters()
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    with torch.no_grad():
        for ours, parameter in zip(model.parameters(), theirs.parameters(), strict=True):
            parameter.copy_(torch.tensor(ours.array))
    history = trainer(model).fit(DataLoader(data, 16), 3, DataLoader(data, 7), progress=False)

    x, y = (torch.tensor(tensor.array) for tensor in data.tensors)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for row in history:
        losses = []
        for start in range(0, len(x), 16):
            outputs = theirs(x[start : start + 16])
            loss = torch.nn.functional.cross_entropy(outputs, y[start : start + 16])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += [loss.item()] * len(outputs)
        assert row["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
        outputs = theirs(x)
        assert row["val_loss"] == pytest.approx(
            torch.nn.functional.cross_entropy(outputs, y).item(), rel=1e-5
        )
        assert row["val_accuracy"] == pytest.approx((outputs.argmax(1) == y).float().mean().item())


def test_the_history_has_a_row_for_each_epoch_and_goes_on():
    loader, subject = DataLoader(clusters(), 16), trainer()
    assert subject.fit(loader, 2, progress=False) is subject.history
    subject.fit(loader, 1, validation=loader, progress=False)
    assert subject.history.column("epoch") == [1, 2, 3]
    assert subject.history.columns == [
        "epoch", "lr", "loss", "accuracy", "seconds", "examples_per_second", "val_loss", "val_accuracy",
    ]  # fmt: skip
    assert subject.history[2]["loss"] < subject.history[0]["loss"]


def test_targets_that_are_not_labels_have_no_accuracy():
    model = nn.Linear(2, 1)
    data = TensorDataset(minidl.rand(10, 2), minidl.rand(10, 1))
    row = trainer(model, criterion=nn.MSELoss()).fit(DataLoader(data, 5), 1, progress=False)[0]
    assert "loss" in row and "accuracy" not in row


def test_the_same_seed_gives_the_same_weights_bit_for_bit():
    def run(seed):
        model = network(dropout=0.5)
        trainer(model).fit(DataLoader(clusters(), 16, shuffle=True), 2, seed=seed, progress=False)
        return weights(model)

    assert equal(run(3), run(3))
    assert not equal(run(3), run(4))


def test_evaluating_changes_nothing_and_leaves_out_dropout():
    model = network(dropout=0.5)
    subject, loader = trainer(model), DataLoader(clusters(), 16)
    before = weights(model)
    assert subject.evaluate(loader) == subject.evaluate(loader)
    assert model.training and equal(before, weights(model))
    model.eval()
    outputs = subject.predict(clusters().tensors[0])
    assert not model.training and not outputs.requires_grad and outputs.shape == (60, 3)


def test_training_goes_on_in_training_mode_after_each_validation():
    modes = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 3)

        def forward(self, x):
            modes.append(self.training)
            return self.layer(x)

    loader = DataLoader(clusters(), 60)
    trainer(Watched()).fit(loader, 2, validation=loader, progress=False)
    assert modes == [True, False, True, False]


def test_patience_ends_the_run_and_puts_the_best_weights_back():
    loader = DataLoader(clusters(), 60)
    seen = []
    model = network()
    subject = trainer(
        model, lr=0.5, schedule=lambda epoch: 1 if epoch < 3 else -1
    )  # uphill from the fourth epoch on
    subject.fit(loader, 20, validation=loader, patience=2, on_epoch=lambda row: seen.append(weights(model)))
    losses = subject.history.column("val_loss")
    assert len(losses) == 5 and np.argmin(losses) == 2
    assert equal(weights(model), seen[2])


def test_patience_that_never_runs_out_still_puts_the_best_weights_back():
    loader = DataLoader(clusters(), 60)
    subject = trainer(lr=0.5, schedule=lambda epoch: 1 if epoch < 3 else -1)
    subject.fit(loader, 4, validation=loader, patience=9, progress=False)
    assert subject.evaluate(loader)["loss"] == min(subject.history.column("val_loss"))


def test_patience_needs_a_validation():
    with pytest.raises(ValueError, match="patience needs validation"):
        trainer().fit(DataLoader(clusters(), 60), 1, patience=2)


def test_clipping_limits_the_norm_of_the_gradients():
    model = network()
    before = weights(model)
    trainer(model, lr=1.0, clip_grad_norm=1e-3).fit(DataLoader(clusters(), 60), 1, progress=False)
    moved = math.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(before, weights(model), strict=True)))
    assert moved == pytest.approx(1e-3, rel=1e-3)


def test_a_function_of_the_epoch_scales_the_first_learning_rate():
    subject = trainer(lr=0.2, schedule=lambda epoch: 0.5**epoch)
    subject.fit(DataLoader(clusters(), 60), 3, progress=False)
    assert subject.history.column("lr") == [0.2, 0.1, 0.05]


def test_a_schedule_object_makes_a_step_after_each_epoch():
    class Halving:
        def __init__(self, optimizer):
            self.optimizer = optimizer

        def step(self):
            self.optimizer.param_groups[0]["lr"] /= 2

    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.4)
    subject = Trainer(model, optimizer, schedule=Halving(optimizer))
    subject.fit(DataLoader(clusters(), 60), 2, progress=False)
    assert subject.history.column("lr") == [0.4, 0.2]


def test_a_loss_that_is_no_number_names_its_step_and_what_to_do():
    x = np.zeros((50, 2), np.float32)
    x[25] = np.nan
    loader = DataLoader(TensorDataset(x, np.zeros(50, np.int64)), 10)
    with pytest.raises(FloatingPointError, match=r"step 3 of epoch 1/1.*learning rate.*clip_grad_norm"):
        trainer().fit(loader, 1, progress=False)


def test_an_empty_loader_is_named():
    with pytest.raises(ValueError, match=r"no batches.*drop_last"):
        trainer().fit(DataLoader(clusters(5), 10, drop_last=True), 1)


@pytest.mark.parametrize("epochs", [0, -1])
def test_no_epochs_are_refused(epochs):
    with pytest.raises(ValueError, match=f"epochs must be a whole number from 1, got {epochs}"):
        trainer().fit(DataLoader(clusters(), 60), epochs)


def test_ctrl_c_waits_for_the_end_of_the_step():
    def interrupted(outputs, targets):
        losses.append(1)
        if len(losses) == 6:  # the second step of the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        return nn.functional.cross_entropy(outputs, targets)

    loader, model, reference, losses = DataLoader(clusters(), 15), network(), network(), []
    subject = trainer(model, criterion=interrupted)
    with pytest.raises(KeyboardInterrupt):
        subject.fit(loader, 3, progress=False)
    assert len(losses) == 6 and len(subject.history) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    steps = trainer(reference)
    steps.fit(loader, 1, progress=False)
    steps.fit(list(loader)[:2], 1, progress=False)
    assert equal(weights(model), weights(reference))


def test_each_epoch_prints_a_line_or_calls_a_function(capsys):
    loader, rows = DataLoader(clusters(), 60), []
    subject = trainer()
    subject.fit(loader, 1, validation=loader)
    line = capsys.readouterr().out
    assert line.startswith("epoch 1/1  train loss ") and "validation loss" in line and line.count("\n") == 1
    subject.fit(loader, 1, on_epoch=rows.append)
    subject.fit(loader, 1, progress=False)
    assert capsys.readouterr().out == "" and rows == [subject.history[1]]


def test_the_bar_shows_loss_accuracy_and_speed_on_a_terminal_only(capsys, monkeypatch):
    loader = DataLoader(clusters(), 10)
    trainer().fit(loader, 1, unit="images")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    trainer().fit(loader, 1, unit="images")
    drawn = capsys.readouterr().err
    assert "epoch 1/1" in drawn and "60.0/60.0" in drawn
    assert "loss=" in drawn and "accuracy=" in drawn and "images/s" in drawn


def test_frozen_layers_stay_in_evaluation_mode():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    model[1].eval()
    Trainer(model, optim.SGD(model.parameters())).predict(minidl.zeros(1, 2))
    assert model.training and model[0].training and not model[1].training


@pytest.mark.parametrize(
    ("options", "error"),
    [({"clip_grad_norm": -1}, "clip_grad_norm must be larger than 0"), ({}, "expected an optimizer")],
)
def test_arguments_of_the_trainer_are_checked(options, error):
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters()) if options else "adam"
    with pytest.raises((TypeError, ValueError), match=error):
        Trainer(model, optimizer, **options)


def test_a_dataset_in_place_of_a_loader_is_refused_with_the_loader_to_make():
    for call in (lambda: trainer().fit(clusters(), 1), lambda: trainer().evaluate(clusters())):
        with pytest.raises(TypeError, match=r"got a TensorDataset.*use DataLoader\(tensordataset, batch_size=64"):
            call()
