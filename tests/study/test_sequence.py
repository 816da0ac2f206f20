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
    left, right = fed.plot(tmp_path / "figure.svg").axes
    assert left.lines[0].get_linestyle() == "--"  # SGD's, which is constant
    np.testing.assert_array_equal(right.lines[3].get_ydata(), fed.paths["Adam"])
    assert fed.paths["SGD"][0] == 1.0 - 0.1 * GRADIENTS[0]


def test_a_rule_without_a_rate():
    class Plain(optim.SGD):
        @staticmethod
        def rule(xp, w, g, *, lr):
            return dict(w=w - lr * g)

    assert np.isnan(study.feed([1.0, 2.0], {"plain": (Plain, {"lr": 0.1})}).rates["plain"]).all()
