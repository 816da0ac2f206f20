"""Every example runs, leaves its picture, and has no mistake that lint knows; every Python block of the README runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minidl

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
ONE_EPOCH = {"loop_by_hand", "gan", "mnist_cnn", "mnist_mlp", "mnist_rnn", "names_transformer", "vae"}
ONE_EPOCH_AND_SEED = {"adam_or_momentum"}
TEN_STEPS = {"char_lstm"}  # the others are quick as they are
PLANTED = {"classic_bugs": "no_zero_grad"}  # the example that shows what such bugs do
UNDER_LINT = """
import runpy, sys, warnings
from minidl import study
del sys.argv[0]
warnings.simplefilter("ignore", study.LintWarning)
with study.lint() as report:
    runpy.run_path(sys.argv[0], run_name="__main__")
sys.exit(" ".join(finding.check for finding in report.findings) != sys.stdin.read() and str(report))
"""
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


def run(example, folder, *first_on_path):
    """Run an example as a user would, with the minidl that these tests import; its output."""
    path = os.pathsep.join(map(str, [*first_on_path, Path(minidl.__file__).parents[1]]))
    # One thread: where other programs are busy, the threads of BLAS wait for each other most of the time.
    environment = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", UNDER_LINT, example, "--out", folder / "out" / "picture.png"]
    if example.stem in ONE_EPOCH | ONE_EPOCH_AND_SEED:
        command += ["--epochs", "1"]
    if example.stem in ONE_EPOCH_AND_SEED:
        command += ["--seeds", "1"]
    if example.stem in TEN_STEPS:
        command += ["--steps", "10"]
    expected = PLANTED.get(example.stem, "")
    done = subprocess.run(command, cwd=folder, env=environment, input=expected, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_leaves_its_picture(example, tmp_path):
    run(example, tmp_path)
    assert (tmp_path / "out" / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.rglob("*.*"))) == 1  # and nothing else


@pytest.mark.parametrize("name", ["xor", "mnist_mlp"])
def test_an_example_without_matplotlib_says_what_to_install(name, tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('as if it were not installed')")
    assert 'pip install "minidl[study]"' in run(ROOT / "examples" / f"{name}.py", tmp_path, tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_example_prints_the_same_numbers_in_every_run(tmp_path):
    spiral = ROOT / "examples" / "spiral.py"
    assert run(spiral, tmp_path) == run(spiral, tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_stays_short(example):
    assert len(example.read_text("utf-8").splitlines()) < 100


def test_there_is_something_to_run():
    assert EXAMPLES and BLOCKS


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block {n}" for n, _ in enumerate(BLOCKS, 1)])
def test_a_block_of_the_readme_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
