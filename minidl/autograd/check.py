"""Check derivatives against finite differences.

The engine's gradient of a function is compared with (f(x + step) - f(x - step)) / (2 step), entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.autograd.engine import grad, run_backward
from minidl.autograd.tensor import Tensor, tensor


def gradcheck(
    function: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
) -> bool:
    """Compare the first derivatives of `function(*inputs)` with finite differences.

    `inputs` that require a gradient must be float64.  Returns True, or raises RuntimeError naming the input, the
    worst entry and both numbers.

    >>> import minidl
    >>> gradcheck(minidl.sin, minidl.tensor([0.5, 1.0], dtype=minidl.float64, requires_grad=True))
    True
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck needs at least one input with requires_grad=True")
    for x in checked:
        if x.dtype != np.float64:
            raise ValueError(f"gradcheck needs float64 inputs, got {x.dtype}: rounding would hide the differences")
    for number, output in enumerate(_outputs(function, inputs)):
        # A random weighting turns the output into one number and lets no entry cancel another.
        weights = tensor(np.random.default_rng(0).uniform(0.5, 1.5, output.shape))
        analytic: Sequence[Tensor | None] = [None] * len(checked)  # what finite differences must then find, too
        if output.requires_grad:
            analytic = grad(output, checked, weights, retain_graph=True, allow_unused=True)
        for position, x in enumerate(checked):
            numeric = _numeric(function, inputs, x, number, weights.array, eps)
            found = analytic[position]
            _compare(np.zeros(x.shape) if found is None else found.array, numeric, position, atol, rtol)
    return True


def gradgradcheck(
    function: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
) -> bool:
    """Compare the second derivatives of `function(*inputs)` with finite differences of the first.

    >>> import minidl
    >>> gradgradcheck(minidl.tanh, minidl.tensor([0.5, 1.0], dtype=minidl.float64, requires_grad=True))
    True
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    outputs = [y for y in _outputs(function, inputs) if y.requires_grad]
    upstream = [
        tensor(np.random.default_rng(1).uniform(0.5, 1.5, y.shape), requires_grad=True) for y in outputs
    ]

    def first_derivatives(*values: Any) -> list[Tensor]:
        given, gradients = list(values[: len(inputs)]), list(values[len(inputs) :])
        results = [y for y in _outputs(function, given) if y.requires_grad]
        at = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
        found = run_backward(results, gradients, create_graph=True, wanted=at)
        return [found[x] for x in at if x in found]

    if not checked or not any(y.requires_grad for y in first_derivatives(*inputs, *upstream)):
        raise ValueError("gradgradcheck needs a function whose gradient depends on an input that requires a gradient")
    return gradcheck(first_derivatives, [*inputs, *upstream], eps, atol, rtol)


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    result = function(*inputs)
    return [result] if isinstance(result, Tensor) else list(result)


def _numeric(
    function: Callable[..., Any], inputs: Sequence[Any], x: Tensor, number: int, weights: Any, eps: float
) -> Any:
    """Central differences of output `number`, weighted, by each entry of x."""
    result = np.zeros(x.shape)

    def value() -> float:
        return float((_outputs(function, inputs)[number].array * weights).sum())

    for entry in np.ndindex(x.shape):
        before = x.array[entry].item()
        try:
            x.array[entry] = before + eps
            above = value()
            x.array[entry] = before - eps
            below = value()
        finally:
            x.array[entry] = before
        result[entry] = (above - below) / (2 * eps)
    return result


def _compare(analytic: Any, numeric: Any, position: int, atol: float, rtol: float) -> None:
    error = np.abs(analytic - numeric)
    wrong = ~(error <= atol + rtol * np.abs(numeric))  # NaN is wrong, too
    if wrong.any():
        worst = np.unravel_index(np.argmax(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1.0)), error.shape)
        where = tuple(int(i) for i in worst)
        raise RuntimeError(
            f"gradient of checked input {position}, entry {where}: the rules give {analytic[worst]:.8g}, "
            f"finite differences {numeric[worst]:.8g} ({int(wrong.sum())} of {error.size} entries differ)"
        )
