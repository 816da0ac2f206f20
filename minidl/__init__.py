"""minidl: a deep-learning framework to read, to study and to work with, under PyTorch's names, on NumPy or CuPy."""

from importlib import import_module as _import_module

import numpy as _np

from minidl import pages as _pages
from minidl import autograd, backends, cuda, data, functional, linalg, nn, ops, optim, random, train, utils
from minidl.optim import swa_utils as _swa_utils  # so that it can be called optim.swa_utils
from minidl.autograd import Tensor, enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled, tensor
from minidl.autograd.tensor import is_tensor
from minidl.backend import (
    Generator, can_cast, device, get_default_dtype, manual_seed, promote_types, set_default_dtype, set_printoptions,
)
from minidl.backends import get_float32_matmul_precision, set_float32_matmul_precision
from minidl.functional import (
    addcdiv, addcmul, allclose, array_equal as equal, clamp, clamp as clip, clamp_max, clamp_min, deg2rad, div,
    div as divide, float_power, frac, heaviside, isclose, lerp, logit, nan_to_num, positive, rad2deg, result_type,
    addbmm, addmm, addmv, addr, atleast_1d, atleast_2d, atleast_3d, baddbmm, block_diag, bmm, broadcast_shapes,
    broadcast_tensors, cartesian_prod, cat, cat as concat, cat as concatenate, cdist, chunk, column_stack,
    combinations, corrcoef, cov, cross, diag, diag_embed, diagflat, diagonal, dist, dot, dsplit, dstack, einsum,
    expand as broadcast_to, flatten, flip, fliplr, flipud, ger, hsplit, hstack, inner, kron, matmul, meshgrid, mm,
    moveaxis, movedim, mv, outer, permute, ravel, repeat_interleave, roll, rot90, row_stack, split, t, tensor_split,
    tensordot, tile, trace, tril, tril_indices, triu, triu_indices, unbind, unflatten, vdot, vsplit, vstack, argsort,
    argwhere, bincount, bucketize, cummax, cummin, cumprod, cumsum, diff, gather, index_add, index_copy, index_fill,
    index_put, index_select, isin, kthvalue, logcumsumexp, masked_fill, masked_scatter, masked_select, median, mode,
    msort, nanmedian, narrow, nonzero, one_hot, quantile, scatter, scatter_add, searchsorted, select, sort, take,
    take_along_dim, topk, unique, where,
)
from minidl.io import load, save
from minidl.linalg import cholesky, det, inv as inverse, logdet, matrix_power, slogdet
from minidl.nn.functional import (
    adaptive_avg_pool1d, adaptive_max_pool1d, avg_pool1d, channel_shuffle, conv1d, conv2d, conv3d, conv_transpose1d,
    conv_transpose2d, conv_transpose3d, max_pool1d, max_pool2d, max_pool3d, pixel_shuffle, pixel_unshuffle,
)
from minidl.nn.functional import (
    celu, cosine_similarity, hardshrink, pairwise_distance, pdist, prelu, rrelu, selu, threshold,
)
from minidl.functional.creation import (
    arange, as_tensor, empty, empty_like, eye, from_numpy, full, full_like, linspace, logspace, ones, ones_like, zeros,
    zeros_like,
)
from minidl.ops.elementwise import (
    abs, abs as absolute, add, ceil, copysign, divide as true_divide, erf, erfc, exp, exp2, expm1, floor, floor_divide,
    fmax, fmin, fmod, log, log1p, log2, log10, logaddexp, maximum, minimum, multiply, multiply as mul, negative,
    negative as neg, power as pow, reciprocal, relu, remainder, round, rsqrt, sigmoid, sign, sign as sgn, sqrt, square,
    subtract, subtract as sub, tanh, trunc, trunc as fix, xlogy,
)
from minidl.functional.reductions import (
    all, amax, amin, aminmax, any, argmax, argmin, count_nonzero, log_softmax, logsumexp, max, mean, min, nanmean,
    nansum, norm, prod, softmax, std, std_mean, sum, var, var_mean,
)
from minidl.ops.logic import (
    bitwise_and, bitwise_not, bitwise_or, bitwise_xor, equal as eq, greater,
    greater as gt, greater_equal, greater_equal as ge, isfinite, isinf, isnan,
    left_shift as bitwise_left_shift, less, less as lt, less_equal, less_equal as le, logical_and, logical_not,
    logical_or, logical_xor, not_equal, not_equal as ne, right_shift as bitwise_right_shift,
)
from minidl.functional.methods import is_floating_point, reshape
from minidl.functional.random import (
    bernoulli, multinomial, normal, rand, rand_like, randint, randint_like, randn, randn_like, randperm,
)
from minidl.random import get_rng_state, initial_seed, seed, set_rng_state
from minidl.replay import compile
from minidl.threads import get_num_threads, set_num_threads
from minidl.ops.shapes import (
    squeeze, stack, swapaxes, swapaxes as swapdims, swapaxes as transpose, unsqueeze,
)
from minidl.ops.trigonometry import (
    acos, acos as arccos, acosh, acosh as arccosh, asin, asin as arcsin, asinh, asinh as arcsinh, atan, atan as arctan,
    atan2, atan2 as arctan2, atanh, atanh as arctanh, cos, cosh, hypot, sin, sinc, sinh, tan,
)

_pages.keep()

__version__ = "0.1.0"

float16, float32, float64 = _np.dtype("float16"), _np.dtype("float32"), _np.dtype("float64")
int8, int16, int32, int64 = _np.dtype("int8"), _np.dtype("int16"), _np.dtype("int32"), _np.dtype("int64")
uint8, bool = _np.dtype("uint8"), _np.dtype("bool")
half, float, double, short, int, long = float16, float32, float64, int16, int32, int64
finfo, iinfo = _np.finfo, _np.iinfo
numel, detach, clone = Tensor.numel, Tensor.detach, functional.methods.METHODS["clone"]
Size, dtype, inf, nan, pi, e, newaxis = tuple, _np.dtype, _np.inf, _np.nan, _np.pi, _np.e, None


def __getattr__(name: str) -> object:
    """Modules that are imported when they are first asked for: programs that only train do without them."""
    if name in ("study", "distributions", "func", "special", "testing"):
        return _import_module(f"minidl.{name}")
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")
