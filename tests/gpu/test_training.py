"""Whole training steps on a GPU, the stand-in or a device: the CPU's numbers, and no moment at which the host waits.

Layers, losses, optimizers, gradient clipping, the Trainer, checkpoints, and what happens when something goes wrong.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stand_in
from gpu_cases import DEVICES, LOSSES, NETWORKS, begin, of_the_stand_in, on_host, same, trained
from stand_in import StandInArray

import minidl
from minidl import Tensor, nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.nn import functional as F
from minidl.train import Trainer, progress


@pytest.fixture(autouse=True, params=DEVICES)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[StandInArray]:
    return begin(request.param, monkeypatch)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_what_it_does_on_the_cpu_without_waiting(name: str, gpu: type[StandInArray]) -> None:
    minidl.manual_seed(0)
    make, draw = NETWORKS[name]
    model, x = make(), draw()
    on_gpu = copy.deepcopy(model).to("cuda")
    assert {p.device for p in on_gpu.parameters()} == {"cuda:0"}
    x_on_gpu = x.to("cuda")
    gpu.synchronisations = 0
    trained(on_gpu, x_on_gpu)
    assert gpu.synchronisations == 0
    same(on_host(on_gpu), on_host(trained(model, x)))


def test_dropout_is_drawn_on_the_gpu_from_the_seed(gpu: type[StandInArray]) -> None:
    x = minidl.ones(100, 100, device="cuda", requires_grad=True)

    def dropped() -> tuple[Any, Any]:
        minidl.manual_seed(3)
        x.grad = None
        y = F.dropout(x, 0.25)
        y.sum().backward()
        assert gpu.synchronisations == 0
        result = y.detach().cpu().numpy(), x.grad.cpu().numpy()
        gpu.synchronisations = 0
        return result

    (y, g), (again, _) = dropped(), dropped()
    np.testing.assert_array_equal(y, again)
    np.testing.assert_array_equal(y, g)
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.02) and set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert not np.array_equal(F.dropout(x, 0.25).detach().cpu().numpy(), y)  # the stream went on


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labels", [[0, 2, 1, 1], [0, -100, 1, -100]])
def test_losses_are_those_of_the_cpu_without_waiting(name: str, labels: list[int], gpu: type[StandInArray]) -> None:
    minidl.manual_seed(0)
    x, y = minidl.randn(4, 3, requires_grad=True), minidl.tensor(labels)
    if name == "another label ignored":
        y = y.clamp(min=0)
    ours, target = x.detach().to("cuda").requires_grad_(), y.to("cuda")
    expected = LOSSES[name](x, y)
    expected.backward()
    gpu.synchronisations = 0
    loss = LOSSES[name](ours, target)
    loss.backward()
    assert gpu.synchronisations == 0
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(ours.grad.cpu().numpy(), x.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", [
    F.cross_entropy, lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), lambda x, y: F.nll_loss(x, y),
])  # fmt: skip
@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_not_overlooked(loss: Any, label: int, gpu: type[StandInArray]) -> None:
    x, y = minidl.zeros(2, 3), minidl.tensor([0, label])
    with pytest.raises(IndexError, match=f"from 0 to 2.*{label}"):
        loss(x, y)
    assert np.isnan(loss(x.cuda(), y.cuda()).item())


def test_a_token_that_is_not_in_the_table_is_not_overlooked() -> None:
    table, numbers = minidl.ones(3, 2), minidl.tensor([0, 3, -1])
    with pytest.raises(IndexError, match="from 0 to 2"):
        F.embedding(numbers, table)
    rows = F.embedding(numbers.cuda(), table.cuda()).cpu().numpy()
    np.testing.assert_array_equal(np.isnan(rows).all(axis=1), [False, True, True])


# -- optimizers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in optim.by_name if name != "lbfgs"])
def test_an_optimizer_goes_the_cpus_way_without_waiting(name: str, gpu: type[StandInArray]) -> None:
    minidl.manual_seed(0)
    model, x, y = nn.Linear(6, 3, bias=name != "muon"), minidl.randn(8, 6), minidl.randint(0, 3, (8,))
    on_gpu = copy.deepcopy(model).to("cuda")
    for network, device in ((model, "cpu"), (on_gpu, "cuda")):
        optimizer = optim.by_name[name](network.parameters(), lr=0.01)  # type: ignore[arg-type]
        inputs, labels = x.to(device), y.to(device)
        gpu.synchronisations = 0
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(network(inputs), labels).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.1)
            optimizer.step()
        assert gpu.synchronisations == 0
    same(on_host(on_gpu), on_host(model), rtol=1e-3)


@pytest.mark.parametrize("name", [name for name in optim.by_name if name not in ("lbfgs", "muon")])
def test_the_step_is_what_the_preview_says_to_the_bit(name: str, gpu: type[StandInArray]) -> None:
    minidl.manual_seed(0)
    w = minidl.randn(1000).to("cuda").requires_grad_()
    optimizer = optim.by_name[name]([w], lr=0.01)  # type: ignore[arg-type]
    for _ in range(3):
        w.grad = minidl.randn(1000).to("cuda")
        said = Tensor(optimizer.preview(w)["w"]).cpu().numpy()
        optimizer.step()
        np.testing.assert_array_equal(w.detach().cpu().numpy(), said)


def test_lbfgs_goes_the_cpus_way() -> None:
    minidl.manual_seed(0)
    model, x = nn.Linear(6, 1), minidl.randn(8, 6)
    on_gpu = copy.deepcopy(model).to("cuda")
    for network, inputs in ((model, x), (on_gpu, x.to("cuda"))):
        optimizer = optim.LBFGS(network.parameters(), line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()  # noqa: B023
            loss = (network(inputs) - inputs[:, :1]).square().mean()  # noqa: B023
            loss.backward()
            return loss

        optimizer.step(closure)
    same(on_host(on_gpu), on_host(model), rtol=1e-3)


@pytest.mark.parametrize(("norm_type", "max_norm"), [(2.0, 0.5), (2.0, 50.0), (1.0, 0.5), (float("inf"), 0.5)])
def test_clipping_does_not_wait(norm_type: float, max_norm: float, gpu: type[StandInArray]) -> None:
    ours, theirs = (minidl.tensor([3.0, -4.0], device=device, requires_grad=True) for device in ("cuda", "cpu"))
    for x in (ours, theirs):
        x.square().sum().backward()
    norm = nn.utils.clip_grad_norm_([ours], max_norm, norm_type)
    assert gpu.synchronisations == 0 and norm.device == "cuda:0"
    assert norm.item() == pytest.approx(nn.utils.clip_grad_norm_([theirs], max_norm, norm_type).item())
    np.testing.assert_allclose(ours.grad.cpu().numpy(), theirs.grad.numpy(), rtol=1e-5)


# -- the Trainer, checkpoints ------------------------------------------------------------------------------------------


def test_the_trainer_waits_no_more_often_for_more_steps(
    gpu: type[StandInArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_DRAWINGS", 1000)
    x, y = minidl.randn(512, 6), minidl.randint(0, 3, (512,))
    losses, waits = [], []
    for device, batch_size in (("cpu", 8), ("cuda", 8), ("cuda", 128)):
        minidl.manual_seed(0)
        model = NETWORKS["MLP"][0]().to(device)
        loader = DataLoader(TensorDataset(x.to(device), y.to(device)), batch_size, shuffle=True, seed=0)
        gpu.synchronisations = 0
        trainer = Trainer(model, optim.Adam(model.parameters()), clip_grad_norm=1.0)
        history = trainer.fit(loader, 2, validation=loader, progress=False)
        losses.append((history[-1]["loss"], history[-1]["val_accuracy"]))
        waits.append(gpu.synchronisations)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert waits[0] == 0 and waits[1] == waits[2] <= 20  # the means of an epoch are read, not the loss of a step


def test_a_checkpoint_moves_between_devices(tmp_path: Path) -> None:
    minidl.manual_seed(0)
    x = minidl.randn(4, 6)
    model = NETWORKS["MLP"][0]().to("cuda")
    optimizer = optim.Adam(model.parameters())

    def step(model: nn.Module, optimizer: optim.Optimizer, x: Tensor) -> dict[str, np.ndarray]:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        return on_host(model)

    step(model, optimizer, x.cuda())
    minidl.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "all.npz")
    state = minidl.load(tmp_path / "all.npz")
    expected = step(model, optimizer, x.cuda())
    for device in ("cpu", "cuda"):
        other = NETWORKS["MLP"][0]().to(device)
        its = optim.Adam(other.parameters())
        other.load_state_dict(state["model"])
        its.load_state_dict(state["optimizer"])
        assert {p.device.type for p in other.parameters()} == {device}
        same(step(other, its, x.to(device)), expected)


# -- minidl.cuda, the command, and what goes wrong ---------------------------------------------------------------------


@of_the_stand_in
def test_what_is_asked_about_the_gpu() -> None:
    cuda = minidl.cuda
    assert cuda.is_available() and cuda.device_count() == 1 and cuda.current_device() == 0
    assert (cuda.get_device_name(), cuda.memory_allocated(), cuda.memory_reserved()) == ("a stand-in", 512, 1024)
    cuda.synchronize(), cuda.empty_cache(), cuda.set_device(0)  # type: ignore[func-returns-value]


def full(*given: Any, **words: Any) -> Any:
    raise stand_in.OutOfMemoryError("Out of memory allocating 4,194,304 bytes (allocated so far: 512 bytes).")


def fill(patch: pytest.MonkeyPatch) -> None:
    """Leave no memory for the result of a product, whoever multiplies."""
    patch.setattr(stand_in.cupy, "empty", full)
    patch.setattr(StandInArray, "__matmul__", full)


@of_the_stand_in
def test_out_of_memory_is_one_line_and_leaves_the_model_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).to("cuda"), minidl.randn(4, 6).cuda()
    before = on_host(model)
    with monkeypatch.context() as patch:
        fill(patch)
        with pytest.raises(RuntimeError, match="linear: Out of memory allocating 4,194,304 bytes") as caught:
            model(x)
        assert isinstance(caught.value, minidl.cuda.OutOfMemoryError) and "\n" not in str(caught.value)
    loss = model(x).square().mean()
    with monkeypatch.context() as patch:
        fill(patch)
        with pytest.raises(MemoryError):
            loss.backward()
    assert all(p.grad is None for p in model.parameters())
    same(on_host(model), before, rtol=0)
    trained(model, x)  # and goes on


@of_the_stand_in
def test_the_command_says_in_one_line_that_the_memory_is_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from minidl.cli import main

    fill(monkeypatch)
    assert main(["train", "mnist", "--device", "cuda", "--epochs", "1"]) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("minidl train: ")
