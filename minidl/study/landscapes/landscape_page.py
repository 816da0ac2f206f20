"""The page on which a landscape of the loss can be turned, and every height read off; plotly draws it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.study import charts

if TYPE_CHECKING:
    from minidl.study.landscapes.landscape import Landscape

BLUE, RED = charts.COLORS[:2]
CAMERA = {"eye": {"x": -1.3, "y": -1.5, "z": 1.0}}  # from where a path comes down, behind, into the foreground
Trace = dict[str, Any]


def write(landscape: Landscape, path: str | Path) -> None:
    """Write the page to the file `path`; ImportError without plotly."""
    levels = landscape.levels()
    scale: dict[str, Any] = {"type": "log" if _grows(levels) else "linear", "title": {"text": "loss"}}
    scale |= {"tickvals": levels[::3].tolist(), "ticktext": [f"{level:.2g}" for level in levels[::3]]}
    a, b = ({"title": {"text": name}} for name in "ab")
    layout: dict[str, Any] = {"template": "plotly_white", "height": 700, "margin": {"t": 60}}
    layout["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    if len(landscape.axes) == 1:
        layout |= {"xaxis": a, "yaxis": scale}
    else:
        layout["scene"] = {"xaxis": a, "yaxis": b, "zaxis": scale, "aspectmode": "cube", "camera": CAMERA}
    charts.save_page(path, _traces(landscape), layout)


def _grows(levels: np.ndarray) -> bool:
    """Whether the heights are to be seen on a logarithmic axis: the contours are not evenly spaced."""
    return levels[-1] - levels[-2] > 1.01 * (levels[1] - levels[0])


def _traces(landscape: Landscape) -> list[Trace]:
    """The curve or surface, the path and the weights."""
    flat = len(landscape.axes) == 1
    if flat:
        ground = {"mode": "lines", "line": {"color": BLUE}, "name": "loss"}
        traces = [_scatter(landscape.axes, landscape.losses, ground)]
    else:
        traces = [_surface(landscape)]
    if landscape.walk is not None:
        line = {"color": RED, "width": 2 if flat else 6}
        style = {"mode": "lines+markers", "line": line, "marker": {"size": 4}, "name": "path, with its own losses"}
        traces.append(_scatter(list(landscape.walk.places.T), landscape.walk.losses, style))
    star = {"mode": "markers", "marker": {"color": "black", "size": 8, "symbol": "diamond"}, "name": "weights"}
    zeros = [np.zeros(1)] * len(landscape.axes)
    return [*traces, _scatter(zeros, np.array([landscape.loss]), star)]


def _scatter(places: list[np.ndarray], heights: np.ndarray, style: Trace) -> Trace:
    """Points or a line, in as many dimensions as there are coordinates, and the height."""
    names = ("x", "y", "z")[: len(places) + 1]
    columns = {name: values.tolist() for name, values in zip(names, [*places, heights], strict=True)}
    return {"type": "scatter" if len(places) == 1 else "scatter3d", **columns, **style}


def _surface(landscape: Landscape) -> Trace:
    """The loss over the plane, coloured by its logarithm where the axis is logarithmic, too."""
    heights, levels = landscape.losses, landscape.levels()
    color = np.log10(heights) if _grows(levels) else heights
    return {
        "type": "surface", "x": landscape.axes[0].tolist(), "y": landscape.axes[1].tolist(), "z": heights.tolist(),
        "surfacecolor": color.tolist(), "colorscale": "Cividis", "showscale": False, "opacity": 0.9, "name": "loss",
        "hovertemplate": "a %{x:.3g}<br>b %{y:.3g}<br>loss %{z:.4g}<extra></extra>",
    }  # fmt: skip
