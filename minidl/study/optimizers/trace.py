"""The trace of an optimizer: every quantity of every step, for the weights that one wants to watch.

The numbers are those of the optimizer's own rule, given what it was given in that step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl.autograd import Tensor
from minidl.backend import Array
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.flat import Flat
from minidl.optim.runner import Update
from minidl.study import charts
from minidl.study.measuring import expect
from minidl.study.table import Table, evenly
from minidl.study.text import on_host
from minidl.worked import place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Index = int | tuple[int, ...]
WORDS = {"g": "gradient g", "rate": "effective learning rate", "step": "step", "w": "weight w"}


class Watched(NamedTuple):
    """Some entries of a parameter: their indices, and the same counted row by row."""

    name: str
    entries: list[tuple[int, ...]]
    flat: np.ndarray


class Plan(NamedTuple):
    """What is to be done in the step of some neighbours: which are watched, and where their entries are."""

    watched: list[Watched]
    places: list[tuple[int, Array]]  # number of the parameter, entries in it
    in_memory: Array
    xp: Any
    whole: bool  # whether the rule looks at a parameter as a whole


class Record(NamedTuple):
    """One step of some entries: its number, their weights and gradients before it, and what gives the rest."""

    watched: list[Watched]
    t: int
    w: list[Array]
    g: list[Array]
    results: Callable[[], dict[str, Any]]


class OptimizerTrace:
    """Watch an optimizer: every named quantity of every step, from the gradient to the effective learning rate.

    `params` are the tensors to watch, by default all; a dictionary {tensor: indices}, where an index is a tuple, or a
    number that counts the entries row by row; or a model, whose names for its parameters are then used.  Of a tensor
    without indices, `entries` are watched, spread evenly.

    It works until `detach()`, or the end of a `with` block.  A step is slowed down by a few microseconds for each
    tensor: the rule is called later, and only on the entries, when the numbers are asked for.  A rule that looks at a
    parameter as a whole, such as Muon's, is called at once.  Of an optimizer without a rule, such as LBFGS, the trace
    holds what it remembers after each step.

    >>> import minidl
    >>> from minidl import optim, study
    >>> w = minidl.tensor([4.0, 1.0], requires_grad=True)
    >>> optimizer = optim.Adagrad([w], lr=1.0)
    >>> with study.OptimizerTrace(optimizer) as trace:
    ...     for step in range(2):
    ...         optimizer.zero_grad()
    ...         (w * w).sum().backward()
    ...         optimizer.step()
    >>> trace.table()
    t  parameter  entry  g    s   rate  step    w
    1  0          [0]    8   64  0.125    -1    3
    1  0          [1]    2    4    0.5    -1    0
    2  0          [0]    6  100    0.1  -0.6  2.4
    2  0          [1]    0    4    0.5     0    0
    """

    def __init__(
        self, optimizer: Optimizer, params: Module | Iterable[Tensor] | Mapping[Tensor, Sequence[Index]] | None = None,
        entries: int = 3,
    ) -> None:  # fmt: skip
        expect(Optimizer, optimizer, "OptimizerTrace")
        names = _names(optimizer)
        if isinstance(params, Module):
            paths = {p: path for path, p in params.named_parameters() if p.requires_grad}
            names, params = {p: paths.get(p, name) for p, name in names.items()}, list(paths)
        wanted = list(names) if params is None else [params] if isinstance(params, Tensor) else list(params)
        if others := [p for p in wanted if not isinstance(p, Tensor)]:
            raise TypeError(f"OptimizerTrace: expected parameters, or {{parameter: entries}}, got {others[0]!r:.60}")
        if strangers := [p for p in wanted if p not in names]:
            raise ValueError(f"a tensor of shape {strangers[0].shape} is none of the parameters of this optimizer")
        indices = params if isinstance(params, Mapping) else {}
        self.optimizer = optimizer
        self._watched: dict[Any, Watched] = {p: _watched(names[p], p.shape, indices.get(p), entries) for p in wanted}
        self._plans: dict[tuple[Flat, Update, int, int], Plan] = {}
        self._records: list[Record] = []  # those that were not read yet
        self._rows: list[dict[str, Any]] = []  # of those that were
        self._steps = 0
        has_rule = hasattr(optimizer, "rule") or type(optimizer).select is not Optimizer.select
        self._watcher = self._watch if has_rule else self._watch_step
        watchers: list[Any] = optimizer.watchers
        if not has_rule and not watchers:  # its step does not know of them
            vars(optimizer)["step"] = partial(_watched_step, optimizer, optimizer.step)
        watchers.append(self._watcher)

    def detach(self) -> None:
        """Stop watching; what was recorded stays."""
        optimizer = self.optimizer
        optimizer.watchers = [watcher for watcher in optimizer.watchers if watcher != self._watcher]
        if not optimizer.watchers:
            vars(optimizer).pop("step", None)

    def __enter__(self) -> OptimizerTrace:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.detach()

    # -- recording

    def _watch(self, flat: Flat, update: Update, numbers: dict[str, float], grads: Any, first: int, last: int) -> None:
        """Called before the parameters `first` to `last` (exclusive) of `flat` are given to `update`."""
        plan = self._plans.get((flat, update, first, last)) or self._plan(flat, update, numbers, first, last)
        w = [flat.arrays[i].take(here) for i, here in plan.places]
        g = [grads[i].take(here) for i, here in plan.places]
        t = flat.steps[first] + 1
        if not plan.whole:
            memory = [flat.memory[letter].take(plan.in_memory) for letter in update.memory]
            self._records.append(Record(plan.watched, t, w, g, partial(_later, update, plan.xp, w, g, memory, numbers)))
            return
        for k, (i, here) in enumerate(plan.places):
            memory = [flat.part(flat.memory[letter], i).copy() for letter in update.memory]
            found = update(plan.xp, flat.arrays[i].copy(), grads[i].copy(), *memory, **numbers)
            for name, x in found.items():
                whole = plan.xp.asarray(x, dtype=getattr(x, "dtype", flat.dtype))
                found[name] = plan.xp.broadcast_to(whole, flat.shapes[i]).take(here)
            self._records.append(Record(plan.watched[k : k + 1], t, w[k : k + 1], g[k : k + 1], partial(dict, found)))

    def _plan(self, flat: Flat, update: Update, numbers: dict[str, float], first: int, last: int) -> Plan:
        found = [(i, self._watched[p]) for i, p in enumerate(flat.params) if first <= i < last and p in self._watched]
        xp, nothing = flat.xp, np.empty(0, np.intp)
        places = [(i, xp.asarray(watched.flat)) for i, watched in found]
        in_memory = xp.asarray(np.concatenate([nothing, *[watched.flat + flat.starts[i] for i, watched in found]]))
        whole = update.runner(xp, flat.dtype, numbers) is None
        plan = Plan([watched for _, watched in found], places, in_memory, xp, whole)
        self._plans[flat, update, first, last] = plan
        return plan

    @contextmanager
    def _watch_step(self) -> Iterator[None]:
        """Around the step of an optimizer without a rule: what it remembers is looked at afterwards."""
        before = {p: p.array.take(watched.flat) for p, watched in self._watched.items()}
        yield
        self._steps += 1
        start, memory = 0, next(iter(self.optimizer.state.values()), {})  # vectors of all weights, and numbers
        for p in _names(self.optimizer):
            if (watched := self._watched.get(p)) is not None:
                found = {name: x.take(watched.flat + start) for name, x in memory.items() if hasattr(x, "take")}
                found |= {name: np.asarray(x) for name, x in memory.items() if isinstance(x, (int, float))}
                found = {{"t": "length"}.get(name, name): x for name, x in found.items()}  # t is the number of the step
                found["w"] = p.array.take(watched.flat)
                g = [] if p.grad is None else [p.grad.array.take(watched.flat)]
                self._records.append(Record([watched], self._steps, [before[p]], g, partial(dict, found)))
            start += p.array.size

    # -- reading

    def table(self) -> Table:
        """One row for each step of each entry that is watched.

        The columns: "t", the number of the step; "parameter" and "entry"; "g", the gradient; every quantity of the
        rule by its letter ("rate" is the effective learning rate); "step", by how much the weight changed; and "w", the
        weight after it.
        """
        self._rows += [row for record in self._records for row in _rows(record)]
        self._records.clear()
        return Table(self._rows)

    def series(self, quantity: str, param: Tensor | None = None, entry: Index | None = None) -> np.ndarray:
        """One number for each step: a column of the table, for one entry (by default the first one watched).

        ValueError for a parameter or an entry that is not watched, and for a quantity that there is not.
        """
        param = next(iter(self._watched)) if param is None else param
        expect(Tensor, param, "series, param")
        if (watched := self._watched.get(param)) is None:
            known = ", ".join(f"{x.name} {p.shape}" for p, x in self._watched.items())
            raise ValueError(f"a tensor of shape {param.shape} is not watched, only: {known}")
        where = watched.entries[0] if entry is None else place(entry, param.shape)
        if where not in watched.entries:
            raise ValueError(f"entry {where} of a parameter of shape {param.shape} is not watched")
        rows = _rows_of(self.table(), watched.name, where)
        if rows and quantity not in rows.columns:
            raise ValueError(f"there is no quantity {quantity!r}, only {', '.join(rows.columns[3:])}")
        return np.asarray(rows.column(quantity))

    def to_csv(self, path: str | Path) -> None:
        """Write the table to the file `path`, for a spreadsheet."""
        self.table().to_csv(path)

    def plot(self, path: str | Path | None = None, quantities: Sequence[str] | None = None) -> Figure:
        """A panel for each quantity (by default all), over the steps, with a line for each entry.

        With `path` the picture is saved, in the format of its ending.  ImportError without matplotlib.
        """
        table = self.table()
        if not table:
            raise ValueError("nothing was recorded yet: take some steps with the optimizer first")
        names = list(quantities or [name for name in table.columns if name not in ("t", "parameter", "entry")])
        width, height = min(3, len(names)), -(-len(names) // 3)
        drawn = charts.figure(3.4 * width + 1.4, 2.2 * height + 0.3)
        panels = list(drawn.subplots(height, width, squeeze=False, sharex=True).flat)
        for name, axes in zip(names, panels, strict=False):
            self._draw(axes, table, name)
        for axes in panels[len(names) :]:
            axes.remove()
        for axes in panels[max(0, len(names) - width) : len(names)]:  # the lowest of each column
            axes.set_xlabel("step", fontsize=9)
        drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
        return charts.save(drawn, path)

    def _draw(self, axes: Axes, table: Table, quantity: str) -> None:
        """The lines of one quantity, one for each entry."""
        lines = [(watched.name, entry) for watched in self._watched.values() for entry in watched.entries]
        for (name, entry), (color, dash) in zip(lines, charts.styles(), strict=False):
            rows = _rows_of(table, name, entry)
            label = f"{name} {list(entry)}" if entry else name
            axes.plot(rows.column("t"), rows.column(quantity), dash, color=color, label=label, linewidth=1.5)
        if quantity == "rate" and min(table.column(quantity)) > 0:
            axes.set_yscale("log")  # they differ by powers of 10
        axes.set_title(WORDS.get(quantity, quantity), loc="left", fontsize=10)
        axes.tick_params(labelsize=8, labelbottom=True)
        charts.tidy(axes, whole=True)


def _watched_step(optimizer: Optimizer, step: Callable[..., Any], *closure: Any, **options: Any) -> Any:
    """In place of the step of an optimizer without a rule, as long as it has watchers: these are around it."""
    with ExitStack() as around:
        watchers: list[Any] = optimizer.watchers
        for watcher in watchers:
            around.enter_context(watcher())
        return step(*closure, **options)


def _rows_of(table: Table, name: str, entry: tuple[int, ...]) -> Table:
    return Table(row for row in table if (row["parameter"], row["entry"]) == (name, str(list(entry))))


def _names(optimizer: Optimizer) -> dict[Tensor, str]:
    """The parameters of an optimizer in order, each with its name, or else its number."""
    names: dict[Tensor, str] = {}
    for group in optimizer.param_groups:
        given = group.get("param_names") or [p.name for p in group["params"]]
        for p, name in zip(group["params"], given, strict=True):
            names[p] = name if name and name not in names.values() else str(len(names))
    return names


def _watched(name: str, shape: tuple[int, ...], indices: Sequence[Index] | None, count: int) -> Watched:
    """The entries of a parameter at `indices`, or `count` entries spread evenly."""
    size = int(np.prod(shape))
    if indices is None:
        indices = evenly(size, count)
    entries = [place(index, shape) for index in indices]
    flat = [int(np.ravel_multi_index(entry, shape)) if shape else 0 for entry in entries]
    return Watched(name, entries, np.array(flat, dtype=np.intp))


def _later(
    update: Update, xp: Any, w: list[Array], g: list[Array], memory: list[Array], numbers: dict[str, float]
) -> dict[str, Any]:
    """All quantities of an update, from the entries that it was given then."""
    return update(xp, xp.concatenate(w), xp.concatenate(g), *memory, **numbers)


def _rows(record: Record) -> list[dict[str, Any]]:
    """A row of the table for each entry of a record."""
    places = [(watched.name, str(list(entry))) for watched in record.watched for entry in watched.entries]
    if not places:
        return []
    results, before = record.results(), np.concatenate([on_host(x) for x in record.w])
    after = on_host(results.pop("w")).astype(before.dtype, copy=False)
    columns = {"g": np.concatenate([on_host(x) for x in record.g])} if record.g else {}
    for name, x in results.items():
        dtype = getattr(x, "dtype", before.dtype)
        columns[name] = np.broadcast_to(on_host(x).astype(dtype, copy=False), len(places))
    columns |= {"step": after - before, "w": after}
    return [
        {"t": record.t, "parameter": name, "entry": entry} | {column: x[j] for column, x in columns.items()}
        for j, (name, entry) in enumerate(places)
    ]
