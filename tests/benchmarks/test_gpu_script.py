"""`benchmarks/gpu.py` works where there is no GPU, and goes on when a part of it fails."""

import argparse
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stand_in
from kernels_on_cpu import COMPILER

import minidl

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [*sys.path])  # the script adds to it
    spec = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_quick_run_fills_every_table() -> None:
    text = subprocess.check_output([sys.executable, SCRIPT, "--quick", "--device", "cpu"], text=True)
    assert "## What failed\n\nNothing.\n" in text and "`python benchmarks/gpu.py --quick --device cpu`" in text
    assert "the same after 20 steps" in text and "test accuracy 9" in text
    assert text.partition("# ")[2].startswith("minidl and PyTorch on a CPU, to try the script\n")
    # nothing of what only a GPU has, and no empty parts
    assert not re.search(r"TF32|goal|Kernels|^#.*\n\n#|\| +\|$", text, re.MULTILINE)
    for line in ("MLP 784-128-10, batch 4", "LeNet-5, batch 8", "Adadelta, 62,500 weights", "matrix product 512",
                 "convolution 64 to 64, 3x3 on 32x32, batch 8", "x @ w, recorded"):  # the true sizes  # fmt: skip
        assert re.search(rf"^\| {re.escape(line)}[^|]*\|[^|]*\d.*\| *\d+\.\d\d *\|", text, re.MULTILINE)


@pytest.mark.skipif(COMPILER is None, reason="g++ is missing, which builds the kernels for the CPU")
def test_all_of_it_runs_on_the_stand_in_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.install(monkeypatch)
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from gpu_worker import SMALL, Worker

    worker = Worker(minidl, "cuda", quick=True)
    names = [*worker.known, *[f"host: {call}" for call in worker.calls]]
    for name in names:
        if "convolution" not in name and "8192" not in name:  # seconds on a CPU
            assert worker.answer(f"float32 {name}", 1, anew=False)["seconds"] > 0
    assert worker.answer("TF32 eager: matrix product 4096", 1, anew=False)["values"][0] == 4096 / SMALL
    assert any(name.startswith("replayed") for name in names)
    assert worker.answer("float32 check: ", 1, anew=False)["values"] == "the same after 20 steps"
    assert not minidl.backends.cuda.matmul.allow_tf32


def test_a_part_that_fails_is_named_and_the_next_one_begins_with_new_processes(gpu: Any) -> None:
    bench = gpu.Bench(argparse.Namespace(quick=True, device="cpu"))
    bench.names = ["minidl"]
    with bench.part("an unknown workload"):
        bench.peers["minidl"].run("float32 eager: nothing", 1)
    first = bench.peers["minidl"]
    with bench.part("too slow", seconds=1):
        bench.peers["minidl"].run("float32 eager: matrix product 8192", 10**7)
    with bench.part("a broken table"):
        assert bench.peers["minidl"] is not first
        bench.turns("matrix product 4096", {"minidl": ("minidl", "float32 eager: *")})["nothing"]
    assert [text.split(":")[0] for text in bench.failures] == ["an unknown workload", "too slow", "a broken table"]
    assert "stopped after 1 s" in bench.failures[1] and "KeyError" in bench.failures[0]
    for peer in bench.peers.values():
        peer.close()


def test_a_library_that_cannot_use_the_device_is_left_out(gpu: Any, capfd: Any) -> None:
    bench = gpu.Bench(argparse.Namespace(quick=True, device="cpu"))
    bench.names = ["minidl", "no library"]
    with bench.part("nothing"):
        assert list(bench.peers) == bench.names == ["minidl"]
    (failure,) = bench.failures
    assert failure.startswith("no library cannot be started on cpu") and "KeyError" in capfd.readouterr().err
    bench.peers["minidl"].close()


def test_a_step_that_is_not_replayed_says_why() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import gpu_worker, minidl\n"
        "gpu_worker.watched(minidl.compile(lambda x: x.item()), minidl.ones(()))"
    )
    run = subprocess.run([sys.executable, "-c", program, SCRIPT.parent], stderr=subprocess.PIPE, text=True)
    assert run.returncode and "is not replayed" in run.stderr.splitlines()[-1]
