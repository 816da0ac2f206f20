"""The figure of adaptive updates, number by number."""

import numpy as np
import pytest

from minidl import optim, study

GRADIENTS = np.random.RandomState(0).randn(50) * 0.2 + np.linspace(-0.5, 0.5, 50)
FIGURE = {  # class, options; first and last effective rate, final w
    "SGD": ((optim.SGD, {"lr": 0.1}), 0.1, 0.1, -0.140559),
    "Adagrad": ((optim.Adagrad, {"lr": 0.1, "eps": 1e-8}), 0.679396, 0.047345, 0.287162),
    "RMSprop": ((optim.RMSprop, {"lr": 0.1, "alpha": 0.9}), 2.148439, 0.278005, 0.390495),
    "Adam": ((optim.Adam, {"lr": 0.1}), 0.679396, 0.334171, 1.033511),
}


def test_the_figure_of_adaptive_updates():
    fed = study.feed(GRADIENTS, {label: entry for label, (entry, *_) in FIGURE.items()})
    for label, (_, *expected) in FIGURE.items():
        found = fed.rates[label][0], fed.rates[label][-1], fed.paths[label][-1]
        assert [round(float(x), 6) for x in found] == expected
    assert fed.table().columns[:4] == ["t", "gradient", "SGD rate", "SGD w"]
    np.testing.assert_array_equal(fed.table().column("gradient"), GRADIENTS)
    np.testing.assert_array_equal(fed.traces["Adam"].series("g"), GRADIENTS)


def test_the_rates_on_the_left_and_the_paths_on_the_right(tmp_path):
    pytest.importorskip("matplotlib")
    fed = study.feed(GRADIENTS, {label: entry for label, (entry, *_) in FIGURE.items()}, start=1.0)
    left, right, below = fed.plot(tmp_path / "figure.svg").axes
    assert [segment[1][1] for segment in below.collections[0].get_segments()] == GRADIENTS.tolist()
    assert left.lines[0].get_linestyle() == "--"  # SGD's, which is constant
    np.testing.assert_array_equal(right.lines[3].get_ydata(), fed.paths["Adam"])
    assert fed.paths["SGD"][0] == 1.0 - 0.1 * GRADIENTS[0]


def test_a_rule_without_a_rate():
    class Plain(optim.SGD):
        @staticmethod
        def rule(xp, w, g, *, lr):
            return dict(w=w - lr * g)

    assert np.isnan(study.feed([1.0, 2.0], {"plain": (Plain, {"lr": 0.1})}).rates["plain"]).all()


def test_lines_that_lie_on_each_other_are_told_apart():
    pytest.importorskip("matplotlib")
    fed = study.feed([1.0, 2.0], {"SGD": (optim.SGD, {"lr": 0.1}), "momentum": (optim.SGD, {"lr": 0.1, "momentum": 1})})
    left, right, _ = fed.plot().axes
    assert [(line.get_linestyle(), line.get_linewidth()) for line in left.lines] == [("-", 4.5), ("--", 1.8)]
    assert [line.get_linewidth() for line in right.lines] == [1.8, 1.8]


@pytest.mark.parametrize(
    ("gradients", "optimizers", "error", "message"),
    [
        ([], {"SGD": optim.SGD}, ValueError, r"a list of numbers, one for each step, got shape \(0,\)"),
        (None, {"SGD": optim.SGD}, ValueError, "a list of numbers, got None"),
        (1.0, {"SGD": optim.SGD}, ValueError, r"got shape \(\)"),
        ([[1.0]], {"SGD": optim.SGD}, ValueError, r"got shape \(1, 1\)"),
        ([1.0, np.nan], {"SGD": optim.SGD}, ValueError, "nan or inf in it"),
        ([1.0], {"LBFGS": optim.LBFGS}, TypeError, "'LBFGS': LBFGS computes its gradients itself"),
        ([1.0], {}, ValueError, "expected at least one"),
    ],
)
def test_what_cannot_be_fed(gradients, optimizers, error, message):
    with pytest.raises(error, match=message):
        study.feed(gradients, optimizers)
