"""The optimizers with each of their options, for every test that must hold for all of them."""

import inspect
import math
import os

import numpy as np
import torch

import minidl
from minidl import optim

DRAWS = int(os.environ.get("MINIDL_DRAWS", "25"))  # of hypothesis
COMMON = [{}, {"weight_decay": 0.1}, {"maximize": True}, {"weight_decay": 0.1, "maximize": True}]
OPTIONS = {
    "SGD": [{"lr": 0.1}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.3}, {"momentum": 0.8, "nesterov": True}],
    "Adagrad": [{"lr": 0.1}, {"lr_decay": 0.05, "initial_accumulator_value": 0.2, "eps": 1e-6}],
    "RMSprop": [
        {"lr": 0.01, "alpha": 0.9},
        {"momentum": 0.9},
        {"centered": True},
        {"centered": True, "momentum": 0.5, "eps": 1e-3},
    ],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.95, "eps": 1e-4}],
    "Adam": [{"lr": 0.01}, {"amsgrad": True, "betas": (0.8, 0.99)}, {"decoupled_weight_decay": True}],
    "AdamW": [{"lr": 0.01}, {"amsgrad": True, "eps": 1e-4}],
    "ASGD": [{"lr": 0.1}, {"lr": 0.1, "lambd": 0.02, "alpha": 0.6, "t0": 7}],
    "Rprop": [{"lr": 0.01}, {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.05)}],
    "Adamax": [{"lr": 0.01}, {"betas": (0.8, 0.9), "eps": 1e-3}],
    "NAdam": [
        {"lr": 0.01},
        {"betas": (0.8, 0.99), "eps": 1e-3, "momentum_decay": 0.1},
        {"decoupled_weight_decay": True},
    ],
    "RAdam": [
        {"lr": 0.01},
        {"betas": (0.8, 0.99), "eps": 1e-3},
        {"betas": (0.9, 0.5)},  # so short a memory that the first rule is the only one
        {"decoupled_weight_decay": True},
    ],
    "Lion": [{"lr": 0.01}, {"betas": (0.8, 0.9)}],
    "Muon": [
        {"lr": 0.01},
        {"nesterov": False, "momentum": 0.8, "adjust_lr_fn": "match_rms_adamw"},
        {"adjust_lr_fn": "original", "ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5), "eps": 1e-3},
    ],
}


def accepts(name, options):
    return set(options) <= set(inspect.signature(getattr(optim, name)).parameters)


CASES = [
    (name, {**own, **common})
    for name, every in OPTIONS.items()
    for own in every
    for common in COMMON
    if accepts(name, common)
]
IDS = [f"{name} {options}" for name, options in CASES]
ELEMENTWISE = [(name, options) for name, options in CASES if name != "Muon"]
SHAPES = [(3, 4), (5,), (), (2, 1, 3)]


def shapes_for(name, shapes=SHAPES):
    """The same numbers of elements, as matrices for the optimizer that takes only these."""
    return [(math.prod(shape[:1]), math.prod(shape[1:])) for shape in shapes] if name == "Muon" else shapes


def parameters(shapes=SHAPES, dtype="float64", seed=0):
    """New leaves with random numbers."""
    random = np.random.default_rng(seed)
    return [minidl.Tensor(random.standard_normal(shape).astype(dtype), requires_grad=True) for shape in shapes]


def give_gradients(params, random, absent=()):
    """A random gradient for each parameter, None for those whose number is in `absent`."""
    for i, p in enumerate(params):
        g = random.standard_normal(p.shape).astype(p.dtype)
        p.grad = None if i in absent else minidl.Tensor(np.asarray(g))


def twins(params):
    """PyTorch's parameters with the same numbers."""
    return [torch.nn.Parameter(torch.tensor(p.array)) for p in params]


def copy_gradients(params, torch_params):
    for p, q in zip(params, torch_params, strict=True):
        q.grad = None if p.grad is None else torch.tensor(p.grad.array)


def distance(params, torch_params):
    return max(np.abs(p.array - q.detach().numpy()).max() for p, q in zip(params, torch_params, strict=True))


def make(name, params, options):
    return getattr(optim, name)(params, **options)


def make_torch(name, params, options):
    return Lion(params, **options) if name == "Lion" else getattr(torch.optim, name)(params, **options)


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2, line by line: what PyTorch does not have."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0, *, maximize=False):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (b1, b2), eta, lam = group["betas"], group["lr"], group["weight_decay"]
            for theta in [p for p in group["params"] if p.grad is not None]:
                g = -theta.grad if group["maximize"] else theta.grad
                m = self.state[theta].setdefault("exp_avg", torch.zeros_like(theta))
                c = b1 * m + (1 - b1) * g
                theta -= eta * (torch.sign(c) + lam * theta)
                self.state[theta]["exp_avg"] = b2 * m + (1 - b2) * g
