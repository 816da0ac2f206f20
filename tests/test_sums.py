"""minidl.sums: sums and largest entries of arrays of any shape and layout, as NumPy's in float64."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.sums import BLOCK, LENGTH, inner, largest, total

SHAPES = [
    ((9000, 64), 0), ((9000, 64), 1), ((9000, 64), (-1,)), ((9000, 64), (0, 1)), ((9000, 64), ()), ((100_000, 3), 0),
    ((4, 100_003), 1), ((7, LENGTH * 9), 1), ((BLOCK * 9, 7, 1), 0), ((16, 28, 28, 7), (1, 2, 3)),
    ((64, 16, 9, 9), (0, 2, 3)), ((3, 5, 7, 100), (1, 3)), ((2, 3, 4000), (0, 1)), ((70_001,), 0), ((99, 1, 300), 1),
]  # fmt: skip
LAYOUTS = {
    "rows": lambda x: x,
    "batch last": lambda x: np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0),
    "backwards": lambda x: x[::-1],
    "every other": lambda x: np.repeat(x, 2, axis=0)[::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "bool"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_sums_are_numpys(shape, axis, dtype, layout):
    x = LAYOUTS[layout]((np.random.default_rng(0).random(shape) * 2).astype(dtype))
    kind = {"float32": "float32", "float64": "float64", "float16": "float32"}.get(dtype, "int64")
    for keepdims in (False, True):
        expected = x.astype(np.float64).sum(axis=axis, keepdims=keepdims)
        found = total(np, x, axis, keepdims)
        assert found.shape == expected.shape and found.dtype == kind
        np.testing.assert_allclose(found, expected, rtol=5e-6 if kind == "float32" else 1e-13)


@pytest.mark.parametrize("shape", [(5, 5), (200, 200)])
def test_dimensions_that_are_not_there_or_named_twice_are_refused(shape):
    x = minidl.randn(*shape)
    for refused in (lambda: x.sum(2), lambda: x.sum(-3), lambda: x.mean((0, 2)), lambda: nn.functional.softmax(x, 2)):
        with pytest.raises(IndexError, match="out of range"):
            refused()
    for refused in (lambda: x.sum((0, 0)), lambda: x.mean((0, -2)), lambda: x.var((1, 1))):
        with pytest.raises(RuntimeError, match="axis"):
            refused()


@pytest.mark.parametrize("axis", [0, 1])
def test_many_numbers_keep_their_digits(axis):
    x = np.random.default_rng(0).random((2, 1_000_003), dtype=np.float32)
    found = total(np, x if axis else np.ascontiguousarray(x.T), axis)
    np.testing.assert_allclose(found, x.sum(1, dtype=np.float64), rtol=3e-7)


@pytest.mark.parametrize("shape", [(64, 50_176), (64, 1000), (50_000, 100)])
@pytest.mark.parametrize("axis", [0, 1])
def test_equal_numbers_keep_their_digits(shape, axis):
    stream = np.random.default_rng(0)  # as the background of images: errors would all go the same way
    for c in stream.standard_normal(8).astype(np.float32):
        x = np.where(stream.random(shape) < 0.8, c, stream.standard_normal(shape)).astype(np.float32)
        error = np.abs(total(np, x, axis) - x.sum(axis, dtype=np.float64))
        assert (error <= 4e-7 * np.abs(x).sum(axis, dtype=np.float64)).all()


def test_nothing_is_hidden():
    x = np.ones((300, 64), np.float32)
    x[7, 3], x[8, 4] = np.nan, np.inf
    assert np.isnan(total(np, x, 0)[3]) and total(np, x, 1)[8] == np.inf and np.isnan(total(np, x, 1)[7])
    assert np.isnan(largest(np, x, 1)[7]) and largest(np, x, -1)[8] == np.inf


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "axis"), [((300, 28), 1), ((300, 28), 0), ((30, 5, 64), -1), ((20, 30, 63), 2)])
def test_largest_entries_are_numpys(shape, axis, layout):
    x = LAYOUTS[layout](np.random.default_rng(0).standard_normal(shape).astype("f"))
    np.testing.assert_array_equal(largest(np, x, axis), x.max(axis=axis, keepdims=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_inner_products_are_numpys(shape, axis, dtype, layout):
    stream = np.random.default_rng(0)
    x, y = (LAYOUTS[layout]((stream.random(shape) * 2).astype(dtype)) for _ in range(2))
    for other in (y, np.ascontiguousarray(y), x):
        expected = (x.astype(np.float64) * other).sum(axis=axis, keepdims=True)
        found = inner(np, x, other, axis)
        assert found.shape == expected.shape and found.dtype == ("float64" if dtype == "float64" else "float32")
        rtol = {"float64": 1e-13, "float32": 5e-6, "float16": 5e-4}[dtype]
        np.testing.assert_allclose(found, expected, rtol, 6e-8 if dtype == "float16" else 0)  # the smallest half


@pytest.mark.parametrize("shape", [(64, 50_176), (3, 1_000_003), (50_000, 100)])
def test_inner_products_of_equal_numbers_keep_their_digits(shape):
    for c in np.random.default_rng(0).standard_normal(8).astype(np.float32):
        x = np.full(shape, c)
        np.testing.assert_allclose(inner(np, x, x, -1), np.float64(c) ** 2 * shape[1], rtol=4e-7)


@pytest.mark.parametrize("shape", [(5, 6), (200, 300)])
def test_factors_of_inner_products_broadcast_and_may_be_whole(shape):
    x, y = np.full(shape, 3.0, np.float32), np.full((1, shape[1]), 2.0, np.float32)
    whole = np.full(shape, 100_000, np.int32)
    assert (inner(np, x, y, 1) == 6 * shape[1]).all() and inner(np, x, x, None) == 9 * x.size
    assert (inner(np, whole, whole.astype(np.int64), 1) == shape[1] * 10**10).all()


def test_nothing_is_hidden_in_inner_products():
    x = np.ones((9, 5000), np.float32)
    x[7, 3], x[8, 4999] = np.nan, np.inf
    found = inner(np, x, np.ones_like(x), 1)
    assert np.isnan(found[7, 0]) and found[8, 0] == np.inf and (found[:7] == 5000).all()
