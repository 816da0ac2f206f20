"""Parts of the work that no framework can do away with, timed alone: they show what holds a workload.

For a network these are its matrix products, for an optimizer one pass over all that it changes, in one stretch of
memory, as by_hand.py keeps it; in NumPy or PyTorch.
`m` is the module minidl, whose steps they are parts of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from minidl.bench.workloads import LARGER, MLPS, PREDICTION, STEPS, WORKLOADS, Step, weights_and_gradients

Product = tuple[Any, np.ndarray, np.ndarray, np.ndarray]  # np.matmul or np.dot, both operands, memory for the result


@cache
def products(m: Any, workload: str) -> list[Product]:
    """The matrix products of one step, as minidl.compile hears them, on arrays of the same shapes, strides and dtypes.

    Those that are alike share their arrays, as the blocks of a convolution share a place in the cache.
    """
    from unittest.mock import patch

    step = WORKLOADS[workload](m)
    step()  # what only the first step does is done
    with (
        m.replay.listening.recording(recorder := m.replay.recorder.Recorder(), {}),
        patch.object(m.threads, "in_threads", _one_after_the_other),  # where the recorder hears them
    ):
        step()
    found, alike = list[Product](), dict[Any, Product]()
    for call in recorder.calls:
        if call.function in (np.matmul, np.dot) and all(x.ndim > 1 for x in call.inputs):  # with a vector it is a sum
            form = call.function, _form(*call.inputs, call.out)
            found.append(alike.setdefault(form, (call.function, *call.inputs, _memory_like(call.out))))
    return found


def _one_after_the_other(work: Any, parts: Any, *given: Any, **words: Any) -> None:
    for part in parts:
        work(*part, *given)


def _form(*arrays: np.ndarray) -> tuple[Any, ...]:
    return tuple((x.shape, x.strides, x.dtype) for x in arrays)


def _memory_like(x: np.ndarray) -> np.ndarray:
    """An array with the strides of x, on memory of its own."""
    size = x.itemsize + sum((n - 1) * step for n, step in zip(x.shape, x.strides, strict=True))
    return np.ndarray(x.shape, x.dtype, np.empty(size, np.uint8), strides=x.strides)


def changed(m: Any, *, shapes: list[tuple[int, ...]], optimizer: str, options: dict[str, float]) -> np.ndarray:
    """As many numbers as a step of minidl's optimizer changes: the weights, and what it remembers of each."""
    weights, gradients = weights_and_gradients(shapes)
    parameters = [m.tensor(w, requires_grad=True) for w in weights]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = m.tensor(g)
    descent = getattr(m.optim, optimizer)(parameters, **options)
    descent.step()
    remembered = [x for p in parameters for x in descent.state[p].values() if isinstance(x, np.ndarray)]
    return np.concatenate([x.ravel() for x in weights + remembered])


def numpy_parts(m: Any) -> dict[str, Callable[[], Step]]:
    def multiplying(workload: str) -> Step:
        listed = products(m, workload)

        def step() -> Any:
            for multiply, x, y, out in listed:
                multiply(x, y, out=out)
            return out

        return step

    def passing(**plan: Any) -> Step:
        x = changed(m, **plan)
        return lambda: np.multiply(x, 1, out=x)

    return _named(multiplying, passing)


def torch_parts(m: Any, torch: Any) -> dict[str, Callable[[], Step]]:
    def multiplying(workload: str) -> Step:
        listed = [tuple(map(torch.from_numpy, operands)) for _, *operands, _ in products(m, workload)]

        def step() -> Any:
            for x, y in listed:
                out = torch.matmul(x, y)
            return out

        return step

    def passing(**plan: Any) -> Step:
        x = torch.from_numpy(changed(m, **plan))
        return lambda: x.mul_(1)

    return _named(multiplying, passing)


def _named(multiplying: Callable[..., Step], passing: Callable[..., Step]) -> dict[str, Callable[[], Step]]:
    return {
        **{name: partial(multiplying, name) for name in (*MLPS, PREDICTION, *LARGER)},
        **{name: partial(passing, **plan) for name, plan in STEPS.items()},
    }
