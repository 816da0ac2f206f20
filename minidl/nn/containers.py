"""Modules made of modules: one after the other, in a list, or by name.

The children are attributes like those of any module, named "0", "1", ... where they have no other name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from itertools import count, groupby
from operator import index as as_index
from typing import Any, Self

from minidl.nn.module import Module


class _Numbered(Module, MutableSequence[Module]):
    """Modules in a row; Python's MutableSequence makes the other methods of a list out of these."""

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._own_modules())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _names(self) -> list[str]:
        return [name for name, _ in self._own_modules()]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._part(self._names()[index])
        return vars(self)[self._name(index)]

    def _part(self, names: list[str]) -> Self:
        """A container of the named children, under their names."""
        part = type(self)()
        for name in names:
            part.add_module(name, vars(self)[name])
        return part

    def _name(self, index: Any) -> str:
        names, place = self._names(), as_index(index)
        if not -len(names) <= place < len(names):
            raise IndexError(f"{type(self).__name__} holds {len(names)} modules, there is none at index {place}")
        return names[place]

    def __setitem__(self, index: Any, module: Any) -> None:
        self.add_module(self._name(index), module)

    def __delitem__(self, index: Any) -> None:
        modules = list(self)
        del modules[index if isinstance(index, slice) else as_index(index)]
        self._refill(modules)

    def insert(self, index: int, module: Module) -> Self:  # type: ignore[override]
        """Put `module` before the one at `index`, number those behind it anew, and return the container."""
        modules = list(self)
        modules.insert(index, module)
        self._refill(modules)
        return self

    def append(self, module: Module) -> Self:  # type: ignore[override]
        """Put `module` at the end, and return the container."""
        free = (str(n) for n in count(len(self)) if str(n) not in vars(self))  # a slice keeps its names: "1", "2"
        self.add_module(next(free), _checked(module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:  # type: ignore[override]
        """Put each of `modules` at the end, and return the container."""
        for module in list(modules):
            self.append(module)
        return self

    def __add__(self, other: Iterable[Module]) -> Self:
        return self[:].extend(other)

    def _refill(self, modules: list[Module]) -> None:
        modules = [_checked(module) for module in modules]
        for name in self._names():
            delattr(self, name)
        self.extend(modules)


class Sequential(_Numbered):
    """Modules that are run one after the other: the output of each is the input of the next.

    Takes modules, or one dictionary of names and modules.  TypeError for anything else.

    >>> from minidl import nn, zeros
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    >>> net(zeros(8, 1, 28, 28)).shape
    (8, 10)
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, _checked(module))
        else:
            self.extend(modules)

    def forward(self, input: Any) -> Any:
        for module in vars(self).values():
            if isinstance(module, Module):
                input = module(input)
        return input


class ModuleList(_Numbered):
    """A list of modules, whose parameters are found; what is done with them is up to the `forward` around it.

    >>> from minidl import nn
    >>> nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    ModuleList(
      (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def _part(self, names: list[str]) -> Self:
        return type(self)(vars(self)[name] for name in names)  # numbered anew

    def _child_lines(self) -> list[str]:
        """Equal neighbours stand on one line."""
        lines, start = [], 0
        for text, equal in groupby(map(repr, self)):
            number = len(list(equal))
            end = start + number - 1
            lines.append(f"({start}): {text}" if number == 1 else f"({start}-{end}): {number} x {text}")
            start += number
        return lines


class ModuleDict(Module, MutableMapping[str, Module]):
    """Modules by name, whose parameters are found; Python's MutableMapping makes it a dictionary.

    >>> from minidl import nn
    >>> nn.ModuleDict({"encoder": nn.Linear(4, 2), "decoder": nn.Linear(2, 4)})["encoder"]
    Linear(in_features=4, out_features=2, bias=True)
    """

    __eq__, __hash__ = object.__eq__, object.__hash__  # a mapping would compare its content

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._own_modules())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Module:
        if name not in iter(self):
            raise KeyError(f"ModuleDict has no module {name!r}; it has {', '.join(self) or 'none'}")
        return vars(self)[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, _checked(module))

    def __delitem__(self, name: str) -> None:
        self[name]  # raises KeyError if it is not there
        delattr(self, name)


def _checked(module: Any) -> Module:
    if not isinstance(module, Module):
        raise TypeError(f"expected a Module, got {type(module).__name__}")
    return module
