"""Tensors made of what is there: whose memory they have, and how they are printed."""

from collections.abc import Iterator

import numpy as np
import pytest

import minidl
from minidl import backend


def test_from_numpy_and_as_tensor_share_the_memory_of_an_array() -> None:
    array = np.arange(6.0).reshape(2, 3).T
    for x in (minidl.from_numpy(array), minidl.as_tensor(array), minidl.as_tensor(array, dtype=minidl.float64)):
        assert x.array is array and x.dtype == np.float64
    with pytest.raises(TypeError, match=r"expected a numpy\.ndarray, got list"):
        minidl.from_numpy([1.0])


def test_as_tensor_returns_a_tensor_itself_with_its_history() -> None:
    x = minidl.ones(2, requires_grad=True)
    assert minidl.as_tensor(x) is x and minidl.as_tensor(x, dtype=minidl.float32, device="cpu") is x
    y = minidl.as_tensor(x, dtype=minidl.float64)
    y.sum().backward()
    assert y.dtype == np.float64 and x.grad.tolist() == [1, 1]


def test_as_tensor_copies_what_must_change_its_dtype() -> None:
    array = np.ones(2)
    assert minidl.as_tensor(array, dtype=minidl.float32).dtype == np.float32
    assert minidl.as_tensor([1.0, 0.1], dtype=minidl.float64).tolist() == [1.0, 0.1]
    assert minidl.as_tensor(np.float64(2.5)).dtype == np.float64


def test_empty_has_the_shape_and_dtype_that_are_asked_for() -> None:
    assert minidl.empty(2, 3).shape == minidl.empty(size=[2, 3]).shape == minidl.empty((2, 3)).shape == (2, 3)
    assert minidl.empty(0, dtype=minidl.int64).dtype == np.int64
    x = minidl.empty_like(minidl.ones(2, 3, dtype=minidl.float64))
    assert (x.shape, x.dtype) == ((2, 3), np.float64)
    assert minidl.ones(2).new_empty(4, 5).shape == (4, 5)
    with pytest.raises(RuntimeError, match=r"empty: negative dimensions .* got \(-1,\)"):
        minidl.empty(-1)


def test_every_maker_can_ask_for_a_gradient() -> None:
    x = minidl.ones(2)
    made = [minidl.zeros(2, requires_grad=True), minidl.eye(2, requires_grad=True), minidl.rand(2, requires_grad=True)]
    made += [minidl.full((2,), 1.5, requires_grad=True), minidl.arange(2.0, requires_grad=True)]
    made += [minidl.linspace(0, 1, 3, requires_grad=True), minidl.zeros_like(x, requires_grad=True)]
    made += [x.new_ones(2, requires_grad=True), x.new_tensor([1], requires_grad=True)]
    assert all(y.requires_grad and y.is_leaf for y in made)
    with pytest.raises(RuntimeError, match="floating"):
        minidl.zeros(2, dtype=minidl.int64, requires_grad=True)


def test_detach_in_place_cuts_the_history() -> None:
    x = minidl.ones(2, requires_grad=True)
    y = x * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad
    (y * x).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_what_a_tensor_says_about_its_memory() -> None:
    x = minidl.zeros(2, 3)
    assert x.stride() == (3, 1) and x.stride(0) == 3 and x.T.stride() == (1, 3)
    assert x.is_contiguous() and not x.T.is_contiguous() and x.contiguous() is x
    assert x.T.contiguous().is_contiguous() and x.T.contiguous().tolist() == x.T.tolist()
    assert x.data_ptr() == x.array.ctypes.data == x.detach().data_ptr()
    assert (x.element_size(), x.is_cuda, x.type()) == (4, False, "float32")


@pytest.fixture
def printing() -> Iterator[None]:
    yield
    minidl.set_printoptions(profile="default")


def test_print_options_are_those_of_tensors_alone(printing: None) -> None:
    x = minidl.tensor([1 / 3, 2000.0])
    usual = repr(x)
    minidl.set_printoptions(precision=2)
    assert repr(minidl.tensor([1 / 3])) == "tensor([0.33])"
    minidl.set_printoptions(sci_mode=True)
    assert repr(x) == "tensor([3.33e-01, 2.00e+03])"
    minidl.set_printoptions(sci_mode=False, precision=3)
    assert "e" not in repr(minidl.tensor([1e-3, 1e4])).removeprefix("tensor")
    minidl.set_printoptions(threshold=5, edgeitems=1)
    assert repr(minidl.arange(10)) == "tensor([0, ..., 9])"
    assert repr(np.arange(10)) == "array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])"
    minidl.set_printoptions(profile="full")
    assert "..." not in repr(minidl.zeros(2000))
    minidl.set_printoptions(profile="default")
    assert repr(x) == usual and not backend.print_options
    with pytest.raises(ValueError, match="profile"):
        minidl.set_printoptions(profile="long")
