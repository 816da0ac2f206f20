"""Races run the real optimizers on surfaces whose lowest places are where they are said to be."""

import shutil

import numpy as np
import pytest

import minidl
from minidl import autograd, optim, study
from minidl.study.optimizers import races

EVERY = {"SGD": (optim.SGD, {"lr": 0.001}), "Adam": (optim.Adam, {"lr": 0.3}), "Adagrad": (optim.Adagrad, {"lr": 1.0})}


def leaf(point):
    return minidl.tensor(np.array(point, dtype=float), requires_grad=True)


@pytest.mark.parametrize("name", study.surfaces)
def test_a_surface_is_lowest_at_its_minima(name):
    surface = study.surfaces[name]
    assert surface.about.endswith(".")
    left, right, bottom, top = surface.box
    for place in [*surface.minima, surface.start]:
        assert left < place[0] < right and bottom < place[1] < top
    minima = np.array(surface.minima, dtype=float)
    np.testing.assert_allclose(surface.values(minima), surface.lowest, atol=1e-9)
    x, y = np.meshgrid(np.linspace(left, right, 60), np.linspace(bottom, top, 60))
    assert (surface.values(np.stack([x.ravel(), y.ravel()], axis=1)) >= surface.lowest).all()
    around = minima + 1e-4 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])[:, None]
    assert (surface.values(around.reshape(-1, 2)) > surface.lowest).all()
    assert autograd.gradcheck(surface.f, leaf(surface.start))


@pytest.mark.parametrize("name", study.surfaces)
def test_every_surface_can_be_raced_on(name):
    for run in study.race(name, EVERY, steps=30).runs:
        assert run.path.shape == (31, 2) and run.values.shape == (31,)
        assert run.values.min() < run.values[0]


def test_the_path_is_that_of_the_optimizer_itself():
    w, path = leaf([-1.2, 1.0]), [[-1.2, 1.0]]
    optimizer = optim.Adam([w], lr=0.3)
    for _ in range(20):
        optimizer.zero_grad()
        ((1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2).backward()
        optimizer.step()
        path.append(w.tolist())
    run = study.race("rosenbrock", {"Adam": (optim.Adam, {"lr": 0.3})}, steps=20).runs[0]
    np.testing.assert_array_equal(run.path, path)
    np.testing.assert_allclose(run.values[-1], (1 - path[-1][0]) ** 2 + 100 * (path[-1][1] - path[-1][0] ** 2) ** 2)


def test_a_function_of_ones_own_in_three_dimensions_and_an_optimizer_that_calls_the_closure(tmp_path):
    def valley(w):
        return ((w - minidl.arange(3)) ** 2 * minidl.tensor([1.0, 5.0, 25.0])).sum()

    optimizers = {"LBFGS": (optim.LBFGS, {"max_iter": 1}), "SGD": optim.SGD, "still": (optim.SGD, {"lr": 0})}
    result = study.race(valley, optimizers, start=[3.0, 3.0, 3.0], steps=60)
    table = result.table()
    assert table[0]["final value"] < 1e-10 and table[2]["final value"] == valley(minidl.full((3,), 3.0)).item()
    assert table[0]["steps to tolerance"] < 20
    assert table[2]["steps to tolerance"] is None and table[2]["path length"] == 0
    assert str(result).splitlines()[3].split() == ["still", "0", "-", "60", "54", "0"]
    pytest.importorskip("matplotlib")
    assert len(result.plot(tmp_path / "curves.svg").axes) == 1  # no map


def test_the_numbers_of_the_table():
    result = study.race(lambda w: (w * w).sum(), {"SGD": (optim.SGD, {"lr": 0.25})}, start=[3.0, -4.0], steps=8)
    (row,) = result.table()  # each step halves the way, and takes three quarters of the height
    assert row["final value"] == 25 / 4**8
    assert row["path length"] == pytest.approx(5 * (1 - 0.5**8))
    assert result.runs[0].arrival(0.0, 1e-3) == 5  # 4**-5 < 1e-3 < 4**-4
    assert study.race("bowl", EVERY, steps=3).table()[0]["steps to tolerance"] is None


def test_weights_that_leave_all_bounds_end_the_run():
    row = study.race("ravine", {"SGD": (optim.SGD, {"lr": 1e9})}, steps=100).table()[0]
    assert (row["final value"], row["steps to tolerance"]) == (np.inf, None)


def test_a_matrix_for_the_optimizer_that_takes_only_these():
    result = study.race("bowl", {"Muon": (optim.Muon, {"lr": 0.2, "weight_decay": 0})}, start=[[-4.0, 3.0]], steps=50)
    assert result.runs[0].values.min() < 0.1
    assert result.runs[0].points.shape == (51, 2)


def test_noise_is_the_same_for_all_and_comes_from_the_seed():
    twins = {"a": (optim.SGD, {"lr": 0.01}), "b": (optim.SGD, {"lr": 0.01})}
    first, again, other = (study.race("noisy", twins, steps=20, seed=seed).runs for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0].path, first[1].path)
    np.testing.assert_array_equal(first[0].path, again[0].path)
    assert not np.array_equal(first[0].path, other[0].path)
    exact = study.race("noisy", twins, steps=20, noise=0).runs
    steps, exact_steps = np.diff(first[0].path[:3], axis=0), np.diff(exact[0].path[:3], axis=0)
    np.testing.assert_allclose(steps[0] - exact_steps[0], -0.01 * 2.0 * np.random.default_rng(0).standard_normal(2))


def test_the_search_finds_the_rate_that_arrives_first():
    rates = [0.01, 0.1, 0.5, 1.0, 1.9, 3.0]
    found = study.best_rates("bowl", {"SGD": optim.SGD}, steps=50, rates=rates)
    assert found == {"SGD": 1.0}  # which is there in one step
    flat = study.best_rates(lambda w: (w**2).sum(), {"SGD": optim.SGD}, [1.0], steps=3, rates=[1e-4, 1e-3, 1e-2, 2.0])
    assert flat == {"SGD": 0.01}  # none arrives: the lowest one, and not the one that flees
    assert study.race("bowl", {"SGD": optim.SGD}, steps=20, search=True).table()[0]["lr"] == 1.0


def test_what_the_search_compares():
    def badness(*values):
        return races._badness(races.Run("", 1.0, np.zeros((len(values), 2)), np.array(values), 0), 0.0, 0.1)

    early, late, never = badness(10, 1, 1, 1, 0, 0), badness(10, 9, 8, 7, 6, 0), badness(10, 9, 8, 7, 5, 5)
    climbs, falls = badness(10, 21, 1, 0, 0, 0), badness(10, 2, 2, 2, 2, 9)
    assert sorted([climbs, falls, never, late, early]) == [early, late, never, falls, climbs]


@pytest.mark.parametrize("name", ["beale", "noisy", "sparse"])
def test_rates_searched_side_by_side_are_those_of_runs_of_their_own(name):
    optimizers = {"Adam": optim.Adam, "momentum": (optim.SGD, {"momentum": 0.9})}
    rates, surface = [1e-3, 0.03, 0.3, 30.0], races._surface(name, None, None)
    for kind, options in races.entries(optimizers).values():
        together = races._run_all(surface, "", kind, options, rates, 40, 3)
        alone = [races._run(surface, "", kind, {**options, "lr": rate}, 40, 3) for rate in rates]
        for a, b in zip(together, alone, strict=True):
            assert (a.lr, a.gradients, len(a.path)) == (b.lr, b.gradients, len(b.path))
            np.testing.assert_allclose(a.path[:-1], b.path[:-1], rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_rates_that_all_flee_at_once_warn_of_nothing():
    found = study.best_rates("beale", {"SGD": optim.SGD, "LBFGS": optim.LBFGS}, steps=5, rates=[1e9, 1e10])
    assert found["SGD"] == 1e9
    assert study.race("beale", {"SGD": (optim.SGD, {"lr": 1e200})}).table()[0]["final value"] == np.inf


def test_the_gradients_that_a_step_computes_are_counted():
    optimizers = {"LBFGS": (optim.LBFGS, {"max_iter": 4}), "SGD": (optim.SGD, {"lr": 1e-3})}
    first, second = study.race("rosenbrock", optimizers, steps=10).table()
    assert 10 < first["gradients computed"] <= 50 and second["gradients computed"] == 10


def wall(w):
    return w.log().sum()


def test_what_cannot_be_raced():
    class Plain(optim.SGD):
        pass

    adam = optim.Adam([minidl.zeros(1, requires_grad=True)])
    for error, message, arguments in [
        (ValueError, "there is no surface 'hill', only bowl, ravine", ("hill", EVERY)),
        (ValueError, "needs a start", (lambda w: w.sum(), EVERY)),
        (ValueError, r"wall is nan at the start \[-1.0, 1.0\]", (wall, EVERY, [-1.0, 1.0])),
        (ValueError, "bowl is inf at the start", ("bowl", EVERY, [np.inf, 1.0])),
        (ValueError, r"two dimensions, x and y, got a start of shape \(3,\)", ("bowl", EVERY, [1.0, 2.0, 3.0])),
        (TypeError, "objective: expected a function that takes a tensor to a tensor, got float from it",
         (lambda w: 1.0, EVERY, [1.0])),
        (RuntimeError, r"a single number, got shape \(2,\): reduce it", (lambda w: w * 2, EVERY, [1.0, 2.0])),
        (TypeError, "a name or a function of a tensor, got int", (3, EVERY)),
        (ValueError, "optimizers: expected at least one", ("bowl", {})),
        (TypeError, r"optimizers: expected {label: \(class, options\)}.* got list", ("bowl", [optim.SGD])),
        (TypeError, "'a': .* already: give its class, optim.Adam", ("bowl", {"a": adam})),
        (TypeError, r"'a': expected \(class, options\), .* got \('Adam', {}\)", ("bowl", {"a": ("Adam", {})})),
        (TypeError, "'a': .* got 0.1", ("bowl", {"a": 0.1})),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            study.race(*arguments)
        with pytest.raises(error, match=message):
            study.best_rates(*arguments)
    assert len(study.race("bowl", {"own": Plain}, steps=2).runs) == 1


def test_the_words_of_a_picture():
    pytest.importorskip("matplotlib")
    result = study.race(lambda w: (w**2).sum() / 2, {"SGD": (optim.SGD, {"lr": 1.0})}, [1.0, 2.0], steps=5)
    figure = result.plot()
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "objective: steps to arrive"
    assert legend.get_texts()[0].get_text() == "SGD, lr 1: 1 step"
    assert result.floored and "1e-12" in figure.axes[1].texts[0].get_text()


def test_a_picture_of_the_paths_on_the_surface(tmp_path):
    pytest.importorskip("matplotlib")
    figure = study.race("himmelblau", EVERY, steps=10).plot(tmp_path / "new" / "race.png")
    surface_map, curves = figure.axes
    assert len(surface_map.lines) == 2 * len(EVERY) + 5 and len(curves.lines) == len(EVERY)
    assert (tmp_path / "new" / "race.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("default::ResourceWarning")
def test_the_page_plays_in_a_browser_without_network(tmp_path):
    pytest.importorskip("plotly")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser to drive")
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("chromium is not installed: the page is not looked at")
    race = study.race("ravine", EVERY, steps=12)
    race.to_html(tmp_path / "race.html")
    plot = "document.querySelector('.js-plotly-plot')"
    now = f"{plot}.layout.sliders[0].active"
    curves = f"{plot}._fullData.filter(x => x.xaxis === 'x2').map(x => Array.from(x.y))"
    values = [[float(gap) for gap in race.gaps(run)] for run in race.runs]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, errors = browser.new_context(offline=True).new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"file://{tmp_path}/race.html")
        page.wait_for_selector(".slider-group")
        assert page.evaluate(curves) == [gaps[:1] for gaps in values]
        page.click("text=play")
        page.wait_for_function(f"{now} === 12")  # by itself to the end
        page.wait_for_function(f"{curves}[0].length === 13")
        assert page.evaluate(curves) == values
        assert page.query_selector(".contourlayer path") is not None  # the surface is still there
        box = page.query_selector(".slider-rail-touch-rect").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function(f"{now} === 6")  # and back
        page.wait_for_function(f"{curves}[0].length === 7")
        assert page.evaluate(curves) == [gaps[:7] for gaps in values]
        browser.close()
    assert not errors
