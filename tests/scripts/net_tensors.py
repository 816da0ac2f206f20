"""A network of two layers on plain tensors: the forward pass, the gradients and the steps, all by hand."""

import numpy as np
import torch

device = torch.device("cpu")
dtype = torch.float

# The numbers come from NumPy, so that every library starts from the same ones.
rng = np.random.default_rng(0)
examples, inputs, hidden, outputs = 64, 100, 50, 10
x = torch.tensor(rng.standard_normal((examples, inputs)), device=device, dtype=dtype)
y = torch.tensor(rng.standard_normal((examples, outputs)), device=device, dtype=dtype)
w1 = torch.from_numpy(rng.standard_normal((inputs, hidden))).float()
w2 = torch.from_numpy(rng.standard_normal((hidden, outputs))).float()

learning_rate = 5e-6
for step in range(400):
    # Forward: matrix product, ReLU, matrix product, sum of squares.
    h = x.mm(w1)
    h_relu = h.clamp(min=0)
    prediction = h_relu.mm(w2)
    loss = (prediction - y).pow(2).sum()
    if step % 100 == 0:
        print(step, loss.item())

    # Backward: the same way back, by the chain rule.
    grad_prediction = 2.0 * (prediction - y)
    grad_w2 = h_relu.t().mm(grad_prediction)
    grad_h = grad_prediction.mm(w2.t()).clone()
    grad_h[h < 0] = 0
    grad_w1 = x.t().mm(grad_h)

    w1 -= learning_rate * grad_w1
    w2 -= learning_rate * grad_w2

print("final loss", loss.item())
