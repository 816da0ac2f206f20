"""Learning rate schedules: PyTorch's rates over 60 steps, with every option, chained, resumed, and from its state."""

import copy
import inspect
import math
import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizer_cases import DRAWS

import minidl
from minidl import optim
from minidl.optim import lr_scheduler

THEIRS = torch.optim.lr_scheduler
pytestmark = pytest.mark.filterwarnings("ignore:The epoch parameter")  # PyTorch's, of step(epoch)


class Power:
    """A function with an attribute, which a state dict keeps."""

    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


def halving(epoch):
    return 0.5 ** (epoch // 10)


CASES = [
    ("LambdaLR", {"lr_lambda": halving}),
    ("LambdaLR", {"lr_lambda": [halving, Power(0.9)]}),
    ("MultiplicativeLR", {"lr_lambda": Power(0.99)}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("StepLR", {"step_size": 10, "gamma": 0.0}),
    ("MultiStepLR", {"milestones": [5, 20, 20, 41]}),
    ("MultiStepLR", {"milestones": [0, 30], "gamma": 1.5}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.7, "total_iters": 17}),
    ("ConstantLR", {"factor": 1.0, "total_iters": 0}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.4, "total_iters": 33}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 20}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("ExponentialLR", {"gamma": 1.1}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 45, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 25}),
    ("CosineAnnealingLR", {"T_max": 1, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 60, "eta_min": 0.02}),
    ("CosineAnnealingWarmRestarts", {"T_0": 9}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.03}),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60}),
    ("OneCycleLR", {"max_lr": [0.5, 1.0], "epochs": 6, "steps_per_epoch": 10, "three_phase": True}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 70, "anneal_strategy": "linear", "pct_start": 0.5}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "div_factor": 4.0, "final_div_factor": 10.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "base_momentum": [0.7, 0.8], "max_momentum": 0.9}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 7}),
    ("CyclicLR", {"base_lr": [0.1, 0.2], "max_lr": 0.5, "step_size_up": 5, "step_size_down": 9, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": [0.5, 0.3], "step_size_up": 6, "mode": "exp_range", "gamma": 0.97}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4, "scale_fn": Power(0.9), "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4, "scale_fn": halving, "scale_mode": "iterations"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4, "base_momentum": 0.5, "max_momentum": [0.9, 0.8]}),
]


def label(case):
    """The case in words, the same in every process: without the addresses of functions."""
    return re.sub(r"<(?:function )?(?:\w+\.)?(\w+)[^>]* at 0x\w+>", r"\1", f"{case[0]} {case[1]}")


every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=map(label, CASES))
every_optimizer = pytest.mark.parametrize("kind", ["SGD", "Adam"])


def optimizer_of(library, kind="SGD", rates=(0.2, 0.05)):
    """An optimizer with momentum and two groups."""
    make = minidl.tensor if library is minidl else torch.tensor
    params = [make([1.0, 2.0], requires_grad=True) for _ in rates]
    groups = [{"params": [p], "lr": rate} for p, rate in zip(params, rates, strict=True)]
    return getattr(library.optim, kind)(groups, **({"momentum": 0.8} if kind == "SGD" else {}))


def pair(name, options, kind="SGD"):
    """The same schedule on the same optimizer, ours and PyTorch's."""
    return (
        getattr(lr_scheduler, name)(optimizer_of(minidl, kind), **copy.deepcopy(options)),
        getattr(THEIRS, name)(optimizer_of(torch, kind), **copy.deepcopy(options)),
    )


def step(schedule, *arguments):
    schedule.optimizer.step()
    schedule.step(*arguments)


def assert_equal_rates(mine, theirs):
    np.testing.assert_allclose(mine.get_last_lr(), theirs.get_last_lr(), rtol=1e-12, atol=1e-15)
    for group, other in zip(mine.optimizer.param_groups, theirs.optimizer.param_groups, strict=True):
        names = (set(group) & {"lr", "initial_lr", "max_lr", "min_lr", "momentum", "betas", "max_momentum"})
        for name in names:
            np.testing.assert_allclose(group[name], other[name], rtol=1e-12, atol=1e-15, err_msg=name)
        assert set(group) == set(other) - {"foreach", "fused", "capturable", "differentiable"}


def test_signatures_are_pytorchs():
    for name in lr_scheduler.__all__:
        mine, theirs = (inspect.signature(getattr(module, name)).parameters for module in (lr_scheduler, THEIRS))
        assert [(p.name, p.default, p.kind) for p in mine.values()] == [
            (p.name, p.default, p.kind) for p in theirs.values()
        ], name
    assert set(THEIRS.__all__) == set(lr_scheduler.__all__)


@every_optimizer
@every_case
def test_60_steps(name, options, kind):
    mine, theirs = pair(name, options, kind)
    for _ in range(60):
        assert_equal_rates(mine, theirs)
        step(mine)
        step(theirs)
    assert_equal_rates(mine, theirs)
    assert mine.last_epoch == theirs.last_epoch


@every_case
def test_resumed_in_the_middle_from_either_state(name, options):
    mine, theirs = pair(name, options)
    for _ in range(25):
        step(mine)
        step(theirs)
    for source in (mine, theirs):
        resumed, reference = pair(name, options)
        saved = copy.deepcopy(source.state_dict())
        resumed.load_state_dict(saved)
        reference.load_state_dict(copy.deepcopy(saved))
        for schedule in (resumed, reference):
            for group, now in zip(schedule.optimizer.param_groups, mine.optimizer.param_groups, strict=True):
                group.update({option: value for option, value in now.items() if option != "params"})
        for _ in range(35):
            step(resumed)
            step(reference)
            assert_equal_rates(resumed, reference)
            assert resumed.last_epoch == reference.last_epoch


@every_case
def test_the_state_has_pytorchs_names(name, options):
    mine, theirs = (schedule.state_dict() for schedule in pair(name, options))
    found_anew = {"_get_lr_called_within_step", "_schedule_phases", "use_beta1"}  # from other attributes, in each step
    assert set(theirs) - found_anew <= set(mine)
    assert not [value for value in mine.values() if callable(value)]


# With T_mult > 1 PyTorch takes all epochs so far for one cycle; ours is where step(epoch) would be, see below.
ONE_LENGTH = [case for case in CASES if case[1].get("T_mult", 1) == 1]


@pytest.mark.parametrize(("name", "options"), ONE_LENGTH, ids=map(label, ONE_LENGTH))
def test_made_with_last_epoch(name, options):
    for last in (0, 3, 8, 19):
        mine, theirs = pair(name, options)
        for _ in range(last):
            step(mine)
            step(theirs)
        again = getattr(lr_scheduler, name)(mine.optimizer, **copy.deepcopy(options), last_epoch=last)
        reference = getattr(THEIRS, name)(theirs.optimizer, **copy.deepcopy(options), last_epoch=last)
        for _ in range(30):
            assert_equal_rates(again, reference)
            assert again.last_epoch == reference.last_epoch
            step(again)
            step(reference)


@every_case
def test_a_given_epoch(name, options):
    mine, theirs = pair(name, options)
    jumps = [3, 0, 11, 12, 50, 1]
    parts = [0.0, 0.25, 7.75, 3.5, 40.125] if name == "CosineAnnealingWarmRestarts" else []
    for epoch in jumps + parts:
        step(mine, epoch)
        step(theirs, epoch)
        assert_equal_rates(mine, theirs)
        step(mine)
        step(theirs)
        assert_equal_rates(mine, theirs)


CHAINS = [
    [("ConstantLR", {"factor": 0.1, "total_iters": 12}), ("ExponentialLR", {"gamma": 0.9})],
    [("LinearLR", {"total_iters": 8}), ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.001})],
    [("StepLR", {"step_size": 9}), ("MultiStepLR", {"milestones": [4, 31]}), ("ExponentialLR", {"gamma": 1.01})],
    [("PolynomialLR", {"total_iters": 50, "power": 2}), ("LambdaLR", {"lr_lambda": halving})],
    [("LambdaLR", {"lr_lambda": halving}), ("MultiplicativeLR", {"lr_lambda": Power(1.01)})],
]


def chain(module, library, parts, together):
    optimizer = optimizer_of(library)
    schedules = [getattr(module, name)(optimizer, **copy.deepcopy(options)) for name, options in parts]
    return together(module, optimizer, schedules)


WAYS = {
    "by hand": lambda module, optimizer, schedules: schedules,
    "ChainedScheduler": lambda module, optimizer, schedules: [module.ChainedScheduler(schedules, optimizer)],
    "SequentialLR": lambda module, optimizer, schedules: [
        module.SequentialLR(optimizer, schedules, [10, 30][: len(schedules) - 1])
    ],
}


@pytest.mark.parametrize("parts", CHAINS, ids=lambda parts: "+".join(name for name, _ in parts))
@pytest.mark.parametrize("way", WAYS)
def test_several_on_one_optimizer(parts, way):
    mine, theirs = (chain(*library, parts, WAYS[way]) for library in ((lr_scheduler, minidl), (THEIRS, torch)))
    for i in range(60):
        if i == 25 and way == "SequentialLR":
            for schedules in (mine, theirs):
                schedules[0].load_state_dict(copy.deepcopy(theirs[0].state_dict()))
        if i == 40 and way == "ChainedScheduler":
            theirs[0].load_state_dict(copy.deepcopy(mine[0].state_dict()))
        for schedules in (mine, theirs):
            schedules[0].optimizer.step()
            for schedule in schedules:
                schedule.step()
        assert_equal_rates(mine[-1], theirs[-1])


PLATEAUS = [
    {}, {"mode": "max"}, {"patience": 2, "factor": 0.5}, {"patience": 0, "cooldown": 3}, {"threshold": 0.1},
    {"threshold": 0.05, "threshold_mode": "abs"}, {"mode": "max", "threshold": 0.02, "threshold_mode": "abs"},
    {"min_lr": [0.1, 0.01], "patience": 1}, {"eps": 0.05, "patience": 1}, {"mode": "max", "patience": 3},
]  # fmt: skip


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_reduce_on_plateau(options, seed):
    mine, theirs = pair("ReduceLROnPlateau", options)
    random = np.random.default_rng(seed)
    metrics = 1 / (1 + np.arange(60)) + random.uniform(0, 0.3, 60)
    for epoch, metric in enumerate(metrics.tolist()):
        if epoch == 30:
            saved = copy.deepcopy(theirs.state_dict())
            assert set(saved) - {"mode_worse", "default_min_lr"} <= set(mine.state_dict())
            mine.load_state_dict(saved)
        mine.step(minidl.tensor(metric, dtype=minidl.float64))
        theirs.step(metric)
        assert_equal_rates(mine, theirs)
        assert (mine.num_bad_epochs, mine.cooldown_counter) == (theirs.num_bad_epochs, theirs.cooldown_counter)


def test_a_schedule_is_never_part_of_a_recorded_step():
    w = minidl.tensor(np.ones(40_000), requires_grad=True)
    q = torch.tensor(w.array, requires_grad=True)
    mine, theirs = optim.Adam([w], lr=0.1), torch.optim.Adam([q], lr=0.1)
    schedules = [
        module.OneCycleLR(optimizer, max_lr=0.3, total_steps=20)
        for module, optimizer in ((lr_scheduler, mine), (THEIRS, theirs))
    ]
    random = np.random.default_rng(0)
    for _ in range(20):
        g = random.standard_normal(40_000)
        w.grad, q.grad = minidl.Tensor(g), torch.tensor(g)
        expected = mine.preview(w)["w"]
        for schedule in schedules:
            schedule.optimizer.step()
            schedule.step()
        np.testing.assert_array_equal(w.array, expected)
    assert np.abs(w.array - q.detach().numpy()).max() <= 1e-12


def test_a_step_before_that_of_the_optimizer_warns_once():
    schedule = lr_scheduler.StepLR(optimizer_of(minidl), 3)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\) came before optimizer.step\(\)"):
        schedule.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.step()
        for kind in (optim.SGD, optim.LBFGS):
            optimizer = kind([minidl.ones(2, requires_grad=True)])
            schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
            optimizer.step(lambda: minidl.tensor(0.0))
            schedule.step()


def test_warm_restarts_resumed_are_where_the_epoch_says():
    options = {"T_0": 4, "T_mult": 2}
    through, jumped = (lr_scheduler.CosineAnnealingWarmRestarts(optimizer_of(minidl), **options) for _ in range(2))
    for _ in range(13):
        step(through)
    resumed = lr_scheduler.CosineAnnealingWarmRestarts(through.optimizer, **options, last_epoch=13)
    jumped.step(14)
    assert resumed.get_last_lr() == jumped.get_last_lr()


def test_warm_restarts_start_again_at_the_very_epoch():
    # 1 + 7 + 49 epochs are three cycles; log(343, 7) is 2.999..., so a formula with logarithms would miss the third.
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer_of(minidl), T_0=1, T_mult=7)
    schedule.step(57)
    assert schedule.get_last_lr() == [0.2, 0.05]


def test_a_cold_start_from_zero():
    schedule = lr_scheduler.ConstantLR(optimizer_of(minidl), factor=0.0, total_iters=2)  # PyTorch divides by zero
    rates = [schedule.get_last_lr()[0]]
    for _ in range(3):
        step(schedule)
        rates.append(schedule.get_last_lr()[0])
    assert rates == [0.0, 0.0, 0.2, 0.2]


@pytest.mark.parametrize(("kind", "options", "share"), [
    (lr_scheduler.ConstantLR, {"factor": 0.1}, 1.0),  # in PyTorch the rate stays at the factor of the start
    (lr_scheduler.LinearLR, {"start_factor": 0.1, "end_factor": 0.5}, 0.5),
    (lr_scheduler.PolynomialLR, {}, 0.0),
])  # fmt: skip
def test_a_warm_up_of_no_epochs_is_over(kind, options, share):
    schedule = kind(optimizer_of(minidl), **options, total_iters=0)
    for _ in range(3):
        assert schedule.get_last_lr() == [0.2 * share, 0.05 * share]
        step(schedule)


class Unknown:
    pass


ERRORS = [
    ("StepLR", lambda o: (Unknown(), 3), TypeError, "an optimizer, got Unknown"),
    ("CyclicLR", lambda o: (Unknown(), 0.1, 0.2), TypeError, "an optimizer, got Unknown"),
    ("OneCycleLR", lambda o: (Unknown(), 0.1, 10), TypeError, "an optimizer, got Unknown"),
    ("ReduceLROnPlateau", lambda o: (Unknown(),), TypeError, "an optimizer, got Unknown"),
    ("StepLR", lambda o: (o, 3, 0.1, 5), KeyError, "no 'initial_lr'"),
    ("LambdaLR", lambda o: (o, [halving]), ValueError, "lr_lambda: expected .* each of 2 groups, got 1"),
    ("MultiplicativeLR", lambda o: (o, 0.5), TypeError, "must be a function"),
    ("ConstantLR", lambda o: (o, 1.5), ValueError, "factor must be from 0 to 1, got 1.5"),
    ("LinearLR", lambda o: (o, 0.0), ValueError, "the first above 0, got 0.0 and 1.0"),
    ("LinearLR", lambda o: (o, 0.5, -0.1), ValueError, "got 0.5 and -0.1"),
    ("CosineAnnealingWarmRestarts", lambda o: (o, 0), ValueError, "from 1, got 0 and 1"),
    ("CosineAnnealingWarmRestarts", lambda o: (o, 2.5), ValueError, "got 2.5 and 1"),
    ("CosineAnnealingWarmRestarts", lambda o: (o, 2, 0), ValueError, "got 2 and 0"),
    ("CosineAnnealingWarmRestarts", lambda o: (o, 2, 1, "a"), ValueError, "eta_min must be a number"),
    ("OneCycleLR", lambda o: (o, 0.1), ValueError, "must be given, as whole numbers"),
    ("OneCycleLR", lambda o: (o, 0.1, -5), ValueError, "whole numbers from 1"),
    ("OneCycleLR", lambda o: (o, 0.1, None, 3, 0), ValueError, "whole numbers from 1"),
    ("OneCycleLR", lambda o: (o, 0.1, 10, None, None, 1.5), ValueError, "pct_start from 0.0 to 1.0"),
    ("OneCycleLR", lambda o: (o, 0.1, 10, None, None, 0.3, "cubic"), ValueError, "'cubic'"),
    ("OneCycleLR", lambda o: (o, [0.1], 10), ValueError, "max_lr: expected"),
    ("CyclicLR", lambda o: (o, 0.1, 0.2, 5, 5, "square"), ValueError, "'square'"),
    ("CyclicLR", lambda o: (o, [0.1], 0.2), ValueError, "base_lr: expected"),
    ("ReduceLROnPlateau", lambda o: (o, "min", 1.0), ValueError, "below 1, got 1.0"),
    ("ReduceLROnPlateau", lambda o: (o, "least"), ValueError, "'least'"),
    ("ReduceLROnPlateau", lambda o: (o, "min", 0.1, 1, 0.1, "both"), ValueError, "'both'"),
    ("ReduceLROnPlateau", lambda o: (o, "min", 0.1, 1, 0.1, "rel", 0, [0.1]), ValueError, "min_lr: expected"),
    ("SequentialLR", lambda o: (o, [], []), ValueError, "at least one schedule"),
    ("ChainedScheduler", lambda o: ([],), ValueError, "at least one schedule"),
    ("SequentialLR", lambda o: (o, [Unknown()], []), TypeError, "schedule 0 is of type Unknown"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "message"), ERRORS, ids=[f"{e[0]} {e[3]}" for e in ERRORS])
def test_errors_are_of_pytorchs_class(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(lr_scheduler, name)(*arguments(optimizer_of(minidl)))
    with pytest.raises(error):
        getattr(THEIRS, name)(*arguments(optimizer_of(torch)))


@pytest.mark.parametrize(("module", "library"), [(lr_scheduler, minidl), (THEIRS, torch)])
def test_errors_of_combinations_and_steps(module, library):
    first, other = optimizer_of(library), optimizer_of(library)
    plain = module.StepLR(first, 3)
    with pytest.raises(ValueError, match="milestone"):
        module.SequentialLR(first, [plain, module.StepLR(first, 4)], [3, 5])
    for combine in (lambda parts: module.SequentialLR(first, parts, [3]), module.ChainedScheduler):
        with pytest.raises(ValueError, match="ReduceLROnPlateau"):
            combine([plain, module.ReduceLROnPlateau(first)])
        with pytest.raises(ValueError, match="optimizer"):
            combine([plain, module.StepLR(other, 3)])
    cycle = module.OneCycleLR(first, max_lr=0.1, total_steps=2, pct_start=0.9)
    for _ in range(2):
        step(cycle)
    with pytest.raises(ValueError, match="3"):
        step(cycle)
    with pytest.raises(ValueError, match="negative"):
        module.CosineAnnealingWarmRestarts(first, 3).step(-1)
    without = library.optim.Adagrad([library.ones(2, requires_grad=True)])
    for kind, arguments in ((module.OneCycleLR, (0.1, 10)), (module.CyclicLR, (0.1, 0.2))):
        with pytest.raises(ValueError, match="cycle_momentum"):
            kind(without, *arguments)


# -- drawn ----------------------------------------------------------------------------------------------------

share = st.floats(0.05, 1.0)
count = st.integers(1, 40)
DRAWN = {
    "StepLR": {"step_size": count, "gamma": share},
    "MultiStepLR": {"milestones": st.lists(st.integers(0, 60)), "gamma": share},
    "ConstantLR": {"factor": share, "total_iters": st.integers(1, 70)},
    "LinearLR": {"start_factor": share, "end_factor": st.floats(0, 1), "total_iters": count},
    "ExponentialLR": {"gamma": st.floats(0.5, 1.2)},
    "PolynomialLR": {"total_iters": count, "power": st.floats(0.5, 4)},
    "CosineAnnealingLR": {"T_max": count, "eta_min": st.floats(0, 0.04)},
    "CosineAnnealingWarmRestarts": {"T_0": count, "T_mult": st.integers(1, 5), "eta_min": st.floats(0, 0.04)},
    "OneCycleLR": {
        "max_lr": share, "total_steps": st.integers(60, 90), "pct_start": st.floats(0.1, 0.45),
        "anneal_strategy": st.sampled_from(["cos", "linear"]), "base_momentum": share, "max_momentum": share,
        "div_factor": st.floats(1, 50), "final_div_factor": st.floats(1, 1e4), "three_phase": st.booleans(),
    },
    "CyclicLR": {
        "base_lr": share, "max_lr": share, "step_size_up": count, "step_size_down": st.none() | count,
        "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]), "gamma": share,
        "base_momentum": share, "max_momentum": share, "cycle_momentum": st.booleans(),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_options(name):
    @settings(max_examples=DRAWS, deadline=None, derandomize=True, database=None)
    @given(st.fixed_dictionaries({}, optional={}), st.data())
    def compare(_, data):
        required = {"step_size", "milestones", "T_max", "T_0", "max_lr", "total_steps", "base_lr", "gamma"}
        options = {
            option: data.draw(strategy, option)
            for option, strategy in DRAWN[name].items()
            if option in required or data.draw(st.booleans(), f"with {option}")
        }
        kind = data.draw(st.sampled_from(["SGD", "Adam"]))
        mine, theirs = pair(name, options, kind)
        jump = data.draw(st.none() | st.integers(0, 59))
        for i in range(60):
            arguments = (jump // 2,) if i == jump else ()
            step(mine, *arguments)
            step(theirs, *arguments)
            assert_equal_rates(mine, theirs)

    compare()


def test_rates_of_the_formulas():
    """What the docstrings say, without PyTorch."""
    warm = lr_scheduler.LinearLR(optimizer_of(minidl), start_factor=0.25, total_iters=3)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer_of(minidl), T_max=10, eta_min=0.01)
    for epoch in range(10):
        assert math.isclose(warm.get_last_lr()[0], 0.2 * min(1, 0.25 + 0.25 * epoch))
        assert math.isclose(cosine.get_last_lr()[0], 0.01 + 0.19 * (1 + math.cos(math.pi * epoch / 10)) / 2)
        step(warm)
        step(cosine)
