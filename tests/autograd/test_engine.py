"""The backward pass: what it adds where, what it frees, what it refuses, and that it leaves nothing behind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.autograd import Tensor, grad, op


def leaf(*numbers: float, dtype: Any = np.float64) -> Tensor:
    return minidl.tensor(list(numbers), dtype=dtype, requires_grad=True)


# -- where gradients go


def test_gradients_add_up_until_they_are_cleared() -> None:
    x = leaf(1, 2)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [5, 7]
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (lambda x: x + x, 2),
        (lambda x: x * x * x, 12),
        (lambda x: (x * 2) * (x * 2), 16),  # a diamond
        (lambda x: (y := x * x) * y + y, 36),  # one part in two places
        (lambda x: x - x, 0),
        (lambda x: minidl.cat([x, x, x]).sum(), 3),
    ],
)
def test_every_path_counts(function: Callable[[Tensor], Tensor], slope: float) -> None:
    x = leaf(2)
    function(x).backward(np.ones(function(x).shape))
    assert x.grad.tolist() == [slope]


def test_a_shared_part_is_gone_through_once() -> None:
    calls = []

    @op
    def watched(xp, x):
        return x * 2

    watched.vjps(lambda g, out, x: calls.append(1) or g * 2)

    x = leaf(1)
    y = watched(x)
    for _ in range(20):
        y = y + y
    y.backward()
    assert x.grad.tolist() == [2.0**21] and len(calls) == 1


def test_the_rule_of_an_input_that_needs_no_gradient_is_not_called() -> None:
    called = []

    @op
    def product(xp, x, y):
        return x * y

    product.vjps(lambda g, out, x, y: called.append("x") or g * y,
                 lambda g, out, x, y: called.append("y") or g * x)  # fmt: skip

    product(leaf(1), minidl.ones(1)).backward()
    product(minidl.ones(1), leaf(1)).backward()
    product(leaf(1), 3.0).backward()
    assert called == ["x", "y", "x"]


def test_a_leaf_without_requires_grad_gets_none() -> None:
    x, y = leaf(1), minidl.tensor([2.0])
    (x * y).backward()
    assert y.grad is None and x.grad.tolist() == [2]


def test_a_computed_tensor_keeps_no_gradient() -> None:
    x = leaf(1)
    y = x * 2
    y.backward()
    assert y.grad is None and x.grad is not None


def test_the_gradient_argument_weights_the_outputs() -> None:
    for gradient in (minidl.tensor([1.0, 10.0]), np.array([1, 10]), [1.0, 10.0]):
        x = leaf(1, 2)
        (x * x).backward(gradient)
        assert x.grad.tolist() == [2, 40] and x.grad.dtype == np.float64


def test_a_leaf_can_be_the_root() -> None:
    x = leaf(1, 2)
    x.backward(minidl.tensor([3.0, 4.0]))
    assert x.grad.tolist() == [3, 4] and x.grad.dtype == np.float64


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda x: (x * 2).backward(), r"one element only.*\(2,\)"),
        (lambda x: (x * 2).backward(np.ones(3)), r"\(3,\).*\(2,\)"),
        (lambda x: (x * 2).backward(1.0), r"\(\).*\(2,\)"),
        (lambda x: x.detach().sum().backward(), "requires_grad=True"),
        (lambda x: (x > 0).all().backward(), "does not require a gradient"),
    ],
)
def test_what_backward_refuses_changes_nothing(backward: Callable[[Tensor], None], message: str) -> None:
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match=message):
        backward(x)
    assert x.grad is None


# -- gradients of gradients


def test_three_derivatives_of_a_power() -> None:
    x = leaf(2)
    found = [x**4]
    for _ in range(3):
        found += grad(found[-1], x, create_graph=True)
    assert [y.tolist() for y in found] == [[16], [32], [48], [48]]


def test_create_graph_records_even_under_no_grad() -> None:
    x = leaf(2)
    y = x**3
    with minidl.no_grad():
        (slope,) = grad(y, x, create_graph=True)
    assert grad(slope, x)[0].tolist() == [12]


def test_without_create_graph_a_gradient_has_no_history() -> None:
    x = leaf(2)
    (slope,) = grad(x**3, x)
    assert not slope.requires_grad
    (x**3).backward()
    assert not x.grad.requires_grad


def test_a_penalty_on_the_gradient_reaches_the_leaf() -> None:
    x = leaf(1, 2)
    (x**3).sum().backward(create_graph=True)
    (x.grad * x.grad).sum().backward()  # d/dx of 9 x^4 is 36 x^3, added to 3 x^2
    assert x.grad.tolist() == [3 + 36, 12 + 288]


# -- autograd.grad


def test_grad_of_several_outputs_at_several_inputs() -> None:
    x, y = leaf(1, 2), leaf(3, 4)
    assert [g.tolist() for g in grad([(x * y).sum(), (x * x).sum()], [x, y])] == [[5, 8], [1, 2]]
    weighted = grad([x * y, x], [x], [minidl.tensor([1.0, 0.0]), minidl.tensor([10.0, 20.0])])
    assert weighted[0].tolist() == [13, 20]
    assert x.grad is None and y.grad is None


def test_grad_of_the_same_output_twice_is_twice_the_gradient() -> None:
    x = leaf(3)
    y = x * x
    assert grad([y, y], x)[0].tolist() == [12]


def test_grad_at_a_computed_tensor_and_at_an_output() -> None:
    x = leaf(3)
    y = x * 2
    z = y * y
    assert [g.tolist() for g in grad(z, [y, x, z])] == [[12], [24], [1]]
    assert grad(x, x)[0].tolist() == [1]


def test_grad_at_something_unused() -> None:
    x, other = leaf(1), leaf(1)
    with pytest.raises(RuntimeError, match="allow_unused"):
        grad(x * 2, [x, other])
    assert grad(x * 2, [other, x], allow_unused=True)[0] is None


def test_grad_at_something_without_gradient() -> None:
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        grad(leaf(1) * 2, minidl.ones(1))


# -- hooks


def test_a_hook_sees_and_replaces_the_gradient() -> None:
    x, seen = leaf(1, 2), []
    y = x * 3
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: g + 1)
    (y * 1).sum().backward()
    assert seen == [[1, 1], [10, 10]]
    assert x.grad.tolist() == [31, 31]


def test_a_hook_sees_the_whole_sum_once() -> None:
    x, seen = leaf(1), []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * x + x).backward()
    assert seen == [[3]]


def test_a_removed_hook_is_silent() -> None:
    x, seen = leaf(1), []
    handles = [x.register_hook(lambda g, n=n: seen.append(n)) for n in range(3)]
    handles[1].remove()
    handles[1].remove()
    x.backward()
    assert seen == [0, 2]


def test_hooks_run_for_autograd_grad_and_with_a_graph() -> None:
    x = leaf(2)
    y = x * x
    y.register_hook(lambda g: g * x)
    (slope,) = grad(y, x, create_graph=True)  # 2 x · x
    assert slope.tolist() == [8] and grad(slope, x)[0].tolist() == [8]


@pytest.mark.parametrize("answer", [np.ones(2), 1.0, minidl.ones(1), minidl.ones(2, dtype=minidl.float32)], ids=repr)
def test_a_hook_must_give_a_gradient_of_the_same_kind(answer: Any) -> None:
    x = leaf(1, 2)
    x.register_hook(lambda g: answer)
    with pytest.raises(RuntimeError, match=r"a hook must return None or a tensor float64 \(2,\)"):
        x.sum().backward()
    assert x.grad is None


def test_a_hook_needs_a_tensor_that_gets_a_gradient() -> None:
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        minidl.ones(1).register_hook(print)


def test_retain_grad_keeps_and_adds_up() -> None:
    x = leaf(1)
    y = x * 2
    y.retain_grad()
    x.retain_grad()  # a leaf does so anyway
    z = y * 5
    z.backward(retain_graph=True)
    z.backward()
    assert (y.grad.tolist(), x.grad.tolist(), z.grad) == ([10], [20], None)


# -- every gradient has memory of its own


SHARING = [
    lambda x, y: x + y,
    lambda x, y: x - (-y),
    lambda x, y: x.reshape(2, 1).reshape(2) + y,
    lambda x, y: minidl.cat([x, y]).reshape(2, 2).sum(0),
    lambda x, y: x.expand(3, 2).sum(0) + y.clone(),
    lambda x, y: (x.sum() + y.sum()).expand(2),
    lambda x, y: minidl.where(x > 0, x, y) + x.T + y,
]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("function", SHARING)
def test_writing_to_a_gradient_changes_no_other(function: Any, create_graph: bool) -> None:
    x, y, given = leaf(1, 2), leaf(3, 4), minidl.tensor([5.0, 6.0], dtype=np.float64)
    z = function(x, y)
    z.retain_grad()
    seen: list[Tensor] = []
    x.register_hook(seen.append)
    z.register_hook(seen.append)
    z.backward(given, create_graph=create_graph)
    others = [y.grad, z.grad, given, *seen]
    before = [t.tolist() for t in others]
    with minidl.no_grad():
        x.grad.zero_()
        x.grad.add_(7.0).mul_(2.0)
        x.grad[0] = -1
    assert [t.tolist() for t in others] == before


@pytest.mark.parametrize("function", [lambda x: x.sum(), lambda x: x.mean(), lambda x: x.expand(2, 2).sum()])
def test_a_gradient_can_be_written_to(function: Any) -> None:
    x = leaf(1, 2)
    function(x).backward()
    x.grad[0] = 9.0
    assert x.grad.array.flags.writeable and x.grad.tolist()[0] == 9 != x.grad.tolist()[1]


def test_a_gradient_keeps_no_larger_array_alive() -> None:
    x = leaf(1, 2)
    minidl.cat([x, minidl.zeros(1000)]).square().sum().backward()
    array = x.grad.array
    assert (array if array.base is None else array.base).size == 2


def test_one_array_given_to_two_roots_stays_as_it_is() -> None:
    given = np.array([1.0, 2.0])
    x, y = leaf(1, 2), leaf(3, 4)
    for z in (x, y):
        z.backward(given)
        z.grad.mul_(3)
    assert given.tolist() == [1, 2] and y.grad.tolist() == [3, 6]


# -- ops of one's own


def test_an_op_of_ones_own_is_differentiated_to_any_order() -> None:
    @op
    def cube(xp, x, *, scale):
        return scale * x * x * x

    cube.vjps(lambda g, out, x, scale: g * 3 * scale * x * x)

    x = leaf(1, 2)
    assert minidl.autograd.gradcheck(lambda x: cube(x, scale=2), x)
    assert minidl.autograd.gradgradcheck(lambda x: cube(x, scale=2), x)
    assert cube(np.array([2.0]), scale=1).tolist() == [8]  # on arrays alone it is a function on arrays


def test_an_op_with_one_rule_for_every_input() -> None:
    @op
    def total(xp, *arrays):
        return sum(arrays)

    total.vjps(every=lambda i, g, out, *arrays: g * (i + 1))

    x = [leaf(1), leaf(2), leaf(3)]
    total(*x).backward()
    assert [t.grad.tolist() for t in x] == [[1], [2], [3]]


@pytest.mark.parametrize("wrong", [lambda g: g.sum(), lambda g: g[:2], lambda g: g[:1], lambda g: g.reshape(3, 1)])
def test_a_rule_that_gives_the_wrong_shape_is_named(wrong: Any) -> None:
    @op
    def identity(xp, x):
        return x * 1

    identity.vjps(lambda g, out, x: wrong(g))

    with pytest.raises(RuntimeError, match=r"a rule of identity gave a gradient of shape .* of shape \(3,\)"):
        identity(leaf(1, 2, 3)).sum().backward()


@pytest.mark.parametrize("rules", [(), (None,), (None, None, None)])
def test_an_op_needs_a_rule_for_each_input(rules: Any) -> None:
    @op
    def product(xp, x, y): return x * y  # fmt: skip

    with pytest.raises(TypeError, match=f"product has 2 array inputs.*got {len(rules)}"):
        product.vjps(*rules)


def test_an_error_inside_an_op_names_it_and_its_inputs() -> None:
    @op
    def picky(xp, x, y): raise ValueError("no")  # fmt: skip

    x = leaf(1)
    x.name = "weight"
    with pytest.raises(RuntimeError, match=r"picky: no; got weight float64 \(1,\), 2"):
        picky(x, 2)
