"""The Tensor: an array that knows how it was computed.

Its arithmetic is attached by functional/methods.py, its backward pass by gradients.py.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import backend
from minidl.autograd.hooks import RemovableHandle
from minidl.backend import Array

if TYPE_CHECKING:
    from minidl.autograd.engine import Op

next_order = itertools.count(1).__next__  # creation order is a topological order: no recursion anywhere


class Tensor:
    """An array that knows how it was computed.

    `Tensor(array)` wraps a NumPy or CuPy array without copying; `minidl.tensor` is the usual way to make one.

    - `array`: the NumPy or CuPy array itself.
    - `grad`: the gradient that `backward` left here (a Tensor of the same shape and dtype), or None.
    - `name`: a name for pictures and messages, or None.
    - `op`, `inputs`, `arrays`, `settings`: how it was computed, `arrays` being those of the inputs at the time;
      `op` is None for a leaf, the others are None after the graph was freed.
    - `order`: larger than that of everything it was computed from.
    """

    # tracked: whether operations on it are recorded; hooks: functions that see its gradient;
    # version: [when the memory was last changed in place], one list for all tensors that view that memory.
    # pauses: of a leaf, between which orders (of ops) it required no gradient; its own is when that last changed.
    # Two are mostly left empty: after, functions called when .grad has grown; origin, detect_anomaly's note of where
    # the tensor was computed.
    __slots__ = ("array", "grad", "tracked", "name", "op", "inputs", "arrays", "settings", "order", "pauses", "hooks",
                 "version", "after", "origin", "__weakref__")  # fmt: skip
    __array_ufunc__ = None  # ndarray * tensor is the tensor's business
    __hash__ = object.__hash__  # == compares the numbers, but a dictionary looks for the tensor itself

    array: Array
    grad: Tensor | None
    name: str | None
    op: Op | None
    inputs: tuple[Any, ...] | None
    arrays: list[Any] | None
    settings: dict[str, Any] | None
    hooks: dict[Any, Callable[[Tensor, Tensor], Tensor | None]] | None
    version: list[int] | None
    pauses: tuple[tuple[int, int], ...]
    after: dict[Any, Callable[[Tensor], None]]
    origin: str

    def __init__(self, array: Array, requires_grad: bool = False) -> None:
        if type(array) not in backend.modules:
            if not isinstance(array, (np.ndarray, np.generic)):
                raise TypeError(f"Tensor(array) wraps an array, got {type(array).__name__}: use minidl.tensor(...)")
            array = np.asarray(array)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"a tensor holds real numbers or booleans, not {array.dtype}")
        self.array = array
        self.grad = self.name = self.hooks = self.version = None
        self.op = self.inputs = self.arrays = self.settings = None
        self.order = 0
        self.pauses = ()
        self.tracked = False
        if requires_grad:
            self.requires_grad, self.pauses = True, ()

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded, so that it receives a gradient."""
        return self.tracked

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.array.dtype.kind != "f":
            raise RuntimeError(f"only floating-point tensors can require a gradient, this one is {self.dtype}")
        if not value and not self.is_leaf:
            raise RuntimeError("only a leaf can stop requiring a gradient; use detach() on a computed tensor")
        if value != self.tracked:
            start, self.order = self.order, next_order()
            self.pauses = (*self.pauses, (start, self.order)) if value else self.pauses
        self.tracked = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return the tensor itself."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made by the user rather than computed by a recorded op."""
        return self.op is None

    # -- what it holds

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def device(self) -> backend.device:
        return backend.device_of(self.array)

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    def dim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def item(self) -> Any:
        """The only element, as a Python number; RuntimeError if there is not exactly one."""
        if self.array.size != 1:
            raise RuntimeError(f"item() needs exactly one element, this tensor has shape {self.shape}")
        return self.array.item()

    def tolist(self) -> Any:
        """The numbers as nested Python lists."""
        return self.array.tolist()

    def numpy(self) -> np.ndarray[Any, Any]:
        """The NumPy array itself, not a copy; RuntimeError while a gradient is required, TypeError on a GPU."""
        if self.tracked:
            raise RuntimeError("numpy() would leave the recorded graph: use tensor.detach().numpy() or tensor.array")
        if not isinstance(self.array, np.ndarray):
            raise TypeError(f"numpy() needs a tensor on the CPU, this one is on {self.device}: use tensor.cpu()")
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self.detach().array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def detach(self) -> Tensor:
        """A tensor on the same memory that is not part of the graph."""
        result = Tensor(self.array)
        result.version = self.shared_version()
        return result

    def detach_(self) -> Tensor:
        """Take this tensor itself out of the graph."""
        self.op = self.inputs = self.arrays = self.settings = None
        self.tracked, self.order, self.pauses = False, 0, ()
        self.mark_changed()  # for what was computed from it
        return self

    @property
    def data(self) -> Tensor:
        """A detached tensor on the same memory; assigning a tensor gives this one its memory."""
        return self.detach()

    @data.setter
    def data(self, source: Tensor) -> None:
        self.array, self.version = source.array, source.shared_version()
        self.mark_changed()

    def __len__(self) -> int:
        if not self.array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(f"the truth of a tensor of shape {self.shape} is ambiguous: use .any() or .all()")
        return bool(self.array)

    def __float__(self) -> float:
        return float(self._only())

    def __int__(self) -> int:
        return int(self._only())

    def _only(self) -> Any:
        if self.array.size != 1:  # ValueError, as PyTorch: what numbers are converted to expects it
            raise ValueError(f"only one element can become a Python number, this tensor has shape {self.shape}")
        return self.array.item()

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iu":
            raise TypeError(f"only a whole number can be an index, this tensor is {self.dtype}")
        return self.item()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        with np.printoptions(**backend.print_options):
            text = np.array2string(backend.to_device(self.array, "cpu"), separator=", ", prefix="tensor(")
        notes = [] if self.device == "cpu" else [f"device='{self.device}'"]
        if self.dtype not in (backend.get_default_dtype(), np.dtype(np.int64), np.dtype(np.bool)):
            notes.append(f"dtype={self.dtype}")
        if self.op is not None:
            notes.append(f"op={self.op.__name__}")
        elif self.tracked:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([text, *notes])})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.op is not None:
            raise RuntimeError("only leaves can be deep-copied; use detach() or clone() on a computed tensor")
        copy = memo[id(self)] = type(self)(self.array.copy(), self.tracked)
        copy.name = self.name
        copy.grad = None if self.grad is None else Tensor(self.grad.array.copy())
        return copy

    def __copy__(self) -> Tensor:
        copy = _restored(type(self), *self.__reduce__()[1][1:])
        copy.version = self.shared_version()
        return copy

    def __reduce__(self) -> Any:  # for pickle: what orders a graph means nothing in another process
        if self.op is not None:
            raise RuntimeError("only leaves can be copied or pickled; use detach() on a computed tensor")
        return _restored, (type(self), self.array, self.tracked, self.name, self.grad)

    # -- gradients

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(gradient)` in each backward pass; what it returns, if not None, replaces the gradient."""
        return self._add_hook(lambda _, gradient: hook(gradient))

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook(tensor)` whenever a backward pass has added to `.grad` of this leaf, say to take its step at once.

        RuntimeError for a computed tensor, and for one that does not require a gradient.
        """
        if self.op is not None or not self.tracked:
            raise RuntimeError("only a leaf that requires a gradient collects it in .grad: this tensor is none")
        self.after = getattr(self, "after", {})
        return RemovableHandle(self.after, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this computed tensor in `.grad`; leaves do so anyway."""
        if not self.is_leaf and _keep_grad not in (self.hooks or {}).values():
            self._add_hook(_keep_grad)

    def _add_hook(self, hook: Callable[[Tensor, Tensor], Tensor | None]) -> RemovableHandle:
        if not self.tracked:
            raise RuntimeError("a tensor that does not require a gradient never receives one to look at")
        self.hooks = self.hooks or {}
        return RemovableHandle(self.hooks, hook)

    # -- changes in place

    def shared_version(self) -> list[int]:
        """The version of the memory, for a second tensor on that memory."""
        self.version = self.version or [0]
        return self.version

    def mark_changed(self) -> None:
        """Note that the memory was written to: a backward pass that needs the old numbers then raises."""
        self.shared_version()[0] = next_order()

    def until_now(self) -> Tensor:
        """This tensor in its present state, for `become`: the state lives on as an input of what comes after."""
        old = Tensor(self.array)
        for slot in set(Tensor.__slots__) - {"array", "grad", "after", "__weakref__"}:
            if hasattr(self, slot):
                setattr(old, slot, getattr(self, slot))
        return old

    def become(self, result: Tensor) -> Tensor:
        """Take over the value of `result`, computed from `until_now()`: `x += 1` in a recorded graph.

        An op that used this tensor before the change cannot be differentiated after it.  RuntimeError for a leaf that
        requires a gradient, and for a tensor of whose memory there are other views, which would miss the change.
        """
        if self.tracked and self.op is None:
            raise RuntimeError(
                f"{describe(self)} is a leaf that requires a gradient and cannot be changed in place while "
                "operations are recorded; change it under no_grad(), or make a new tensor"
            )
        if self.version is not None and sys.getrefcount(self.version) > 3:  # this, `until_now()`, and the call itself
            raise RuntimeError(
                f"{describe(self)} shares its memory with other tensors (a view or detach()), and cannot be "
                "changed in place in a recorded graph; make a new tensor instead, as in y = x + 1"
            )
        self.array, self.tracked, self.order = result.array, result.tracked, result.order
        self.hooks = {handle: hook for handle, hook in (self.hooks or {}).items() if hook is _keep_grad}
        self.op, self.inputs, self.arrays, self.settings = result.op, result.inputs, result.arrays, result.settings
        self.version = [self.order]
        if hasattr(result, "origin"):
            self.origin = result.origin
        return self

    if TYPE_CHECKING:  # functional/methods.py gives Tensor its operators and the other methods

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def _with(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...

        __add__ = __sub__ = __mul__ = __truediv__ = __pow__ = __matmul__ = _with
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __lt__ = __le__ = __gt__ = __ge__ = _with


def _restored(kind: type[Tensor], array: Array, tracked: bool, name: str | None, grad: Tensor | None) -> Tensor:
    tensor = kind(array, tracked)
    tensor.name, tensor.grad = name, grad
    return tensor


def _keep_grad(tensor: Tensor, gradient: Tensor) -> None:
    tensor.grad = gradient.clone() if tensor.grad is None else tensor.grad + gradient


def describe(x: Any) -> str:
    """An input of an op in an error message: its name, dtype and shape."""
    if isinstance(x, Tensor):
        return f"{x.name or 'a tensor'} {x.dtype} {x.shape}"
    return f"an array {x.dtype} {x.shape}" if hasattr(x, "dtype") else repr(x)[:40]


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def tensor(data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested lists, an array or a Tensor.

    Python floats become float32 (see `set_default_dtype`), whole numbers int64; arrays keep their dtype.
    Raises TypeError for anything but numbers, ValueError for lists of unequal length.

    >>> import minidl
    >>> minidl.tensor([[1, 2.5], [3, 4]])
    tensor([[1. , 2.5],
            [3. , 4. ]])
    """
    source = data.array if isinstance(data, Tensor) else data
    if type(source) not in backend.modules and hasattr(source, "__array__"):
        source = np.asarray(source)  # NumPy's numbers and PyTorch's tensors have a dtype to keep
    if type(source) in backend.modules:
        array = backend.array_module(source).array(source, dtype=dtype)
    else:
        try:
            array = np.array(source, dtype=dtype)
        except ValueError as error:
            raise ValueError(f"tensor: expected numbers or lists of equal length, got {source!r:.60}") from error
        except OverflowError as error:
            raise RuntimeError(f"tensor: {error}") from error
        if dtype is None and array.dtype == np.float64:
            array = array.astype(backend.get_default_dtype())
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a tensor holds real numbers or booleans, not {array.dtype} (from {type(data).__name__})")
    return Tensor(array if device is None else backend.to_device(array, device), requires_grad)
