"""The command line: what it prints and writes, its exit codes, and one line for every mistake."""

import csv
import importlib.util
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import data
from minidl.cli import main, table


@pytest.fixture
def few_digits(monkeypatch):
    """The commands see 600 training and 1,000 test images."""

    class FewDigits(data.MNIST):
        def __init__(self, train=True, **settings):
            super().__init__(train=False, **settings)
            part = slice(0, 600) if train else slice(1000, 2000)
            self.images, self.labels = self.images[part], self.labels[part]

    monkeypatch.setattr(data, "MNIST", FewDigits)


def refused(capsys, *arguments):
    """The one line with which a command line is refused."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    captured = capsys.readouterr()
    assert stop.value.code == 2 and captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def run(*arguments, **settings):
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "minidl", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings,
    )  # fmt: skip


def test_training_prints_a_line_an_epoch_and_the_test_accuracy(few_digits, capsys):
    assert main(["train", "mnist", "--epochs", "2"]) == 0
    captured = capsys.readouterr()
    heading, first, second, last = captured.out.splitlines()
    assert heading == "mlp (101,770 weights), adam, learning rate 0.001, batch size 64, cpu"
    assert first.startswith("epoch 1/2  loss ") and second.startswith("epoch 2/2  loss ") and "images/s" in first
    accuracy = second.split("test accuracy ")[1].split(" %")[0]
    assert last.startswith(f"test accuracy {accuracy} %, ") and last.endswith(" s")
    assert captured.err == ""


def test_out_gets_weights_history_and_pictures(few_digits, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new" / "run"
    assert main(["train", "mnist", "--epochs", "2", "--model", "lenet", "--out", str(folder)]) == 0
    assert sorted(os.listdir(folder)) == ["digits.png", "history.csv", "learning_curve.png", "weights.npz"]
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    state = np.load(folder / "weights.npz")
    assert state["0.weight"].shape == (6, 1, 5, 5) and state["11.bias"].shape == (10,)
    assert (folder / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_the_weights_depend_on_the_seed_alone(few_digits, tmp_path):
    pytest.importorskip("matplotlib")

    def weights(name, seed):
        main(["train", "mnist", "--epochs", "1", "--seed", seed, "--out", str(tmp_path / name)])
        return (tmp_path / name / "weights.npz").read_bytes()

    assert weights("a", "1") == weights("b", "1") != weights("c", "2")


def test_the_saved_weights_give_the_printed_accuracy(few_digits, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    main(["train", "mnist", "--epochs", "1", "--out", str(tmp_path)])
    from minidl.io import load
    from minidl.train import models

    model = models.mlp()
    model.load_state_dict(load(tmp_path / "weights.npz"))
    images, labels = data.MNIST(train=False)[:]
    accuracy = 100 * float((model(images).argmax(1) == labels).numpy().mean())
    assert f"test accuracy {accuracy:.2f} %" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("arguments, named", [
    (["--model", "resnet"], ["resnet", "mlp", "lenet"]),
    (["--optimizer", "sdg"], ["sdg", "sgd", "adagrad", "adamw"]),
    (["--optimizer", "lbfgs"], ["lbfgs", "sgd", "lion"]),
    (["--lr", "-1"], ["--lr", "positive number, got -1"]),
    (["--lr", "0"], ["positive number, got 0"]),
    (["--lr", "nan"], ["positive number, got nan"]),
    (["--lr", "inf"], ["positive number, got inf"]),
    (["--lr", "fast"], ["positive number, got fast"]),
    (["--epochs", "0"], ["--epochs", "whole number from 1, got 0"]),
    (["--batch-size", "0"], ["--batch-size", "whole number from 1, got 0"]),
    (["--batch-size", "2.5"], ["whole number from 1, got 2.5"]),
    (["--seed", "-1"], ["--seed", "whole number from 0, got -1"]),
    (["--device", "tpu"], ["tpu", "cpu", "cuda"]),
    (["--colour"], ["--colour"]),
])  # fmt: skip
def test_a_mistake_costs_one_line_that_names_what_is_possible(capsys, arguments, named):
    line = refused(capsys, "train", "mnist", *arguments)
    assert line.startswith("minidl train: ") and all(word in line for word in named)


def test_an_unknown_command_or_dataset_lists_the_choices(capsys):
    assert all(name in refused(capsys, "trian") for name in ("trian", "train", "optimizers", "info"))
    assert "mnist" in refused(capsys, "train", "cifar")
    assert "COMMAND" in refused(capsys)


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_a_gpu_without_cupy_says_what_to_install(capsys):
    assert 'pip install "minidl[cuda' in refused(capsys, "train", "mnist", "--device", "cuda")


def test_a_folder_that_cannot_be_written_is_refused_before_training(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("in the way")
    assert "cannot write into --out" in refused(capsys, "train", "mnist", "--out", str(tmp_path / "file" / "run"))


def test_out_without_matplotlib_is_refused_before_training(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("minidl.cli.find_spec", lambda name: None)
    line = refused(capsys, "train", "mnist", "--out", str(tmp_path / "run"))
    assert 'pip install "minidl[study]"' in line and not (tmp_path / "run").exists()


def test_a_damaged_data_file_costs_one_line(capsys, monkeypatch):
    def damaged(**settings):
        raise RuntimeError("t10k-images-idx3-ubyte.gz is damaged")

    monkeypatch.setattr(data, "MNIST", damaged)
    assert main(["train", "mnist"]) == 1
    assert capsys.readouterr().err == "minidl train: t10k-images-idx3-ubyte.gz is damaged\n"


def test_a_loss_that_explodes_costs_one_line(few_digits, capsys):
    assert main(["train", "mnist", "--optimizer", "sgd", "--lr", "1e30"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("minidl train: the loss is nan or infinite in step ") and error.count("\n") == 1


def test_the_optimizers_are_printed_side_by_side(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "130")
    assert main(["optimizers"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("name ") and max(map(len, text.splitlines())) <= 130
    for name in minidl.optim.by_name:
        assert f"\n{name} " in text


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_a_table_keeps_to_its_width_and_loses_no_word(width):
    rows = minidl.optim.describe()
    text = table(rows, width)
    assert max(map(len, text.splitlines())) <= width
    words = {word for row in rows for value in row.values() for word in value.split()}
    assert words <= set(text.split())


def test_info_names_the_versions(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert minidl.__version__ in text and np.__version__ in text and "BLAS" in text and "cores" in text


def test_python_m_minidl_is_the_command():
    out, error = run("--version").communicate(timeout=60)
    assert (out, error) == (f"minidl {minidl.__version__}\n", "")


def test_ctrl_c_ends_with_one_line_and_keeps_what_was_learned(tmp_path):
    pytest.importorskip("matplotlib")
    process = run("train", "mnist", "--epochs", "50", "--out", str(tmp_path))
    while not process.stdout.readline().startswith("epoch 1/50"):
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.startswith("minidl train: stopped after 1 of 50 epochs") and error.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["digits.png", "history.csv", "learning_curve.png", "weights.npz"]


def test_a_script_for_pytorch_keeps_its_arguments_its_exit_code_and_its_traceback(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys, torch\nprint(torch.ones(1).sum().item(), sys.argv[1:])\nexit(len(sys.argv))\n")
    process = run("torch", str(script), "--help", "--", "-x")
    assert process.communicate(timeout=60) == ("1.0 ['--help', '--', '-x']\n", "") and process.returncode == 4
    script.write_text("import torch\ntorch.nn.Liner(2, 3)\n")
    process = run("torch", str(script))
    _, error = process.communicate(timeout=60)
    heading, place, line, *_, last = error.splitlines()
    assert heading == "Traceback (most recent call last):" and place == f'  File "{script}", line 2, in <module>'
    assert line.strip() == "torch.nn.Liner(2, 3)" and process.returncode == 1
    assert last == "AttributeError: minidl has no torch.nn.Liner; the nearest names that it has: Linear"


def test_a_script_that_is_not_there_costs_one_line(capsys, tmp_path):
    assert refused(capsys, "torch", "nothere.py").startswith("minidl torch: there is no script nothere.py")
    assert "there is no script" in refused(capsys, "torch", str(tmp_path))
    assert "script" in refused(capsys, "torch")
