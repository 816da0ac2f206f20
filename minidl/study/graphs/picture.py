"""A graph drawn: as SVG text, and by matplotlib as a bitmap.

Both draw the same arrangement of the same boxes, and know nothing of tensors.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.study import charts
from minidl.study.graphs.arrange import HEADER, Piece, Point, Size, View
from minidl.study.graphs.boxes import LINE, PADDING, Box
from minidl.study.graphs.graph import Group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EDGE = 8.0  # around the whole picture
# Fill and border of each kind: colours that colour-blind readers tell apart (M. Okabe & K. Ito, 2008).
COLORS = {
    "op": ("#ffffff", "#57606a"), "parameter": ("#fdf0d0", "#e69f00"), "leaf": ("#fdf0d0", "#e69f00"),
    "data": ("#e3f1fb", "#56b4e9"), "result": ("#fbe6ef", "#cc79a7"), "group": ("#e9ecef", "#57606a"),
}  # fmt: skip
TEXT = {"title": "#000000", "note": "#57606a", "value": "#0b4f8a", "gradient": "#a33b00"}
WIRE, FRAME = "#8c959f", "#b6bec7"
FONT = "DejaVu Sans Mono, Menlo, Consolas, Liberation Mono, monospace"


def svg(view: View, contents: Mapping[Any, Box]) -> str:
    """The picture as one SVG document."""
    parts = [*map(frame_svg, view.frames.items()), *map(wire_svg, view.wires)]
    parts += [label_svg(group, x, y) for group, (x, y, _, _) in view.frames.items()]
    parts += [
        f'<g transform="translate({x:.1f} {y:.1f})">{box_svg(contents[item])}</g>'
        for item, (x, y) in view.boxes.items()
    ]
    return document(view.size, "".join(parts))


def document(size: Size, body: str) -> str:
    """An SVG document of that size."""
    width, height = (length + 2 * EDGE for length in size)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-EDGE} {-EDGE} {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="{FONT}" font-size="11">'
        f'{ARROW}<rect x="{-EDGE}" y="{-EDGE}" width="100%" height="100%" fill="white"/>{body}</svg>'
    )


ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0L8 4L0 8z" fill="{WIRE}"/></marker></defs>'
)


def box_svg(box: Box) -> str:
    """A box with its upper left corner at 0, 0."""
    width, height = box.size
    fill, border = COLORS[box.kind]
    lines = [
        f'<text x="{PADDING}" y="{PADDING + LINE * (i + 0.76):.1f}" fill="{TEXT[style]}" class="{style}" '
        f'xml:space="preserve" font-weight="{weight}">{escape(text)}</text>'
        for i, (style, text) in enumerate(box.lines)
        for weight in ["bold" if style == "title" else "normal"]
    ]
    picture = ""
    if box.image is not None:
        w, h = box.image_size
        data = base64.b64encode(png_bytes(box.image)).decode()
        picture = (
            f'<image x="{(width - w) / 2:.1f}" y="{height - PADDING - h:.1f}" width="{w:.1f}" height="{h:.1f}" '
            f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
        )
    stroke = f'fill="{fill}" stroke="{border}" stroke-width="{2 if box.kind == "group" else 1.2}"'
    return f'<rect width="{width:.1f}" height="{height:.1f}" rx="5" {stroke}/>{"".join(lines)}{picture}'


def frame_svg(framed: tuple[Group, tuple[float, float, float, float]]) -> str:
    """The frame of an open group."""
    group, (x, y, width, height) = framed
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="8" fill="{shade(group)}" '
        f'stroke="{FRAME}"/>'
    )


def shade(group: Group) -> str:
    return "#f6f8fa" if len(group.path) % 2 else "#fcfcfd"


def label_svg(group: Group, x: float, y: float) -> str:
    return (
        f'<text x="{x + 8:.1f}" y="{y + HEADER * 0.64:.1f}" fill="{TEXT["note"]}" font-weight="bold" stroke="white" '
        f'stroke-width="3" paint-order="stroke">{escape(group.title)}</text>'
    )


def wire_svg(wire: Piece) -> str:
    arrow = ' marker-end="url(#arrow)"' if wire.ends else ""
    words = "".join(letter + " ".join(f"{x} {y}" for x, y in points) for letter, points in path(wire.points))
    return f'<path d="{words}" fill="none" stroke="{WIRE}" stroke-width="1.2"{arrow}/>'


def path(points: list[Point]) -> Iterator[tuple[str, list[Point]]]:
    """The way of a wire as a pen draws it (M move, L line, C curve): upright through rows, in curves between them.

    >>> [letter for letter, _ in path([(0, 0), (0, 1), (5, 9), (5, 9)])]
    ['M', 'L', 'C']
    """
    points = [(round(x, 1), round(y, 1)) for x, y in points]
    yield "M", points[:1]
    for step, (start, end) in enumerate(pairwise(points)):
        middle = (start[1] + end[1]) / 2
        if step % 2 and start[0] != end[0]:
            yield "C", [(start[0], middle), (end[0], middle), end]
        elif start != end:
            yield "L", [end]


# -- a bitmap -----------------------------------------------------------------------------------------------------


def figure(view: View, contents: Mapping[Any, Box]) -> Figure:
    """The picture as a figure of matplotlib, a pixel of the arrangement being 1/72 inch."""
    width, height = (length + 2 * EDGE for length in view.size)
    made = charts.figure(width / 72, height / 72)
    made.set_layout_engine("none")
    made.set_dpi(100)
    from matplotlib.patheffects import withStroke

    axes = made.add_axes((0, 0, 1, 1), xlim=(-EDGE, width - EDGE), ylim=(height - EDGE, -EDGE))
    axes.axis("off")
    edge = withStroke(linewidth=3, foreground="white")  # where a wire passes behind a title
    for group, (x, y, w, h) in view.frames.items():
        _rectangle(axes, (x, y), (w, h), 8, shade(group), FRAME)
    for wire in view.wires:
        _wire(axes, wire)
    for group, (x, y, _, _) in view.frames.items():
        _text(axes, x + 8, y + HEADER * 0.64, group.title, TEXT["note"], "bold").set_path_effects([edge])
    for item, corner in view.boxes.items():
        _box(axes, contents[item], corner)
    return made


def _rectangle(axes: Any, corner: Point, size: Point, radius: float, fill: str, border: str, line: float = 1.0) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = f"round,pad=0,rounding_size={radius}"
    axes.add_patch(FancyBboxPatch(corner, *size, style, facecolor=fill, edgecolor=border, linewidth=line))


def _text(axes: Any, x: float, y: float, text: str, color: str, weight: str) -> Any:
    return axes.text(x, y, text, color=color, weight=weight, fontsize=11, family="DejaVu Sans Mono", parse_math=False)


def _wire(axes: Any, wire: Piece) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    codes = {"M": Path.MOVETO, "L": Path.LINETO, "C": Path.CURVE4}
    steps = [(point, codes[letter]) for letter, points in path(wire.points) for point in points]
    way = Path([point for point, _ in steps], [code for _, code in steps])
    style = "-|>,head_length=4,head_width=2.2" if wire.ends else "-"
    axes.add_patch(FancyArrowPatch(path=way, arrowstyle=style, color=WIRE, linewidth=1.2, shrinkA=0, shrinkB=0))


def _box(axes: Any, box: Box, corner: Point) -> None:
    x, y = corner
    width, height = box.size
    fill, border = COLORS[box.kind]
    _rectangle(axes, corner, box.size, 5, fill, border, 2.0 if box.kind == "group" else 1.2)
    for i, (style, text) in enumerate(box.lines):
        weight = "bold" if style == "title" else "normal"
        _text(axes, x + PADDING, y + PADDING + LINE * (i + 0.76), text, TEXT[style], weight)
    if box.image is not None:
        w, h = box.image_size
        left, bottom = x + (width - w) / 2, y + height - PADDING
        place = (left, left + w, bottom, bottom - h)
        axes.imshow(box.image, cmap="gray", vmin=0, vmax=255, extent=place, aspect="auto", zorder=2)


def png_bytes(image: np.ndarray) -> bytes:
    """An image of bytes, (rows, columns) or (rows, columns, 3), as a PNG file (ISO/IEC 15948), without a library.

    >>> png_bytes(np.zeros((2, 2), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width = image.shape[:2]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2 if image.ndim == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
