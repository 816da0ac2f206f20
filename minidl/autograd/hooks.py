"""The handle with which a hook is taken away again, on a tensor or on a module.

A hook is a function that is called when something passes by: a gradient, or the inputs and outputs of a layer.
"""

from __future__ import annotations

from typing import Any


class RemovableHandle:
    """What the registration of a hook returns; with `prepend` the hook comes before those that are there.

    In a `with` statement it takes the hook away at the end of the block.

    >>> hooks = {}
    >>> handle = RemovableHandle(hooks, print)
    >>> handle.remove()
    >>> hooks
    {}
    """

    def __init__(self, hooks: dict[Any, Any], hook: Any, prepend: bool = False) -> None:
        self._hooks = hooks
        hooks[self] = hook
        if prepend:
            for other in list(hooks)[:-1]:
                hooks[other] = hooks.pop(other)

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._hooks.pop(self, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
