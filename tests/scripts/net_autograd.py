"""A network of two layers whose gradients come from autograd, in the present style and in that of old scripts."""

import numpy as np
import torch
from torch.autograd import Variable

rng = np.random.default_rng(0)
examples, inputs, hidden, outputs = 64, 100, 50, 10
x = torch.Tensor(rng.standard_normal((examples, inputs)).tolist())
y = torch.FloatTensor(rng.standard_normal((examples, outputs)).tolist())
start1 = torch.tensor(rng.standard_normal((inputs, hidden)), dtype=torch.float32)
start2 = torch.tensor(rng.standard_normal((hidden, outputs)), dtype=torch.float32)
learning_rate = 5e-6


def loss_of(w1: torch.Tensor, w2: torch.Tensor) -> torch.Tensor:
    return (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()


# Today: tensors that require a gradient, and steps that are not recorded.
w1 = start1.clone().requires_grad_(True)
w2 = start2.clone().requires_grad_(True)
for step in range(400):
    loss = loss_of(w1, w2)
    if step % 100 == 0:
        print(step, loss.item())
    loss.backward()
    with torch.no_grad():
        w1 -= learning_rate * w1.grad
        w2 -= learning_rate * w2.grad
        w1.grad.zero_()
        w2.grad = None

# Formerly: Variables, which are tensors now, and steps on their data.
v1 = Variable(start1.clone(), requires_grad=True)
v2 = Variable(start2.clone(), requires_grad=True)
for _ in range(400):
    old = loss_of(v1, v2)
    old.backward()
    for v in (v1, v2):
        v.data -= learning_rate * v.grad.data
        v.grad.data.zero_()

# A third way: torch.autograd.grad, which leaves .grad alone.
g1, g2 = torch.autograd.grad(loss_of(w1, w2), [w1, w2])
assert isinstance(g1, torch.Tensor) and isinstance(v1, Variable) and type(old) == torch.Tensor  # noqa: E721
print("final loss", loss.item(), "old", old.item(), "slope", (g1.norm() + g2.norm()).item())
