"""The page on which a race runs: the paths grow on the surface as a slider goes through the steps, or by itself.

Plotly draws it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.study import charts
from minidl.study.table import evenly

if TYPE_CHECKING:
    from minidl.study.optimizers.races import Race

Trace = dict[str, Any]
MOST = 100  # positions of the slider
PAUSE = 60  # milliseconds between two of them when it runs by itself
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
AXIS = {"showgrid": False, "zeroline": False, "ticks": "outside", "linecolor": "black", "mirror": True}


def write(race: Race, path: str | Path) -> None:
    """Write the page to the file `path`; ImportError without plotly."""
    last = max(len(run.path) for run in race.runs) - 1
    times = evenly(last + 1, MOST)
    still = _ground(race) if race.is_map else []
    moving = [len(still) + i for i in range(len(_moving(race, last)))]
    frames = [{"name": str(t), "data": _moving(race, t), "traces": moving} for t in times]
    charts.save_page(path, [*still, *_moving(race, 0)], _layout(race, times), frames)


def _ground(race: Race) -> list[Trace]:
    """The surface from above, with the start and the lowest places."""
    x, y, heights, levels = race.heights(201 if race.surface.many else 41)
    spots = [([race.surface.start.ravel()], "square", "start"), (race.surface.minima, "star", "lowest")]
    z, lines = np.log10(np.maximum(heights, levels[0])), np.log10(levels)
    ground = {  # of lists, and drawn again in every frame: otherwise plotly loses it when the paths start to move
        "type": "contour", "x": x.tolist(), "y": y.tolist(), "z": z.tolist(), "hoverinfo": "skip",
        "contours": {"start": float(lines[0]), "end": float(lines[-1]), "size": float(lines[1] - lines[0])},
        "colorscale": [[0, "#ffffff"], [1, "#c7c7c7"]], "line": {"color": "#8c959f", "width": 0.5}, "showscale": False,
    }  # fmt: skip
    marker = {"size": 13, "color": "black", "line": {"color": "white", "width": 1}}
    return [ground] + [
        {"type": "scatter", "mode": "markers", "name": name, "marker": {**marker, "symbol": symbol},
         "x": [x for x, _ in points], "y": [y for _, y in points]}
        for points, symbol, name in spots
        if len(points)
    ]  # fmt: skip


def _moving(race: Race, t: int) -> list[Trace]:
    """What is there after t steps: of each run the path, its head, and the values so far."""
    traces: list[Trace] = []
    for run, (color, dash) in zip(race.runs, charts.styles(), strict=False):
        line, label = {"color": color, "dash": DASHES[dash], "width": 2.5}, f"{run.label}, lr {run.lr:g}"
        common = {"type": "scatter", "mode": "lines", "line": line, "name": label, "legendgroup": label}
        gaps, path = race.gaps(run)[: t + 1], run.points[: t + 1]
        if race.is_map:
            traces.append({**common, "x": path[:, 0], "y": path[:, 1], "showlegend": False})
            head = {"mode": "markers", "marker": {"color": color, "size": 11, "line": {"color": "white", "width": 1}}}
            traces.append({**common, **head, "x": path[-1:, 0], "y": path[-1:, 1], "showlegend": False})
        traces.append({**common, "x": np.arange(len(gaps)), "y": gaps, "xaxis": "x2", "yaxis": "y2"})
    return traces


def _layout(race: Race, times: list[int]) -> dict[str, Any]:
    """Axes, slider and buttons."""
    left, right, bottom, top = race.box() if race.is_map else (0, 1, 0, 1)
    low, high = (float(np.log10(gap)) for gap in race.span())
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    run = {"fromcurrent": True, "frame": {"duration": PAUSE, "redraw": True}, "transition": {"duration": 0}}
    start = 0.56 if race.is_map else 0.0
    layout = {
        "title": {"text": f"{race.surface.name}: after each step"}, "template": "plotly_white", "height": 640,
        "margin": {"t": 60, "b": 40}, "legend": {"x": 1.01, "y": 1},
        "xaxis2": {**AXIS, "domain": [start, 1], "anchor": "y2", "title": {"text": "steps"}, "range": [0, times[-1]]},
        "yaxis2": {
            **AXIS, "anchor": "x2", "type": "log", "range": [low, high], "exponentformat": "power",
            "dtick": max(1, round((high - low) / 8)),
            "title": {"text": "value above the lowest"},
        },
        "sliders": [{
            "active": 0, "x": 0.12, "len": 0.88, "pad": {"t": 45}, "currentvalue": {"prefix": "step "},
            "steps": [{"label": str(t), "method": "animate", "args": [[str(t)], still]} for t in times],
        }],
        "updatemenus": [{
            "type": "buttons", "direction": "left", "showactive": False, "x": 0.1, "xanchor": "right", "y": 0,
            "yanchor": "top", "pad": {"t": 65},
            "buttons": [
                {"label": "play", "method": "animate", "args": [None, run]},
                {"label": "pause", "method": "animate", "args": [[None], still]},
            ],
        }],
    }  # fmt: skip
    if race.floored:
        place = {"xref": "x2 domain", "yref": "y2", "x": 0, "y": float(np.log10(race.floor)), "yanchor": "bottom"}
        layout["annotations"] = [{**place, "text": race.floor_text, "showarrow": False, "font": {"size": 11}}]
    if race.is_map:
        layout["xaxis"] = {**AXIS, "domain": [0, 0.47], "range": [left, right], "title": {"text": "x"}}
        layout["yaxis"] = {**AXIS, "range": [bottom, top], "title": {"text": "y"}}
    return layout
