"""The Module, from which every layer and network is made.

A module keeps no lists of what belongs to it: parameters, buffers and submodules are its plain attributes, in the
order in which they were set, and whoever asks for them walks through these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from minidl.autograd import Tensor, no_grad
from minidl.functional.creation import zeros_like
from minidl.nn.hooks import Hooked
from minidl.nn.members import Members
from minidl.nn.parameter import Parameter


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` passed over: names the state lacks, and names the module lacks."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not (self.missing_keys or self.unexpected_keys):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Module(Hooked):
    """A layer or a network: a function `forward` with parameters, and whatever modules it is made of.

    Subclasses set parameters and modules as attributes in `__init__` and compute in `forward`.  Calling a module
    runs `forward`; if that raises, the message begins with the path of the layer that failed.

    >>> import minidl
    >>> from minidl import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         self.factor = nn.Parameter(minidl.ones(1))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> net = nn.Sequential(nn.Linear(3, 2), Scale())
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '1.factor']
    >>> net(minidl.zeros(4, 5))
    Traceback (most recent call last):
    RuntimeError: in 0 (Linear(in_features=3, out_features=2, bias=True)): linear: expected an input of shape ...
    """

    training: bool = True
    _buffer_names: Mapping[str, bool]  # name -> whether it is part of the state; only there if there are buffers

    # -- the call

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        try:
            if self._hooked:
                return self._forward_with_hooks(inputs, options)
            return self.forward(*inputs, **options)
        except Exception as error:
            if isinstance(error, AttributeError) and any(error.obj is x for x in inputs if not isinstance(x, Tensor)):
                came = type(error.obj).__name__
                raise TypeError(f"{type(self).__name__}: expected a Tensor, got {came}") from error
            _name_the_layer(self, error)
            raise

    # -- what belongs to a module

    # PyTorch's dictionaries, as views of the attributes
    _modules = property(lambda self: Members(self, Module._own_modules, setattr))
    _parameters = property(lambda self: Members(self, Module._own_parameters, setattr))
    _buffers = property(lambda self: Members(self, Module._own_buffers, Module.register_buffer))

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter and can be replaced by a Parameter or None, "
                f"got {type(value).__name__}: to change its numbers, use {name}.copy_(...) under no_grad()"
            )
        object.__setattr__(self, name, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set the attribute `name` to a Parameter, or to None where the module could have one but has none."""
        self._check_new(name, "parameter", param, Parameter)
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set the attribute `name` to a tensor that is not learned but moves with the module.

        It is part of the state, too, unless `persistent` is False.
        """
        self._check_new(name, "buffer", tensor, Tensor)
        setattr(self, name, tensor)
        vars(self).setdefault("_buffer_names", {})[name] = persistent

    def add_module(self, name: str, module: Module | None) -> None:
        """Set the attribute `name` to a submodule; unlike an attribute, the name may be a number."""
        self._check_new(name, "module", module, Module)
        setattr(self, name, module)

    register_module = add_module

    def _check_new(self, name: str, kind: str, value: Any, expected: type) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a {kind} must be a string, got {name!r}")
        if not name or "." in name:
            raise KeyError(f'the name of a {kind} must not be empty or contain ".", got {name!r}')
        own = vars(self)
        fits = type(None) if isinstance(own.get(name), Parameter) and expected is Tensor else (expected, type(None))
        if not isinstance(own[name], fits) if name in own else hasattr(type(self), name):
            raise KeyError(f"{type(self).__name__} has an attribute {name!r} already: call the {kind} something else")
        if value is not None and not isinstance(value, expected):
            raise TypeError(f"{kind} {name!r}: expected a {expected.__name__} or None, got {type(value).__name__}")

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, each once, with their names."""
        seen = set()
        for name, module in self._own_modules():
            if module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths: itself first, then each child with all that is below it.

        >>> from minidl import nn
        >>> [name for name, _ in nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh()).named_modules()]
        ['', '0', '0.0', '1']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._own_modules():
            yield from module.named_modules(memo, _joined(prefix, name), remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once unless `remove_duplicate` is False."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def get_submodule(self, target: str) -> Module:
        """The module at the path `target`, such as "net.0"; AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            child = vars(module).get(name)
            if not isinstance(child, Module):
                names = ", ".join(name for name, _ in module.named_children()) or "none"
                raise AttributeError(f"{target!r}: {type(module).__name__} has no submodule {name!r}; it has {names}")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at the path `target`, such as "net.0.weight"; AttributeError if there is none."""
        return self._tensor_at(target, "parameter", Module._own_parameters)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at the path `target`; AttributeError if there is none."""
        return self._tensor_at(target, "buffer", Module._own_buffers)

    def _tensor_at(self, target: str, kind: str, own: Callable[[Module], Iterable[tuple[str, Tensor]]]) -> Any:
        path, _, name = target.rpartition(".")
        found = dict(own(module := self.get_submodule(path)))
        if name not in found:
            names = ", ".join(found) or "none"
            raise AttributeError(f"{target!r}: {type(module).__name__} has no {kind} {name!r}; it has {names}")
        return found[name]

    def _own_modules(self) -> Iterator[tuple[str, Module]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def _own_parameters(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Parameter))

    def _own_buffers(self, persistent_only: bool = False) -> Iterator[tuple[str, Tensor]]:
        for name, persistent in vars(self).get("_buffer_names", {}).items():
            tensor = vars(self).get(name)
            if tensor is not None and (persistent or not persistent_only):
                yield name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The parameters with their paths, each once: those of the module itself, then those of its children."""
        return self._named_tensors(Module._own_parameters, prefix, recurse, remove_duplicate)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their paths, each once."""
        return self._named_tensors(Module._own_buffers, prefix, recurse, remove_duplicate)

    def _named_tensors(
        self, own: Callable[[Module], Iterable[tuple[str, Tensor]]], prefix: str, recurse: bool, once: bool
    ) -> Iterator[tuple[str, Tensor]]:
        seen = set()
        for path, module in self.named_modules(None, prefix, once) if recurse else [(prefix, self)]:
            for name, tensor in own(module):
                if tensor not in seen:
                    yield _joined(path, name), tensor
                if once:
                    seen.add(tensor)

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """The parameters, each once: those of the module itself, then those of its children."""
        return (tensor for _, tensor in self.named_parameters(recurse=recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (tensor for _, tensor in self.named_buffers(recurse=recurse))

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles get: a tensor that the module has computed goes along without its history."""
        state = vars(self).items()
        return {name: x.detach() if isinstance(x, Tensor) and not x.is_leaf else x for name, x in state}

    # -- changes to all that is below

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below this one and then on itself, which is returned."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in all modules below: dropout and batch normalisation ask for it."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: expected True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """The same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters require a gradient: with False the module is frozen."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters, or set those that are there to new zeros."""
        for parameter in self.parameters():
            parameter.grad = None if set_to_none or parameter.grad is None else zeros_like(parameter)

    def to(self, *where: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False) -> Self:
        """Move all parameters and buffers to a device, to a floating dtype, or both: `to("cuda")`, `to(float64)`.

        The tensors stay the objects they were, so an optimizer made before goes on working.  Whole numbers and
        booleans keep their dtype.  TypeError for a dtype that is not floating; a failure changes nothing.
        """
        with no_grad():
            place = partial(_moved, where=where, device=device, dtype=dtype)
            moves = [
                (tensor, place(tensor), None if tensor.grad is None else place(tensor.grad))
                for tensor in (*self.parameters(), *self.buffers())
            ]
        for tensor, moved, grad in moves:
            if moved is not tensor:
                tensor.array, tensor.grad, tensor.version = moved.array, grad, None
                tensor.mark_changed()
        return self

    def cpu(self) -> Self:
        """Move all parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:
        """Move all parameters and buffers to a GPU, the current one or that of the given number."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    def float(self) -> Self:
        """Make all floating parameters and buffers float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Make all floating parameters and buffers float64."""
        return self.to(np.float64)

    def half(self) -> Self:
        """Make all floating parameters and buffers float16."""
        return self.to(np.float16)

    # -- the state

    def state_dict(
        self, *, destination: dict[str, Tensor] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """All parameters and persistent buffers by path, as detached tensors on the same memory.

        With `keep_vars` they are the tensors themselves.  A shared parameter stands under each of its paths.  They are
        put into the dictionary `destination`, if one is given.
        """
        state = {} if destination is None else destination
        state |= {
            _joined(path, name): tensor if keep_vars else tensor.detach()
            for path, module in self.named_modules(prefix=prefix.removesuffix("."), remove_duplicate=False)
            for name, tensor in (*module._own_parameters(), *module._own_buffers(persistent_only=True))
        }
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the Tensors or arrays in `state_dict` into the parameters and buffers of their paths.

        Raises RuntimeError with everything that does not fit (shapes, kinds of numbers and, if `strict`, missing
        and unexpected names); then nothing has been changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict: expected a dictionary, got {type(state_dict).__name__}")
        own = self.state_dict(keep_vars=True)
        given = {name: x if isinstance(x, Tensor) else np.asarray(x) for name, x in state_dict.items()}
        keys = IncompatibleKeys(*([name for name in a if name not in b] for a, b in ((own, given), (given, own))))
        errors = [
            f"{label} key(s) in state_dict: " + ", ".join(f'"{name}"' for name in names) + "."
            for label, names in zip(("Missing", "Unexpected"), keys, strict=True)
            if strict and names
        ]
        errors += [line for name in own if name in given for line in _misfit(name, own[name], given[name])]
        if errors:
            raise RuntimeError("\n\t".join([f"Error(s) in loading state_dict for {type(self).__name__}:", *errors]))
        with no_grad():
            for name, tensor in own.items():
                if name in given:
                    tensor.copy_(Tensor(getattr(given[name], "array", given[name])))
        return keys

    # -- the text

    def extra_repr(self) -> str:
        """What `repr` shows in the brackets before the children; for layers, what they were made with."""
        return ""

    def _child_lines(self) -> list[str]:
        return [f"({name}): {module!r}" for name, module in self._own_modules()]

    def __repr__(self) -> str:
        extra, children = self.extra_repr(), self._child_lines()
        if not children and "\n" not in extra:
            return f"{type(self).__name__}({extra})"
        lines = "\n".join([*extra.splitlines(), *children]).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {lines}\n)"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _moved(x: Tensor, where: tuple[Any, ...], device: Any, dtype: Any) -> Tensor:
    """x where `Module.to` wants it; itself if it is there already."""
    moved = x.detach().to(*where, device=device, dtype=dtype)
    if x.dtype.kind != "f":
        moved = x.to(moved.device)
    elif moved.dtype.kind != "f":
        raise TypeError(f"Module.to: expected a floating dtype, got {moved.dtype}")
    return x if moved.array is x.array else moved


def _misfit(name: str, tensor: Tensor, value: Any) -> list[str]:
    """What keeps `value` from being copied into the parameter or buffer `tensor`, if anything does."""
    if not np.can_cast(value.dtype, tensor.dtype, "same_kind"):
        return [f"dtype mismatch for {name}: {value.dtype} in the state, {tensor.dtype} in the model."]
    if value.shape != tensor.shape:
        return [f"size mismatch for {name}: shape {value.shape} in the state, {tensor.shape} in the model."]
    return []


def _name_the_layer(outer: Module, error: Exception) -> None:
    """Let the message of `error`, on its way out of `outer`, begin with the path of the layer that raised it.

    The first to see the error is that layer; each module around it writes a longer path.
    """
    if not hasattr(error, "_minidl_layer"):
        if len(error.args) != 1 or not isinstance(error.args[0], str):
            return  # not a message that could be added to
        try:
            error._minidl_layer = outer, error.args[0]  # type: ignore[attr-defined]
        except AttributeError:
            return  # a class without room for it
    layer, message = error._minidl_layer  # type: ignore[attr-defined]
    path = next((path for path, module in outer.named_modules() if module is layer), None)
    if path is not None:
        text = f"{type(layer).__name__}({layer.extra_repr()})"
        error.args = (f"in {path} ({text}): {message}" if path else f"in {text}: {message}",)
