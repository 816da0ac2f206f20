"""All cases of this folder, imported once."""

import importlib
from pathlib import Path

from parity.drawing import CASES as CASES
from parity.drawing import LAYERS as LAYERS

for path in sorted(Path(__file__).parent.glob("cases_*.py")):
    importlib.import_module(f"parity.{path.stem}")
