"""What PyTorch keeps under `torch.utils`."""

from minidl.utils import checkpoint

__all__ = ["checkpoint"]
