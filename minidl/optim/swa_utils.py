"""PyTorch's name for `minidl.train.averaging`: averages of a network's weights along its training.

They are networks themselves, so they stand above `nn`; nothing in `optim` imports this file.
"""

from minidl.train.averaging import (  # noqa: F401, I001
    SWALR, AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn, get_swa_avg_fn, get_swa_multi_avg_fn, update_bn,
)  # fmt: skip

__all__ = [name for name in dir() if name[0] != "_"]
