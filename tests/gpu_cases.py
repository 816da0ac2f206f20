"""What must do the same on a GPU as on the CPU: networks with inputs, and losses, for the stand-in and for a device.

A test file runs on both with a fixture that has the parameters DEVICES and returns what `begin` returns.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import stand_in
from kernels_on_cpu import COMPILER

import minidl
from minidl import Tensor, backend, nn, optim
from minidl.nn import functional as F


def no_device() -> str | None:
    """Why there is no GPU; None if there is one."""
    try:
        backend.as_device("cuda")
    except RuntimeError as error:
        return str(error)
    return None


class Device:
    """A real GPU, of which nobody counts how often the host waits for it."""

    synchronisations = 0


DEVICES = ["stand-in", pytest.param("device", marks=[pytest.mark.gpu, pytest.mark.filterwarnings("default")])]
of_the_stand_in = pytest.mark.parametrize("gpu", ["stand-in"], indirect=True)  # for tests that look inside of it
of_a_device = pytest.mark.parametrize("gpu", DEVICES[1:], indirect=True)
looser = 1.0  # by so much results may differ more: a device adds in another order than the CPU


def begin(device: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let "cuda" be one of DEVICES until the test ends; it is skipped where there is none."""
    if device == "stand-in":
        if COMPILER is None:
            pytest.skip("g++ is missing, which builds the kernels for the CPU")
        return stand_in.install(monkeypatch)
    if (missing := no_device()) is not None:
        pytest.skip(missing)
    monkeypatch.setitem(globals(), "looser", 100.0)
    return Device


def images(channels: int, size: int) -> Tensor:
    return minidl.randn(4, channels, size, size)


def sequence() -> Tensor:
    return minidl.randn(4, 7, 6)


def tokens() -> Tensor:
    return minidl.randint(0, 10, (4, 7))


class Last(nn.Module):
    """The output of a recurrent layer, without its state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        return self.layer(x, x, x, attn_mask=mask)[0]


class Translating(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Transformer(6, 2, 1, 1, 12, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        return self.layer(x, x, tgt_mask=mask, tgt_is_causal=True)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "MLP": (lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), lambda: minidl.randn(4, 6)),
    "CNN": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                                  nn.Conv2d(4, 4, 3, groups=2, stride=2), nn.Tanh(), nn.AvgPool2d(2)),
            lambda: images(1, 12)),
    "bias and ReLU": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                                            nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 3)), lambda: images(2, 8)),
    "overlapping pools": (lambda: nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 1, 1)),
                          lambda: images(2, 9)),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(2, 4, 3, stride=2), nn.GroupNorm(2, 4), nn.GELU(),
                                         nn.AdaptiveAvgPool2d(2)), lambda: images(2, 5)),
    "one dimension": (lambda: nn.Sequential(nn.Conv1d(6, 4, 3, dilation=2), nn.InstanceNorm1d(4), nn.MaxPool1d(2)),
                      lambda: minidl.randn(4, 6, 11)),
    "three dimensions": (lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.MaxPool3d(2)),
                         lambda: minidl.randn(2, 1, 5, 5, 5)),
    "unfold": (lambda: nn.Sequential(nn.Linear(6, 6), nn.Unfold((2, 3)), nn.Fold((7, 6), (2, 3))),
               lambda: minidl.randn(4, 1, 7, 6)),
    "RNN": (lambda: Last(nn.RNN(6, 5, num_layers=2, batch_first=True)), sequence),
    "LSTM": (lambda: Last(nn.LSTM(6, 5, batch_first=True, bidirectional=True)), sequence),
    "GRU": (lambda: Last(nn.GRU(6, 5, batch_first=True)), sequence),
    "attention": (Attending, sequence),
    "encoder": (lambda: nn.TransformerEncoderLayer(6, 2, 12, dropout=0.0, batch_first=True), sequence),
    "transformer": (Translating, sequence),
    "embedding": (lambda: nn.Sequential(nn.Embedding(10, 6, padding_idx=0), nn.LayerNorm(6), nn.Linear(6, 3)), tokens),
}  # fmt: skip


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": lambda x, y: F.cross_entropy(x, y),
    "sum": lambda x, y: F.cross_entropy(x, y, reduction="sum"),
    "weights": lambda x, y: F.cross_entropy(x, y, weight=minidl.arange(1.0, 4.0, device=x.device)),
    "smoothing": lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1),
    "another label ignored": lambda x, y: F.cross_entropy(x, y, ignore_index=1),
    "nll_loss": lambda x, y: F.nll_loss(F.log_softmax(x, 1), y),
    "mse_loss": lambda x, y: F.mse_loss(x, x.detach() * 0.5),
    "binary": lambda x, y: F.binary_cross_entropy_with_logits(x[:, 0], (y > 0).to(x.dtype)),
    "huber_loss": lambda x, y: F.huber_loss(x, x.detach() * 0.5),
    "kl_div": lambda x, y: F.kl_div(F.log_softmax(x, 1), F.softmax(x.detach() * 0.5, 1), reduction="batchmean"),
}  # fmt: skip


# How matrices may lie in memory: each makes an array of a shape, out of what `make` gives for another shape.
LAYOUTS: dict[str, Callable[..., Any]] = {
    "by rows": lambda xp, shape, make: make(shape),
    "by columns": lambda xp, shape, make: make((*shape[:-2], shape[-1], shape[-2])).swapaxes(-1, -2),
    "batch last": lambda xp, shape, make: xp.moveaxis(make((*shape[-2:], *shape[:-2])), (0, 1), (-2, -1)),
    "batch turned": lambda xp, shape, make: make((*shape[:-2][::-1], *shape[-2:])).transpose(
        *range(len(shape) - 2)[::-1], len(shape) - 2, len(shape) - 1),
    "between others": lambda xp, shape, make: make((*shape[:-1], shape[-1] + 3))[..., 1 : shape[-1] + 1],
    "every other row": lambda xp, shape, make: make((*shape[:-2], 2 * shape[-2], shape[-1]))[..., ::2, :],
    "every other column": lambda xp, shape, make: make((*shape[:-1], 2 * shape[-1]))[..., ::2],
    "rows upside down": lambda xp, shape, make: make(shape)[..., ::-1, :],
    "columns reversed": lambda xp, shape, make: make(shape)[..., ::-1],
    "batch reversed": lambda xp, shape, make: make(shape)[::-1],
    "one row, repeated": lambda xp, shape, make: xp.broadcast_to(make((*shape[:-2], 1, shape[-1])), shape),
    "one column, repeated": lambda xp, shape, make: xp.broadcast_to(make((*shape[:-1], 1)), shape),
    "one matrix, repeated": lambda xp, shape, make: xp.broadcast_to(make(shape[-2:]), shape),
    "windows": lambda xp, shape, make: xp.lib.stride_tricks.as_strided(
        row := make((*shape[:-2], shape[-2] + shape[-1])), shape, (*row.strides, row.itemsize)),
}  # fmt: skip


def trained(model: nn.Module, x: Tensor, steps: int = 2) -> nn.Module:
    """The model after some steps of Adam on the squares of its outputs."""
    optimizer = optim.Adam(model.parameters(), lr=0.01, eps=1e-3)  # gradients that are but rounding move nothing
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model


def on_host(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().cpu().numpy().copy() for name, value in model.state_dict().items()}


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], rtol: float = 1e-4) -> None:
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=rtol * looser, atol=1e-5 * looser, err_msg=name)
