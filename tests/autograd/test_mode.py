"""Whether operations are recorded: the switches as statements, as decorators, and one inside the other."""

from typing import Any

import pytest
import torch

import minidl

both = pytest.mark.parametrize("torch_", [minidl, torch], ids=["minidl", "torch"])


@both
def test_switches_inside_each_other(torch_: Any) -> None:
    seen = []

    def look() -> None:
        seen.append(torch_.is_grad_enabled())

    with torch_.no_grad():
        look()
        with torch_.enable_grad():
            look()
            with torch_.autograd.inference_mode():
                look()
            look()
        with torch_.autograd.inference_mode(False), torch_.set_grad_enabled(False):
            look()
        with torch_.autograd.inference_mode(mode=False):
            look()
        look()
    look()
    assert seen == [False, True, False, True, False, True, False, True]


@both
@pytest.mark.parametrize("name", ["no_grad", "enable_grad", "inference_mode"])
@pytest.mark.parametrize("called", [False, True])
def test_decorators(torch_: Any, name: str, called: bool) -> None:
    switch = getattr(torch_.autograd, name)

    @(switch() if called else switch)
    def function(x: Any, *, factor: int) -> Any:
        """What it is for."""
        return x * factor, torch_.is_grad_enabled()

    y, recording = function(torch_.ones(1, requires_grad=True), factor=2)
    assert y.requires_grad == recording == (name == "enable_grad") and torch_.is_grad_enabled()
    assert (function.__name__, function.__doc__) == ("function", "What it is for.")


@both
def test_a_decorated_generator(torch_: Any) -> None:
    @torch_.no_grad()
    def batches(n: int) -> Any:
        for i in range(n):
            yield i, torch_.is_grad_enabled()

    assert [(i, inside, torch_.is_grad_enabled()) for i, inside in batches(2)] == [(0, False, True), (1, False, True)]


@both
def test_set_grad_enabled_acts_at_once_or_for_a_block(torch_: Any) -> None:
    torch_.set_grad_enabled(False)
    try:
        assert not torch_.is_grad_enabled()
    finally:
        torch_.set_grad_enabled(True)
    with torch_.set_grad_enabled(False):
        assert not torch_.is_grad_enabled()
    assert torch_.is_grad_enabled()


@both
def test_an_error_ends_the_block(torch_: Any) -> None:
    for switch in (torch_.no_grad(), torch_.autograd.inference_mode()):
        with pytest.raises(ValueError, match="why"), switch:
            raise ValueError("why")
        assert torch_.is_grad_enabled()
