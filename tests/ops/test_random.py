"""Random tensors: shapes, dtypes, seeds and errors are PyTorch's; the numbers follow their distributions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from stand_in import install

import minidl
from minidl import Generator

Draw = Callable[[Any, Any], Any]  # of the library and of the words for its generator

MANY = 20_000
DRAWS: dict[str, Draw] = {
    "rand": lambda m, how: m.rand(2, 3, **how),
    "rand, named": lambda m, how: m.rand(size=(2, 3), dtype=m.float64, **how),
    "randn": lambda m, how: m.randn((2, 3), dtype=m.float16, **how),
    "randn, no dimension": lambda m, how: m.randn((), **how),
    "randint": lambda m, how: m.randint(3, (2, 3), **how),
    "randint, between": lambda m, how: m.randint(-1, 3, (4,), dtype=m.int32, **how),
    "randint, named": lambda m, how: m.randint(low=1, high=3, size=[4], dtype=m.float64, **how),
    "randperm": lambda m, how: m.randperm(7, **how),
    "randperm, dtype": lambda m, how: m.randperm(7, dtype=m.float32, **how),
    "rand_like": lambda m, how: m.rand_like(m.zeros(2, 3, dtype=m.float64), **how),
    "randn_like": lambda m, how: m.randn_like(m.zeros(2, 3, dtype=m.int64), dtype=m.float32, **how),
    "randint_like": lambda m, how: m.randint_like(m.zeros(2, 3), 5, **how),
    "randint_like, between": lambda m, how: m.randint_like(m.zeros(2, dtype=m.int32), 1, 5, **how),
    "bernoulli": lambda m, how: m.bernoulli(m.full((2, 3), 0.5, dtype=m.float64), **how),
    "bernoulli, p": lambda m, how: m.zeros(2, 3, dtype=m.int64).bernoulli(0.5, **how),
    "multinomial": lambda m, how: m.multinomial(m.ones(5), 3, **how),
    "multinomial, rows": lambda m, how: m.ones(4, 5).multinomial(7, replacement=True, **how),
    "multinomial, no rows": lambda m, how: m.multinomial(m.ones(0, 5), 2, True, **how),
    "normal, tensors": lambda m, how: m.normal(m.zeros(2), m.ones(3, 1, dtype=m.float64), **how),
    "normal, mean": lambda m, how: m.normal(m.zeros(2, dtype=m.float64), **how),
    "normal, std": lambda m, how: m.normal(1.0, m.ones(2), **how),
    "normal, numbers": lambda m, how: m.normal(0, 1, size=(2, 3), dtype=m.float64, **how),
    "normal_": lambda m, how: m.zeros(2, 3, dtype=m.float64).normal_(mean=1, std=2, **how),
    "uniform_": lambda m, how: m.zeros(2, 3).uniform_(-1, 1, **how),
    "exponential_": lambda m, how: m.zeros(2, 3).exponential_(lambd=2, **how),
    "bernoulli_": lambda m, how: m.zeros(2, 3, dtype=m.int64).bernoulli_(0.3, **how),
    "bernoulli_, tensor": lambda m, how: m.zeros(2, 3).bernoulli_(m.tensor([0.0, 0.5, 1.0], dtype=m.float64), **how),
    "random_": lambda m, how: m.zeros(2, 3).random_(**how),
    "random_, below": lambda m, how: m.zeros(2, 3, dtype=m.uint8).random_(10, **how),
    "random_, between": lambda m, how: m.zeros(2, 3, dtype=m.int64).random_(-5, 5, **how),
}


@pytest.mark.parametrize("name", DRAWS)
def test_shapes_and_dtypes_are_pytorchs(name: str) -> None:
    ours, theirs = DRAWS[name](minidl, {}), DRAWS[name](torch, {})
    assert ours.shape == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    assert not ours.requires_grad


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_gives_the_same_numbers_for_the_same_seed(name: str) -> None:
    first, again, other = (DRAWS[name](minidl, {"generator": Generator(seed)}).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other or np.size(first) == 0 or name == "bernoulli_, tensor"


@pytest.mark.parametrize("name", DRAWS)
def test_without_a_generator_the_default_one_is_used(name: str) -> None:
    minidl.manual_seed(5)
    first = DRAWS[name](minidl, {}).tolist()
    minidl.manual_seed(5)
    assert DRAWS[name](minidl, {}).tolist() == first


# -- distributions


def moments(x: Any) -> tuple[float, float]:
    return float(x.array.mean(dtype="float64")), float(x.array.std(dtype="float64"))


@pytest.mark.parametrize(
    ("make", "mean", "deviation"),
    [
        (lambda g: minidl.rand(MANY, generator=g), 0.5, 1 / 12**0.5),
        (lambda g: minidl.randn(MANY, generator=g), 0.0, 1.0),
        (lambda g: minidl.randint(0, 7, (MANY,), generator=g), 3.0, 2.0),
        (lambda g: minidl.bernoulli(minidl.full((MANY,), 0.2), generator=g), 0.2, 0.4),
        (lambda g: minidl.normal(minidl.full((MANY,), 3.0), 2.0, generator=g), 3.0, 2.0),
        (lambda g: minidl.normal(-1, minidl.full((MANY,), 0.5), generator=g), -1.0, 0.5),
        (lambda g: minidl.empty(MANY).uniform_(-1, 2, generator=g), 0.5, 3 / 12**0.5),
        (lambda g: minidl.empty(MANY).normal_(2, 0.1, generator=g), 2.0, 0.1),
        (lambda g: minidl.empty(MANY).exponential_(2.0, generator=g), 0.5, 0.5),
        (lambda g: minidl.empty(MANY).random_(0, 7, generator=g), 3.0, 2.0),
        (lambda g: minidl.multinomial(minidl.tensor([0.0, 3.0, 1.0, 0.0]), MANY, True, generator=g), 1.25, 0.433),
    ],
)
def test_means_and_deviations(make: Any, mean: float, deviation: float) -> None:
    found = moments(make(Generator(0)))
    margin = 5 * deviation / MANY**0.5  # five standard errors
    assert found == (pytest.approx(mean, abs=margin), pytest.approx(deviation, abs=2 * margin))


def test_bernoulli_takes_the_chance_of_each_entry() -> None:
    chances = minidl.tensor([[0.0], [0.25], [1.0]]).expand(3, 4000)
    means = minidl.bernoulli(chances, generator=Generator(0)).mean(1)
    assert means[0] == 0 and means[2] == 1 and abs(means[1] - 0.25) < 0.04


def test_normal_takes_the_mean_and_deviation_of_each_entry() -> None:
    x = minidl.normal(minidl.tensor([[0.0], [5.0]]), minidl.tensor([0.0, 1.0]), generator=Generator(0))
    assert x[:, 0].tolist() == [0, 5] and x[0, 1] != 0 and x[1, 1] != 5


def test_multinomial_draws_each_row_by_its_own_weights() -> None:
    weights = minidl.tensor([[0.0, 0.0, 2.0], [1.0, 3.0, 0.0]])
    drawn = minidl.multinomial(weights, 4000, replacement=True, generator=Generator(0)).numpy()
    assert set(drawn[0]) == {2} and set(drawn[1]) == {0, 1}
    assert abs(drawn[1].mean() - 0.75) < 0.04


def test_multinomial_without_replacement_draws_no_position_twice() -> None:
    generator = Generator(0)
    weights = minidl.tensor([1.0, 2.0, 0.0, 5.0])
    firsts = []
    for _ in range(2000):
        drawn = minidl.multinomial(weights, 3, generator=generator).tolist()
        assert sorted(drawn) == [0, 1, 3]
        firsts.append(drawn[0])
    assert np.bincount(firsts, minlength=4) / 2000 == pytest.approx(weights.numpy() / 8, abs=0.06)
    assert sorted(minidl.multinomial(weights, 4, generator=generator).tolist()) == [0, 1, 2, 3]


def test_randperm_holds_every_number_once() -> None:
    assert sorted(minidl.randperm(50).tolist()) == list(range(50))
    assert minidl.randperm(0).shape == (0,)


def test_rand_stays_below_1_in_every_dtype() -> None:
    class JustBelow1:
        def random(self, shape: Any) -> Any:
            return np.full(shape, 1 - 2.0**-53)

    generator = Generator(0)
    generator.numpy = JustBelow1()  # type: ignore[assignment]
    for dtype in (minidl.float16, minidl.float32, minidl.float64):
        assert minidl.rand(3, dtype=dtype, generator=generator).max() < 1


def test_random_without_bounds_draws_what_the_dtype_holds() -> None:
    for dtype, bound in (("uint8", 2**8), ("int8", 2**7), ("bool", 2), ("int64", 2**63), ("float32", 2**24 + 1)):
        x = minidl.empty(1000, dtype=np.dtype(dtype)).random_(generator=Generator(0))
        assert int(x.min()) >= 0 and 0.9 * (bound - 1) < int(x.max()) < bound


# -- in place


@pytest.mark.parametrize("fill", ["normal_", "uniform_", "exponential_", "random_", "bernoulli_"])
def test_filling_writes_to_the_memory_and_returns_the_tensor(fill: str) -> None:
    array = np.full(20, -7.0)
    x = minidl.Tensor(array)
    assert getattr(x, fill)() is x and x.array is array and not (array == -7).any()


@pytest.mark.parametrize("fill", ["normal_", "uniform_", "exponential_", "random_", "bernoulli_"])
def test_a_leaf_is_filled_under_no_grad_only(fill: str) -> None:
    for library in (minidl, torch):
        x = library.ones(3, requires_grad=True)
        with pytest.raises(RuntimeError, match="leaf"):
            getattr(x, fill)()
        with library.no_grad():
            assert getattr(x, fill)().requires_grad


def test_a_filled_tensor_passes_no_gradient_on() -> None:
    for library in (minidl, torch):
        x = library.ones(3, requires_grad=True)
        y = x * 2
        y.normal_()
        (y * x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


# -- errors

WRONG: list[tuple[str, Callable[[Any], Any]]] = [
    ("floating", lambda m: m.randn(2, dtype=m.int64)),
    ("int64", lambda m: m.rand(2, dtype=m.int64)),
    ("floating", lambda m: m.randn_like(m.ones(2, dtype=m.int32))),
    ("negative", lambda m: m.randn(-2)),
    ("negative", lambda m: m.rand((2, -1))),
    ("low < high", lambda m: m.randint(3, 2, (2,))),
    ("low < high", lambda m: m.randint(0, (2,))),
    ("out of bounds", lambda m: m.randint(0, 300, (2,), dtype=m.uint8)),
    ("from 0, got -1", lambda m: m.randperm(-1)),
    ("from 0 to 1", lambda m: m.bernoulli(m.tensor([0.5, 2.0]))),
    ("from 0 to 1", lambda m: m.bernoulli(m.tensor([float("nan")]))),
    ("from 0 to 1", lambda m: m.bernoulli(m.ones(2), -0.5)),
    ("must not be negative", lambda m: m.normal(m.zeros(2), -1.0)),
    ("must not be negative", lambda m: m.normal(m.zeros(2), -m.ones(2))),
    (r"\(2,\).*\(3,\)", lambda m: m.normal(m.zeros(2), m.ones(3))),
    ("not all of them 0", lambda m: m.multinomial(m.zeros(2), 1)),
    ("from 0", lambda m: m.multinomial(m.tensor([1.0, -1.0]), 1)),
    ("finite", lambda m: m.multinomial(m.tensor([1.0, float("nan")]), 1)),
    ("finite", lambda m: m.multinomial(m.tensor([1.0, float("inf")]), 1, True)),
    ("1 to 2 samples", lambda m: m.multinomial(m.ones(2), 3)),
    ("1 to 2 samples", lambda m: m.multinomial(m.ones(2), 0, True)),
    (r"int64 \(2,\)", lambda m: m.multinomial(m.tensor([1, 1]), 1)),
    (r"\(2, 2, 2\)", lambda m: m.multinomial(m.ones(2, 2, 2), 1)),
    ("floating", lambda m: m.ones(2, dtype=m.int64).normal_()),
    ("floating", lambda m: m.ones(2, dtype=m.int64).uniform_()),
    ("floating", lambda m: m.ones(2, dtype=m.int64).exponential_()),
    ("high - low < 0", lambda m: m.ones(2).uniform_(2, 1)),
    ("must not be negative", lambda m: m.ones(2).normal_(0, -1)),
    ("must not be negative", lambda m: m.ones(2).exponential_(0)),
    ("low < high", lambda m: m.ones(2).random_(5, 2)),
    ("out of bounds", lambda m: m.ones(2, dtype=m.uint8).random_(0, 300)),
]


@pytest.mark.parametrize(("message", "make"), WRONG)
def test_what_cannot_be_drawn_is_a_runtime_error(message: str, make: Callable[[Any], Any]) -> None:
    with pytest.raises(RuntimeError, match=message):
        make(minidl)
    with pytest.raises(RuntimeError):
        make(torch)


@pytest.mark.parametrize("make", [
    lambda m: m.randint(3, 2),
    lambda m: m.normal(0.0, 1.0),
    lambda m: m.rand(2.5),
    lambda m: m.multinomial(m.ones(2), 1.5),
    lambda m: m.zeros(2, generator=3),
])  # fmt: skip
def test_arguments_of_other_types_are_type_errors(make: Callable[[Any], Any]) -> None:
    for library in (minidl, torch):
        with pytest.raises(TypeError):
            make(library)


# -- on a GPU


def test_a_seed_gives_the_same_numbers_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = install(monkeypatch)
    x = minidl.full((2, 3), 0.5)
    for draw in (
        lambda x, g: minidl.rand(2, 3, device=x.device, generator=g),
        lambda x, g: minidl.randn_like(x, generator=g),
        lambda x, g: minidl.bernoulli(x, generator=g),
        lambda x, g: x.multinomial(2, generator=g),
        lambda x, g: minidl.normal(x, x, generator=g),
        lambda x, g: x.clone().uniform_(-1, 1, generator=g),
        lambda x, g: x.clone().random_(7, generator=g),
    ):
        here, there = draw(x, Generator(3)), draw(x.to("cuda"), Generator(3))
        assert type(there.array) is gpu and there.dtype == here.dtype
        assert there.cpu().tolist() == here.tolist()
