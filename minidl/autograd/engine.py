"""Reverse-mode automatic differentiation: the op, which records, and the backward pass, which applies the rules.

An op is a plain function on arrays with one rule per array input written under it.  `backward` walks from a
result to what it was computed from, newest tensor first, and applies the chain rule at each step.

Letters: x, y inputs of an op; out its result; g the gradient of the loss at that result ("upstream").
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, update_wrapper
from heapq import heapify, heappop, heappush
from typing import Any, Protocol, cast

import numpy as np

from minidl import backend, sums
from minidl.autograd.errors import raise_explained
from minidl.autograd.mode import enable_grad, mode
from minidl.autograd.tensor import Tensor, describe, next_order
from minidl.backend import Array, array_module

_module_of = backend.modules.get
_float64 = np.dtype(np.float64)
_new = Tensor.__new__

watch: Any = None  # what is put here, say by detect_anomaly, sees the result of every op, and every gradient


# -- the op ----------------------------------------------------------------------------------------------------


class Op(Protocol):
    """What `@op` makes of a function on arrays: the same function on tensors, which records what it does."""

    __name__: str
    function: Callable[..., Array]  # the function on arrays, f(xp, *arrays, **settings)
    rules: Iterable[Callable[..., Any] | None]  # one per array input; None: not differentiable in it

    def __call__(self, *inputs: Any, **settings: Any) -> Tensor: ...

    def vjps(self, *rules: Callable[..., Any] | None, every: Callable[..., Any] | None = None,
             together: Callable[..., Any] | None = None) -> None:  # fmt: skip
        """Give the rules: `rule(g, out, *inputs, **settings)` is g times the derivative of out by that input.

        A rule is a pure expression that means the same on arrays and on tensors, so that it can itself be
        differentiated.  It may leave broadcasting as it is: the engine sums over what was broadcast, and
        restores the dtype.  An op on any number of arrays has one rule, `every`, whose first argument is the
        position of the input.  Where the gradients share most of their work one rule, `together`, returns them all.
        """


def op(function: Callable[..., Array]) -> Op:
    """Make an op of `function(xp, *arrays, **settings)`: arrays are positional, settings keyword-only.

    Called with tensors it returns a Tensor, which remembers how it was made if an input requires a gradient;
    called with arrays alone (as the rules do in a plain backward pass) it returns an array.

    >>> import minidl
    >>> @op
    ... def cube(xp, x): return x * x * x
    >>> cube.vjps(lambda g, out, x: g * 3 * x * x)
    >>> x = minidl.tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    tensor(12.)
    """
    name = function.__name__
    rules: Iterable[Callable[..., Any] | None] = ()

    def call(*inputs: Any, **settings: Any) -> Any:
        arrays = []
        tracked = None  # None: no tensor yet; False: tensors, none of which requires a gradient
        for x in inputs:
            if isinstance(x, Tensor):
                arrays.append(x.array)
                tracked = tracked or x.tracked
            else:
                arrays.append(x)
        first = arrays[0] if arrays else None
        try:
            if tracked is None:
                return function(array_module(*arrays), *arrays, **settings)
            xp = _module_of(type(first)) or array_module(*arrays)
            if tracked or getattr(first, "dtype", _float64).kind == "f":
                out = function(xp, *arrays, **settings)
            else:
                out = _of_whole_numbers(function, xp, arrays, settings)
        except Exception as error:
            if named := [settings.pop(word) for word in ("input", "other") if word in settings]:  # PyTorch's names
                return call(*inputs, *named, **settings)
            raise_explained(error, name, inputs)

        if _module_of(type(out)) is None:  # NumPy returns its scalars for 0-d results
            out = np.asarray(out)
        dtype = out.dtype
        if (dtype is _float64 or dtype is not getattr(first, "dtype", dtype)) and "dtype" not in settings:
            out = _promoted(out, arrays)

        result = _new(Tensor)
        result.array = out
        result.grad = result.name = result.hooks = result.version = None
        result.pauses = ()
        if tracked and mode.recording and dtype.kind == "f":
            if not rules:
                raise RuntimeError(f"{name} has no derivative: give its rules with {name}.vjps(...), or use no_grad()")
            result.tracked = True
            result.op = call  # type: ignore[assignment]
            result.inputs, result.arrays, result.settings, result.order = inputs, arrays, settings, next_order()
        else:
            result.tracked = False
            result.op = result.inputs = result.arrays = result.settings = None
            result.order = 0
        if out.base is not None or out is first:
            _share_version(result, inputs)
        if watch is not None:
            watch.result(name, result, inputs, settings)
        return result

    def vjps(*given: Callable[..., Any] | None, every: Any = None, together: Any = None) -> None:
        nonlocal rules
        if not (every or together) and len(given) != (count := function.__code__.co_argcount - 1):
            raise TypeError(f"{name} has {count} array inputs and needs a rule (or None) for each, got {len(given)}")
        rules = _Every(every) if every else Together(together) if together else given
        call.rules = rules  # type: ignore[attr-defined]

    update_wrapper(call, function)
    call.function, call.rules, call.vjps = function, rules, vjps  # type: ignore[attr-defined]
    return cast(Op, call)


class _Every:
    """The rules of an op on any number of arrays: its one rule, with the position of each input filled in."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self.rule = rule

    def __iter__(self) -> Iterator[Callable[..., Any]]:  # endless: zip stops at the last input
        return (partial(self.rule, position) for position in itertools.count())


class Together(_Every):
    """The rules of an op whose one rule gives the gradients of all inputs: it runs when the first of them is asked."""

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        found: list[Any] = []

        def one(place: int, *given: Any, **settings: Any) -> Any:
            found[:] = found or self.rule(*given, **settings)
            return found[place]

        one.__wrapped__ = self.rule  # type: ignore[attr-defined]
        return iter(_Every(one))


def _of_whole_numbers(function: Callable[..., Array], xp: Any, arrays: list[Any], settings: dict[str, Any]) -> Array:
    """The result of `function`; if that is floats of whole numbers, computed in the default dtype from the start.

    NumPy computes with bytes in half precision, and without signs.
    """
    with np.errstate(all="ignore"):
        out = function(xp, *arrays, **settings)
    if out.dtype.kind != "f" or "dtype" in settings or any(getattr(x, "dtype", out.dtype).kind == "f" for x in arrays):
        return out
    dtype = backend.get_default_dtype()
    return function(xp, *[x.astype(dtype) if hasattr(x, "astype") else x for x in arrays], **settings)


def _promoted(out: Array, arrays: Sequence[Any]) -> Array:
    """`out` in the dtype that PyTorch's promotion gives where NumPy's gives another.

    NumPy lets a float64 scalar or 0-d array widen a float32 array, and makes float64 of integers and float32.
    """
    if out.dtype.kind == "c":
        raise TypeError("a tensor holds real numbers or booleans, and this result is complex")
    if out.dtype.kind != "f":
        return out
    floats = [x for x in arrays if _module_of(type(x)) and x.dtype.kind == "f"]
    leading = [x for x in floats if x.ndim] or floats
    dtype = np.result_type(*[x.dtype for x in leading]) if leading else backend.get_default_dtype()
    return out if out.dtype == dtype else out.astype(dtype)


def _share_version(result: Tensor, inputs: Sequence[Any]) -> None:
    """Let a view and what it views know of each other's changes."""
    out = result.array
    owner = out if out.base is None else out.base
    for x in inputs:
        if isinstance(x, Tensor) and (x.array is owner or (x.array.base is not None and x.array.base is owner)):
            result.version = x.shared_version()
            return


# -- the backward pass -------------------------------------------------------------------------------------------


def run_backward(roots: Sequence[Tensor], gradients: Sequence[Any], retain_graph: bool | None = None,
                 create_graph: bool = False, wanted: Sequence[Tensor] | None = None, accumulate: bool = False,
                 since: int = 0) -> dict[Tensor, Any]:  # fmt: skip
    """Carry `gradients` from `roots` back through the graph, and return those of the leaves or of `wanted` tensors.

    With `accumulate` they are added to `.grad`.  Gradients in flight are arrays, or tensors with a graph of their
    own if `create_graph`; they may be shared between tensors, so nothing here or in a rule writes into one.
    Tensors of an order up to `since` count as leaves, whose hooks are left for the pass around this one to call.
    """
    if create_graph and not mode.recording:
        with enable_grad():
            return run_backward(roots, gradients, retain_graph, create_graph, wanted, accumulate, since)
    keep = create_graph if retain_graph is None else retain_graph
    targets = dict.fromkeys(wanted or ())
    between = None if wanted is None else _between(roots, targets, since)
    found: dict[Tensor, Any] = {}  # gradients of leaves and wanted tensors
    pending = _seeds(roots, gradients, create_graph)  # the sum of the gradients that have reached a tensor so far
    queue = [(-root.order, root) for root in pending if root.op is not None and root.order > since]
    heapify(queue)  # newest first: when a tensor's turn comes, its sum is complete
    shown = [x for x in gradients if x is not None]  # what the user may hold: no leaf takes its memory

    while queue:
        node = heappop(queue)[1]
        g = pending.pop(node)
        if node.hooks:
            g = _run_hooks(node, g, shown)
        if node in targets:
            found[node] = g
        if between is not None and node not in between:
            continue
        op, inputs, arrays, settings = _recorded(node)
        out, values = (node, inputs) if create_graph else (node.array, arrays)
        rules = op.rules if watch is None else watch.rules(node, op.rules)
        for x, array, rule in zip(inputs, arrays, rules):  # noqa: B905 (inputs left out have rules, too)
            if not isinstance(x, Tensor):
                continue
            if (x.op is not None and x.order > node.order) or (x.version is not None and x.version[0] > node.order):
                raise changed(x, op.__name__)
            if not x.tracked or rule is None or (between is not None and x not in between and x not in targets):
                continue
            if x.op is None and node.order < x.order and any(start < node.order < end for start, end in x.pauses):
                continue  # it required no gradient when this was computed
            gx = rule(g, out, *values, **settings) if settings else rule(g, out, *values)
            if gx is None:  # the answer of a Function that passes nothing on
                continue
            if gx.shape != array.shape:
                gx = _unbroadcast(gx, array.shape, op)
            if gx.dtype is not array.dtype and gx.dtype != array.dtype:
                gx = gx.astype(array.dtype)
            if x in pending:
                pending[x] = pending[x] + gx
            else:
                pending[x] = gx
                if x.op is not None and x.order > since:
                    heappush(queue, (-x.order, x))
            if watch is not None:
                watch.received(x, gx, pending[x])
        if not keep:
            node.inputs = node.arrays = node.settings = None

    for leaf, g in pending.items():
        if wanted is None or leaf in targets:
            found[leaf] = _run_hooks(leaf, g, shown) if leaf.hooks and not since else g
    if accumulate:
        _accumulate(found, shown)
    return found


def _between(roots: Sequence[Tensor], targets: Iterable[Tensor], since: int) -> set[Tensor]:
    """The computed tensors on a way from the roots to a target: no other is taken apart, nor its graph freed."""
    behind, stack, between = set[Tensor](), list(roots), set[Tensor]()
    while stack:
        x = stack.pop()
        if x.op is not None and x.order > since and x not in behind:
            behind.add(x)
            stack += [y for y in x.inputs or () if isinstance(y, Tensor)]
    reached = set(targets)
    for x in sorted(behind, key=lambda x: x.order):
        # Nobody knows where a graph that was freed led: its turn comes, and raises.
        if x.inputs is None or any(isinstance(y, Tensor) and y in reached for y in x.inputs):
            between.add(x)
            reached.add(x)
    return between


def _recorded(node: Tensor) -> tuple[Op, tuple[Any, ...], list[Any], dict[str, Any]]:
    """How `node` was computed; RuntimeError if that was freed, or if its numbers are no longer those computed."""
    op: Any = node.op
    if node.inputs is None or node.arrays is None or node.settings is None:
        raise RuntimeError(
            f"backward through {op.__name__} a second time: its graph was freed by the first; "
            "call backward(retain_graph=True) the first time to keep it"
        )
    if node.version is not None and node.version[0] > node.order:
        raise changed(node, op.__name__)
    return op, node.inputs, node.arrays, node.settings


def changed(x: Tensor, name: str) -> RuntimeError:
    """The error for x, changed in place after the op of that name used it."""
    return RuntimeError(
        f"{describe(x)} was changed in place after {name} used it, and backward needs its old numbers: "
        "change it after backward, or work on a clone()"
    )


def _unbroadcast(g: Any, shape: tuple[int, ...], op: Op) -> Any:
    """Sum g over the dimensions along which an input of `shape` was broadcast."""
    new = len(g.shape) - len(shape)
    axes = tuple(range(new)) + tuple(
        new + i for i, length in enumerate(shape) if length == 1 and g.shape[new + i] != 1
    )
    if axes:
        whole = isinstance(g, Tensor)
        g = g.sum(axis=axes, keepdims=True) if whole else sums.total(array_module(g), g, axes, keepdims=True)
    if new < 0 or g.shape[new:] != shape:
        raise RuntimeError(f"a rule of {op.__name__} gave a gradient of shape {g.shape} for an input of shape {shape}")
    return g.reshape(shape) if new else g


def _seeds(roots: Sequence[Tensor], gradients: Sequence[Any], create_graph: bool) -> dict[Tensor, Any]:
    """The gradients from which a backward pass starts; of a root that is given twice, their sum."""
    seeds: dict[Tensor, Any] = {}
    for root, gradient in zip(roots, gradients, strict=True):
        seed = _seed(root, gradient, create_graph)
        seeds[root] = seeds[root] + seed if root in seeds else seed
    return seeds


def _seed(root: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The gradient from which a backward pass starts at `root`."""
    if not root.tracked:
        raise RuntimeError(
            f"{describe(root)} does not require a gradient: nothing that it was computed from has "
            "requires_grad=True, or it was computed under no_grad()"
        )
    array = root.array
    if gradient is None:
        if array.size != 1:
            raise RuntimeError(
                f"a gradient can be left out for one element only, this tensor has shape {root.shape}: "
                "reduce it with .sum() or .mean(), or give backward(gradient) of that shape"
            )
        xp = array_module(array)
        one = np.array(1, array.dtype, ndmin=array.ndim) if xp is np else xp.ones_like(array)  # no copy from the host
        return Tensor(one) if create_graph else one
    if not isinstance(gradient, Tensor):
        gradient = Tensor(array_module(array).asarray(gradient, dtype=array.dtype))
    if gradient.dtype != array.dtype:
        gradient = gradient.to(array.dtype)
    if gradient.shape != root.shape:
        raise RuntimeError(f"the gradient has shape {gradient.shape}, the tensor {root.shape}: they must be equal")
    return gradient if create_graph else gradient.array


def _run_hooks(x: Tensor, g: Any, shown: list[Any]) -> Any:
    """Show the gradient g of x to its hooks, each of which may replace it; note in `shown` what they saw."""
    gradient = g if isinstance(g, Tensor) else Tensor(g.copy())  # others may share g: a hook may write to its own
    for hook in list((x.hooks or {}).values()):
        shown.append(gradient)
        if (answer := hook(x, gradient)) is None:
            continue
        if not isinstance(answer, Tensor) or answer.shape != x.shape or answer.dtype != x.dtype:
            raise RuntimeError(f"a hook must return None or a tensor {x.dtype} {x.shape}, got {describe(answer)}")
        shown.append(gradient := answer)
    return gradient if isinstance(g, Tensor) else gradient.array


def _accumulate(found: dict[Tensor, Any], given: list[Any]) -> None:
    """Add the gradients found to `.grad` of their leaves, each on memory of its own, so that users may write to it."""
    owners = {id(_owner(x.array if isinstance(x, Tensor) else x)) for x in given}
    for leaf, g in found.items():
        if isinstance(g, Tensor):
            leaf.grad = g.clone() if leaf.grad is None else leaf.grad + g
        else:
            if _module_of(type(g)) is None:  # NumPy's scalar for a 0-d result
                g = np.asarray(g)
            if leaf.grad is not None:
                g = leaf.grad.array + g
            owner = _owner(g)
            if id(owner) in owners or owner.size != g.size:
                g = owner = g.copy(order="K")
            owners.add(id(owner))
            leaf.grad = Tensor(g)
        if hasattr(leaf, "after"):
            for hook in list(leaf.after.values()):
                hook(leaf)


def _owner(array: Array) -> Array:
    """The array whose memory `array` is a view of, or itself."""
    return array if getattr(array, "base", None) is None else array.base
