"""Module: what belongs to it and in which order, hooks, moves, text and errors, as PyTorch has them."""

import copy

import numpy as np
import pytest
import torch
from against_torch import assert_same, build, normal, pair

import minidl
from minidl import nn


def names(pairs):
    return [name for name, _ in pairs]


# -- what belongs to a module -------------------------------------------------------------------------------------


def test_a_network_of_every_kind_of_part_equals_pytorch():
    ours, theirs = pair(build)
    assert_same(ours, theirs, normal(6, 4))


@pytest.mark.parametrize("method", ["named_parameters", "named_buffers", "named_modules", "named_children"])
def test_names_and_order_are_those_of_pytorch(method):
    ours, theirs = build(nn), build(torch.nn)
    assert names(getattr(ours, method)()) == names(getattr(theirs, method)())


@pytest.mark.parametrize("method", ["named_parameters", "named_buffers"])
@pytest.mark.parametrize("options", [
    {"prefix": "net"}, {"recurse": False}, {"remove_duplicate": False}, {"prefix": "net", "recurse": False},
])  # fmt: skip
def test_options_of_the_walks_are_those_of_pytorch(method, options):
    ours, theirs = build(nn), build(torch.nn)
    assert names(getattr(ours, method)(**options)) == names(getattr(theirs, method)(**options))
    if "recurse" not in options:
        options = {"remove_duplicate": False, **options}
        assert names(ours.named_modules(**options)) == names(theirs.named_modules(**options))


def test_every_parameter_module_and_buffer_comes_once():
    net = build(nn)
    for walk in (net.parameters, net.modules, net.buffers, net.children):
        found = list(walk())
        assert len(found) == len(set(found))
    assert len(list(net.parameters())) == len(list(build(torch.nn).parameters()))


def test_a_module_works_without_calling_the_constructor_above_it():
    class Net(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 1)
            self.w = nn.Parameter(minidl.ones(1))

        def forward(self, x, *, factor=1):
            return self.layer(x) * self.w * factor

    net = Net()
    assert net.training and net.eval().training is False
    assert names(net.named_parameters()) == ["w", "layer.weight", "layer.bias"]
    assert net(minidl.ones(3, 2), factor=2).shape == (3, 1)


def test_deleted_and_replaced_parts_are_gone():
    net = build(nn)
    del net.heads
    net.bias = None
    net.offset = minidl.zeros(4)
    assert not any("heads" in name or name == "bias" for name in names(net.named_parameters()))
    assert dict(net.named_buffers())["offset"] is net.offset
    del net.offset
    assert "offset" not in names(net.named_buffers())


def test_a_parameter_can_be_replaced_by_a_parameter_only():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"Linear\.weight is a Parameter .* got Tensor"):
        layer.weight = minidl.ones(2, 2)
    layer.weight = nn.Parameter(minidl.ones(2, 2))
    assert layer.weight.tolist() == [[1, 1], [1, 1]]


def test_a_missing_attribute_names_the_class():
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        nn.Linear(2, 2).wieght  # noqa: B018


@pytest.mark.parametrize(("register", "error", "message"), [
    (lambda m: m.add_module("a.b", nn.ReLU()), KeyError, "a.b"),
    (lambda m: m.add_module("", nn.ReLU()), KeyError, "empty"),
    (lambda m: m.add_module("forward", nn.ReLU()), KeyError, "ReLU has an attribute 'forward' already"),
    (lambda m: m.add_module(3, nn.ReLU()), TypeError, "must be a string, got 3"),
    (lambda m: m.register_module("x", 3), TypeError, "expected a Module or None, got int"),
    (lambda m: m.register_buffer("x", 3), TypeError, "expected a Tensor or None, got int"),
    (lambda m: m.register_buffer("inplace", minidl.ones(1)), KeyError, "inplace"),
    (lambda m: m.register_parameter("x", minidl.ones(1)), TypeError, "expected a Parameter or None, got Tensor"),
])  # fmt: skip
def test_names_and_things_that_cannot_be_registered(register, error, message):
    module = nn.ReLU()
    before = dict(vars(module))
    with pytest.raises(error, match=message):
        register(module)
    assert vars(module) == before


def test_submodules_by_path():
    net = build(nn)
    assert net.get_submodule("") is net
    assert net.get_submodule("blocks.1.norm") is net.blocks[1].norm
    with pytest.raises(AttributeError, match=r"ModuleList has no submodule '7'; it has 0, 1"):
        net.get_submodule("blocks.7.norm")
    with pytest.raises(AttributeError, match="no submodule 'weight'; it has none"):
        net.get_submodule("heads.a.weight")


# -- changes to all that is below ---------------------------------------------------------------------------------


def test_train_and_eval_reach_everything():
    net = build(nn)
    assert net.eval() is net and not any(module.training for module in net.modules())
    assert net.train() is net and all(module.training for module in net.modules())
    with pytest.raises(ValueError, match="True or False, got 'yes'"):
        net.train("yes")


def test_apply_visits_children_first():
    visited, expected = [], []
    assert isinstance(build(nn).apply(lambda module: visited.append(type(module).__name__)), nn.Module)
    build(torch.nn).apply(lambda module: expected.append(type(module).__name__))
    assert visited == expected


def test_freezing():
    net = build(nn)
    assert net.requires_grad_(False) is net
    assert not any(p.requires_grad for p in net.parameters())
    assert not net(minidl.ones(2, 4)).requires_grad


def test_zero_grad():
    layer = nn.Linear(2, 1)
    layer(minidl.ones(1, 2)).sum().backward()
    before = layer.weight.grad
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0, 0]] and before.tolist() == [[1, 1]], "nobody writes into a gradient"
    layer.zero_grad()
    assert layer.weight.grad is None and layer.bias.grad is None


def test_a_change_of_dtype_keeps_the_parameters_and_the_whole_numbers():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    parameters = list(net.parameters())
    net(minidl.ones(4, 2)).sum().backward()
    assert net.double() is net
    assert all(a is b for a, b in zip(parameters, net.parameters(), strict=True))
    assert {p.dtype for p in parameters} == {p.grad.dtype for p in parameters} == {np.dtype("float64")}
    assert net[1].running_mean.dtype == minidl.float64 and net[1].num_batches_tracked.dtype == minidl.int64
    assert net.to(dtype=minidl.float32)[0].weight.dtype == minidl.float32
    assert net.to(minidl.zeros(1, dtype="float64"))[0].weight.dtype == minidl.float64
    assert net.float().cpu().to("cpu")[0].weight.dtype == minidl.float32


def test_a_failed_move_changes_nothing():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    arrays = [x.array for x in (*net.parameters(), *net.buffers())]
    with pytest.raises(TypeError, match="floating dtype, got int64"):
        net.to(minidl.int64)
    with pytest.raises(RuntimeError, match="unknown device"):
        net.to(device="tpu")
    assert all(x.array is array for x, array in zip((*net.parameters(), *net.buffers()), arrays, strict=True))


def test_a_move_between_forward_and_backward_is_noticed():
    layer = nn.Linear(2, 1)
    loss = layer(minidl.ones(1, 2)).sum()
    layer.double()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# -- hooks --------------------------------------------------------------------------------------------------------


def test_hooks_see_and_replace():
    layer, seen = nn.Identity(), []
    first = layer.register_forward_pre_hook(lambda module, inputs: seen.append((module, inputs)))
    second = layer.register_forward_pre_hook(lambda module, inputs: inputs[0] + 1)
    third = layer.register_forward_hook(lambda module, inputs, output: seen.append((inputs, output)))
    fourth = layer.register_forward_hook(lambda module, inputs, output: output * 10)
    assert layer(1) == 20
    assert seen == [(layer, (1,)), ((2,), 2)]
    for handle in (first, second, third, fourth, fourth):
        handle.remove()
    assert layer(1) == 1 and len(seen) == 2


def test_hooks_run_inside_a_network_and_reach_its_copy():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    shapes = []
    net[0].register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    net(minidl.ones(4, 2))
    copy.deepcopy(net)(minidl.ones(5, 2))
    assert shapes == [(4, 3), (5, 3)]


@pytest.mark.parametrize("nn_", [nn, torch.nn], ids=["minidl", "torch"])
def test_forward_hooks_with_all_their_options(nn_):
    class Layer(nn_.Module):
        def forward(self, x, *, k=1):
            seen.append(("forward", x, k))
            return x * k

    layer, seen = Layer(), []
    layer.register_forward_pre_hook(lambda m, a: seen.append(("before", a)))
    layer.register_forward_pre_hook(lambda m, a, k: ((a[0] + 1,), {"k": k["k"] * 2}), with_kwargs=True)
    layer.register_forward_pre_hook(lambda m, a: a[0] * 10, prepend=True)
    layer.register_forward_hook(lambda m, a, y: seen.append(("after", a, y)))
    layer.register_forward_hook(lambda m, a, k, y: y + k["k"], with_kwargs=True, prepend=True)
    assert layer(1, k=3) == 72
    assert seen == [("before", (10,)), ("forward", 11, 6), ("after", (11,), 72)]
    for wrong in ((1,), 3):
        handle = layer.register_forward_pre_hook(lambda m, a, k, wrong=wrong: wrong, with_kwargs=True)
        with pytest.raises(RuntimeError, match="pre-hook"):
            layer(1, k=3)
        handle.remove()


@pytest.mark.parametrize("nn_", [nn, torch.nn], ids=["minidl", "torch"])
def test_a_hook_that_is_always_called(nn_):
    class Failing(nn_.Module):
        def forward(self, x):
            raise KeyError("why")

    layer, seen = Failing(), []
    layer.register_forward_hook(lambda m, a, y: seen.append("never"))
    layer.register_forward_hook(lambda m, a, y: seen.append((a, y)), always_call=True)
    with pytest.raises(KeyError):
        layer(1)
    assert seen == [((1,), None)]
    layer.register_forward_hook(lambda m, a, y: 1 / 0, always_call=True)
    with pytest.raises(KeyError), pytest.warns(UserWarning, match="division by zero"):
        layer(1)
    fine = nn_.Identity()
    fine.register_forward_hook(lambda m, a, y: seen.append(y), always_call=True)
    fine(5)
    assert seen[2:] == [5]


def lists(gradients):
    return [None if g is None else g.tolist() for g in gradients]


@pytest.mark.parametrize("torch_", [minidl, torch], ids=["minidl", "torch"])
@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_backward_hooks_see_all_gradients_at_once(torch_):
    class Two(torch_.nn.Module):
        def forward(self, x, y=None, *, z=None):
            return x * 2, x * (3 if y is None else y)

    layer, seen = Two(), []
    layer.register_full_backward_hook(lambda m, gx, gy: seen.append((m is layer, lists(gx), lists(gy))))
    layer.register_full_backward_pre_hook(lambda m, gy: seen.append(lists(gy)))
    x, y = torch_.ones(1, requires_grad=True), torch_.ones(1)
    layer(x)[0].backward()
    a, b = layer(x, 5)
    (a + b).backward()
    a, b = layer(x, y, z=x)
    (a + b).backward()
    a, b = layer(y, x)
    (b * 1).backward()
    a, b = layer(x=x)
    (a + b).backward()
    assert seen == [
        [[1], None], (True, [[2]], [[1], None]),
        [[1], [1]], (True, [[7], None], [[1], [1]]),
        [[1], [1]], (True, [[3], [0]], [[1], [1]]),
        [None, [1]], (True, [[0], [1]], [None, [1]]),
        [[1], [1]], (True, [], [[1], [1]]),
    ]  # fmt: skip
    assert x.grad.tolist() == [2 + 7 + 3 + 1 + 5]


@pytest.mark.parametrize("torch_", [minidl, torch], ids=["minidl", "torch"])
@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_backward_hooks_of_a_first_layer_and_their_answers(torch_):
    layer, seen = torch_.nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gx, gy: seen.append((lists(gx), lists(gy))))
    layer(torch_.ones(3, 2)).sum().backward()
    assert seen == [([None], [[[1], [1], [1]]])]
    with torch_.no_grad():
        layer(torch_.ones(3, 2))
    layer.register_full_backward_hook(lambda m, gx, gy: (gx[0] * 10,))
    layer.register_full_backward_hook(lambda m, gx, gy: (gx[0] + 1,), prepend=True)
    layer.register_full_backward_pre_hook(lambda m, gy: (gy[0] * 2,))
    x = torch_.ones(1, 2, requires_grad=True)
    layer.weight.grad = None
    for _ in range(2):
        y = layer(x)
        y.backward(retain_graph=True)
        y.backward()
    weight = layer.weight.tolist()[0]
    np.testing.assert_allclose(x.grad.tolist(), [[4 * 10 * (2 * w + 1) for w in weight]], rtol=1e-5)
    assert layer.weight.grad.tolist() == [[8, 8]] and len(seen) == 5


@pytest.mark.parametrize("torch_", [minidl, torch], ids=["minidl", "torch"])
@pytest.mark.parametrize("answer", [lambda g: g + g, lambda g: (), lambda g: (g[0].sum() * 0 + g[0].reshape(1, 2, 1),)])
def test_backward_hooks_that_give_what_does_not_fit(torch_, answer):
    for register in ("register_full_backward_hook", "register_full_backward_pre_hook"):
        layer = torch_.nn.Tanh()
        getattr(layer, register)(lambda m, *g: answer(g[-1]))
        x = torch_.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError):
            layer(x).sum().backward()
        assert x.grad is None


def test_backward_hooks_and_second_derivatives():
    found = []
    for torch_ in (minidl, torch):
        layer, seen = torch_.nn.Tanh(), []
        layer.register_full_backward_hook(lambda m, gx, gy, seen=seen: seen.append(lists(gx)))
        x = torch_.tensor([0.5], requires_grad=True)
        (slope,) = torch_.autograd.grad(layer(x) ** 2, x, create_graph=True)
        slope.backward()
        found.append(([round(g[0][0], 5) for g in seen[:1]], round(x.grad.item(), 5)))
    assert found[0] == found[1]


# -- text and errors ----------------------------------------------------------------------------------------------


def test_the_text_is_that_of_pytorch():
    assert repr(build(nn)) == repr(build(torch.nn))
    assert repr(nn.Module()) == repr(torch.nn.Module())


def test_text_of_a_module_with_words_of_its_own():
    def make(nn):
        class Wide(nn.Module):
            def __init__(self, *children):
                super().__init__()
                for number, child in enumerate(children):
                    self.add_module(f"part{number}", child)

            def extra_repr(self):
                return "first=1,\nsecond=2" if list(self.children()) else "alone=1"

        return Wide(Wide(), nn.Sequential(nn.ReLU()))

    assert repr(make(nn)) == repr(make(torch.nn))


class Net(nn.Module):
    def __init__(self):
        self.net = nn.Sequential(nn.Linear(784, 128), nn.ReLU())

    def forward(self, x):
        return self.net(x)


def test_an_error_names_the_layer_and_keeps_its_class_and_place():
    with pytest.raises(RuntimeError) as caught:
        Net()(minidl.ones(3, 100))
    assert str(caught.value).startswith(
        "in net.0 (Linear(in_features=784, out_features=128, bias=True)): linear: expected an input of shape (..., 784)"
    )
    assert any(entry.name == "forward" and "linear.py" in str(entry.path) for entry in caught.traceback)
    with pytest.raises(RuntimeError, match=r"^in Linear\(in_features=2, out_features=1, bias=True\): linear"):
        nn.Linear(2, 1)(minidl.ones(3))


def test_errors_of_the_users_own_forward_keep_their_class():
    class Failing(nn.Module):
        def __init__(self, error):
            self.error, self.unused = error, nn.ReLU()

        def forward(self, x):
            raise self.error

    for error in (ZeroDivisionError("why"), KeyError("key"), ValueError("why")):
        with pytest.raises(type(error), match=r"in 0 \(Failing\(\)\): (why|key)"):
            nn.Sequential(Failing(error))(1)
    for error in (ValueError(), OSError(2, "no such file"), ValueError(7), StopIteration(3)):
        args = error.args
        with pytest.raises(type(error)) as caught:
            nn.Sequential(Failing(error))(1)
        assert caught.value.args == args
    with pytest.raises(KeyboardInterrupt, match=r"^stop$"):
        nn.Sequential(Failing(KeyboardInterrupt("stop")))(1)


def test_a_layer_that_hides_in_a_list_still_names_itself():
    class Hiding(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(2, 1)]

        def forward(self, x):
            return self.layers[0](x)

    with pytest.raises(RuntimeError, match=r"^in Linear\(in_features=2"):
        Hiding()(minidl.ones(3))


def test_a_module_without_forward_says_so():
    for library in (nn, torch.nn):
        with pytest.raises(RuntimeError, match="forward"):
            library.ModuleList()(1)


def test_parameters_and_buffers_are_found_by_their_paths():
    net = nn.Sequential(nn.BatchNorm1d(3))
    assert net.get_parameter("0.weight") is net[0].weight and net.get_buffer("0.running_var") is net[0].running_var
    for find, path in ((net.get_parameter, "0.running_var"), (net.get_buffer, "0.weight"), (net.get_buffer, "1.x")):
        with pytest.raises(AttributeError, match="it has"):
            find(path)


def test_a_buffer_does_not_take_the_name_of_a_parameter():
    for library in (minidl, torch):
        with pytest.raises(KeyError, match="weight"):
            library.nn.Linear(3, 2).register_buffer("weight", library.zeros(2))


def test_a_state_can_be_added_to_a_dictionary():
    state = {}
    assert nn.Linear(3, 2).state_dict(destination=state, prefix="a.") is state
    assert nn.Linear(3, 2).state_dict(destination=state, prefix="b.") is state
    assert list(state) == ["a.weight", "a.bias", "b.weight", "b.bias"]


def test_half_precision_goes_through_a_layer():
    layer = nn.Linear(3, 2).to(minidl.float16, non_blocking=True)
    assert layer.half()(minidl.ones(4, 3).half()).dtype == minidl.float16


def test_a_parameter_without_numbers_is_empty():
    assert nn.Parameter().shape == nn.Parameter(None).shape == torch.nn.Parameter().shape
