"""Find the operation that produced the first NaN or infinite number, in the forward or in the backward pass.

While detection is on, the engine shows the result of every op and every gradient to a Watch; off, there is none.
"""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.autograd import engine
from minidl.autograd.tensor import Tensor, describe
from minidl.backend import Array, array_module, to_device

Rule = Callable[..., Any]
_PACKAGE = str(Path(__file__).parents[1])


class detect_anomaly:
    """Stop with RuntimeError at the first NaN, and at the first infinite number that comes from finite ones.

    For a `with` block.  The message names the op, shows its numbers and the line that called it: in the backward pass
    the line, and the layer, of the forward pass.  With `check_nan` False numbers are not looked at, but errors of the
    backward pass still come with that line.  Every op is slower meanwhile.

    >>> import minidl
    >>> x, w = minidl.tensor([1.0, float("nan")]), minidl.ones(2, requires_grad=True)
    >>> with detect_anomaly():
    ...     x * w
    Traceback (most recent call last):
    RuntimeError: multiply passed on nan in 1 of 2 entries, first at (1,)
      output: a tensor float32 (2,), nan at (1,), from 1 to 1...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self.before, engine.watch = engine.watch, Watch(self.check_nan)

    def __exit__(self, *error: object) -> None:
        engine.watch = self.before


class set_detect_anomaly(detect_anomaly):
    """Switch the detection (see `detect_anomaly`) on or off from here on; in a `with` statement for its block only."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before, engine.watch = engine.watch, Watch(check_nan) if mode else None

    def __enter__(self) -> None:
        pass  # it acts when it is made


class Watch(NamedTuple):
    """What the engine shows results and gradients to."""

    check_nan: bool

    def result(self, name: str, result: Tensor, inputs: Sequence[Any], settings: dict[str, Any]) -> None:
        """Look at the result of an op, and note in it where it was called."""
        # Outside a graph a NaN that is only passed on is left alone: it may be data that are being cleaned.
        fault = self.check_nan and _fault(result, (*inputs, *settings.values()), may_pass_on=not result.tracked)
        if fault or result.tracked:
            line, layer = _place()
            result.origin = line + layer
        if fault:
            raise RuntimeError(_report(name, fault, line, inputs, output=result))

    def rules(self, node: Tensor, rules: Iterable[Rule | None]) -> Iterator[Rule | None]:
        """The rules of the op that made `node`, each with a look at the gradient that it gives."""
        return (rule and partial(self._watched, node, position, rule) for position, rule in enumerate(rules))

    def received(self, x: Tensor, gx: Any, total: Any) -> None:
        """Nothing is left to look at: `rules` has seen what the sum `total` is made of."""

    def _watched(self, node: Tensor, position: int, rule: Rule, g: Any, out: Any, *inputs: Any, **settings: Any) -> Any:
        what = f"the backward pass of {node.op.__name__}"  # type: ignore[union-attr]
        origin = getattr(node, "origin", "before the detection was switched on")
        try:
            gx = rule(g, out, *inputs, **settings)
        except Exception as error:
            error.add_note(f"in {what}, called {origin}")
            raise
        if self.check_nan and (fault := _fault(gx, (g, out, *inputs), may_pass_on=False)):
            what += f", as the gradient of input {position},"
            raise RuntimeError(_report(what, fault, origin, inputs, upstream=g, output=out))
        return gx


def _fault(value: Any, before: Sequence[Any], may_pass_on: bool) -> tuple[str, Array] | None:
    """What is wrong in `value`, which was computed from what was `before`: in words, and at which entries."""
    for kind, passes in (("nan", may_pass_on), ("inf", True)):
        wrong = _entries(kind, value)
        known = wrong.any() and any(_entries(kind, x).any() for x in before)
        if wrong.any() and not (known and passes):
            return f"{'passed on' if known else 'produced'} {kind}", wrong
    return None


def _entries(kind: str, x: Any) -> Array:
    """Which entries of x are NaN or infinite; none in what holds no floating numbers."""
    array = np.asarray(x) if isinstance(x, float) else x.array if isinstance(x, Tensor) else x
    is_float = getattr(getattr(array, "dtype", None), "kind", None) == "f"
    return getattr(array_module(array), f"is{kind}")(array) if is_float else np.zeros((), bool)


def _report(what: str, fault: tuple[str, Array], place: str, inputs: Sequence[Any], **values: Any) -> str:
    did, wrong = fault[0], _on_host(fault[1])
    first = tuple(map(int, np.unravel_index(wrong.argmax(), wrong.shape)))
    text = f"{what} {did} in {wrong.sum()} of {wrong.size} entries, first at {first}"
    values |= {f"input {i}": x for i, x in enumerate(inputs)}
    shown = [f"  {name}: {describe(x)}{_numbers(x, first, wrong.shape)}" for name, x in values.items()]
    return "\n".join([text, *shown, f"  called {place}"])


def _numbers(x: Any, first: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """The entry of x at the first wrong place, or else its own first entry that is not finite, and its range."""
    array = x.array if isinstance(x, Tensor) else x
    if not getattr(array, "size", 0):
        return ""
    numbers = _on_host(array)
    finite = np.isfinite(numbers)
    places = [first] if numbers.shape == shape else [tuple(map(int, place)) for place in np.argwhere(~finite)[:1]]
    text = "".join(f", {float(numbers[place]):.6g} at {place}" for place in places)
    return text + (f", from {numbers[finite].min():.6g} to {numbers[finite].max():.6g}" if finite.any() else "")


def _on_host(array: Array) -> np.ndarray[Any, Any]:
    return np.asarray(array) if isinstance(array, np.generic) else to_device(array, "cpu")


def _place() -> tuple[str, str]:
    """The user's line that runs now, and the layer that is being called, if one is."""
    frames = [frame for frame, _ in traceback.walk_stack(None)]
    user = next((frame for frame in frames if not frame.f_code.co_filename.startswith(_PACKAGE)), frames[-1])
    code, source = user.f_code, linecache.getline(user.f_code.co_filename, user.f_lineno).strip()
    called: list[Any] = [frame.f_locals.get("self") for frame in frames if frame.f_code.co_name == "__call__"]
    layers = [module for module in called if hasattr(module, "named_modules")]
    paths = [path for path, module in layers[-1].named_modules() if module is layers[0]] if layers else []
    layer = "".join(f", in {type(layers[0]).__name__} {path}".rstrip() for path in paths)
    return f"at {code.co_filename}:{user.f_lineno} in {code.co_name}: {source}", layer
