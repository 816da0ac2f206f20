"""The range test takes the optimizer's own steps, and what it suggests is sensible where the right rate is known."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim, study
from minidl.data import DataLoader, synthetic


class Quadratic(nn.Module):
    """Σ λ w² / 2, on which gradient descent diverges with rates above 2 / max λ."""

    def __init__(self, *curvatures):
        self.curvatures = minidl.tensor(np.array(curvatures, dtype=np.float64))
        self.w = nn.Parameter(minidl.ones(len(curvatures), dtype=np.float64))


def energy(model):
    return (model.curvatures * model.w * model.w).sum() / 2


CURVATURES = [(1,), (100,), (1, 10, 100), (1000, 1, 0.1), tuple(np.geomspace(0.01, 10, 50))]


@pytest.mark.parametrize("range_", [1e3, 50])
@pytest.mark.parametrize("curvatures", CURVATURES)
def test_on_a_quadratic_a_stable_rate_is_suggested(curvatures, range_):
    model, stable = Quadratic(*curvatures), 2 / max(curvatures)
    test = study.lr_range_test(model, optim.SGD(model.parameters()), energy, high=range_ * stable)
    assert stable / 50 < test.suggestion < stable / 2 < test.lowest
    assert test.suggestion == pytest.approx(min(test.steepest, test.lowest / 10), rel=0.05)
    assert test.ended and stable < test.rates[-1] and "flew off" in test.verdict


def test_the_losses_are_those_of_the_optimizer_itself():
    model = Quadratic(1.0, 5.0)
    test = study.lr_range_test(model, optim.Adam(model.parameters()), energy, low=1e-4, high=1e-1, steps=20)
    optimizer, losses = optim.Adam(model.parameters()), []
    for rate in np.geomspace(1e-4, 1e-1, 20):
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad()
        losses.append(energy(model))
        losses[-1].backward()
        optimizer.step()
    np.testing.assert_array_equal(test.losses, [loss.item() for loss in losses])
    np.testing.assert_array_equal(test.rates, np.geomspace(1e-4, 1e-1, 20))
    assert test.table().column("loss") == test.losses.tolist()


def test_the_optimizer_goes_on_where_it_was():
    model = Quadratic(1.0, 5.0)
    frozen = nn.Parameter(minidl.ones(2), requires_grad=False)
    groups = [{"params": model.parameters(), "lr": 0.02}, {"params": [frozen], "lr": 0.5}]
    optimizer = optim.Adam(groups)
    with study.OptimizerTrace(optimizer) as trace:
        energy(model).backward()
        optimizer.step()
        before = [x.array.copy() for state in optimizer.state.values() for x in state.values() if hasattr(x, "array")]
        study.lr_range_test(model, optimizer, energy, steps=30)
        after = [x.array for state in optimizer.state.values() for x in state.values() if hasattr(x, "array")]
        for x, y in zip(before, after, strict=True):
            np.testing.assert_array_equal(x, y)
        assert [group["lr"] for group in optimizer.param_groups] == [0.02, 0.5]
        optimizer.step()
    assert sorted(set(trace.table().column("t"))) == [1, 2]


def test_parameters_and_leaves_beside_the_model_are_left_as_they_were():
    model, other, leaf = Quadratic(1.0), nn.Parameter(minidl.ones(1)), minidl.ones(1, requires_grad=True)
    other.grad = minidl.tensor([7.0])
    optimizer = optim.SGD([*model.parameters(), other])
    test = study.lr_range_test(model, optimizer, lambda model: energy(model) + (other * leaf).square().sum())
    assert (other.item(), other.grad.item(), leaf.grad) == (1.0, 7.0, None)
    assert test.losses[0] == 1.5


def test_batches_begin_anew_and_an_optimizer_may_call_the_loss_itself():
    model = nn.Linear(1, 1)
    seen = []

    def loss(outputs, targets):
        seen.append(targets.item())
        return (outputs - targets).square().mean()

    batches = [(minidl.ones(1, 1), minidl.full((1, 1), value)) for value in (1.0, 2.0, 3.0)]
    study.lr_range_test(model, optim.SGD(model.parameters()), loss, batches, high=1e-3, steps=10)
    assert seen == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]
    model = Quadratic(1.0, 20.0)
    test = study.lr_range_test(model, optim.LBFGS(model.parameters(), max_iter=2), energy, high=1.0, steps=20)
    assert test.losses[0] == 10.5 and test.losses[-1] < 2


@pytest.mark.parametrize(("kind", "low", "high"), [(optim.SGD, 0.01, 1), (optim.Adam, 1e-4, 0.1)])
def test_a_network_learns_with_the_rate_that_is_suggested(kind, low, high):
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))
    data = synthetic.moons(400, generator=minidl.Generator(0))
    loader = DataLoader(data, batch_size=32, shuffle=True, seed=0)
    test = study.lr_range_test(model, kind(model.parameters()), nn.CrossEntropyLoss(), loader)
    assert low < test.suggestion < high and test.suggestion < test.lowest and test.steepest <= test.lowest
    optimizer = kind(model.parameters(), lr=test.suggestion)
    for x, y in [batch for _ in range(20) for batch in loader]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    x, y = data[:]
    assert nn.functional.cross_entropy(model(x), y).item() < 0.35 < test.losses[0]


def test_what_the_verdict_says_where_the_range_does_not_fit():
    model = Quadratic(1.0)
    low = study.lr_range_test(model, optim.SGD(model.parameters()), energy, low=1e-5, high=1e-2, steps=50)
    assert low.verdict.startswith("the loss fell to the end: test higher rates, above 0.01") and not low.ended
    high = study.lr_range_test(model, optim.SGD(model.parameters()), energy, low=10.0, high=1e4, steps=50)
    assert high.verdict.startswith("the loss never fell: test lower rates, below 10") and high.ended
    assert len(high.losses) < 20
    assert str(low).splitlines()[-1] == f"suggested learning rate: {low.suggestion:.2g}"
    assert len(str(low).splitlines()) == 18


def test_where_the_loss_falls_late_the_suggestion_is_a_tenth_of_the_lowest():
    rates, losses = np.geomspace(1e-4, 1, 41), np.repeat([1.0, 0.1, 2.0], [35, 3, 3])
    test = study.RangeTest(rates, losses, width=1, ended=True)
    assert rates[33] <= test.steepest <= rates[35] and rates[35] <= test.lowest <= rates[37]
    assert test.suggestion == float(f"{test.lowest / 10:.2g}")


def test_a_loss_that_is_not_finite_ends_it():
    model = Quadratic(1.0)
    test = study.lr_range_test(model, optim.SGD(model.parameters()), lambda model: energy(model) / 0 * 0)
    assert len(test.losses) == 1 and np.isnan(test.losses[0]) and np.isnan(test.suggestion)
    assert test.verdict.startswith("the loss is nan before the first step: look for nan or inf in inputs")
    pytest.importorskip("matplotlib")
    assert test.plot().axes


def test_weights_that_do_not_move():
    model = Quadratic(1.0)
    test = study.lr_range_test(model, optim.SGD(model.parameters()), lambda model: energy(model) * 0 + 3, steps=20)
    assert test.verdict.startswith("the loss never changed") and np.isnan(test.suggestion)


def test_the_optimizer_of_another_model_is_refused():
    model, other = Quadratic(1.0), Quadratic(2.0)
    with pytest.raises(ValueError, match="is it that of another model"):
        study.lr_range_test(model, optim.SGD(other.parameters()), energy)
    for given, message in [((None, None), "a Module, got NoneType"), ((model, model), "an Optimizer, got Quadratic")]:
        with pytest.raises(TypeError, match=f"lr_range_test: expected {message}"):
            study.lr_range_test(*given, energy)


def test_noise_does_not_end_it_and_losses_below_zero_are_fine():
    noise = np.random.default_rng(0).normal(size=100)
    model, calls = Quadratic(1.0), []

    def noisy(model):
        calls.append(1)
        return energy(model) - 10 + 0.5 * float(noise[len(calls) - 1])

    test = study.lr_range_test(model, optim.SGD(model.parameters()), noisy, high=1.0)
    assert not test.ended and len(test.losses) == 100
    assert np.std(np.diff(test.smooth)) < 0.3 * np.std(np.diff(test.losses))


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    model = Quadratic(1.0, 10.0)
    test = study.lr_range_test(model, optim.SGD(model.parameters()), energy)
    (axes,) = test.plot(tmp_path / "new" / "range.png").axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[2:] == [f"lowest: {test.lowest:.2g}", f"suggested: {test.suggestion:.2g}"]
    assert axes.lines[3].get_xdata()[0] == test.suggestion
    bottom, top = axes.get_ylim()
    assert bottom < test.losses.min() and test.losses[0] < top < test.losses.max()
    assert (tmp_path / "new" / "range.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_tested():
    model = nn.Linear(1, 1)
    for options, message in [
        ({"low": 1.0, "high": 0.1}, "0 < low < high, got low=1.0 and high=0.1"),
        ({"steps": 5}, "steps must be from 10, got 5"),
        ({"batches": []}, "there are no batches"),
        ({"batches": iter([(minidl.ones(1), minidl.ones(1))])}, "a list, which can begin anew"),
    ]:
        with pytest.raises(ValueError, match=message):
            study.lr_range_test(model, optim.SGD(model.parameters()), nn.MSELoss(), **options)
