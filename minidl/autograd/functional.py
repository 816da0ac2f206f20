"""Derivatives of functions as values: products with the Jacobian and the Hessian, and these matrices themselves.

Each takes a function of tensors and the point, a tensor or a tuple of them; where the function returns a tuple or is
given one, so is the result.  With `create_graph` results have a graph of their own; with `strict` something that
does not depend on something raises RuntimeError, where otherwise its derivative is zeros.

Letters: x a point, y = func(x), J the Jacobian dy/dx, H the Hessian of a single number, v a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minidl.autograd.gradients import grad
from minidl.autograd.mode import enable_grad
from minidl.autograd.tensor import Tensor
from minidl.backend import array_module

Tensors = tuple[Tensor, ...]
Func = Callable[..., Any]


def vjp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """y and vᵀJ, v of the shape of y; it may be left out for a single number, where it is 1.

    >>> import minidl
    >>> vjp(lambda x: x * x, minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    points, outputs, result = _called(func, inputs, create_graph, strict)
    slopes = _slopes(outputs, points, _vector(v, outputs), create_graph, strict)
    return _like(result, outputs, create_graph), _like(inputs, slopes, create_graph)


def jvp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """y and J v, v of the shape of x; it may be left out for a single number, where it is 1.

    wᵀJ is linear in w, and its derivative by w is J: so two backward passes replace a forward one.
    Source: J. Townsend, "A new trick for calculating Jacobian vector products" (2017).

    >>> import minidl
    >>> jvp(lambda x: x * x, minidl.tensor([1.0, 2.0]), minidl.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    points, outputs, result = _called(func, inputs, create_graph, strict)
    weights = tuple(_constant(y, 0).requires_grad_() for y in outputs)
    slopes = _slopes(outputs, points, weights, True, strict)
    products = _slopes(slopes, weights, _vector(v, points), create_graph, strict)
    return _like(result, outputs, create_graph), _like(result, products, create_graph)


def jacobian(func: Func, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
             strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """J, of the shape of y followed by that of x: one backward pass for each entry of y.

    `vectorize` and `strategy` change nothing.

    >>> import minidl
    >>> jacobian(lambda x: x * x, minidl.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    points, outputs, result = _called(func, inputs, create_graph, strict)
    found = []
    for y in outputs:
        each = Tensor(array_module(y.array).eye(y.numel(), dtype=y.dtype).reshape(y.numel(), *y.shape))
        found.append(_like(inputs, _slopes((y,), points, (each,), create_graph, strict, y.shape), create_graph))
    return tuple(found) if isinstance(result, tuple) else found[0]


def hessian(func: Func, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
            outer_jacobian_strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """H, of the shape of x twice over; a tuple of tuples for several x.  func returns one tensor of one element.

    >>> import minidl
    >>> hessian(lambda x: (x**3).sum(), minidl.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacobian(_gradient(func, inputs, strict, []), inputs, create_graph, strict)


def vhp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """y and vᵀH, v of the shape of x.

    >>> import minidl
    >>> vhp(lambda x: (x**3).sum(), minidl.tensor([1.0, 2.0]), minidl.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    values: list[Tensor] = []
    _, product = vjp(_gradient(func, inputs, strict, values), inputs, v, create_graph, strict)
    return _like(None, values, create_graph), product


def hvp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """y and H v, v of the shape of x: the same as vhp, for H is symmetric, and as cheap.

    >>> import minidl
    >>> hvp(lambda x: (x**3).sum(), minidl.tensor([1.0, 2.0]), minidl.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return vhp(func, inputs, v, create_graph, strict)


# -- what they share ----------------------------------------------------------------------------------------------


def _called(func: Func, inputs: Any, create_graph: bool, strict: bool) -> tuple[Tensors, Tensors, Any]:
    """Points made of the inputs, the outputs of the function there, and these as the function returned them.

    The points are tensors of their own: what else the function may know of the inputs does not count.
    """
    with enable_grad():
        points = tuple(
            x.reshape(x.shape) if create_graph and x.requires_grad else x.detach().requires_grad_()
            for x in _as_tuple("the inputs", inputs)
        )
        result = func(*points)
    outputs = _as_tuple("what the function returns", result)
    if strict and not all(y.requires_grad for y in outputs):
        raise RuntimeError("strict=True: an output of the function does not depend on the inputs")
    return points, outputs, result


def _slopes(
    outputs: Tensors, points: Tensors, weights: Tensors, create_graph: bool, strict: bool, rows: Any = None
) -> Tensors:
    """The gradients of the weighted outputs at the points; with the shape `rows`, one for each of as many weights."""
    batched = rows is not None
    known = [(y, v) for y, v in zip(outputs, weights, strict=True) if y.requires_grad and not (batched and not len(v))]
    ys, vs = [y for y, _ in known], [v for _, v in known]
    options = {"allow_unused": True, "is_grads_batched": batched}
    found = grad(ys, points, vs, True, create_graph, **options) if known else [None] * len(points)
    if strict and any(g is None or (create_graph and not g.requires_grad) for g in found):
        raise RuntimeError("strict=True: a derivative does not depend on one of the inputs")
    shapes = [(*(rows or ()), *x.shape) for x in points]
    return tuple(
        Tensor(array_module(x.array).zeros(shape, x.dtype)) if g is None else g.reshape(shape)
        for g, x, shape in zip(found, points, shapes, strict=True)
    )


def _as_tuple(what: str, given: Any) -> Tensors:
    values = given if isinstance(given, tuple) else (given,)
    if wrong := [type(x).__name__ for x in values if not isinstance(x, Tensor)]:
        raise TypeError(f"{what} must be a tensor or a tuple of tensors, got {', '.join(wrong)}")
    return values


def _like(example: Any, values: Sequence[Tensor], create_graph: bool) -> Any:
    """A tuple where `example` is one, otherwise the only value; without history unless it is asked for."""
    values = tuple(x if create_graph else x.detach() for x in values)
    return values if isinstance(example, tuple) else values[0]


def _constant(x: Tensor, value: float) -> Tensor:
    return Tensor(array_module(x.array).full_like(x.array, value))


def _vector(v: Any, like: Tensors) -> Tensors:
    """The vector of a product, in the shapes that it must have; 1 where it is left out."""
    vectors = (_constant(like[0], 1),) if v is None else _as_tuple("v", v)
    expected, came = [x.shape for x in like], [x.shape for x in vectors]
    if came != expected or (v is None and vectors[0].numel() != 1):
        raise RuntimeError(f"v: expected tensors of the shapes {expected}, got {'nothing' if v is None else came}")
    return vectors


def _gradient(func: Func, inputs: Any, strict: bool, values: list[Tensor]) -> Func:
    """The gradient of `func` as a function, which notes the values of `func` on its way."""

    def gradient(*points: Tensor) -> Any:
        value = func(*points)
        if not isinstance(value, Tensor) or value.numel() != 1:
            came = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise RuntimeError(f"the Hessian is that of a single number: func must return one element, got {came}")
        values.append(value)
        return _like(inputs, _slopes((value,), points, (_constant(value, 1),), True, strict), True)

    return gradient
