"""What `profile` has found, to be read: tables by op and by module, whose parts add up, and a picture as of flames."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidl.study import charts
from minidl.study.costs.summaries import in_bytes, printed
from minidl.study.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTSIDE = "Python outside ops"
COLORS = {"forward": "#56b4e9", "backward": "#e69f00", "optimizer": "#009e73", OUTSIDE: "#bbbbbb"}
FORMATS = {
    **dict.fromkeys(("kept", "peak"), in_bytes),
    **dict.fromkeys(("ms", "forward ms", "backward ms"), "{:.3f}".format),
    "%": "{:.1f}".format,
}
WIDTH = 13.0  # of the picture, in inches
SIZE, LETTER = 8.5, 0.6  # the height of a letter in points, its width in units of that
SMALLEST = 0.004  # of a step: narrower bars are left out of the picture


@dataclass
class Entry:
    """One op in one module and one phase of a step: how often it is called, seconds, and bytes.

    `kept` are the bytes still allocated after it, mostly its results; `peak` is the most at once while it runs.
    """

    modules: tuple[str, ...]
    phase: str
    op: str
    calls: int
    seconds: float
    kept: int
    peak: int


@dataclass
class Bar:
    """A bar of the picture, in units of a step, and those on top of it."""

    name: str
    phase: str
    seconds: float = 0.0
    inside: dict[str, Bar] = field(default_factory=dict)


@dataclass(repr=False)
class Profile:
    """The parts of a step, in seconds and bytes: print it, look at `table()`, `plot(path)` it, or write it `to_html`.

    `plain_seconds` is what a step took when nothing was measured, `between` what a measured one spent outside of the
    entries; `peak` is the most bytes that are allocated at once, beyond those before the step; `replays` says whether
    minidl.compile would have replayed a part of it.
    """

    entries: list[Entry]
    plain_seconds: float
    between: float
    peak: int
    runs: int
    replays: bool = False

    @property
    def in_ops(self) -> float:
        """The seconds of all entries."""
        return sum(entry.seconds for entry in self.entries)

    @property
    def measured_seconds(self) -> float:
        """The seconds of a step while it is measured."""
        return self.in_ops + self.between

    @property
    def overhead(self) -> float:
        """The seconds that measuring adds to a step, by comparison of runs with and without."""
        return min(max(0.0, self.measured_seconds - self.plain_seconds), self.between)

    @property
    def seconds(self) -> float:
        """The seconds of a step without those of measuring: the sum of `in_ops` and `outside`."""
        return self.measured_seconds - self.overhead

    @property
    def outside(self) -> float:
        """The seconds between ops: in the engine, in modules, and in the program itself."""
        return self.between - self.overhead

    # -- tables

    def table(self, by: str = "op") -> Table:
        """A row for each op, or, by="module", for each module with all that is inside it; the slowest ops come first.

        Milliseconds, share of the step in percent, bytes.  By op, the last row is the sum of the
        rows above it.  ValueError for other words.
        """
        if by not in ("op", "module"):
            raise ValueError(f'table: expected by="op" or by="module", got {by!r}')
        if by == "module":
            return self._by_module()
        ops = dict.fromkeys(entry.op for entry in self.entries)
        rows = [self._row("op", name, [entry for entry in self.entries if entry.op == name]) for name in ops]
        rows.sort(key=lambda row: -row["ms"])
        empty = dict.fromkeys(rows[0] if rows else ())
        rows.append(empty | {"op": OUTSIDE, "ms": 1e3 * self.outside, "%": 100 * self.outside / self.seconds})
        total = self._row("op", "total", self.entries)
        rows.append(total | {"ms": 1e3 * self.seconds, "%": 100.0, "kept": None, "peak": self.peak})
        return Table(rows)

    def _by_module(self) -> Table:
        paths = dict.fromkeys(
            entry.modules[: depth + 1] for entry in self.entries for depth in range(len(entry.modules))
        )
        rows = []
        for path in sorted(paths, key=lambda path: [list(paths).index(path[: k + 1]) for k in range(len(path))]):
            inside = [entry for entry in self.entries if entry.modules[: len(path)] == path]
            rows.append(self._row("module", "  " * (len(path) - 1) + path[-1], inside))
        rows.append(self._row("module", "outside modules", [entry for entry in self.entries if not entry.modules]))
        return Table(rows)

    def _row(self, what: str, name: str, entries: list[Entry]) -> dict[str, Any]:
        def total(phase: str) -> float | None:
            times = [entry.seconds for entry in entries if entry.phase == phase]
            return 1e3 * sum(times) if times else None

        milliseconds = 1e3 * sum(entry.seconds for entry in entries)
        return {
            what: name, "op calls": sum(entry.calls for entry in entries), "forward ms": total("forward"),
            "backward ms": total("backward"), "ms": milliseconds, "%": milliseconds / self.seconds / 10,
            "kept": sum(entry.kept for entry in entries), "peak": max((entry.peak for entry in entries), default=0),
        }  # fmt: skip

    def __repr__(self) -> str:
        phases = {name: 1e3 * sum(entry.seconds for entry in self.entries if entry.phase == name) for name in COLORS}
        parts = " + ".join(f"{name} {ms:.3g}" for name, ms in (phases | {OUTSIDE: 1e3 * self.outside}).items() if ms)
        calls = sum(entry.calls for entry in self.entries)
        share = 100 * self.overhead / self.seconds
        return "\n".join([
            f"a step takes {1e3 * self.seconds:.3g} ms: {parts}",
            f"(the shortest times of {self.runs} runs; measuring its {calls} calls adds "
            f"{1e3 * self.overhead:.2g} ms or {share:.0f} % to a step, which is left out here)",
            f"at most {in_bytes(self.peak)} are allocated at once, beyond those before the step",
            *(["(what minidl.compile replays has no ops: here it ran as it is written)"] if self.replays else []),
            "",
            printed(self.table("op"), FORMATS),
            "",
            printed(self.table("module"), FORMATS),
        ])  # fmt: skip

    # -- pictures

    def bars(self) -> Bar:
        """The step as a bar, with its phases inside it, their modules inside these, and their ops at last."""
        step = Bar("step", OUTSIDE, self.seconds)
        for entry in self.entries:
            bar = step
            for name in (entry.phase, *entry.modules, entry.op):
                bar = bar.inside.setdefault(name, Bar(name, entry.phase))
                bar.seconds += entry.seconds
        step.inside[OUTSIDE] = Bar(OUTSIDE, OUTSIDE, self.outside)
        return step

    def plot(self, path: str | Path | None = None) -> Figure:
        """The step as bars as wide as their time: from top to bottom the phases, their modules, and their ops.

        With `path` the picture is saved, in the format of its ending.  ImportError without matplotlib.
        """
        rows = list[tuple[int, float, Bar]]()
        _placed(self.bars(), 0, 0.0, rows)
        depth = 1 + max(level for level, *_ in rows)
        drawn = charts.figure(WIDTH, 1.1 + 0.42 * depth)
        axes = drawn.subplots()
        for level, start, bar in rows:
            self._draw(axes, level, start, bar)
        for bar in rows[0][2].inside.values():
            axes.bar(0, 0, color=COLORS[bar.phase], label=f"{bar.name} {1e3 * bar.seconds:.3g} ms")
        drawn.legend(loc="outside upper center", ncols=len(COLORS), frameon=False, fontsize=9)
        axes.set(xlim=(0, 1e3 * self.seconds), ylim=(depth - 0.5, -0.5), yticks=[], xlabel="milliseconds")
        axes.spines[["top", "left", "right"]].set_visible(False)
        return charts.save(drawn, path)

    def _draw(self, axes: Axes, level: int, start: float, bar: Bar) -> None:
        color = COLORS[bar.phase] if level else "#dddddd"
        axes.barh(level, 1e3 * bar.seconds, 0.94, 1e3 * start, color=color, edgecolor="white", linewidth=1.0)
        if text := _label(bar, int(WIDTH * 72 * bar.seconds / self.seconds / (SIZE * LETTER))):
            middle = 1e3 * (start + bar.seconds / 2)
            axes.text(middle, level, text, ha="center", va="center", fontsize=SIZE, linespacing=1.1)

    def to_html(self, path: str | Path) -> None:
        """Write the picture as a page, which needs nothing else, on which a click shows one part larger.

        ImportError without plotly.
        """
        columns: dict[str, list[Any]] = {"ids": [], "parents": [], "labels": [], "values": []}
        colors = list[str]()

        def add(bar: Bar, above: str) -> None:
            key = f"{above}/{bar.name}"
            for column, value in zip(columns.values(), (key, above, bar.name, 1e3 * bar.seconds), strict=True):
                column.append(value)
            colors.append(COLORS[bar.phase] if above else "#dddddd")
            for inner in bar.inside.values():
                add(inner, key)

        add(self.bars(), "")
        icicle = {
            "type": "icicle", **columns, "branchvalues": "total", "tiling": {"orientation": "v"}, "sort": False,
            "marker": {"colors": colors}, "leaf": {"opacity": 1}, "textfont": {"color": "black"},
            "texttemplate": "%{label} %{value:.3g} ms",
            "hovertemplate": "%{label}<br>%{value:.4g} ms, %{percentRoot:.1%} of the step<extra></extra>",
        }  # fmt: skip
        layout = {"margin": {"l": 8, "r": 8, "t": 30, "b": 8}, "uniformtext": {"minsize": 9, "mode": "hide"}}
        charts.save_page(path, [icicle], layout)


def _label(bar: Bar, letters: int) -> str:
    """The name of a bar and its time, in one line or two of so many letters, or as much as can be shown uncut."""
    time = f"{1e3 * bar.seconds:.3g} ms"
    short = bar.name.partition(" (")[0]  # the path of a module, without its class
    tries = f"{bar.name} {time}", f"{bar.name}\n{time}", bar.name, bar.name.replace(" ", "\n", 1), short
    return next((text for text in tries if max(map(len, text.split("\n"))) <= letters), "")


def _placed(bar: Bar, level: int, start: float, rows: list[tuple[int, float, Bar]]) -> None:
    """Add a bar and those inside it to `rows`: how deep, and where it starts."""
    rows.append((level, start, bar))
    smallest = SMALLEST * rows[0][2].seconds
    for inner in bar.inside.values():
        if inner.seconds >= smallest:
            _placed(inner, level + 1, start, rows)
        start += inner.seconds
