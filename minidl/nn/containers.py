"""Modules made of modules, or of parameters: one after the other, in a list, or by name.

The children are attributes like those of any module, named "0", "1", ... where they have no other name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from itertools import count, groupby, pairwise
from operator import index as as_index
from typing import Any, Self

import numpy as np

from minidl import kernels
from minidl.autograd import Tensor
from minidl.backend import modules
from minidl.nn.activations import ReLU
from minidl.nn.conv import Conv1d, Conv2d, Conv3d
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

_WITH_BIAS = Linear, Conv1d, Conv2d, Conv3d


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
        """Put `module` before the one at `index`, number all anew, and return the container; IndexError beyond it."""
        modules = list(self)
        if not -len(modules) <= index <= len(modules):
            raise IndexError(f"{type(self).__name__} holds {len(modules)} modules, none can be put at index {index}")
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

    def __mul__(self, times: int) -> Self:
        """The same modules, which share their parameters, `times` times over."""
        if not isinstance(times, int):
            return NotImplemented
        if times < 1:
            raise ValueError(f"a Sequential can be repeated 1 time or more, got {times}")
        return type(self)(*list(self) * times)

    __rmul__ = __mul__

    def forward(self, input: Any) -> Any:
        if type(input) is Tensor and modules[type(input.array)] is not np:
            return self._forward_on_gpu(input)
        for module in vars(self).values():
            if isinstance(module, Module):
                input = module(input)
        return input

    def _forward_on_gpu(self, input: Tensor) -> Any:
        """The same; where a ReLU comes behind a layer, one kernel adds the layer's bias and makes both results."""
        try:
            for module, behind in pairwise([*self, self]):  # behind the last is no ReLU
                kernels.ahead.relu = _is_plain(module, *_WITH_BIAS) and _is_plain(behind, ReLU)
                input = module(input)
            return input
        finally:
            kernels.ahead.relu, kernels.ahead.made = False, None


def _is_plain(module: Module, *kinds: type[Module]) -> bool:
    """Whether calling the module does what one of these classes does; who patches a class is trusted."""
    return type(module) in kinds and not module._hooked and "forward" not in vars(module)


class ModuleList(_Numbered):
    """A list of modules, whose parameters are found; what is done with them is up to the `forward` around it.

    >>> from minidl import nn
    >>> nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    ModuleList(
      (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())

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

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        self.update(modules or ())

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


class ParameterList(Module, MutableSequence[Any]):
    """A list of parameters; tensors that are put in become parameters.

    >>> from minidl import nn, ones
    >>> weights = nn.ParameterList([ones(2), ones(3)])
    >>> [tuple(w.shape) for w in weights], list(weights.state_dict())
    ([(2,), (3,)], ['0', '1'])
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.extend(values or ())

    def __len__(self) -> int:
        return sum(name.isdecimal() for name in vars(self))

    def __iter__(self) -> Iterator[Any]:
        return (vars(self)[str(i)] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        chosen = list(self)[index]
        return type(self)(chosen) if isinstance(index, slice) else chosen

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, str(range(len(self))[index]), _as_parameter(value))

    def __delitem__(self, index: Any) -> None:
        self._refill([value for i, value in enumerate(self) if i not in _numbers(index, len(self))])

    def insert(self, index: int, value: Any) -> None:
        """Put `value` before the one at `index`."""
        values = list(self)
        values.insert(index, value)
        self._refill(values)

    def _refill(self, values: list[Any]) -> None:
        for i in range(len(self)):
            delattr(self, str(i))
        for i, value in enumerate(values):
            setattr(self, str(i), _as_parameter(value))

    def append(self, value: Any) -> Self:  # type: ignore[override]
        """Put `value` at the end, and return the list."""
        setattr(self, str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:  # type: ignore[override]
        """Put each of `values` at the end, and return the list."""
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(f"({i}): {_described(value)}" for i, value in enumerate(self))


class ParameterDict(Module, MutableMapping[str, Any]):
    """Parameters by name; tensors that are put in become parameters.

    >>> from minidl import nn, ones
    >>> nn.ParameterDict({"left": ones(2)})["left"].requires_grad
    True
    """

    __eq__, __hash__ = object.__eq__, object.__hash__  # a mapping would compare its content

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        self._keys: dict[str, None] = {}
        self.update(parameters or {})

    def update(self, parameters: Any) -> None:  # type: ignore[override]
        """Put in those of a mapping or of (name, parameter) pairs; of a plain dictionary sorted, as PyTorch does."""
        ordered = isinstance(parameters, (OrderedDict, ParameterDict)) or not isinstance(parameters, Mapping)
        super().update(parameters if ordered else sorted(parameters.items()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(f"ParameterDict has no parameter {key!r}; it has {', '.join(self) or 'none'}")
        return vars(self)[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._check_new(key, "parameter", None, Parameter)
        self._keys[key] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        self[key]  # raises KeyError if it is not there
        delattr(self, key)
        del self._keys[key]

    def extra_repr(self) -> str:
        return "\n".join(f"({key}): {_described(value)}" for key, value in self.items())


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _numbers(index: Any, length: int) -> range:
    """The places that an index or a slice names in a list of `length`."""
    places = range(length)[index]
    return places if isinstance(places, range) else range(places, places + 1)


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"{kind} containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}]"
