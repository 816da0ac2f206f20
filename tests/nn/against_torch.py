"""What the tests of minidl.nn share: run a module of ours and PyTorch's on the same numbers and compare everything."""

import warnings

import numpy as np
import torch

import minidl
from minidl import nn

random = np.random.default_rng(0)


def normal(*shape):
    return random.standard_normal(shape)


def build(nn):
    """The same small network with a shared layer, a buffer and a frozen part, in either library."""

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm = nn.BatchNorm1d(width)
            self.scale = nn.Parameter(nn.init.ones_(nn.Linear(width, 1).weight.data[0]))
            self.first = nn.Linear(width, width)

        def forward(self, x):
            return self.norm(self.first(x)) * self.scale

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([Block(4), Block(4)])
            self.again = self.blocks[0]
            self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Sequential(nn.ReLU(), nn.Linear(4, 2))})
            self.heads["b"][1].weight = self.heads["a"].weight
            self.register_parameter("missing", None)
            self.register_buffer("offset", self.blocks[0].scale.data + 1)
            self.register_buffer("scratch", self.blocks[0].scale.data + 2, persistent=False)
            self.bias = nn.Parameter(self.blocks[0].scale.data + 3)

        def forward(self, x):
            for block in self.blocks:
                x = self.again(block(x)) + self.bias + self.offset
            return self.heads["a"](x) + self.heads["b"](x)

    return Net()


def pair(make):
    """`make(nn)` as ours and as PyTorch's module, both float64 and with PyTorch's weights."""
    torch.manual_seed(0)
    theirs, ours = make(torch.nn).double(), make(nn).double()
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs


def assert_same(ours, theirs, *inputs, values=1e-12, gradients=1e-10):
    """Equal results, gradients of inputs and parameters, and buffers; floating inputs get gradients."""
    mine = [minidl.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    other = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those that are wanted have tests of their own
        got, expected = ours(*mine), theirs(*other)
    close(got.array, expected, values)
    if not expected.requires_grad:
        return
    upstream = random.uniform(0.5, 1.5, tuple(expected.shape))
    got.backward(minidl.tensor(upstream))
    expected.backward(torch.tensor(upstream))
    for x, y in zip(mine, other, strict=True):
        if y.grad is not None:
            close(x.grad.array, y.grad, gradients)
    if isinstance(ours, nn.Module):
        for (name, x), (_, y) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert x.grad.shape == x.shape, name
            close(x.grad.array, y.grad, gradients)
        for (name, x), (other_name, y) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
            assert name == other_name
            close(x.array, y, values)


def close(array, expected, tolerance):
    expected = expected.detach().numpy()
    assert array.dtype == expected.dtype
    np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance)
