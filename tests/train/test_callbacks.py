"""Callbacks: they are called after each step and epoch, stop a run, save the best weights, advance schedules."""

from typing import Any

import pytest

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, synthetic
from minidl.train import Callback, Checkpoint, EarlyStopping, EveryStep, Trainer

loader = DataLoader(synthetic.moons(40, generator=minidl.Generator(0)), batch_size=10)


def fitted(*callbacks: Any, epochs: int = 3, validate: bool = True, lr: float = 0.1) -> Trainer:
    minidl.manual_seed(0)
    model = nn.Linear(2, 2)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr))
    trainer.fit(loader, epochs, loader if validate else None, progress=False, callbacks=callbacks)
    return trainer


class Log(Callback):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_step(self, trainer: Trainer, loss: minidl.Tensor) -> None:
        self.calls.append("step")

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        self.calls.append(row["epoch"])
        trainer.stop = row["epoch"] == 2

    def on_end(self, trainer: Trainer) -> None:
        self.calls.append("end")


def test_a_callback_sees_every_step_and_epoch_and_can_stop_the_run() -> None:
    log = Log()
    trainer = fitted(log, epochs=9)
    assert log.calls == [*["step"] * 4, 1, *["step"] * 4, 2, "end"]
    assert len(trainer.history) == 2


def test_the_best_weights_are_in_the_file(tmp_path) -> None:
    path = tmp_path / "best.npz"
    trainer = fitted(Checkpoint(path), epochs=6, lr=9.0)  # so large a rate that the loss goes up and down
    losses = trainer.history.column("val_loss")
    assert min(losses) < losses[-1]
    trainer.model.load_state_dict(minidl.load(path))
    assert trainer.evaluate(loader)["loss"] == min(losses)


def test_a_schedule_can_step_with_the_optimizer() -> None:
    class Counter:
        steps = 0

        def step(self) -> None:
            self.steps += 1

    fitted(EveryStep(counter := Counter()))
    assert counter.steps == 12


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="val_loss"):
        fitted(EarlyStopping(1), validate=False)
    with pytest.raises(ValueError, match="patience"):
        EarlyStopping(0)


def test_the_trainer_gives_a_plateau_schedule_the_validation_loss() -> None:
    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), lr=1e-6)  # so small that nothing becomes better
    schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
    Trainer(model, optimizer, schedule=schedule).fit(loader, 3, loader, progress=False)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-8)
