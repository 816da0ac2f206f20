"""Changes in place: plain ones write to the memory, recorded ones give PyTorch's gradient or an error.

A wrong gradient without an error would be the worst of bugs: most of these tests are about that.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import Tensor, no_grad

Change = Callable[[Any], Any]


def set_item(x: Any, index: Any, value: Any) -> Any:
    x[index] = value
    return x


def augmented(name: str, other: Any) -> Change:
    return lambda x: getattr(x, f"__{name}__")(other)


CHANGES: list[Change] = [
    augmented("iadd", 1.5),
    augmented("isub", 1.5),
    augmented("imul", 3),
    augmented("itruediv", 2.0),
    lambda x: x.add_(2),
    lambda x: x.sub_(2.5),
    lambda x: x.div_(4),
    lambda x: x.add_(x),
    lambda x: x.clamp_(-0.5, 1.0),
    lambda x: x.clamp_(min=0.0),
    lambda x: x.zero_(),
    lambda x: x.fill_(7),
    lambda x: set_item(x, 0, 5.0),
    lambda x: set_item(x, slice(1, None), 5.0),
    lambda x: set_item(x, (..., 1), 2),
    lambda x: set_item(x, x > 0, 0.0),
    lambda x: set_item(x, [1, 0], 3.0),
]
CHANGES_BY_ITSELF: list[Change] = [  # what is stored was computed from the tensor that it is stored in
    lambda x: x.mul_(x * 1),
    lambda x: x.copy_(x * x),
    lambda x: set_item(x, (..., 1), x[..., 0] * 2),
    lambda x: set_item(x, [1, 0], x * 3),
    lambda x: set_item(x, (0, slice(None)), x[1] * x[0]),
]
each_change = pytest.mark.parametrize("change", CHANGES)
NUMBERS = np.array([[-1.0, 2.0], [0.25, -0.75]])


# -- nothing recorded


@pytest.mark.parametrize("change", CHANGES + CHANGES_BY_ITSELF)
def test_a_plain_tensor_changes_in_its_own_memory(change: Change) -> None:
    array = NUMBERS.copy()
    x, theirs = Tensor(array), torch.tensor(NUMBERS)
    assert change(x) is x and x.array is array
    np.testing.assert_array_equal(array, change(theirs).numpy())


@pytest.mark.parametrize("change", CHANGES + CHANGES_BY_ITSELF)
def test_a_leaf_changes_under_no_grad(change: Change) -> None:
    x, theirs = minidl.tensor(NUMBERS, requires_grad=True), torch.tensor(NUMBERS, requires_grad=True)
    array = x.array
    with no_grad(), torch.no_grad():
        assert change(x) is x
        change(theirs)
    assert x.array is array and x.is_leaf and x.requires_grad
    np.testing.assert_array_equal(array, theirs.detach().numpy())


@each_change
def test_a_leaf_that_requires_a_gradient_is_refused_and_stays(change: Change) -> None:
    x = minidl.tensor(NUMBERS, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"leaf.*no_grad"):
        change(x)
    np.testing.assert_array_equal(x.array, NUMBERS)
    assert x.is_leaf


def test_a_tensor_on_numpys_memory_stays_there() -> None:
    array = np.zeros((2, 3), np.float32)
    x = minidl.from_numpy(array)
    x += 1
    x[0, 1] = 7
    x[1].mul_(2)
    assert array.tolist() == [[1, 7, 1], [2, 2, 2]]


# -- recorded


@each_change
def test_a_computed_tensor_has_pytorchs_gradient(change: Change) -> None:
    results = []
    for make in (minidl.tensor, torch.tensor):
        x = make(NUMBERS, requires_grad=True)
        y = x * 2
        z = change(y)
        assert z is y
        (z * z * make(NUMBERS + 1)).sum().backward()
        results.append((y.detach().numpy(), x.grad.numpy()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-14)


@pytest.mark.parametrize("change", CHANGES_BY_ITSELF)
def test_a_computed_tensor_that_takes_what_was_computed_from_it_raises(change: Change) -> None:
    x = minidl.tensor(NUMBERS, requires_grad=True)
    y = x * 2
    with pytest.raises(RuntimeError, match=r"changed in place after .* used it|shares its memory"):
        change(y).sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    "store",
    [
        lambda x, w: x.add_(w),
        lambda x, w: x.copy_(w),
        lambda x, w: set_item(x, 0, w[1]),
        lambda x, w: set_item(x, (slice(None), 1), w[0] * 3),
        lambda x, w: set_item(set_item(x, 0, w[0]), 1, w[0]),
        lambda x, w: x.fill_(w[0, 0]),
        lambda x, w: x.mul_(w).add_(w).div_(w),
        lambda x, w: x.clamp_(w, w + 1),
        lambda x, w: x.copy_(w[0]),
    ],
)
def test_a_plain_tensor_takes_a_recorded_value(store: Any) -> None:
    found = []
    for make in (minidl.tensor, torch.tensor):
        x, w = make(NUMBERS), make(NUMBERS + 3, requires_grad=True)
        store(x, w)
        assert x.requires_grad
        (x * x).sum().backward()
        found.append((x.detach().numpy(), w.grad.numpy()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-14, atol=1e-14)


def test_losses_can_be_summed_up_in_a_zero() -> None:
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    total = minidl.zeros(())
    for n in range(1, 4):
        total += (w * n).sum()
    total.backward()
    assert total.item() == 18 and w.grad.tolist() == [6, 6]


def test_rows_can_be_filled_in_a_loop() -> None:
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    rows = minidl.zeros(3, 2)
    for n in range(3):
        rows[n] = w * n
    rows.sum().backward()
    assert w.grad.tolist() == [3, 3]


def test_second_derivatives_go_through_changes() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y *= x
    (slope,) = minidl.autograd.grad(y.sum(), x, create_graph=True)
    slope.sum().backward()
    assert slope.tolist() == [3, 12] and x.grad.tolist() == [6, 12]


def test_what_an_in_place_result_holds_is_freed() -> None:
    import gc
    import weakref

    gc.disable()
    try:
        x = minidl.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        y.clamp_(minidl.tensor([0.0, 0.0]), minidl.tensor([1.0, 1.0]))
        y += y
        alive = weakref.ref(y)
        del y
        assert alive() is None
    finally:
        gc.enable()


# -- the old value is needed


OLD_VALUE_NEEDED = {
    "after a product": lambda y, w: (y * w, y.mul_(2)),
    "after a square": lambda y, w: (y * y, y.add_(1)),
    "its own result": lambda y, w: (e := y.exp(), e.detach().add_(1)),
    "set an entry": lambda y, w: (y * w, set_item(y, 0, 0.0)),
    "zeroed": lambda y, w: (y * w, y.zero_()),
    "through detach": lambda y, w: (y * w, y.detach().add_(1)),
    "through data": lambda y, w: (y * w, y.data.zero_()),
    "through a view": lambda y, w: (y * w, y.detach()[0:1].zero_()),
    "through a transpose": lambda y, w: (y * w, y.detach().T.fill_(3)),
    "through a reshape": lambda y, w: (y * w, y.detach().reshape(2, 1).fill_(3)),
    "of which a view was used": lambda y, w: (y[0:1] * w, y.detach().add_(1)),
    "of which a part of a view was used": lambda y, w: (y[0:2][1:] * w, y.detach()[1:].zero_()),
    "a constant": lambda y, w: (y * (c := minidl.ones(2)), c.add_(1)),
    "a weight under no_grad": lambda y, w: (y * w, plain(w, lambda w: w.add_(1))),
    "marked by hand": lambda y, w: (y * w, w.mark_changed()),
}


def plain(x: Tensor, change: Change) -> None:
    with no_grad():
        change(x)


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("case", OLD_VALUE_NEEDED)
def test_a_changed_value_that_backward_needs_raises(case: str, retain: bool) -> None:
    x, w = minidl.tensor([1.0, 2.0], requires_grad=True), minidl.tensor([3.0, 4.0], requires_grad=True)
    y = x * 2
    used, _ = OLD_VALUE_NEEDED[case](y, w)
    with pytest.raises(
        RuntimeError, match=r"float32 \((1|2),\) was changed in place after (multiply|exp|take) used it"
    ):
        used.sum().backward(retain_graph=retain)
    assert x.grad is None and w.grad is None


def test_the_error_names_the_tensor() -> None:
    x, scale = minidl.tensor([1.0], requires_grad=True), minidl.tensor([2.0])
    scale.name = "scale"
    y = x * scale
    scale += 1
    with pytest.raises(RuntimeError, match=r"^scale float32 \(1,\) was changed in place after multiply"):
        y.backward()


def test_a_change_before_the_use_is_fine() -> None:
    x, c = minidl.tensor([1.0], requires_grad=True), minidl.ones(1)
    c += 1
    y = x * c
    y.backward()
    c += 1
    (x * c).backward()
    assert x.grad.tolist() == [5]


@pytest.mark.parametrize(
    "view", [lambda y: y[0:1], lambda y: y.T, lambda y: y.reshape(2, 1), lambda y: y.detach(), lambda y: y.data]
)
def test_a_recorded_change_of_something_with_views_is_refused(view: Any) -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    v = view(y)
    with pytest.raises(RuntimeError, match="shares its memory"):
        y += 1
    assert y.tolist() == [2, 4]
    if v.requires_grad:
        with pytest.raises(RuntimeError, match="shares its memory"):
            v *= 2


# -- what fits


@pytest.mark.parametrize(
    ("x", "change"),
    [
        (minidl.tensor([1, 2]), augmented("iadd", 0.5)),
        (minidl.tensor([1, 2]), augmented("itruediv", 2)),
        (minidl.tensor([1, 2]), lambda x: x.mul_(minidl.tensor([0.5, 0.5]))),
        (minidl.tensor([True]), augmented("iadd", 1)),
        (minidl.ones(2), lambda x: x.add_(minidl.ones(3, 2))),
        (minidl.ones(2), lambda x: x.add_(minidl.ones(3))),
        (minidl.ones(2), lambda x: set_item(x, slice(0, 2), minidl.ones(3))),
        (minidl.ones(2), lambda x: x.copy_(minidl.ones(3))),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(x: Tensor, change: Change) -> None:
    before = x.tolist()
    with pytest.raises(RuntimeError):
        change(x)
    assert x.tolist() == before


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_change_keeps_the_dtype(requires_grad: bool) -> None:
    w = minidl.tensor([1.0, 2.0], requires_grad=requires_grad)
    x = w * 1
    x += minidl.tensor([0.5, 0.5], dtype=np.float64)
    x *= np.float64(2)
    x[0] = np.float64(9)
    x.copy_(minidl.tensor([9.0, 5.0], dtype=np.float64))
    assert x.dtype == np.float32 and x.tolist() == [9, 5]
    if requires_grad:
        x.sum().backward()
        assert w.grad.tolist() == [0, 0] and w.grad.dtype == np.float32


def test_whole_numbers_take_whole_numbers() -> None:
    x = minidl.tensor([1, 2])
    x += 3
    x[0] = True
    x.copy_(minidl.tensor([7.9, 8.1]))  # PyTorch's copy_ and item assignment cut off, too
    assert x.tolist() == [7, 8] and x.dtype == np.int64


@pytest.mark.parametrize("index", [5, (0, 0), [3], -4, minidl.tensor([9])], ids=repr)
def test_an_index_out_of_range_is_an_index_error(index: Any) -> None:
    for x in (minidl.ones(3), minidl.ones(3, requires_grad=True) * 1):
        with pytest.raises(IndexError):
            x[index] = 0.0
