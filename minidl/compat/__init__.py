"""PyTorch's scripts on minidl, unmodified: `import torch` gives minidl under PyTorch's module names.

`minidl torch script.py` runs a script so; what minidl does not have fails at the line that uses it.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from minidl.compat.namespaces import install_as_torch as install_as_torch


def run_script(script: str, arguments: Sequence[str] = ()) -> None:
    """Run the Python file `script` as a program with `arguments`, with minidl in the place of torch.

    FileNotFoundError if there is no such file; whatever the script raises comes out as it is.
    """
    if not Path(script).is_file():
        raise FileNotFoundError(f"there is no script {script}")
    install_as_torch()
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))  # where Python looks for modules beside a script
    with np.errstate(all="ignore"):  # PyTorch does not warn of infinities
        runpy.run_path(script, run_name="__main__")


def traceback_of(error: BaseException, script: str) -> TracebackType | None:
    """The traceback of an error that came out of `run_script`, as if Python itself had run the script.

    It begins in the script, and where the error says what minidl lacks, it ends at the line that asks for it.
    """
    entries: list[TracebackType] = []
    entry = error.__traceback__
    while entry is not None:
        if entries or entry.tb_frame.f_code.co_filename == script:
            entries.append(entry)
        entry = entry.tb_next
    here = str(Path(__file__).parent)
    while entries and entries[-1].tb_frame.f_code.co_filename.startswith((here, "<frozen importlib")):
        entries.pop()
    if not entries:
        return None  # a script that is not Python
    entries[-1].tb_next = None
    return entries[0]
