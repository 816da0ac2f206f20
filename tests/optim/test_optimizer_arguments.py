"""What an optimizer accepts, and what it says of what it does not: an error changes nothing."""

import numpy as np
import pytest
from optimizer_cases import give_gradients, make, parameters

import minidl
from minidl import optim


class TestArguments:
    @pytest.mark.parametrize("given", ["generator", "list", "names", "groups", "tuple"])
    def test_forms_of_params(self, given):
        w, b = parameters([(2,), (3,)])
        forms = {
            "generator": (p for p in (w, b)), "list": [w, b], "tuple": (w, b), "names": iter([("w", w), ("b", b)]),
            "groups": [{"params": [w]}, {"params": b, "lr": 1.0}],
        }  # fmt: skip
        optimizer = optim.SGD(forms[given], lr=0.5)
        found = [p for group in optimizer.param_groups for p in group["params"]]
        assert len(found) == 2 and found[0] is w and found[1] is b
        assert optimizer.defaults["lr"] == 0.5
        assert [group["lr"] for group in optimizer.param_groups] == ([0.5, 1.0] if given == "groups" else [0.5])
        assert optimizer.param_groups[0].get("param_names") == (["w", "b"] if given == "names" else None)

    @pytest.mark.parametrize(("name", "option", "value", "message"), [
        ("SGD", "lr", -0.1, "SGD: lr = -0.1 is out of range, expected a finite lr >= 0"),
        ("SGD", "lr", float("nan"), "lr = nan"),
        ("SGD", "momentum", -1, "momentum = -1"),
        ("Adam", "weight_decay", -1, "weight_decay = -1"),
        ("Adam", "eps", -1e-8, "eps = -1e-08"),
        ("Adam", "betas", (1.0, 0.999), r"0 <= beta < 1, got \(1.0, 0.999\)"),
        ("AdamW", "betas", (0.9, -0.1), r"0 <= beta < 1, got \(0.9, -0.1\)"),
        ("Adam", "betas", (0.9,), "two numbers"),
        ("RMSprop", "alpha", -0.5, "alpha = -0.5"),
        ("RMSprop", "momentum", -0.5, "momentum = -0.5"),
        ("Adadelta", "rho", 1.5, "expected 0 <= rho <= 1"),
        ("Adagrad", "lr_decay", -1, "lr_decay = -1"),
        ("Adagrad", "initial_accumulator_value", -1, "initial_accumulator_value = -1"),
    ])  # fmt: skip
    def test_options_out_of_range(self, name, option, value, message):
        (w,) = parameters([(2,)])
        before = w.array
        with pytest.raises(ValueError, match=message):
            make(name, [w], {option: value})
        with pytest.raises(ValueError, match=message):  # of one group, too
            make(name, [{"params": [w], option: value}], {})
        assert w.array is before
        optimizer = make(name, [w], {})
        (other,) = parameters([(3,)])
        with pytest.raises(ValueError, match=message):
            optimizer.add_param_group({"params": [other], option: value})
        assert len(optimizer.param_groups) == 1

    def test_an_option_that_is_no_number(self):
        with pytest.raises(TypeError, match="lr must be a number, got 'fast'"):
            optim.SGD(parameters(), lr="fast")

    def test_wrong_params(self):
        w = parameters([(2,)])[0]
        with pytest.raises(ValueError, match="optimizer got an empty parameter list"):
            optim.Adam([])
        with pytest.raises(TypeError, match=r"iterable of tensors .* got Tensor"):
            optim.Adam(w)
        with pytest.raises(TypeError, match="fixed order"):
            optim.Adam({w})
        with pytest.raises(TypeError, match="fixed order"):
            optim.Adam([{"params": {w}}])
        with pytest.raises(TypeError, match="parameter 1 of group 0 is of type ndarray"):
            optim.Adam([w, np.ones(3)])
        with pytest.raises(TypeError, match="parameter 0 of group 1 is of type float"):
            optim.Adam([{"params": [w]}, {"params": [0.5]}])
        with pytest.raises(TypeError, match="parameter 0 of group 0 is int64"):
            optim.Adam([minidl.tensor([1, 2])])
        with pytest.raises(ValueError, match="parameter 0 of group 0 was computed from other tensors"):
            optim.Adam([w * 2])
        with pytest.raises(ValueError, match="parameter 1 of group 0 appears twice: it is parameter 0 of group 0"):
            optim.Adam([w, w])
        with pytest.raises(ValueError, match="parameter 0 of group 1 appears twice"):
            optim.Adam([{"params": [w]}, {"params": [w]}])
        optimizer = optim.Adam([w])
        with pytest.raises(ValueError, match="an earlier group"):
            optimizer.add_param_group({"params": [w]})
        with pytest.raises(TypeError, match='a dictionary with "params"'):
            optimizer.add_param_group([w])
        assert len(optimizer.param_groups) == 1


class TestStep:
    @pytest.mark.parametrize(("gradient", "error", "message"), [
        (minidl.Tensor(np.ones((3, 2))), RuntimeError, r"\(bias\) must be .* shape \(3,\), .* got shape \(3, 2\)"),
        (minidl.Tensor(np.ones(3, "float32")), RuntimeError, "got shape .* float32"),
        (np.ones(3), TypeError, "got ndarray"),
    ])  # fmt: skip
    def test_a_gradient_that_does_not_fit_changes_nothing(self, gradient, error, message):
        params = dict(zip(["weight", "bias"], parameters([(2, 3), (3,)]), strict=True))
        optimizer = optim.Adam([{"params": [("weight", params["weight"])]}, {"params": [("bias", params["bias"])]}])
        give_gradients(params.values(), np.random.default_rng(0))
        params["bias"].grad = gradient
        before = [p.array.copy() for p in params.values()]
        with pytest.raises(error, match=message):
            optimizer.step()
        np.testing.assert_equal([p.array for p in params.values()], before)
        assert not optimizer.state

    def test_calls_the_closure_first_and_returns_its_loss(self):
        w = minidl.tensor([3.0], requires_grad=True)
        optimizer = optim.SGD([w], lr=0.5)

        def closure():
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss

        assert optimizer.step(closure).item() == 9.0
        assert w.item() == 0.0
        assert optimizer.step() is None

    def test_zero_grad(self):
        w, b = parameters([(2,), (3,)])
        optimizer = optim.SGD([w, b])
        optimizer.zero_grad(set_to_none=False)
        assert w.grad is None
        shared = minidl.Tensor(np.array([np.nan, 1.0]))
        w.grad = shared
        optimizer.zero_grad(set_to_none=False)
        np.testing.assert_array_equal(w.grad.array, np.zeros(2), strict=True)
        assert shared.array[1] == 1.0  # someone else's
        optimizer.zero_grad()
        assert w.grad is None
