"""The landscape of the loss: its height along a line or over a plane through the weights, with the path of training.

Source: H. Li, Z. Xu, G. Taylor, C. Studer & T. Goldstein, "Visualizing the loss landscape of neural nets" (2018).

Letters: w the weights of the model in one vector, d1 and d2 directions of that length, a and b coordinates: what is
drawn is loss(w + a d1 + b d2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl import nn
from minidl.autograd import no_grad
from minidl.study import charts
from minidl.study.landscapes import landscape_page
from minidl.study.measuring import Loss, bar, cut, expect, flat, loss_of, untouched
from minidl.study.table import Table, evenly
from minidl.study.text import number, on_host

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 7  # places along each coordinate that are printed
EDGE = 0.2  # around a path, of its size
BLUE, RED = charts.COLORS[:2]


def landscape(
    model: nn.Module, loss: Loss, batch: Any = None, *, dims: int = 2, path: Sequence[Any] | None = None,
    directions: Sequence[Any] | None = None, span: float = 1.0, points: int = 25, seed: int = 0, progress: bool = True,
) -> Landscape:  # fmt: skip
    """The loss around the weights of `model`, along `dims` = 1 or 2 directions, at `points` places from -span to span.

    The loss is loss(model(inputs), targets) for `batch` = (inputs, targets), and without a batch loss(model).  The
    directions are random ones from `seed`, normalised filter by filter: see `filter_direction`.  With a `path`, vectors
    of weights recorded as `nn.utils.parameters_to_vector(model.parameters())`, they are those in which it moved most,
    and the slice is as large as the path.  Or give `directions`: one or two vectors of that kind, such as those of
    `top_hessian_eigenvalues`, or the way to another network.

    The model keeps its training mode, draws the same random numbers at every place, and is left as it was.
    ValueError for a `span` of 0, for `points` that are not odd and from 3, for weights that are not finite, for vectors
    of another length, and for directions or a path that do not span the slice.

    >>> from minidl import nn, study
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(model.weight, 3.0)
    >>> study.landscape(model, lambda model: model.weight.square().sum(), dims=1, points=5)
       a   loss
      -1      0
    -0.5   2.25
       0      9
     0.5  20.25
       1     36
    the loss is 9 at the weights, and from 0 to 36 around them
    """
    expect(nn.Module, model, "landscape")
    if not 0 < span < np.inf:
        raise ValueError(f"span must be above 0: how far to look in each direction; got {span}")
    if points < 3 or points % 2 == 0:
        raise ValueError(f"points must be odd and from 3, so that one of them is at the weights; got {points}")
    if dims not in (1, 2):
        raise ValueError(f"a landscape has 1 or 2 dims, got {dims}")
    weights = _finite("the weights", flat(model.parameters()))
    recorded = None if path is None else _vectors("the path", path, weights)
    if directions is not None:
        chosen = _vectors("the directions", directions, weights)
    elif recorded is not None:
        chosen = principal_directions(recorded - weights, dims)
    else:
        random = np.random.default_rng(seed)
        chosen = np.array([filter_direction(model, random) for _ in range(dims)])
    if len(chosen) > 2 or not _independent(chosen):
        raise ValueError(
            "a landscape needs one or two directions, neither 0 nor parallel; from a model whose weights are 0, or all "
            "of one dimension, no filters can be taken, and a path must have moved: give directions=..."
        )

    def height(w: np.ndarray) -> float:
        with untouched(model), no_grad(), np.errstate(all="ignore"):
            params = list(model.parameters())
            for p, part in zip(params, cut(w, params), strict=True):
                p.array[...] = part.array
            return loss_of(model, loss, batch).item()

    walk, ends = None, [(-span, span)] * len(chosen)
    if recorded is not None:
        walk = _walk(recorded - weights, chosen, np.array([height(w) for w in recorded]))
        ends = [_ends(x) if x.any() else (-span, span) for x in walk.places.T]
    axes = [_places(low, high, points) for low, high in ends]
    grid = np.stack(np.meshgrid(*axes), axis=-1)  # (points,) * dims + (dims,)
    spots = bar(grid.reshape(-1, len(chosen)), "landscape", progress)
    losses = np.array([height(weights + spot @ chosen) for spot in spots]).reshape(grid.shape[:-1])
    return Landscape(axes, losses, height(weights), chosen, walk)


def filter_direction(model: nn.Module, random: np.random.Generator) -> np.ndarray:
    """A random direction (entries of all parameters,) in which every filter is as long as that of the weights.

    A filter is what one unit or channel multiplies its inputs with: a row of a weight, whatever its shape.  Without
    this, the slice would look the flatter the larger the weights are, though a ReLU network stays the same function
    when one layer is made larger and the next one smaller (Li et al., section 4).  Parameters of one dimension, biases
    and those of normalisation, stay where they are.
    """
    pieces = []
    for w in [on_host(p).astype(np.float64) for p in model.parameters()]:
        d, filters = random.standard_normal(w.shape), tuple(range(1, w.ndim))
        lengths = [np.sqrt((x * x).sum(filters, keepdims=True)) for x in (w, d)]
        pieces.append((d * (lengths[0] / lengths[1]) if filters else np.zeros_like(w)).ravel())
    return np.concatenate(pieces)


def principal_directions(steps: np.ndarray, count: int) -> np.ndarray:
    """The `count` directions (count, entries), of length 1, that hold most of `steps` (weights recorded, entries).

    They are the first right singular vectors, each turned so that the first step goes to the right.  The steps are
    differences from the final weights, so that the plane goes through these (Li et al., section 7).
    """
    _, lengths, directions = np.linalg.svd(steps, full_matrices=False)
    rank = int((lengths > 1e-9 * lengths[:1]).sum())
    found = directions[: min(count, rank)]
    if rank < count:
        raise ValueError(f"{count} dims need a path that turned: the {len(steps)} weights recorded span only {rank}")
    return found * np.where(found @ steps[0] < 0, -1.0, 1.0)[:, None]


class Walk(NamedTuple):
    """A path of training as the slice shows it.

    `places` are its coordinates (recorded, dims); `losses` those of the weights that were recorded, which may lie above
    or below the slice; `share` is how much of the squared distances from the final weights is along the slice.
    """

    places: np.ndarray
    losses: np.ndarray
    share: float


class Landscape:
    """Heights of the loss: `losses` (b, a), or (a,) in one dimension, at the places `axes` = [a, b] along `directions`.

    `loss` is that of the weights themselves, at (0, 0); `walk` is the path, if there is one.
    """

    def __init__(
        self, axes: list[np.ndarray], losses: np.ndarray, loss: float, directions: np.ndarray, walk: Walk | None = None
    ) -> None:
        self.axes, self.losses, self.loss, self.directions, self.walk = axes, losses, loss, directions, walk

    def table(self) -> Table:
        """A row for each place: its coordinates, a and b, and the loss."""
        places = np.stack(np.meshgrid(*self.axes), axis=-1).reshape(-1, len(self.axes))
        return Table(
            {**dict(zip("ab", map(float, place), strict=False)), "loss": float(loss)}
            for place, loss in zip(places, self.losses.ravel(), strict=True)
        )

    def __repr__(self) -> str:
        """Some of the heights, in two dimensions as seen from above, and what is known of all."""
        known = self.losses[np.isfinite(self.losses)]
        around = f"from {number(known.min())} to {number(known.max())}" if known.size else "not finite"
        lines = [str(self._seen()), f"the loss is {number(self.loss)} at the weights, and {around} around them"]
        if self.walk is not None:
            share = f"{self.walk.share:.1%} of their squared distances are in this slice"
            lines.append(f"path of {len(self.walk.places)} weights, {share}")
        return "\n".join(lines)

    def _seen(self) -> Table:
        """A table with few places of each coordinate, (0, 0) among them."""
        few = [np.unique([*evenly(len(x), SHOWN), np.flatnonzero(x == 0)[0]]) for x in self.axes]
        a = self.axes[0][few[0]]
        if len(self.axes) == 1:
            return Table({"a": float(x), "loss": float(y)} for x, y in zip(a, self.losses[few[0]], strict=True))
        return Table(
            {"b \\ a": float(self.axes[1][j])} | dict(zip([f"{x:.3g}" for x in a], map(float, row), strict=True))
            for j, row in zip(few[1][::-1], self.losses[np.ix_(few[1][::-1], few[0])], strict=True)
        )

    # -- pictures

    def levels(self) -> np.ndarray:
        """Heights for contours: where the loss is above 0 and grows far, the lower, the closer together."""
        known = self.losses[np.isfinite(self.losses)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        if high <= low:
            return np.linspace(low, low + 1, 3)
        return np.geomspace(low, high, 16) if low > 0 and high > 4 * low else np.linspace(low, high, 16)

    def plot(self, path: str | Path | None = None) -> Figure:
        """The curve, or the contours from above, with the path; saved, if `path` names a file.

        ImportError without matplotlib.
        """
        drawn = charts.figure(6.5, 4.6)
        axes = drawn.subplots()
        if len(self.axes) == 1:
            self._draw_curve(axes)
        else:
            self._draw_map(axes)
        if self.walk is not None:
            share = f"{self.walk.share:.1%} of its squared distances are in this slice"
            axes.set_title(f"loss along the path of training ({share})", fontsize=10)
        drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
        return charts.save(drawn, path)

    def _draw_curve(self, axes: Axes) -> None:
        """One dimension: the loss over the coordinate."""
        axes.plot(self.axes[0], self.losses, color=BLUE, label="loss along a")
        if self.walk is not None:
            axes.plot(self.walk.places[:, 0], self.walk.losses, ".-", color=RED, label="path, with its own losses")
        axes.plot(0, self.loss, "*", color="black", markersize=12, label="weights")
        axes.set(xlabel="a", ylabel="loss")
        charts.tidy(axes)

    def _draw_map(self, axes: Axes) -> None:
        """Two dimensions: the loss from above."""
        levels, heights = self.levels(), np.ma.masked_invalid(self.losses)
        lines = charts.contours(axes, self.axes, heights, levels)
        axes.clabel(lines, levels[1::2], fmt="%.3g", fontsize=8, colors="#24292f")
        if self.walk is not None:
            axes.plot(*self.walk.places.T, ".-", color=RED, linewidth=1.6, label="path of training")
            axes.plot(*self.walk.places[0], "s", color=RED, markersize=8, markeredgecolor="white", label="its start")
        axes.plot(0, 0, "*", color="black", markersize=14, markeredgecolor="white", label="weights")
        axes.set(xlabel="a", ylabel="b")

    def to_html(self, path: str | Path) -> None:
        """Write a page on which the landscape can be turned and read off; the file needs no network.

        ImportError without plotly.
        """
        landscape_page.write(self, path)


def _vectors(what: str, given: Sequence[Any], weights: np.ndarray) -> np.ndarray:
    """Vectors in the order of the weights, (count, entries)."""
    vectors = [on_host(x).astype(np.float64).ravel() for x in given]
    if not vectors or any(x.shape != weights.shape for x in vectors):
        came = ", ".join(sorted({str(x.size) for x in vectors})) or "none"
        raise ValueError(
            f"{what}: expected vectors of {weights.size} entries, one for each weight, as "
            f"nn.utils.parameters_to_vector(model.parameters()) gives them; got vectors of {came}"
        )
    return _finite(what, np.array(vectors))


def _finite(what: str, numbers: np.ndarray) -> np.ndarray:
    """The numbers themselves; ValueError if there is nan or inf among them."""
    if not np.isfinite(numbers).all():
        raise ValueError(f"{what}: expected finite numbers, got nan or inf, to which steps that are too large lead")
    return numbers


def _walk(steps: np.ndarray, directions: np.ndarray, losses: np.ndarray) -> Walk:
    """The nearest places of a slice to weights that are `steps` (recorded, entries) away from its middle."""
    places = np.linalg.lstsq(directions.T, steps.T)[0].T
    missed = steps - places @ directions
    whole = float((steps**2).sum())
    return Walk(places, losses, 1 - float((missed**2).sum()) / whole if whole else 1.0)


def _independent(directions: np.ndarray) -> bool:
    """Whether the directions span as many dimensions as they are."""
    lengths = np.linalg.norm(directions, axis=1)
    return bool(lengths.all()) and int(np.linalg.matrix_rank(directions / lengths[:, None])) == len(directions)


def _ends(walk: np.ndarray) -> tuple[float, float]:
    """What shows one coordinate of a path, and the weights, with some space around them."""
    low, high = min(0.0, walk.min()), max(0.0, walk.max())
    edge = EDGE * (high - low)
    return low - edge, high + edge


def _places(low: float, high: float, points: int) -> np.ndarray:
    """Evenly spaced places from about `low` to about `high`, one of which is exactly 0."""
    below = min(max(round((points - 1) * low / (low - high)), 1), points - 2)
    step = max(-low / below, high / (points - 1 - below))
    return step * np.arange(-below, points - below)
