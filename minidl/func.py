"""PyTorch's `torch.func`: derivatives of functions as functions, and a network called with weights from outside.

Arguments and results may be tensors or tuples, lists and dictionaries of them; a derivative is built like the argument
that it belongs to.  Transformations can be nested: `grad(grad(f))` is the second derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from minidl import autograd
from minidl.autograd import Tensor, enable_grad, functional

Func = Callable[..., Any]


def grad(func: Func, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Func:
    """The gradient of `func`, which returns a single number, by its argument `argnums` (or by several of them).

    With `has_aux` func returns that number and something else, and so does its gradient.  RuntimeError for more
    numbers than one.

    >>> import minidl
    >>> slope = grad(lambda x: x**3)
    >>> slope(minidl.tensor(2.0)), grad(slope)(minidl.tensor(2.0))
    (tensor(12.), tensor(12.))
    """

    def gradient(*args: Any, **kwargs: Any) -> Any:
        slopes, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (slopes, value[1]) if has_aux else slopes

    return gradient


def grad_and_value(func: Func, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Func:
    """The same as `grad`, with what `func` itself returned: (gradient, value)."""

    def both(*args: Any, **kwargs: Any) -> Any:
        point = Point(args, argnums)
        value, aux = point.call(func, kwargs, has_aux)
        if not isinstance(value, Tensor) or value.ndim:
            came = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise RuntimeError(f"grad: the function must return a tensor of shape (), got {came}")
        slopes = point.result(point.slopes([value], [Tensor(value.array * 0 + 1)]))
        value, aux = point.closed((value, aux))
        return slopes, (value, aux) if has_aux else value

    return both


def vjp(func: Func, *primals: Any, has_aux: bool = False) -> Any:
    """What `func` returns for `primals`, and the function that takes vᵀ to vᵀJ, one for each argument.

    >>> import minidl
    >>> y, pull = vjp(lambda x: x * x, minidl.tensor([1.0, 2.0]))
    >>> pull(minidl.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    point = Point(primals, tuple(range(len(primals))))
    output, aux = point.call(func, {}, has_aux)
    values = _leaves(output)

    def pull(v: Any) -> Any:
        return point.result(point.slopes(values, _leaves(v)))

    output, aux = (_mapped(part, lambda x: point.settled([x])[0]) for part in (output, aux))
    return (output, pull, aux) if has_aux else (output, pull)


def jvp(func: Func, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """What `func` returns for the tuple `primals`, and J v for the vectors `tangents`.

    >>> import minidl
    >>> jvp(lambda x: x * x, (minidl.tensor([1.0, 2.0]),), (minidl.tensor([1.0, 10.0]),))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    point = Point(primals, tuple(range(len(primals))))
    flat, shape = point.flattened(func, {}, has_aux)
    values, products = functional.jvp(flat, tuple(point.leaves), tuple(_leaves(tangents)), True, strict)
    output, aux = shape[0]
    answers = (_like(output, iter(values)), _like(output, iter(products)), *([aux] if has_aux else []))
    return point.closed(answers)


def jacrev(func: Func, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False,
           chunk_size: int | None = None) -> Func:  # fmt: skip
    """The Jacobian of `func` as a function: the shape of what it returns, then that of the argument.

    One backward pass for each entry of the result; `chunk_size` changes nothing.

    >>> import minidl
    >>> jacrev(lambda x: x * x)(minidl.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        point = Point(args, argnums)
        flat, shape = point.flattened(func, kwargs, has_aux)
        rows = functional.jacobian(flat, tuple(point.leaves), create_graph=True)
        output, aux = shape[0]
        found = _like(output, iter([point.result(row) for row in rows]))
        return point.closed((found, aux) if has_aux else found)

    return jacobian


def jacfwd(func: Func, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *,
           randomness: str = "error") -> Func:  # fmt: skip
    """The same as `jacrev`: a Jacobian is the same from both ends."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Func, argnums: int | tuple[int, ...] = 0) -> Func:
    """The second derivatives of `func` as a function: the shape of its result, then that of the argument twice."""
    return jacrev(jacrev(func, argnums), argnums)


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: dict[str, Any] | None = None, *,
    tie_weights: bool = True, strict: bool = False,
) -> Any:  # fmt: skip
    """module(*args, **kwargs) with other tensors in the place of its parameters and buffers, given by their paths.

    The dictionaries (or the one) may leave names out and have others, unless `strict`: then RuntimeError.  A tensor
    that the module has under several names is replaced under all of them, unless `tie_weights` is False.

    >>> import minidl
    >>> from minidl import nn
    >>> functional_call(nn.Linear(1, 1), {"weight": minidl.ones(1, 1), "bias": minidl.ones(1)}, minidl.ones(1, 1))
    tensor([[2.]])
    """
    dicts: Any = parameter_and_buffer_dicts
    given = {name: x for part in ([dicts] if isinstance(dicts, Mapping) else dicts) for name, x in part.items()}
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    unknown, missing = [name for name in given if name not in own], [name for name in own if name not in given]
    if tie_weights:
        tied = {own[name]: x for name, x in given.items() if name in own}
        given |= {name: tied[own[name]] for name in missing if own[name] in tied}
        missing = [name for name in missing if name not in given]
    if strict and (unknown or missing):
        raise RuntimeError(f"functional_call: {type(module).__name__} has no {unknown}; it needs {missing}, too")
    places = {path: (vars(module.get_submodule(path.rpartition(".")[0])), path.rpartition(".")[2]) for path in own}
    try:
        for path, (attributes, name) in places.items():
            attributes[name] = given.get(path, own[path])
        return module(*(args if isinstance(args, tuple) else () if args is None else (args,)), **(kwargs or {}))
    finally:
        for path, (attributes, name) in places.items():
            attributes[name] = own[path]


# -- what the transformations share -----------------------------------------------------------------------------------


class Point:
    """Where a function is differentiated: its arguments, those at `argnums` in new tensors, `leaves`."""

    def __init__(self, args: Sequence[Any], argnums: int | tuple[int, ...]) -> None:
        self.args = list(args)
        self.numbers = argnums if isinstance(argnums, tuple) else (argnums,)
        chosen = [args[number] for number in self.numbers]
        self.tree = tuple(chosen) if isinstance(argnums, tuple) else chosen[0]
        with enable_grad():
            self.leaves = [x.reshape(x.shape) if x.requires_grad else x.detach().requires_grad_()
                           for x in _leaves(self.tree)]  # fmt: skip

    def call(self, func: Func, kwargs: dict[str, Any], has_aux: bool, leaves: Sequence[Tensor] | None = None) -> Any:
        """What func returns there (or at other leaves), and its extra, None if there is none."""
        args, parts = list(self.args), iter(self.leaves if leaves is None else leaves)
        for number in self.numbers:
            args[number] = _like(self.args[number], parts)
        with enable_grad():
            output = func(*args, **kwargs)
        return output if has_aux else (output, None)

    def flattened(self, func: Func, kwargs: dict[str, Any], has_aux: bool) -> tuple[Func, list[Any]]:
        """func from leaves to a tuple of tensors, and the list in which it leaves what it really returned."""
        seen: list[Any] = []

        def flat(*leaves: Tensor) -> tuple[Tensor, ...]:
            seen.append(self.call(func, kwargs, has_aux, leaves))
            return tuple(_leaves(seen[0][0]))

        return flat, seen

    def slopes(self, outputs: list[Tensor], weights: list[Tensor]) -> list[Tensor]:
        """The gradients of the weighted outputs at the leaves, zeros where nothing depends on one."""
        known = [(y, v) for y, v in zip(outputs, weights, strict=True) if y.requires_grad]
        found: Any = [None] * len(self.leaves)
        if known:
            ys, vs = zip(*known, strict=True)
            found = autograd.grad(ys, self.leaves, vs, True, True, allow_unused=True)
        slopes = [Tensor(x.array * 0) if g is None else g for g, x in zip(found, self.leaves, strict=True)]
        return self.settled(slopes)

    def result(self, parts: Sequence[Any]) -> Any:
        """Something for each leaf, built like the arguments."""
        return _like(self.tree, iter(parts))

    def settled(self, results: Sequence[Tensor]) -> list[Tensor]:
        """The results, without history if it leads only to the leaves made here."""
        own = {x for x in self.leaves if x.is_leaf}
        waiting, seen = list(results), set()
        while waiting:
            x = waiting.pop()
            if x.is_leaf and x.requires_grad and x not in own:
                return list(results)  # something outside may be differentiated through them
            inputs = [y for y in x.inputs or () if isinstance(y, Tensor) and y not in seen]
            seen.update(inputs)
            waiting += inputs
        return [x.detach() for x in results]

    def closed(self, answer: Any) -> Any:
        """The answer, settled; from then on these leaves are nobody else's business, and count as constants."""
        answer = _mapped(answer, lambda x: self.settled([x])[0])
        for x in self.leaves:
            x.requires_grad = x.requires_grad and not x.is_leaf
        return answer


def _leaves(tree: Any) -> list[Tensor]:
    """The tensors of a nest, in order; TypeError for anything else in it."""
    if isinstance(tree, Tensor):
        return [tree]
    if not isinstance(tree, Mapping | tuple | list):
        raise TypeError(f"expected tensors, or tuples, lists and dictionaries of them, got {type(tree).__name__}")
    return [leaf for part in (tree.values() if isinstance(tree, Mapping) else tree) for leaf in _leaves(part)]


def _like(tree: Any, parts: Iterator[Any]) -> Any:
    """A nest built like `tree`, with the next of `parts` in the place of each tensor."""
    return _mapped(tree, lambda _: next(parts))


def _mapped(tree: Any, change: Callable[[Tensor], Any]) -> Any:
    """The nest with each tensor changed."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {name: _mapped(part, change) for name, part in tree.items()}
    if not isinstance(tree, tuple | list):
        return tree
    parts = [_mapped(part, change) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
