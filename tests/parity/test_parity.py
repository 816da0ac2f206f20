"""Every public function and layer against PyTorch's, on arguments that hypothesis draws (see drawing.py)."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parity.comparing import compare_function, compare_layer
from parity.every_case import CASES, LAYERS

DRAWS = int(os.environ.get("MINIDL_DRAWS", "25"))
drawn = settings(
    max_examples=DRAWS,
    deadline=None,  # the machine's load is not what is tested
    derandomize=True,  # the same verdict every day, for each number of draws
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", CASES)
def test_function(name: str) -> None:
    @drawn
    @given(st.data())
    def run(data: st.DataObject) -> None:
        compare_function(CASES[name], data)

    run()


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    @drawn
    @given(st.data())
    def run(data: st.DataObject) -> None:
        compare_layer(LAYERS[name], data)

    run()
