"""A recorder in the place of torch.utils.tensorboard: scalars go to a CSV table that any program reads.

The table is `scalars.csv` in the log folder, with the columns tag, step, value and seconds.
"""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import Any


class SummaryWriter:
    """Writes each scalar to `log_dir`/scalars.csv, by default in runs/; other kinds of summaries are not kept.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with SummaryWriter(folder) as writer:
    ...         writer.add_scalar("loss", 0.5, 1)
    ...     Path(folder, "scalars.csv").read_text().splitlines()[1][:8]
    'loss,1,0'
    """

    def __init__(self, log_dir: str | os.PathLike[str] | None = None, comment: str = "", **options: Any) -> None:
        self.log_dir = str(log_dir or Path("runs") / (time.strftime("%b%d_%H-%M-%S") + comment))
        Path(self.log_dir).mkdir(parents=True, exist_ok=True)
        self._file = Path(self.log_dir, "scalars.csv").open("a", newline="")  # noqa: SIM115 (close() closes it)
        self._rows = csv.writer(self._file)
        self._start = time.perf_counter()
        if not self._file.tell():
            self._rows.writerow(["tag", "step", "value", "seconds"])

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int | None = None, *args: Any, **kw: Any) -> None:
        """Write one number."""
        seconds = round(time.perf_counter() - self._start, 3)
        self._rows.writerow([tag, "" if global_step is None else int(global_step), float(scalar_value), seconds])

    def add_scalars(self, main_tag: str, tag_scalar_dict: dict[str, Any], global_step: int | None = None,
                    *args: Any, **kw: Any) -> None:  # fmt: skip
        """Write several numbers, as main_tag/name."""
        for name, value in tag_scalar_dict.items():
            self.add_scalar(f"{main_tag}/{name}", value, global_step)

    def _not_kept(self, *args: Any, **kw: Any) -> None:
        """Images, histograms, texts, graphs and the like are accepted, and not kept."""

    add_image = add_images = add_figure = add_histogram = add_text = add_graph = add_embedding = _not_kept
    add_hparams = add_pr_curve = add_video = add_audio = _not_kept

    def flush(self) -> None:
        """Bring what was written to the disk."""
        self._file.flush()

    def close(self) -> None:
        """Close the table."""
        self._file.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
