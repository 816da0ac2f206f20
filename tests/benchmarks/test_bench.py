"""`minidl bench`: the same work for all libraries, honest ratios, and what it says of what is not there."""

import argparse
import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.bench import by_hand, compare, parts, report, worker
from minidl.bench.functions_networks import WITHOUT_IMAGES
from minidl.bench.workloads import LARGER, NAMES, SMALL_OPS, STEPS, WORKLOADS
from minidl.cli import main

COMPARE = Path(__file__).resolve().parents[2] / "benchmarks" / "compare.py"


class NoBar:
    def update(self) -> None:
        """Nobody watches."""

    def set_description(self, text: str) -> None:
        """The same."""


def first_values(step: Any, steps: int = 3) -> np.ndarray:
    return np.array([step().reshape(-1)[:10].tolist() for _ in range(steps)])


@pytest.mark.parametrize("workload", WORKLOADS)
def test_all_compute_the_same(workload: str) -> None:
    expected = first_values(WORKLOADS[workload](torch))
    assert compare.apart(first_values(WORKLOADS[workload](minidl)), expected) < report.SAME
    assert compare.apart(first_values(by_hand.WORKLOADS[workload]()), expected) < report.SAME


def test_what_compile_replays_has_the_same_bits() -> None:
    replayed = worker.workloads_of("minidl.compile", minidl)  # with fullgraph=True: a step that is not is an error
    assert set(replayed) == set(WORKLOADS) - set(STEPS)
    for name, start in replayed.items():
        assert np.array_equal(first_values(start(), 5), first_values(WORKLOADS[name](minidl), 5)), name


@pytest.mark.parametrize("peer", ["JAX jit", "autograd", "MyGrad"])
def test_those_that_differentiate_functions_compute_the_same(peer: str) -> None:
    module = worker.MODULES[peer]
    if module not in metadata.packages_distributions():  # tests/autograd, too, could be imported as autograd
        pytest.skip(f"{module} is not installed: pip install 'minidl[bench]'")
    workloads = worker.workloads_of(peer, importlib.import_module(module))
    left_out = {name for name, plan in LARGER.items() if peer == "autograd" and plan["network"] not in WITHOUT_IMAGES}
    assert set(LARGER) - set(workloads) == left_out
    for name, start in workloads.items():
        expected = first_values(WORKLOADS[name](torch))
        assert compare.apart(first_values(start()), expected) < report.SAME, name


def test_every_goal_has_its_row() -> None:
    assert set(report.GOALS) == set(NAMES) and set(by_hand.WORKLOADS) == set(WORKLOADS)


# -- what holds the numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("workload", [name for name in WORKLOADS if name != SMALL_OPS])
def test_parts_can_be_timed_alone(workload: str, library: str) -> None:
    makers = parts.numpy_parts(minidl) if library == "numpy" else parts.torch_parts(minidl, torch)
    step = makers[workload]()
    assert step().shape and np.isfinite(np.asarray(step())).all()


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ("MLP 784-128-10, batch 64, Adam", 64 * (2 * 784 * 128 + 3 * 128 * 10)),  # images need no gradient
        ("MLP 784-128-10, batch 1, SGD", 2 * 784 * 128 + 3 * 128 * 10),
        ("MLP 784-128-10, batch 1, prediction", 784 * 128 + 128 * 10),
        (
            "LeNet-5, batch 64, Adam",
            64 * (2 * 28 * 28 * 25 * 6 + 3 * (10 * 10 * 150 * 16 + 400 * 120 + 120 * 84 + 84 * 10)),
        ),
        ("LSTM 28 -> 128 over 28 rows, batch 64, Adam", 64 * (28 * 512 * (2 * 28 + 3 * 128) + 3 * 128 * 10)),
    ],
)
def test_all_products_of_a_step_are_found(workload: str, expected: int) -> None:
    found = parts.products(minidl, workload)
    assert sum(out.size * x.shape[-1] for _, x, _, out in found) == expected
    for multiply, x, y, out in found:
        np.testing.assert_allclose(multiply(x, y, out=out), x @ y, rtol=1e-4, atol=1e-6)


def test_no_product_is_left_to_numpys_slow_loop() -> None:
    """A recorded step multiplies as the step itself does, which leaves the outer product of one example to BLAS."""
    found = parts.products(minidl, "MLP 784-128-10, batch 1, SGD")
    assert {multiply for multiply, x, _, _ in found if x.shape[-1] == 1} == {np.dot}


def test_an_optimizer_changes_weights_and_what_it_remembers() -> None:
    changed = {name: parts.changed(minidl, **plan) for name, plan in STEPS.items()}
    assert all(x.ndim == 1 and x.flags.c_contiguous for x in changed.values())  # one stretch of memory, as by hand
    assert len(changed["1,000,000 weights: SGD step"]) == 1e6 and len(changed["1,000,000 weights: Adam step"]) == 3e6
    assert len(changed["40 small tensors: momentum step"]) == 2 * 20 * (20 * 20 + 20)


@pytest.mark.parametrize(
    ("parts_in_numpy", "by_hand", "holds"),
    [
        (1.3, 1.5, "its matrix products alone, longer than the goal allows"),
        (0.5, 1.5, "NumPy, in which it misses the goal by hand, too"),
        (0.5, 1.0, "the framework's own share, without which it would meet the goal"),
    ],
)
def test_a_missed_goal_says_what_holds_it(parts_in_numpy: float, by_hand: float, holds: str) -> None:
    medians = {"minidl": 2.0, "PyTorch": 1.0, "NumPy by hand": by_hand, "parts in NumPy": parts_in_numpy}
    row = report.Row("CNN 32-64, batch 64, Adadelta", {name: [x] for name, x in medians.items()}, report.duration)
    assert row.missed() and row.account().endswith(f"What holds it: {holds}.")
    assert row.account().startswith("**CNN 32-64, batch 64, Adadelta**: minidl 2.00 s, PyTorch 1.00 s; the goal")
    assert f"minidl adds {report.duration(2 - by_hand)} ({1 - by_hand / 2:.0%})" in row.account()
    assert f"- {row.account()}" in "\n".join(report.held([row]))
    assert len(report.held([report.Row(row.name, {**row.turns, "minidl": [1.0]}, row.text)])) == 3  # met: no sentence


def test_an_account_keeps_to_what_was_measured() -> None:
    row = report.Row("import", {"minidl": [0.4], "PyTorch": [1.0], "NumPy by hand": [0.1]}, report.duration)
    assert row.account() == (
        "**import**: minidl 400.00 ms, PyTorch 1.00 s; the goal allows 150.00 ms. NumPy's own import: 100.00 ms, and "
        "minidl adds 300.00 ms (75%). What holds it: the framework's own share, without which it would meet the goal."
    )
    row.turns["minidl.compile"] = [0.2]
    assert row.account().endswith("it would meet the goal. `minidl.compile` misses it with 200.00 ms.")
    row.turns["minidl.compile"] = [0.1]
    assert row.account().endswith("it would meet the goal. `minidl.compile` meets it with 100.00 ms.")
    del row.turns["minidl.compile"]
    row.turns["parts in NumPy"] = [0.5]  # somebody else was at work
    assert row.account().endswith("too unlike each other to say what holds it.")
    row = report.Row("1,000,000 weights: SGD step", {"minidl": [3.0], "PyTorch": [2.0]}, report.duration)
    assert row.account().endswith("the goal allows 2.00 s.") and report.held([row]) == []


# -- the tables ----------------------------------------------------------------------------------------------------


def test_a_ratio_is_that_of_rounds_side_by_side() -> None:
    turns = {"minidl": [1.0, 10.0, 3.0], "PyTorch": [2.0, 20.0, 3.0]}  # the machine was busy in the second round
    row = report.Row("import", turns, report.duration)
    assert row.ratio("PyTorch") == (0.5, "0.50–0.75") and row.verdict() == "missed"
    assert row.beside_pytorch()[:6] == ["import", "3.00 s", "3.00 s", "0.50", "0.50–0.75", "≤ 0.15, missed"]
    assert row.beside_others(["JAX jit"]) == ["import", "3.00 s", ""]
    assert "not the quotient of the two medians" in report.report([row], {}, [], [], 1, "the command", 20)
    turns["PyTorch"][:] = [2.0, 100.0, 1.0]  # PyTorch was not, in the second and the third
    assert row.ratio("PyTorch") == (0.5, "0.30–1.75") and row.verdict() == "missed"
    turns["minidl"][0] = 0.2
    assert row.ratio("PyTorch") == (0.1, "0.10–1.55") and row.verdict() == "too noisy" and not row.missed()


def test_rounding_that_grows_is_judged_in_float64() -> None:
    assert report.Agreement({"minidl": 1e-6}, rounding=1e-7, float64=1e-15).holds()
    assert not report.Agreement({"minidl": 1e-3}, rounding=1e-7, float64=1e-15).holds()
    assert report.Agreement({"minidl": 1e-3}, rounding=1e-4, float64=1e-15).holds()
    assert not report.Agreement({"minidl": 1e-6}, rounding=1e-4, float64=1e-6).holds()
    assert not report.Agreement({"minidl": 0.0, "JAX jit": 1e-3}).holds()


def test_a_replay_is_judged_by_its_bits() -> None:
    values = {"minidl": np.ones((2, 3)), "minidl.compile": np.ones((2, 3))}
    assert compare.compared(values, {}).holds()
    values["minidl.compile"][1, 2] += 1e-15
    assert not compare.compared(values, {}).holds()
    assert not report.Agreement({"minidl": 0.0, "JAX jit": float("nan")}).holds()


def test_it_measures_without_the_other_libraries(monkeypatch: Any, capsys: Any, tmp_path: Path) -> None:
    present = {"minidl": "minidl", "NumPy by hand": "numpy", "JAX jit": "no_such_library"}
    monkeypatch.setattr(compare, "MODULES", present)
    monkeypatch.setattr(compare, "WORKLOADS", {SMALL_OPS: None})
    written = tmp_path / "results.md"
    options = argparse.Namespace(quick=True, threads=1, write=written, only=None)
    assert compare.run(options, "the command") == 0
    text = written.read_text("utf-8")
    assert capsys.readouterr().out in text
    assert f"| {SMALL_OPS}" in text and "Left out, since not installed: JAX jit" in text and "`the command`" in text
    assert f"NumPy {np.__version__}" in text and f"minidl {minidl.__version__}" in text


LOST = """import os, signal, sys, time
print('{"version": "1", "workloads": ["works", "fails", "hangs"]}', flush=True)
for line in sys.stdin:
    if "fails" in line:
        sys.exit("out of memory")
    if "hangs" in line:
        time.sleep(60)
    print('{"seconds": 1.0, "values": [1.0]}', flush=True)
"""


@pytest.mark.parametrize("way", ["fails", "hangs"])
def test_a_library_that_fails_or_hangs_does_not_lose_the_rest(monkeypatch: Any, way: str) -> None:
    monkeypatch.setattr(compare, "PATIENCE", 1.0)
    failures = list[str]()
    programs = {"minidl": LOST.replace(f'if "{way}"', 'if "never"'), "MyGrad": LOST}
    peers = {name: compare.Peer(name, compare.surroundings(1), ["-c", text]) for name, text in programs.items()}
    rows = [compare.time_workload(name, peers, 2, 0.1, NoBar(), failures) for name in (way, "works")]
    assert [list(row.turns) for row in rows] == [["minidl"], ["minidl", "MyGrad"]]
    assert len(failures) == 1 and failures[0].startswith(f"{way}, MyGrad: its process ended early")
    for peer in peers.values():
        peer.close()


def test_one_that_fails_in_a_later_round_is_left_out_of_that_row() -> None:
    def measure(name: str) -> float:
        if name == "JAX jit" and len(asked) > 2:
            raise ConnectionError("it has ended")
        asked.append(name)
        return 1.0

    asked, failures = list[str](), list[str]()
    assert compare.in_turns(["minidl", "JAX jit"], 3, measure, NoBar(), failures) == {"minidl": [1.0] * 3}
    assert failures == ["JAX jit: it has ended"]
    with pytest.raises(ConnectionError):
        compare.in_turns(["JAX jit"], 1, measure, NoBar())


def test_slow_rounds_are_not_repeated_for_ever(monkeypatch: Any) -> None:
    monkeypatch.setattr(compare, "ENOUGH", 0.0)
    assert len(compare.in_turns(["minidl"], 15, lambda name: 1.0, NoBar())["minidl"]) == compare.FEWEST


def test_a_library_that_cannot_begin_is_left_out(monkeypatch: Any, capfd: Any) -> None:
    failures = list[str]()
    assert compare.begin(["no library"], compare.surroundings(1), failures) == {}
    assert failures[0].startswith("no library: its process ended early") and "KeyError" in capfd.readouterr().err
    assert "- no library: its process" in report.report([], {}, [], failures, 1, "the command", 20)


# -- the options ---------------------------------------------------------------------------------------------------


def test_rows_can_be_chosen_in_any_case(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(compare, "MODULES", {"minidl": "minidl"})
    monkeypatch.setattr("sys.argv", ["minidl", "bench", "--quick", "--only", "SMALL OPS", "Peak Memory Of"])
    assert main(sys.argv[1:]) == 0
    text = capsys.readouterr().out
    assert [line.split(" |")[0] for line in text.splitlines()[2:4]] == [f"| {SMALL_OPS}", f"| {NAMES[-3]:33}"]
    assert "| import" not in text and "`minidl bench --quick --only 'SMALL OPS' 'Peak Memory Of'`" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "LSTM", "Chess"], "argument --only: 'Chess' is in none of these names:\n  8 small ops"),
        (["--write", "."], "argument --write: . is a folder: name a file in it, such as results.md"),
        (["--write", "nowhere/results.md"], "argument --write: there is no folder nowhere: make it first"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(options: list[str], message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", *options])
    assert stopped.value.code == 2 and capsys.readouterr().err.startswith(f"minidl bench: {message}")


def test_another_library_gets_its_process_without_minidl() -> None:
    program = (
        "import runpy, sys\n"
        f"worker = runpy.run_path({str(compare.WORKER)!r})\n"
        "worker['library_of']('NumPy by hand')\n"
        "import minidl.bench.workloads\n"
        "assert not {'minidl.autograd', 'minidl.backend'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_command_knows_its_options(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--threads", "0"])
    assert "whole number from 1, got 0" in capsys.readouterr().err
    help_text = subprocess.check_output([sys.executable, COMPARE, "--help"], text=True)
    assert all(option in help_text for option in ("--quick", "--only", "--write", "--threads"))
