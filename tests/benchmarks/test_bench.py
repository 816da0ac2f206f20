"""`minidl bench`: the same work for all libraries, honest ratios, and what it says of what is not there."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.bench import by_hand, compare, report
from minidl.bench.workloads import SMALL_OPS, WORKLOADS
from minidl.cli import main

COMPARE = Path(__file__).resolve().parents[2] / "benchmarks" / "compare.py"


def first_values(step: Any) -> np.ndarray:
    return np.array([step().reshape(-1)[:10].tolist() for _ in range(3)])


@pytest.mark.parametrize("workload", WORKLOADS)
def test_all_compute_the_same(workload: str) -> None:
    expected = first_values(WORKLOADS[workload](torch))
    assert compare.apart(first_values(WORKLOADS[workload](minidl)), expected) < report.SAME
    if workload in by_hand.WORKLOADS:
        assert compare.apart(first_values(by_hand.WORKLOADS[workload]()), expected) < report.SAME


def test_every_goal_has_its_row() -> None:
    measured = {"import", *(name for name in report.GOALS if "process" in name or "256:" in name)}
    assert set(report.GOALS) == set(WORKLOADS) | measured and set(by_hand.WORKLOADS) <= set(WORKLOADS)


def test_a_ratio_is_that_of_rounds_side_by_side() -> None:
    turns = {"minidl": [1.0, 10.0, 3.0], "PyTorch": [2.0, 20.0, 3.0]}  # the machine was busy in the second round
    row = report.Row("import", turns, report.duration)
    assert row.ratio("PyTorch") == (0.5, "0.50–0.75")
    assert row.beside_pytorch()[:6] == ["import", "3.00 s", "3.00 s", "0.50", "0.50–0.75", "≤ 0.15, missed"]
    assert row.beside_others(["JAX jit"]) == ["import", "3.00 s", ""]


def test_rounding_that_grows_is_judged_in_float64() -> None:
    assert report.Agreement({"minidl": 1e-6}, rounding=1e-7, float64=1e-15).holds()
    assert not report.Agreement({"minidl": 1e-3}, rounding=1e-7, float64=1e-15).holds()
    assert report.Agreement({"minidl": 1e-3}, rounding=1e-4, float64=1e-15).holds()
    assert not report.Agreement({"minidl": 1e-6}, rounding=1e-4, float64=1e-6).holds()
    assert not report.Agreement({"minidl": 0.0, "JAX jit": 1e-3}).holds()
    assert not report.Agreement({"minidl": 0.0, "JAX jit": float("nan")}).holds()


def test_it_measures_without_the_other_libraries(monkeypatch: Any, capsys: Any, tmp_path: Path) -> None:
    present = {"minidl": "minidl", "NumPy by hand": "numpy", "JAX jit": "no_such_library"}
    monkeypatch.setattr(compare, "MODULES", present)
    monkeypatch.setattr(compare, "WORKLOADS", {SMALL_OPS: None})
    written = tmp_path / "results.md"
    options = argparse.Namespace(quick=True, threads=1, write=written)
    assert compare.run(options, "the command") == 0
    text = written.read_text("utf-8")
    assert capsys.readouterr().out in text
    assert f"| {SMALL_OPS}" in text and "Left out, since not installed: JAX jit" in text and "`the command`" in text
    assert f"NumPy {np.__version__}" in text and f"minidl {minidl.__version__}" in text


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
    assert all(option in help_text for option in ("--quick", "--write", "--threads"))
