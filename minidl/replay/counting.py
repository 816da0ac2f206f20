"""What Python counts while a step is recorded: a replay, which runs no Python, would leave it as it is.

Looked at are the variables that a step names itself, and the modules that it calls.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np

MOST = 10_000  # entries of a thing that are looked at


class Counts:
    """The numbers in some things, as they were when they were last looked at; `changed` names the first other one."""

    def __init__(self) -> None:
        self.things: dict[int, tuple[str, Any, dict[str, str]]] = {}  # by id: a name, the thing, the numbers in it
        self.changed: str | None = None

    def watch(self, name: str, thing: Any) -> None:
        if id(thing) not in self.things:
            self.things[id(thing)] = name, thing, numbers(thing)

    def look(self) -> None:
        """See whether a number is another than it was."""
        for name, thing, before in self.things.values():
            if self.changed is None and (now := numbers(thing)) != before:
                place = next(place for place in {**now, **before} if now.get(place) != before.get(place))
                self.changed = name + place

    def renew(self) -> None:
        """From now on the numbers are to be what they are now."""
        for key, (name, thing, _) in self.things.items():
            self.things[key] = name, thing, numbers(thing)


def numbers(thing: Any) -> dict[str, str]:
    """The numbers and words in attributes of an object, in nested lists, tuples, sets and dictionaries, by their place.

    >>> numbers({"steps": [3, 4.5]})
    {"['steps'][0]": '3', "['steps'][1]": '4.5'}
    """
    found, seen = dict[str, str](), {id(thing)}
    left = deque(_attributes(thing) or _entries("", thing))
    while left and len(found) + len(seen) < MOST:
        place, value = left.popleft()
        if value is None or isinstance(value, (int, float, str, np.generic)):
            found[place] = repr(value)
        elif id(value) not in seen:
            seen.add(id(value))
            left.extend(_entries(place, value))
    return found


def _attributes(thing: Any) -> list[tuple[str, Any]]:
    """Those of an object; a flag, such as `training`, is set and not counted."""
    try:
        inside = None if isinstance(thing, ModuleType) else thing.__dict__
    except Exception:  # whatever an object says that has none
        return []
    some = list(inside.items()) if type(inside) is dict else []
    return [(f".{key}", x) for key, x in some if type(x) is not bool]


def _entries(place: str, value: Any) -> list[tuple[str, Any]]:
    """Those of a list, a tuple, a set or a dictionary, copied at once: another thread may be changing it."""
    if isinstance(value, dict):
        some = list(islice(value.items(), MOST))
        return [(f"{place}[{key!r}]", x) for key, x in some if type(key) in (int, str)]
    some = list(islice(value, MOST)) if isinstance(value, (list, tuple, set)) else []
    return [(f"{place}[{i}]", x) for i, x in enumerate(some)]
