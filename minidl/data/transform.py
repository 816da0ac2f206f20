"""What a transform of images is: a function of an array of images, called with one image or a batch.

Those that there are stand in `transforms.py` and `warps.py`.
"""

from __future__ import annotations

from minidl.autograd import Tensor
from minidl.backend import Array


class Transform:
    """Base class: define `apply(images)` on an array (N, C, H, W); calling it takes one image or a batch.

    >>> import minidl
    >>> class Negative(Transform):
    ...     def apply(self, images): return 1 - images
    >>> Negative()(minidl.ones(1, 2, 2)).shape
    (1, 2, 2)
    """

    def __call__(self, images: Tensor) -> Tensor:
        if images.ndim not in (3, 4):
            raise ValueError(f"{type(self).__name__}: expected (C, H, W) or (N, C, H, W), got shape {images.shape}")
        if images.ndim == 4:
            return Tensor(self.apply(images.array))
        return Tensor(self.apply(images.array[None])[0])

    def apply(self, images: Array) -> Array:
        """The changed images."""
        raise TypeError(f"{type(self).__name__} does not say what it does: define apply(self, images)")

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"
