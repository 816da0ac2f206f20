"""What beginners do wrong most often: the error names what was expected and what came, in this library's words."""

import re

import pytest

import minidl
from minidl.nn import functional as F
from minidl.wording import SAID

ONES = minidl.ones(2, 3)

MISTAKES = {
    "matmul: rows on the left must be as long as columns on the right: (2, 3) @ (2, 3)": lambda: ONES @ ONES,
    "mm: expected shapes (n, k) and (k, m), got (2, 3) and (2,)": lambda: minidl.mm(ONES, minidl.ones(2)),
    "dot: expected shapes (n) and (n), got (2,) and (3,)": lambda: minidl.dot(minidl.ones(2), minidl.ones(3)),
    "add: the shapes do not fit together: counted from the end, lengths must be equal, or one of them 1; got a tensor "
    "float32 (2, 3), a tensor float32 (2, 4)": lambda: ONES + minidl.ones(2, 4),
    "sum: dimension 2 is out of range: the 2 dimensions are numbered from 0": lambda: ONES.sum(dim=2),
    "sort: dimension 2 is out of range": lambda: ONES.sort(2),
    "dimension 5 is out of range: the 2 dimensions are -2 to 1": lambda: ONES.size(5),
    "dimension 0 is out of range: this tensor is a single number": lambda: minidl.tensor(1.0).size(0),
    "reshape: 6 entries do not fill shape (4,2); got a tensor float32 (2, 3)": lambda: ONES.view(4, 2),
    "reshape: only one length can be left out with -1": lambda: ONES.reshape(-1, -1),
    "expand: it cannot be expanded to shape (4,3)": lambda: ONES.expand(4, 3),
    "cat: shapes must be equal except along the dimension of joining, but dimension 1 has lengths 3 and 4; got":
        lambda: minidl.cat([ONES, minidl.ones(2, 4)]),
    "stack: expected a list of tensors, got [tensor([1., 1.]), 2.0]": lambda: minidl.stack([minidl.ones(2), 2.0]),
    "permute: expected each dimension once; got a tensor float32 (2, 3)": lambda: ONES.permute(0, 0),
    "topk: expected k from 0 to 3, the length of dimension -1, got 5 for a tensor float32 (2, 3)": lambda: ONES.topk(5),
    "kthvalue: expected k from 1 to 2, the length of dimension 0, got 0": lambda: ONES.kthvalue(0, 0),
    "x[index]: index 7 is out of range for dimension 1, which has length 3": lambda: ONES[:, 7],
    "x[index]: 3 indices are too many for 2 dimensions": lambda: ONES[0, 1, 2],
    "x[index]: an index is a whole number, a slice, None, ...": lambda: ONES[1.5],
    "x[index]: a mask of length 3 cannot pick from dimension 0, which has length 2":
        lambda: ONES[minidl.tensor([True, False, True])],
    "x[index] = value: a value of shape (4,) does not fit into a place of shape (3,)":
        lambda: ONES.clone().__setitem__(0, minidl.ones(4)),
    "gather: expected an index of whole numbers from 0 to 2, got 3":
        lambda: ONES.gather(1, minidl.tensor([[1, 3]])),
    "bitwise_and: not with these: it is not made for their dtypes; got a tensor float32 (2, 3)": lambda: ONES & ONES,
    "subtract: True and False are not numbers: use ~ or ^, or .int() first": lambda: (ONES > 0) - (ONES > 0),
    "sum: expected a tensor, not list: minidl.tensor(...) makes one": lambda: minidl.sum([1, 2]),
    "tensor: expected numbers or lists of equal length, got [[1, 2], [3]]": lambda: minidl.tensor([[1, 2], [3]]),
    "tensor: Python integer 300 out of bounds for uint8": lambda: minidl.tensor([300], dtype=minidl.uint8),
    "zeros: expected whole numbers, not float; got (2.5,)": lambda: minidl.zeros(2.5),
    "randint: expected low < high, got 5 and 5": lambda: minidl.randint(5, 5, (2,)),
    "inv: a singular matrix has no inverse; got a tensor float32 (2, 2)": lambda: minidl.linalg.inv(minidl.ones(2, 2)),
    "inv: expected square matrices, (..., n, n); got a tensor float32 (2, 3)": lambda: minidl.linalg.inv(ONES),
    "layer_norm: expected normalized_shape as a tuple, (3,), got 3": lambda: F.layer_norm(ONES, 3),
    "interpolate: expected images (N, C, L) or (N, C, H, W) or (N, C, D, H, W), got mode='nearest' and shape (2, 3)":
        lambda: F.interpolate(ONES, 2),
    "conv2d: expected (N, C, H, W) with C = 3 channels for a weight of shape (4, 3, 5, 5) and groups=1, got 1 in shape "
    "(1, 1, 28, 28)": lambda: F.conv2d(minidl.ones(1, 1, 28, 28), minidl.ones(4, 3, 5, 5)),
    "cross_entropy: expected class labels, whole numbers such as int64, got float32 of shape (2,)":
        lambda: F.cross_entropy(ONES, minidl.ones(2)),
}  # fmt: skip


@pytest.mark.parametrize(("said", "mistake"), MISTAKES.items(), ids=list(MISTAKES))
def test_an_error_says_what_was_expected_and_what_came(said, mistake):
    with pytest.raises((RuntimeError, IndexError, TypeError, ValueError)) as caught:
        mistake()
    assert said in str(caught.value)


def test_a_message_that_is_not_known_stays_as_it_is():
    with pytest.raises(RuntimeError, match="cholesky: Matrix is not positive definite; got a tensor"):
        minidl.linalg.cholesky(-minidl.eye(2))


def test_numpys_words_are_gone():
    for words in SAID.values():
        assert not re.search("ax[ei]s|array|ufunc|operand", words)
