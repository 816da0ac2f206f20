"""Functions that are made of ops: nothing here has a derivative of its own.

Those whose first argument is the tensor are its methods, too.
"""

from minidl.autograd import Tensor
from minidl.functional.arranging import (
    diag, diag_embed, diagflat, diagonal, flip, fliplr, flipud, repeat, repeat_interleave, roll, rot90, tile, trace,
    tril, tril_indices, triu, triu_indices, unfold,
)
from minidl.functional.picking import (
    gather, index_add, index_copy, index_fill, index_put, index_select, masked_fill, masked_scatter, masked_select, narrow,
    nonzero, scatter, scatter_add, select, take, take_along_dim, where,
)
from minidl.functional.products import (
    addbmm, addmm, addmv, addr, baddbmm, bmm, cdist, cross, dot, dot as vdot, einsum, inner, kron, mm, mv, outer,
    outer as ger, tensordot,
)
from minidl.functional.scans import cummax, cummin, cumprod, cumsum, diff, logcumsumexp
from minidl.functional.shapes import (
    atleast_1d, atleast_2d, atleast_3d, block_diag, broadcast_shapes, broadcast_tensors, cartesian_prod, column_stack,
    combinations, dstack, hstack, meshgrid, movedim, movedim as moveaxis, ravel, t, tensor_split, unflatten, vstack,
    vstack as row_stack,
)
from minidl.functional.sorting import (
    argsort, bincount, bucketize, kthvalue, median, mode, msort, nanmedian, quantile, searchsorted, sort, topk, unique,
)
from minidl.ops.indexing import argwhere
from minidl.ops.operators import in_place

METHODS = """
    addbmm addmm addmv addr baddbmm bmm cross diag diag_embed diagflat diagonal dot flip fliplr flipud ger inner kron mm
    moveaxis movedim mv outer ravel repeat repeat_interleave roll rot90 t tensor_split tile trace tril triu
    unflatten unfold vdot
    argsort argwhere bincount cummax cummin cumprod cumsum diff gather index_add index_copy index_fill index_put
    index_select kthvalue logcumsumexp masked_fill masked_scatter masked_select median mode msort nanmedian narrow
    nonzero quantile scatter scatter_add select sort take take_along_dim topk unique
"""
IN_PLACE = "index_add index_copy index_fill index_put masked_fill masked_scatter scatter scatter_add"

for _name in METHODS.split():
    setattr(Tensor, _name, globals()[_name])
for _name in IN_PLACE.split():
    setattr(Tensor, f"{_name}_", in_place(globals()[_name]))
