"""What holds for every optimizer: agreement with PyTorch, preview, rules of one's own, parameters of any kind."""

import copy
import pickle

import numpy as np
import pytest
import torch
from optimizer_cases import (
    CASES,
    IDS,
    OPTIONS,
    SHAPES,
    accepts,
    copy_gradients,
    distance,
    give_gradients,
    make,
    make_torch,
    parameters,
    shapes_for,
    twins,
)

import minidl
from minidl import optim

every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
every_kind = pytest.mark.parametrize("name", OPTIONS)


class TestAgreementWithPyTorch:
    @every_case
    def test_50_steps_with_two_groups_and_a_changing_rate(self, name, options):
        params = parameters(shapes_for(name))
        theirs = twins(params)
        groups = [[{"params": p[:2]}, {"params": p[2:], "lr": 0.02}] for p in (params, theirs)]
        mine, reference = make(name, groups[0], options), make_torch(name, groups[1], options)
        random = np.random.default_rng(1)
        for step in range(50):
            give_gradients(params, random)
            copy_gradients(params, theirs)
            if step == 25:
                mine.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.003
            mine.step()
            reference.step()
        assert distance(params, theirs) <= 1e-12

    @every_case
    def test_parameters_without_gradient_are_left_alone_and_count_no_step(self, name, options):
        params = parameters(shapes_for(name, SHAPES * 2))
        theirs = twins(params)
        mine, reference = make(name, params, options), make_torch(name, theirs, options)
        random = np.random.default_rng(2)
        for _ in range(12):
            give_gradients(params, random, absent=random.choice(8, random.integers(0, 8), replace=False))
            copy_gradients(params, theirs)
            mine.step()
            reference.step()
        assert distance(params, theirs) <= 1e-12

    @every_kind
    def test_a_group_added_later(self, name):
        params = parameters(shapes_for(name))
        theirs = twins(params)
        mine, reference = make(name, params[:3], {}), make_torch(name, theirs[:3], {})
        random = np.random.default_rng(3)
        for step in range(6):
            if step == 3:
                mine.add_param_group({"params": params[3], "lr": 0.05})
                reference.add_param_group({"params": theirs[3], "lr": 0.05})
            give_gradients(params, random)
            copy_gradients(params, theirs)
            mine.step()
            reference.step()
        assert distance(params, theirs) <= 1e-12

    @every_kind
    def test_a_first_gradient_after_the_rate_has_changed(self, name):
        params = parameters(shapes_for(name))
        theirs = twins(params)
        mine, reference = make(name, params, {"lr": 0.1}), make_torch(name, theirs, {"lr": 0.1})
        random = np.random.default_rng(13)
        for step in range(6):
            mine.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.1 / (1 + step)
            give_gradients(params, random, absent=[1, 3][step // 2 :])
            copy_gradients(params, theirs)
            mine.step()
            reference.step()
        assert distance(params, theirs) <= 1e-12

    @pytest.mark.parametrize("change", [{"weight_decay": 0.1}, {"maximize": True}, {"momentum": 0.9}])
    def test_options_that_change_between_steps(self, change):
        params = parameters()
        theirs = twins(params)
        mine, reference = make("SGD", params, {}), make_torch("SGD", theirs, {})
        random = np.random.default_rng(4)
        for step in range(6):
            if step == 3:
                mine.param_groups[0].update(change)
                reference.param_groups[0].update(change)
            give_gradients(params, random)
            copy_gradients(params, theirs)
            mine.step()
            reference.step()
        assert distance(params, theirs) <= 1e-12

    @every_kind
    def test_repr(self, name):
        lines = repr(make(name, parameters(shapes_for(name)), {})).splitlines()
        theirs = repr(make_torch(name, twins(parameters(shapes_for(name))), {})).splitlines()
        without_meaning_here = ("foreach", "fused", "capturable", "differentiable")
        assert lines == [line for line in theirs if line.split(":")[0].strip() not in without_meaning_here]


class TestPreview:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @every_case
    def test_is_the_step_bit_for_bit(self, name, options, dtype):
        params = parameters(shapes_for(name), dtype)
        optimizer = make(name, params, options)
        random = np.random.default_rng(5)
        for _ in range(3):
            give_gradients(params, random)
            previews = [optimizer.preview(p) for p in params]
            optimizer.step()
            for p, preview in zip(params, previews, strict=True):
                assert preview["w"].dtype == p.dtype == dtype
                np.testing.assert_array_equal(preview["w"], p.array, strict=True)
                for letter, kept in optimizer.state_names.items():
                    if letter in preview:
                        np.testing.assert_array_equal(preview[letter], optimizer.state[p][kept], strict=True)

    @every_kind
    def test_changes_nothing_and_shares_nothing(self, name):
        params = parameters(shapes_for(name))
        optimizer = make(name, params, {})
        random = np.random.default_rng(6)
        give_gradients(params, random)
        optimizer.step()
        give_gradients(params, random)
        before = copy.deepcopy((optimizer.state_dict(), [p.array for p in params], [p.grad.array for p in params]))
        for p in params:
            for quantity in optimizer.preview(p).values():
                assert quantity.shape == p.shape
                quantity[...] = np.nan
        after = (optimizer.state_dict(), [p.array for p in params], [p.grad.array for p in params])
        np.testing.assert_equal(after, before)

    def test_needs_a_gradient_of_a_parameter_of_this_optimizer(self):
        w, other = parameters([(2,), (2,)])
        optimizer = optim.SGD([w])
        with pytest.raises(ValueError, match="parameter 0 of group 0 has no gradient yet"):
            optimizer.preview(w)
        with pytest.raises(ValueError, match="in none of its param_groups"):
            optimizer.preview(other)


class TestOwnRule:
    """A method that a user writes."""

    class Sign(optim.Optimizer):
        def __init__(self, params, lr=0.1, rho=0.5):
            super().__init__(params, {"lr": lr, "rho": rho})

        @staticmethod
        def rule(xp, w, g, a, *, lr, rho):
            a = rho * a + (1 - rho) * g
            return {"w": w - lr * xp.sign(a), "a": a}

    class Clipped(Sign):
        @staticmethod
        def rule(xp, w, g, a, *, lr, rho):
            a += xp.where(xp.abs(g) > 1, xp.sign(g), g)  # neither `where` nor += can be recorded
            return {"w": w - lr * a / xp.sqrt((w * w).sum()), "a": a}

    @pytest.mark.parametrize("kind", [Sign, Clipped])
    def test_steps_as_it_previews(self, kind):
        params = parameters(dtype="float32")
        expected = [(p.array.copy(), np.zeros(p.shape, "float32")) for p in params]
        optimizer = kind(params)
        random = np.random.default_rng(7)
        for _ in range(4):
            give_gradients(params, random)
            for i, p in enumerate(params):
                result = kind.rule(np, expected[i][0], p.grad.array, expected[i][1].copy(), lr=0.1, rho=0.5)
                expected[i] = (np.asarray(result["w"], "float32"), np.asarray(result["a"], "float32"))
                np.testing.assert_array_equal(optimizer.preview(p)["w"], expected[i][0], strict=True)
            optimizer.step()
        for p, (w, a) in zip(params, expected, strict=True):
            np.testing.assert_array_equal(p.array, w, strict=True)
            np.testing.assert_array_equal(optimizer.state[p]["a"], a, strict=True)
            assert optimizer.state[p]["step"] == 4

    def test_that_swaps_what_it_remembers(self):
        class Swap(optim.Optimizer):
            @staticmethod
            def rule(xp, w, g, old, older):
                return {"w": w + older, "old": g, "older": old}

        class SwapUnrecordable(Swap):
            @staticmethod
            def rule(xp, w, g, old, older):
                return {"w": w + older if w.size else w, "old": g, "older": old}

        for kind in (Swap, SwapUnrecordable):
            (w,) = parameters([(3,)])
            start, optimizer = w.array.copy(), kind([w], {})
            for g in (1.0, 2.0, 3.0):
                w.grad = minidl.Tensor(np.full(3, g))
                optimizer.step()
            np.testing.assert_array_equal(w.array, start + 1.0)
            np.testing.assert_array_equal(optimizer.state[w]["older"], np.full(3, 2.0))

    def test_that_forgets_its_memory_or_asks_for_what_is_not_there(self):
        class Forgetful(optim.Optimizer):
            @staticmethod
            def rule(xp, w, g, m):
                return {"w": w - g}

        class Curious(optim.Optimizer):
            @staticmethod
            def rule(xp, w, g, *, secret):
                return {"w": w - secret * g}

        (w,) = parameters([(3,)])
        give_gradients([w], np.random.default_rng(0))
        with pytest.raises(TypeError, match=r"must return the new \['m'\]"):
            Forgetful([w], {}).step()
        with pytest.raises(TypeError, match="asks for the number 'secret'"):
            Curious([w], {}).step()


class TestParameters:
    """Parameters of every kind come to the same numbers as one at a time."""

    def steps(self, name, params, count=3, seed=8):
        optimizer, random = make(name, params, {}), np.random.default_rng(seed)
        for _ in range(count):
            give_gradients(params, random)
            optimizer.step()
        return optimizer

    @every_kind
    def test_together_as_one_at_a_time(self, name):
        shapes = shapes_for(name, [(40, 7), (), (200, 300), (0, 3), (1,), (130, 131), (5, 5)])  # small and large ones
        together, alone = parameters(shapes, "float32"), parameters(shapes, "float32")
        self.steps(name, together)
        random = np.random.default_rng(8)
        optimizers = [make(name, [p], {}) for p in alone]
        for _ in range(3):
            give_gradients(alone, random)
            for optimizer in optimizers:
                optimizer.step()
        for p, q in zip(together, alone, strict=True):
            np.testing.assert_array_equal(p.array, q.array, strict=True)

    @every_kind
    def test_two_runs_give_the_same_bits(self, name):
        first, second = parameters(shapes_for(name)), parameters(shapes_for(name))
        self.steps(name, first)
        self.steps(name, second)
        assert all(p.array.tobytes() == q.array.tobytes() for p, q in zip(first, second, strict=True))

    @every_kind
    def test_float32_stays_even_with_numpy_numbers_as_options(self, name):
        params = parameters(shapes_for(name), "float32")
        options = {option: np.float64(0.1) for option in ("lr", "weight_decay") if accepts(name, [option])}
        optimizer = make(name, params, options)
        give_gradients(params, np.random.default_rng(0))
        optimizer.step()
        assert {p.dtype.name for p in params} == {"float32"}
        kept = [x for state in optimizer.state.values() for x in state.values() if type(x) not in (int, float)]
        assert {x.dtype.name for x in kept} <= {"float32"}
        assert {x.dtype.name for p in params for x in optimizer.preview(p).values()} == {"float32"}

    @every_kind
    def test_of_different_dtypes_in_one_group(self, name):
        single = parameters(shapes_for(name, [(3, 4), (2,)]), "float32")
        double = parameters(shapes_for(name, [(5,), ()]), "float64")
        mixed = [single[0], double[0], single[1], double[1]]
        reference = twins(mixed)
        theirs, random = make_torch(name, reference, {}), np.random.default_rng(9)
        mine = make(name, mixed, {})
        for _ in range(5):
            give_gradients(mixed, random)
            copy_gradients(mixed, reference)
            mine.step()
            theirs.step()
        assert [p.dtype.name for p in mixed] == ["float32", "float64"] * 2
        assert distance(double, reference[1::2]) <= 1e-12

    @every_kind
    def test_that_are_not_contiguous(self, name):
        straight = parameters([(4, 6), (3, 3)])
        turned = [minidl.Tensor(np.asfortranarray(straight[0].array), requires_grad=True),
                  minidl.Tensor(np.repeat(straight[1].array, 2, axis=1)[:, ::2], requires_grad=True)]  # fmt: skip
        self.steps(name, straight)
        self.steps(name, turned)
        for p, q in zip(straight, turned, strict=True):
            np.testing.assert_array_equal(p.array, q.array)

    def test_a_gradient_that_is_not_contiguous_or_is_the_weights_themselves(self):
        for shape in [(4, 6), (300, 400)]:
            a, b, c = (parameters([shape])[0] for _ in range(3))
            g = np.asfortranarray(np.random.default_rng(0).standard_normal(shape))
            a.grad, b.grad = minidl.Tensor(g), minidl.Tensor(np.ascontiguousarray(g))
            optim.Adam([a]).step()
            optim.Adam([b]).step()
            np.testing.assert_array_equal(a.array, b.array)
            c.grad = c.detach()
            expected = optim.AdamW([c]).preview(c)["w"]
            optim.AdamW([c]).step()
            np.testing.assert_array_equal(c.array, expected)

    @every_kind
    def test_that_are_given_another_array_between_steps(self, name):
        params = parameters(shapes_for(name))
        reference = twins(params)
        mine, theirs = make(name, params, {}), make_torch(name, reference, {})
        random = np.random.default_rng(10)
        for step in range(4):
            if step == 2:
                params[1].array = params[1].array * 2  # as a load, or a move to another device, does
                reference[1].data.mul_(2)
            give_gradients(params, random)
            copy_gradients(params, reference)
            mine.step()
            theirs.step()
        assert distance(params, reference) <= 1e-12
        params[0].array = params[0].array.astype("float32")
        give_gradients(params, random)
        mine.step()
        assert params[0].dtype == "float32"

    def test_another_shape_between_steps_is_an_error(self):
        w, b = parameters([(2, 3), (3,)])
        optimizer = optim.Adam([("weight", w), ("bias", b)])
        w.array = np.zeros((3, 3))
        with pytest.raises(RuntimeError, match=r"\(weight\) had shape \(2, 3\) .* now \(3, 3\)"):
            optimizer.step()

    def test_shared_by_two_optimizers(self):
        params = parameters()
        reference = twins(params)
        mine = [optim.Adam(params), optim.SGD(params[::-1], lr=0.1, momentum=0.9)]
        theirs = [torch.optim.Adam(reference), torch.optim.SGD(reference[::-1], lr=0.1, momentum=0.9)]
        random = np.random.default_rng(11)
        for step in range(8):
            give_gradients(params, random)
            copy_gradients(params, reference)
            mine[step % 2].step()
            theirs[step % 2].step()
        assert distance(params, reference) <= 1e-12

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    @pytest.mark.parametrize("shapes", [SHAPES, [(3, 4)]])
    def test_in_a_copy_go_on_alike(self, copied, shapes):
        params = parameters(shapes)
        optimizer = self.steps("Adam", params)
        other, others = copied((optimizer, params))
        for run, its in ((optimizer, params), (other, others)):
            give_gradients(its, np.random.default_rng(12))
            run.step()
        for p, q in zip(params, others, strict=True):
            assert not np.shares_memory(p.array, q.array)
            np.testing.assert_array_equal(p.array, q.array)

    def test_are_marked_as_changed(self):
        w, frozen = parameters([(3,), (3,)])
        loss, other = (w * w).sum(), (frozen * frozen).sum()
        optimizer = optim.SGD([w, frozen])
        w.grad = minidl.Tensor(np.ones(3))
        optimizer.step()
        with pytest.raises(RuntimeError, match="changed in place"):
            loss.backward()
        other.backward()  # without a gradient it was not changed

    def test_not_finite_gradients_are_nothing_special(self):
        (w,) = parameters([(3,)])
        w.grad = minidl.Tensor(np.array([np.nan, np.inf, 1.0]))
        optim.SGD([w], lr=1.0).step()
        assert np.isnan(w.array[0]) and w.array[1] == -np.inf and np.isfinite(w.array[2])
