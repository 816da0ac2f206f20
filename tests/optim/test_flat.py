"""Parameters as one flat array: where they lie, and which are treated together."""

import numpy as np
import pytest
from optimizer_cases import give_gradients, parameters

import minidl
from minidl import optim
from minidl.optim.flat import SMALL, Flat


def flat_of(shapes):
    params = parameters(shapes, "float32")
    return Flat(0, params, [str(i) for i in range(len(params))]), params


@pytest.mark.parametrize("shapes", [[(3, 4)], [(3, 4), (), (2, 5)], [(SMALL,), (3,), (4,)]], ids=str)
def test_weights_are_changed_where_they_lie(shapes):
    params = parameters(shapes, "float32")
    arrays, detached = [p.array for p in params], [p.detach() for p in params]
    optimizer = optim.Adam(params)
    give_gradients(params, np.random.default_rng(0))
    optimizer.step()
    for p, array, other in zip(params, arrays, detached, strict=True):
        assert p.array is array and np.array_equal(other.array, p.array)


def test_weights_that_are_not_contiguous_are_changed_too():
    numbers = np.zeros((3, SMALL), "float32")
    w = minidl.Tensor(numbers.T, requires_grad=True)
    w.grad = minidl.ones(SMALL, 3)
    optim.SGD([w], lr=0.5).step()
    assert (numbers == -0.5).all()


def test_small_neighbours_are_one_piece_and_large_ones_their_own():
    flat, _ = flat_of([(3,), (SMALL,), (5,), (7,), (SMALL - 1,), (SMALL,)])
    pieces = flat._cut(0, 6, (), apart=False)
    assert [(piece.first, piece.last) for piece in pieces] == [(0, 1), (1, 2), (2, 5), (5, 6)]
    assert [piece.gathered is not None for piece in pieces] == [False, False, True, False]


def test_forty_small_tensors_are_one_piece():
    params = parameters([(16, 16), (16,)] * 20, "float32")
    optimizer = optim.Adam(params)
    give_gradients(params, np.random.default_rng(0))
    optimizer.step()
    (flat,) = optimizer._flats
    assert len(flat._cut(0, 40, ("m", "v"), apart=False)) == 1


def test_runs_are_neighbours_with_equally_many_steps():
    flat, _ = flat_of([(2,)] * 6)
    grads = [np.ones(2)] * 6
    flat.steps = [3, 3, 0, 0, 0, 3]
    assert flat.runs(grads) == [(0, 2), (2, 5), (5, 6)]
    grads[3] = None
    assert flat.runs(grads) == [(0, 2), (2, 3), (4, 5), (5, 6)]
