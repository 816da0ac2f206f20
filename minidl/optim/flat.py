"""Many parameters treated as one flat array, so that a step over forty small tensors costs a few calls, not hundreds.

What a rule remembers of the parameters of a group lies in flat arrays.  The weights stay where they are, because
others may hold views of them: large ones are changed in place, small neighbours gathered, changed and put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol, runtime_checkable

from minidl import backend
from minidl.backend import Array
from minidl.optim.runner import LINE, Update, aligned

SMALL = 2**14  # elements: gathering smaller tensors saves calls, copying larger ones would cost more than it saves


@runtime_checkable
class Parameter(Protocol):
    """What an optimizer needs of a tensor."""

    array: Array
    grad: Any
    name: str | None

    @property
    def is_leaf(self) -> bool: ...

    def mark_changed(self) -> None: ...


class Piece(NamedTuple):
    """Parameters `first` to `last` (exclusive), treated by one call, and what is remembered of them."""

    first: int
    last: int
    gathered: tuple[Array, Array] | None  # for their weights and gradients; None: one, used where it lies
    memory: list[Array]


class Flat:
    """Parameters of one dtype on one device, one behind the other, and what is remembered of them.

    `labels` name the parameters in errors; `steps[i]` is how many steps parameter i has taken, `kept[i]` the numbers
    that are remembered of it.
    """

    def __init__(self, params: Sequence[Parameter], labels: Sequence[str]) -> None:
        arrays = [p.array for p in params]
        self.params, self.labels = list(params), list(labels)
        self.dtype, self.device = arrays[0].dtype, backend.device_of(arrays[0])
        self.starts, self.ends, end = list[int](), list[int](), 0
        for a in arrays:
            self.starts.append(end if a.size < SMALL else -(-end // LINE) * LINE)  # the large ones aligned
            self.ends.append(end := self.starts[-1] + a.size)
        self.shapes, self.arrays = [a.shape for a in arrays], arrays
        self.memory: dict[str, Array] = {}
        self.steps = [0] * len(arrays)
        self.kept: list[dict[str, float]] = [{}] * len(arrays)
        self.forget_plans()

    def forget_plans(self) -> None:
        """To be called when steps or memory were changed from outside."""
        self._absent: list[bool] | None = None
        self._runs: list[tuple[int, int]] = []
        self._pieces: dict[Any, list[Piece]] = {}

    @property
    def xp(self) -> Any:
        return backend.array_module(self.params[0].array)

    def part(self, flat: Array, i: int) -> Array:
        """The part of a flat array that belongs to parameter i, in its shape."""
        return flat[self.starts[i] : self.ends[i]].reshape(self.shapes[i])

    def remember(self, letter: str, start: float = 0.0) -> Array:
        """The memory named `letter`; filled with the number `start` when it is first asked for."""
        if letter not in self.memory:
            self.memory[letter] = aligned(self.xp, self.ends[-1], self.dtype)
            self.memory[letter][...] = start
        return self.memory[letter]

    def __getstate__(self) -> dict[str, Any]:
        # After a deep copy or pickle all parameters count as moved.
        return {**self.__dict__, "arrays": [None] * len(self.params), "_pieces": {}}

    def moved(self) -> bool:
        """Whether a parameter was given another array since."""
        return any(p.array is not array for p, array in zip(self.params, self.arrays, strict=True))

    def inherit(self, i: int, old: Flat, j: int) -> None:
        """Go on with parameter i where `old` stopped with its parameter j, which is the same."""
        self.steps[i], self.kept[i] = old.steps[j], old.kept[j]
        for letter, memory in old.memory.items():
            self.part(self.remember(letter), i)[...] = backend.to_device(old.part(memory, j), self.device)

    # -- a step

    def gradient(self, i: int) -> Array | None:
        """The gradient of parameter i, None if there is none; RuntimeError if it does not fit the parameter."""
        grad = self.params[i].grad
        if grad is None:
            return None
        g, shape = getattr(grad, "array", None), self.shapes[i]
        if g is not None and g.shape == shape and g.dtype == self.dtype and backend.device_of(g) == self.device:
            return g
        came = type(grad).__name__ if g is None else f"shape {g.shape}, {g.dtype}, on {backend.device_of(g)}"
        raise (TypeError if g is None else RuntimeError)(
            f"the gradient of {self.labels[i]} must be a Tensor of shape {shape}, {self.dtype}, on {self.device}; "
            f"got {came}; nothing was changed"
        )

    def runs(self, grads: Sequence[Array | None]) -> list[tuple[int, int]]:
        """(first, last) of neighbours that have gradients, have taken equally many steps and kept the same numbers."""
        absent = [g is None for g in grads]
        if absent != self._absent:  # else those of the last time have all taken one step more
            self._absent, self._runs, first = absent, [], 0
            pasts = [(g is not None, t, kept) for g, t, kept in zip(grads, self.steps, self.kept, strict=True)]
            for (moves, *_), members in groupby(pasts):
                last = first + len(list(members))
                if moves:
                    self._runs.append((first, last))
                first = last
        return self._runs

    def apply(
        self, update: Update, letters: dict[str, float], grads: Sequence[Any], first: int, last: int,
        kept: dict[str, float],
    ) -> None:  # fmt: skip
        """Take one step with the parameters `first` to `last` (exclusive), and remember the numbers `kept` of them."""
        run = update.runner(self.xp, self.dtype, letters)
        for piece in self._cut(first, last, update.memory, apart=run is None):
            if run is None:  # the rule may look at a parameter as a whole, so it gets each in its shape
                self._call(update, letters, piece, grads[piece.first])
            elif piece.gathered is None:
                w, g = self.arrays[piece.first].reshape(-1), grads[piece.first].reshape(-1)
                if self.xp.may_share_memory(g, w):  # w is overwritten while g is being read
                    g = g.copy()
                run([w, g, *piece.memory])
            else:
                w, g = piece.gathered
                arrays = self.arrays[piece.first : piece.last]
                self.xp.concatenate([x.ravel() for x in arrays], out=w)
                self.xp.concatenate([x.ravel() for x in grads[piece.first : piece.last]], out=g)
                run([w, g, *piece.memory])
                start = 0
                for array in arrays:
                    array[...] = w[start : start + array.size].reshape(array.shape)
                    start += array.size
        self.steps[first:last] = [self.steps[first] + 1] * (last - first)
        self.kept[first:last] = [kept] * (last - first)
        for p in self.params[first:last]:
            p.mark_changed()

    def _call(self, update: Update, letters: dict[str, float], piece: Piece, g: Array) -> None:
        w, memory = self.arrays[piece.first], [x.reshape(g.shape) for x in piece.memory]
        # Copies, because nothing is known of this rule: it may hand back, or write into, what it was given.
        results = update(self.xp, *[x.copy() for x in (w, g, *memory)], **letters)
        for old, name in zip((w, *memory), ("w", *update.memory), strict=True):
            old[...] = results[name]

    def _cut(self, first: int, last: int, memory: tuple[str, ...], apart: bool) -> list[Piece]:
        """The pieces of a run: small neighbours together (unless all are wanted `apart`), each large one alone."""
        key = (first, last, memory, apart)
        if key not in self._pieces:
            small = [not apart and array.size < SMALL for array in self.arrays]
            pieces, start = [], first
            for stop in range(first + 1, last + 1):
                if stop == last or not (small[stop - 1] and small[stop]):
                    pieces.append(self._piece(start, stop, memory))
                    start = stop
            self._pieces[key] = pieces
        return self._pieces[key]

    def _piece(self, first: int, last: int, memory: tuple[str, ...]) -> Piece:
        where = slice(self.starts[first], self.ends[last - 1])
        gathered = None
        if last - first > 1 or not self.arrays[first].flags.c_contiguous:
            size = where.stop - where.start
            gathered = aligned(self.xp, size, self.dtype), aligned(self.xp, size, self.dtype)
        return Piece(first, last, gathered, [self.memory[letter][where] for letter in memory])


def places(flats: Sequence[Flat]) -> dict[int, tuple[Flat, int]]:
    """Where each parameter is, by its id: the flat array, and its position there."""
    return {id(p): (flat, i) for flat in flats for i, p in enumerate(flat.params)}


def arrange(params: Sequence[Parameter], labels: Sequence[str], past: Sequence[Flat]) -> list[Flat]:
    """The parameters in flat arrays, one for each dtype and device, with what those of the `past` remember of them."""
    known, alike = places(past), dict[Any, list[tuple[Parameter, str]]]()
    for p, label in zip(params, labels, strict=True):
        if id(p) in known:
            old, j = known[id(p)]
            if old.shapes[j] != p.array.shape:
                raise RuntimeError(
                    f"{label} had shape {old.shapes[j]} when the optimizer was made, and now {p.array.shape}: what is "
                    "remembered of it does not fit any more; make a new optimizer"
                )
        alike.setdefault((p.array.dtype, backend.device_of(p.array)), []).append((p, label))
    flats = [Flat(*zip(*members, strict=True)) for members in alike.values()]
    for flat in flats:
        for i, p in enumerate(flat.params):
            if id(p) in known:
                flat.inherit(i, *known[id(p)])
    return flats
