"""Check derivatives against finite differences.

The engine's gradient of a function is compared with (f(x + step) - f(x - step)) / (2 step), entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minidl.autograd.engine import run_backward
from minidl.autograd.gradients import grad
from minidl.autograd.tensor import Tensor, tensor


class GradcheckError(RuntimeError):
    """What gradcheck and gradgradcheck raise for a derivative that is wrong."""


def gradcheck(func: Callable[..., Any], inputs: Tensor | Sequence[Any], *, eps: float = 1e-6, atol: float = 1e-5,
              rtol: float = 1e-3, raise_exception: bool = True, nondet_tol: float = 0.0,
              check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
              fast_mode: bool = False) -> bool:  # fmt: skip
    """Compare the first derivatives of `func(*inputs)` with finite differences of step `eps`.

    `inputs` that require a gradient must be float64 (ValueError).  Returns True, or raises GradcheckError naming the
    input, the worst entry and both numbers, and saying where a kink is the likely reason; with `raise_exception`
    False it returns False.  Two backward passes may differ by `nondet_tol`.  The last three change nothing: gradients
    always have the dtype of their tensor, and every entry is checked.

    >>> import minidl
    >>> gradcheck(minidl.sin, minidl.tensor([0.5, 1.0], dtype=minidl.float64, requires_grad=True))
    True
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = _checked(inputs)
    if not checked:
        raise ValueError("gradcheck needs at least one input with requires_grad=True")
    for x in checked:
        if x.dtype != np.float64:
            raise ValueError(f"gradcheck needs float64 inputs, got {x.dtype}: rounding would hide the differences")
    try:
        for number, output in enumerate(_outputs(func, inputs)):
            # A random weighting turns the output into one number and lets no entry cancel another.
            weights = tensor(np.random.default_rng(0).uniform(0.5, 1.5, output.shape))
            analytic, again = _analytic(output, checked, weights), _analytic(output, checked, weights)
            for position, x in enumerate(checked):
                if (np.abs(analytic[position] - again[position]) > nondet_tol).any():
                    raise GradcheckError(f"two backward passes give checked input {position} different gradients")
                value = _along_entries(func, inputs, x, number, weights.array)
                _compare(analytic[position], value, position, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Tensor | Sequence[Any],
                  grad_outputs: Tensor | Sequence[Tensor] | None = None, **options: Any) -> bool:  # fmt: skip
    """Compare the second derivatives of `func(*inputs)` with finite differences of the first.

    `grad_outputs` are the gradients at its outputs, random ones if left out; `options` are those of gradcheck.

    >>> import minidl
    >>> gradgradcheck(minidl.tanh, minidl.tensor([0.5, 1.0], dtype=minidl.float64, requires_grad=True))
    True
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    outputs = [y for y in _outputs(func, inputs) if y.requires_grad]
    if grad_outputs is None:
        grad_outputs = [tensor(np.random.default_rng(1).uniform(0.5, 1.5, y.shape)) for y in outputs]
    given = [grad_outputs] if isinstance(grad_outputs, Tensor) else grad_outputs
    upstream = [g.detach().requires_grad_() for g in given]

    def first_derivatives(*values: Any) -> list[Tensor]:
        points, gradients = list(values[: len(inputs)]), list(values[len(inputs) :])
        results = [y for y in _outputs(func, points) if y.requires_grad]
        found = run_backward(results, gradients, create_graph=True, wanted=_checked(points))
        return [found[x] for x in _checked(points) if x in found]

    if not _checked(inputs) or not any(y.requires_grad for y in first_derivatives(*inputs, *upstream)):
        raise ValueError("gradgradcheck needs a function whose gradient depends on an input that requires a gradient")
    return gradcheck(first_derivatives, [*inputs, *upstream], **options)


def _checked(inputs: Sequence[Any]) -> list[Tensor]:
    return [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    result = function(*inputs)
    return [result] if isinstance(result, Tensor) else list(result)


def _analytic(output: Tensor, checked: list[Tensor], weights: Tensor) -> list[Any]:
    """The gradients by the rules; zeros where there is none, which finite differences must then find, too."""
    if not output.requires_grad:
        return [np.zeros(x.shape) for x in checked]
    return [g.array for g in grad(output, checked, weights, retain_graph=True, materialize_grads=True)]


def _along_entries(function: Any, inputs: Sequence[Any], x: Tensor, number: int, weights: Any) -> Callable[..., float]:
    """Output `number`, weighted, as a function of an entry of x and a step in it."""

    def value(entry: tuple[int, ...], step: float) -> float:
        before = x.array[entry].item()
        x.array[entry] = before + step
        try:
            return float((_outputs(function, inputs)[number].array * weights).sum())
        finally:
            x.array[entry] = before

    return value


def _compare(analytic: Any, value: Callable[..., float], place: int, eps: float, atol: float, rtol: float) -> None:
    """Raise GradcheckError if the gradient by the rules is not that of `value` by central differences."""
    numeric = np.zeros(analytic.shape)
    for entry in np.ndindex(analytic.shape):
        numeric[entry] = (value(entry, eps) - value(entry, -eps)) / (2 * eps)
    error = np.abs(analytic - numeric)
    wrong = ~(error <= atol + rtol * np.abs(numeric))  # NaN is wrong, too
    if not wrong.any():
        return
    ranks = np.argsort(-np.where(wrong, np.nan_to_num(error, nan=np.inf), -1.0), axis=None)
    worst, *others = [tuple(map(int, np.unravel_index(rank, error.shape))) for rank in ranks[: min(5, wrong.sum())]]
    raise GradcheckError(
        f"gradient of checked input {place}, entry {worst}: the rules give {analytic[worst]:.8g}, "
        f"finite differences {numeric[worst]:.8g} ({int(wrong.sum())} of {error.size} entries differ)"
        + "".join(f"\n  entry {entry}: {analytic[entry]:.8g}, {numeric[entry]:.8g}" for entry in others)
        + _kink(analytic[worst], partial(value, worst), eps, atol, rtol)
    )


def _kink(analytic: float, value: Callable[[float], float], eps: float, atol: float, rtol: float) -> str:
    """A hint for the message where the slopes on both sides differ, which no rule could give in one number."""
    left, right = (value(0.0) - value(-eps)) / eps, (value(eps) - value(0.0)) / eps
    doubt = atol + rtol * max(abs(left), abs(right))
    if not abs(right - left) > 10 * doubt:
        return ""
    text = f"\n  The slope is {left:.8g} on the left of that point and {right:.8g} on its right: most likely "
    text += "a jump" if abs(right - left) * eps > 1e-3 else "a kink, like that of relu at 0"
    if min(left, right) - doubt <= analytic <= max(left, right) + doubt:
        return text + ", where the rule may give either or one between: check the function at another point"
    return text + ", but what the rule gives is neither of them nor one between"
