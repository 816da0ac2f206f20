"""A recorded step as a Python function of straight lines, each a call of NumPy on arrays that are there already.

Beside it stands the condition under which it may be run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from operator import is_
from typing import Any

import numpy as np

from minidl.autograd import Tensor
from minidl.autograd.tensor import next_order
from minidl.backend import Array
from minidl.replay.memory import shared
from minidl.replay.notes import Call, Notes, arrays_in, root, tensors_in, unsigned
from minidl.replay.recorder import Recorder, Scalar

Seen = tuple[str, Any, Any]  # the name of a variable, the dictionary or cell where it is looked up, its value
Condition = tuple[str, str]  # in Python, and in the words of a message for when it no longer holds


class Names:
    """Names for objects in a generated function."""

    def __init__(self, moved: Callable[[Array], Array]) -> None:
        self.scope: dict[str, Any] = {}
        self._of: dict[int, str] = {}
        self._moved = moved

    def of(self, value: Any) -> str:
        if id(value) not in self._of:
            self._of[id(value)] = name = f"x{len(self._of)}"
            self.scope[name] = self._moved(value) if isinstance(value, np.ndarray) else value
        return self._of[id(value)]

    def said(self, value: Any) -> str:
        """The expression for an operand: a name, or tuples, lists and dictionaries of names."""
        if isinstance(value, Scalar):
            return f"{self.of(value.buffer)}[()]"
        if value is None or type(value) in (bool, int):
            return repr(value)
        if type(value) in (tuple, list):
            items = "".join(f"{self.said(x)}, " for x in value)
            return f"({items})" if type(value) is tuple else f"[{items}]"
        if type(value) is dict:
            return f"{{{', '.join(f'{name!r}: {self.said(x)}' for name, x in value.items())}}}"
        return self.of(value)

    def call(self, function: Any, inputs: Sequence[Any], words: dict[str, Any]) -> str:
        given = [*map(self.said, inputs), *(f"{name}={self.said(value)}" for name, value in words.items())]
        return f"{self.of(function)}({', '.join(given)})"


class Program:
    """What a recorder noted, ready to be repeated; `result` is what the step returned, `scope` says what it saw."""

    def __init__(self, recorder: Notes, inputs: list[Array], result: Any, seen: list[Seen]) -> None:
        calls, moved = self._prepared(recorder, result)
        self.names, self.inputs = Names(moved), inputs
        self.copyto = recorder.copyto
        self.cells: list[list[Tensor]] = []  # the gradients, each with the tensor whose .grad it becomes
        self.answers = {id(call): f"answer{i} = " for i, (call, _) in enumerate(recorder.answers)}
        lines = [*self._entering(recorder), *self._lines(calls), f"return {self._result(result, recorder)}"]
        self.run = self._function("run", lines)
        self.conditions = [*self._conditions(recorder), *self._seen(seen)]
        self.holds = self._function("holds", [f"return {' and '.join(code for code, _ in self.conditions) or True}"])
        self.checks = [(unsigned(labels), count, before) for labels, count, before in recorder.checks.values()]

    def _prepared(self, recorder: Any, result: Any) -> tuple[Sequence[Call], Callable[[Array], Array]]:
        """The calls to repeat, and a function from each of their arrays to the one to be used instead."""
        looked_at = [x.array for x in (*recorder.gradients(), *tensors_in(result))]
        calls = needed(recorder, looked_at)
        return calls, shared(calls, recorder.made.keys() - {id(root(x)) for x in looked_at})

    def _function(self, name: str, lines: Sequence[str]) -> Callable[[], Any]:
        exec(f"def {name}():\n" + "".join(f"    {line}\n" for line in lines), self.names.scope)
        return self.names.scope.pop(name)

    def __call__(self) -> Any:
        for cell in self.cells:
            # More than the cell, this call, and .grad unless that is another by now: somebody keeps the gradient.
            if sys.getrefcount(cell[0]) > 2 + (cell[1].grad is cell[0]):
                kept = cell[0]
                cell[0] = Tensor(kept.array)
                kept.array = kept.array.copy(order="K")
        return self.run()

    def fits(self) -> bool:
        """Whether the labels among the inputs are classes, or are not, as they were when this was recorded."""
        return all((labels.max() < count) == before for labels, count, before in self.checks)

    # -- what is run

    def _lines(self, calls: Sequence[Call]) -> Iterator[str]:
        say, copyto = self.names, self.names.of(self.copyto)
        for call in calls:
            how, function, inputs, words, out, *_ = call
            if how == "grad":
                x, grad = inputs
                if grad is not None:
                    self.cells.append([grad, x])
                yield f"{say.of(x)}.grad = {None if grad is None else say.of(self.cells[-1]) + '[0]'}"
            elif how == "none":
                continue
            elif how == "into":
                yield say.call(function, with_arrays(function, inputs), words | {"out": out})
            elif how in ("copy", "draw"):
                yield f"{copyto}({say.of(out)}, {say.call(function, inputs, words)})"
            else:
                yield self.answers.get(id(call), "") + say.call(function, inputs, words)

    def _entering(self, recorder: Notes) -> Iterator[str]:
        """What was in .grad before the step, where the step adds to it."""
        for x, grad in recorder.entering.values():
            if grad is not None:
                self.cells.append([grad, x])
                named = self.names.of(x)
                yield f"{self.names.of(self.copyto)}({self.names.of(grad.array)}, {named}.grad.array)"
                yield f"{named}.grad = {self.names.of(self.cells[-1])}[0]"

    def _result(self, value: Any, recorder: Notes) -> str:
        if isinstance(value, Tensor):
            if id(value) in recorder.leaves:
                return self.names.of(value)
            if (place := recorder.answer_of(value)) is not None:
                return f"answer{place}"
            return self.names.call(returned, (value.array, value.tracked, value.op), {})
        if type(value) in (tuple, list):
            items = "".join(f"{self._result(x, recorder)}, " for x in value)
            return f"({items})" if type(value) is tuple else f"[{items}]"
        if type(value) is dict:
            return f"{{{', '.join(f'{name!r}: {self._result(x, recorder)}' for name, x in value.items())}}}"
        return self.names.said(value)

    # -- when it may be run

    def _conditions(self, recorder: Notes) -> Iterator[Condition]:
        of = self.names.of
        for x, array in recorder.leaves.values():
            named = x.name or f"a tensor of shape {array.shape}"
            yield f"{of(x)}.array is {of(array)}", f"{named} has other memory"
            yield f"{of(x)}.tracked is {x.tracked}", f"requires_grad of {named} has changed"
            yield f"not {of(x)}.hooks", f"{named} has hooks"
            if x.tracked:
                yield f"not {of(getattr)}({of(x)}, 'after', None)", f"{named} has hooks"
        for x, grad in recorder.entering.values():
            yield f"({of(x)}.grad is None) is {grad is None}", "a gradient was there before the step, or was not"
        for module in recorder.modules.values():
            now = tuple(vars(module).values())
            yield (f"{of(unchanged)}({of(module)}.__dict__, {of(now)})",
                   f"an attribute of {type(module).__name__} has changed")  # fmt: skip

    def _seen(self, seen: Sequence[Seen]) -> Iterator[Condition]:
        for name, where, value in seen:
            found = f".get({name!r})" if isinstance(where, dict) else ".cell_contents"
            yield f"{self.names.of(where)}{found} is {self.names.of(value)}", f"the variable {name} has changed"

    def failing(self) -> str:
        """The first condition that does not hold, in words."""
        failed = (words for code, words in self.conditions if not eval(code, self.names.scope))
        return next(failed, "whether its labels are classes has changed")


def with_arrays(ufunc: Any, operands: Sequence[Any]) -> Sequence[Any]:
    """Arrays in place of Python's numbers beside an array of floats, to which NumPy would convert them every time."""
    dtypes = {x.dtype for x in operands if isinstance(x, np.ndarray)}
    if len(dtypes) != 1 or (dtype := dtypes.pop()).char not in "fd" or not isinstance(ufunc, np.ufunc):
        return operands
    if not any(kinds.startswith(dtype.char * len(operands) + "->") for kinds in ufunc.types):
        return operands
    return [np.array(x, dtype) if type(x) in (int, float) else x for x in operands]


def unchanged(attributes: dict[str, Any], before: tuple[Any, ...]) -> bool:
    return len(attributes) == len(before) and all(map(is_, attributes.values(), before))


def returned(buffer: Array, tracked: bool, op: Any) -> Tensor:
    """A result of the step, on memory of its own; its graph has been used up."""
    result = Tensor(buffer.copy(order="K"))
    if tracked:
        result.tracked, result.op, result.order = tracked, op, next_order()
    return result


def needed(recorder: Recorder, results: Sequence[Array]) -> list[Call]:
    """The calls without those whose results nobody reads."""
    live, kept, seen = {id(root(x)) for x in results}, list[Call](), set[int]()
    for call in reversed(recorder.calls):
        out = id(root(call.out)) if call.out is not None else 0
        if call.how == "grad":
            x, grad = call.inputs
            if id(x) in seen:
                continue  # set again before anybody looks
            seen.add(id(x))
            read = [] if grad is None else [grad.array]
        elif call.how == "outside":
            seen.clear()
            read = []
        elif out in live or out not in recorder.made or call.how == "draw":
            read = [*arrays_in((call.inputs, call.words, call.out))]
        else:
            continue
        live |= {id(root(x)) for x in read}
        kept.append(call)
    written = {id(root(call.out)) for call in kept if call.out is not None and call.how != "start"}
    return [call for call in reversed(kept) if call.how != "start" or id(root(call.out)) in written]
