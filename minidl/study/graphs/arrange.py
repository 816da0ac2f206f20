"""Where the boxes of a graph lie: Sugiyama's layers, found by igraph for each group of boxes on its own.

igraph decides who stands in which layer and column; the sizes of the boxes then say how far apart these are.  A group
that is open is laid out first, and is a box of that size in the group around it.

Source: K. Sugiyama, S. Tagawa & M. Toda, "Methods for visual understanding of hierarchical system structures" (1981).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Any, NamedTuple

from minidl.study.graphs.graph import Graph, Group, Node

GAP, LANE, ROW, MARGIN, HEADER = 18.0, 10.0, 30.0, 12.0, 24.0  # in pixels, as all lengths here
Point = tuple[float, float]
Size = tuple[float, float]


@dataclass(frozen=True)
class Port:
    """Where a wire from `source` crosses the border of the group that is laid out."""

    source: Node
    enters: bool


Item = Node | Group | Port
Wire = tuple[Node, Item, Item]  # whose value is carried, from where, to where
Levels = dict[Group, dict[Wire, None]]


class Piece(NamedTuple):
    """A piece of a wire: whose value it carries, whether it ends at a box, and its way, every second step upright."""

    source: Node
    ends: bool
    points: list[Point]


@dataclass
class View:
    """A whole picture: the upper left corners of boxes, the frames of open groups, and the wires between."""

    size: Size = (0.0, 0.0)
    boxes: dict[Node | Group, Point] = field(default_factory=dict)
    frames: dict[Group, tuple[float, float, float, float]] = field(default_factory=dict)  # x, y, width, height
    wires: list[Piece] = field(default_factory=list)


@dataclass
class _Inside:
    """A group laid out, from its own upper left corner."""

    size: Size
    places: dict[Item, Point]  # of upper left corners
    wires: dict[Wire, list[Point]]
    groups: dict[Group, _Inside]  # those in it that are open


def arranged(graph: Graph, opened: Collection[Group], sizes: Mapping[Any, Size]) -> View:
    """The picture in which the groups `opened` show what is in them, if what is around them does."""
    ways = {group: _way(group.path, opened) for group in (graph.root, *graph.root.groups())}
    levels: Levels = {}
    for node in graph.nodes:
        for source in dict.fromkeys(node.inputs):
            _add_wire(levels, source, (*ways[source.group], source), (*ways[node.group], node))
    inside = _inside(graph.root, levels, opened, sizes)
    view = View(inside.size)
    _collect(view, inside, (0.0, 0.0))
    return view


def _way(path: list[Group], opened: Collection[Group]) -> list[Group]:
    """The groups on the way inwards, up to the first that is closed; the first of all is the whole graph."""
    closed = next((k for k, group in enumerate(path) if k and group not in opened), len(path))
    return path[: closed + 1]


def _add_wire(levels: Levels, source: Node, out: tuple[Any, ...], into: tuple[Any, ...]) -> None:
    """Cut the way of a value at the borders of groups, and note each piece in its group.

    `out` and `into` are what lies around its two ends, from the outermost group to the end itself; beyond the first
    closed group nobody looks.
    """
    common = sum(a is b for a, b in zip(out, into, strict=False))
    levels.setdefault(out[common - 1], {})[source, out[common], into[common]] = None
    for group, item in pairwise(out[common:]):
        levels.setdefault(group, {})[source, item, Port(source, False)] = None
    for group, item in pairwise(into[common:]):
        levels.setdefault(group, {})[source, Port(source, True), item] = None


def _inside(group: Group, levels: Levels, opened: Collection[Group], sizes: Mapping[Any, Size]) -> _Inside:
    members = [member for member in group.members if isinstance(member, Group) and member in opened]
    groups = {member: _inside(member, levels, opened, sizes) for member in members}
    wires = list(levels.get(group, ()))
    ports = dict.fromkeys(end for _, *ends in wires for end in ends if isinstance(end, Port))
    size_of: dict[Item, Size] = dict.fromkeys(ports, (0.0, 0.0))
    for item in group.members:
        size_of[item] = groups[item].size if item in groups else sizes[item]
    rows = _rows(size_of, wires)
    columns, lanes = _sugiyama(rows, wires)
    framed = group.parent is not None
    grid = _Grid(size_of, rows, columns, lanes, (MARGIN, HEADER) if framed else (0.0, 0.0))
    width = max(grid.width, sizes[group][0]) if framed else grid.width
    inside = _Inside((width, grid.height), {item: grid.corner(item) for item in size_of}, {}, groups)
    for wire in wires:
        _, a, b = wire
        ways = [grid.lane(column, row) for column, row in lanes[wire]]
        ends = _end(inside, wire, a, size_of, down=True), _end(inside, wire, b, size_of, down=False)
        bottom, top = (ends[0][0], grid.bottom(rows[a])), (ends[1][0], grid.top(rows[b]))
        inside.wires[wire] = [ends[0], bottom, *(point for way in ways for point in way), top, ends[1]]
    return inside


def _end(inside: _Inside, wire: Wire, item: Item, size_of: Mapping[Item, Size], down: bool) -> Point:
    """Where a wire leaves an item (`down`) or reaches it."""
    x, y = inside.places[item]
    width, height = size_of[item]
    if isinstance(item, Port):
        return x, 0.0 if item.enters else inside.size[1]
    if isinstance(item, Group) and item in inside.groups:
        return x + inside.groups[item].places[Port(wire[0], not down)][0], y + height * down
    return x + width / 2, y + height * down


def _collect(view: View, inside: _Inside, corner: Point) -> None:
    """Put a group that was laid out into the picture, its upper left corner at `corner`."""
    x, y = corner
    for item, (dx, dy) in inside.places.items():
        if isinstance(item, Group) and item in inside.groups:
            view.frames[item] = (x + dx, y + dy, *inside.groups[item].size)
            _collect(view, inside.groups[item], (x + dx, y + dy))
        elif not isinstance(item, Port):
            view.boxes[item] = (x + dx, y + dy)
    for (source, _, target), points in inside.wires.items():
        ends = not isinstance(target, Port) and target not in inside.groups
        view.wires.append(Piece(source, ends, [(x + dx, y + dy) for dx, dy in points]))


# -- rows and columns ---------------------------------------------------------------------------------------------


def _rows(items: Iterable[Item], wires: list[Wire]) -> dict[Item, int]:
    """The row of each item: just above the first that uses it; ways into the group on top, ways out at the bottom."""
    users: dict[Item, set[Item]] = {item: set() for item in items}
    for _, a, b in wires:
        users[a].add(b)
    lowest = int(any(_leaves(item) for item in users))
    height: dict[Item, int] = {}
    for item in TopologicalSorter(users).static_order():  # users come first
        height[item] = max((height[user] + 1 for user in users[item]), default=0 if _leaves(item) else lowest)
    top = max(n for item, n in height.items() if not _enters(item)) + any(map(_enters, users))
    return {item: 0 if _enters(item) else top - n for item, n in height.items()}


def _enters(item: Item) -> bool:
    return isinstance(item, Port) and item.enters


def _leaves(item: Item) -> bool:
    return isinstance(item, Port) and not item.enters


def _sugiyama(rows: dict[Item, int], wires: list[Wire]) -> tuple[dict[Item, float], dict[Wire, list[Point]]]:
    """igraph's answer: the column of each item, and the (column, row) points through which longer wires go.

    A wire passes the rows between its ends in lanes, which all wires from the same source share.
    """
    try:
        import igraph
    except ImportError:
        raise ImportError('a picture of the graph needs igraph: pip install "minidl[study]"') from None
    lanes: dict[Wire, list[Any]] = {
        (source, a, b): [(source, a, row) for row in range(rows[a] + 1, rows[b])] for source, a, b in wires
    }
    layers = {**rows, **{lane: lane[2] for passed in lanes.values() for lane in passed}}
    number = {place: i for i, place in enumerate(layers)}
    steps = dict.fromkeys(step for (_, a, b), passed in lanes.items() for step in pairwise([a, *passed, b]))
    graph = igraph.Graph(n=len(number), edges=[(number[a], number[b]) for a, b in steps], directed=True)
    columns = [x for x, _ in graph.layout_sugiyama(layers=list(layers.values()), maxiter=200)]
    routes = {wire: [(columns[number[lane]], lane[2]) for lane in passed] for wire, passed in lanes.items()}
    return {item: columns[number[item]] for item in rows}, routes


class _Grid:
    """Rows and columns as wide and as high as what stands in them."""

    def __init__(self, size_of: Mapping[Item, Size], rows: Mapping[Item, int], columns: Mapping[Item, float],
                 lanes: Mapping[Wire, list[Point]], corner: Point) -> None:  # fmt: skip
        self.size_of, self.rows, self.columns = size_of, rows, columns
        self.heights = [0.0] * (1 + max(rows.values()))
        for item, row in rows.items():
            self.heights[row] = max(self.heights[row], size_of[item][1])
        self.tops = [corner[1]]
        for height in self.heights:
            self.tops.append(self.tops[-1] + height + (ROW if height else ROW / 2))
        slots = [(columns[item], row, size_of[item][0] / 2 or LANE / 2) for item, row in rows.items()]
        slots += [(column, int(row), LANE / 2) for lane in lanes.values() for column, row in lane]
        self.centres, right = _centres(slots, corner[0])
        self.width = right + corner[0]
        last = self.heights[-1]
        self.height = self.tops[-2] + (last + (MARGIN if corner[1] else 0.0) if last else 0.0)

    def corner(self, item: Item) -> Point:
        """The upper left corner of an item, which stands at the bottom of its row, near to what uses it."""
        row, (width, height) = self.rows[item], self.size_of[item]
        return self.centres[self.columns[item]] - width / 2, self.bottom(row) - height

    def top(self, row: int) -> float:
        return self.tops[row]

    def bottom(self, row: int) -> float:
        return self.tops[row] + self.heights[row]

    def lane(self, column: float, row: float) -> tuple[Point, Point]:
        """Where a wire that only passes through a row comes in, and where it goes out."""
        return (self.centres[column], self.top(int(row))), (self.centres[column], self.bottom(int(row)))


def _centres(slots: list[tuple[float, int, float]], left: float) -> tuple[dict[float, float], float]:
    """The x of each column, so that nothing in a row overlaps; slots are (column, row, half width).  And the right end.

    >>> _centres([(0, 0, 10.0), (1, 0, 20.0), (1, 1, 50.0)], left=0.0)
    ({0: 10.0, 1: 58.0}, 108.0)
    """
    centres: dict[float, float] = {}
    ends: dict[int, float] = {}  # of what stands in each row so far
    x = left
    for column in sorted({column for column, _, _ in slots}):
        here = [(row, half) for c, row, half in slots if c == column]
        x = max(x, *(ends.get(row, left - GAP) + GAP + half for row, half in here))
        centres[column] = x
        ends.update((row, x + half) for row, half in here)
    return centres, max(ends.values())
