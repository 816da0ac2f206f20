"""The landscape is the loss itself at other weights, and its directions are those of the paper."""

import shutil

import numpy as np
import pytest

import minidl
from minidl import nn, optim, study
from minidl.study.landscapes.landscape import filter_direction, principal_directions

RANDOM = np.random.default_rng(2)
A = np.array([[3.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]])
W = np.array([1.0, -2.0, 0.5])


class Quadratic(nn.Module):
    def __init__(self):
        self.w = nn.Parameter(minidl.tensor(W))


def energy(model):
    return model.w @ (minidl.tensor(A) @ model.w) / 2


def at(w):
    return np.einsum("...i,ij,...j", w, A, w) / 2


def trained(steps=30):
    """A small network with convolution, normalisation and dropout, its batch, and the path that it was trained on."""
    minidl.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 3)
    )
    batch = minidl.randn(16, 1, 6, 6), minidl.arange(16) % 3
    optimizer, path = optim.SGD(model.parameters(), lr=0.1, momentum=0.9), []
    for _ in range(steps):
        path.append(nn.utils.parameters_to_vector(model.parameters()).detach())
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()
    return model, batch, path


@pytest.mark.parametrize("count", [1, 2])
def test_the_slice_through_a_quadratic_is_its_closed_form(count):
    d = RANDOM.normal(size=(2, 3))[:count]
    result = study.landscape(Quadratic(), energy, directions=d, span=3.0, points=7)
    a = np.linspace(-3, 3, 7)
    for axis in result.axes:
        np.testing.assert_allclose(axis, a, atol=1e-12)
    grid = a[:, None] * d[0] if count == 1 else a[None, :, None] * d[0] + a[:, None, None] * d[1]
    np.testing.assert_allclose(result.losses, at(W + grid), rtol=1e-12)
    table = result.table()
    assert len(table) == 7**count and table.columns == [*"ab"[:count], "loss"]
    for row in table:
        assert row["loss"] == pytest.approx(at(W + [row[name] for name in "ab"[:count]] @ d))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("how", ["filters", "path", "one"])
def test_in_the_middle_is_the_loss_of_the_model_itself(training, how):
    model, batch, path = trained()
    model.train(training)
    options = {"filters": {}, "path": {"path": path}, "one": {"dims": 1, "span": 0.37}}[how]
    state = minidl.backend.random_stream().bit_generator.state
    result = study.landscape(model, nn.CrossEntropyLoss(), batch, points=5, **options)
    minidl.backend.random_stream().bit_generator.state = state
    loss = nn.functional.cross_entropy(model(batch[0]), batch[1]).item()
    middle = tuple(np.flatnonzero(axis == 0).item() for axis in reversed(result.axes))
    assert result.losses[middle] == loss == result.loss
    assert (result.losses != loss).sum() >= result.losses.size - 1


def test_every_place_sees_the_same_random_numbers():
    model, batch, _ = trained(1)
    nothing = [np.full(sum(p.numel() for p in model.parameters()), 1e-30)]
    result = study.landscape(model, nn.CrossEntropyLoss(), batch, directions=nothing, points=9)
    assert len(set(result.losses)) == 1


def test_directions_have_the_lengths_of_the_filters():
    model, batch, _ = trained(1)
    conv, norm, linear = model[0], model[1], model[5]
    with minidl.no_grad():
        linear.weight[1].fill_(0.0)
    result = study.landscape(model, nn.CrossEntropyLoss(), batch, points=3, seed=5)
    again, other = (study.landscape(model, nn.CrossEntropyLoss(), batch, points=3, seed=seed) for seed in (5, 6))
    np.testing.assert_array_equal(result.directions, again.directions)
    assert not np.allclose(result.directions, other.directions)
    for d in result.directions:
        pieces = np.split(d, np.cumsum([p.numel() for p in model.parameters()])[:-1])
        found = dict(zip([name for name, _ in model.named_parameters()], pieces, strict=True))
        for name, weight in (("0.weight", conv.weight), ("5.weight", linear.weight)):
            filters = weight.detach().numpy().reshape(len(weight), -1)
            lengths = np.linalg.norm(found[name].reshape(filters.shape), axis=1)
            np.testing.assert_allclose(lengths, np.linalg.norm(filters, axis=1), rtol=1e-6)
            assert np.unique(abs(found[name])).size > filters.size / 2
        for name in ("0.bias", "1.weight", "1.bias", "5.bias"):
            assert not found[name].any()
    assert abs(np.corrcoef(result.directions)[0, 1]) < 0.3
    assert norm.weight.numel() == 4


def test_a_random_slice_does_not_change_with_the_scale_of_relu_layers():
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False)).double()
    batch = minidl.randn(10, 4, dtype=np.float64), minidl.arange(10) % 3
    before = study.landscape(model, nn.CrossEntropyLoss(), batch, points=5).losses
    with minidl.no_grad():
        model[0].weight.mul_(20)
        model[2].weight.div_(20)
    np.testing.assert_allclose(study.landscape(model, nn.CrossEntropyLoss(), batch, points=5).losses, before, rtol=1e-9)


def test_the_directions_of_a_path_are_those_of_the_singular_value_decomposition():
    model, batch, path = trained()
    result = study.landscape(model, nn.CrossEntropyLoss(), batch, path=path, points=5)
    final = np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]).astype(np.float64)
    steps = np.array([w.numpy() for w in path], dtype=np.float64) - final
    values, vectors = np.linalg.eigh(steps.T @ steps)  # squares of the singular values
    found = result.directions
    np.testing.assert_allclose(abs(found @ vectors[:, [-1, -2]]), np.eye(2), atol=1e-7)
    np.testing.assert_allclose(result.walk.places, steps @ found.T, atol=1e-9)
    assert result.walk.share == pytest.approx(values[-2:].sum() / values.sum())
    assert 0.5 < result.walk.share < 1
    assert (result.walk.places[0] >= 0).all()
    for axis, walked in zip(result.axes, result.walk.places.T, strict=True):
        assert axis[0] < min(walked) and axis[-1] > max(walked) and 0 in axis
        np.testing.assert_allclose(np.diff(axis), axis[1] - axis[0])
    state = minidl.backend.random_stream().bit_generator.state
    for w, loss in list(zip(path, result.walk.losses, strict=True))[::7]:
        nn.utils.vector_to_parameters(w, model.parameters())
        minidl.backend.random_stream().bit_generator.state = state
        assert nn.functional.cross_entropy(model(batch[0]), batch[1]).item() == loss


def test_a_path_in_a_plane_is_shown_whole_and_where_it_is():
    path = W + np.array([[2.0, 1.0], [1.5, 0.0], [0.5, -0.5]]) @ np.array([[1.0, 0, 0], [0, 0.6, 0.8]])
    result = study.landscape(Quadratic(), energy, path=list(path), points=41)
    assert result.walk.share == pytest.approx(1)
    np.testing.assert_allclose(W + result.walk.places @ result.directions, path, atol=1e-12)
    np.testing.assert_allclose(result.walk.losses, at(path))
    np.testing.assert_allclose(principal_directions(path - W, 1)[0], result.directions[0])
    askew = np.array([[1.0, 0, 0], [1, 0.6, 0.8]])
    given = study.landscape(Quadratic(), energy, path=list(path), directions=askew, points=5).walk
    np.testing.assert_allclose(W + given.places @ askew, path, atol=1e-12)


def test_directions_along_which_a_path_did_not_move():
    e = np.eye(3)
    result = study.landscape(Quadratic(), energy, directions=e[:2], path=[W + 2 * e[0], W], points=5, span=3.0)
    assert result.axes[0][-1] > 2 and result.axes[1].tolist() == [-3, -1.5, 0, 1.5, 3]
    still = study.landscape(Quadratic(), energy, directions=e[:1], path=[W], points=5)
    assert still.axes[0].tolist() == [-1, -0.5, 0, 0.5, 1] and still.walk.share == 1


def test_the_text():
    lines = str(study.landscape(Quadratic(), energy, directions=np.eye(3)[:2], points=21)).splitlines()
    assert lines[0].split() == ["b", "\\", "a", "-1", "-0.7", "-0.3", "0", "0.3", "0.7", "1"]
    assert lines[1].split()[0] == "1" and lines[7].split()[0] == "-1"  # as a map: what is up is above
    assert float(lines[4].split()[4]) == at(W)
    assert lines[-1].startswith(f"the loss is {at(W):.4g} at the weights, and from ")
    one = str(study.landscape(Quadratic(), energy, directions=[W], path=[0 * W, W / 2], points=5)).splitlines()
    assert one[-1] == "path of 2 weights, 100.0% of their squared distances are in this slice"


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    path = [W + [1, 0, 0], W + [0.5, 0.5, 0]]
    for options, lines in (({"directions": np.eye(3)[:2]}, 1), ({"path": path}, 3), ({"path": path, "dims": 1}, 3)):
        figure = study.landscape(Quadratic(), energy, points=9, **options).plot(tmp_path / "new" / "map.png")
        assert len(figure.axes[0].lines) == lines
        assert (tmp_path / "new" / "map.png").read_bytes().startswith(b"\x89PNG")
    for name, loss in {"flat": lambda model: 0 * model.w.sum(), "nan": lambda model: (model.w / 0).sum()}.items():
        result = study.landscape(Quadratic(), loss, directions=np.eye(3)[:2], points=3)
        result.plot(tmp_path / f"{name}.svg")
        assert name != "nan" or "not finite" in str(result)


def test_levels_lie_where_the_loss_is():
    steep = study.landscape(Quadratic(), lambda m: (5 * m.w).exp().sum(), directions=np.eye(3)[:2], points=5)
    level = study.landscape(Quadratic(), lambda m: energy(m) - 100, directions=np.eye(3)[:2], points=5)
    for result, ratio in ((steep, True), (level, False)):
        levels = result.levels()
        assert levels[0] == pytest.approx(result.losses.min()) and levels[-1] == pytest.approx(result.losses.max())
        assert np.ptp(levels[1:] / levels[:-1] if ratio else np.diff(levels)) < 1e-6


@pytest.mark.filterwarnings("default::ResourceWarning")
def test_the_page_shows_the_surface_in_a_browser_without_network(tmp_path):
    pytest.importorskip("plotly")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser to drive")
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("chromium is not installed: the page is not looked at")
    path = [W + [1, 0, 0], W + [0.5, 0.5, 0]]
    plane = study.landscape(Quadratic(), energy, path=path, points=5)
    plane.to_html(tmp_path / "plane.html")
    line = study.landscape(Quadratic(), energy, path=path, dims=1, points=5)
    line.to_html(tmp_path / "line.html")
    data = "document.querySelector('.js-plotly-plot')._fullData.map(x => [x.type, Array.from(x.{})])"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, errors = browser.new_context(offline=True, viewport={"width": 400, "height": 300}).new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"file://{tmp_path}/plane.html")
        page.wait_for_selector(".js-plotly-plot .gl-container", state="attached")
        kinds, heights = zip(*page.evaluate(data.format("z")), strict=True)
        assert kinds == ("surface", "scatter3d", "scatter3d")
        np.testing.assert_array_equal(heights[0], plane.losses)
        np.testing.assert_array_equal(heights[1], plane.walk.losses)
        assert heights[2] == [plane.loss]
        page.goto(f"file://{tmp_path}/line.html")
        page.wait_for_selector(".js-plotly-plot .scatterlayer path")
        kinds, heights = zip(*page.evaluate(data.format("y")), strict=True)
        assert kinds == ("scatter",) * 3
        np.testing.assert_array_equal(heights[0], line.losses)
        browser.close()
    assert not errors


def test_what_cannot_be_drawn():
    model = Quadratic()
    for options, message in [
        ({"directions": np.eye(3)}, "one or two directions"),
        ({"directions": [W, 2 * W]}, "neither 0 nor parallel"),
        ({"directions": [0 * W]}, "neither 0"),
        ({}, "of one dimension, no filters"),
        ({"directions": [W * np.nan]}, "the directions: expected finite numbers"),
        ({"path": [W * np.inf, W]}, "the path: expected finite numbers"),
        ({"directions": [W[:2]]}, "the directions: expected vectors of 3 entries.*got vectors of 2"),
        ({"path": []}, "the path: expected vectors of 3 entries.*got vectors of none"),
        ({"path": [W + 1, W + 2]}, "2 dims need a path that turned: the 2 weights recorded span only 1"),
        ({"path": [W], "dims": 1}, "span only 0"),
        ({"points": 4}, "points must be odd and from 3.*got 4"),
        ({"dims": 3}, "1 or 2 dims, got 3"),
        ({"span": 0}, "span must be above 0.*got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            study.landscape(model, energy, **options)
    with pytest.raises(TypeError, match="landscape: expected a Module, got NoneType"):
        study.landscape(None, energy)
    nn.init.constant_(model.w, np.nan)
    with pytest.raises(ValueError, match="the weights: expected finite numbers"):
        study.landscape(model, energy)
    assert filter_direction(nn.Linear(2, 1), np.random.default_rng(0)).shape == (3,)
