"""Facts about shapes and products that comparing drawn values cannot show."""

import math

import numpy as np
import pytest
import torch

import minidl
from minidl.autograd import Tensor, gradcheck, gradgradcheck
from minidl.nn import functional as F


def drawn(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(math.prod(shape)).standard_normal(shape), requires_grad=True)


@pytest.mark.parametrize("offset", [-1, 0, 2])
def test_a_diagonal_is_a_view(offset: int) -> None:
    x, y = minidl.zeros(3, 4), torch.zeros(3, 4)
    x.diagonal(offset).fill_(7)
    y.diagonal(offset).fill_(7)
    assert x.tolist() == y.tolist()


def test_writing_to_the_diagonal_of_what_backward_needs_is_noticed() -> None:
    x, w = minidl.ones(2, 2), minidl.ones(2, 2, requires_grad=True)
    loss = (x * w).sum()
    x.diagonal().zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_what_is_turned_is_a_copy() -> None:
    x = minidl.zeros(3)
    x.flip(0).fill_(1)
    x.roll(1).fill_(1)
    assert x.tolist() == [0, 0, 0]


def test_repeats_alone_give_positions() -> None:
    repeats = [1, 0, 3]
    expected = torch.repeat_interleave(torch.tensor(repeats)).tolist()
    assert minidl.repeat_interleave(minidl.tensor(repeats)).tolist() == expected


@pytest.mark.parametrize("count", [9, 100, 1500])
def test_many_pieces_and_their_gradients(count: int) -> None:
    x, weights = drawn(count, 2), np.random.default_rng(1).standard_normal((count, 2))
    for pieces in (x.unbind(), [piece.squeeze(0) for piece in x.split(1)], list(x)):
        (gradient,) = minidl.autograd.grad((minidl.stack(pieces) * weights).sum(), x)
        np.testing.assert_allclose(gradient.numpy(), weights)


def test_time_grows_with_the_number_of_pieces_and_not_with_its_square() -> None:
    """Each op that cuts writes zeros of the length of what it cuts: they are counted."""

    def written(count: int) -> int:
        nodes = {minidl.cat(drawn(count, 1).split(1)): None}
        for node in (queue := list(nodes)):
            found = [x for x in node.inputs or () if x not in nodes]
            nodes.update(dict.fromkeys(found))
            queue.extend(found)
        return sum(node.inputs[0].numel() for node in nodes if node.op is not None and node.op.__name__ == "take")

    assert written(1024) < 6 * written(256)  # 16 times if it were the square


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ki", [(2, 3), (3, 2)]),
        ("bij,bjk->bik", [(2, 2, 3), (2, 3, 2)]),
        ("...ij,...j->...i", [(2, 1, 2, 3), (3, 3)]),
        ("ii->i", [(3, 3)]),
        ("bn,anm,bm->ba", [(2, 2), (3, 2, 2), (2, 2)]),
        ("iij,j,k->i", [(2, 2, 3), (3,), (2,)]),
    ],
)
def test_einsum_can_be_differentiated_twice(equation: str, shapes: list[tuple[int, ...]]) -> None:
    operands = [drawn(*shape) for shape in shapes]
    assert gradcheck(lambda *x: minidl.einsum(equation, *x), operands)
    assert gradgradcheck(lambda *x: minidl.einsum(equation, *x) ** 2, operands)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_can_be_differentiated_twice(mode: str) -> None:
    assert gradgradcheck(lambda x: F.pad(x, (2, 1), mode) ** 2, [drawn(1, 2, 3)])


def test_with_beta_0_the_first_argument_may_hold_anything() -> None:
    first, x, y = minidl.full((2, 2), np.nan), minidl.ones(2, 3), minidl.ones(3, 2)
    assert minidl.addmm(first, x, y, beta=0, alpha=2).tolist() == [[6, 6], [6, 6]]


def test_triangles_of_infinities() -> None:
    assert minidl.full((2, 2), -np.inf).triu(1).tolist() == [[0, -np.inf], [0, 0]]  # the usual causal mask
