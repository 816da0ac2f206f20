"""The check of whole numbers that name something: labels, indices, places in an image.

All such checks are this one, so that `minidl.compile` knows them: a replay repeats the check, and fails as it does.
"""

from __future__ import annotations

from minidl.backend import Array


def check(numbers: Array, low: int, end: int, error: type[Exception], what: str, more: str = "") -> None:
    """Raise `error`, which says `what` was expected, unless all of these whole numbers are from `low` to `end` - 1."""
    if not numbers.size or (low == 0 and int(numbers.view(f"u{numbers.itemsize}").max()) < end):
        return  # a negative one is huge without a sign: one look
    least, most = int(numbers.min()), int(numbers.max())
    if least < low or most >= end:
        raise error(f"{what} from {low} to {end - 1}{more}, got {least if least < low else most}")
