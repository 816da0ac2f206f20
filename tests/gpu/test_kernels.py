"""Each CUDA kernel gives NumPy's numbers, over odd shapes, strides and paddings, and compiles for a GPU.

The kernels run on the CPU behind cuda_on_cpu.h; what a GPU adds is in test_on_device.py.
"""

import ctypes
import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_on_cpu import COMPILER
from stand_in import StandInArray, cupy

from minidl import backend, kernels
from minidl.autograd import engine
from minidl.kernels import parts, updates
from minidl.ops import convolution, elementwise, fused, pooling, windows

FILES = sorted(path.stem for path in Path(kernels.__file__).parent.glob("*.cu") if path.stem != "common")
TYPES = list(itertools.product(["float32", "float64"], [0, 2**31]))
on_cpu = pytest.mark.skipif(COMPILER is None, reason="g++ is missing, which builds the kernels for the CPU")


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    """The stand-in is known as an array where arrays are asked for their module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backend.modules, StandInArray, cupy)
        yield


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
@settings(max_examples=20, deadline=None)
@given(moves(), st.integers(1, 3), st.integers(1, 2))
def test_a_convolution_in_blocks_of_rows(window: windows.Window, rows: int, groups: int) -> None:
    random = np.random.default_rng(0)
    x, w = (random.integers(-3, 4, (n, 2 // m, *s)).astype("float32")
            for n, m, s in ((3, 1, window.size), (2, groups, window.kernel)))  # fmt: skip
    y = random.integers(-3, 4, (3, 2, *window.out)).astype("float32")
    row = 2 * 3 * x.itemsize * int(np.prod(window.kernel)) * int(np.prod(window.out[1:]))
    made: list[int] = []

    def im2col(*given: Any) -> Any:
        made.append((columns := plain(*given)).nbytes)
        return columns

    def col2im(xp: Any, columns: Any, window: Any) -> Any:
        made.append(columns.nbytes)
        return whole(xp, columns, window)

    with pytest.MonkeyPatch.context() as patch:
        plain, whole = kernels.im2col, kernels.col2im
        patch.setattr(kernels, "im2col", im2col)
        patch.setattr(kernels, "col2im", col2im)
        patch.setattr(convolution, "_BLOCK_BYTES_ON_GPU", rows * row)
        for op, *arrays in (
            (convolution.convolution, x, w), (convolution.convolution_weight, y, x),
            (convolution.convolution_input, y, w),
        ):  # fmt: skip
            ours, theirs = both(op, *arrays, window=window, groups=groups)
            np.testing.assert_array_equal(ours, theirs)
    assert max(made) <= rows * row


@on_cpu
def test_the_largest_entry_may_be_infinite_or_no_number() -> None:
    window = windows.Window((4,), (2,), (2,), (0,), (1,), (2,))
    x = np.array([[[-np.inf, -np.inf, 1.0, np.nan]]])
    ours, theirs = both(pooling.max_pool, x, window=window)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours, [[[-np.inf, np.nan]]])


@on_cpu
def test_a_kernel_fills_no_array_with_gaps() -> None:
    x, gaps = StandInArray(np.ones(3)), StandInArray(np.zeros((3, 2)))[:, 0]
    for results in ({"out": gaps}, {"out": x, "others": [gaps]}):
        with pytest.raises(ValueError, match=r"fills contiguous arrays only, got shape \(3,\) with strides \(16,\)"):
            kernels.launch(cupy, "entries", "blend", 1, 32, [x], **results)


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
def test_its_gradient_too_unless_the_label_is_ignored() -> None:
    x, labels = StandInArray(np.zeros((4, 3))), StandInArray(np.array([0, 9, -100, -1]))
    gradient = kernels.softmax_cross_entropy_input(StandInArray(np.array([1.0, 1.0, 0.0, 1.0])), x, labels)
    np.testing.assert_array_equal(np.isnan(gradient.numbers).all(1), [False, True, False, True])
    np.testing.assert_array_equal(gradient.numbers[2], 0)


@on_cpu
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9), st.sampled_from([1, 2, 10, 33, 300]), st.sampled_from(["float32", "float64"]), st.booleans())
def test_the_gradient_of_the_loss_of_labels(rows: int, classes: int, dtype: str, transposed: bool) -> None:
    random = np.random.default_rng(rows)
    x = (10 * random.standard_normal((rows, classes))).astype(dtype)
    g, target = random.standard_normal(rows).astype(dtype), random.integers(0, classes, rows)
    x = np.asfortranarray(x) if transposed else x
    rule = next(iter(fused.softmax_cross_entropy.rules))
    ours = rule(StandInArray(g), None, StandInArray(x), StandInArray(target)).numbers
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, rule(g, None, x, target), rtol=1e-4, atol=1e-6)


@on_cpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 5, 256, 1000])
def test_the_mean_of_what_is_counted(n: int, dtype: str) -> None:
    random = np.random.default_rng(0)
    x, g, target = random.standard_normal(n).astype(dtype), np.array(3, dtype), random.integers(0, 4, n)
    target[0] = 1  # so that there is one
    counted, labels = target != 2, StandInArray(target)
    mean = kernels.counted_mean(cupy, StandInArray(x), labels, 2).numbers
    assert mean.shape == () and mean.dtype == dtype
    np.testing.assert_allclose(mean, x[counted].mean(), rtol=1e-5)
    shares = kernels.counted_mean_input(StandInArray(g), labels, 2).numbers
    np.testing.assert_allclose(shares, 3 * counted / counted.sum(), rtol=1e-6)


@on_cpu
def test_the_mean_of_nothing_is_no_number_and_its_gradient_is_0() -> None:
    x, ignored = np.ones(3, "float32"), StandInArray(np.full(3, -100))
    assert np.isnan(kernels.counted_mean(cupy, StandInArray(x), ignored, -100).numbers)
    shares = kernels.counted_mean_input(StandInArray(np.array(1, "float32")), ignored, -100)
    np.testing.assert_array_equal(shares.numbers, 0)


# -- entries, normalisation, many arrays -------------------------------------------------------------------------------


def same_with_relu(layer: Any, *arrays: np.ndarray, **words: Any) -> None:
    """A layer that knows relu to come next gives NumPy's result, and relu of that, in the layout of that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels.ahead, "relu", True)
        y = layer.function(cupy, *map(StandInArray, arrays), **words)
        patch.delattr(cupy, "maximum")
        result = elementwise.relu.function(cupy, y) if y.size else y
    expected = layer.function(np, *arrays, **words)
    assert y.dtype == result.dtype == expected.dtype and result.strides == y.strides
    np.testing.assert_array_equal(y.numbers, expected)
    np.testing.assert_array_equal(result.numbers, np.maximum(expected, 0))
    assert not np.signbit(result.numbers[result.numbers == 0]).any()


@on_cpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (5, 1), (300, 1), (2, 3, 1), (0, 1)])
def test_bias_and_relu_of_a_linear_layer(shape: tuple[int, ...], dtype: str) -> None:
    numbers = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -1e-40, 3, -3], dtype)
    same_with_relu(fused.linear, np.zeros(shape, dtype), -np.ones((9, 1), dtype), numbers)  # -0.0 + b
    same_with_relu(fused.linear, np.ones(shape, dtype), numbers[:, None], np.ones(9, dtype))


@on_cpu
@settings(max_examples=40, deadline=None)
@given(moves(), st.integers(0, 3), st.integers(1, 2), st.sampled_from(["float32", "float64"]), st.integers(1, 3))
def test_bias_and_relu_of_a_convolution(
    window: windows.Window, batch: int, groups: int, dtype: str, blocks: int
) -> None:
    random = np.random.default_rng(0)
    x, w, b = (random.integers(-3, 4, shape).astype(dtype)
               for shape in ((batch, 2, *window.size), (4, 2 // groups, *window.kernel), (4,)))  # fmt: skip
    columns = 2 * batch * x.itemsize * int(np.prod(window.kernel)) * int(np.prod(window.out))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "_BLOCK_BYTES_ON_GPU", columns // blocks)
        same_with_relu(convolution.convolution, x, w, b, window=window, groups=groups)


@on_cpu
def test_relu_of_something_else_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.ahead, "relu", True)
    x, w, b = (StandInArray(np.full(shape, -2.0)) for shape in ((3, 4), (5, 4), (5,)))
    y, other = fused.linear.function(cupy, x, w, b), StandInArray(np.arange(-3.0, 3))
    np.testing.assert_array_equal(elementwise.relu.function(cupy, other).numbers, [0, 0, 0, 0, 1, 2])
    assert kernels.ahead.made is None
    np.testing.assert_array_equal(elementwise.relu.function(cupy, y).numbers, y.numbers)
    for bias in (b[:1], StandInArray(np.array(-2.0)), StandInArray(np.full(5, -2.0, "float32"))):  # not as in layers
        np.testing.assert_array_equal(fused.linear.function(cupy, x, w, bias).numbers, y.numbers)
        assert kernels.ahead.made is None
    with pytest.raises(ValueError, match="broadcast"):
        fused.linear.function(cupy, x, w, StandInArray(np.ones(3)))


@st.composite
def laid_out(draw: Any, *shape: int) -> np.ndarray:
    """Random numbers of that shape, in memory in any order of the dimensions, perhaps with gaps."""
    random, order = np.random.default_rng(draw(st.integers(0, 9))), draw(st.permutations(range(len(shape))))
    x = random.standard_normal([shape[d] for d in order] + [2]).astype(draw(st.sampled_from(["float32", "float64"])))
    x = x[..., :1] if draw(st.booleans()) else np.ascontiguousarray(x[..., :1])
    return x.reshape(x.shape[:-1]).transpose([order.index(d) for d in range(len(shape))])


@on_cpu
@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(st.integers(0, 4), max_size=4))
def test_the_gradient_of_relu_in_any_layout(data: Any, shape: list[int]) -> None:
    out, g = data.draw(laid_out(*shape)), data.draw(laid_out(*shape))
    g = g.astype(out.dtype)  # whose order in memory may differ
    ours, theirs = both(elementwise.relu_input, g, out)
    assert ours.dtype == out.dtype
    np.testing.assert_array_equal(ours, theirs)
    dense = StandInArray(out.copy(order="K"))
    gradient = kernels.relu_input(cupy, StandInArray(g), dense)
    lengths = [d for d in range(out.ndim) if out.shape[d] > 1]
    assert not out.size or [gradient.strides[d] for d in lengths] == [dense.strides[d] for d in lengths]


@on_cpu
@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.sampled_from(["w and b", "w", "none"]))
def test_normalisation_and_its_gradients(data: Any, shape: list[int], given: str) -> None:
    x = 3 + data.draw(laid_out(*shape))
    g, dtype, random = data.draw(laid_out(*shape)).astype(x.dtype), x.dtype, np.random.default_rng(1)
    last = data.draw(st.integers(1, x.ndim))  # layer norm over so many dimensions, or batch norm over some
    batch = data.draw(st.booleans())
    axis = data.draw(st.sets(st.integers(0, x.ndim - 1), min_size=1)) if batch else range(-last, 0)
    lengths = [1 if d in axis else n for d, n in enumerate(shape)] if batch else shape[-last:]
    weights = [random.standard_normal(lengths).astype(dtype) for _ in range({"w and b": 2, "w": 1, "none": 0}[given])]

    def run(*arrays: Any) -> list[Any]:
        x, g, *weights = arrays
        kept: list[Any] = []
        xp = np if isinstance(x, np.ndarray) else cupy
        out = fused.standardize.function(xp, x, *weights, axis=tuple(axis), eps=1e-3, kept=kept)
        slopes = fused.standardize.rules.rule(g, out, x, *weights, axis=tuple(axis), eps=1e-3, kept=kept)
        sums = [slope if slope.shape == w.shape else engine._unbroadcast(slope, w.shape, None)
                for slope, w in zip(slopes[1:], weights, strict=False)]  # fmt: skip
        return [out, *kept, slopes[0], *sums]

    assert fused.normalization.groups(StandInArray(x), *map(StandInArray, weights), *[None] * (2 - len(weights)),
                                      tuple(axis)) is not None  # fmt: skip
    ours = [found.numbers for found in run(*[StandInArray(array) for array in (x, g, *weights)])]
    for found, expected in zip(ours, run(x, g, *weights), strict=True):
        assert found.dtype == dtype and found.shape == expected.shape
        rtol = 1e-3 if dtype == np.float32 else 1e-10
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


@on_cpu
@pytest.mark.parametrize("entries", [256, 257, 4097, 20_000])
def test_normalisation_of_long_groups(entries: int) -> None:
    x = (100 + np.random.default_rng(0).standard_normal((2, entries))).astype("float32")
    ours, theirs = both(fused.standardize, x, axis=(1,), eps=1e-5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(ours, both(fused.standardize, x, axis=(1,), eps=1e-5)[0])


@pytest.mark.parametrize("weights", [
    (None, np.ones(3)), (np.ones(3), np.ones((1, 1))), (np.ones(1), None), (np.ones(3, "float32"), None),
])  # fmt: skip
def test_weights_for_which_there_is_no_kernel(weights: Any) -> None:
    w, b = [None if x is None else StandInArray(x) for x in weights]
    assert fused.normalization.groups(StandInArray(np.ones((2, 3))), w, b, (1,)) is None


@on_cpu
@pytest.mark.parametrize("sizes", [[3], [0, 5], [1] * 200, [5000, 1, 0, 9000], [0]], ids=lambda sizes: len(sizes))
@pytest.mark.parametrize("largest", [0.5, 1e9])
def test_many_arrays_are_scaled_by_their_common_norm(sizes: list[int], largest: float) -> None:
    random = np.random.default_rng(0)
    gs = [random.standard_normal((n, 2)).T.astype("float32") for n in sizes]
    norm, smaller = parts.clipped(cupy, [StandInArray(g) for g in gs], largest)
    expected = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in gs))
    assert norm.numbers == pytest.approx(expected, rel=1e-5)
    for g, found in zip(gs, smaller, strict=True):
        np.testing.assert_allclose(found.numbers, g * min(1, largest / (expected + 1e-6)), rtol=1e-5)


@on_cpu
def test_what_is_no_number_stays_so_in_all() -> None:
    gs = [StandInArray(np.array(x, "float32")) for x in ([1.0, np.nan], [1.0])]
    norm, smaller = parts.clipped(cupy, gs, 1.0)
    assert all(np.isnan(x.numbers).all() for x in (norm, *smaller))


@on_cpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_places_may_need_64_bits(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = kernels._kernel
    monkeypatch.setattr(kernels, "_kernel", lambda xp, file, name, dtype, large: plain(xp, file, name, dtype, True))
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, 5, 7)).astype(dtype)
    target = random.integers(0, 7, 5)
    for op, *arrays in ((elementwise.relu_input, x, y), (fused.softmax_cross_entropy, x, target)):
        ours, theirs = both(op, *arrays)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for axis in (0, 1):
        ours, theirs = both(fused.standardize, x, axis=(axis,), eps=1e-3)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    same_with_relu(fused.linear, np.ones((5, 1), dtype), np.ones((7, 1), dtype), x[0])
    blended = StandInArray(y.copy())
    kernels.blend(StandInArray(x), blended, 0.75, 0.5)
    np.testing.assert_allclose(blended.numbers, 0.75 * y + 0.5 * x, rtol=1e-5, atol=1e-6)
    norm, _ = parts.clipped(cupy, [StandInArray(x), StandInArray(y)], 1.0)
    assert norm.numbers == pytest.approx(np.sqrt((x**2).sum() + (y**2).sum()))


# -- random numbers ----------------------------------------------------------------------------------------------------


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


def every_function(xp: Any) -> Any:
    """An update of one array of memory, with one number, that calls all functions known to kernels/updates.py."""

    def update(w: Any, g: Any, m: Any, c: str) -> None:
        for name in updates._FORMULAS:
            m[...] = w[...] = getattr(xp, name)(*(g, c)[: getattr(np, name).nin])

    return update


@pytest.mark.parametrize("file", FILES)
def test_every_source_compiles_for_a_gpu(file: str, tmp_path: Path) -> None:
    library, nvcc = nvrtc(), shutil.which("nvcc")
    if library is None and nvcc is None:
        pytest.skip("neither nvcc nor the wheel nvidia-cuda-nvrtc is installed")
    for dtype, entries in TYPES:
        source = kernels.source(file, dtype, entries)
        if file == "parts":
            source += updates.written(every_function, 1, 1, np.dtype(dtype))
        if library is not None:
            assert not compiled_by_nvrtc(library, source)
        if nvcc is not None and entries == 0:
            (tmp_path / "kernels.cu").write_text(source)
            command = [nvcc, "-ptx", "-Werror", "all-warnings", "-o", tmp_path / "out.ptx", tmp_path / "kernels.cu"]
            subprocess.run(command, check=True)
