"""Each CUDA kernel gives NumPy's numbers, over odd shapes, strides and paddings, and compiles for a GPU.

The kernels run on the CPU behind cuda_on_cpu.h; what a GPU adds is in test_on_device.py.
"""

import ctypes
import itertools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_on_cpu import COMPILER
from stand_in import StandInArray, cupy

from minidl import kernels
from minidl.ops import convolution, fused, pooling, windows

FILES = sorted(path.stem for path in Path(kernels.__file__).parent.glob("*.cu") if path.stem != "common")
TYPES = list(itertools.product(["float32", "float64"], [0, 2**31]))
on_cpu = pytest.mark.skipif(COMPILER is None, reason="g++ is missing, which builds the kernels for the CPU")


def both(op: Any, *arrays: Any, **words: Any) -> tuple[Any, Any]:
    """What the op's function on arrays gives with the kernels, and with NumPy."""
    ours = op.function(cupy, *[StandInArray(x.copy()) if isinstance(x, np.ndarray) else x for x in arrays], **words)
    return ours.numbers, op.function(np, *arrays, **words)


@st.composite
def moves(draw: Any) -> windows.Window:
    """A window over an image of one to three dimensions, some of which it does not reach the end of."""
    columns = []
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride, dilation = draw(st.tuples(*[st.integers(1, 3)] * 3))
        reach = dilation * (kernel - 1) + 1
        padding = draw(st.integers(0, kernel // 2))
        size = draw(st.integers(max(1, reach - 2 * padding), 7 + reach))
        columns.append((size, kernel, stride, padding, dilation, (size + 2 * padding - reach) // stride + 1))
    return windows.Window(*map(tuple, zip(*columns, strict=True)))


@on_cpu
@settings(max_examples=60, deadline=None)
@given(moves(), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["float32", "float64"]), st.booleans())
def test_windows_see_and_give_back_what_they_do_on_numpy(
    window: windows.Window, batch: int, channels: int, dtype: str, transposed: bool
) -> None:
    random = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        numbers = random.integers(-3, 4, shape).astype(dtype)  # some are equal: the first largest entry counts
        return np.asfortranarray(numbers) if transposed else numbers

    x, g = drawn(batch, channels, *window.size), drawn(batch, channels, *window.out)
    columns = drawn(batch, channels * int(np.prod(window.kernel)), int(np.prod(window.out)))
    largest = pooling.max_pool.function(np, x, window=window)
    w, y = drawn(2, channels, *window.kernel), drawn(batch, 2, *window.out)
    for op, *arrays in (
        (windows.unfold, x), (windows.fold, columns), (pooling.max_pool, x), (pooling.max_pool_input, g, x, largest),
        (pooling.max_pool_pick, x + 1, x, largest), (convolution.convolution, x, w),
        (convolution.convolution_input, y, w), (convolution.convolution_weight, y, x),
    ):  # fmt: skip
        ours, theirs = both(op, *arrays, window=window)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs, err_msg=op.__name__)  # whole numbers: no rounding
    for op, array in ((pooling.avg_pool, x), (pooling.avg_pool_input, g)):
        ours, theirs = both(op, array, window=window, divisor=3)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@on_cpu
def test_the_largest_entry_may_be_infinite_or_no_number() -> None:
    window = windows.Window((4,), (2,), (2,), (0,), (1,), (2,))
    x = np.array([[[-np.inf, -np.inf, 1.0, np.nan]]])
    ours, theirs = both(pooling.max_pool, x, window=window)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours, [[[-np.inf, np.nan]]])


@on_cpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [1, 2, 10, 33, 300])
def test_the_loss_of_labels(classes: int, dtype: str) -> None:
    random = np.random.default_rng(0)
    x = (100 * random.standard_normal((7, classes))).astype(dtype)
    target = random.integers(0, classes, 7)
    for labels in (target, target.astype(np.int32)):
        ours, theirs = both(fused.softmax_cross_entropy, x, labels)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@on_cpu
def test_a_label_that_is_no_class_gives_nan() -> None:
    labels = StandInArray(np.array([0, -1, 3, 2**40, 2]))
    losses = kernels.softmax_cross_entropy(cupy, StandInArray(np.zeros((5, 3))), labels)
    np.testing.assert_array_equal(np.isnan(losses.numbers), [False, True, True, True, False])


@on_cpu
@pytest.mark.parametrize(("seed", "words"), [
    (0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),  # of the paper's authors, for the key 0 and the counter 0
])  # fmt: skip
def test_philox_gives_the_published_numbers(seed: int, words: list[int]) -> None:
    for i, word in enumerate(words):
        part = (word >> 8) / 2**24  # an entry is left out if its part of the unit is below p
        for p, expected in ((part, 1.0), (part + 2**-24, 0.0)):
            assert kernels.dropout_mask(cupy, (4,), "float64", seed, p, 1.0).numbers[i] == expected


@on_cpu
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_a_mask_is_drawn_from_its_seed_alone(p: float) -> None:
    mask, again, other = (kernels.dropout_mask(cupy, (101, 99), "float32", seed, p, 2.0).numbers for seed in (7, 7, 8))
    np.testing.assert_array_equal(mask, again)
    assert set(np.unique(mask)) <= {0.0, 2.0}
    assert (mask == 0).mean() == pytest.approx(p, abs=0.02)
    if 0 < p < 1:
        assert (mask != other).mean() == pytest.approx(2 * p * (1 - p), abs=0.03)
        left, right = mask.ravel()[:-1] == 0, mask.ravel()[1:] == 0  # neighbours know nothing of each other
        assert np.corrcoef(left, right)[0, 1] == pytest.approx(0, abs=0.05)


# -- for a GPU, without one --------------------------------------------------------------------------------------------


def nvrtc() -> Any:
    """NVIDIA's compiler as a library, from its wheel, which needs no driver; None if it is not installed."""
    found = [path for folder in sys.path for path in Path(folder).glob("nvidia/cuda_nvrtc/lib/libnvrtc.so.*[0-9]")]
    return ctypes.CDLL(str(found[0])) if found else None


def compiled_by_nvrtc(library: Any, source: str) -> str:
    """The compiler's complaints."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    words = (ctypes.c_char_p * 2)(b"--gpu-architecture=compute_75", b"-std=c++17")
    failed = library.nvrtcCompileProgram(program, len(words), words)
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    return log.value.decode() if failed else ""


@pytest.mark.parametrize("file", FILES)
def test_every_source_compiles_for_a_gpu(file: str, tmp_path: Path) -> None:
    library, nvcc = nvrtc(), shutil.which("nvcc")
    if library is None and nvcc is None:
        pytest.skip("neither nvcc nor the wheel nvidia-cuda-nvrtc is installed")
    for dtype, entries in TYPES:
        source = kernels.source(file, dtype, entries)
        if library is not None:
            assert not compiled_by_nvrtc(library, source)
        if nvcc is not None and entries == 0:
            (tmp_path / "kernels.cu").write_text(source)
            command = [nvcc, "-ptx", "-Werror", "all-warnings", "-o", tmp_path / "out.ptx", tmp_path / "kernels.cu"]
            subprocess.run(command, check=True)
