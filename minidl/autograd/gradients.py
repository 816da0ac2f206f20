"""Gradients as PyTorch asks for them: `backward` adds them to `.grad`, `grad` returns them.

Both are the engine's one backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.autograd.engine import op, run_backward
from minidl.autograd.tensor import Tensor, describe
from minidl.backend import array_module


def backward(tensors: Tensor | Sequence[Tensor], grad_tensors: Any = None, retain_graph: bool | None = None,
             create_graph: bool = False, grad_variables: Any = None, inputs: Any = None) -> None:  # fmt: skip
    """Add the gradients of the sum of `tensors` (weighted by `grad_tensors`) to `.grad` of their leaves.

    With `inputs` (tensors, or a dictionary of them) it is added to theirs, and to no other.  `grad_variables` is the
    old name of `grad_tensors`.  RuntimeError for a tensor without history, and for `inputs` that are empty.

    >>> import minidl
    >>> x, y = minidl.ones(2, requires_grad=True), minidl.ones(2, requires_grad=True)
    >>> backward([(x * y).sum(), x], [None, minidl.ones(2)], inputs=[x])
    >>> x.grad, y.grad
    (tensor([2., 2.]), None)
    """
    roots, wanted = _listed(tensors), None if inputs is None else _wanted(inputs)
    weights = _weights(grad_variables if grad_tensors is None else grad_tensors, roots)
    run_backward(roots, weights, retain_graph, create_graph, wanted, True)


def _of_one(self: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
            inputs: Any = None) -> None:  # fmt: skip
    """Add the gradient of this tensor to `.grad` of every leaf it was computed from, or of `inputs` only.

    `gradient` is the gradient of some loss at this tensor, of its shape; it may be left out for one element,
    where it is 1.  The graph is freed unless `retain_graph`; with `create_graph` the gradients have a graph of
    their own and can be differentiated again.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    run_backward([self], [gradient], retain_graph, create_graph, None if inputs is None else _wanted(inputs), True)


Tensor.backward = _of_one  # type: ignore[attr-defined]


def grad(outputs: Tensor | Sequence[Tensor], inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
         create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
         is_grads_batched: bool = False, materialize_grads: bool = False) -> Any:  # fmt: skip
    """The gradients of the sum of `outputs` (weighted by `grad_outputs`) at each of `inputs`; no `.grad` changes.

    A tuple, or a dictionary where `inputs` is one.  An input that the outputs do not depend on raises RuntimeError;
    it gives None if `allow_unused`, zeros if `materialize_grads`.  With `is_grads_batched` each of `grad_outputs` has
    one more dimension, the first, and so have the results.  `only_inputs` changes nothing, as in PyTorch.

    >>> import minidl
    >>> x = minidl.tensor(3.0, requires_grad=True)
    >>> (slope,) = grad(x * x * x, x, create_graph=True)
    >>> grad(slope, x)
    (tensor(18.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("materialize_grads=True gives zeros for unused inputs, allow_unused=False forbids them")
    roots, wanted = _listed(outputs), _wanted(inputs)
    weights = _weights(grad_outputs, roots)
    if is_grads_batched:
        rows = list(zip(*weights, strict=True))
        keep = [True] * (len(rows) - 1) + [retain_graph]  # the last pass frees the graph
        runs = [
            grad(roots, wanted, row, kept, create_graph, True, allow_unused, False, materialize_grads)
            for row, kept in zip(rows, keep, strict=True)
        ]
        results = [None if column[0] is None else stacked(*column) for column in zip(*runs, strict=True)]
    else:
        found = run_backward(roots, weights, retain_graph, create_graph, wanted)
        results = [_result(x, found.get(x), allow_unused, materialize_grads) for x in wanted]
    return dict(zip(inputs, results, strict=True)) if isinstance(inputs, dict) else tuple(results)


@op
def stacked(xp, *arrays): return xp.stack(arrays)
stacked.vjps(every=lambda i, g, out, *arrays: g[i])


def _result(x: Tensor, g: Any, allow_unused: bool | None, materialize_grads: bool) -> Tensor | None:
    xp = array_module(x.array)
    if g is None and materialize_grads:
        g = xp.zeros_like(x.array)
    if g is None and not allow_unused:
        raise RuntimeError(f"{describe(x)} was not used for the outputs; allow_unused=True gives None for it")
    return g if g is None or isinstance(g, Tensor) else Tensor(xp.asarray(g))


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _wanted(inputs: Any) -> list[Tensor]:
    """The tensors whose gradients are asked for."""
    wanted = list(inputs.values()) if isinstance(inputs, dict) else _listed(inputs)
    if not wanted:
        raise RuntimeError("inputs must name at least one tensor whose gradient is wanted, got none")
    for x in wanted:
        if not x.tracked:
            raise RuntimeError(f"{describe(x)} does not require a gradient: set requires_grad=True before it is used")
    return wanted


def _weights(given: Any, roots: list[Tensor]) -> list[Any]:
    """The gradients from which a backward pass starts, one for each root."""
    weights = [None] * len(roots) if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    if len(weights) != len(roots):
        raise RuntimeError(f"expected one gradient (or None) for each of {len(roots)} tensors, got {len(weights)}")
    return weights
