"""Weights that are computed anew before each forward pass: from a length and a direction, or with a bounded stretch.

The layer's `weight` is then no parameter but the result of those that it is computed from.  What computes it are
functions of this module with their settings (`partial`), so that such a layer can be copied and pickled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from minidl.autograd import Tensor, no_grad
from minidl.backend import array_module, random_stream
from minidl.functional.products import matmul
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops import reductions
from minidl.ops.elementwise import sqrt, square

AnyModule = TypeVar("AnyModule", bound=Module)


def weight_norm(module: AnyModule, name: str = "weight", dim: int | None = 0) -> AnyModule:
    """Make the parameter `name` of `module` g · v / |v|: its length `name_g` and direction `name_v` are learned apart.

    The norm is over all dimensions but `dim`, over all for None.  Returns the module.  RuntimeError if it is done
    already.  Source: Salimans and Kingma, "Weight normalization", NeurIPS 2016, equation 2.

    >>> from minidl import nn
    >>> layer = weight_norm(nn.Linear(20, 40))
    >>> layer.weight_g.shape, layer.weight_v.shape
    ((40, 1), (40, 20))
    """
    weight: Tensor = getattr(module, name)
    axes = None if dim is None else tuple(d for d in range(weight.ndim) if d != dim % weight.ndim)
    parts = {f"{name}_g": _length(weight.detach(), axes), f"{name}_v": weight.detach().clone()}
    return _computed(module, name, partial(_of_that_length, name=name, axes=axes), parts, {})


def _of_that_length(layer: Module, name: str, axes: tuple[int, ...] | None) -> Tensor:
    g, v = getattr(layer, f"{name}_g"), getattr(layer, f"{name}_v")
    return v * (g / _length(v, axes))


def _length(v: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    return sqrt(reductions.sum(square(v), axis=axes, keepdims=axes is not None))


def remove_weight_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Make `name` a parameter again, with its present numbers; ValueError if it has no weight norm."""
    return _settled(module, name, (f"{name}_g", f"{name}_v"))


def spectral_norm(
    module: AnyModule, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> AnyModule:
    """Divide the parameter `name` of `module` by its largest singular value, estimated by power iteration.

    It becomes `name_orig`; the buffers `name_u` and `name_v` hold the singular vectors, which each forward pass in
    training mode brings `n_power_iterations` nearer.  `dim` counts the outputs: 0, but 1 for transposed convolutions.
    ValueError for no iteration.  Source: Miyato et al., "Spectral normalization for GANs", ICLR 2018, algorithm 1.
    """
    if n_power_iterations <= 0:
        raise ValueError(f"spectral_norm: n_power_iterations must be at least 1, got {n_power_iterations}")
    if dim is None:
        dim = int(type(module).__name__.startswith("ConvTranspose"))
    weight: Tensor = getattr(module, name)

    rows, columns = _matrix(weight, dim).shape
    vectors = {f"{name}_u": _random_unit(weight, rows, eps), f"{name}_v": _random_unit(weight, columns, eps)}
    compute = partial(_with_stretch_1, name=name, iterations=n_power_iterations, eps=eps, dim=dim)
    return _computed(module, name, compute, {f"{name}_orig": weight.detach().clone()}, vectors)


def _with_stretch_1(layer: Module, name: str, iterations: int, eps: float, dim: int) -> Tensor:
    w, u, v = (getattr(layer, f"{name}_{part}") for part in ("orig", "u", "v"))
    matrix = _matrix(w, dim)
    if layer.training:
        with no_grad():
            for _ in range(iterations):
                v.copy_(_unit(matmul(matrix.T, u), eps))
                u.copy_(_unit(matmul(matrix, v), eps))
        u, v = u.clone(), v.clone()  # so that a second forward pass before backward changes nothing
    return w / matmul(u, matmul(matrix, v))


def _matrix(w: Tensor, dim: int) -> Tensor:
    """The weights with one row for each output."""
    return w.movedim(dim, 0).reshape(w.shape[dim], -1)


def _unit(x: Tensor, eps: float) -> Tensor:
    return x / max(float(sqrt(square(x).sum())), eps)


def _random_unit(like: Tensor, length: int, eps: float) -> Tensor:
    numbers = random_stream().standard_normal(length).astype(like.dtype)
    return _unit(Tensor(array_module(like.array).asarray(numbers)), eps)


def remove_spectral_norm(module: AnyModule, name: str = "weight") -> AnyModule:
    """Make `name` a parameter again, with its present numbers; ValueError if it has no spectral norm."""
    return _settled(module, name, (f"{name}_orig", f"{name}_u", f"{name}_v"))


# -- what the two share ---------------------------------------------------------------------------------------------


def _computed(
    module: AnyModule, name: str, compute: Callable[[Module], Tensor], parts: dict[str, Tensor],
    buffers: dict[str, Tensor],
) -> AnyModule:  # fmt: skip
    """Replace a parameter by what `compute` makes of new parameters and buffers before each forward pass."""
    if not isinstance(getattr(module, name), Parameter):
        raise RuntimeError(f"{name} of {type(module).__name__} is not a parameter: is it normalised already?")
    delattr(module, name)
    for part, start in parts.items():
        setattr(module, part, Parameter(start))
    for part, start in buffers.items():
        module.register_buffer(part, start)

    compute_anew = partial(_compute_anew, name=name, compute=compute)
    compute_anew(module, ())
    vars(module)[f"_{name}_computed"] = module.register_forward_pre_hook(compute_anew)
    return module


def _compute_anew(layer: Module, inputs: Any, name: str, compute: Callable[[Module], Tensor]) -> None:
    setattr(layer, name, compute(layer))


def _settled(module: AnyModule, name: str, parts: tuple[str, ...]) -> AnyModule:
    if not hasattr(module, parts[0]):
        raise ValueError(f"{name} of {type(module).__name__} is not computed from {' and '.join(parts)}")
    weight = getattr(module, name).detach().clone()
    vars(module).pop(f"_{name}_computed").remove()
    for part in (name, *parts):
        delattr(module, part)
        vars(module).get("_buffer_names", {}).pop(part, None)
    setattr(module, name, Parameter(weight))
    return module
