"""Every name of the vocabulary is there, and is compared with PyTorch's; the suite prints covered / total."""

from operator import attrgetter
from pathlib import Path

import pytest
import torch
from parity.every_case import CASES, LAYERS
from parity.vocabulary import ELSEWHERE, NAMES

import minidl

TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_there_in_both_libraries(name: str) -> None:
    assert attrgetter(name)(torch) is not None
    assert attrgetter(name)(minidl) is not None


def test_every_name_is_compared() -> None:
    assert not [name for name in NAMES if name not in CASES and name not in LAYERS and name not in ELSEWHERE]


@pytest.mark.parametrize(("name", "file"), ELSEWHERE.items())
def test_what_draws_cannot_compare_is_tested_elsewhere(name: str, file: str) -> None:
    assert name.rpartition(".")[2] in (TESTS.parent / file).read_text()
