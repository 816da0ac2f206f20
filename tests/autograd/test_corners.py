"""Corners in which a gradient or a number could be silently wrong."""

import copy
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import minidl
from minidl import nn, optim
from minidl.nn import functional as F


@pytest.mark.parametrize("index", [[0, 1], [True, True, False]], ids=["numbers", "mask"])
def test_an_index_that_changes_after_its_use(index):
    x, where = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True), minidl.tensor(index)
    y = (x * x)[where]
    where[...] = minidl.tensor(index[::-1]) if index[0] is True else where + 1
    y.sum().backward()
    assert x.grad.tolist() == [2, 4, 0]


def test_a_trained_model_goes_on_in_another_process(tmp_path):
    model, x = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), minidl.rand(4, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        model(x).sum().backward()
        optimizer.step()
    (tmp_path / "model").write_bytes(pickle.dumps((model, x)))
    program = """
import pickle
model, x = pickle.load(open("model", "rb"))
model(x).sum().backward()
print(model[0].bias.grad.shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(Path(minidl.__file__).parents[1])},
    )  # fmt: skip
    assert done.stdout == "(3,)\n", done.stderr


def test_a_copy_on_the_same_memory_shares_its_changes():
    x = minidl.tensor([1.0, 2.0])
    other, w = copy.copy(x), minidl.ones(2, requires_grad=True)
    loss = (other * w).sum()
    x.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_computed_tensors_are_not_pickled():
    with pytest.raises(RuntimeError, match="only leaves"):
        pickle.dumps(minidl.ones(1, requires_grad=True) * 2)


def test_backward_of_an_empty_batch():
    layer = nn.Linear(3, 2)
    layer(minidl.zeros(0, 3)).sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0, 0], [0, 0, 0]] and layer.bias.grad.tolist() == [0, 0]


def test_small_probabilities_keep_their_digits():
    x = np.array([-1000.0, -88.0, -20.0, -10.0, 0.0, 10.0, 1000.0], np.float32)
    expected = torch.sigmoid(torch.tensor(x)).numpy()
    np.testing.assert_allclose(minidl.sigmoid(minidl.tensor(x)).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "tanh", "sigmoid", "sin"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_functions_of_small_whole_numbers_are_not_computed_in_half_precision(name, dtype):
    numbers = np.array([2, 12], dtype)
    expected = getattr(torch, name)(torch.tensor(numbers.astype(np.int64))).numpy()
    np.testing.assert_allclose(getattr(minidl, name)(minidl.tensor(numbers)).numpy(), expected, rtol=1e-6)


def test_a_single_number_is_a_view():
    x, y = minidl.zeros(3), minidl.zeros(2, 2)
    x[0].fill_(5)
    y[1, 1].fill_(7)
    assert x.tolist() == [5, 0, 0] and y.tolist() == [[0, 0], [0, 7]]


def test_a_block_without_recording_does_not_reach_into_another_thread():
    block, inside, leave = minidl.no_grad(), threading.Event(), threading.Event()

    def other():
        with block:
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    with block:
        leave.set()
        thread.join()
        assert not minidl.is_grad_enabled()
    assert minidl.is_grad_enabled()


def test_a_hook_may_write_into_its_gradient():
    a, b = minidl.ones(2, requires_grad=True), minidl.ones(2, requires_grad=True)
    upstream = minidl.ones(2)
    a.register_hook(lambda g: (g.mul_(2), None)[1])
    (a + b).backward(upstream)
    assert b.grad.tolist() == [1, 1] and upstream.tolist() == [1, 1]


def test_a_kept_gradient_is_that_of_the_new_value():
    x = minidl.tensor([1.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    y += 1
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3] and x.grad.tolist() == [6]


def test_an_op_without_rules_says_so():
    @minidl.autograd.op
    def half(xp, x):
        return x / 2

    assert half(minidl.ones(1)).tolist() == [0.5]
    with pytest.raises(RuntimeError, match=r"half has no derivative.*half\.vjps"):
        half(minidl.ones(1, requires_grad=True))


def test_an_error_is_not_its_own_cause():
    with pytest.raises(RuntimeError, match="300 out of bounds for uint8") as caught:
        minidl.tensor(np.ones(2, np.uint8)) + 300
    assert caught.value.__cause__ is not caught.value


@pytest.mark.parametrize(("p", "y"), [(0.0, 1.0), (1.0, 0.0), (1e-20, 1.0), (0.0, 0.0), (0.3, 1.0)])
def test_the_gradient_of_bce_at_its_bound(p, y):
    ours, theirs = minidl.tensor([p], requires_grad=True), torch.tensor([p], requires_grad=True)
    F.binary_cross_entropy(ours, minidl.tensor([y])).backward()
    torch.nn.functional.binary_cross_entropy(theirs, torch.tensor([y])).backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-6)


def test_the_largest_norm_does_not_lose_nan():
    a, b = minidl.ones(1, requires_grad=True), minidl.ones(1, requires_grad=True)
    a.grad, b.grad = minidl.tensor([1.0]), minidl.tensor([np.nan])
    with pytest.raises(RuntimeError, match="nan"):
        nn.utils.clip_grad_norm_([a, b], 1.0, float("inf"), error_if_nonfinite=True)


def test_a_negative_norm_is_refused():
    with pytest.raises(ValueError, match="max_norm must be 0 or larger, got -1"):
        nn.utils.clip_grad_norm_([minidl.ones(1, requires_grad=True)], -1.0)


def test_what_is_no_tensor_is_named():
    for wrong in ("words", [[1.0, 2.0]], None):
        with pytest.raises(TypeError, match=f"Linear: expected a Tensor, got {type(wrong).__name__}"):
            nn.Linear(2, 1)(wrong)
    with pytest.raises(TypeError, match="expected a Tensor as target, got list"):
        F.cross_entropy(minidl.zeros(1, 2), [1])
    with pytest.raises(TypeError, match=r"Tensor\(array\) wraps an array, got list"):
        minidl.Tensor([1, 2])
    with pytest.raises(TypeError, match=r"use model\.parameters\(\)"):
        optim.Adam(nn.Sequential(nn.Linear(1, 1)))


def test_a_fresh_state_replaces_what_was_remembered():
    w = minidl.ones(2, requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    fresh = optimizer.state_dict()
    for _ in range(2):
        w.grad = minidl.tensor([1.0, -1.0])
        optimizer.step()
    optimizer.load_state_dict(fresh)
    w.grad = minidl.tensor([2.0, 2.0])
    assert optimizer.preview(w)["m"].tolist() == pytest.approx([0.2, 0.2])


def test_a_convolution_of_many_blocks_equals_pytorch():
    x, w = np.random.default_rng(0).normal(size=(16, 16, 20, 30)), np.random.default_rng(1).normal(size=(8, 16, 3, 3))
    ours = [minidl.tensor(a, requires_grad=True) for a in (x, w)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w)]
    F.conv2d(*ours, padding=1).square().sum().backward()
    torch.nn.functional.conv2d(*theirs, padding=1).square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 2), (128, 784), (600, 1000)])  # where one product of NumPy's or another is quick
def test_the_gradient_of_a_weight_from_one_example_is_an_outer_product(shape, dtype):
    g, x = (np.random.default_rng(0).normal(size=(1, n)).astype(dtype) for n in shape)
    w = minidl.zeros(*shape, dtype=dtype, requires_grad=True)
    F.linear(minidl.tensor(x), w).backward(minidl.tensor(g))
    np.testing.assert_array_equal(w.grad.numpy(), g.T * x)
