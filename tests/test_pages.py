"""minidl.pages: arrays that come and go in every step do not cost new pages each time."""

import os
import subprocess
import sys

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


@pytest.mark.parametrize("name", ["MINIDL_KEEP_MEMORY", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_sets_stays(name, monkeypatch):
    monkeypatch.setenv(name, "0")
    assert not pages.keep()
