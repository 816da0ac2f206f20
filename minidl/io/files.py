"""Writing files so that nobody ever sees half of one.

A file is written under another name beside its place, and takes that place when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, of the same file type, that replaces it when the block succeeds.

    When the block raises, what stood at `path` before is still there, and nothing else is left behind.  A
    folder that does not exist raises FileNotFoundError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a.txt")) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     [path.name for path in Path(folder).iterdir()]
    ['a.txt']
    """
    final = Path(path)
    if not final.parent.is_dir():
        raise FileNotFoundError(
            f"cannot write {final}: the folder {final.parent} does not exist, make it first"
        )
    temporary = final.with_name(f".{final.stem}-{os.getpid()}{final.suffix}")
    try:
        yield temporary
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
