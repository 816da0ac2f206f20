"""Whether operations are recorded, and the switches: no_grad, enable_grad, set_grad_enabled, inference_mode.

Each thread has its own switch.
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from functools import partial, wraps
from inspect import isgeneratorfunction
from typing import Any


class Mode(threading.local):
    def __init__(self) -> None:
        self.recording = True
        self.before: list[bool] = []  # what it was outside the blocks that are open now


mode = Mode()


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return mode.recording


def _record(recording: bool) -> None:
    mode.recording = recording


class _Recording(ContextDecorator):
    """Switch recording for a `with` block, or for the calls of a decorated function."""

    def __new__(cls, function: Any = None, **options: Any) -> Any:
        """`@no_grad` means the same as `@no_grad()`."""
        return cls()(function) if callable(function) else super().__new__(cls)  # type: ignore[call-arg]

    def __init__(self, recording: bool) -> None:
        self.recording = recording

    def __enter__(self) -> None:
        mode.before.append(mode.recording)
        mode.recording = self.recording

    def __exit__(self, *error: object) -> None:
        mode.recording = mode.before.pop()

    def __call__(self, function: Any) -> Any:
        decorated = super().__call__
        if not isgeneratorfunction(function):
            return decorated(function)

        @wraps(function)
        def items(*args: Any, **options: Any) -> Any:  # each is computed inside the block, and used outside
            end = object()
            step = decorated(partial(next, function(*args, **options), end))
            while (item := step()) is not end:
                yield item

        return items


class no_grad(_Recording):
    """Do not record operations: in a `with` statement, or as a decorator `@no_grad()`.

    >>> import minidl
    >>> x = minidl.tensor(3.0, requires_grad=True)
    >>> with minidl.no_grad():
    ...     print((x * x).requires_grad)
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_Recording):
    """Record operations again inside a `no_grad` block."""

    def __init__(self) -> None:
        super().__init__(True)


class inference_mode(_Recording):
    """The same as `no_grad`, for predictions; with `mode` False the same as `enable_grad`.

    >>> import minidl
    >>> @inference_mode()
    ... def predict(x): return x * 2
    >>> predict(minidl.ones(1, requires_grad=True)).requires_grad
    False
    """

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode)


class set_grad_enabled(ContextDecorator):
    """Record operations or not, from here on; in a `with` statement or as a decorator, for its block only."""

    def __init__(self, mode: bool) -> None:
        self.recording, self.before = mode, is_grad_enabled()
        _record(mode)

    def __enter__(self) -> None:
        pass  # it acts when it is made

    def __exit__(self, *error: object) -> None:
        mode.recording = self.before

    def __call__(self, function: Any) -> Any:
        self.__exit__()  # a decorator acts when the function is called
        return _Recording(self.recording)(function)
