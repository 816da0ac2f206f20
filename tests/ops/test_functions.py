"""The public functions are PyTorch's: values, shapes, dtypes, gradients, and the errors for what does not fit."""

from typing import Any

import numpy as np
import pytest
from both import Function, refused, same

import minidl

random = np.random.default_rng(0)
CUBE = random.permutation(24).reshape(2, 3, 4) / 7.0 - 1.5
ONES = np.ones((1, 2, 1, 3))
inf, nan = np.inf, np.nan


# -- shapes


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
@pytest.mark.parametrize(
    "function",
    [
        lambda m, x, d: m.cat([x, x * 2], d),
        lambda m, x, d: m.stack([x, x * 2], d),
        lambda m, x, d: m.split(x, 2, d),
        lambda m, x, d: m.chunk(x, 2, d),
        lambda m, x, d: x.transpose(d, 1),
        lambda m, x, d: m.swapaxes(x, 0, d),
        lambda m, x, d: m.squeeze(x[:, :1], d),
        lambda m, x, d: m.unsqueeze(x, d),
        lambda m, x, d: m.flatten(x, d),
        lambda m, x, d: x.flatten(0, d),
    ],
)
def test_functions_along_a_dimension(function: Function, dim: int) -> None:
    same(lambda m, x: function(m, x, dim), CUBE)


@pytest.mark.parametrize("dim", [3, -4, 17])
@pytest.mark.parametrize(
    "function",
    [
        lambda m, x, d: m.cat([x, x], d),
        lambda m, x, d: m.stack([x[0], x[0]], d),
        lambda m, x, d: m.unsqueeze(x[0], d),
        lambda m, x, d: m.split(x, 2, d),
        lambda m, x, d: m.chunk(x, 2, d),
        lambda m, x, d: m.transpose(x, d, 0),
        lambda m, x, d: m.permute(x, (0, 1, d)),
        lambda m, x, d: m.squeeze(x, d),
        lambda m, x, d: m.flatten(x, d),
        lambda m, x, d: m.sum(x, d),
        lambda m, x, d: m.max(x, d),
        lambda m, x, d: m.argmin(x, d),
        lambda m, x, d: m.var(x, d),
        lambda m, x, d: m.softmax(x, d),
        lambda m, x, d: m.logsumexp(x, d),
        lambda m, x, d: x.size(d),
    ],
)
def test_a_dimension_out_of_range_is_an_index_error(function: Function, dim: int) -> None:
    refused(IndexError, "out of (range|bounds)", lambda m, x: function(m, x, dim), CUBE)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x.reshape(4, -1),
        lambda m, x: x.reshape((3, 8)),
        lambda m, x: m.reshape(x, (-1,)),
        lambda m, x: x.view(6, 4),
        lambda m, x: x.view([2, 12]),
        lambda m, x: x.permute(2, 0, 1),
        lambda m, x: m.permute(x, (-1, 0, 1)),
        lambda m, x: x[0].T,
        lambda m, x: x.mT,
        lambda m, x: x[:, :, :1].expand(-1, 3, 5),
        lambda m, x: x[0, 0].expand(2, 1, 4),
        lambda m, x: m.cat([x, x[:1]]),
        lambda m, x: m.cat((x[:, :0], x), dim=1),
        lambda m, x: m.concatenate([x, x], axis=2),
        lambda m, x: m.split(x, [1, 2], 1),
        lambda m, x: m.split(x, [0, 4], -1),
        lambda m, x: m.split(x, 5, 2),
        lambda m, x: m.chunk(x, 3, 2),
        lambda m, x: m.chunk(x, 9, 2),
        lambda m, x: m.flatten(x, 1, 1),
        lambda m, x: m.flatten(x.sum()),
        lambda m, x: m.squeeze(x.sum(), 0),
        lambda m, x: m.unsqueeze(x.sum(), -1),
        lambda m, x: x.clone().flatten(),
    ],
)
def test_other_shapes(function: Function) -> None:
    same(function, CUBE)


@pytest.mark.parametrize("dim", [None, 0, 1, 2, (0, 2), (0, 1, -2)])
def test_squeeze(dim: Any) -> None:
    same(lambda m, x: m.squeeze(x) if dim is None else m.squeeze(x, dim), ONES)


@pytest.mark.parametrize(
    ("message", "function"),
    [
        (r"reshape.*\(2, 3, 4\)", lambda m, x: x.reshape(5, 5)),
        (r"reshape.*\(2, 3, 4\)", lambda m, x: x.reshape(-1, -1)),
        (r"permute.*\(2, 3, 4\)", lambda m, x: m.permute(x, (0, 1))),
        (r"permute.*\(2, 3, 4\)", lambda m, x: m.permute(x, (0, 1, 1))),
        (r"expand.*\(2, 3, 4\)", lambda m, x: x.expand(3, 3, 4)),
        (r"expand.*\(3, 4\).*\(2, 3, 4\)", lambda m, x: x.expand(3, 4)),
        (r"expand.*\(-1, 2, 3, 4\)", lambda m, x: x.expand(-1, 2, 3, 4)),
        (r"flatten: start_dim 2 comes after end_dim 1", lambda m, x: m.flatten(x, 2, 1)),
        (r"cat.*\(2, 3, 4\), .*\(2, 2, 4\)", lambda m, x: m.cat([x, x[:, 1:]])),
        (r"cat.*\(2, 3, 4\), .*\(3, 4\)", lambda m, x: m.cat([x, x[0]])),
        (r"cat.*\(\)", lambda m, x: m.cat([x.sum(), x.sum()])),
        (r"stack.*\(2, 3, 4\) and \(1, 3, 4\)", lambda m, x: m.stack([x, x[1:]])),
        ("at least one tensor", lambda m, x: m.stack([])),
        ("above 0, got 0", lambda m, x: m.split(x, 0)),
        (r"\[1, 1\] do not add up to 3.*dimension 1", lambda m, x: m.split(x, [1, 1], 1)),
        (r"\[-1, 4\]", lambda m, x: m.split(x, [-1, 4], 1)),
        ("at least one chunk", lambda m, x: m.chunk(x, 0)),
        (r"add.*\(2, 3, 4\), .*\(2, 1, 3\)", lambda m, x: x + x[:, :1, :3]),
        (r"equal.*\(2, 3, 4\), .*\(2, 2, 4\)", lambda m, x: x == x[:, :2]),
        (r"where.*\(2, 3, 4\), .*\(2, 2, 4\)", lambda m, x: m.where(x > 0, x[:, :2], x)),
    ],
)
def test_shapes_that_do_not_fit_are_named(message: str, function: Function) -> None:
    refused(RuntimeError, message, function, CUBE)


# -- reductions

DIMS = [None, 0, 1, -1, (0, 2), [0, -2], (0, 1, 2)]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", DIMS, ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "var", "std", "logsumexp", "all", "any"])
def test_reductions(name: str, dim: Any, keepdim: bool) -> None:
    dims = (0, 1, 2) if dim is None and name in ("logsumexp", "amax", "amin") else dim
    same(lambda m, x: getattr(m, name)(x, dim=dims, keepdim=keepdim), CUBE)
    same(lambda m, x: getattr(x * 1, name)(dim=dims, keepdim=keepdim), CUBE)


@pytest.mark.parametrize("dim", [None, 0, 1, -1, np.int64(1)])
@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_extremes(name: str, dim: Any) -> None:
    same(lambda m, x: getattr(m, name)(x) if dim is None else getattr(m, name)(x, int(dim)), CUBE)
    same(lambda m, x: getattr(m, name)(x) if dim is None else getattr(x, name)(dim=int(dim), keepdim=True), CUBE)
    if dim is not None and name in ("max", "min"):
        found = getattr(minidl, name)(minidl.tensor(CUBE), dim)
        assert found.values is found[0] and found.indices is found[1]


def test_the_words_of_numpy_and_positions_are_understood() -> None:
    same(lambda m, x: [m.sum(x, 1, True), m.sum(x, axis=(0, 1)), x.mean(axis=1, keepdims=True), x.sum(0)], CUBE)
    same(lambda m, x: [m.softmax(x, -1), m.cat([x, x], axis=1), m.stack([x, x], axis=1)], CUBE)


@pytest.mark.parametrize("words", [{}, {"correction": 0}, {"unbiased": False}, {"unbiased": True}, {"correction": 2}])
@pytest.mark.parametrize("name", ["var", "std"])
def test_the_corrections_of_var_and_std(name: str, words: dict[str, Any]) -> None:
    same(lambda m, x: getattr(m, name)(x, dim=1, **words), CUBE)
    same(lambda m, x: getattr(m, name)(x, 1, False), CUBE)  # PyTorch's second position is `unbiased`


def test_var_of_too_few_numbers() -> None:
    for numbers in ([3.0], [], [1.0, 2.0]):
        same(lambda m, x: [m.var(x), m.var(x, 0, correction=2), x.mean()], np.array(numbers))


def test_std_of_equal_numbers_has_no_slope() -> None:
    same(lambda m, x: m.std(x, 1), np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 3.0]]))


def test_reductions_of_a_number_along_its_dimension_0() -> None:
    for name in ("sum", "mean", "amax", "argmax", "max", "min", "logsumexp", "softmax", "all"):
        same(lambda m, x, name=name: getattr(m, name)(x, 0), np.array(3.0))


def test_sums_and_means_of_nothing() -> None:
    same(lambda m, x: [x.sum(), x.sum(0), x.sum(1), x.mean(0), m.all(x), m.any(x)], np.zeros((0, 3)))
    same(lambda m, x: [x.reshape(3, 0), m.cat([x, x]), x + 1, x[:, 1:], x @ x.T, x.T @ x], np.zeros((0, 3)))
    for name in ("amax", "amin", "max"):
        refused(RuntimeError, "something to choose from", lambda m, x, name=name: getattr(m, name)(x), np.zeros(0))


def test_a_dimension_named_twice_is_refused() -> None:
    refused(RuntimeError, r"sum: duplicate value.*\(2, 3, 4\)", lambda m, x: m.sum(x, (0, 0)), CUBE)


# -- products

RANKS = [(3,), (2, 3), (4, 2, 3), (1, 4, 2, 3), (5, 1, 2, 3)]


@pytest.mark.parametrize("right", RANKS, ids=str)
@pytest.mark.parametrize("left", RANKS, ids=str)
def test_matmul_of_every_pair_of_ranks(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    second = right if len(right) == 1 else (*right[:-2], right[-1], right[-2])
    x, y = random.standard_normal(left), random.standard_normal(second)
    same(lambda m, x, y: m.matmul(x, y), x, y, rtol=1e-12)
    same(lambda m, x, y: x @ y, x, y, rtol=1e-12)


@pytest.mark.parametrize(
    ("left", "right"), [((2, 3), (2, 3)), ((3,), (2,)), ((2, 3), (2,)), ((4, 3, 3), (5, 3, 3)), ((), (3,))]
)
def test_matmul_of_what_does_not_fit_names_both_shapes(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    message = (
        "matmul"
        if () in (left, right)
        else rf"mat.*{str(left)[1:-1].rstrip(',')}.*{str(right)[1:-1].rstrip(',')}"
    )
    refused(RuntimeError, message, lambda m, x, y: x @ y, np.ones(left), np.ones(right))


def test_matmul_with_a_number_is_a_type_error() -> None:
    for function in (lambda m, x: x @ 2, lambda m, x: 2 @ x, lambda m, x: m.matmul(x, 2.0)):
        refused(TypeError, "matmul: expected two tensors", function, np.ones(3))


# -- ties, bounds, and numbers that are none

TIES = np.array([[1.0, 2.0, 2.0, 0.0], [2.0, 2.0, 1.0, 2.0], [0.0, -0.0, 0.0, 0.0]])
STRANGE = np.array([[0.5, nan, 2.0], [inf, -inf, 0.0]])


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: [m.amax(x, 1), m.amin(x, (0, 1)), x.max(), x.min()],
        lambda m, x: [x.max(1).values, m.min(x, 0)[0], x.argmax(1), x.argmin()],
        lambda m, x: [m.maximum(x, x[[2, 1, 0]]), m.minimum(x, x * 1)],
        lambda m, x: [m.abs(x), m.relu(x - 1), m.sign(x), m.relu(x)],
        lambda m, x: [m.clamp(x, 0.0, 2.0), m.clamp(x, min=1), m.clamp(x, max=2), x.clamp(2.0, 1.0).detach()],
        lambda m, x: [m.clamp(x, x.detach() * 0 + 1, m.tensor(2.0)), m.clamp(x, min=x * 1), m.clamp(x, max=x[0])],
        lambda m, x: m.where(x == 2, x, -x),
    ],
)
def test_ties_and_bounds_have_pytorchs_gradient(function: Function) -> None:
    same(function, TIES)


@pytest.mark.parametrize("padding", [0, 1])
def test_ties_in_a_pooling_window_have_pytorchs_gradient(padding: int) -> None:
    image = np.array([[[[1.0, 2.0, 2.0], [2.0, 2.0, 1.0], [0.0, 0.0, 0.0]]]])
    same(lambda m, x: m.nn.functional.max_pool2d(x, 2, 1, padding), image)


def test_clamp_needs_a_bound() -> None:
    with pytest.raises((RuntimeError, ValueError), match="min, max or both"):
        minidl.clamp(minidl.ones(2))


@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "log",
        "sqrt",
        "square",
        "expm1",
        "log1p",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "erf",
        "isnan",
        "isinf",
        "isfinite",
    ],
)
def test_functions_of_strange_numbers(name: str) -> None:
    same(lambda m, x: getattr(m, name)(x), STRANGE, rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: [x.sum(), x.mean(1), x.sum(0)],
        lambda m, x: [x.amax(1).detach(), x.amin(0).detach(), x.argmax(1), x.argmin(1), x.max(1).values],
        lambda m, x: [m.maximum(x, m.zeros_like(x)).detach(), m.relu(x).detach(), m.clamp(x, -1.0, 1.0)],
        lambda m, x: [x == x, x != x, x > 0, x <= 0],
        lambda m, x: [m.where(m.isfinite(x), x, 0.0), x * 0.0, x - x, 1 / x],
    ],
)
def test_nan_and_infinity_go_through(function: Function) -> None:
    same(function, STRANGE)


@pytest.mark.parametrize("x", [[0.0, 0.0, -1.0, 2.0], [0.0, 2.0, 3.0, -2.0]])
@pytest.mark.parametrize("exponent", [0, 1, 2, 3.0, 0.5, -1, -0.5])
def test_powers_at_zero(x: list[float], exponent: float) -> None:
    same(lambda m, x: x**exponent, np.array(x))
    same(lambda m, x, y: x**y, np.abs(x), np.full(4, float(exponent)))


@pytest.mark.parametrize("numbers", [
    [0.0, 1000.0, -1000.0], [1e308, -1e308, 0.0], [-inf, 0.0, 1.0], [-inf, 1e4, -inf], [inf, 0.0, 1.0],
    [-inf, -inf, -inf], [nan, 0.0, 1.0],
], ids=str)  # fmt: skip
def test_softmax_and_its_kin_of_huge_and_infinite_numbers(numbers: list[float]) -> None:
    for name in ("softmax", "log_softmax", "logsumexp"):
        same(lambda m, x, name=name: getattr(m, name)(x, 0), np.array(numbers), rtol=1e-12)


def test_softmax_needs_a_dimension() -> None:
    for function in (minidl.softmax, minidl.log_softmax):
        with pytest.raises(TypeError, match=r"dim=1"):
            function(minidl.ones(2))


# -- making tensors


@pytest.mark.parametrize(
    "make",
    [
        lambda m: [m.zeros(2, 3), m.zeros((2, 3)), m.ones(()), m.ones(0, 2), m.zeros([2], dtype=m.int64)],
        lambda m: [m.full((2, 1), 7), m.full((2,), 0.5), m.full([2], True), m.full((), 1, dtype=m.float64)],
        lambda m: [m.arange(4), m.arange(1, 4), m.arange(1, 8, 3), m.arange(0.0, 1.0, 0.25), m.arange(3.0)],
        lambda m: [m.arange(3, dtype=m.float64), m.arange(5, 0, -2), m.arange(2, 2)],
        lambda m: [m.linspace(0, 1, 5), m.linspace(-1, 1, 1), m.linspace(2, -2, 4, dtype=m.float64)],
        lambda m: [m.zeros_like(m.ones(2, dtype=m.int32)), m.ones_like(m.zeros(2, 1), dtype=m.float64)],
        lambda m: [m.tensor([1.5, 2.5]), m.tensor([[1], [2]]), m.tensor(True), m.tensor([1, 2], dtype=m.uint8)],
        lambda m: [m.from_numpy(np.arange(3)), m.eq(m.ones(2), 1), m.logical_not(m.tensor([0, 2]))],
    ],
)
def test_creation(make: Function) -> None:
    same(lambda m: make(m))


def test_random_tensors() -> None:
    x = minidl.rand(1000, 2)
    assert x.shape == (1000, 2) and x.dtype == np.float32 and x.array.min() >= 0 and x.array.max() < 1
    y = minidl.randn((10_000,), dtype=minidl.float64)
    assert y.dtype == np.float64 and abs(y.mean().item()) < 0.05 and abs(y.std().item() - 1) < 0.05
    z = minidl.randint(3, (1000,))
    assert z.dtype == np.int64 and set(z.tolist()) == {0, 1, 2}
    assert set(minidl.randint(-1, 1, (100,)).tolist()) == {-1, 0}
    assert sorted(minidl.randperm(10).tolist()) == list(range(10))
    assert minidl.rand(2, requires_grad=True).requires_grad


def test_one_hot() -> None:
    index = np.array([[0, 2], [1, 0]])
    expected = np.eye(3, dtype=np.int64)[index]
    for classes in (-1, 3):
        found = minidl.one_hot(minidl.tensor(index), classes)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found.numpy(), expected)
    assert minidl.one_hot(minidl.tensor(1), 4).tolist() == [0, 1, 0, 0]
    for wrong, message in (([-1], "got -1"), ([3], "from 0 to 2, got 3"), ([0.5], "whole numbers, got float32")):
        with pytest.raises(RuntimeError, match=message):
            minidl.one_hot(minidl.tensor(wrong), 3)
