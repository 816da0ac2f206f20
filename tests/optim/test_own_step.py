"""An optimizer in PyTorch's form: a class whose `step` keeps what it needs in `self.state[p]`."""

from typing import Any

import numpy as np
import pytest
import torch

import minidl


def heavy_ball(m: Any) -> Any:
    """The class, written once for minidl and PyTorch."""

    class HeavyBall(m.optim.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1, mu: float = 0.9) -> None:
            super().__init__(params, {"lr": lr, "mu": mu})

        @m.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in [p for p in group["params"] if p.grad is not None]:
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"], state["velocity"] = 0, m.zeros_like(p)
                    state["step"] += 1
                    state["velocity"].mul_(group["mu"]).add_(p.grad)
                    p.add_(state["velocity"], alpha=-group["lr"])

    return HeavyBall


def path(m: Any, steps: int, resumed: int) -> list[Any]:
    """The weights after each step, and what is remembered at last; after `resumed` steps a new optimizer goes on."""
    w = m.tensor([1.0, -2.0], requires_grad=True)
    optimizer, points = heavy_ball(m)([w]), []
    for step in range(steps):
        if step == resumed:
            saved = optimizer.state_dict()
            optimizer = heavy_ball(m)([w], lr=7.0)
            optimizer.load_state_dict(saved)
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        points.append(w.tolist())
    return [*points, optimizer.state[w]["velocity"].tolist(), [optimizer.state[w]["step"]]]


def test_it_goes_the_same_way_as_under_pytorch() -> None:
    for ours, theirs in zip(path(minidl, 6, 3), path(torch, 6, 3), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_what_is_asked_for_is_made_once_and_kept() -> None:
    w = minidl.ones(2, requires_grad=True)
    optimizer = heavy_ball(minidl)([w])
    first = optimizer.state[w]
    assert first == {} and optimizer.state[w] is first
    first["seen"] = True
    assert optimizer.state[w] == {"seen": True} and optimizer.state_dict()["state"] == {0: {"seen": True}}


@pytest.mark.parametrize("kind", [minidl.optim.Adam, minidl.optim.SGD, minidl.optim.LBFGS])
def test_the_optimizers_of_minidl_have_an_empty_state_before_the_first_step(kind: Any) -> None:
    w = minidl.ones(2, requires_grad=True)
    optimizer = kind([w])
    assert optimizer.state == {} and optimizer.state[w] == {}
    assert optimizer.state_dict()["state"] == {}
