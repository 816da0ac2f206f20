"""Parity with PyTorch on drawn arguments: hypothesis draws shapes, dims, options and values, both libraries are called.

How to write a case (in a file cases_*.py of this folder, which is found by its name):

    @case("lerp")                                      # looked up as minidl.lerp and torch.lerp; if torch.Tensor has a
    def _(draw):                                       # method of that name, x.lerp(...) is compared, too
        shape = draw.shape()
        return call(draw.floats(shape), draw.floats(draw.broadcastable(shape)), weight=draw.number())

    @case("nn.functional.softplus", "nn.functional.softsign")       # several names that take the same arguments
    @case("Tensor.add_")                               # the method of a tensor; the changed tensor is compared, too

    @layer("nn.Linear")                                # a module: built by both libraries with the same arguments, ours
    def _(draw):                                       # loads PyTorch's weights; then forward, gradients of inputs and
        n = draw.size()                                # parameters, and buffers after the step are compared
        return call(n, draw.size(), bias=draw.flag()), call(draw.floats((*draw.shape(), n)))

Arrays of floats receive gradients, which are compared; `fixed(array)` does not.  `named("nn.ReLU", call())` is a layer
as an argument, `named("nn.functional.relu")` a function.  Where PyTorch raises, minidl must
raise the same class or a subclass; where PyTorch does not, neither may minidl.  What is returned is compared in
structure, shape, dtype and value.  The number of draws is 25, or MINIDL_DRAWS of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st


class Call(NamedTuple):
    arguments: tuple[Any, ...]
    options: dict[str, Any]


def call(*arguments: Any, **options: Any) -> Call:
    return Call(arguments, options)


@dataclass
class Fixed:
    """An array of floats that takes no gradient."""

    array: np.ndarray


fixed = Fixed


@dataclass
class Named:
    """What a library has under this name, or, with a call, what it makes of it: a layer as an argument of another."""

    name: str
    call: Call | None = None


named = Named


@dataclass
class Case:
    name: str
    draw: Callable[[Draw], Any]
    tolerance: float = 1.0  # a factor to that of the dtype, for what is badly conditioned; say why at the case
    gradients: bool = True  # False where PyTorch itself has none, or where they are not unique (say why)


CASES: dict[str, Case] = {}
LAYERS: dict[str, Case] = {}


def _registering(registry: dict[str, Case]) -> Callable[..., Any]:
    def register(*names: str, **how: Any) -> Callable[[Any], Any]:
        def decorate(draw: Any) -> Any:
            for name in names:
                assert name not in registry, f"{name} has a case already"
                registry[name] = Case(name, draw, **how)
            return draw

        return decorate

    return register


case = _registering(CASES)
layer = _registering(LAYERS)


class Draw:
    """What a case draws its arguments with; every choice is hypothesis's, so that a failure shrinks."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.dtype = self.one_of("float64", "float32")  # of all floats of one draw
        self.random = np.random.default_rng(self.integer(0, 2**16))

    def one_of(self, *choices: Any) -> Any:
        return self.data.draw(st.sampled_from(choices))

    def flag(self) -> bool:
        return self.data.draw(st.booleans())

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return self.data.draw(st.integers(low, high))

    def number(self, low: float = -2.0, high: float = 2.0) -> float:
        return self.data.draw(st.floats(low, high, allow_subnormal=False).map(lambda x: round(x, 3)))

    # -- shapes

    def size(self, low: int = 1, high: int = 4) -> int:
        return self.integer(low, high)

    def shape(self, min_dims: int = 0, max_dims: int = 4, *, empty: bool = True, high: int = 4) -> tuple[int, ...]:
        """A shape; now and then, if `empty`, one with a dimension of length 0."""
        sides = [self.size(1, high) for _ in range(self.integer(min_dims, max_dims))]
        if empty and sides and self.integer(0, 9) == 9:
            sides[self.integer(0, len(sides) - 1)] = 0
        return tuple(sides)

    def broadcastable(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that broadcasts with `shape`: leading dimensions gone, or some lengths 1, or one dimension more."""
        kind = self.one_of("same", "fewer", "ones", "more")
        if kind == "fewer":
            return tuple(shape[self.integer(0, len(shape)) :])
        if kind == "ones":
            return tuple(1 if self.flag() else n for n in shape)
        return (self.size(1, 3), *shape) if kind == "more" else tuple(shape)

    def dim(self, ndim: int, *, wrong: bool = True) -> int:
        """A dimension, counted from the front or from the end; now and then, if `wrong`, one that is not there."""
        limit = max(ndim, 1)
        if wrong and self.integer(0, 19) == 19:
            return self.one_of(limit, -limit - 1)
        return self.integer(-limit, limit - 1)

    def dims(self, ndim: int) -> Any:
        """For reductions: None, one dimension, or several different ones."""
        kind = self.one_of("none", "one", "several")
        if kind == "none":
            return None
        if kind == "one" or not ndim:
            return self.dim(ndim)
        chosen = self.data.draw(st.lists(st.integers(0, ndim - 1), min_size=1, unique=True))
        return tuple(d - ndim if self.flag() else d for d in chosen)

    # -- arrays

    def floats(self, shape: Sequence[int], *, ties: bool = True) -> np.ndarray:
        """Normal numbers; now and then, if `ties`, small whole ones with zeros and repetitions among them."""
        if ties and self.integer(0, 4) == 4:
            return self._laid(shape, lambda s: self.random.integers(-2, 3, s))
        return self._laid(shape, self.random.standard_normal)

    def positive(self, shape: Sequence[int], low: float = 0.2, high: float = 3.0) -> np.ndarray:
        return self._laid(shape, lambda s: self.random.uniform(low, high, s))

    def distinct(self, shape: Sequence[int]) -> np.ndarray:
        """Numbers no two of which are equal, and none 0: for what has no unique gradient at ties."""
        size = int(np.prod(shape, dtype=int))
        return self._laid(shape, lambda s: (self.random.permutation(size).reshape(s) - size // 2 + 0.5) * 0.1)

    def integers(self, shape: Sequence[int], low: int = -5, high: int = 5, dtype: str = "int64") -> np.ndarray:
        """Whole numbers from `low` to `high`, both included."""
        return self._laid(shape, lambda s: self.random.integers(low, high + 1, s), dtype)

    def booleans(self, shape: Sequence[int]) -> np.ndarray:
        return self._laid(shape, lambda s: self.random.random(s) < 0.5, "bool")

    def _laid(self, shape: Sequence[int], make: Callable[..., Any], dtype: str | None = None) -> np.ndarray:
        """What `make` gives for the shape; now and then not contiguous."""
        if len(shape) > 1 and self.integer(0, 3) == 3:
            return np.asarray(make(tuple(shape[::-1])), dtype or self.dtype).T
        return np.asarray(make(tuple(shape)), dtype or self.dtype)
