"""minidl: a deep-learning framework to read, to study and to work with, under PyTorch's names, on NumPy or CuPy."""

import numpy as _np

from minidl import autograd, data, nn, ops, optim, train
from minidl.autograd import Tensor, enable_grad, is_grad_enabled, no_grad, set_grad_enabled, tensor
from minidl.backend import Generator, device, get_default_dtype, manual_seed, set_default_dtype
from minidl.io import load, save
from minidl.ops.creation import (
    arange, from_numpy, full, linspace, ones, ones_like, rand, randint, randn, randperm, zeros, zeros_like,
)
from minidl.ops.elementwise import (
    abs, add, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, ceil, clamp, cos, divide, erf, exp, expm1, floor,
    floor_divide, isfinite, isinf, isnan, log, log1p, logical_and, logical_not, logical_or, maximum, minimum,
    multiply, negative, relu, remainder, round, sigmoid, sign, sin, sqrt, square, subtract, tanh, where,
)
from minidl.ops.elementwise import divide as div, equal as eq, greater as gt, greater_equal as ge, less as lt
from minidl.ops.elementwise import less_equal as le, multiply as mul, negative as neg, not_equal as ne
from minidl.ops.elementwise import power as pow, subtract as sub
from minidl.ops.functions import (
    all, amax, amin, any, argmax, argmin, log_softmax, logsumexp, max, mean, min, softmax, std, sum, var,
)
from minidl.ops.indexing import one_hot
from minidl.ops.operators import reshape
from minidl.ops.products import matmul
from minidl.ops.shapes import cat, chunk, expand, flatten, permute, split, squeeze, stack, swapaxes, unsqueeze
from minidl.ops.shapes import cat as concatenate, swapaxes as transpose

__version__ = "0.1.0"

float16, float32, float64 = _np.dtype("float16"), _np.dtype("float32"), _np.dtype("float64")
int8, int16, int32, int64 = _np.dtype("int8"), _np.dtype("int16"), _np.dtype("int32"), _np.dtype("int64")
uint8, bool = _np.dtype("uint8"), _np.dtype("bool")
half, float, double, int, long = float16, float32, float64, int32, int64
