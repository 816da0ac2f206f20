"""A guard that busy machines do not disturb: how many functions a step calls, in Python and in C.

The time of small networks is mostly the time of these calls (and of NumPy's ufuncs, which no profiler sees).  A number
that grows is a cost to be explained; one that has become smaller for good is to be written down here.
"""

import sys
from typing import Any

import pytest

import minidl
from minidl import threads
from minidl.bench.workloads import WORKLOADS

MOST = {  # calls in one step; the same in every run, with a few per cent left for other versions of Python and NumPy
    "8 small ops, forward and backward": 188,
    "MLP 784-128-10, batch 64, Adam": 400,
    "MLP 784-128-10, batch 1, SGD": 401,
    "MLP 784-128-10, batch 1, prediction": 96,
    "40 small tensors: momentum step": 375,
    "40 small tensors: Adam step": 375,
    "1,000,000 weights: Adam step": 98,
}


def calls(step: Any) -> int:
    """How many functions a call of `step` calls; what only its first calls do has been done."""
    for _ in range(5):
        step()
    count = 0

    def seen(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        step()
    finally:
        sys.setprofile(before)
    return count - 1  # the last one is sys.setprofile


@pytest.mark.parametrize("workload", MOST)
def test_a_step_calls_few_functions(workload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_count", 1)  # waiting for other threads takes some calls more or fewer
    found = calls(WORKLOADS[workload](minidl))
    assert found <= MOST[workload]


def test_an_op_costs_the_same_in_a_long_graph() -> None:
    x = minidl.ones(4, 5, requires_grad=True)

    def chain(length: int) -> None:
        y = x
        for _ in range(length):
            y = y * 0.5
        y.sum().backward()

    short, long, longest = (calls(lambda length=length: chain(length)) for length in (100, 1_000, 10_000))
    assert (longest - long) / 9_000 == pytest.approx((long - short) / 900, rel=0.01)  # gc may call something, too
