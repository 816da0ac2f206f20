"""What happens between two training steps: measuring, drawing the progress bar, and stopping in good order.

The bar is drawn a few times a second and not at every step, which it would slow down.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from operator import length_hint
from types import FrameType, TracebackType
from typing import Any

from minidl.autograd import Tensor
from minidl.train.meter import Meter

SECONDS_BETWEEN_DRAWINGS = 0.2


class Progress:
    """The progress of one epoch, as a context manager around its steps; call `note` after each.

    `show` draws a bar on the terminal: percentage, loss, accuracy, `unit` per second; where standard error is
    not a terminal, nothing is drawn.  Ctrl-C takes effect at the next `note`, so that no step is left half
    done; a second one takes effect at once.
    """

    def __init__(self, batches: Any, title: str, unit: str = "examples", show: bool = True) -> None:
        self.result: dict[str, float] = {}  # of the whole epoch, once it has ended
        self._title = title
        self._meter = Meter()
        self._started = self._next_drawing = time.perf_counter()
        self._stopping = False
        self._bar: Any = None
        if show and sys.stderr.isatty():
            from tqdm import tqdm

            total = length_hint(batches.dataset, 0) or None if hasattr(batches, "dataset") else None
            self._bar = tqdm(
                total=total, desc=title, unit=f" {unit}", unit_scale=True, leave=False, mininterval=0
            )

    def note(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Note one step.  Raises FloatingPointError, some steps late, if a loss was not finite."""
        self._meter.add(loss, outputs, targets)
        if self._stopping:
            raise KeyboardInterrupt
        if time.perf_counter() >= self._next_drawing:
            self._read()

    def _read(self) -> dict[str, float]:
        """The means so far; what is new is drawn on the bar."""
        before = self._meter.examples
        means = self._meter.means()
        if self._meter.first_bad is not None:
            raise FloatingPointError(
                f"the loss is nan or infinite in step {self._meter.first_bad} of {self._title}, and by now "
                "so are the weights: build the model anew and train it with a tenth of the learning rate, or "
                "with clip_grad_norm=1; if that does not help, look for nan and huge numbers in the inputs, and on a "
                "GPU for labels and tokens out of range"
            )
        if self._bar is not None:
            self._bar.set_postfix({name: f"{mean:.4f}" for name, mean in means.items()}, refresh=False)
            self._bar.update(self._meter.examples - before)
        self._next_drawing = time.perf_counter() + SECONDS_BETWEEN_DRAWINGS
        return means

    def __enter__(self) -> Progress:
        # Another handler than Python's own (a notebook's, or "ignore") is left to do what it does.
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._handles = in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._handles:
            signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                means = self._read()
                seconds = time.perf_counter() - self._started
                rate = self._meter.examples / seconds
                self.result = {**means, "seconds": seconds, "examples_per_second": rate}
        finally:
            if self._handles:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            if self._bar is not None:
                self._bar.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
