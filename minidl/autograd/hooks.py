"""The handle with which a hook is taken away again, on a tensor or on a module.

A hook is a function that is called when something passes by: a gradient, or the inputs and outputs of a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class RemovableHandle:
    """What the registration of a hook returns.

    >>> hooks = {}
    >>> handle = RemovableHandle(hooks, print)
    >>> handle.remove()
    >>> hooks
    {}
    """

    def __init__(self, hooks: dict[Any, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._hooks.pop(self, None)
