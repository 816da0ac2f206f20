"""PyTorch as exact as the numbers that it is compared with."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _pytorch_in_float64(monkeypatch):
    """PyTorch keeps numbers such as NAdam's in its default dtype, and iterates in bfloat16 in Muon."""
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    yield
    torch.set_default_dtype(torch.float32)
