"""A step on a GPU: noted while it runs, and, once two runs were the same, handed to CUDA as graphs to launch again.

CuPy's functions take no stand-ins for arrays.  So the ops of a run are noted, and the numbers that enter it; what it
does on the GPU is collected by CUDA itself, in a third run that computes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from minidl import backend, kernels
from minidl.autograd import Tensor, engine
from minidl.backend import Array
from minidl.replay.notes import Call, Line, Notes, Replacement, differing, raw, reader, root, steps, users_line
from minidl.replay.program import Condition, Program, Seen

# What waits for the GPU: methods that give Python numbers, and functions whose results have a shape that only it knows.
_READING = ("get", "item", "tolist", "__float__", "__int__", "__bool__", "__complex__", "__index__")
_COUNTING = ("argwhere", "flatnonzero", "nonzero", "unique")
_CREATING = ("arange", "eye", "full", "full_like")  # out of numbers alone

draw = kernels.seed


class Listener(Notes):
    """One run of a step on a GPU, being noted: its ops, and what enters it from the host."""

    def __init__(self, xp: Any) -> None:
        super().__init__()
        self.xp, self.copyto = xp, xp.copyto
        self.lines: list[Line] = []
        self.begun = 0  # where the calls of this segment begin
        self.places = itertools.count()  # of the tensors that are made
        self.inputs: set[int] = set()  # the memory of the arguments
        self.constants: list[Array] = []  # what was copied to the GPU, in order
        self.read: list[Array] = []  # arrays that ops were given and that are no tensors

    def replacements(self) -> Iterator[Replacement]:
        xp = self.xp
        yield engine, "watch", self
        yield kernels, "seed", self.seed
        yield Tensor, "__setitem__", self._noted("setitem", Tensor.__setitem__)
        for name in [name for name in vars(Tensor) if name.endswith("_") and not name.startswith("_")]:
            yield Tensor, name, self._noted(name, getattr(Tensor, name))
        for name in _CREATING:
            yield xp, name, self._noted(name, getattr(xp, name))
        for name in ("dropout_mask", "blend"):  # called by functions that are no ops
            yield kernels, name, self._noted(name, getattr(kernels, name))
        for name in ("array", "asarray"):
            yield xp, name, self._placing(getattr(xp, name))
        for owner, names in ((xp.ndarray, _READING), (xp, _COUNTING)):
            for name in [name for name in names if hasattr(owner, name)]:
                yield owner, name, self._waiting(getattr(owner, name))
        yield xp.ndarray, "__getitem__", self._picking(xp.ndarray.__getitem__)

    # -- tensors

    def given(self, inputs: list[Tensor]) -> None:
        for x in inputs:
            self.born(x)
            self.inputs.add(id(root(x.array)))

    def shown(self, x: Tensor, array: Array) -> Any:
        if id(x) not in self.tensors:
            if isinstance(array, np.ndarray):
                self.refuse("it uses tensors on the CPU")
            self.leaves.setdefault(id(x), (x, array))
        return array

    def born(self, x: Tensor) -> None:  # not held, for then its memory would never be used again
        key, tensors = id(x), self.tensors  # and without self in the function below, which would hold it
        tensors[key] = next(self.places), ref(x, lambda _: tensors.pop(key, None))

    def entered(self, grad: Tensor) -> Tensor:
        with self.unheard():
            copy = Tensor(self.like(raw(grad)))
        self.born(copy)
        return copy

    def like(self, array: Array) -> Array:
        """Memory for the same numbers, which are there already, or will be before every replay."""
        return array.copy(order="K")

    def own(self, x: Tensor) -> bool:
        known = {id(root(array)) for _, array in self.leaves.values()}
        return id(x) in self.tensors and id(root(raw(x))) not in known

    def changed(self, x: Tensor) -> None:
        if id(root(raw(x))) in self.inputs:
            self.refuse("it changes its argument in place")

    def forgotten(self) -> tuple[list[ref[Any]], list[ref[Any]]]:
        return [x for _, x in self.tensors.values()], []

    # -- what is noted

    def line(self, name: str, *values: Any) -> None:
        if self.listening():
            self.lines.append(([name, *map(self.known, values)], users_line()))

    def note(self, how: str, function: Any, inputs: Any, words: Any, out: Any, mark: Any = None) -> None:
        name = mark or function.__qualname__
        self.line(name, inputs, words)
        if how == "grad":  # only the last one is looked at
            calls = self.calls[self.begun :]
            self.calls[self.begun :] = [c for c in calls if c.how != "grad" or c.inputs[0] is not inputs[0]]
        self.calls.append(Call(how, function, tuple(inputs), words, None, name, ""))

    def signature(self, result: Any) -> list[Line]:
        return [*self.lines, self.last_line(result)]

    def remembered(self) -> Any:
        return Noted(self.xp, self.constants, [answer for _, answer in self.answers], self.alive)

    def known_tensor(self, x: Tensor) -> Any:
        return self.tensors[id(x)][0], layout(raw(x))

    def known_array(self, array: Array) -> Any:
        self.read.append(array)
        return layout(array), hash(array.tobytes()) if isinstance(array, np.ndarray) else None

    # -- what the engine shows

    def result(self, name: str, result: Tensor, inputs: Any, settings: dict[str, Any]) -> None:
        self.line(name, result, inputs, settings)

    def rules(self, node: Tensor, rules: Any) -> Any:
        return rules

    def received(self, x: Tensor, gx: Any, total: Any) -> None:
        """The sums of gradients follow from the ops."""

    # -- numbers from the host

    def stream(self, generator: backend.Generator) -> Any:
        self.refuse("it draws random numbers on the host")
        return vars(generator)["numpy"]

    def seed(self) -> Any:
        """A seed in the memory of the GPU, where a replay will put another."""
        if not self.listening():
            return draw()
        self.line("seed")
        with self.unheard():
            return kernels.put_seeds(self.xp, self.xp.empty(kernels.SEEDS, np.int64), [draw()])[:1]

    def constant(self, make: Callable[[], Array]) -> Array:
        """What is copied to the GPU; replays copy it from there."""
        array = make()
        self.constants.append(array.copy(order="K"))
        return array

    def _placing(self, create: Any) -> Any:
        def placing(data: Any, *inputs: Any, **words: Any) -> Any:
            parts = data if isinstance(data, (list, tuple)) else [data]
            if not self.listening() or any(isinstance(x, self.xp.ndarray) for x in parts):
                return create(data, *inputs, **words)
            self.line("constant", np.asarray(data), inputs, words)
            return self.constant(lambda: create(data, *inputs, **words))

        return placing

    def _noted(self, name: str, function: Any) -> Any:
        """A function of whose arguments a note is taken."""

        def noted(*inputs: Any, **words: Any) -> Any:
            self.line(name, inputs, words)
            return function(*inputs, **words)

        return noted

    def _waiting(self, function: Any) -> Any:
        def waiting(*inputs: Any, **words: Any) -> Any:
            self.refuse(f"{reader()} reads a number from a tensor")
            return function(*inputs, **words)

        return waiting

    def _picking(self, pick: Any) -> Any:
        def picking(x: Array, index: Any) -> Any:
            if any(getattr(i, "dtype", "") == "bool" for i in (index if isinstance(index, tuple) else (index,))):
                self.refuse("how many entries a mask picks may be different every time")
            return pick(x, index)

        return picking


class Noted(NamedTuple):
    """What a capture needs of the run before it; `alive` are the things that its lines know by their ids."""

    xp: Any
    constants: list[Array]
    answers: list[Any]
    alive: list[Any]


def layout(array: Array) -> Any:
    return array.shape, array.dtype.str, steps(array)


class Segment:
    """What the GPU does between two calls that replays make as they are: a graph, and the seeds that it reads."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.graph: Any = None
        self.count = 0
        self.blocks: list[Array] = []

    def seed(self) -> Array:
        place = self.count % kernels.SEEDS
        if not place:
            self.blocks.append(self.xp.empty(kernels.SEEDS, np.int64))
        self.count += 1
        return self.blocks[-1][place : place + 1]

    def __call__(self) -> None:
        left = self.count
        for block in self.blocks:
            kernels.put_seeds(self.xp, block, [kernels.seed() for _ in range(min(left, kernels.SEEDS))])
            left -= kernels.SEEDS
        self.graph.launch()


@cache
def _stream(xp: Any, device: int) -> Any:
    """The one that is captured: of each device one, since CuPy keeps the free memory of streams apart."""
    return xp.cuda.Stream(non_blocking=True)


class Stopped(BaseException):
    """A capture cannot become a program: no `except Exception` of the step goes on with what nobody computed."""


class Capture(Listener):
    """One run of a step of which the GPU computes nothing: what it is asked for is collected in graphs.

    Calls such as optimizer.step() are left out, and answer what they answered in the run that was `noted`.
    They end a segment: a replay launches its graph, makes the call, and goes on with the next.  All that the graphs
    write to lies in a pool of their own, where memory that one array leaves is free for the next, and for no others.
    It stops where it does anything that the run before did not: no array was written to, `restore` puts back what is in
    .grad, and `made` tells which tensors, that nobody computed, are still there.  What Python did is done.
    """

    def __init__(self, noted: Noted, expected: list[Line]) -> None:
        super().__init__(xp := noted.xp)
        self.expected = expected[:-1]  # the last line is what is returned
        self.differs: str | None = None
        self.made: list[tuple[ref[Tensor], str]] = []  # with the lines of the program
        self.private = _stream(xp, xp.cuda.runtime.getDevice())
        # Its blocks come from CuPy's pool, so that a full memory raises an error: a pool on its own would give free
        # blocks back first, which are free for new arrays, but not for graphs.
        self.usual = xp.cuda.get_allocator()
        self.pool = xp.cuda.MemoryPool(self.usual)
        self.constants, self.old_constants = noted.constants, iter(noted.constants)
        self.old_answers = iter(noted.answers)
        self.inside = ExitStack()
        self.segment = Segment(xp)
        self.used = False  # whether anything was asked for in this segment

    @contextmanager
    def running(self) -> Iterator[None]:
        self._begin()
        try:
            yield
            self._end()
        except BaseException:
            with self.inside, suppress(Exception):  # a capture that CUDA has ended already says so once more
                self.private.end_capture()
            raise

    def _begin(self) -> None:
        self.inside.enter_context(self.private)
        self.inside.enter_context(self.xp.cuda.using_allocator(self.pool.malloc))
        self.private.begin_capture()
        self.segment, self.begun, self.used = Segment(self.xp), len(self.calls), False

    def _end(self) -> None:
        with self.inside:
            self.segment.graph = self.private.end_capture()
        if self.used:
            self.calls.insert(self.begun, Call("do", self.segment, (), {}, None, "", ""))

    def restore(self) -> None:
        for x, grad in self.before.values():
            x.grad = grad

    # -- where it ends

    def line(self, name: str, *values: Any) -> None:
        super().line(name, *values)
        if self.listening():
            n = len(self.lines)
            self.differs = self.differs or differing(self.expected[n - 1 : n], self.lines[-1:])
            if self.differs:
                raise Stopped(self.differs)

    def refuse(self, why: str) -> None:
        super().refuse(why)
        if self.listening():
            raise Stopped(self.refused)

    # -- what is different where nothing is computed

    def shown(self, x: Tensor, array: Array) -> Any:
        self.used = True
        return super().shown(x, array)

    def born(self, x: Tensor) -> None:
        self.used = True
        super().born(x)
        if self.listening():
            self.made.append((ref(x), users_line()))

    def lasting(self, create: Callable[[], Array]) -> Array:
        """Memory that is written to before the graphs are launched, and so is none that they use for something else."""
        with self.xp.cuda.using_allocator(self.usual):
            return create()

    def like(self, array: Array) -> Array:
        return self.lasting(lambda: self.xp.empty_like(array))

    def seed(self) -> Any:
        if not self.listening():
            return draw()
        self.line("seed")
        return self.lasting(self.segment.seed)

    def constant(self, make: Callable[[], Array]) -> Array:
        before = next(self.old_constants, None)
        return make() if before is None else before.copy(order="K")

    def called(self, function: Any, inputs: Any, words: Any) -> Any:
        self._end()
        self._begin()
        answer = next(self.old_answers)
        if isinstance(answer, Tensor):
            with self.unheard():  # a tensor of its own, since somebody may hold the old one
                answer = Tensor(answer.array)
            self.made.append((ref(answer), users_line()))
        return answer

    def answers_are_kept(self, returned: list[Tensor]) -> bool:
        return self._held(returned, {id(x) for x in returned if self.answer_of(x) is None})


class Replay(Program):
    """A step as graphs to be launched, and the calls between them."""

    def __init__(self, recorder: Capture, inputs: list[Array], result: Any, seen: list[Seen]) -> None:
        super().__init__(recorder, inputs, result, seen)
        self.pool, self.constants, self.read = recorder.pool, recorder.constants, recorder.read  # what the graphs use
        self.alive = recorder.alive

    def _prepared(self, recorder: Any, result: Any) -> tuple[Sequence[Call], Callable[[Array], Array]]:
        return recorder.calls, lambda array: array

    def _conditions(self, recorder: Notes) -> Iterator[Condition]:
        yield from super()._conditions(recorder)
        yield f"{self.names.of(backend)}.allow_tf32 is {backend.allow_tf32}", "allow_tf32 has changed"
