"""How a batch is made of examples: `collate` puts several together, `default_convert` takes one as it is.

PyTorch calls the first one default_collate; both names are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor, tensor


def collate(examples: Sequence[Any]) -> Any:
    """Put equally built examples together, as PyTorch's default_collate: a batch is built like one example.

    Numbers, arrays and Tensors become one Tensor with a new first dimension (Python floats: float32, as in
    `tensor`), tuples, lists and dictionaries are gone through, strings are listed.  Shapes that differ raise
    RuntimeError, other types TypeError.

    >>> x, extra = collate([(np.ones(3), {"label": 1}), (np.zeros(3), {"label": 2})])
    >>> x.shape, extra["label"].tolist()
    ((2, 3), [1, 2])
    """
    first = examples[0]
    if isinstance(first, Tensor):
        return Tensor(_stack([example.array for example in examples]))
    if isinstance(first, np.ndarray | np.generic):
        return Tensor(_stack([np.asarray(example) for example in examples]))
    if isinstance(first, int | float):
        return tensor(list(examples))
    if isinstance(first, str | bytes):
        return list(examples)
    if isinstance(first, Mapping):
        return {key: collate([example[key] for example in examples]) for key in first}
    if isinstance(first, tuple | list):
        if len({len(example) for example in examples}) > 1:
            raise RuntimeError("each example of a batch must have as many parts as the others")
        return _built_like(first, [collate(part) for part in zip(*examples, strict=True)])
    raise TypeError(
        "a batch can be made of numbers, arrays, Tensors, strings, tuples, lists and dictionaries, "
        f"got {type(first).__name__}; give the DataLoader a collate_fn for anything else"
    )


def default_convert(data: Any) -> Any:
    """One example for a loader that makes no batches: arrays in it become Tensors, all else stays.

    >>> default_convert({"x": np.zeros(2), "name": "a"})
    {'x': tensor([0., 0.], dtype=float64), 'name': 'a'}
    """
    return each_part(_converted, data)


def _converted(part: Any) -> Any:
    array = isinstance(part, np.ndarray | np.generic) and part.dtype.kind in "biuf"
    return Tensor(np.asarray(part)) if array else part


def each_part(function: Callable[[Any], Any], batch: Any) -> Any:
    """A batch built alike, of what `function` makes of each part that is no dictionary, tuple or list."""
    if isinstance(batch, Mapping):
        return {key: each_part(function, part) for key, part in batch.items()}
    if isinstance(batch, tuple | list):
        return _built_like(batch, [each_part(function, part) for part in batch])
    return function(batch)


def _built_like(example: Any, parts: list[Any]) -> Any:
    """The parts in a tuple, named tuple or list, whichever `example` is."""
    return type(example)(*parts) if hasattr(example, "_fields") else type(example)(parts)


def _stack(arrays: list[Any]) -> Any:
    """Arrays of one shape as one array with a new first dimension."""
    if len({array.shape for array in arrays}) > 1:
        shapes = ", ".join(sorted({str(array.shape) for array in arrays}))
        raise RuntimeError(
            f"the examples of a batch must have equal shapes, got {shapes}; "
            "bring them to one size, or give the DataLoader a collate_fn"
        )
    return backend.array_module(arrays[0]).stack(arrays)
