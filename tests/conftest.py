"""What holds for all tests: one thread of BLAS for each process; and, after a run, how much of PyTorch is covered."""

import os
from typing import Any

import pytest

for _library in ("OPENBLAS", "OMP", "MKL"):  # read when NumPy is imported, which is later; threads wait for each other
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.INTERRUPTED:  # the cases could not even be imported
        return
    from parity.every_case import CASES, LAYERS
    from parity.vocabulary import ELSEWHERE, NAMES

    drawn = sum(name in CASES or name in LAYERS for name in NAMES)
    terminalreporter.write_line(
        f"parity with PyTorch: {drawn} of {len(NAMES)} names of the vocabulary on drawn arguments, "
        f"{sum(name in ELSEWHERE for name in NAMES)} in tests of their own; {len(CASES)} functions and "
        f"{len(LAYERS)} layers in all"
    )
