"""Parameters as one flat array: where they lie, and which are treated together."""

import numpy as np
from optimizer_cases import give_gradients, parameters

from minidl import optim
from minidl.optim.flat import SMALL, Flat


def flat_of(shapes):
    params = parameters(shapes, "float32")
    return Flat(params, [str(i) for i in range(len(params))]), params


def test_parameters_become_views_of_one_array():
    before = [p.array.copy() for p in parameters([(3, 4), (), (2, 5)], "float32")]
    flat, params = flat_of([(3, 4), (), (2, 5)])
    for p, old in zip(params, before, strict=True):
        assert p.array.base is not None and np.shares_memory(p.array, flat.w)
        np.testing.assert_array_equal(p.array, old, strict=True)
    flat.w[...] = 7
    assert all((p.array == 7).all() for p in params)


def test_a_single_parameter_stays_where_it_is():
    (w,) = parameters([(3, 4)])
    before = w.array
    optim.Adam([w])
    assert w.array is before


def test_large_parameters_are_aligned():
    _, params = flat_of([(3,), (SMALL,), (5,), (7,), (SMALL + 1,)])
    assert all(p.array.ctypes.data % 64 == 0 for p in params if p.array.size >= SMALL)


def test_small_neighbours_are_one_piece_and_large_ones_their_own():
    flat, _ = flat_of([(3,), (SMALL,), (5,), (7,), (SMALL - 1,), (SMALL,)])
    pieces = flat._cut(0, 6, (), apart=False)
    assert [(piece.first, piece.last) for piece in pieces] == [(0, 1), (1, 2), (2, 5), (5, 6)]
    assert [piece.g is not None for piece in pieces] == [False, False, True, False]


def test_forty_small_tensors_are_one_piece():
    params = parameters([(16, 16), (16,)] * 20, "float32")
    optimizer = optim.Adam(params)
    give_gradients(params, np.random.default_rng(0))
    optimizer.step()
    ((flat,),) = optimizer._flats
    assert len(flat._cut(0, 40, ("m", "v"), apart=False)) == 1


def test_runs_are_neighbours_with_equally_many_steps():
    flat, _ = flat_of([(2,)] * 6)
    grads = [np.ones(2)] * 6
    flat.steps = [3, 3, 0, 0, 0, 3]
    assert flat.runs(grads) == [(0, 2), (2, 5), (5, 6)]
    grads[3] = None
    assert flat.runs(grads) == [(0, 2), (2, 3), (4, 5), (5, 6)]
