"""Call both libraries with the same arguments, and compare everything that comes out: values, gradients, errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from parity.drawing import Call, Case, Draw, Fixed, Named

import minidl

TOLERANCE = {"float64": 1e-10, "float32": 2e-4, "float16": 1e-2}
DEVICE = "cpu"  # where minidl computes; tests/gpu puts another in its place
SAME_CLASS = {NotImplementedError: RuntimeError, torch.linalg.LinAlgError: RuntimeError}  # PyTorch's own subclasses


class Given:
    """Arguments for one library, made of arrays; it remembers its tensors, to ask for their gradients."""

    def __init__(self, library: Any) -> None:
        self.library, self.tensors = library, []

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Fixed):
            return self.tensor(x.array, False)
        if isinstance(x, Named):
            thing = attrgetter(x.name)(self.library)
            return thing if x.call is None else thing(*self(x.call.arguments), **self(x.call.options))
        if isinstance(x, np.ndarray):
            return self.tensor(x, x.dtype.kind == "f")
        if isinstance(x, np.dtype):
            return getattr(torch, x.name) if self.library is torch else x
        if isinstance(x, dict):
            return {name: self(part) for name, part in x.items()}
        if isinstance(x, (tuple, list)):
            return type(x)(map(self, x)) if not hasattr(x, "_fields") else type(x)(*map(self, x))
        return x

    def tensor(self, array: np.ndarray, requires_grad: bool) -> Any:
        copy = array.copy(order="K")  # which keeps a transposed layout
        x = torch.from_numpy(copy) if self.library is torch else minidl.from_numpy(copy).to(DEVICE)
        x.requires_grad = requires_grad
        self.tensors.append(x)
        return x


def compare_function(case: Case, data: Any) -> None:
    """One draw: the function, and the method of the same name if PyTorch has one."""
    draw = Draw(data)
    drawn = case.draw(draw)
    compare(lambda library, given: _named(library, case.name)(*given.arguments, **given.options), drawn, case)
    if "." not in case.name and hasattr(torch.Tensor, case.name) and isinstance(drawn.arguments[0], np.ndarray):
        compare(lambda _, given: getattr(given.arguments[0], case.name)(*given.arguments[1:], **given.options), drawn,
                case)  # fmt: skip


def compare_layer(case: Case, data: Any) -> None:
    """One draw: the layer with PyTorch's weights; a training step's results, gradients and buffers."""
    draw = Draw(data)
    how, inputs = case.draw(draw)
    state: dict[str, np.ndarray] = {}

    def step(library: Any, given: Any) -> Any:
        torch.manual_seed(0)
        module = _named(library, case.name)(*given[0].arguments, **given[0].options)
        module.to(getattr(library, draw.dtype))
        if library is torch:
            state.update({name: x.numpy().copy() for name, x in module.state_dict().items()})
        else:
            assert list(module.state_dict()) == list(state), "the names of the state dict"
            module.load_state_dict(state)
            module.to(DEVICE)
        outputs = module(*given[1].arguments, **given[1].options)
        return outputs, Step(dict(module.named_parameters()), dict(module.named_buffers()))

    compare(step, (how, inputs), case)


class Step:
    """What a layer is left with after its step."""

    def __init__(self, parameters: dict[str, Any], buffers: dict[str, Any]) -> None:
        self.parameters, self.buffers = parameters, buffers


def _named(library: Any, name: str) -> Any:
    function = attrgetter(name)(library)
    function = function if callable(function) else function.__get__  # a property of Tensor
    if name.startswith("Tensor.") and name.endswith("_"):
        return lambda x, *others, **options: (function(y := x.clone(), *others, **options), y)
    return function


def compare(function: Callable[[Any, Any], Any], drawn: Any, case: Case) -> None:
    expected = _outcome(torch, function, drawn, case.gradients)
    found = _outcome(minidl, function, drawn, case.gradients)
    if DEVICE != "cpu" and (isinstance(expected, IndexError) or str(expected) == "ZeroDivisionError"):
        return  # on a GPU nobody waits to find a label out of range, or a whole number divided by 0
    if isinstance(expected, Exception):
        kind = next((ours for theirs, ours in SAME_CLASS.items() if isinstance(expected, theirs)), type(expected))
        assert isinstance(found, kind), f"PyTorch raises {expected!r}, minidl gives {found!r}"
        return
    if isinstance(found, Exception):
        raise AssertionError(f"PyTorch gives {expected!r}") from found
    (expected, shared_by_torch), (found, shared) = expected, found
    assert shared <= shared_by_torch, f"a view, where PyTorch gives memory of its own: {shared - shared_by_torch}"
    assert len(found) == len(expected), f"{found} for {expected}"
    for (ours, mine), (theirs, other) in zip(found, expected, strict=True):
        assert ours == theirs, f"{ours} for {theirs}"
        if not isinstance(other, np.ndarray):
            assert mine == other, f"{ours}: {mine} for {other}"
            continue
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape), (
            f"{ours}: {mine.dtype} {mine.shape} for {other.dtype} {other.shape}"
        )
        tolerance = TOLERANCE.get(other.dtype.name, 0.0) * case.tolerance
        finite = np.abs(other[np.isfinite(other)]) if other.dtype.kind == "f" else np.zeros(0)
        size = max(1.0, float(finite.max())) if finite.size else 1.0
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance * size, err_msg=ours)


def _outcome(library: Any, function: Callable[[Any, Any], Any], drawn: Any, gradients: bool) -> Any:
    """What comes out, as (place, array or plain value) pairs, gradients among them; or the error."""
    given = Given(library)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = function(library, _each(given, drawn))
            outputs = _leaves(library, "output", result)
            shared = _shared(library, outputs, given.tensors)
            if gradients:
                _backward([x for _, x in outputs if isinstance(x, library.Tensor)])
        except Exception as error:
            return error
    if gradients:
        outputs += [(f"gradient of input {i}", x.grad) for i, x in enumerate(given.tensors)]
        for part in result if isinstance(result, tuple) else ():
            if isinstance(part, Step):
                outputs += [(f"gradient of {name}", p.grad) for name, p in part.parameters.items()]
    return [(place, _array(library, x)) for place, x in outputs], shared


def _each(given: Given, drawn: Any) -> Any:
    """The drawn calls with tensors of the library in place of arrays."""
    if isinstance(drawn, Call):
        return Call(tuple(map(given, drawn.arguments)), given(drawn.options))
    return tuple(_each(given, part) for part in drawn)


def _leaves(library: Any, place: str, result: Any) -> list[tuple[str, Any]]:
    """The tensors and plain values of a nested result, each with its place."""
    if isinstance(result, library.Tensor):
        return [(place, result)]
    if isinstance(result, Step):
        return [(f"buffer {name}", x) for name, x in result.buffers.items()]
    if isinstance(result, dict):
        return [leaf for name, part in result.items() for leaf in _leaves(library, f"{place}[{name}]", part)]
    if isinstance(result, (tuple, list)):
        return [leaf for i, part in enumerate(result) for leaf in _leaves(library, f"{place}[{i}]", part)]
    return [(place, result)]


def _backward(outputs: list[Any]) -> None:
    """Gradients of a weighted sum of everything that can have one."""
    seen = [y for y in outputs if y.requires_grad and y.numel()]
    total = None
    for i, y in enumerate(seen):
        weights = np.random.default_rng(i).uniform(0.5, 1.5, tuple(y.shape)).astype(str(y.dtype).split(".")[-1])
        weights = torch.from_numpy(np.asarray(weights)) if isinstance(y, torch.Tensor) else minidl.Tensor(weights)
        part = (y * weights.to(y.device)).sum().cpu()
        part = part.to(minidl.float64 if isinstance(y, minidl.Tensor) else torch.float64)
        total = part if total is None else total + part
    if total is not None:
        total.backward()


def _shared(library: Any, outputs: list[Any], inputs: list[Any]) -> set[str]:
    """Which outputs lie in the memory of an input."""

    def share(x: Any, y: Any) -> bool:
        if library is torch:
            return x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr() and x.numel() > 0
        return x.device == y.device and minidl.backend.array_module(x.array).may_share_memory(x.array, y.array)

    tensors = [(place, x) for place, x in outputs if isinstance(x, library.Tensor)]
    return {f"{place} of input {i}" for place, x in tensors for i, y in enumerate(inputs) if share(x, y)}


def _array(library: Any, x: Any) -> Any:
    if isinstance(x, library.Tensor):
        return x.detach().cpu().numpy()
    if isinstance(x, (torch.dtype, np.dtype)):
        return str(x).removeprefix("torch.")
    return x
