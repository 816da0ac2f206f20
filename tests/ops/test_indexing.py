"""x[index]: values and gradients are PyTorch's for every form of index it knows, and NumPy's for the others."""

from typing import Any

import numpy as np
import pytest
import torch
from both import refused, same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minidl

X = np.random.default_rng(0).standard_normal((4, 3, 5))
MASK = X > 0.3
ROWS = np.array([True, False, True, True])

FORMS: dict[str, Any] = {
    "number": 2,
    "number from the end": -1,
    "numpy's number": np.int64(3),
    "numbers": (1, -2, 0),
    "slice": slice(1, 3),
    "slice with a step": (slice(None, None, 2), slice(None), slice(4, 0, None)),
    "empty slice": slice(3, 1),
    "slice beyond the end": slice(2, 99),
    "ellipsis": (..., 1),
    "ellipsis in the middle": (0, ..., 2),
    "ellipsis alone": ...,
    "nothing": (),
    "new dimensions": (None, slice(None), None, 0),
    "new dimension at the end": (..., None),
    "list": [2, 0, 2],
    "lists": ([0, 1, 3], [2, 2, 0]),
    "lists that broadcast": ([[0], [3]], [1, 2]),
    "list after a slice": (slice(None), [2, 0, 0]),
    "slice between lists": ([0, 3], slice(None), [4, 4]),
    "array": np.array([3, 3, 1]),
    "array of uint8 behind a slice": (slice(0, 2), np.array([2, 1], np.int32)),
    "array of numbers from the end": np.array([-1, -4]),
    "array and slice": (np.array([[0, 1]]), slice(1, None)),
    "array of no dimension": np.array(2),
    "empty list": [],
    "mask of rows": ROWS,
    "list of booleans": [True, False, False, True],
    "mask of everything": MASK,
    "mask of two dimensions": MASK[:, :, 0],
    "mask and slice": (ROWS, slice(1, None)),
    "mask and ellipsis": (..., MASK[0, 0]),
    "mask and list": (ROWS, [0, 1, 2]),
    "mask of nothing": np.zeros(4, bool),
}
PYTORCHS: dict[str, Any] = {  # NumPy puts the dimension of the list first
    "number and list apart": (0, slice(None), [1, 2]),
    "list and number apart": ([3, 0], slice(None), -1),
    "number, new dimension, list": (1, None, [0, 2, 1]),
    "number and mask apart": (0, slice(None), MASK[0, 0]),
    "number and list around dots": (2, ..., [0, 0]),
    "numbers and list apart": (np.int64(1), slice(1, None), np.array([4, 1])),
    "number, mask of two dimensions": (None, 2, slice(None), None, MASK[0, 0]),
}
NUMPYS: dict[str, Any] = {
    "nested list": [[0, 1], [3, 3]],  # to PyTorch two lists
    "backwards": slice(None, None, -1),
    "backwards by two": (slice(None), slice(None), slice(4, None, -2)),
}


def as_index(library: Any, index: Any, tensors: bool) -> Any:
    """The index with tensors of the library in place of arrays, if asked for."""
    if isinstance(index, tuple):
        return tuple(as_index(library, part, tensors) for part in index)
    return library.tensor(index) if tensors and isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("tensors", [False, True], ids=["arrays", "tensors"])
@pytest.mark.parametrize("form", [*FORMS, *PYTORCHS])
def test_every_form_is_pytorchs(form: str, tensors: bool) -> None:
    same(lambda m, x: x[as_index(m, {**FORMS, **PYTORCHS}[form], tensors)], X)


@pytest.mark.parametrize("form", [*FORMS, *NUMPYS])
def test_every_form_has_numpys_value_and_both_derivatives(form: str) -> None:
    index = {**FORMS, **NUMPYS}[form]
    x = minidl.tensor(X, requires_grad=True)
    np.testing.assert_array_equal(x[index].detach().numpy(), X[index])
    assert minidl.autograd.gradcheck(lambda x: x[index] * 2, x)
    assert minidl.autograd.gradgradcheck(lambda x: x[index] ** 2, x)


@pytest.mark.parametrize("tensors", [False, True], ids=["arrays", "tensors"])
@pytest.mark.parametrize("form", [*FORMS, *PYTORCHS])
def test_every_form_can_be_assigned_to(form: str, tensors: bool) -> None:
    """Of a place that is named twice it is not said which value it gets: there one number is assigned."""
    index = {**FORMS, **PYTORCHS}[form]
    shape = minidl.tensor(X)[index].shape
    values = np.arange(1.0, np.prod(shape) + 1).reshape(shape)

    def assigned(m: Any, x: Any, v: Any) -> Any:
        y = x * 2
        y[as_index(m, index, tensors)] = v * 3
        return y

    def assigned_number(m: Any, x: Any) -> Any:
        y = x * 2
        y[as_index(m, index, tensors)] = 7.0
        return y

    same(assigned_number, X)
    with minidl.no_grad():
        expected, found = torch.tensor(X), minidl.tensor(X)
        expected[as_index(torch, index, True)] = found[as_index(minidl, index, True)] = 7.0
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
    if not any(word in form for word in ("list", "array")) or "apart" in form:
        same(assigned, X, values)


@given(hnp.basic_indices(X.shape, allow_newaxis=True, allow_ellipsis=True))
@settings(max_examples=100, deadline=None, database=None, derandomize=True)
def test_any_basic_index(index: Any) -> None:
    check_against_numpy(index)


@given(hnp.integer_array_indices(X.shape) | hnp.arrays(bool, X.shape) | st.tuples(hnp.arrays(bool, 4), st.just(...)))
@settings(max_examples=100, deadline=None, database=None, derandomize=True)
def test_any_index_of_arrays(index: Any) -> None:
    check_against_numpy(index)


def check_against_numpy(index: Any) -> None:
    x = minidl.tensor(X, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.detach().numpy(), X[index])
    weights = np.arange(1.0, y.numel() + 1).reshape(y.shape)
    y.backward(weights)
    expected = np.zeros_like(X)
    np.add.at(expected, index, weights)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("index", [4, -5, (0, 3), [0, 4], np.array([-5]), (0, 0, 0, 0), np.ones(3, bool)], ids=repr)
def test_an_index_out_of_range_is_an_index_error(index: Any) -> None:
    refused(IndexError, r"x\[index\]: .*\(4, 3, 5\)", lambda m, x: x[as_index(m, index, True)], X)


@pytest.mark.parametrize("index", [1.0, [0.5], "0", np.array([0.0, 1.0]), (0, 1.5)], ids=repr)
def test_what_is_no_index_is_refused(index: Any) -> None:
    with pytest.raises(IndexError, match="whole number"):
        minidl.tensor(X)[index]


def test_bytes_are_a_mask() -> None:
    same(lambda m, x: x[m.tensor([1, 0, 1, 1], dtype=m.uint8)], X)


def test_where_of_a_condition_alone_is_an_index() -> None:
    same(lambda m, x: [*m.where(x > 0.5), x[m.where(x > 0.5)]], X)


def test_basic_indices_are_views_and_others_copies() -> None:
    x = minidl.zeros(3, 2)
    x[1:].fill_(1)
    x[[0, 1]].fill_(9)
    assert x.tolist() == [[0, 0], [1, 1], [1, 1]]


def test_a_number_is_an_index_of_one_dimension() -> None:
    for library in (minidl, torch):
        picked = library.arange(3).gather(0, library.tensor(1))
        assert picked.tolist() == 1 and tuple(picked.shape) == ()
        assert library.zeros(3).scatter_(0, library.tensor(2), value=1).tolist() == [0, 0, 1]


@pytest.mark.parametrize("index", [
    lambda m: (m.tensor(1), slice(None), m.tensor([True, False, True])),
    lambda m: (0, m.tensor([0, 1]), m.tensor(2)),
    lambda m: (m.tensor(1), m.tensor([[0], [1]]), 2),
])  # fmt: skip
def test_a_number_that_is_a_tensor_can_be_assigned_to_beside_an_array(index: Any) -> None:
    for library in (minidl, torch):
        x = library.zeros(2, 2, 3)
        x[index(library)] = 5.0
        assert x.sum() == 5.0 * x[index(library)].numel() > 0
