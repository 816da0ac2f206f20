"""The mean of the losses whose label counts, for a GPU.

There it takes one launch, and as few on the way back; on the CPU the ordinary ops are as quick.
"""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd import op


@op
def counted_mean(xp: Any, x: Any, target: Any, *, ignore: int) -> Any:
    """The mean of the entries of x whose target is not `ignore`: (n,), (n,) -> (); there is only a kernel for it."""
    return kernels.counted_mean(xp, x, target, ignore)


counted_mean.vjps(
    lambda g, out, x, target, ignore: kernels.counted_mean_input(g, target, ignore) if kernels.fit_without_xp(g)
    else (target != ignore) * g / (target != ignore).sum(),
    None,
)  # fmt: skip
