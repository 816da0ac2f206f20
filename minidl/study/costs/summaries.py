"""`summary`: what a network is made of, as it shows when an input goes through: shapes, parameters, work and memory.

The network is run once.  What is counted are the operations that the engine was asked for and the arrays that the
graph holds, not what a layer of that name should need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor, enable_grad
from minidl.autograd.function import FunctionCtx
from minidl.nn import Module
from minidl.study.calls import Calls
from minidl.study.graphs.backward import Observer
from minidl.study.graphs.graph import behind
from minidl.study.measuring import untouched
from minidl.study.table import Table

# How many products each op that multiplies matrices adds up, from the shapes of its result and of its inputs.
PRODUCTS: dict[str, Callable[..., int]] = {
    "matrix_product": lambda out, x, y: math.prod(out) * x[-1],
    "linear": lambda out, x, w, *b: math.prod(out) * w[1],
    "convolution": lambda out, x, w, *b: math.prod(out) * math.prod(w[1:]),
    "convolution_input": lambda out, g, w: math.prod(g) * math.prod(w[1:]),  # what a transposed convolution computes
    "convolution_weight": lambda out, g, x: math.prod(g) * math.prod(out[1:]),
    "recurrence": lambda out, x, s, w, *b: math.prod(x) * w[1],
}


@dataclass(eq=False)
class Layer:
    """One module; its numbers are without those of the modules inside it, and sums over its calls.

    `parameters` counts each parameter once, where the model first has it; `kept` is in bytes.
    """

    path: str
    kind: str
    output: str = "-"
    calls: int = 0
    parameters: int = 0
    multiply_adds: int = 0
    kept: int = 0
    note: str = ""

    @property
    def title(self) -> str:
        """The name, indented as deep as the module lies."""
        return "  " * (self.path.count(".") + 1) + f"{self.path} ({self.kind})" if self.path else self.kind

    def row(self) -> dict[str, Any]:
        """The layer as a row of a table; of one that was not called itself, work and memory are unknown."""
        work = (self.multiply_adds, self.kept) if self.calls else (None, None)
        return {
            "layer": self.title, "output": self.output, "calls": self.calls, "parameters": self.parameters,
            "multiply-adds": work[0], "kept": work[1], "note": self.note,
        }  # fmt: skip


@dataclass(repr=False)
class Summary:
    """A network and one pass through it: print it, or read `layers` and the totals, of which `bytes` are by kind."""

    layers: list[Layer]
    parameters: int
    trainable: int
    bytes: dict[str, int]
    batch: str

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass: how often a product is added to a sum, in products of matrices and convolutions."""
        return sum(layer.multiply_adds for layer in self.layers)

    def table(self) -> Table:
        """A row for each module, with those inside it under it, and the totals: print it, or write it `to_csv`."""
        rows = [layer.row() for layer in self.layers]
        totals = {"parameters": self.parameters, "multiply-adds": self.multiply_adds, "kept": self.bytes["kept"]}
        rows.append({"layer": "total", "output": "", "calls": None} | totals | {"note": ""})
        if all(layer.calls <= 1 for layer in self.layers):
            rows = [{name: value for name, value in row.items() if name != "calls"} for row in rows]
        if not any(layer.note for layer in self.layers):
            rows = [{name: value for name, value in row.items() if name != "note"} for row in rows]
        return Table(rows)

    def __repr__(self) -> str:
        formats = {"kept": in_bytes, "parameters": "{:,}".format, "multiply-adds": "{:,}".format}
        lines = printed(self.table(), formats).splitlines()
        frozen = self.parameters - self.trainable
        memory = ", ".join(f"{name} {in_bytes(size)}" for name, size in self.bytes.items() if name != "kept")
        return "\n".join([
            *lines[:-1], "-" * max(map(len, lines)), lines[-1], "",
            f"input {self.batch}; numbers of a row are without those of the rows inside it",
            f"parameters: {self.parameters:,}" + (f", {frozen:,} of them frozen" if frozen else ", all trainable"),
            f"multiply-adds: {self.multiply_adds:,} in products of matrices and convolutions, forward; "
            "backward takes about twice as many",
            f"memory: {memory}; kept for backward: {in_bytes(self.bytes['kept'])}",
        ])  # fmt: skip


def summary(model: Module, input: Any) -> Summary:
    """The modules of `model`: shape of the output, parameters, multiply-adds and memory of each, and the totals.

    `input` is a tensor, a tuple of what the model is called with, or the shape of a tensor, which is then filled with
    random numbers.  "kept" are the bytes of results that the graph holds until backward, after a forward pass in the
    present mode; gradients and an optimizer's memory come on top.  Each parameter is counted once, a shared one where
    it comes first.  Afterwards mode, buffers, gradients and random numbers are as they were.  TypeError for another
    input.

    >>> from minidl import nn, study
    >>> study.summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), (32, 4))
    layer         output   parameters  multiply-adds     kept
    Sequential    (32, 3)           0              0      0 B
      0 (Linear)  (32, 8)          40          1,024  1.0 KiB
      1 (ReLU)    (32, 8)           0              0  1.0 KiB
      2 (Linear)  (32, 3)          27            768    384 B
    ---------------------------------------------------------
    total                          67          1,792  2.4 KiB
    <BLANKLINE>
    input (32, 4); numbers of a row are without those of the rows inside it
    parameters: 67, all trainable
    multiply-adds: 1,792 in products of matrices and convolutions, forward; backward takes about twice as many
    memory: parameters 268 B, buffers 0 B, input 512 B; kept for backward: 2.4 KiB
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected a Module, got {type(model).__name__}")
    given = _inputs(model, input)
    layers, modules = _layers(model)
    with untouched(model), enable_grad(), _Counted(modules) as counted:
        output = model(*given)
        stored = [model.parameters(), model.buffers(), _tensors(given)]
        known = {id(_owner(x.array)): x.array for tensors in stored for x in tensors}
        kept = _kept(output, known)
    for order, size in kept:
        place = next((modules[module] for module in reversed(counted.at(order)) if module in modules), layers[0])
        place.kept += size
    parameters = list(model.parameters())
    sizes = {"parameters": parameters, "buffers": list(model.buffers()), "input": list(_tensors(given))}
    return Summary(
        layers,
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        bytes={name: sum(x.array.nbytes for x in tensors) for name, tensors in sizes.items()}
        | {"kept": sum(size for _, size in kept)},
        batch=_shape(given if len(given) > 1 else given[0]),
    )


class _Counted(Calls):
    """Calls of modules, and the products that are added up in them."""

    def __init__(self, layers: Mapping[Module, Layer]) -> None:
        super().__init__()
        self.layers, self.observer = layers, _Results(self)

    def __enter__(self) -> _Counted:
        self.observer.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.observer.__exit__(*error)

    def returned(self, module: Module, output: Any) -> None:
        if module in self.layers:
            layer, shape = self.layers[module], _shape(output)
            layer.calls += 1
            layer.output = shape if layer.output in ("-", shape) else f"{layer.output.removesuffix(', …')}, …"


class _Results(Observer):
    """What the engine shows the result of each op to."""

    def __init__(self, counted: _Counted) -> None:
        super().__init__()
        self.counted = counted

    def result(self, name: str, result: Tensor, inputs: Any, settings: dict[str, Any]) -> None:
        super().result(name, result, inputs, settings)
        if name in PRODUCTS and self.counted.here:
            layers = self.counted.layers
            around = [layers[module] for module in self.counted.running if module in layers]
            shapes = [x.shape for x in inputs if hasattr(x, "shape")]
            around[-1].multiply_adds += PRODUCTS[name](result.shape, *shapes)


def _layers(model: Module) -> tuple[list[Layer], dict[Module, Layer]]:
    """A row for each place of a module in the model; and, of each module, the row where it comes first."""
    rows, first = list[Layer](), dict[Module, Layer]()
    owner: dict[Tensor, str] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        rows.append(row := Layer(path, type(module).__name__))
        if module in first:
            row.note = f"the same module as {first[module].path}"
            continue
        first[module] = row
        for name, p in module.named_parameters(recurse=False):
            if p in owner:
                row.note = f"{name} is {owner[p]}, counted there"
            else:
                owner[p] = f"{path}.{name}" if path else name
                row.parameters += p.numel()
    return rows, first


# -- inputs and outputs -------------------------------------------------------------------------------------------


def _inputs(model: Module, given: Any) -> tuple[Any, ...]:
    """What the model is called with."""
    if isinstance(given, Tensor):
        return (given,)
    if isinstance(given, (tuple, list)) and given and all(isinstance(n, int) for n in given):
        like = next(model.parameters(), None)
        numbers = np.random.default_rng(0).standard_normal(given)
        array = numbers.astype(backend.get_default_dtype() if like is None else like.dtype)
        return (Tensor(array if like is None else backend.to_device(array, like.device)),)
    if isinstance(given, tuple) and any(True for _ in _tensors(given)):
        return given
    came = repr(given) if isinstance(given, (tuple, list)) else type(given).__name__
    raise TypeError(f"summary: expected a tensor, a tuple of tensors or a shape such as (32, 784), got {came:.60}")


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _shape(output: Any) -> str:
    """The shapes in an output, brackets in brackets: "(5, 2), ((1, 2), (1, 2))" for that of an LSTM."""
    if isinstance(output, Tensor):
        return str(output.shape)
    if isinstance(output, dict):
        return "{" + ", ".join(f"{name}: {_shape(item)}" for name, item in output.items()) + "}"
    if isinstance(output, (tuple, list)):
        return ", ".join(f"({_shape(x)})" if isinstance(x, (tuple, list)) else _shape(x) for x in output)
    return "None" if output is None else type(output).__name__


# -- numbers as texts ---------------------------------------------------------------------------------------------


class _Shown:
    """A number as it is to be printed, which in a table still is no word."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def printed(table: Table, formats: Mapping[str, Callable[[Any], str]]) -> str:
    """A table as a text, with the numbers of some columns in formats of their own.

    >>> print(printed(Table([{"n": 1234, "size": 640}]), {"n": "{:,}".format, "size": in_bytes}))
        n   size
    1,234  640 B
    """
    rows: list[dict[str, Any]] = [
        {name: _Shown(formats[name](x)) if name in formats and x is not None else x for name, x in row.items()}
        for row in table
    ]
    return str(Table(rows))


def in_bytes(size: float) -> str:
    """A number of bytes in the unit that suits it.

    >>> in_bytes(640), in_bytes(5 * 2**20), in_bytes(-2048)
    ('640 B', '5.0 MiB', '-2.0 KiB')
    """
    power = 0 if abs(size) < 1024 else min(4, int(math.log(abs(size), 1024)))
    return f"{size / 1024**power:.{1 if power else 0}f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


# -- what the graph holds -----------------------------------------------------------------------------------------


def _kept(output: Any, known: dict[int, Any]) -> list[tuple[int, int]]:
    """(order of the op, bytes) of every piece of memory that the graph behind an output holds, if not `known`."""
    held: dict[int, tuple[int, int]] = {}
    nodes = {x: None for y in _tensors(output) if y.op is not None for x in behind(y) if x.op is not None}
    for node in sorted(nodes, key=lambda x: x.order):
        for array in _arrays([node, node.arrays, node.settings]):
            owner = _owner(array)
            if id(owner) not in known:
                held.setdefault(id(owner), (node.order, owner.nbytes))
    return list(held.values())


def _arrays(value: Any) -> Iterator[Any]:
    """All arrays in what an op keeps."""
    if isinstance(value, Tensor):
        value = value.array
    if type(value) in backend.modules:
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _arrays(item)
    elif isinstance(value, FunctionCtx):
        yield from _arrays(vars(value))


def _owner(array: Any) -> Any:
    """The array whose memory it is."""
    while getattr(array, "base", None) is not None and hasattr(array.base, "nbytes"):
        array = array.base
    return array
