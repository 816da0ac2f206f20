"""What the charts of this part share: a figure without a screen, colours that all readers tell apart, saving.

Matplotlib is imported when the first figure is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by colour-blind readers too (M. Okabe & K. Ito, 2008); yellow, too pale for lines on white, is left out.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
DASHES = ("-", "--", ":", "-.")
GRID = "#e6e8eb"


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


def save(drawn: Figure, path: str | Path | None) -> Figure:
    """Write the figure into the format that the ending of `path` names, unless that is None; returns the figure."""
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path)
    return drawn
