"""`draw_graph`: the computation graph as a picture, a page, or a text.

The formats share one reading of the graph (graph.py), the same boxes (boxes.py) and one arrangement (arrange.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.nn import Module
from minidl.study import charts
from minidl.study.graphs import page, picture
from minidl.study.graphs.arrange import View, arranged
from minidl.study.graphs.boxes import boxes
from minidl.study.graphs.graph import Graph, Group, Node, read
from minidl.study.text import aligned, facts

WIDEST = 64  # letters in a column of the text, if that can be
READABLE = 60  # boxes in a picture, unless more were asked for


def draw_graph(tensor: Tensor, path: str | Path | None = None, *, depth: int | None = None) -> Picture:
    """The graph behind `tensor`: every op with its settings, shape, value and gradient; parameters are marked.

    The gradients are those of `tensor`, found by a backward pass that leaves every `.grad` as it is; of a tensor of
    many elements there are none.  With `path` the picture is saved, in the format of its ending: .svg, .png, .html
    (a page on which groups open and close), .dot or .txt.  In a notebook the result shows itself, `print` shows the
    text.  Modules that ran under `study.record`, and blocks under `study.part`, are groups; those down to `depth` are
    open, by default as many as leave the picture readable.  Tensors are called by their `name`, or else by the
    caller's variables: `w`, `weights[0]`, `model.0.weight`; what has no name by its op, or by the letter of its use.

    RuntimeError for a tensor without a graph, or whose graph was freed by backward; ImportError where a format needs
    what is not installed; ValueError for another ending.

    >>> import minidl
    >>> from minidl import study
    >>> a = minidl.tensor(2.0, requires_grad=True)
    >>> b = minidl.tensor(-3.0, requires_grad=True)
    >>> c = a * b
    >>> print(study.draw_graph(c))
                     shape  value  gradient
    a          leaf  ()     2      -3
    b          leaf  ()     -3     2
    c = a · b        ()     -6     1
    """
    drawn = Picture(read(tensor, variables(sys._getframe(1))), depth)
    if path is not None:
        drawn.save(path)
    return drawn


def variables(frame: FrameType) -> dict[int, str]:
    """How a function that runs calls tensors, by id: by variables, as entries of lists, or as parameters of models."""
    found: dict[int, str] = {}
    visible = {name: x for name, x in {**frame.f_globals, **frame.f_locals}.items() if not name.startswith("_")}
    for name, x in sorted(visible.items(), key=lambda item: isinstance(item[1], Tensor)):  # shortest names last
        found.update((id(part), name + ending) for ending, part in _inside(x) if isinstance(part, Tensor))
    return found


def _inside(x: Any) -> Iterable[tuple[str, Any]]:
    """What is in the value of a variable, with what is to be written after its name."""
    match x:
        case list() | tuple():
            return ((f"[{i}]", part) for i, part in enumerate(x))
        case dict():
            return ((f"[{key!r}]", part) for key, part in x.items())
        case Module():
            return ((f".{path}", parameter) for path, parameter in x.named_parameters())
    return [("", x)]


class Picture:
    """A graph to be looked at: printed, shown by a notebook, or saved."""

    def __init__(self, graph: Graph, depth: int | None = None) -> None:
        if depth is not None and (not isinstance(depth, int) or depth < 0):
            raise ValueError(f"draw_graph: expected as depth the number of levels that are open, from 0, got {depth!r}")
        self.graph, self.boxes = graph, boxes(graph)
        self.open = opened(graph, depth)

    def save(self, path: str | Path) -> None:
        """Write the picture in the format that the ending of `path` names."""
        texts: dict[str, Callable[[], str]] = {
            ".svg": self.svg, ".html": self.html, ".dot": self.dot, ".txt": self.__str__
        }  # fmt: skip
        path = charts.with_ending(path, (".png", *texts))
        if path.suffix.lower() == ".png":
            charts.save(picture.figure(self.view(), self.boxes), path)
        else:
            text = texts[path.suffix.lower()]()
            charts.ready(path, [*texts]).write_text(text + "\n", encoding="utf-8")

    def view(self) -> View:
        """Where everything lies."""
        return arranged(self.graph, self.open, {item: box.size for item, box in self.boxes.items()})

    def svg(self) -> str:
        """The picture as an SVG document."""
        return picture.svg(self.view(), self.boxes)

    def html(self) -> str:
        """The page on which groups open and close."""
        return page.page(self.graph, self.boxes, self.open)

    def dot(self) -> str:
        """The graph in the language of Graphviz."""
        wires = [f"  {x.key} -> {node.key};" for node in self.graph.nodes for x in dict.fromkeys(node.inputs)]
        head = 'digraph {\n  node [shape=box style="rounded,filled" fontname="monospace" fontsize=10];'
        return "\n".join([head, *self._dot_lines(self.graph.root, "  "), *wires, "}"])

    def _dot_lines(self, group: Group, indent: str) -> list[str]:
        lines = []
        for member in group.members:
            if isinstance(member, Group):
                lines += [f"{indent}subgraph cluster_{member.key} {{", f"{indent}  label={_quoted([member.title])};"]
                lines += [*self._dot_lines(member, indent + "  "), f"{indent}}}"]
            else:
                box = self.boxes[member]
                fill, border = picture.COLORS[box.kind]
                label = _quoted([text for _, text in box.lines])
                lines.append(f'{indent}{member.key} [label={label} fillcolor="{fill}" color="{border}"];')
        return lines

    def __str__(self) -> str:
        return "\n".join(_listing(self.graph))

    def _repr_svg_(self) -> str | None:
        return self.svg() if find_spec("igraph") else None


def opened(graph: Graph, depth: int | None) -> set[Group]:
    """The groups that are open: those down to `depth`, or level by level as many as leave the picture readable."""
    chosen: set[Group] = set()
    level = [member for member in graph.root.members if isinstance(member, Group)]
    count = len(graph.root.members)
    while level:
        count += sum(len(group.members) - 1 for group in level)
        if count > READABLE if depth is None else len(level[0].path) - 1 > depth:
            break
        chosen.update(level)
        level = [member for group in level for member in group.members if isinstance(member, Group)]
    return chosen


# -- text ---------------------------------------------------------------------------------------------------------


def _listing(graph: Graph) -> list[str]:
    """One line for every tensor, in the order of computation, under the titles of the groups."""
    lines: list[tuple[str, ...]] = [("", "", "shape", "value", "gradient")]

    def add(group: Group, indent: str) -> None:
        for member in group.members:
            if isinstance(member, Group):
                lines.append((indent + member.title, "", "", "", ""))
                add(member, indent + "  ")
            else:
                lines.append(_row(member, indent))

    add(graph.root, "")
    return aligned(lines, WIDEST)


def _row(node: Node, indent: str) -> tuple[str, ...]:
    gradient = "" if node.gradient is None else facts(node.gradient)
    kind = "" if node.op else node.kind
    return indent + (node.computed or node.name), kind, str(node.value.shape), facts(node.value), gradient


def _quoted(lines: list[str]) -> str:
    """Lines as one string of the DOT language."""
    text = "\\l".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return f'"{text}\\l"' if len(lines) > 1 else f'"{text}"'
