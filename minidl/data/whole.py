"""Sets that lie in memory as a whole, of which a batch is a look-up in arrays: where they lie, and how to move them.

On a GPU the order of an epoch is copied once, and its batches are looked up there.
"""

from __future__ import annotations

import copy
from typing import Any

from minidl import backend
from minidl.backend import Array
from minidl.data.dataset import Subset, TensorDataset
from minidl.data.mnist import MNIST


def arrays_of(dataset: Any) -> list[Array]:
    """The arrays in which all examples lie; none of a set that makes its examples in a way of its own."""
    kind: Any = type(dataset)
    if isinstance(dataset, Subset) and kind.batch is Subset.batch:
        arrays = arrays_of(dataset.dataset)
        return [dataset.indices, *arrays] if arrays else []
    if isinstance(dataset, TensorDataset) and kind.batch is TensorDataset.batch:
        return [] if any(t.requires_grad for t in dataset.tensors) else [t.array for t in dataset.tensors]
    if isinstance(dataset, MNIST) and kind.batch is MNIST.batch:
        return [] if dataset.transform or dataset.target_transform else [dataset.images, dataset.labels]
    return []


def place_of(dataset: Any) -> backend.device:
    """The device of all these arrays; the CPU where there are none, or several devices."""
    places = {backend.device_of(array) for array in arrays_of(dataset)}
    return places.pop() if len(places) == 1 else backend.CPU


def moved(dataset: Any, device: str) -> Any:
    """The same set with its arrays on `device`; those that lie there already are shared."""
    dataset = copy.copy(dataset)
    if isinstance(dataset, Subset):
        dataset.indices, dataset.dataset = backend.to_device(dataset.indices, device), moved(dataset.dataset, device)
    elif isinstance(dataset, TensorDataset):
        dataset.tensors = tuple(t.to(device) for t in dataset.tensors)
    else:
        dataset.images, dataset.labels = (backend.to_device(x, device) for x in (dataset.images, dataset.labels))
    return dataset
