"""What the pictures of this part share: a figure without a screen, colours that all readers tell apart, saving.

Matplotlib draws charts and plotly pages; each is imported when the first of them is drawn.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by colour-blind readers too (M. Okabe & K. Ito, 2008); yellow, too pale for lines on white, is left out.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DASHES = ("-", "--", ":", "-.")
GRID = "#e6e8eb"
PICTURES = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps", ".ps")  # what matplotlib writes


def styles() -> Iterator[tuple[str, str]]:
    """Colours and dashes of lines, one pair after the other: first all colours, then all with dashes."""
    return cycle((color, dash) for dash, color in product(DASHES, COLORS))


def figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches; ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('a picture needs matplotlib: pip install "minidl[study]"') from None
    return Figure(figsize=(width, height), dpi=150, layout="constrained")  # without pyplot: nothing to close


def tidy(axes: Axes, whole: bool = False) -> None:
    """A pale grid, and a frame on two sides only; `whole`: whole numbers along x."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if whole:
        axes.locator_params(axis="x", integer=True)


def contours(axes: Axes, places: Sequence[np.ndarray], heights: np.ndarray, levels: np.ndarray) -> Any:
    """A surface over `places` = [x, y] from above, the darker the higher; returns the lines."""
    shades = [f"{1 - 0.25 * i / len(levels):.3f}" for i in range(len(levels) + 1)]
    axes.contourf(*places, heights, levels, colors=shades, extend="both")
    return axes.contour(*places, heights, levels, colors="#8c959f", linewidths=0.6)


def save(drawn: Figure, path: str | Path | None) -> Figure:
    """Write the figure into the format that the ending of `path` names, unless that is None; returns the figure."""
    if path is not None:
        drawn.savefig(ready(path, PICTURES))
    return drawn


def ready(path: str | Path, endings: Sequence[str]) -> Path:
    """The path of a file to be written, with its ending, in a folder that is there: the one rule of all tools here.

    A path without an ending gets the first of the `endings`; one with another raises ValueError; capitals are as good.
    """
    path = with_ending(path, endings)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


class WrongEnding(ValueError, ArgumentTypeError):
    """The ending of a path says no kind of file that can be written; a command line shows these words."""


def with_ending(path: str | Path, endings: Sequence[str] = PICTURES) -> Path:
    """The path that a picture is saved to, or another file.

    >>> with_ending("runs/loss").name, with_ending("LOSS.SVG").name
    ('loss.png', 'LOSS.SVG')
    """
    path = Path(path)
    path = path if path.suffix else path.with_suffix(endings[0])
    if path.suffix.lower() not in endings:
        raise WrongEnding(f"expected a path that ends in {', '.join(endings)}, got {path.name!r}")
    return path


def save_page(
    path: str | Path, data: list[dict[str, Any]], layout: dict[str, Any], frames: list[dict[str, Any]] | None = None
) -> None:
    """Write a page that plotly draws; its script is in the file, so that the page needs no network.

    ImportError without plotly.
    """
    try:
        from plotly.graph_objects import Figure
    except ImportError:
        raise ImportError('a page needs plotly: pip install "minidl[study]"') from None
    made, config = Figure(data=data, layout=layout, frames=frames), {"displaylogo": False, "responsive": True}
    made.write_html(ready(path, [".html"]), include_plotlyjs=True, auto_play=False, config=config)
