"""Many parameters treated as one flat array, so that a step over forty small tensors costs a few calls, not hundreds.

What a rule remembers of the parameters of a group lies in flat arrays.  The weights stay where they are, because
others may hold views of them: large ones are changed in place, small neighbours gathered, changed and put back, and on
a GPU one kernel finds all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import is_not
from typing import Any, NamedTuple, Protocol, runtime_checkable

from minidl import backend
from minidl.backend import LINE, Array, aligned
from minidl.optim.runner import Update

SMALL = 2**14  # elements: gathering smaller tensors saves calls, copying larger ones would cost more than it saves


@runtime_checkable
class Parameter(Protocol):
    """What an optimizer needs of a tensor."""

    array: Array
    grad: Any
    name: str | None
    is_leaf: bool

    def mark_changed(self) -> None: ...


class Piece(NamedTuple):
    """Parameters `first` to `last` (exclusive), treated by one call, and what is remembered of them."""

    first: int
    last: int
    memory: list[Array]
    gathered: tuple[Array, Array] | None  # for their weights and gradients; None: one, used where it lies
    parts: list[Array]  # of the gathered weights, in the shapes of the parameters


class Flat:
    """Parameters of one `group`, dtype and device, one behind the other, and what is remembered of them.

    `labels` name the parameters in errors; `steps[i]` is how many steps parameter i has taken, `kept[i]` the numbers
    that are remembered of it.
    """

    def __init__(self, group: int, params: Sequence[Parameter], labels: Sequence[str]) -> None:
        arrays = [p.array for p in params]
        self.group, self.params, self.labels = group, list(params), list(labels)
        self.xp, self.device = backend.array_module(arrays[0]), backend.device_of(arrays[0])
        self.on_gpu = self.device.type == "cuda"
        self.starts, self.ends, end = list[int](), list[int](), 0
        for a in arrays:
            self.starts.append(end if a.size < SMALL else -(-end // LINE) * LINE)  # the large ones aligned
            self.ends.append(end := self.starts[-1] + a.size)
        self.shapes, self.dtype, self.arrays = [a.shape for a in arrays], arrays[0].dtype, arrays
        self.memory: dict[str, Array] = {}
        self.steps = [0] * len(arrays)
        self.kept: list[dict[str, float]] = [{}] * len(arrays)
        self.forget_plans()

    def forget_plans(self) -> None:
        """To be called when steps or memory were changed from outside."""
        self._absent: list[bool] | None = None
        self._runs: list[tuple[int, int]] = []
        self._pieces: dict[Any, list[Piece]] = {}

    def span(self, first: int, last: int) -> slice:
        """The part of a flat array that belongs to the parameters `first` to `last` (exclusive)."""
        return slice(self.starts[first], self.ends[last - 1])

    def part(self, flat: Array, i: int) -> Array:
        """That of parameter i, in its shape."""
        return flat[self.span(i, i + 1)].reshape(self.shapes[i])

    def remember(self, letter: str, start: float = 0.0) -> Array:
        """The memory named `letter`; filled with the number `start` when it is first asked for."""
        if letter not in self.memory:
            self.memory[letter] = aligned(self.xp, self.ends[-1], self.dtype)
            self.memory[letter][...] = start
        return self.memory[letter]

    def __getstate__(self) -> dict[str, Any]:
        # After a deep copy or pickle all parameters count as moved.
        return {**self.__dict__, "arrays": [None] * len(self.params), "_pieces": {}, "xp": None}

    def moved(self) -> bool:
        """Whether a parameter was given another array since."""
        return any(map(is_not, [p.array for p in self.params], self.arrays))

    def inherit(self, i: int, old: Flat, j: int) -> None:
        """Go on with parameter i where `old` stopped with its parameter j, which is the same."""
        if old.shapes[j] != self.shapes[i]:
            change = f"had shape {old.shapes[j]} when the optimizer was made, and now {self.shapes[i]}"
            raise RuntimeError(f"{self.labels[i]} {change}: make a new optimizer, for what is remembered does not fit")
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
        wanted = f"{self.labels[i]} must be a Tensor of shape {shape}, {self.dtype}, on {self.device}"
        raise (TypeError if g is None else RuntimeError)(f"the gradient of {wanted}; got {came}; nothing was changed")

    def runs(self, grads: Sequence[Array | None]) -> list[tuple[int, int]]:
        """(first, last) of neighbours that have gradients, have taken equally many steps and kept the same numbers."""
        absent = [g is None for g in grads]
        if absent != self._absent:  # else those of the last time have all taken one step more
            alike = neighbours(0, len(grads), lambda i: (absent[i], self.steps[i], self.kept[i]))
            self._absent, self._runs = absent, [run for run in alike if not absent[run[0]]]
        return self._runs

    def apply(self, update: Update, letters: dict[str, float], grads: Sequence[Any], first: int, last: int) -> None:
        """Take one step with the parameters `first` to `last` (exclusive)."""
        run, pieces = update.runner(self.xp, self.dtype, letters), list[Piece]()
        if run is None or not self.on_gpu:
            pieces = self._cut(first, last, update.memory, apart=run is None)
        else:  # one kernel finds all parameters where they lie
            memory = [self.memory[letter] for letter in update.memory]
            run(self.arrays[first:last], grads[first:last], memory, self.starts[first:last])
        for piece in pieces:
            ws, gs = self.arrays[piece.first : piece.last], grads[piece.first : piece.last]
            if run is None:  # the rule may look at a parameter as a whole, so it gets each in its shape
                self._call(update, letters, piece, ws[0], gs[0])
            elif piece.gathered is None:
                w, g = ws[0].reshape(-1), gs[0].reshape(-1)
                if self.xp.may_share_memory(g, w):  # w is overwritten while g is being read
                    g = g.copy()
                run([w, g, *piece.memory])
            else:
                for one, many in zip(piece.gathered, (ws, gs), strict=True):
                    self.xp.concatenate([x.ravel() for x in many], out=one)
                run([*piece.gathered, *piece.memory])
                for w, part in zip(ws, piece.parts, strict=True):
                    w[...] = part
        self.steps[first:last] = [self.steps[first] + 1] * (last - first)
        for p in self.params[first:last]:
            p.mark_changed()

    def _call(self, update: Update, letters: dict[str, float], piece: Piece, w: Array, g: Array) -> None:
        memory = [x.reshape(w.shape) for x in piece.memory]
        # Copies, because nothing is known of this rule: it may hand back, or write into, what it was given.
        results = update(self.xp, *[x.copy() for x in (w, g, *memory)], **letters)
        for old, name in zip((w, *memory), ("w", *update.memory), strict=True):
            old[...] = results[name]

    def _cut(self, first: int, last: int, memory: tuple[str, ...], apart: bool) -> list[Piece]:
        """The pieces of a run: small neighbours together (unless all are wanted `apart`), each large one alone."""
        key = (first, last, memory, apart)
        if key not in self._pieces:
            alike = neighbours(first, last, lambda i: None if self.arrays[i].size < SMALL and not apart else i)
            self._pieces[key] = [self._piece(*run, memory) for run in alike]
        return self._pieces[key]

    def _piece(self, first: int, last: int, memory: tuple[str, ...]) -> Piece:
        where, gathered, parts = self.span(first, last), None, []
        if last - first > 1 or not self.arrays[first].flags.c_contiguous:
            start, size = where.start, where.stop - where.start
            w, _ = gathered = aligned(self.xp, size, self.dtype), aligned(self.xp, size, self.dtype)
            for i in range(first, last):
                parts.append(w[self.starts[i] - start : self.ends[i] - start].reshape(self.shapes[i]))
        return Piece(first, last, [self.memory[letter][where] for letter in memory], gathered, parts)


def neighbours(first: int, last: int, key: Callable[[int], Any]) -> list[tuple[int, int]]:
    """(first, last) of neighbours with the same key, of the numbers `first` to `last`, which is always exclusive."""
    groups = [list(members) for _, members in groupby(range(first, last), key)]
    return [(members[0], members[-1] + 1) for members in groups]


def places(flats: Iterable[Flat]) -> dict[int, tuple[Flat, int]]:
    """Where each parameter is, by its id: the flat array, and its position there."""
    return {id(p): (flat, i) for flat in flats for i, p in enumerate(flat.params)}


def labels(group: dict[str, Any], k: int) -> list[str]:
    """How messages call the parameters of group k."""
    names = group.get("param_names") or [getattr(p, "name", None) for p in group["params"]]
    return [f"parameter {i} of group {k}" + (f" ({name})" if name else "") for i, name in enumerate(names)]


def arrange(groups: Sequence[dict[str, Any]], past: Sequence[Flat]) -> list[Flat]:
    """All parameters in flat arrays, by group, dtype and device, with what those of the `past` remember of them."""
    alike = dict[Any, list[tuple[Parameter, str]]]()
    for k, group in enumerate(groups):
        for p, label in zip(group["params"], labels(group, k), strict=True):
            alike.setdefault((k, p.array.dtype, backend.device_of(p.array)), []).append((p, label))
    flats, known = [Flat(k, *zip(*members, strict=True)) for (k, *_), members in alike.items()], places(past)
    for number, (flat, i) in places(flats).items():
        if number in known:
            flat.inherit(i, *known[number])
    return flats
