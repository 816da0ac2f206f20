"""Devices, random numbers, the default dtype and the error function."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import backend
from minidl.backend import Generator

# -- devices


@pytest.mark.parametrize(
    ("name", "text", "kind", "index"),
    [
        ("cpu", "cpu", "cpu", None),
        ("cpu:0", "cpu", "cpu", None),
        ("cuda", "cuda", "cuda", None),
        ("cuda:1", "cuda:1", "cuda", 1),
        ("gpu", "cuda", "cuda", None),
        ("gpu:12", "cuda:12", "cuda", 12),
    ],
)
def test_a_device_is_its_name_in_two_parts(name: str, text: str, kind: str, index: int | None) -> None:
    device = minidl.device(name)
    assert (device, device.type, device.index) == (text, kind, index)
    assert minidl.device(device) == device and hash(device) == hash(text)


@pytest.mark.parametrize(
    "name", ["", "tpu", "cuda:", "cuda:x", "cuda:-1", "cuda1", "CPU", "cuda:0:1", None, 3, "gpucpu"]
)
def test_an_unknown_device_is_refused(name: Any) -> None:
    with pytest.raises(RuntimeError, match=r"unknown device .* expected"):
        minidl.device(name)


def test_cuda_without_cupy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    for ask in (
        lambda: backend.as_device("cuda"),
        lambda: minidl.ones(2).to("cuda"),
        lambda: minidl.ones(2).cuda(),
        lambda: minidl.zeros(2, device="gpu"),
        lambda: minidl.tensor([1.0], device="cuda:0"),
    ):
        with pytest.raises(RuntimeError) as caught:
            ask()
        message = str(caught.value)
        assert 'pip install "minidl[cuda13]"' in message and "\n" not in message


def test_cupy_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = "raise ImportError('==\\nFailed to import CuPy.\\n==') from ImportError('libnvrtc.so.12: not found')"
    (tmp_path / "cupy.py").write_text(page)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    with pytest.raises(RuntimeError, match=r"does not load \(libnvrtc.so.12: not found\); install it anew"):
        minidl.ones(2).cuda()


def fake_cupy(count: Any) -> Any:
    runtime = SimpleNamespace(getDeviceCount=count)
    return SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime), ndarray=type("ndarray", (), {}))


def no_driver() -> int:
    raise OSError("cudaErrorNoDevice: no CUDA-capable device is detected")


def old_driver() -> int:
    raise OSError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (no_driver, r"CuPy 14.2.0 finds no usable GPU \(cudaErrorNoDevice.*nvidia-smi"),
        (old_driver, r"cudaErrorInsufficientDriver.*check .*nvidia-smi, and that the CuPy wheel fits its CUDA version"),
        (lambda: 0, "this machine has no GPU"),
        (lambda: 2, r"cuda:7.* does not exist: this machine has 2 GPU\(s\), from cuda:0"),
    ],
)
def test_cupy_without_that_gpu_says_so(count: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(count))
    monkeypatch.setattr(backend, "modules", dict(backend.modules))
    with pytest.raises(RuntimeError, match=message) as caught:
        minidl.ones(2).to("cuda:7")
    assert "\n" not in str(caught.value)


def test_arrays_on_the_cpu_stay_where_they_are() -> None:
    array = np.ones(2)
    assert backend.device_of(array) == "cpu"
    assert backend.to_device(array, "cpu") is array
    assert backend.array_module(None, 2.0, array) is np and backend.array_module() is np


# -- random numbers


def draw_everything(generator: Generator | None = None) -> list[Any]:
    return [
        minidl.rand(2, 3, generator=generator).tolist(),
        minidl.randn(2, 3, generator=generator).tolist(),
        minidl.randint(0, 100, (5,), generator=generator).tolist(),
        minidl.randperm(20, generator=generator).tolist(),
    ]


def test_the_same_seed_gives_the_same_numbers() -> None:
    minidl.manual_seed(3)
    first = draw_everything()
    assert draw_everything() != first
    minidl.manual_seed(3)
    assert draw_everything() == first
    assert draw_everything(Generator(3)) == first
    minidl.manual_seed(4)
    assert draw_everything() != first


def test_a_generator_is_a_stream_of_its_own() -> None:
    minidl.manual_seed(0)
    expected = minidl.rand(4).tolist()
    minidl.manual_seed(0)
    own = Generator()
    draw_everything(own)
    assert minidl.rand(4).tolist() == expected


def test_a_generator_remembers_its_seed() -> None:
    generator = Generator()
    assert generator.manual_seed(7) is generator
    assert generator.initial_seed() == 7
    assert minidl.manual_seed(8).initial_seed() == 8
    assert Generator().initial_seed() != Generator().initial_seed()


def test_a_negative_seed_is_refused_and_changes_nothing() -> None:
    minidl.manual_seed(5)
    expected = minidl.rand(3).tolist()
    minidl.manual_seed(5)
    with pytest.raises(ValueError, match="-1"):
        minidl.manual_seed(-1)
    assert minidl.rand(3).tolist() == expected


def test_a_seed_means_the_same_in_every_dtype() -> None:
    single = minidl.randn(5, generator=Generator(1))
    double = minidl.randn(5, generator=Generator(1), dtype=minidl.float64)
    np.testing.assert_array_equal(single.numpy(), double.numpy().astype(np.float32))


# -- the default dtype


def test_the_default_dtype_is_that_of_python_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_default_dtype", np.dtype(np.float32))
    assert minidl.get_default_dtype() == minidl.tensor(1.5).dtype == minidl.zeros(2).dtype == np.float32
    minidl.set_default_dtype(minidl.float64)
    made = [minidl.tensor([1.5]), minidl.ones(2), minidl.full((2,), 0.5), minidl.arange(0.0, 1.0, 0.5), minidl.rand(2)]
    made += [minidl.linspace(0, 1, 3), minidl.tensor([1]) / 2, minidl.exp(minidl.tensor([1]))]
    assert {x.dtype for x in made} == {np.dtype(np.float64)}


@pytest.mark.parametrize("dtype", [np.int64, bool, "uint8", complex])
def test_the_default_dtype_is_a_floating_one(dtype: Any) -> None:
    with pytest.raises(TypeError, match="floating"):
        minidl.set_default_dtype(dtype)
    assert minidl.get_default_dtype() == np.float32


# -- the error function


def test_erf_is_right_to_the_last_bits() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), [0.46875, -0.46875, 4.0, -4.0, 6.0, -6.0, 1e-300, -1e-12]])
    expected = np.array([math.erf(v) for v in x])
    assert np.abs(backend.erf(np, x) - expected).max() <= 1e-15
    inner = np.abs(x) > 1e-9
    assert np.abs(backend.erf(np, x) / np.where(inner, expected, 1) - 1)[inner].max() <= 1e-15


def test_erf_at_the_edges() -> None:
    found = backend.erf(np, np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e300]))
    np.testing.assert_array_equal(found, [0.0, 0.0, 1.0, -1.0, np.nan, 1.0])
    assert np.signbit(found[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_keeps_the_dtype(dtype: Any) -> None:
    assert backend.erf(np, np.linspace(-7, 7, 11, dtype=dtype)).dtype == dtype
    assert backend.erfc(np, np.linspace(-7, 7, 11, dtype=dtype)).dtype == dtype


def test_erfc_is_right_to_the_last_bits_where_it_is_tiny_too() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), np.linspace(0, 26, 20001), [0.46875, -0.46875, 4.0, -4.0, 1e-300]])
    expected = np.array([math.erfc(v) for v in x])
    assert np.abs(backend.erfc(np, x) / expected - 1).max() <= 2e-15
    assert backend.erfc(np, np.array(10.0)) == pytest.approx(2.0884875837625447e-45, rel=1e-15)


def test_erfc_at_the_edges() -> None:
    found = backend.erfc(np, np.array([0.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 28.0]))
    np.testing.assert_array_equal(found, [1.0, 0.0, 2.0, np.nan, 0.0, 2.0, 0.0])


# -- dtypes


@pytest.mark.parametrize("second", ["bool", "uint8", "int64", "float16", "float64"])
@pytest.mark.parametrize("first", ["bool", "int8", "int32", "float32", "float64"])
def test_what_meets_and_what_fits(first: str, second: str) -> None:
    theirs = getattr(torch, first), getattr(torch, second)
    assert str(backend.promote_types(first, second)) == str(torch.promote_types(*theirs)).removeprefix("torch.")
    assert backend.can_cast(first, second) == torch.can_cast(*theirs)
