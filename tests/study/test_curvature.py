"""Eigenvalues of the Hessian are those of the matrix itself, and the limits of stability are where steps diverge."""

import numpy as np
import pytest

import minidl
from minidl import autograd, nn, optim, study
from minidl.data import DataLoader, TensorDataset
from minidl.train import Trainer

RANDOM = np.random.default_rng(1)


class Quadratic(nn.Module):
    """wᵀAw / 2, whose Hessian is A everywhere."""

    def __init__(self, a, start=None):
        self.a = minidl.tensor(np.asarray(a, dtype=np.float64))
        self.w = nn.Parameter(minidl.tensor(np.zeros(len(a)) if start is None else np.asarray(start)))


def energy(model):
    return model.w @ (model.a @ model.w) / 2


def with_eigenvalues(*values):
    """A symmetric matrix, turned at random."""
    q, _ = np.linalg.qr(RANDOM.normal(size=(len(values), len(values))))
    return q @ np.diag(values) @ q.T


def top(matrix, **options):
    return study.top_hessian_eigenvalues(Quadratic(matrix), energy, tolerance=1e-8, steps=500, **options)


@pytest.mark.parametrize(
    ("which", "expected"),
    [("magnitude", [-7, 5, 2.5, 1, -0.5]), ("largest", [5, 2.5, 1, -0.5, -7]), ("smallest", [-7, -0.5, 1, 2.5, 5])],
)
def test_eigenvalues_and_directions_of_a_known_hessian(which, expected):
    a = with_eigenvalues(5, -7, 1, -0.5, 2.5)
    found = top(a, k=5, which=which)
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    np.testing.assert_allclose(a @ found.vectors.T, found.vectors.T * expected, atol=1e-5)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(5), atol=1e-6)
    np.testing.assert_allclose(top(a, k=1, which=which).values, expected[:1], rtol=1e-6)


@pytest.mark.parametrize("values", [(1, -1), (3, 3, 3), (2, 2, -2, -2), (0, 0), (4,), (1e-9, -3e-9), (1e6, 1e-3)])
def test_ties_zeros_and_extremes(values):
    found = top(with_eigenvalues(*values), k=len(values)).values
    np.testing.assert_allclose(np.sort(found), np.sort(values), atol=1e-8 * max(map(abs, values)))
    assert list(abs(found)) == sorted(abs(found), reverse=True) or len(set(map(abs, values))) == 1


def test_the_saddle_of_a_product():
    model = Quadratic([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(study.top_hessian_eigenvalues(model, energy, k=2, which="largest").values, [1, -1])


def small_network():
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.BatchNorm1d(5), nn.Linear(5, 3)).double()
    x = minidl.tensor(RANDOM.normal(size=(20, 4)))
    return model, (x, minidl.tensor(np.arange(20) % 3))


def full_hessian(model, loss, batch):
    """The matrix, by autograd.functional.hessian of the loss as a function of the parameters."""
    params = list(model.parameters())

    def of_the_parameters(*values):
        layers = iter(values)
        h = nn.functional.linear(batch[0], next(layers), next(layers)).tanh()
        h = nn.functional.batch_norm(h, None, None, next(layers), next(layers), training=True)
        return loss(nn.functional.linear(h, next(layers), next(layers)), batch[1])

    blocks = autograd.functional.hessian(of_the_parameters, tuple(p.detach() for p in params))
    sizes = [p.numel() for p in params]
    rows = [
        np.hstack([block.numpy().reshape(size, -1) for block in row]) for row, size in zip(blocks, sizes, strict=True)
    ]
    return np.vstack(rows)


def test_a_small_network_against_its_whole_hessian():
    model, batch = small_network()
    loss = nn.CrossEntropyLoss()
    matrix = full_hessian(model, loss, batch)
    assert matrix.shape == (53, 53)
    exact = np.linalg.eigvalsh(matrix)
    assert exact[0] < -1e-3  # the training has not begun, and there are ways that bend down
    tight = dict(tolerance=1e-6, steps=2000)
    magnitude = sorted(exact, key=abs, reverse=True)[:4]
    found = study.top_hessian_eigenvalues(model, loss, batch, 4, **tight)
    np.testing.assert_allclose(found.values, magnitude, rtol=1e-6)
    largest = study.top_hessian_eigenvalues(model, loss, batch, 3, which="largest", **tight)
    np.testing.assert_allclose(largest.values, exact[::-1][:3], rtol=1e-6)
    smallest = study.top_hessian_eigenvalues(model, loss, batch, 2, which="smallest", **tight)
    np.testing.assert_allclose(smallest.values, exact[:2], rtol=1e-6)
    rough = study.top_hessian_eigenvalues(model, loss, batch).pairs[0]
    assert abs(rough.value - magnitude[0]) <= rough.residual + 1e-12 < 2e-3 * abs(magnitude[0])
    assert rough.products < 60


def test_frozen_parameters_are_not_counted_and_linear_ones_are_flat():
    model = Quadratic(np.diag([3.0, 2.0]))
    model.slope = nn.Parameter(minidl.ones(2, dtype=np.float64))
    found = study.top_hessian_eigenvalues(model, lambda model: energy(model) + model.slope.sum(), k=4)
    np.testing.assert_allclose(found.values, [3, 2, 0, 0], atol=1e-2)
    assert found.vectors.shape == (4, 4)
    model.w.requires_grad = False
    linear = study.top_hessian_eigenvalues(model, lambda model: model.slope.sum(), k=2)
    np.testing.assert_array_equal(linear.values, [0, 0])
    with minidl.no_grad():  # what the caller records does not matter
        square = study.top_hessian_eigenvalues(model, lambda model: model.slope.square().sum())
        np.testing.assert_allclose(square.values, [2])
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter of the model requires a gradient"):
        study.top_hessian_eigenvalues(model, energy)


def test_the_table_says_what_was_found():
    table = top(np.diag([4.0, -1.0]), k=2).table()
    assert [row["2/eigenvalue"] for row in table] == [pytest.approx(0.5), None]
    assert table.columns == ["eigenvalue", "2/eigenvalue", "residual", "products"]
    assert str(top([[8.0]])).splitlines()[1].split() == ["8", "0.25", "0", "1"]


def test_what_cannot_be_asked_for():
    with pytest.raises(ValueError, match="k must be from 1 to 2, the number of weights, got 3"):
        top(np.eye(2), k=3)
    with pytest.raises(ValueError, match="magnitude, largest, smallest"):
        top(np.eye(2), which="LM")


LIMITS = [
    (optim.SGD, {}, 2.0), (optim.Momentum, {}, 3.8), (optim.Nesterov, {"momentum": 0.5}, 1.5),
    (optim.SGD, {"momentum": 0.9, "dampening": 0.5}, 7.6), (optim.Adam, {}, 2.0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "limit"), LIMITS)
def test_the_limit_is_where_steps_on_a_quadratic_diverge(kind, options, limit):
    distances = []
    for product in (0.99 * limit, 1.01 * limit):
        model = Quadratic([[4.0]], [1.0])
        optimizer = kind(model.parameters(), lr=product / 4, **options)
        watch = study.Sharpness(model, optimizer, energy)
        assert watch.limit == pytest.approx(limit)
        assert watch.look()["lr·sharpness"] == pytest.approx(product)
        for _ in range(800):
            optimizer.zero_grad()
            energy(model).backward()
            optimizer.step()
        distances.append(abs(model.w.item()))
    assert kind is optim.Adam or distances[0] < 0.1 < 1e3 < distances[1]


def test_looks_follow_a_hessian_whose_directions_change_places():
    model = Quadratic(np.diag([5.0, 1.0, 0.5]))
    watch = study.Sharpness(model, optim.SGD(model.parameters(), lr=0.1), energy, tolerance=1e-4)
    for values in ([5, 1, 0.5], [5, 9, 0.5], [2, 1, 3], [-4, -1, -2]):
        model.a = minidl.tensor(np.diag(np.array(values, dtype=np.float64)))
        assert watch.look()["sharpness"] == pytest.approx(max(values), rel=1e-4)
    assert watch.table().column("step") == [0, 1, 2, 3]
    assert str(watch).splitlines()[-1] == "lr·sharpness, at most 2 on a quadratic, 4 looks"


def test_a_trainer_is_watched_after_its_steps(tmp_path):
    minidl.manual_seed(0)
    data = TensorDataset(RANDOM.normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2)
    model = nn.Linear(3, 2)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.5))
    watch = study.Sharpness(model, trainer.optimizer, nn.CrossEntropyLoss(), data[:], every=4)
    trainer.fit(DataLoader(data, batch_size=10), epochs=3, progress=False, callbacks=[watch])
    assert watch.table().column("step") == [4, 8, 12]
    loss = nn.functional.cross_entropy(model(data[:][0]), data[:][1])
    assert watch.rows[-1]["loss"] == loss.item()
    pytest.importorskip("matplotlib")
    upper, lower = watch.plot(tmp_path / "new" / "sharpness.png").axes
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), watch.table().column("lr·sharpness"))
    assert set(lower.lines[1].get_ydata()) == {2.0} and len(upper.lines) == 1
    assert (tmp_path / "new" / "sharpness.png").read_bytes().startswith(b"\x89PNG")


def test_weights_that_are_no_longer_finite_are_shown_and_forgotten():
    model = Quadratic([[4.0, 0.0], [0.0, 1.0]], [np.nan, 1.0])
    watch = study.Sharpness(model, optim.SGD(model.parameters(), lr=0.1), lambda model: model.w.pow(4).sum())
    assert np.isnan(watch.look()["sharpness"])
    with minidl.no_grad():
        model.w.fill_(1.0)
    assert watch.look()["sharpness"] == pytest.approx(12)
    with pytest.raises(ValueError, match="call look"):
        study.Sharpness(model, watch.optimizer, energy).plot()
    with pytest.raises(ValueError, match="from 1, got 0"):
        study.Sharpness(model, watch.optimizer, energy, every=0)


def test_what_cannot_be_measured():
    model = Quadratic([[4.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
    with pytest.raises(TypeError, match="top_hessian_eigenvalues: expected a Module, got NoneType"):
        study.top_hessian_eigenvalues(None, energy)
    with pytest.raises(TypeError, match="Sharpness: expected an Optimizer, got NoneType"):
        study.Sharpness(model, None, energy)
    with pytest.raises(ValueError, match="none of the model's parameters"):
        study.Sharpness(model, optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1), energy)
