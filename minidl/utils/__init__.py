"""What PyTorch keeps under `torch.utils`; `data` is `minidl.data`."""

from minidl.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
