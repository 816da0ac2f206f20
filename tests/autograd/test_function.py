"""Function, the custom operation in PyTorch's form: the same programs give the same numbers on both sides."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import Tensor
from minidl.autograd import Function, detect_anomaly, grad, gradcheck, gradgradcheck
from minidl.autograd.function import once_differentiable

BOTH = (minidl, torch)
both = pytest.mark.parametrize("torch_", BOTH, ids=["minidl", "torch"])


def leaf(*numbers: float) -> Tensor:
    return minidl.tensor(list(numbers), dtype=np.float64, requires_grad=True)


def product_of(torch_: Any, backward: Any = None, outputs: int = 1) -> Any:
    """x · y · n (and x + y) as a Function of minidl or of PyTorch."""

    class Product(torch_.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, n):
            ctx.save_for_backward(x, y)
            ctx.n = n
            return x * y * n if outputs == 1 else (x * y * n, x + y)

        @staticmethod
        def backward(ctx, *g):
            if backward is not None:
                return backward(ctx, *g)
            x, y = ctx.saved_tensors
            more = g[1] if outputs == 2 else 0
            return g[0] * y * ctx.n + more, g[0] * x * ctx.n + more, None

    return Product


class Exp(Function):
    """exp, whose derivative is its output."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Split(Function):
    """exp and sin of a tensor, and where it is positive."""

    @staticmethod
    def forward(ctx, x):
        y, z = x.exp(), x.sin()
        ctx.save_for_backward(x, y, z)
        return y, z, x > 0

    @staticmethod
    def backward(ctx, gy, gz, _):
        x, y, z = ctx.saved_tensors
        return gy * y * 1 + gz * x.cos() + 0 * z


# -- the forms of PyTorch


@both
def test_gradients_of_one_and_of_several_outputs(torch_: Any) -> None:
    for outputs in (1, 2):
        x, y = (torch_.tensor(v, requires_grad=True) for v in ([1.0, 2.0], [3.0, 4.0]))
        result = product_of(torch_, outputs=outputs).apply(x, y, 2)
        total = result.sum() if outputs == 1 else (result[0] * 10 + result[1]).sum()
        total.backward()
        expected = {1: ([6, 8], [2, 4]), 2: ([61, 81], [21, 41])}[outputs]
        assert (x.grad.tolist(), y.grad.tolist()) == expected


@both
def test_setup_context_sees_all_arguments(torch_: Any) -> None:
    class Power(torch_.autograd.Function):
        @staticmethod
        def forward(x, n=3):
            return x**n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.n = inputs
            ctx.save_for_backward(x)
            assert not output.requires_grad

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ctx.n * x ** (ctx.n - 1), None

    for arguments, options, slope in (((), {}, 12), ((2,), {}, 4), ((), {"n": 4}, 32)):
        x = torch_.tensor([2.0], requires_grad=True)
        Power.apply(x, *arguments, **options).backward()
        assert x.grad.tolist() == [slope]


@both
def test_what_the_context_knows(torch_: Any) -> None:
    seen = []

    class Look(torch_.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, word):
            seen.append((ctx.needs_input_grad, torch_.is_grad_enabled(), x.requires_grad, word))
            return x + y

        @staticmethod
        def backward(ctx, g):
            seen.append((ctx.needs_input_grad, torch_.is_grad_enabled(), g.requires_grad))
            return g, None, None

    Look.apply(torch_.ones(1, requires_grad=True), torch_.ones(1), "word").backward()
    needed = (True, False, False)
    assert seen == [(needed, False, True, "word"), (needed, False, False)]


@both
@pytest.mark.parametrize("materialize", [True, False])
def test_an_output_without_gradient(torch_: Any, materialize: bool) -> None:
    seen = []

    class Two(torch_.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            return x * 2, x * 3, 7, None

        @staticmethod
        def backward(ctx, *gradients):
            seen.append([g if g is None else g.tolist() for g in gradients])
            return gradients[0] * 2

    x = torch_.tensor([1.0, 2.0], requires_grad=True)
    y, _, seven, nothing = Two.apply(x)
    y.sum().backward()
    assert seen == [[[1, 1], [0, 0] if materialize else None, None, None]] and (seven, nothing) == (7, None)


@both
def test_outputs_that_require_no_gradient(torch_: Any) -> None:
    class Sorted(torch_.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            largest, place, half = x * 1, x > 1, x / 2
            ctx.mark_non_differentiable(half)
            return largest, place, half

        @staticmethod
        def backward(ctx, g, *others):
            assert [other.tolist() for other in others] == [[0, 0], [0, 0]]
            return g

    x = torch_.tensor([1.0, 2.0], requires_grad=True)
    outputs = Sorted.apply(x)
    assert [y.requires_grad for y in outputs] == [True, False, False]
    (outputs[0] * outputs[2]).sum().backward()
    assert x.grad.tolist() == [0.5, 1]


@both
def test_nothing_is_recorded_where_no_gradient_is_needed(torch_: Any) -> None:
    function = product_of(torch_)
    assert not function.apply(torch_.ones(1), torch_.ones(1), 2).requires_grad
    with torch_.no_grad():
        assert not function.apply(torch_.ones(1, requires_grad=True), torch_.ones(1), 2).requires_grad
    assert function.apply(torch_.ones(1, requires_grad=True), torch_.ones(1), 2).requires_grad


@both
def test_a_none_leaves_the_input_without_gradient(torch_: Any) -> None:
    x, y = torch_.ones(1, requires_grad=True), torch_.ones(1, requires_grad=True)
    product_of(torch_, lambda ctx, g: (None, g, None, None)).apply(x, y, 2).backward()
    assert x.grad is None and y.grad.tolist() == [1]


@both
@pytest.mark.parametrize(
    "backward",
    [
        lambda ctx, g: g,
        lambda ctx, g: (g, g),
        lambda ctx, g: [g, g, None],
        lambda ctx, g: (g, g, g),
        lambda ctx, g: (g, g, None, g),
        lambda ctx, g: (1.0, g, None),
        lambda ctx, g: (g[:1], g, None),
        lambda ctx, g: (g.reshape(1, 2, 1).expand(1, 2, 3), g, None),
    ],
)
def test_gradients_that_do_not_fit_are_refused(torch_: Any, backward: Any) -> None:
    x, y = torch_.ones(2, requires_grad=True), torch_.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Product" if torch_ is minidl else "Product|expected Variable"):
        product_of(torch_, backward).apply(x, y, 2).sum().backward()
    assert x.grad is None and y.grad is None


@both
def test_misuse(torch_: Any) -> None:
    class Wrong(torch_.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x * 1

    class Half(torch_.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x / 2

    assert Half.apply(torch_.ones(1)).tolist() == [0.5]
    with pytest.raises(RuntimeError, match="backward"):
        Half.apply(torch_.ones(1, requires_grad=True)).backward()
    with pytest.raises(TypeError, match="save_for_backward"):
        Wrong.apply(torch_.ones(1, requires_grad=True))


# -- in the graph


def test_it_is_one_op_on_the_graph() -> None:
    x = leaf(1, 2)
    y = Exp.apply(x)
    assert y.op is Exp and y.inputs == (x,) and repr(y).endswith("op=Exp)")
    first, second, _ = Split.apply(x)
    assert first.inputs[0] is second.inputs[0] and first.inputs[0].op is Split


def test_backward_runs_once_for_all_outputs_and_inputs() -> None:
    calls = []
    function = product_of(minidl, lambda ctx, g, h: calls.append(1) or (g * 2 + h, h, None), outputs=2)
    x, y = leaf(1), leaf(2)
    a, b = function.apply(x, y, 2)
    (a * b + a).sum().backward()
    assert calls == [1] and (x.grad.tolist(), y.grad.tolist()) == ([2 * 4 + 4], [4])


def test_the_graph_can_be_kept_and_is_freed() -> None:
    for make in (Exp.apply, lambda x: Split.apply(x)[0]):
        x = leaf(0)
        y = make(x)
        y.backward(retain_graph=True)
        y.backward()
        assert x.grad.tolist() == [2]
        with pytest.raises(RuntimeError, match=r"(Exp|output) a second time.*retain_graph"):
            y.backward()


def test_saved_tensors_go_with_the_graph() -> None:
    saved = []

    class Keep(Function):
        @staticmethod
        def forward(ctx, x):
            big = x * 2
            saved.append(weakref.ref(big))
            ctx.save_for_backward(big)
            return x * 3, x * 4

        @staticmethod
        def backward(ctx, g, h):
            return g + h + 0 * ctx.saved_tensors[0]

    gc.disable()
    try:
        x = leaf(1)
        a, b = Keep.apply(x)
        assert saved[0]() is not None
        (a + b).backward()
        assert saved[0]() is None and a is not None
        a, b = Keep.apply(x)
        y = Exp.apply(x)
        (slope,) = grad(y * Split.apply(x)[1], x, create_graph=True)
        parts = [weakref.ref(part) for part in (a, y, slope)]
        del a, b, y, slope
        assert [part() for part in parts] == [None, None, None] and saved[1]() is None
    finally:
        gc.enable()


def test_all_orders_of_derivatives() -> None:
    assert gradcheck(Exp.apply, leaf(0.3, -1.2)) and gradgradcheck(Exp.apply, leaf(0.3, -1.2))
    assert gradgradcheck(lambda x: Split.apply(x)[0] * Split.apply(x)[1], leaf(0.3, -1.2))
    assert gradgradcheck(lambda x: Split.apply(x)[:2], leaf(0.3, -1.2))
    x, found = leaf(0.5), []
    found.append(Split.apply(x)[1])
    for _ in range(3):
        found += grad(found[-1], x, create_graph=True)
    np.testing.assert_allclose([y.item() for y in found], [np.sin(0.5), np.cos(0.5), -np.sin(0.5), -np.cos(0.5)])


def test_a_backward_in_numpy_is_differentiated_once() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return Tensor(x.array**2)

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            return Tensor(2 * ctx.saved_tensors[0].array * g.array)

    x = leaf(3)
    Square.apply(x).backward()
    assert x.grad.tolist() == [6]
    (slope,) = grad(Square.apply(x), x, create_graph=True)
    assert slope.tolist() == [6]
    with pytest.raises(RuntimeError, match="once_differentiable has no second derivative"):
        (slope * x).backward()
    assert x.grad.tolist() == [6]


def test_a_gradient_belongs_to_whoever_gets_it() -> None:
    class Careless(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            g.mul_(100)
            return ctx.saved_tensors[0]

    x, upstream = leaf(1, 2), minidl.ones(2, dtype=minidl.float64)
    y = x * 1
    (Careless.apply(x) + y).backward(upstream)
    assert upstream.tolist() == [1, 1] and x.grad.tolist() == [2, 3]
    x.grad = None
    Careless.apply(x).backward(upstream)
    x.grad.zero_()
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize("which", ["input", "output", "other", "second output"])
def test_a_saved_tensor_that_was_changed_is_noticed(which: str) -> None:
    things: dict[str, Tensor] = {}

    class Save(Function):
        @staticmethod
        def forward(ctx, x):
            y, z = x * 2, x * 3
            things["other"] = x * 4
            ctx.save_for_backward(x, y, z, things["other"])
            return y, z

        @staticmethod
        def backward(ctx, g, h):
            return g * ctx.saved_tensors[3]

    x = leaf(1)
    things["input"] = x
    things["output"], things["second output"] = Save.apply(x)
    total = things["output"] * 1
    things[which].detach().add_(1)
    with pytest.raises(RuntimeError, match=r"changed in place after (Save|output|multiply) used it"):
        total.backward()


def test_an_input_that_is_returned_is_a_tensor_of_its_own() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return -g

    x = leaf(1)
    y = Same.apply(x)
    (y * 2).backward()
    assert y is not x and x.is_leaf and x.grad.tolist() == [-2]


def test_a_result_can_be_changed_in_place() -> None:
    for make in (Exp.apply, lambda x: Split.apply(x)[0], lambda x: product_of(minidl, outputs=2).apply(x, x, 2)[1]):
        x = leaf(0)
        y = make(x)
        try:
            y += 1
        except RuntimeError as error:
            assert make is not None and "shares its memory" in str(error)  # it is saved for backward
        else:
            (y * 3).backward()
            assert x.grad.tolist() == [6]


def test_hooks_and_modes_work_on_it() -> None:
    x, seen = leaf(0), []
    y = Exp.apply(x)
    y.register_hook(lambda g: seen.append(g.item()) or g * 5)
    y.backward()
    assert seen == [1] and x.grad.tolist() == [5]
    with detect_anomaly(), np.errstate(all="ignore"), pytest.raises(RuntimeError, match="exp produced inf"):
        Exp.apply(leaf(1e4))


def test_a_relu_as_pytorch_teaches_it() -> None:
    found = []
    for torch_ in BOTH:

        class MyReLU(torch_.autograd.Function):
            @staticmethod
            def forward(ctx, input):
                ctx.save_for_backward(input)
                return input.clamp(min=0)

            @staticmethod
            def backward(ctx, grad_output):
                (input,) = ctx.saved_tensors
                grad_input = grad_output.clone()
                grad_input[input < 0] = 0
                return grad_input

        w = torch_.tensor([[0.5, -1.0], [1.0, 2.0]], requires_grad=True)
        MyReLU.apply(torch_.tensor([[1.0, 2.0]]) @ w).pow(2).sum().backward()
        found.append(w.grad.tolist())
    assert found[0] == found[1]
