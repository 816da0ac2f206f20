"""What NumPy's errors say, in this library's words: dimensions for axes, tensors for arrays, and what to do.

A message that is not known here, as another version of NumPy or CuPy may have it, stays as it is.
"""

from __future__ import annotations

import re

# A pattern of NumPy's message, and what is said in its place; \1 is what stood in its first brackets.
SAID = {re.compile(pattern, re.DOTALL): words for pattern, words in {
    r"operands could not be broadcast .* requested shape (\(.*\))":
        r"it cannot be expanded to shape \1: counted from the end, lengths must be equal, or 1 before",
    r"operands could not be broadcast .*":
        "the shapes do not fit together: counted from the end, lengths must be equal, or one of them 1",
    r"could not broadcast input array from shape (\(.*\)) into shape (\(.*\))":
        r"a value of shape \1 does not fit into a place of shape \2",
    r"axis (-?\d+) is out of bounds for array of dimension (\d+)":
        r"dimension \1 is out of range: the \2 dimensions are numbered from 0, or backwards from -1",
    r"cannot reshape array of size (\d+) into shape (\(.*\))": r"\1 entries do not fill shape \2",
    r"can only specify one unknown dimension": "only one length can be left out with -1",
    r"axes don't match array": "expected each dimension once",
    r"repeated axis in transpose": "expected each dimension once",
    r"all the input array dimensions .* along dimension (\d+), .* has size (\d+) and .* has size (\d+)":
        r"shapes must be equal except along the dimension of joining, but dimension \1 has lengths \2 and \3",
    r"index (-?\d+) is out of bounds for axis (\d+) with size (\d+)":
        r"index \1 is out of range for dimension \2, which has length \3",
    r"too many indices for array: array is (\d+)-dimensional, but (\d+) were indexed":
        r"\2 indices are too many for \1 dimensions",
    r"boolean index did not match .* axis (\d+); size of axis is (\d+) but .* is (\d+)":
        r"a mask of length \3 cannot pick from dimension \1, which has length \2",
    r"only integers, slices .*":
        "an index is a whole number, a slice, None, ..., or a tensor or list of whole numbers or booleans",
    r"ufunc '\w+' (not supported|did not contain) .*": "not with these: it is not made for their dtypes",
    r"(The )?numpy boolean (negative|subtract).*": "True and False are not numbers: use ~ or ^, or .int() first",
    r"'(list|tuple|dict|str|int|float|bool|NoneType)' object has no attribute .*":
        r"expected a tensor, not \1: minidl.tensor(...) makes one",
    r"'(\w+)' object cannot be interpreted as an integer": r"expected whole numbers, not \1",
    r"Last 2 dimensions of the array must be square": "expected square matrices, (..., n, n)",
    r"Singular matrix": "a singular matrix has no inverse",
    r"scale < 0": "the scale (a standard deviation, or 1/rate) must not be negative",
}.items()}  # fmt: skip

# Ops whose public function has another name.
NAMES = {
    "concatenate": "cat", "transpose": "permute", "broadcast_to": "expand", "take": "x[index]", "order": "sort",
    "cumulative_sum": "cumsum", "cumulative_product": "cumprod", "matrix_product": "matmul", "invert": "~",
    "cholesky_factor": "cholesky", "solution": "solve", "rolled": "roll", "flipped": "flip", "tiled": "repeat",
}  # fmt: skip


def reworded(message: str) -> str:
    """A message of NumPy's in the words of this library.

    >>> reworded("axis 2 is out of bounds for array of dimension 2")
    'dimension 2 is out of range: the 2 dimensions are numbered from 0, or backwards from -1'
    """
    for pattern, words in SAID.items():
        if match := pattern.search(message):
            return match.expand(words)
    return message
