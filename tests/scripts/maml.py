"""Weights from which one step of gradient descent leads to any of several sine waves, by torch.func."""

import numpy as np
import torch
import torch.nn as nn
from torch.func import functional_call, grad, hessian

rng = np.random.default_rng(0)
net = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1)).double()
with torch.no_grad():
    for weight in net.parameters():
        weight.copy_(torch.from_numpy(rng.standard_normal(tuple(weight.shape)) / weight.shape[-1] ** 0.5))
params = dict(net.named_parameters())


def loss_at(params, x, y):
    return ((functional_call(net, params, (x,)) - y) ** 2).mean()


def task():
    """Ten points of a wave to learn from, ten to be tested with."""
    amplitude, shift = rng.uniform(0.5, 2), rng.uniform(-1, 1)
    x = torch.from_numpy(rng.uniform(-2, 2, (20, 1)))
    y = amplitude * torch.sin(x + shift)
    return x[:10], y[:10], x[10:], y[10:]


def adapted(params, x, y):
    slopes = grad(loss_at)(params, x, y)
    return {name: weight - 0.1 * slopes[name] for name, weight in params.items()}


optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(120):
    optimizer.zero_grad()
    tasks = [task() for _ in range(4)]
    loss = torch.stack([loss_at(adapted(params, x, y), u, v) for x, y, u, v in tasks]).mean()
    loss.backward()
    optimizer.step()

frozen = {name: weight.detach() for name, weight in params.items()}
x, y, u, v = task()
after = loss_at(adapted(frozen, x, y), u, v)
assert not after.requires_grad
curvature = hessian(lambda bias: loss_at({**frozen, "4.bias": bias}, x, y))(frozen["4.bias"])
print(f"loss {loss_at(frozen, u, v).item():.3f} before the step, {after.item():.3f} after it")
print("final loss", loss.item(), "after", after.item(), "curvature", curvature.item())
