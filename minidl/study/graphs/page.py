"""The page on which the groups of a graph open and close, and a slider walks through the steps of a backward pass.

All arrangements are made here, beforehand; the script in page.html only shows one or another.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidl.study.graphs import picture
from minidl.study.graphs.arrange import Size, arranged
from minidl.study.graphs.boxes import Box
from minidl.study.graphs.graph import Graph, Group, Node
from minidl.study.graphs.words import in_words
from minidl.study.text import brief, named_lines

if TYPE_CHECKING:
    from minidl.study.graphs.backward import Share, Step

MOST_VIEWS = 100
MOST_BOXES = 500  # in a picture that somebody wants to see whole
Open = frozenset[Group]


def page(graph: Graph, contents: Mapping[Any, Box], start: set[Group], steps: Sequence[Step] = ()) -> str:
    """The page as one HTML text, which loads nothing; with `steps` it walks through them."""
    times = _times(graph, steps) if steps else {}
    for item, box in contents.items():
        lines = [line for _, sums in times.get(item.key, {}).get("sums", ()) for line in sums]
        box.letters = max(map(len, lines), default=0)
    shown = [
        f'<g id="{item.key}" class="box {"group" if isinstance(item, Group) else ""}">{picture.box_svg(box)}</g>'
        for item, box in contents.items()
    ]
    sizes = {item: box.size for item, box in contents.items()}
    data = {
        "views": [_view(graph, sizes, groups) for groups in dict.fromkeys(_choices(graph, start))],
        "parents": {item.key: group.key for group in graph.root.groups() for item in group.members},
        "start": [group.key for group in start],
        "all": [group.key for group in graph.root.groups()],
        "times": times,
        "steps": _steps(graph, steps) if steps else [],
    }
    svg = picture.document((0, 0), '<g id="frames"></g><g id="wires"></g><g id="labels"></g>'
                                   f'<g id="layer">{"".join(shown)}</g>')  # fmt: skip
    end = graph.nodes[-1]
    words = {
        "TITLE": escape(f"{'backward from' if steps else 'the graph of'} {end.name} = {brief(end.value)}"),
        "FONT": picture.FONT, "SVG": svg, "DATA": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }  # fmt: skip
    text = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return re.sub("|".join(words), lambda found: words[found[0]], text)  # at once: a tensor may be called DATA


# -- arrangements -------------------------------------------------------------------------------------------------


def _choices(graph: Graph, start: set[Group]) -> list[Open]:
    """Which groups are open in each arrangement: all there are, or one way inwards where these are too many."""
    groups = list(graph.root.groups())
    if _count(graph.root) <= MOST_VIEWS:
        return [frozenset(start), *_combinations(graph.root)]
    ways = [frozenset(group.path[1:]) for group in groups]
    ways.sort(key=len)
    every = [frozenset(groups)] if len(graph.nodes) <= MOST_BOXES else []
    return [frozenset(start), frozenset(), *every, *ways[:MOST_VIEWS]]


def _count(group: Group) -> int:
    """How many ways there are to have groups open inside an open one."""
    return math.prod(1 + _count(member) for member in group.members if isinstance(member, Group))


def _combinations(group: Group) -> list[Open]:
    inside = [
        [frozenset[Group](), *({member, *rest} for rest in _combinations(member))]
        for member in group.members
        if isinstance(member, Group)
    ]
    return [frozenset[Group]().union(*chosen) for chosen in product(*inside)]


def _view(graph: Graph, sizes: Mapping[Any, Size], groups: Open) -> dict[str, Any]:
    """One arrangement as the script wants it."""
    view = arranged(graph, groups, sizes)
    labels = [
        f'<g class="label" data-group="{group.key}">{picture.label_svg(group, x, y)}</g>'
        for group, (x, y, _, _) in view.frames.items()
    ]
    return {
        "open": [group.key for group in groups],
        "size": [round(length) for length in view.size],
        "boxes": {item.key: [round(x, 1), round(y, 1)] for item, (x, y) in view.boxes.items()},
        "frames": "".join(map(picture.frame_svg, view.frames.items())),
        "wires": "".join(map(picture.wire_svg, view.wires)),
        "labels": "".join(labels),
    }


# -- steps --------------------------------------------------------------------------------------------------------


def _times(graph: Graph, steps: Sequence[Step]) -> dict[str, Any]:
    """For each box: the step that computes its value, and the lines of its gradient from which step on.

    The box of a closed group shows what the group computed.
    """
    ops = [node for node in graph.nodes if node.op]
    times: dict[str, Any] = {node.key: {"value": 0, "sums": []} for node in graph.nodes}
    for number, node in enumerate(ops, 1):
        times[node.key]["value"] = number
    end = graph.nodes[-1]
    times[end.key]["sums"].append((len(ops), _gradient_lines(end, end.gradient)))
    for number, step in enumerate(steps, len(ops) + 1):
        for share in step.shares:
            times[share.node.key]["sums"].append((number, _gradient_lines(share.node, share.total)))
    return times | {group.key: times[group.result.key] for group in graph.root.groups()}


def _gradient_lines(node: Node, total: Any) -> list[str]:
    return [line for name, line in named_lines(value=node.value, gradient=total) if name == "gradient"]


def _steps(graph: Graph, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """What the panel says at each step, and which boxes are in it."""
    ops = [node for node in graph.nodes if node.op]
    found: list[dict[str, Any]] = [{"node": None, "inputs": [], "html": _start(ops, steps)}]
    for number, node in enumerate(ops, 1):
        rows = [*((x.name, brief(x.value)) for x in dict.fromkeys(node.inputs)), ("result", brief(node.value))]
        html = _phase("forward", number, len(ops)) + _heading(node) + _rows(rows)
        found.append({"node": node.key, "inputs": [x.key for x in node.inputs], "html": html})
    for number, step in enumerate(steps, 1):
        html = _phase("backward", number, len(steps)) + _heading(step.node) + f"<p>{escape(in_words(step.node.op))}</p>"
        html += _rows([("upstream", brief(step.upstream))]) + "".join(map(_share, step.shares))
        html += _rows([pair for share in step.shares for pair in share.formula.meanings.items()])
        found.append({"node": step.node.key, "inputs": [share.node.key for share in step.shares], "html": html})
    return found


def _start(ops: Sequence[Node], steps: Sequence[Step]) -> str:
    return (
        f"<h2>start</h2><p>The leaves have their values. {len(ops)} steps compute the others, forward; then "
        f"{len(steps)} steps carry the gradient back.</p><p>Arrow keys step, space plays.</p>"
    )


def _phase(name: str, number: int, count: int) -> str:
    return f'<p class="phase">{name}, {number} of {count}</p>'


def _heading(node: Node) -> str:
    return f"<h2>{escape(node.computed)}</h2>"


def _share(share: Share) -> str:
    formula = share.formula
    rows = [("derivative", formula.derivative), ("so it receives", formula.rule), ("numbers", share.numbers),
            ("sum so far", share.sum_text)]  # fmt: skip
    return f"<section><h3>{escape(share.title)}</h3>{_rows(rows)}</section>"


def _rows(rows: list[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in rows if text)}</dl>"
