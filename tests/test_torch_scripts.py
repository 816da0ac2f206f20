"""Scripts in the manner of those that teach PyTorch run unmodified on minidl, and learn as well as on PyTorch.

Each is a program of its own in tests/scripts, whose last line is "final", then names and numbers.  `minidl torch` runs
it, and so does Python with PyTorch; then the numbers are compared.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

import minidl

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True, eq=False)
class Run:
    """A script with its arguments, and how near its numbers must come to PyTorch's.

    `equal`: the relative difference, for scripts that take all random numbers from NumPy or Python.
    `close`: the absolute difference, for those that draw from each library's own generator.  It is about three times
    the standard deviation of the difference of two runs, as five seeds gave it; the same seed gives the same numbers.
    `learns`: bounds that only a network that has learned keeps, so that the two cannot agree in learning nothing.
    """

    script: str
    arguments: tuple[str, ...] = ()
    equal: float | None = None
    close: dict[str, float] = field(default_factory=dict)
    learns: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __str__(self):
        return " ".join((self.script, *self.arguments))


RUNS = [
    Run("net_tensors", equal=1e-5, learns={"loss": (0, 2e3)}),  # from 3e5
    Run("net_autograd", equal=1e-5, learns={"loss": (0, 2e3), "old": (0, 2e3)}),
    Run("net_function", equal=1e-5, learns={"loss": (0, 1e4), "curve": (0, 20)}),
    Run("net_sequential", equal=1e-8, learns={"loss": (0, 0.01), "sgd": (0, 0.3), "adagrad": (0, 50)}),  # from 800
    Run("net_module", equal=1e-8, learns={"twolayers": (0, 1e-3), "anydepth": (0, 10)}),
    Run("sine_lstm", equal=1e-6, learns={"loss": (0, 0.02)}),  # float64, but L-BFGS lets roundings grow
    Run("char_bigram", equal=1e-5, learns={"loss": (0, 1.8)}),  # from 2.7
    Run("char_mlp", equal=1e-3, learns={"train": (0, 1.75)}),  # 400 steps in float32
    Run("maml", equal=1e-6, learns={"loss": (0, 0.2), "after": (0, 0.2)}),  # float64; from 5
    Run("dataset_regression", close={"loss": 0.004}, learns={"loss": (0, 0.03)}),  # from 0.5; the noise has 0.01
    Run("policy_gradient", close={"reward": 0.1, "distance": 0.15}, learns={"reward": (0.85, 1), "distance": (0, 0.2)}),
    Run("seq2seq", close={"loss": 0.2, "accuracy": 0.09}, learns={"accuracy": (0.85, 1)}),  # from 0.1
    Run("mnist_cnn", close={"accuracy": 0.05}, learns={"accuracy": (0.88, 1)}),
    Run("mnist_rows", close={"accuracy": 0.09}, learns={"accuracy": (0.75, 1)}),
    Run("vae", close={"loss": 13}, learns={"loss": (0, 200)}),  # from 540
    *(
        Run("language_model", ("--model", kind), close={"loss": margin}, learns={"loss": (0, 1.25)})  # from 2.97
        for kind, margin in {"RNN_TANH": 0.12, "LSTM": 0.03, "GRU": 0.02, "Transformer": 0.05}.items()
    ),
    *(
        Run("char_rnn", ("--type", kind), close={"loss": 0.04}, learns={"loss": (0, 1.7)})  # from 2.7
        for kind in ("rnn", "gru", "layer")
    ),
    Run("gpt", close={"loss": 0.07}, learns={"loss": (0, 1.5)}),  # from 2.6
]

# Run by PyTorch's Python: all the scripts in one process, for importing torch takes longer than most of them.
RUN_ALL = """
import contextlib, io, json, runpy, sys, warnings
warnings.simplefilter("ignore")
for script, *arguments in json.loads(sys.argv[1]):
    sys.argv, output = [script, *arguments], io.StringIO()
    with contextlib.redirect_stdout(output):
        runpy.run_path(script, run_name="__main__")
    print(json.dumps(output.getvalue().splitlines()[-1]), flush=True)
"""


def environment(path):
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(path)}


@pytest.fixture(scope="module")
def on_pytorch(request, tmp_path_factory):
    """A function that gives the last line of a run with PyTorch, or None without PyTorch, which runs beside minidl."""
    if find_spec("torch") is None:
        yield None
        return
    items = [item for item in request.session.items if item.path == request.path]
    wanted = [item.callspec.params["run"] for item in items if hasattr(item, "callspec")]
    commands = [[str(SCRIPTS / f"{run.script}.py"), *run.arguments] for run in wanted]
    lines = {}
    with subprocess.Popen(
        [sys.executable, "-c", RUN_ALL, json.dumps(commands)],
        cwd=tmp_path_factory.mktemp("torch"), env=environment(SCRIPTS / "for_torch"), text=True, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip

        def last_line(run):
            while run not in lines:
                line = process.stdout.readline()
                assert line, f"PyTorch ended with {process.wait()} at {wanted[len(lines)]}"
                lines[wanted[len(lines)]] = json.loads(line)
            return lines[run]

        yield last_line
        process.kill()


def numbers(line):
    word, *rest = line.split()
    assert word == "final" and rest, f"the last line of a script should be 'final NAME NUMBER ...', got {line!r}"
    return dict(zip(rest[::2], map(float, rest[1::2]), strict=True))


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_a_script_learns_as_well_as_on_pytorch(run, on_pytorch, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "minidl", "torch", str(SCRIPTS / f"{run.script}.py"), *run.arguments],
        cwd=tmp_path, env=environment(Path(minidl.__file__).parents[1]), text=True, capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    ours = numbers(done.stdout.splitlines()[-1])
    for name, (low, high) in run.learns.items():
        assert low <= ours[name] <= high, f"{name} = {ours[name]}"
    if on_pytorch is None:
        pytest.skip("runs and learns; not compared, because PyTorch is not installed")
    theirs = numbers(on_pytorch(run))
    assert list(ours) == list(theirs)
    for name in ours if run.equal else run.close:
        margin = run.equal * abs(theirs[name]) if run.equal else run.close[name]
        assert abs(ours[name] - theirs[name]) <= margin, f"{name}: {ours[name]}, PyTorch {theirs[name]}"


def test_every_script_is_run_and_is_short():
    scripts = {path.stem: len(path.read_text("utf-8").splitlines()) for path in SCRIPTS.glob("*.py")}
    del scripts["conftest"]
    assert set(scripts) == {run.script for run in RUNS}
    assert all(lines <= 170 for lines in scripts.values())
