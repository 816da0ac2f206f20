"""A network of two layers as nn.Sequential, in float64: steps by hand, then by every common optimizer."""

import copy

import numpy as np
import torch

rng = np.random.default_rng(0)
examples, inputs, hidden, outputs = 64, 100, 50, 10
x = torch.as_tensor(rng.standard_normal((examples, inputs)), dtype=torch.float64)
y = torch.as_tensor(rng.standard_normal((examples, outputs)), dtype=torch.double)

start = torch.nn.Sequential(
    torch.nn.Linear(inputs, hidden),
    torch.nn.ReLU(),
    torch.nn.Linear(hidden, outputs),
).double()
for parameter in start.parameters():
    parameter.data.copy_(torch.from_numpy(rng.uniform(-0.1, 0.1, parameter.shape)))
print(start)
loss_fn = torch.nn.MSELoss(reduction="sum")

model = copy.deepcopy(start)
for _ in range(200):
    loss = loss_fn(model(x), y)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for param in model.parameters():
            param -= 1e-3 * param.grad
results = {"loss": loss.item()}

optimizers = {
    "sgd": lambda weights: torch.optim.SGD(weights, lr=1e-3, momentum=0.9, nesterov=True),
    "adam": lambda weights: torch.optim.Adam(weights, lr=1e-3),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.1),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, lr=1e-4),
    "adagrad": lambda weights: torch.optim.Adagrad(weights, lr=1e-2),
    "adadelta": lambda weights: torch.optim.Adadelta(weights),
}
for name, make in optimizers.items():
    model = copy.deepcopy(start)
    optimizer = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.99)
    for _ in range(50):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
    results[name] = loss.item()

first = model[0]
print("the first layer:", first.weight.size(), first.bias.numel(), optimizer.param_groups[0]["lr"])
print("final", " ".join(f"{name} {value}" for name, value in results.items()))
