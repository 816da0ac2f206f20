"""PyTorch's `torch.special`: other names of functions that minidl has, and the normal distribution's integral."""

from __future__ import annotations

import math

from minidl.autograd import Tensor
from minidl.functional import logit as logit
from minidl.functional.reductions import log_softmax as log_softmax
from minidl.functional.reductions import logsumexp as logsumexp
from minidl.functional.reductions import softmax as softmax
from minidl.ops.elementwise import erf as erf
from minidl.ops.elementwise import erfc as erfc
from minidl.ops.elementwise import exp2 as exp2
from minidl.ops.elementwise import expm1 as expm1
from minidl.ops.elementwise import log1p as log1p
from minidl.ops.elementwise import round as round
from minidl.ops.elementwise import sigmoid as expit  # noqa: F401
from minidl.ops.elementwise import xlogy as xlogy
from minidl.ops.trigonometry import sinc as sinc


def ndtr(input: Tensor) -> Tensor:
    """The area under the standard normal density up to each entry.

    >>> import minidl
    >>> ndtr(minidl.tensor([0.0, 1.96]))
    tensor([0.5      , 0.9750021])
    """
    return erfc(input * -math.sqrt(0.5)) * 0.5


def entr(input: Tensor) -> Tensor:
    """-x ln x, 0 at 0: the share of each probability in an entropy."""
    return -xlogy(input, input)
