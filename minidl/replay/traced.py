"""Arrays that note what is done with them: each stands for a NumPy array and hands every call on it to a Recorder.

They carry the numbers, so that what is computed with them is computed while it is being noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

if TYPE_CHECKING:
    from minidl.replay.recorder import Recorder


recorders: list[Any] = []  # the last one hears what is done; the first is there when none records


class Traced(NDArrayOperatorsMixin):
    """Stands for the array `buffer`; `scalar` says that NumPy itself would have a number here and not an array."""

    __slots__ = ("__weakref__", "buffer", "scalar")
    __hash__ = object.__hash__

    def __init__(self, buffer: np.ndarray[Any, Any], scalar: bool = False) -> None:
        self.buffer, self.scalar = buffer, scalar

    @property
    def recorder(self) -> Recorder:
        return recorders[-1]

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # what isinstance asks
        return self.buffer.dtype.type if self.scalar else np.ndarray

    # -- what NumPy hands over

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **words: Any) -> Any:
        return self.recorder.ufunc(ufunc, method, inputs, words)

    def __array_function__(self, function: Callable[..., Any], types: Any, inputs: Any, words: Any) -> Any:
        return self.recorder.function(function, inputs, words)

    def __pow__(self, exponent: Any) -> Any:  # of arrays not always the ufunc: x**2 is the square
        return self.recorder.power(self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return self.recorder.power(base, self)

    def __ipow__(self, exponent: Any) -> Any:
        if self.scalar:
            return self**exponent
        self[...] = self**exponent
        return self

    def __getitem__(self, index: Any) -> Any:
        return self.recorder.picked(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.recorder.assigned(self, index, value)

    # -- methods

    def flatten(self) -> Any:
        return self.copy().reshape(-1)

    def fill(self, value: Any) -> None:
        self[...] = value

    def sum(self, axis: Any = None, **words: Any) -> Any:
        return np.add.reduce(self, axis=axis, **_said(words))

    def max(self, axis: Any = None, **words: Any) -> Any:
        return np.maximum.reduce(self, axis=axis, **_said(words))

    def min(self, axis: Any = None, **words: Any) -> Any:
        return np.minimum.reduce(self, axis=axis, **_said(words))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.buffer)

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def base(self) -> Any:
        return None if self.buffer.base is None else self.recorder.owner(self.buffer)

    def __getattr__(self, name: str) -> Any:
        """What is the same at every step; of the rest it is noted that it was looked at."""
        if name not in _STATIC:
            self.recorder.refuse(f"it asks an array for .{name}")
        return getattr(self.buffer, name)


def _said(words: dict[str, Any]) -> dict[str, Any]:
    """The words that say something, for a call with few is quicker."""
    return {name: value for name, value in words.items() if value is not None and value is not False}


_STATIC = ("shape", "ndim", "size", "dtype", "strides", "itemsize", "nbytes", "flags")


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np.ndarray, name)
    return lambda self, *inputs, **words: self.recorder.call(function, (self, *inputs), words)


def _copying(name: str) -> Callable[..., Any]:
    """A method whose result holds the same numbers in the same order."""
    return lambda self, *inputs, **words: self.recorder.same_numbers(name, self.buffer, inputs, words)


def _reading(name: str) -> Callable[..., Any]:
    """A method that gives Python a number to go on with, which a replay would not see change."""

    def method(self: Traced, *inputs: Any, **words: Any) -> Any:
        self.recorder.read()
        return getattr(self.buffer, name)(*inputs, **words)

    return method


for _name in ("transpose", "swapaxes", "squeeze", "view", "mean", "prod", "any", "all", "argmax", "argmin", "cumsum",
              "cumprod", "clip"):  # fmt: skip
    setattr(Traced, _name, _method(_name))
for _name in ("astype", "copy", "ravel", "reshape"):
    setattr(Traced, _name, _copying(_name))
for _name in ("item", "tolist", "__float__", "__int__", "__bool__", "__index__", "__array__", "__complex__"):
    setattr(Traced, _name, _reading(_name))


class Stream:
    """Stands for NumPy's generator: the numbers that are drawn from it are drawn anew in every replay."""

    def __init__(self, recorder: Recorder, owner: Any) -> None:
        self._recorder, self._owner = recorder, owner

    def __getattr__(self, name: str) -> Any:
        value = getattr(vars(self._owner)["numpy"], name)
        if not callable(value):
            self._recorder.refuse("it looks into a stream of random numbers")
            return value
        return lambda *inputs, **words: self._recorder.drawn(self._owner, name, inputs, words)
