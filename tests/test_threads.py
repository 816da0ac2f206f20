"""minidl.threads: who shares long arrays, and that nobody sees it in the numbers."""

import os
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import optim, threads


@pytest.fixture(autouse=True)
def as_before():
    before = minidl.get_num_threads()
    yield
    minidl.set_num_threads(before)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_long_step_has_the_same_bits_for_any_number_of_threads(name):
    found = []
    for count in (1, 2, 3):
        minidl.set_num_threads(count)
        w = minidl.tensor(np.random.default_rng(0).standard_normal(1_000_003).astype("f"), requires_grad=True)
        optimizer = getattr(optim, name)([w], lr=0.1)
        for _ in range(2):
            w.grad = w.detach() * w.detach()
            optimizer.step()
        found.append(w.detach().numpy().tobytes())
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 99, 1000, 1001])
def test_every_entry_is_in_one_part(count, n):
    minidl.set_num_threads(count)
    seen = np.zeros(n, int)
    parts = []

    def work(k, start, end):
        parts.append(k)
        seen[start:end] += 1

    threads.in_threads(work, n, 50)
    assert (seen == 1).all() and sorted(parts) == list(range(len(parts))) and len(parts) <= count
    assert n < 100 or len(parts) == count


def test_an_error_in_any_thread_is_seen():
    minidl.set_num_threads(2)

    def work(k, start, end):
        if k == 1:
            raise ValueError("in the second")

    with pytest.raises(ValueError, match="in the second"):
        threads.in_threads(work, 100, 10)


def test_numpys_settings_hold_in_every_thread():
    minidl.set_num_threads(3)
    x = np.zeros(100)

    def work(k, start, end):
        np.divide(x[start:end], x[start:end])

    with np.errstate(invalid="ignore"):
        threads.in_threads(work, 100, 10)
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        threads.in_threads(work, 100, 10)


def test_no_threads_is_refused():
    with pytest.raises(RuntimeError, match="from 1, got 0"):
        minidl.set_num_threads(0)


@pytest.mark.parametrize(("said", "expected"), [("3", 3), ("", None), ("two", None)])
def test_the_environment_says_how_many(said, expected):
    command = [sys.executable, "-c", "import minidl; print(minidl.get_num_threads())"]
    environment = {**os.environ, "OMP_NUM_THREADS": said}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) == (expected or len(os.sched_getaffinity(0)))


@pytest.mark.filterwarnings("ignore:This process")  # of the danger that the test is about
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, minidl
from minidl.threads import in_threads
minidl.set_num_threads(2)
work = lambda k, start, end: None
in_threads(work, 100, 10)
child = os.fork()
if not child:
    in_threads(work, 100, 10)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == "7"
