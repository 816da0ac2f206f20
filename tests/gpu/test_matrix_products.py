"""Matrix products through minidl's own cuBLAS handle: NumPy's numbers, however the matrices lie in memory.

The cuBLAS here is fake_cublas.cpp, which refuses what the library would refuse or read wrongly; test_on_device.py has
the real one.
"""

import ctypes
import itertools
import re
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import stand_in
from gpu_cases import LAYOUTS, NETWORKS, trained
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_on_cpu import COMPILER
from stand_in import StandInArray, cupy

import minidl
from minidl import backend
from minidl.kernels import cublas

pytestmark = pytest.mark.skipif(COMPILER is None, reason="g++ is missing, which builds the fake cuBLAS")
FLOATS = ["float16", "float32", "float64"]


def on_gpu(numbers: np.ndarray) -> StandInArray:
    return StandInArray(numbers)


def multiplied(x: np.ndarray, y: np.ndarray, *out: Any) -> np.ndarray:
    return cublas.matmul(cupy, on_gpu(x), on_gpu(y), *out).numbers


def close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    rtol = {2: 1e-2, 4: 1e-5, 8: 1e-13}[ours.itemsize]
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=10 * rtol)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(st.integers(1, 3), max_size=3), st.sampled_from(FLOATS))
def test_numpys_numbers_however_the_matrices_lie(data: st.DataObject, lead: list[int], dtype: str) -> None:
    n, k, m = data.draw(st.tuples(*[st.integers(0, 5)] * 3), "n, k, m")
    random = np.random.default_rng(0)

    def operand(name: str, *shape: int) -> np.ndarray:
        batch = [data.draw(st.sampled_from([1, length])) for length in lead][data.draw(st.integers(0, len(lead))) :]
        layout = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)), name)]
        return layout(np, (*batch, *shape), lambda shape: random.standard_normal(shape).astype(dtype))

    x, y = operand("x", n, k), operand("y", k, m)
    expected = np.matmul(x, y)
    close(multiplied(x, y), expected)

    kinds = [name for name in LAYOUTS if "repeated" not in name and name != "windows"]
    layout = LAYOUTS[data.draw(st.sampled_from(kinds), "out")]
    out = layout(np, expected.shape, lambda shape: random.standard_normal(shape).astype(dtype))
    whole = on_gpu(out if out.base is None else out.base)
    before, view = out.copy(), StandInArray(out, whole if out.base is not None else None)
    add = data.draw(st.booleans(), "add")
    assert cublas.matmul(cupy, on_gpu(x), on_gpu(y), view, add) is view
    close(out, before + expected if add else expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shapes", [((1, 784), (784, 128)), ((64, 1), (1, 5)), ((1, 1), (1, 1)), ((3, 0), (0, 2))])
def test_long_and_thin_matrices(shapes: Any, dtype: str) -> None:
    x, y = (np.random.default_rng(0).standard_normal(shape).astype(dtype) for shape in shapes)
    close(multiplied(x, y), (x.astype("float64") @ y.astype("float64")).astype(dtype))


def test_what_is_in_out_is_not_read_unless_it_is_added_to() -> None:
    x, out = np.ones((2, 3), "float32"), np.full((2, 2), np.nan, "float32")
    np.testing.assert_array_equal(multiplied(x, x.T, on_gpu(out)), np.full((2, 2), 3))


def test_transposed_and_repeated_matrices_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cupy, "ascontiguousarray")
    random = np.random.default_rng(0)
    x, w = random.standard_normal((4, 6, 5)), random.standard_normal((3, 5))
    close(multiplied(x, w.T), x @ w.T)  # the same for the whole batch
    close(multiplied(x.swapaxes(1, 2), x), x.swapaxes(1, 2) @ x)
    close(multiplied(x[:, :3].swapaxes(1, 2), x[:, 3:]), x[:, :3].swapaxes(1, 2) @ x[:, 3:])
    heads = x.reshape(2, 2, 6, 5).swapaxes(1, 2)[:, :, :1]  # (2, 6, 1, 5): both dimensions of the batch are one
    close(multiplied(heads[:1], w.T), heads[:1] @ w.T)


@pytest.mark.parametrize(("x", "y"), [
    (np.ones((2, 3), "float32"), np.ones((3, 2), "float64")), (np.ones((2, 3), "int64"), np.ones((3, 2), "int64")),
    (np.ones(3), np.ones((3, 2))), (np.ones(3), np.ones(3)),
])  # fmt: skip
def test_what_cublas_does_not_know_is_left_to_cupy(x: np.ndarray, y: np.ndarray) -> None:
    ours, theirs = multiplied(x, y), np.asarray(x @ y)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def test_matrices_that_do_not_fit_are_refused() -> None:
    for x, y, message in (((2, 3), (2, 3), "rows on the left"), ((2, 2, 3), (4, 3, 2), "shape")):
        with pytest.raises(ValueError, match=message):
            multiplied(np.ones(x), np.ones(y))
    with pytest.raises(ValueError, match=r"`out` of shape \(2, 2\), got \(4,\)"):
        multiplied(np.ones((2, 3)), np.ones((3, 2)), on_gpu(np.ones(4)))
    with pytest.raises(TypeError):
        cublas.matmul(cupy, on_gpu(np.ones((2, 3))), np.ones((3, 2)))


def test_on_numpy_it_is_numpys_own_product() -> None:
    x, y, out = np.random.default_rng(0).standard_normal((3, 4, 4)).astype("float32")
    before = out.copy()
    np.testing.assert_array_equal(cublas.matmul(np, x, y, out, add=True), before + x @ y)
    assert cublas.matmul(np, x, y, out) is out
    for product in (out, cublas.matmul(np, x, y), cublas.product(x, y)):
        np.testing.assert_array_equal(product, x @ y)


# -- the handle --------------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of cuBLAS from here on, by a handle that is new."""
    library, names = cublas.library(cupy), list[str]()

    def noted(name: str) -> Any:
        function = getattr(library, name)
        return lambda *given: names.append(name) or function(*given)

    cublas._handle.cache_clear()
    for name in cublas.PROTOTYPES:
        monkeypatch.setattr(library, name, noted(name))
    return names


def test_the_workspace_is_given_after_the_stream_and_only_when_that_changes(calls: list[str]) -> None:
    x = np.ones((2, 2))
    multiplied(x, x), multiplied(x[None].repeat(3, 0), x)
    begin = ["cublasSetStream_v2", "cublasSetWorkspace_v2"]
    first = ["cublasCreate_v2", *begin, "cublasGemmEx_64", "cublasGemmStridedBatchedEx_64"]
    assert calls == first
    with cupy.cuda.Stream(non_blocking=True):
        multiplied(x, x), multiplied(x, x)
    multiplied(x, x)
    assert calls == [*first, *begin, *["cublasGemmEx_64"] * 2, *begin, "cublasGemmEx_64"]


@pytest.mark.parametrize(("major", "bytes"), [(7, 4 << 20), (9, 32 << 20), (12, 32 << 20)])
def test_from_hopper_on_cublas_gets_more_memory(monkeypatch: pytest.MonkeyPatch, major: int, bytes: int) -> None:
    monkeypatch.setattr(stand_in.runtime, "getDeviceProperties", lambda number: {"major": major})
    assert cublas.Handle(cupy, 0).workspace.nbytes == bytes


def test_each_thread_has_a_handle_of_its_own(calls: list[str]) -> None:
    x, found = np.random.default_rng(0).standard_normal((4, 4)), []
    threads = [threading.Thread(target=lambda: found.append(multiplied(x, x))) for _ in range(2)]
    multiplied(x, x)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 2 <= calls.count("cublasCreate_v2") <= 3  # a thread that begins when another has ended takes its handle
    for product in found:
        np.testing.assert_array_equal(product, multiplied(x, x))


def test_a_product_is_recorded_and_repeated() -> None:
    x, y, out = (on_gpu(numbers) for numbers in np.random.default_rng(0).standard_normal((3, 4, 4)))
    cublas.matmul(cupy, x, y)  # so that there is a handle
    stream, before = cupy.cuda.Stream(non_blocking=True), out.numbers.copy()
    with stream:
        stream.begin_capture()
        cublas.matmul(cupy, x, y.T, out)
        graph = stream.end_capture()
    np.testing.assert_array_equal(out.numbers, before)
    for _ in range(2):
        x.numbers[...] += 1
        graph.launch()
        close(out.numbers, x.numbers @ y.numbers.T)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_leaves_no_product_to_cupy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.install(monkeypatch)
    for owner, word in itertools.product((StandInArray, cupy), ("__matmul__", "__rmatmul__", "matmul", "dot", "vdot")):
        monkeypatch.delattr(owner, word, raising=False)
    make, draw = NETWORKS[name]
    trained(make().to("cuda"), draw().to("cuda"))


def test_what_cublas_refuses_is_one_line_with_the_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cublas.TYPES, np.dtype("float32"), (9, *cublas.TYPES[np.dtype("float32")][1:]))
    line = r"^cuBLAS answers CUBLAS_STATUS_NOT_SUPPORTED; got shapes \(2, 3\) @ \(3, 4\) of float32$"
    with pytest.raises(RuntimeError, match=line):
        multiplied(np.ones((2, 3), "float32"), np.ones((3, 4), "float32"))
    stand_in.install(monkeypatch)
    with pytest.raises(RuntimeError, match=r"^matmul: cuBLAS answers CUBLAS_STATUS_NOT_SUPP") as caught:
        minidl.ones(2, 3, device="cuda") @ minidl.ones(3, 4, device="cuda")
    assert "\n" not in str(caught.value)


def test_without_a_way_to_cublas_one_line_says_so_and_cupy_multiplies() -> None:
    lacking = ModuleType("cupy")
    vars(lacking).update(matmul=cupy.matmul, cuda=SimpleNamespace(runtime=stand_in.runtime))
    x = np.random.default_rng(0).standard_normal((3, 3))
    with pytest.warns(UserWarning, match=r"^no way to cuBLAS \(.*\): CuPy multiplies, which cannot be recorded$"):
        ours = cublas.matmul(lacking, on_gpu(x), on_gpu(x))
    np.testing.assert_array_equal(ours.numbers, x @ x)
    np.testing.assert_array_equal(cublas.matmul(lacking, on_gpu(x), on_gpu(x)).numbers, x @ x)  # and warns no more
    ours = cublas.matmul(lacking, on_gpu(x), on_gpu(x), on_gpu(x.copy()), add=True)
    np.testing.assert_array_equal(ours.numbers, x + x @ x)


class WithoutLibrary(ModuleType):
    @property
    def cublas(self) -> Any:
        raise ImportError("no such file: libcublas.so.13,\n  no such file: libcublas.so.12")


def test_where_cupy_finds_no_cublas_one_line_says_what_to_install() -> None:
    lacking, x = ModuleType("cupy"), on_gpu(np.ones((2, 2)))
    vars(lacking).update(cuda=WithoutLibrary("cupy.cuda"))
    vars(lacking.cuda).update(runtime=stand_in.runtime)
    with pytest.raises(RuntimeError, match=r"^matrix products .*libcublas.so.12\): pip install \"minidl\[") as caught:
        cublas.matmul(lacking, x, x)
    assert "\n" not in str(caught.value)


# -- precision ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def precision() -> Any:
    yield
    minidl.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("dtype", FLOATS)
def test_tf32_is_off_until_it_is_allowed_and_concerns_float32_alone(dtype: str, precision: Any) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 30, 30)).astype(dtype)
    exact = multiplied(x, y)
    close(exact, x @ y)
    minidl.backends.cuda.matmul.allow_tf32 = True
    rough = multiplied(x, y)
    assert (rough == exact).all() == (dtype != "float32")
    np.testing.assert_allclose(rough, exact, rtol=0, atol=1e-2)
    minidl.backends.cuda.matmul.allow_tf32 = False
    np.testing.assert_array_equal(multiplied(x, y), exact)


def test_pytorchs_names_for_the_switch(precision: Any) -> None:
    import torch

    before = torch.get_float32_matmul_precision()
    try:
        for name in ("high", "highest"):
            for library in (minidl, torch):
                library.set_float32_matmul_precision(name)
            assert minidl.get_float32_matmul_precision() == torch.get_float32_matmul_precision() == name
            assert backend.allow_tf32 is minidl.backends.cuda.matmul.allow_tf32 is torch.backends.cuda.matmul.allow_tf32
        for library in (minidl, torch):
            library.backends.cuda.matmul.allow_tf32 = True
            assert library.get_float32_matmul_precision() == "high"
            with pytest.raises(RuntimeError, match="allow_tf32"):
                library.backends.cuda.matmul.allow_tf32 = 1
            with pytest.raises(AttributeError):
                library.backends.cuda.matmul.nothere = True
    finally:
        torch.set_float32_matmul_precision(before)
    with pytest.raises(RuntimeError, match=r"expected one of .*'highest'.*, got 'low'"):
        minidl.set_float32_matmul_precision("low")


# -- NVIDIA's header ---------------------------------------------------------------------------------------------------

KINDS = {"int64_t": ctypes.c_int64, "long long int": ctypes.c_longlong, "size_t": ctypes.c_size_t, "int": ctypes.c_int,
         "cudaDataType": ctypes.c_int, "cudaStream_t": ctypes.c_void_p, "cublasHandle_t": ctypes.c_void_p}  # fmt: skip


def kind(argument: str) -> Any:
    """The type of ctypes for an argument as C declares it."""
    declared = argument.rpartition(" ")[0].removeprefix("const ")
    return ctypes.c_void_p if "*" in declared else KINDS.get(declared, ctypes.c_int)  # the others are enumerations


def test_the_calls_are_those_of_nvidias_header() -> None:
    folders = [*[Path(folder) / "nvidia" for folder in sys.path], Path("/usr/local")]
    found = [file for folder in folders for file in folder.glob("*/include/cublas_api.h")]
    if not found:
        pytest.skip("no cublas_api.h is installed")
    header = found[0].read_text()
    for name, arguments in cublas.PROTOTYPES.items():
        (declared,) = re.findall(rf"CUBLASWINAPI {name}\(([^)]*)\);", header)
        assert [kind(" ".join(argument.split())) for argument in declared.split(",")] == list(arguments), name
    for name, value in (
        ("COMPUTE_32F", 68), ("COMPUTE_64F", 70), ("COMPUTE_32F_FAST_TF32", 77), ("OP_N", 0), ("OP_T", 1),
        ("GEMM_DEFAULT", -1), ("STATUS_SUCCESS", 0),
    ):  # fmt: skip
        assert re.search(rf"\bCUBLAS_{name} = {value}\b", header), name
