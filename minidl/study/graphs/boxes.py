"""What stands in the box of a tensor or of a closed group: lines of text, and a thumbnail of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minidl.study.graphs.formula import op_letters
from minidl.study.graphs.graph import Graph, Group, Node
from minidl.study.text import named_lines, settings_text, shortened

LETTER, LINE, PADDING, SIDE, TALL = 6.63, 14.0, 7.0, 168.0, 84.0  # in pixels: of a text of 11, and of thumbnails
MOST = 46  # letters on a line
WINDOWS = ("convolution", "convolution_input", "max_pool", "avg_pool")  # ops on images

Style = Literal["title", "note", "value", "gradient"]


@dataclass
class Box:
    """Lines of text with their styles, an image (rows, columns) or (rows, columns, 3) of bytes, and a kind.

    There is room for so many `letters` on a line, or for more if a line has more.
    """

    kind: str  # op, parameter, leaf, data, result or group
    lines: list[tuple[Style, str]]
    image: np.ndarray | None = None
    letters: int = 0

    @property
    def image_size(self) -> tuple[float, float]:
        """Width and height at which the image is shown."""
        if self.image is None:
            return 0.0, 0.0
        rows, columns = self.image.shape[:2]
        scale = min(SIDE / columns, TALL / rows)
        return columns * scale, rows * scale

    @property
    def size(self) -> tuple[float, float]:
        width, height = self.image_size
        letters = max(self.letters, *(len(text) for _, text in self.lines))
        below = height + PADDING / 2 if height else 0.0
        return max(LETTER * letters, width) + 2 * PADDING, LINE * len(self.lines) + below + 2 * PADDING


def boxes(graph: Graph) -> dict[Node | Group, Box]:
    """The box of every node, and of every group for when it is closed."""
    seen = images(graph)
    found: dict[Node | Group, Box] = {node: of_node(node, node in seen) for node in graph.nodes}
    found[graph.nodes[-1]].kind = "result"
    return found | {group: of_group(group) for group in graph.root.groups()}


def of_node(node: Node, image: bool) -> Box:
    """Name, op, settings, dtype and shape, value and gradient of one tensor, and a thumbnail if it is an image."""
    x = node.tensor
    lines: list[tuple[Style, str]] = [("title", shortened(_title(node), MOST))]
    if node.layer:
        lines.append(("note", shortened(node.layer, MOST)))
    formula = node.formula
    if formula and not formula.endswith(")"):  # it is made of operators
        lines.append(("note", shortened(formula, MOST)))
    elif settings := settings_text({**_constants(node), **node.settings}):
        lines += [("note", line) for line in _wrapped(settings)]
    if node.value.ndim or x.dtype != np.float32:
        lines.append(("note", f"{node.value.dtype} {node.value.shape}"))
    return Box(node.kind, lines + _numbers(node), thumbnail(node) if image else None)


def of_group(group: Group) -> Box:
    """How much is in a group, and what comes out of it."""
    nodes = list(group.nodes())
    ops, weights = sum(bool(node.op) for node in nodes), [node.value.size for node in nodes if node.kind == "parameter"]
    count = f"{ops} op{'s' * (ops != 1)}" + (f", {sum(weights):,} weights" if weights else "")
    lines: list[tuple[Style, str]] = [("title", shortened(f"+ {group.title}", MOST)), ("note", count)]
    shape = shortened(f"{group.result.name}: {group.result.value.dtype} {group.result.value.shape}", MOST)
    return Box("group", [*lines, ("note", shape), *_numbers(group.result)])


def _title(node: Node) -> str:
    if not node.op:
        kind = "" if node.kind == "data" else f"  {node.kind}"
        return shortened(node.name, MOST - len(kind)) + kind
    return node.name if node.name.startswith(node.op) else f"{node.name} = {node.op}"


def _numbers(node: Node) -> list[tuple[Style, str]]:
    rows = {"value": node.value}
    if node.gradient is not None:
        rows["gradient"] = node.gradient
    styles: Mapping[str, Style] = {"": "note", "value": "value", "gradient": "gradient"}
    return [(styles[name], line) for name, line in named_lines(**rows)]


def _constants(node: Node) -> dict[str, Any]:
    """The inputs that are no tensors, by the op's own names for them."""
    x = node.tensor
    given = zip(op_letters(x.op), x.inputs or (), strict=False) if x.op else ()
    return {name: value for name, value in given if type(value) in (int, float, np.ndarray)}


def _wrapped(text: str) -> list[str]:
    """At most two lines."""
    if len(text) <= MOST:
        return [text]
    break_at = text.rfind(" ", 0, MOST) + 1 or MOST
    return [text[:break_at].rstrip(), shortened(text[break_at:], MOST)]


# -- thumbnails ---------------------------------------------------------------------------------------------------


def images(graph: Graph) -> set[Node]:
    """What has a meaning as a picture: what convolutions and pools see and say, their kernels, batches of images."""
    windows = [node for node in graph.nodes if node.op in WINDOWS]
    batches = {node for node in graph.nodes if node.kind == "data" and node.value.shape[1:2] in ((1,), (3,))}
    return {*windows, *(x for node in windows for x in node.inputs)} | batches


def thumbnail(node: Node) -> np.ndarray | None:
    """The first image of a batch (N, C, H, W), its channels side by side; of a weight, what each filter looks for."""
    x = node.value
    if x.ndim != 4 or not x.size or min(x.shape[2:]) < 3 or not np.isfinite(x).all():
        return None
    if node.kind == "data" and x.shape[1] == 3:
        return _bytes(x[0].transpose(1, 2, 0))
    return _bytes(_tiles(x[:, 0] if node.kind == "parameter" else x[0]))


def _tiles(images: np.ndarray) -> np.ndarray:
    """Up to sixteen images (count, H, W) in rows of up to eight, with light lines between them."""
    images = images[:16]
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    height, width = images.shape[1:]
    line = max(1, width // 14)
    picture = np.full((rows * (height + line) - line, columns * (width + line) - line), np.nan)
    for place, image in enumerate(images):
        y, x = place // columns * (height + line), place % columns * (width + line)
        picture[y : y + height, x : x + width] = image
    return picture


def _bytes(x: np.ndarray) -> np.ndarray:
    """The numbers as shades from black, the smallest, to white; NaN is a light grey."""
    low, high = np.nanmin(x), np.nanmax(x)
    shades = (x - low) / (high - low or 1.0) * 255
    return np.where(np.isnan(shades), 225, shades).astype(np.uint8)
