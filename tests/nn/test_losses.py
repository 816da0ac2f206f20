"""Losses: the same numbers, first and second derivatives, warnings and errors as PyTorch's."""

import numpy as np
import pytest
import torch
from against_torch import assert_same, normal, pair, random

import minidl
from minidl import nn
from minidl.autograd import gradcheck, gradgradcheck
from minidl.nn import functional as F

TF = torch.nn.functional
REDUCTIONS = ["none", "mean", "sum"]


def probabilities(*shape, dim=1):
    x = random.uniform(0.1, 1.0, shape)
    return x / x.sum(axis=dim, keepdims=True)


def own(values, module):
    """An array as a tensor of ours or of PyTorch, whichever `module` is."""
    return minidl.tensor(values) if module is nn else torch.tensor(values)


WEIGHT = np.array([0.5, 2.0, 1.0])
LOGITS, LABELS = normal(4, 3), np.array([0, 2, 1, 2])

# -- cross-entropy and nll ----------------------------------------------------------------------------------------

OPTIONS = {
    "plain": {},
    "weight": {"weight": WEIGHT},
    "ignore": {"ignore_index": 2},
    "weight-ignore": {"weight": WEIGHT, "ignore_index": 2},
    "smoothing": {"label_smoothing": 0.2},
    "all": {"weight": WEIGHT, "ignore_index": 1, "label_smoothing": 0.3},
}
TARGETS = {
    "rows": (LOGITS, LABELS),
    "one": (normal(3), np.array(0)),
    "sequence": (normal(4, 3, 5), random.integers(0, 3, (4, 5))),
    "images": (normal(2, 3, 4, 5), random.integers(0, 3, (2, 4, 5))),
}


def with_options(module, name, options, reduction):
    weight = options.get("weight")
    options = {**options, "weight": None if weight is None else own(weight, module), "reduction": reduction}
    return getattr(module, name)(**options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("inputs", TARGETS.values(), ids=TARGETS)
def test_cross_entropy_of_labels(inputs, options, reduction):
    ours, theirs = (with_options(module, "CrossEntropyLoss", options, reduction) for module in (nn, torch.nn))
    assert_same(ours, theirs, *inputs)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [o for o in OPTIONS.values() if "label_smoothing" not in o])
@pytest.mark.parametrize("inputs", TARGETS.values(), ids=TARGETS)
def test_nll(inputs, options, reduction):
    ours, theirs = (with_options(module, "NLLLoss", options, reduction) for module in (nn, torch.nn))
    assert_same(ours, theirs, *inputs)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [OPTIONS["plain"], OPTIONS["weight"], OPTIONS["smoothing"]])
@pytest.mark.parametrize(("x", "target"), [
    (LOGITS, probabilities(4, 3)),
    (normal(3), probabilities(3, dim=0)),
    (normal(2, 3, 4, 5), probabilities(2, 3, 4, 5)),
])  # fmt: skip
def test_cross_entropy_of_probabilities(x, target, options, reduction):
    ours, theirs = (with_options(module, "CrossEntropyLoss", options, reduction) for module in (nn, torch.nn))
    assert_same(ours, theirs, x, target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [OPTIONS["plain"], OPTIONS["weight"], OPTIONS["smoothing"]])
def test_labels_of_minus_100_are_ignored_unless_told_otherwise(options, reduction):
    ours, theirs = (with_options(module, "CrossEntropyLoss", options, reduction) for module in (nn, torch.nn))
    assert_same(ours, theirs, LOGITS, np.array([0, -100, 1, -100]))


def test_labels_of_any_whole_dtype_are_taken():
    expected = F.cross_entropy(minidl.tensor(LOGITS), minidl.tensor(LABELS)).item()
    for dtype in ("uint8", "int8", "int32"):
        target = minidl.tensor(LABELS, dtype=dtype)
        assert F.cross_entropy(minidl.tensor(LOGITS), target).item() == expected
        assert F.nll_loss(minidl.log_softmax(minidl.tensor(LOGITS), 1), target).item() == pytest.approx(expected)


def test_a_class_that_is_ruled_out_does_not_spoil_the_others():
    logits = LOGITS.copy()
    logits[:, 0] = -np.inf
    for target in (np.array([1, 2, 1, 2]), np.array([1, 2, -100, 2])):
        assert_same(F.cross_entropy, TF.cross_entropy, logits, target)


def test_where_nothing_counts_the_mean_is_nan():
    with pytest.warns(RuntimeWarning, match="invalid value"):
        loss = F.cross_entropy(minidl.tensor(LOGITS), minidl.tensor([-100] * 4))
    assert np.isnan(loss.item())


def test_large_logits_do_not_overflow():
    assert_same(F.cross_entropy, TF.cross_entropy, np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([1, 1]))


x, y = minidl.tensor(LOGITS, dtype="float32"), minidl.tensor(LABELS)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize(("logits", "target", "error", "message"), [
    (x, y[:3], ValueError, "batch of 4 .* one of 3"),
    (x, y[:1], ValueError, "batch of 4 .* one of 1"),
    (x, minidl.tensor([0, 1, 2, 5]), IndexError, "from 0 to 2 for 3 classes, got 5"),
    (x, minidl.tensor([0, 1, 2, -1]), IndexError, "got -1"),
    (x, minidl.zeros(4), RuntimeError, r"whole numbers.* got float32 of shape \(4,\)"),
    (x, y == 0, RuntimeError, "got bool"),
    (x, y.reshape(4, 1), RuntimeError, r"labels of shape \(4,\) .*got \(4, 1\)"),
    (minidl.zeros(2, 3, 5), minidl.tensor(np.zeros((2, 4), int)), RuntimeError, r"\(2, 5\).* got \(2, 4\)"),
])  # fmt: skip
def test_targets_that_do_not_fit(loss, logits, target, error, message):
    with pytest.raises(error, match=message):
        loss(logits, target)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"weight": minidl.ones(2)}, RuntimeError, r"each of 3 classes, got shape \(2,\)"),
    ({"label_smoothing": 1.5}, RuntimeError, "from 0 to 1, got 1.5"),
    ({"reduction": "foo"}, ValueError, "'foo'"),
])  # fmt: skip
def test_options_that_do_not_fit(options, error, message):
    with pytest.raises(error, match=message):
        F.cross_entropy(x, y, **options)


def test_probabilities_that_do_not_fit():
    with pytest.raises(RuntimeError, match="class probabilities and must be floating, got int64"):
        F.cross_entropy(x, minidl.tensor(np.zeros((4, 3), int)))
    with pytest.raises(RuntimeError, match="ignore_index is for labels"):
        F.cross_entropy(x, minidl.zeros(4, 3), ignore_index=1)
    with pytest.raises(ValueError, match="single number"):
        F.nll_loss(minidl.tensor(1.0), minidl.tensor(0))


# -- regression and probabilities ---------------------------------------------------------------------------------

A, B = normal(4, 3), normal(4, 3)
A[0], B[0] = B[0], B[0]  # a difference of exactly 0, where PyTorch had to choose a derivative
P, Q = random.uniform(0.05, 0.95, (4, 3)), random.uniform(0, 1, (4, 3))

PAIRS = {
    "MSE": (lambda nn, **o: nn.MSELoss(**o), A, B),
    "L1": (lambda nn, **o: nn.L1Loss(**o), A, B),
    "SmoothL1": (lambda nn, **o: nn.SmoothL1Loss(**o), A, B),
    "SmoothL1-beta": (lambda nn, **o: nn.SmoothL1Loss(beta=0.3, **o), A, B),
    "SmoothL1-0": (lambda nn, **o: nn.SmoothL1Loss(beta=0.0, **o), A, B),
    "Huber": (lambda nn, **o: nn.HuberLoss(**o), A, B),
    "Huber-delta": (lambda nn, **o: nn.HuberLoss(delta=0.4, **o), A, B),
    "BCE": (lambda nn, **o: nn.BCELoss(**o), P, Q),
    "BCE-weight": (lambda nn, **o: nn.BCELoss(weight=own(WEIGHT, nn), **o), P, Q),
    "BCELogits": (lambda nn, **o: nn.BCEWithLogitsLoss(**o), A, Q),
    "BCELogits-weight": (lambda nn, **o: nn.BCEWithLogitsLoss(weight=own(WEIGHT, nn), **o), A, Q),
    "BCELogits-pos": (lambda nn, **o: nn.BCEWithLogitsLoss(pos_weight=own(WEIGHT, nn), **o), A, Q),
    "Poisson": (lambda nn, **o: nn.PoissonNLLLoss(**o), A, 3 * P),
    "Poisson-full": (lambda nn, **o: nn.PoissonNLLLoss(full=True, **o), A, 3 * P),
    "Poisson-mean": (lambda nn, **o: nn.PoissonNLLLoss(log_input=False, eps=0.1, **o), P, 3 * P),
    "KL": (lambda nn, **o: nn.KLDivLoss(**o), np.log(probabilities(4, 3)), probabilities(4, 3)),
    "KL-log": (lambda nn, **o: nn.KLDivLoss(log_target=True, **o), np.log(P), np.log(probabilities(4, 3))),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("make", "x", "target"), PAIRS.values(), ids=PAIRS)
def test_loss_of_pairs(make, x, target, reduction):
    ours, theirs = pair(lambda module: make(module, reduction=reduction))
    assert_same(ours, theirs, x, target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (4,)])
@pytest.mark.parametrize("full", [False, True])
def test_gaussian_with_a_variance_for_each_entry_or_row(shape, full, reduction):
    variance = random.uniform(0.0, 0.2, shape)  # some below eps, where the gradient goes on as if they were not
    options = {"full": full, "eps": 0.1, "reduction": reduction}
    ours, theirs = pair(lambda nn: nn.GaussianNLLLoss(**options))
    assert_same(ours, theirs, A, B, variance)
    assert_same(lambda x, y: F.gaussian_nll_loss(x, y, 0.5), lambda x, y: TF.gaussian_nll_loss(x, y, 0.5), A, B)


def test_second_derivatives_of_gaussian():
    inputs = [minidl.tensor(x, requires_grad=True) for x in (A, B, P)]
    assert gradcheck(F.gaussian_nll_loss, inputs)
    assert gradgradcheck(F.gaussian_nll_loss, inputs)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_a_weight_for_each_entry(name, reduction):
    ours, theirs = getattr(F, name), getattr(TF, name)
    assert_same(lambda x, y, w: ours(x, y, reduction=reduction, weight=w),
                lambda x, y, w: theirs(x, y, reduction=reduction, weight=w), A, B, P)  # fmt: skip
    with pytest.raises(ValueError, match=r"each entry of the input \(4, 3\), got shape \(3,\)"):
        ours(minidl.tensor(A), minidl.tensor(B), weight=minidl.tensor(P[0]))


@pytest.mark.parametrize("log_target", [False, True])
def test_batchmean(log_target):
    x, target = np.log(probabilities(4, 3)), np.log(P) if log_target else probabilities(4, 3)
    for values in ((x, target), (x[0], target[0])):
        options = {"reduction": "batchmean", "log_target": log_target}
        assert_same(lambda x, y: F.kl_div(x, y, **options), lambda x, y: TF.kl_div(x, y, **options), *values)  # noqa: B023


def test_kl_of_a_target_with_zeros():
    target = np.array([[0.0, 1.0], [0.5, 0.5]])
    assert_same(  # at x only: PyTorch's gradient at a target of 0 is NaN
        lambda x: F.kl_div(x, minidl.tensor(target), reduction="sum"),
        lambda x: TF.kl_div(x, torch.tensor(target), reduction="sum"),
        np.log(probabilities(2, 2)),
    )


def test_logits_of_any_size():
    numbers = np.array([0.0, -0.0, 40.0, -40.0, 800.0, -800.0])
    for target in (np.zeros(6), np.ones(6), np.full(6, 0.3)):
        assert_same(F.binary_cross_entropy_with_logits, TF.binary_cross_entropy_with_logits, numbers, target)


def test_a_logarithm_in_bce_is_at_least_minus_100():
    p, target = minidl.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True), minidl.tensor([1.0, 0.0, 0.0, 1.0])
    losses = F.binary_cross_entropy(p, target, reduction="none")
    assert losses.tolist() == [100, 100, 0, 0]
    losses.sum().backward()
    assert np.isfinite(p.grad.array).all()


def test_targets_of_whole_numbers_are_taken():
    x = minidl.tensor([0.2, 0.9])
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.mse_loss):
        expected = loss(x, minidl.tensor([0.0, 1.0]))
        assert loss(x, minidl.tensor([0, 1])).item() == expected.item()
        assert loss(x, minidl.tensor([0, 1])).dtype == minidl.float32
    assert F.binary_cross_entropy_with_logits(x, minidl.tensor([False, True])).dtype == minidl.float32


SECOND = {name: row for name, row in PAIRS.items() if name not in ("L1", "SmoothL1-0")}


@pytest.mark.parametrize(("make", "x", "target"), SECOND.values(), ids=SECOND)
def test_second_derivatives_of_pairs(make, x, target):
    loss = make(nn, reduction="sum")
    inputs = [minidl.tensor(x[1:], requires_grad=True), minidl.tensor(target[1:], requires_grad=True)]
    assert gradcheck(loss, inputs)
    assert gradgradcheck(loss, inputs)


@pytest.mark.parametrize("name", ["L1Loss", "MSELoss"])
def test_first_derivatives_of_the_simple_ones(name):
    loss = getattr(nn, name)()
    assert gradcheck(loss, [minidl.tensor(A[1:], requires_grad=True), minidl.tensor(B[1:], requires_grad=True)])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_second_derivatives_of_cross_entropy(options):
    loss = with_options(nn, "CrossEntropyLoss", options, "mean")
    for logits, target in (TARGETS["rows"], TARGETS["sequence"]):
        logits = minidl.tensor(logits, requires_grad=True)
        assert gradcheck(lambda x: loss(x, minidl.tensor(target)), logits)  # noqa: B023
        assert gradgradcheck(lambda x: loss(x, minidl.tensor(target)), logits)  # noqa: B023


def test_second_derivatives_of_cross_entropy_of_probabilities():
    loss = nn.CrossEntropyLoss(minidl.tensor(WEIGHT), label_smoothing=0.1)
    inputs = [minidl.tensor(LOGITS, requires_grad=True), minidl.tensor(probabilities(4, 3), requires_grad=True)]
    assert gradcheck(loss, inputs)
    assert gradgradcheck(loss, inputs)


def test_huber_bends_at_zero_like_the_square():
    d = minidl.tensor(0.0, requires_grad=True)
    (first,) = minidl.autograd.grad(F.huber_loss(d, minidl.tensor(0.0)), d, create_graph=True)
    assert minidl.autograd.grad(first, d)[0].item() == 1


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_different_shapes_warn_and_broadcast(name):
    x, target = normal(4, 1), normal(4)
    with pytest.warns(UserWarning, match=r"shape \(4,\) and the input \(4, 1\)") as caught:
        getattr(F, name)(minidl.tensor(x), minidl.tensor(target))
    assert caught[0].filename == __file__, "the warning points at the line that called"
    assert_same(getattr(F, name), getattr(TF, name), x, target)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_shapes_that_do_not_broadcast_raise(name):
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match=r"\(4, 2\).*\(3, 4\)"):
        getattr(F, name)(minidl.ones(4, 2), minidl.ones(3, 4))


def test_kl_warns_of_the_mean():
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(minidl.tensor(np.log(P)), minidl.tensor(Q))


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: F.binary_cross_entropy(minidl.ones(4, 1), minidl.ones(4)), ValueError, r"\(4,\) .*\(4, 1\)"),
    (lambda: F.binary_cross_entropy_with_logits(minidl.ones(4, 1), minidl.ones(4)), ValueError, r"\(4,\) .*\(4, 1\)"),
    (lambda: F.binary_cross_entropy(minidl.tensor([1.5]), minidl.ones(1)), RuntimeError, "the input must hold prob"),
    (lambda: F.binary_cross_entropy(minidl.tensor([float("nan")]), minidl.ones(1)), RuntimeError, "the input"),
    (lambda: F.binary_cross_entropy(minidl.ones(1), minidl.tensor([-0.5])), RuntimeError, "the target must hold prob"),
    (lambda: F.smooth_l1_loss(x, x, beta=-1.0), RuntimeError, "beta must not be negative"),
    (lambda: F.huber_loss(x, x, delta=0.0), RuntimeError, "delta must be above 0"),
    (lambda: F.gaussian_nll_loss(x, x, -0.5), ValueError, "must not be negative, got -0.5"),
    (lambda: F.gaussian_nll_loss(x, x, -minidl.ones(4)), ValueError, "must not be negative, got -1.0"),
    (lambda: F.gaussian_nll_loss(x, x, minidl.ones(3)), ValueError, r"var of shape \(3,\) .* input of \(4, 3\)"),
    (lambda: F.gaussian_nll_loss(x, x, minidl.ones(1, 1)), ValueError, r"var of shape \(1, 1\)"),
    (lambda: F.binary_cross_entropy_with_logits(x, x, minidl.ones(2, 1, 1)), RuntimeError, r"\(2, 1, 1\) is too large"),
    (lambda: nn.MSELoss(reduction="foo")(x, x), ValueError, "'foo'"),
    (lambda: F.kl_div(x, x * x, reduction="foo"), ValueError, "'foo'"),
])  # fmt: skip
def test_losses_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss"])
def test_weights_are_buffers_and_the_text_is_bare(name):
    ours, theirs = (getattr(module, name)(weight=own(WEIGHT, module)) for module in (nn, torch.nn))
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
    assert repr(ours) == repr(theirs)
    assert ours.to(minidl.float32).weight.dtype == minidl.float32


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_labels_may_be_bytes_and_one_label_a_list(name: str) -> None:
    x, weight = normal(3, 3), np.array([1.0, 2.0, 3.0])
    losses = []
    for library in (minidl, torch):
        loss, t = getattr(library.nn.functional, name), library.tensor
        labels = t([0, 1, 0], dtype=library.uint8)  # which would be a mask as an index
        losses.append([loss(t(x), labels, t(weight)).item(), loss(t(x[0]), t([1]), t(weight)).item()])
    np.testing.assert_allclose(*losses)


def test_a_weight_of_another_dtype_is_refused() -> None:
    for library in (minidl, torch):
        with pytest.raises(RuntimeError):
            labels, weight = library.tensor([0, 1]), library.ones(3, dtype=library.float64)
            library.nn.functional.cross_entropy(library.zeros(2, 3), labels, weight)
