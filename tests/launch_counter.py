"""What a training step makes the GPU do, counted on the stand-in for CuPy: each kernel, copy and fill is one launch.

Views, shapes and memory that is merely allocated are none.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import stand_in
from kernels_on_cpu import RawKernel
from stand_in import StandInArray, cupy

import minidl
from minidl.kernels import cublas

ROOT = Path(minidl.__file__).parent
ALLOCATING = {"empty", "empty_like"}
NAMES = [*stand_in.METHODS.split(), *[f"__{name}__" for name in stand_in.OPERATORS.split()]]


class Launches(list[str]):
    """The launches so far, in order: "what  where in minidl it came from"."""

    counting = True

    def note(self, name: str, times: int = 1) -> None:
        if self.counting:
            self.extend([f"{name.strip('_'):28}{_origin()}"] * times)

    @contextmanager
    def as_one(self, name: str) -> Iterator[None]:
        """What happens inside is one launch."""
        self.note(name)
        before, self.counting = self.counting, False
        try:
            yield
        finally:
            self.counting = before

    def __str__(self) -> str:
        return "\n".join([f"{len(self)} launches:", *[f"{i:3} {line}" for i, line in enumerate(self, 1)]])


def _origin() -> str:
    """The innermost function of minidl that is running, apart from the callers of kernels."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path.parent.name != "kernels":
            return f"{path.relative_to(ROOT)}: {frame.f_code.co_name}"
    return ""


def _counted(launches: Launches, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*given: Any, **words: Any) -> Any:
        before, launches.counting = launches.counting, False
        try:
            result = function(*given, **words)
        finally:
            launches.counting = before
        launches.note(name, _launches_of(name, given, words, result))
        return result

    return call


def _launches_of(name: str, given: tuple[Any, ...], words: dict[str, Any], result: Any) -> int:
    """How many launches CuPy needs for this call."""
    if isinstance(result, StandInArray):
        written = (name.startswith("__i") and name != "__invert__") or words.get("out") is not None
        if not written and (name in ALLOCATING or result.base is not None or any(result is x for x in given)):
            return 0
    elif result is not None:
        return int(isinstance(result, (tuple, list)))
    if name in ("concatenate", "stack") and len({x.shape for x in given[0]}) > 1:
        return len(given[0])  # copied one by one
    return 1


def count(monkeypatch: pytest.MonkeyPatch) -> Launches:
    """From here on, what the stand-in does is noted in the list that is returned."""
    launches = Launches()

    def counted(owner: Any, name: str) -> None:
        monkeypatch.setattr(owner, name, _counted(launches, name, getattr(owner, name)))

    for name in NAMES:
        counted(StandInArray, name)
    for name in [*stand_in.FUNCTIONS.split(), "array", "asarray", *stand_in.COUNTING.split()]:
        counted(cupy, name)
    for owner in (cupy.linalg, sys.modules["cupyx.scipy.special"]):
        for name in list(vars(owner)):
            counted(owner, name)
    plain, multiply = RawKernel.__call__, cublas._multiply

    def gemm(*given: Any) -> None:
        launches.note("gemm")
        multiply(*given)

    def kernel(self: RawKernel, *given: Any) -> None:
        with launches.as_one(self.launch.__name__.removeprefix("launch_")):
            plain(self, *given)

    monkeypatch.setattr(RawKernel, "__call__", kernel)
    monkeypatch.setattr(cublas, "_multiply", gemm)
    return launches
