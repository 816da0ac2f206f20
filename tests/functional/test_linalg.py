"""Facts about linear algebra that comparing drawn values cannot show."""

import numpy as np
import pytest

import minidl
from minidl import linalg
from minidl.autograd import Tensor, gradcheck, gradgradcheck


@pytest.mark.parametrize("function", [linalg.inv, lambda a: linalg.solve(a, minidl.ones(2)), linalg.cholesky])
def test_a_singular_matrix_is_named(function) -> None:
    with pytest.raises(linalg.LinAlgError, match=r"float32 \(2, 2\)"):
        function(minidl.tensor([[1.0, 2.0], [2.0, 4.0]]))


def test_multi_dot_multiplies_in_the_cheapest_order() -> None:
    a, b, c = (minidl.ones(*shape, requires_grad=True) for shape in ((50, 2), (2, 50), (50, 3)))
    first, second = linalg.multi_dot([a, b, c]).inputs
    assert first is a and second.shape == (2, 3)  # a (b c), not (a b) c


@pytest.mark.parametrize("ord", ["fro", 1, np.inf])
def test_matrix_norms_can_be_differentiated(ord) -> None:
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 2)), requires_grad=True)
    assert gradcheck(lambda x: linalg.matrix_norm(x, ord), [x])
    assert gradgradcheck(lambda x: linalg.matrix_norm(x, ord) ** 2, [x])


def test_powers_of_a_matrix_can_be_differentiated_twice() -> None:
    x = Tensor(np.array([[2.0, 0.5], [0.3, 1.5]]), requires_grad=True)
    for n in (-2, 3):
        assert gradgradcheck(lambda x, n=n: linalg.matrix_power(x, n), [x])


def test_the_norm_at_zero_has_slope_zero() -> None:
    x = minidl.zeros(3, requires_grad=True)
    linalg.norm(x).backward()
    assert x.grad.tolist() == [0, 0, 0]
