"""Networks as classes: one of two layers, and one that chooses its depth anew in each step and shares its weights."""

import random

import numpy as np
import torch
from torch import nn


class TwoLayers(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super(TwoLayers, self).__init__()  # noqa: UP008 (as many scripts still write it)
        self.linear1 = nn.Linear(inputs, hidden)
        self.linear2 = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.linear2(self.linear1(x).clamp(min=0))


class AnyDepth(nn.Module):
    """Between the first and the last layer stand none to three others, which are all the same one."""

    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        h = torch.relu(self.first(x))
        for _ in range(random.randint(0, 3)):
            h = torch.relu(self.middle(h))
        return self.scale * self.last(h)


rng = np.random.default_rng(0)
random.seed(0)
x = torch.tensor(rng.standard_normal((64, 100)), dtype=torch.float64)
y = torch.tensor(rng.standard_normal((64, 10)), dtype=torch.float64)
final = {}
for kind in (TwoLayers, AnyDepth):
    model = kind(100, 50, 10).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "scale":
                parameter.copy_(torch.tensor(rng.uniform(-0.1, 0.1, tuple(parameter.shape))))
    criterion = nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    for step in range(300):
        loss = criterion(model(x), y)
        if step % 100 == 0:
            print(kind.__name__, step, loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    final[kind.__name__.lower()] = loss.item()
print(model, sum(p.numel() for p in model.parameters() if p.requires_grad), "parameters")
print("final", " ".join(f"{name} {value}" for name, value in final.items()))
