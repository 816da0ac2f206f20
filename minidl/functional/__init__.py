"""PyTorch's words: functions that call one op or are made of several.  None has a derivative of its own.

Those whose first argument is the tensor are its methods, too; the table is in methods.py.
"""

from minidl.functional import methods as methods  # which gives Tensor its operators and methods
from minidl.functional.arranging import (
    diag, diag_embed, diagflat, diagonal, flip, fliplr, flipud, repeat, repeat_interleave, roll, rot90, tile, trace,
    tril, tril_indices, triu, triu_indices, unfold,
)
from minidl.functional.elementwise import (
    addcdiv, addcmul, allclose, array_equal, clamp, clamp_max, clamp_min, deg2rad, div, float_power, frac, heaviside,
    isclose, lerp, logit, nan_to_num, positive, rad2deg, result_type,
)
from minidl.functional.picking import (
    gather, index_add, index_copy, index_fill, index_put, index_select, masked_fill, masked_scatter, masked_select,
    narrow, nonzero, one_hot, scatter, scatter_add, select, take, take_along_dim, where,
)
from minidl.functional.products import (
    addbmm, addmm, addmv, addr, baddbmm, bmm, cdist, corrcoef, cov, cross, dist, dot, dot as vdot, einsum, inner, kron,
    matmul, mm, mv, outer, outer as ger, tensordot,
)
from minidl.functional.scans import cummax, cummin, cumprod, cumsum, diff, logcumsumexp
from minidl.functional.shapes import (
    atleast_1d, atleast_2d, atleast_3d, block_diag, broadcast_shapes, broadcast_tensors, cartesian_prod, cat, chunk,
    column_stack, combinations, dsplit, dstack, expand, flatten, hsplit, hstack, meshgrid, movedim,
    movedim as moveaxis, permute, ravel, split, t, tensor_split, unbind, unflatten, vsplit, vstack,
    vstack as row_stack,
)
from minidl.functional.sorting import (
    argsort, bincount, bucketize, isin, kthvalue, median, mode, msort, nanmedian, quantile, searchsorted, sort, topk,
    unique,
)
from minidl.ops.indexing import argwhere
