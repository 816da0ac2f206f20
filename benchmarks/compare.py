"""Time minidl beside PyTorch and others, as `minidl bench` does, with the minidl of this checkout.

    python benchmarks/compare.py                about twelve minutes
    python benchmarks/compare.py --quick        two minutes, to see that it works
    python benchmarks/compare.py --only LSTM    the workloads with that word in their names
    python benchmarks/compare.py --write        also writes the tables to benchmarks/results.md, or to the file named
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from minidl.bench import add_options  # noqa: E402
from minidl.bench.compare import run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Time minidl beside PyTorch and others, and print the ratios.")
    add_options(parser, written=ROOT / "benchmarks" / "results.md")
    return run(parser.parse_args(), shlex.join(["python", "benchmarks/compare.py", *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
