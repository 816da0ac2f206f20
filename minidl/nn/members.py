"""PyTorch's dictionaries of a module, `_modules`, `_parameters` and `_buffers`, as views.

A module of minidl has plain attributes; what is written into a view becomes one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any


class Members(MutableMapping[str, Any]):
    """What `own` finds among the attributes of `module`, by name; `put(module, name, value)` sets one.

    An attribute that is None is found as well, for it may stand for a parameter that is left out.

    >>> from minidl import nn
    >>> layer = nn.Linear(2, 3, bias=False)
    >>> list(layer._parameters), layer._parameters["bias"]
    (['weight'], None)
    """

    def __init__(
        self, module: Any, own: Callable[[Any], Iterable[tuple[str, Any]]], put: Callable[[Any, str, Any], None]
    ) -> None:
        self._module, self._own, self._put = module, own, put

    def _found(self) -> dict[str, Any]:
        return dict(self._own(self._module))

    def __getitem__(self, name: str) -> Any:
        return None if vars(self._module).get(name, self) is None else self._found()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._put(self._module, name, value)

    def __delitem__(self, name: str) -> None:
        _ = self[name]  # KeyError, as of a dictionary
        delattr(self._module, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found())

    def __len__(self) -> int:
        return len(self._found())

    def __repr__(self) -> str:
        return repr(self._found())
