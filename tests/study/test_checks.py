"""Gradients by hand: the right one is found right, and each kind of mistake is found where it was planted."""

import numpy as np
import pytest

import minidl
from minidl import nn, study

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
    "another shape": (lambda h: np.ones(7), "w1", "unknown"),
    "zeros": (lambda h: 0 * h.dw1, "w1", "zeros"),
    "not a number": (lambda h: h.dw1 * np.nan, "w1", "not finite"),
    "one infinite entry": (lambda h: np.where(np.eye(INPUTS, HIDDEN), np.inf, h.dw1), "w1", "not finite"),
    "nothing": (lambda h: None, "w1", "nothing"),
    "bias summed over the units": (lambda h: h.dz.sum(1), "b1", "wrong axis"),
    "minus half": (lambda h: -h.dw1 / 2, "w1", "factor 2"),
    "three passes": (lambda h: 3.0 * h.dw2, "w2", "factor N"),  # as many as outputs, of which a mean is taken
    "five passes": (lambda h: 5.0 * h.dw2, "w2", "accumulated"),
    "finite differences": (lambda h: h.dw1 + 2e-3 * np.cos(h.dw1 * 1e3) * h.dw1.max(), "w1", "rounding"),
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


# -- what a cause is named for, the graph has ---------------------------------------------------------------------


def scores():
    random = np.random.default_rng(0)
    x, w = (minidl.tensor(random.normal(size=shape), requires_grad=True) for shape in ((6, 5), (5, 4)))
    return x, w, minidl.tensor([0, 1, 2, 3, 0, 1])


@pytest.mark.parametrize(("factor", "words"), [(0.5, "a factor of 2 is missing"), (7, "without zero_grad()"),
                                               (2.5, "a factor 2.5 is too much")])  # fmt: skip
def test_a_loss_without_a_square_lacks_no_square(factor, words):
    x, w, y = scores()
    loss = nn.functional.cross_entropy(x @ w, y, reduction="sum")
    (right,) = minidl.autograd.grad(loss, w, retain_graph=True)
    text = str(study.check_my_grad(factor * right.numpy(), w, loss))
    assert words in text and "square" not in text and "mean" not in text


def test_a_sum_lacks_no_division_of_a_mean():
    x, w, _ = scores()
    (right,) = minidl.autograd.grad((x @ w).tanh().sum(), w)
    text = str(study.check_my_grad(6 * right.numpy(), w, (x @ w).tanh().sum()))
    assert "mean" not in text and "6 backward passes" in text
    assert "the loss divides by 6" in str(study.check_my_grad(right.numpy(), w, (x @ w).tanh().sum() / 6))


@pytest.mark.parametrize("squared", [lambda d: d**2, lambda d: d * d, lambda d: d.square(), lambda d: d.T @ d])
def test_every_form_of_a_square_is_one(squared):
    x, w, _ = scores()
    loss = squared((x @ w).sum(1, keepdim=True)).sum()
    (right,) = minidl.autograd.grad(loss, w, retain_graph=True)
    assert "the 2 from the derivative of the square is missing" in str(study.check_my_grad(right.numpy() / 2, w, loss))


def test_a_cube_and_one_use_of_three():
    _, w, _ = scores()
    verdict = study.check_my_grad(w.detach() ** 2, w, (w**3).sum())
    assert "the 3 from the derivative of the power is missing" in str(verdict)
    assert study.check_my_grad(w.detach() ** 2, w, (w * w * w).sum()).kind == "one use"


def test_gradients_of_two_backward_passes():
    x, w, _ = scores()
    for _ in range(2):
        loss = ((x.detach() @ w) ** 2).mean()
        loss.backward(retain_graph=True)
    verdict = study.check_my_grad(w.grad, w, loss)
    assert verdict.kind == "accumulated" and "zero_grad() before each" in str(verdict)


@pytest.mark.parametrize("written", [
    lambda z, y: nn.functional.cross_entropy(z, y),
    lambda z, y: nn.functional.nll_loss(z.log_softmax(1), y),
    lambda z, y: -(z.log_softmax(1) * minidl.eye(4, dtype=np.float64)[y]).sum(1).mean(),
])  # fmt: skip
def test_softmax_without_minus_one_hot(written):
    x, w, y = scores()
    z = x.detach() @ w
    loss, p = written(z, y), z.detach().softmax(1).numpy()
    assert study.check_my_grad(x.array.T @ (p - np.eye(4)[y.array]) / 6, w, loss)
    for mine in (x.array.T @ p / 6, x.array.T @ p):
        verdict = study.check_my_grad(mine, w, loss)
        assert verdict.kind == "one-hot" and "(p - y)" in str(verdict)


def test_finite_differences_in_float32():
    x, w, y = scores()
    x, w = x.detach().float(), w.detach().float().requires_grad_()
    mine = np.zeros(w.shape)
    for place in np.ndindex(*w.shape):
        losses = []
        for step in (1e-3, -1e-3):
            moved = w.detach().clone()
            moved.array[place] += step
            losses.append(nn.functional.cross_entropy(x @ moved, y).item())
        mine[place] = (losses[0] - losses[1]) / 2e-3
    verdict = study.check_my_grad(mine, w, nn.functional.cross_entropy(x @ w, y))
    assert verdict.kind == "rounding" and "digits" in str(verdict) and "float64" in str(verdict)


def test_a_bias_summed_over_the_wrong_axis_of_a_square_result():
    b, x = minidl.zeros(4, requires_grad=True), minidl.tensor(np.random.default_rng(0).normal(size=(4, 4)))
    assert study.check_my_grad((2 * x).sum(1), b, ((x + b) ** 2).sum()).kind == "wrong axis"


def test_a_gradient_that_is_not_finite_itself():
    x = minidl.zeros(3, requires_grad=True)
    verdict = study.check_my_grad(np.ones(3), x, x.sqrt().sum())
    assert not verdict and "the right gradient itself has nan or inf" in str(verdict)


def test_what_is_no_gradient_at_all():
    x = minidl.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match="wrt: expected a Tensor, got NoneType"):
        study.check_my_grad(np.ones(3), None, x.sum())
    with pytest.raises(TypeError, match="expected an array or a tensor of numbers, got str"):
        study.check_my_grad("ones", x, x.sum())
