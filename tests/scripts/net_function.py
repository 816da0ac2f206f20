"""Functions with a backward of one's own: a ReLU, and a power whose exponent is no tensor."""

import math

import numpy as np
import torch


class OwnReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


class Power(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, exponent):
        ctx.exponent = exponent
        ctx.save_for_backward(x)
        return x**exponent

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * ctx.exponent * x ** (ctx.exponent - 1), None


power = Power.apply
x = torch.linspace(-1, 1, 50, dtype=torch.double, requires_grad=True)
assert torch.autograd.gradcheck(lambda x: power(x, 3), (x,))

# sin(x) by a polynomial of the third degree
x = torch.linspace(-math.pi, math.pi, 500)
y = torch.sin(x)
a, b, c, d = (torch.full((), start, requires_grad=True) for start in (0.3, -1.0, 0.1, 0.2))
for _ in range(1000):
    polynomial = a + b * x + c * power(x, 2) + d * power(x, 3)
    curve_loss = (polynomial - y).pow(2).sum()
    curve_loss.backward()
    with torch.no_grad():
        for weight in (a, b, c, d):
            weight -= 4e-6 * weight.grad
            weight.grad = None
print(f"sin(x) is about {a.item():.3f} + {b.item():.3f} x + {c.item():.3f} x^2 + {d.item():.3f} x^3")

# and the network of two layers
rng = np.random.default_rng(0)
shapes = (64, 100), (64, 10), (100, 50), (50, 10)
x, y, w1, w2 = (torch.from_numpy(rng.standard_normal(shape)).float() for shape in shapes)
w1.requires_grad_()
w2.requires_grad_()
for _ in range(200):
    loss = (OwnReLU.apply(x @ w1) @ w2 - y).square().sum()
    loss.backward()
    with torch.no_grad():
        for weight in (w1, w2):
            weight.sub_(5e-6 * weight.grad)
            weight.grad.zero_()
print("final loss", loss.item(), "curve", curve_loss.item())
