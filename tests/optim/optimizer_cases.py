"""The optimizers with each of their options, for every test that must hold for all of them."""

import numpy as np
import torch

import minidl
from minidl import optim

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
}
CASES = [(name, {**own, **common}) for name, every in OPTIONS.items() for own in every for common in COMMON]
IDS = [f"{name} {options}" for name, options in CASES]
SHAPES = [(3, 4), (5,), (), (2, 1, 3)]


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
    return getattr(torch.optim, name)(params, **options)
