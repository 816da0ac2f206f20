"""The tensor as a Python object, and the switch that turns recording on and off."""

import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import Tensor
from minidl.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

# -- making one


@pytest.mark.parametrize(
    ("data", "dtype", "value"),
    [
        (1.5, np.float32, 1.5),
        (2, np.int64, 2),
        (True, np.bool, True),
        ([1, 2.5], np.float32, [1, 2.5]),
        ([[1, 2], [3, 4]], np.int64, [[1, 2], [3, 4]]),
        ((1.0, (2.0)), np.float32, [1, 2]),
        (range(3), np.int64, [0, 1, 2]),
        ([True, 2], np.int64, [1, 2]),
        ([], np.float32, []),
        ([[], []], np.float32, [[], []]),
        (np.float64(0.5), np.float64, 0.5),
        (np.int32(7), np.int32, 7),
        (np.array([1.0, 2.0]), np.float64, [1, 2]),
        (np.array([1, 2], np.uint8), np.uint8, [1, 2]),
        (np.ones((2, 2), np.float16)[:, ::2], np.float16, [[1], [1]]),
        (torch.ones(2, dtype=torch.float64), np.float64, [1, 1]),
        (torch.tensor([1, 2], dtype=torch.int32), np.int32, [1, 2]),
        (minidl.tensor([1.0], dtype=np.float64), np.float64, [1]),
        ([minidl.tensor(1.0), minidl.tensor(2.0)], np.float32, [1, 2]),
        ([np.arange(2), np.arange(2)], np.int64, [[0, 1], [0, 1]]),
        (np.ma.array([1.0]), np.float64, [1]),
    ],
    ids=repr,
)
def test_a_tensor_of_anything_with_numbers(data: Any, dtype: Any, value: Any) -> None:
    x = minidl.tensor(data)
    assert (x.dtype, x.tolist()) == (dtype, value)
    assert type(x.array) is np.ndarray and not x.requires_grad and x.is_leaf


@pytest.mark.parametrize("dtype", [np.float64, "float64", float, minidl.float64, minidl.double])
def test_the_dtype_can_be_given(dtype: Any) -> None:
    assert minidl.tensor([1, 2], dtype=dtype).dtype == np.float64


@pytest.mark.parametrize(
    "data",
    ["abc", None, 1j, [1, "2"], {1: 2}, object(), [None], b"1", np.array(["a"]), {1, 2}, (i for i in range(3))],
    ids=lambda data: type(data).__name__,
)
def test_what_holds_no_numbers_is_a_type_error(data: Any) -> None:
    with pytest.raises(TypeError, match=r"a tensor holds real numbers or booleans, not .*from"):
        minidl.tensor(data)


def test_lists_of_unequal_length_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="lists of equal length, got"):
        minidl.tensor([[1.0, 2.0], [3.0]])


def test_tensor_copies_and_wrapping_does_not() -> None:
    array = np.zeros(2)
    copied, wrapped, from_numpy = minidl.tensor(array), Tensor(array), minidl.from_numpy(array)
    array[0] = 1
    assert (copied.tolist(), wrapped.tolist(), from_numpy.tolist()) == ([0, 0], [1, 0], [1, 0])
    with pytest.raises(TypeError, match="list"):
        minidl.from_numpy([1.0])


@pytest.mark.parametrize("data", [1, [True], np.arange(3)])
def test_only_floats_can_require_a_gradient(data: Any) -> None:
    with pytest.raises(RuntimeError, match="only floating-point"):
        minidl.tensor(data, requires_grad=True)
    with pytest.raises(RuntimeError, match="only floating-point"):
        minidl.tensor(data).requires_grad = True


def test_requires_grad_can_be_set_on_a_leaf_only() -> None:
    x = minidl.ones(2)
    assert x.requires_grad_() is x and x.requires_grad and x.is_leaf
    y = x * 2
    assert y.requires_grad and not y.is_leaf
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False
    assert not x.requires_grad_(False).requires_grad


# -- Python's view of it


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (minidl.tensor(1.5), "tensor(1.5)"),
        (minidl.tensor([1, 2]), "tensor([1, 2])"),
        (minidl.tensor([True]), "tensor([ True])"),
        (minidl.tensor([1.0], dtype=np.float64), "tensor([1.], dtype=float64)"),
        (minidl.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (minidl.tensor([1.0], requires_grad=True) * 2, "tensor([2.], op=multiply)"),
        (minidl.zeros(0, 3), "tensor([])"),
        (minidl.tensor([[1.0, 2.0], [3.0, 4.0]]), "tensor([[1., 2.],\n        [3., 4.]])"),
    ],
)
def test_its_text(x: Tensor, text: str) -> None:
    assert repr(x) == str(x) == f"{x}" == text


def test_a_number_formats_as_a_number() -> None:
    assert f"{minidl.tensor(3.14159):.2f} {minidl.tensor([7]):03d}" == "3.14 007"
    with pytest.raises(RuntimeError, match="exactly one"):
        f"{minidl.ones(2):.2f}"


def test_conversions_to_python_numbers() -> None:
    assert (float(minidl.tensor(1.5)), int(minidl.tensor([[2.7]])), bool(minidl.tensor(0.0))) == (1.5, 2, False)
    assert type(minidl.tensor(1.5).item()) is float and type(minidl.tensor(1).item()) is int
    assert [10, 20, 30][minidl.tensor(1)] == 20 and list(range(minidl.tensor(2))) == [0, 1]
    assert float(minidl.tensor(1.5, requires_grad=True) * 2) == 3


@pytest.mark.parametrize(
    ("convert", "error"),
    [
        (lambda x: x.item(), RuntimeError),
        (float, ValueError),
        (int, ValueError),
        (bool, RuntimeError),
        (lambda x: [1, 2][x], TypeError),
        (lambda x: [1, 2][x[0]], TypeError),
        (lambda x: len(x[0]), TypeError),
        (lambda x: list(x[0]), TypeError),
        (hash, None),
    ],
)
def test_what_is_not_one_number_is_refused(convert: Any, error: Any) -> None:
    x = minidl.ones(2)
    if error is None:
        convert(x)
        return
    with pytest.raises(error):
        convert(x)
    if convert in (float, int, bool):
        with pytest.raises(error):
            convert(minidl.zeros(0))


def test_it_is_a_sequence_of_its_rows() -> None:
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    assert len(x) == 2 and [row.tolist() for row in reversed(x)] == [[3, 4], [1, 2]]
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3, 4], [1, 2]]
    assert 3.0 in x and 5.0 not in x


def test_equality_compares_numbers_but_lists_and_dictionaries_find_the_tensor() -> None:
    x, y = minidl.ones(2), minidl.ones(2)
    assert (x == y).tolist() == [True, True] and (x != 2).tolist() == [True, True]
    assert (x == None) is False and (x != None) is True and (x == "x") is False  # noqa: E711
    assert x in [x, y] and {x: 1, y: 2}[y] == 2 and len({x, y, x}) == 2
    assert hash(x) == hash(x) != hash(y)


def test_sizes() -> None:
    x = minidl.zeros(2, 3)
    assert (x.shape, x.size(), x.size(-1), x.ndim, x.dim(), x.numel()) == ((2, 3), (2, 3), 3, 2, 2, 6)
    with pytest.raises(IndexError):
        x.size(2)


# -- to and from others


def test_numpy_is_the_array_itself_but_not_out_of_a_graph() -> None:
    x = minidl.ones(2)
    assert x.numpy() is x.array
    assert np.asarray(x) is x.array and np.array(x) is not x.array and np.asarray(x, np.float64).dtype == np.float64
    x.requires_grad = True
    for convert in (lambda: x.numpy(), lambda: np.asarray(x), lambda: (x * 2).numpy()):
        with pytest.raises(RuntimeError, match=r"detach\(\)"):
            convert()
    assert x.detach().numpy() is x.array


def test_memory_is_shared_with_pytorch_both_ways() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    there = torch.from_dlpack(x)
    there[0] = 7
    assert x.tolist() == [7, 2]
    back = minidl.from_numpy(there.numpy())
    back[1] = 8
    assert x.tolist() == [7, 8] and np.from_dlpack(x).tolist() == [7, 8]


@pytest.mark.parametrize("array", [np.array([1.0, 2.0]), np.array([[3.0], [4.0]]), np.float64(5)], ids=repr)
def test_an_array_on_the_left_gives_a_tensor(array: Any) -> None:
    x = minidl.tensor([1.0, 2.0], dtype=np.float64, requires_grad=True)
    for y, expected in [
        (array + x, array + x.array),
        (array - x, array - x.array),
        (array * x, array * x.array),
        (array / x, array / x.array),
        (array**x, array**x.array),
        (array // x, array // x.array),
        (array % x, array % x.array),
        (array < x, array < x.array),
        (array == x, array == x.array),
    ]:
        assert type(y) is Tensor
        np.testing.assert_array_equal(y.detach().numpy(), expected)
    assert type(np.ones((2, 2)) @ x) is Tensor


def test_a_deep_copy_is_a_leaf_on_its_own() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    x.name = "weight"
    (x * x).sum().backward()
    first, second = copy.deepcopy([x, x])
    assert first is second and (first.name, first.requires_grad) == ("weight", True)
    first.array[0], first.grad.array[0] = 9, 9
    assert x.tolist() == [1, 2] and x.grad.tolist() == [2, 4]
    with pytest.raises(RuntimeError, match=r"detach\(\) or clone\(\)"):
        copy.deepcopy(x * 2)


def test_a_leaf_can_be_pickled() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    y = pickle.loads(pickle.dumps(x))
    assert (y.tolist(), y.grad.tolist(), y.requires_grad, y.is_leaf) == ([1, 2], [2, 4], True, True)
    (y * 2).sum().backward()
    assert y.grad.tolist() == [4, 6] and y.dtype == np.float32 and (y * 2.0).dtype == np.float32


@pytest.mark.parametrize(
    ("change", "dtype"),
    [
        (lambda x: x.to(minidl.float64), np.float64),
        (lambda x: x.to("float16"), np.float16),
        (lambda x: x.to(minidl.ones(1, dtype=np.float64)), np.float64),
        (lambda x: x.to("cpu", minidl.int32), np.int32),
        (lambda x: x.to(device="cpu", dtype=np.uint8), np.uint8),
        (lambda x: x.double(), np.float64),
        (lambda x: x.long(), np.int64),
        (lambda x: x.int(), np.int32),
        (lambda x: x.bool(), np.bool),
        (lambda x: x.astype(np.float64), np.float64),
    ],
)
def test_changes_of_dtype(change: Any, dtype: Any) -> None:
    x = minidl.tensor([1.7, 0.0], requires_grad=True)
    y = change(x)
    assert y.dtype == dtype and y.tolist() == x.array.astype(dtype).tolist()
    assert y.requires_grad == (y.dtype.kind == "f")  # whole numbers have no derivative
    if y.requires_grad:
        y.sum().backward()
        assert x.grad.dtype == np.float32 and x.grad.tolist() == [1, 1]


def test_a_change_to_what_it_is_already_is_none() -> None:
    x = minidl.ones(2)
    assert x.to("cpu") is x.to(minidl.float32) is x.float() is x.cpu() is x.to(x) is x
    with pytest.raises((TypeError, RuntimeError)):
        x.to("nowhere")


def test_detach_data_and_clone() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    for y in (x.detach(), x.data, (x * 1).detach()):
        assert y.is_leaf and not y.requires_grad
    assert x.detach().array is x.data.array is x.array
    y = x.clone()
    assert y.array is not x.array and y.requires_grad and not y.is_leaf
    x.data = minidl.tensor([5.0, 6.0])
    x.data -= 1
    assert x.tolist() == [4, 5] and x.requires_grad and x.is_leaf


# -- recording or not


def doubled_records() -> bool:
    return (minidl.ones(1, requires_grad=True) * 2).requires_grad


def test_no_grad_and_enable_grad_as_contexts() -> None:
    with no_grad():
        assert not doubled_records() and not is_grad_enabled()
        with enable_grad():
            assert doubled_records()
            with set_grad_enabled(False):
                assert not doubled_records()
            assert doubled_records()
        assert not doubled_records()
    assert doubled_records()


def test_an_error_inside_turns_recording_on_again() -> None:
    for context in (no_grad, lambda: set_grad_enabled(False)):
        with pytest.raises(KeyError), context():
            raise KeyError
        assert is_grad_enabled()


@pytest.mark.parametrize("decorator", [no_grad, lambda: set_grad_enabled(False)])
def test_decorators_hold_for_the_calls_only(decorator: Any) -> None:
    @decorator()
    def records(depth: int) -> list[bool]:
        """Whether each depth of the recursion records, on the way in and on the way out."""
        before = doubled_records()
        return [before, *(records(depth - 1) if depth else []), doubled_records()]

    assert is_grad_enabled()
    assert records(3) == [False] * 8
    assert is_grad_enabled() and records.__doc__


def test_one_context_can_be_entered_again_inside_itself() -> None:
    context = no_grad()
    with context:
        with context, enable_grad():
            pass
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_set_grad_enabled_as_a_function() -> None:
    try:
        set_grad_enabled(False)
        assert not doubled_records()
    finally:
        set_grad_enabled(True)
    assert doubled_records()


def test_each_thread_has_its_own_switch() -> None:
    """Two threads are inside one decorated function at once, and leave it in the order in which they came."""
    inside, left = threading.Barrier(2, timeout=10), threading.Event()
    found: dict[str, list[bool]] = {}

    @enable_grad()
    def meet(name: str) -> None:
        inside.wait()
        if name == "second":
            left.wait(10)

    def work(name: str) -> None:
        found[name] = [is_grad_enabled()]
        set_grad_enabled(name == "second")
        meet(name)
        left.set()
        found[name].append(is_grad_enabled())

    with no_grad():
        threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "second")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {"first": [True, False], "second": [True, True]}
