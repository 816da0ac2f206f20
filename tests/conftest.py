"""What holds for all tests: one thread of BLAS for each process, for the tests run in as many as there are cores."""

import os

for _library in ("OPENBLAS", "OMP", "MKL"):  # read when NumPy is imported, which is later; threads wait for each other
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
