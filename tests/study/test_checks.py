"""Gradients by hand: the right one is found right, and each kind of mistake is found where it was planted."""

import numpy as np
import pytest

import minidl
from minidl import study

BATCH, INPUTS, HIDDEN, OUTPUTS = 8, 5, 4, 3


class Homework:
    """Two layers, mean squared error, and the backward pass by hand."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        x, t, w1, b1, w2, b2 = (
            random.normal(size=shape).astype(np.float32)
            for shape in ((BATCH, INPUTS), (BATCH, OUTPUTS), (INPUTS, HIDDEN), HIDDEN, (HIDDEN, OUTPUTS), OUTPUTS)
        )
        self.x = x
        self.w1, self.b1, self.w2, self.b2 = (minidl.tensor(p, requires_grad=True) for p in (w1, b1, w2, b2))
        y = (minidl.tensor(x) @ self.w1 + self.b1).tanh() @ self.w2 + self.b2
        self.loss = ((y - minidl.tensor(t)) ** 2).mean()
        h = np.tanh(x @ w1 + b1)
        self.dy = 2 * (h @ w2 + b2 - t) / (BATCH * OUTPUTS)
        self.dw2, self.db2 = h.T @ self.dy, self.dy.sum(0)
        self.dh = self.dy @ w2.T
        self.dz = self.dh * (1 - h**2)
        self.dw1, self.db1 = x.T @ self.dz, self.dz.sum(0)

    def check(self, mine, name):
        return study.check_my_grad(mine, getattr(self, name), self.loss)


@pytest.fixture
def homework():
    return Homework()


def test_what_is_right_is_found_right(homework):
    for name in ("w1", "b1", "w2", "b2"):
        verdict = homework.check(getattr(homework, f"d{name}"), name)
        assert verdict and verdict.kind == "right" and "right" in str(verdict)
    assert homework.check(minidl.tensor(homework.dw1), "w1")  # a tensor will do
    assert homework.w1.grad is None


MISTAKES = {
    "transposed": (lambda h: h.dw2.T, "w2", "transposed"),
    "not summed over the batch": (lambda h: np.einsum("ni,nj->nij", h.x, h.dz), "w1", "batch sum"),
    "broadcasting": (lambda h: h.dy, "b2", "broadcasting"),
    "a dimension too many": (lambda h: h.db1[None], "b1", "shape"),
    "a column": (lambda h: h.db1[:, None], "b1", "shape"),
    "sign": (lambda h: -h.dw1, "w1", "sign"),
    "half": (lambda h: h.dw1 / 2, "w1", "factor 2"),
    "twice": (lambda h: h.dw1 * 2, "w1", "factor 2"),
    "sum for mean": (lambda h: h.dw1 * BATCH * OUTPUTS, "w1", "factor N"),
    "mean over the batch for sum": (lambda h: h.dz.mean(0), "b1", "factor N"),
    "a constant": (lambda h: h.dw1 * 3.7, "w1", "factor"),
    "tanh forgotten": (lambda h: h.x.T @ h.dh, "w1", "chain factor"),
    "tanh forgotten, and half": (lambda h: h.x.T @ h.dh / 2, "w1", "chain factor"),
    "transposed, and half": (lambda h: h.dw2.T / 2, "w2", "transposed"),
    "one entry": (lambda h: h.dw1 + np.eye(INPUTS, HIDDEN, 2), "w1", "unknown"),
    "nothing like it": (lambda h: np.cos(h.dw1 * 1e3), "w1", "unknown"),
    "another shape": (lambda h: np.zeros(7), "w1", "unknown"),
    "zeros": (lambda h: 0 * h.dw1, "w1", "unknown"),
    "not a number": (lambda h: h.dw1 * np.nan, "w1", "unknown"),
}


@pytest.mark.parametrize(("plant", "name", "kind"), MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mistake_is_named(homework, plant, name, kind):
    verdict = homework.check(plant(homework), name)
    assert not verdict and verdict.kind == kind and str(verdict).startswith("wrong")


def test_it_says_where(homework):
    wrong = homework.dw1.copy()
    wrong[2, 1] += 1
    assert "wrong in 1 of 20 entries, most at (2, 1)" in str(homework.check(wrong, "w1"))
    assert "tanh" in str(homework.check(homework.x.T @ homework.dh, "w1"))
    assert "expected shape (4, 3), that of the tensor, got (3, 4)" in str(homework.check(homework.dw2.T, "w2"))


def test_a_square_matrix_can_be_transposed_too():
    s = minidl.tensor(np.random.default_rng(0).normal(size=(4, 4)), requires_grad=True)
    loss = (s @ s.detach()).tanh().sum()
    (right,) = minidl.autograd.grad(loss, s, retain_graph=True)
    assert study.check_my_grad(right.T, s, loss).kind == "transposed"


def test_one_use_of_several():
    a = minidl.tensor([1.0, 2.0], requires_grad=True)
    loss = (a * a.exp()).sum()
    verdict = study.check_my_grad(a.exp().detach(), a, loss)
    assert verdict.kind == "one use" and "used 2 times" in str(verdict)


def test_both_dimensions_broadcast():
    k, x = minidl.tensor([[2.0]], requires_grad=True), minidl.ones(3, 4)
    assert study.check_my_grad(x, k, (k * x).sum()).kind == "broadcasting"


def test_a_loss_that_does_not_depend_on_it_is_refused():
    a, b = minidl.ones(2, requires_grad=True), minidl.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="not computed from"):
        study.check_my_grad(np.ones(2), b, (a * 2).sum())
