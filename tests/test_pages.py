"""minidl.pages: arrays that come and go in every step do not cost new pages each time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minidl import pages

FAULTS = """
import resource
import minidl
import numpy as np
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step = lambda: [np.ones(2**20, np.float32) for _ in range(4)]  # 16 MiB
step(), step()
before = faults()
for _ in range(20):
    step()
print(faults() - before)
"""


def faults_of_twenty_steps(**environment):
    command = [sys.executable, "-c", FAULTS]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not pages._glibc(), reason="only glibc has this setting")
def test_pages_are_kept_unless_the_environment_says_otherwise():
    kept, left = faults_of_twenty_steps(), faults_of_twenty_steps(MINIDL_KEEP_MEMORY="0", MALLOC_TOP_PAD_="0")
    assert kept < 100 < 1000 < left


def pages_of_the_system():
    known = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return known.read_text() if known.exists() else "[never]"


@pytest.mark.skipif(
    not pages._glibc() or "[madvise]" not in pages_of_the_system(), reason="systems with large pages on request only"
)
def test_arrays_lie_in_large_pages():
    program = """
import minidl
import numpy as np
arrays = [np.ones(2**18, np.float32) for _ in range(32)]  # 1 MiB each: NumPy itself asks for large pages from 4 MiB on
print(*[line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")])
"""
    command = [sys.executable, "-c", program]
    large, small = (
        int(subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=True).stdout)
        for own in ({}, {"MINIDL_KEEP_MEMORY": "0"})
    )
    assert large > 20_000 + small  # KiB


@pytest.mark.parametrize("name", ["MINIDL_KEEP_MEMORY", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_sets_stays(name, monkeypatch):
    monkeypatch.setenv(name, "0")
    assert not pages.keep()
