"""Classic bugs: each does what it says, gradcheck finds those in gradients, and afterwards every bit is as it was."""

from contextlib import suppress

import numpy as np
import pytest

import minidl
from minidl import nn, optim, study
from minidl.autograd import engine
from minidl.ops import elementwise, fused, products, reductions
from minidl.study.classic_bugs.breaking import Change
from minidl.study.classic_bugs.classics import Bug, Gradients

gradient_bugs = [name for name, bug in study.bugs.items() if isinstance(bug.example, Gradients)]
every_bug = pytest.mark.parametrize("bug", study.bugs)


def places():
    """What a bug may put something else in the place of."""
    shifts = fused._shifted.__code__, fused.softmax_cross_entropy.function.__code__
    rules = products.matrix_product.rules, elementwise.sigmoid.rules, reductions.mean.rules
    zero_grads = optim.Optimizer.zero_grad, nn.Module.zero_grad
    return engine.run_backward.__code__, optim.Adam.rule, optim.SGD.rule, *shifts, *rules, *zero_grads


ORIGINAL = places()


def trained(steps=5, kind=optim.Adam):
    """Weights of a small network after some steps, as bytes."""
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.Linear(3, 3))
    optimizer = kind(model.parameters(), lr=0.1)
    x, y = minidl.randn(8, 3), minidl.tensor(np.arange(8) % 3)
    for _ in range(steps):
        optimizer.zero_grad()
        h = model(x)
        (nn.functional.cross_entropy(h + h.tanh(), y) + (h @ h.T).mean()).backward()
        optimizer.step()
    return b"".join(p.array.tobytes() for p in model.parameters())


@every_bug
def test_a_bug_changes_the_numbers_and_leaves_nothing_behind(bug):
    before = study.symptom(bug)
    assert before.right != before.wrong and places() == ORIGINAL
    again = study.symptom(bug)
    assert again.right == before.right and str(again.wrong) == str(before.wrong)


@every_bug
def test_afterwards_training_gives_the_same_bits(bug):
    expected = trained(), trained(kind=optim.SGD)
    with np.errstate(all="ignore"), pytest.raises(RuntimeError, match="in the block"), study.break_it(bug):
        with suppress(RuntimeError):  # a bias with the gradients of its copies cannot take its step
            trained(), trained(kind=optim.SGD)
        raise RuntimeError("in the block")
    assert places() == ORIGINAL
    assert (trained(), trained(kind=optim.SGD)) == expected


@pytest.mark.parametrize("bug", gradient_bugs)
def test_gradcheck_finds_it(bug):
    example = study.bugs[bug].example
    inputs = [minidl.tensor(np.array(x), requires_grad=True) for x in example.inputs.values()]
    assert minidl.autograd.gradcheck(example.function, inputs)
    with study.break_it(bug), pytest.raises((RuntimeError, IndexError)):
        minidl.autograd.gradcheck(example.function, inputs)
    assert "finds nothing" not in study.symptom(bug).gradcheck


def test_accumulation_only_matters_where_a_tensor_is_used_twice():
    def gradient(function):
        x = minidl.tensor(0.5, requires_grad=True)
        function(x).backward()
        return x.grad.item()

    def once(x):
        return (x * 2).tanh()

    right = gradient(once), gradient(minidl.tanh)
    with study.break_it("forget_accumulation"):
        assert gradient(once) == right[0]
        assert gradient(lambda x: x.tanh() + once(x)) == right[1]  # what comes last replaces what came before


def test_a_broadcast_that_is_not_undone_shows_in_the_step():
    symptom = study.symptom("skip_unbroadcast")
    assert "b[1, 1]" in symptom.wrong and "b[1, 1]" not in symptom.right
    assert "must be a Tensor of shape (2,), float64, on cpu; got shape (2, 2)" in symptom.error


def test_the_wrong_order_loses_what_comes_late():
    x = minidl.tensor(0.5, requires_grad=True)
    with study.break_it("wrong_order"):
        h = x * x
        (h + h.tanh()).backward()
        wrong = x.grad.item()
        x.grad = None
        (x * x).tanh().backward()  # a chain has one order only
    assert wrong == 1.0  # 2 x, by way of the bypass alone
    assert x.grad.item() == pytest.approx(1 - np.tanh(0.25) ** 2)


def test_a_missing_transposition_hides_in_square_matrices_only():
    x, w = minidl.randn(2, 3).requires_grad_(), minidl.randn(3, 4)
    with study.break_it("missing_transposition"), pytest.raises(RuntimeError, match="matmul"):
        (x @ w).sum().backward()


def test_the_gradient_of_a_mean_is_n_times_too_large():
    symptom = study.symptom("forget_the_mean")
    assert all(symptom.wrong[name] == 4 * g for name, g in symptom.right.items())


def test_gradients_that_are_not_forgotten_add_up():
    w = minidl.ones(1, requires_grad=True)
    model, optimizer = nn.ParameterList([w]), optim.SGD([w], lr=1.0)
    with study.break_it("forget_zero_grad"):
        for count in (1, 2, 3):
            optimizer.zero_grad()
            model.zero_grad()
            w.sum().backward()
            assert w.grad.item() == count
    optimizer.zero_grad()
    assert w.grad is None


def step_of_adam(**options):
    w = minidl.tensor(np.array([1.0]), requires_grad=True)
    optimizer = optim.Adam([w], **options)
    w.grad = minidl.tensor(np.array([1e-5]))
    return w, optimizer


def test_adam_without_bias_correction():
    with study.break_it("no_bias_correction"):
        w, adam = step_of_adam(lr=0.1, eps=0.0)
        adam.step()
    assert 1 - w.item() == pytest.approx(0.1 * 0.1 / 0.001**0.5)
    symptom = study.symptom("no_bias_correction")
    assert symptom.right[1] == pytest.approx(1) and symptom.wrong[1] == pytest.approx(10**0.5)


def test_adam_with_epsilon_inside_the_root():
    with study.break_it("epsilon_inside"):
        w, adam = step_of_adam(lr=0.1)
        adam.step()
    assert 1 - w.item() == pytest.approx(0.1 * 1e-5 / (1e-10 + 1e-8) ** 0.5)


def test_an_optimizer_that_was_made_before_has_the_bug_meanwhile_and_goes_on_without():
    w, adam = step_of_adam(lr=0.1)
    adam.step()
    twin, other = step_of_adam(lr=0.1)
    other.step()
    right = other.preview(twin)["w"]
    with study.break_it("no_bias_correction"):
        broken = adam.preview(w)
        assert "m_hat = m" in str(adam.explain(w)) and "m / (1 - b1**t)" not in str(adam.explain(w))
    assert broken["w"] != right and adam.preview(w)["w"] == right
    adam.step()
    assert w.item() == right


def test_what_explains_shows_the_bug_too():
    x = minidl.tensor([-0.5], requires_grad=True)
    with study.break_it("input_for_output"):
        assert "x · (1 - x)" in str(study.explain_backward(x.sigmoid().sum()))
    assert "x · (1 - x)" not in str(study.explain_backward(x.sigmoid().sum()))


def test_an_overflowing_softmax():
    symptom = study.symptom("overflowing_softmax")
    assert symptom.wrong[1000.0] == np.inf and np.isfinite(list(symptom.right.values())).all()
    x = minidl.tensor([[1000.0, 999.0]], requires_grad=True)
    with study.break_it("overflowing_softmax"), np.errstate(all="ignore"):
        nn.functional.cross_entropy(x, minidl.tensor([0])).backward()
    assert np.isnan(x.grad.array).all()


def test_blocks_in_each_other():
    x = minidl.tensor(2.0, requires_grad=True)
    b = minidl.zeros(3, requires_grad=True)
    with study.break_it("forget_accumulation"):
        with study.break_it("skip_unbroadcast"):  # both change the same function
            (x * x + b).sum().backward()
            assert b.grad.shape == (3,) and x.grad.shape == (3,)
        x.grad = None
        (x * x).backward()
        assert x.grad.item() == 2
    assert places() == ORIGINAL


def test_the_same_bug_in_itself_is_refused():
    with study.break_it("wrong_sign"), pytest.raises(RuntimeError, match="has the bug already"):
        study.break_it("wrong_sign").__enter__()
    assert places() == ORIGINAL


def test_as_a_decorator():
    @study.break_it("wrong_sign")
    def climb():
        w = minidl.ones(1, requires_grad=True)
        w.sum().backward()
        optim.SGD([w], lr=0.5).step()
        return w.item()

    assert climb() == 1.5 == climb() and places() == ORIGINAL


def test_what_is_changed_is_shown():
    symptom = study.symptom("epsilon_inside")
    right, wrong = "rate = lr / (xp.sqrt(v_hat) + eps)", "rate = lr / xp.sqrt(v_hat + eps)"
    assert symptom.changes == [Change("minidl.optim.adaptive:Adam.rule", right, wrong)]
    assert f"  - {right}\n  + {wrong}\n" in str(symptom)


@every_bug
def test_pictures(bug, tmp_path):
    pytest.importorskip("matplotlib")
    figure = study.symptom(bug).plot(tmp_path / "new" / "bug.png")
    assert (tmp_path / "new" / "bug.png").read_bytes().startswith(b"\x89PNG")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["right", "with the bug"] + ["infinite"] * (bug == "overflowing_softmax")


def test_rounding_does_not_fill_a_picture_and_what_is_infinite_is_marked():
    pytest.importorskip("matplotlib")
    axes = study.symptom("overflowing_softmax").plot().axes[0]
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 0.5
    assert list(axes.lines[-1].get_xdata()) == [800, 1000]


def test_a_gradient_of_another_shape_is_said_to_be_one():
    found = study.symptom("skip_unbroadcast")
    assert found.gradcheck == "cannot compare: the gradient of b, of shape (2,), has shape (2, 2)"


def test_errors():
    with pytest.raises(ValueError, match=r"there is no bug 'wrong_sine', .*; did you mean wrong_sign[?]"):
        study.symptom("wrong_sine")
    with pytest.raises(ValueError, match="there is no bug 'typo', only forget_accumulation, skip_unbroadcast"):
        study.break_it("typo")
    with pytest.raises(ValueError, match="there is no bug"):
        study.symptom("typo")


def test_a_line_that_is_gone_is_noticed_before_anything_is_changed(monkeypatch):
    edits = {
        "minidl.optim.descent:SGD.rule": (("w - lr * g", "w"),),
        "minidl.optim.adaptive:Adam.rule": (("gone", ""),),
    }
    monkeypatch.setitem(study.bugs, "gone", Bug("gone", "", "", edits, study.bugs["wrong_sign"].example))
    with pytest.raises(RuntimeError, match=r"Adam.rule has no 'gone' any more"), study.break_it("gone"):
        pass
    assert places() == ORIGINAL
