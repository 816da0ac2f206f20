"""The small modules that PyTorch has beside its tensors: testing, random, cuda, special, and names for `import as`."""

import math
import threading

import numpy as np
import pytest
import torch

import minidl
from minidl import cuda, special
from minidl import random as rng

# -- testing ---------------------------------------------------------------------------------------------------------

PAIRS = [
    (lambda t: 1.0, lambda t: 1.0 + 1e-9, {}),
    (lambda t: 1.0, lambda t: 1.0 + 1e-6, {}),
    (lambda t: t.tensor(1.0), lambda t: t.tensor(1.0 + 5e-6), {}),
    (lambda t: t.tensor(1.0), lambda t: t.tensor(1.0001), {}),
    (lambda t: t.tensor(1.0), lambda t: t.tensor(1.0001), {"rtol": 1e-3, "atol": 0.0}),
    (lambda t: t.tensor([1, 2]), lambda t: t.tensor([1, 3]), {}),
    (lambda t: t.tensor([True]), lambda t: t.tensor([False]), {}),
    (lambda t: t.ones(2), lambda t: t.ones(2, 1), {}),
    (lambda t: t.ones(2), lambda t: t.ones(2).double(), {}),
    (lambda t: t.ones(2), lambda t: t.ones(2).double(), {"check_dtype": False}),
    (lambda t: t.tensor([math.nan]), lambda t: t.tensor([math.nan]), {}),
    (lambda t: t.tensor([math.nan]), lambda t: t.tensor([math.nan]), {"equal_nan": True}),
    (lambda t: t.tensor([math.inf]), lambda t: t.tensor([math.inf]), {}),
    (lambda t: [t.ones(1), {"a": 1}], lambda t: [t.ones(1), {"a": 1}], {}),
    (lambda t: [t.ones(1), {"a": 1}], lambda t: [t.ones(1), {"a": 2}], {}),
    (lambda t: [t.ones(1)], lambda t: [t.ones(1)] * 2, {}),
    (lambda t: {"a": 1}, lambda t: {"b": 1}, {}),
    (lambda t: np.ones(2), lambda t: np.ones(2), {}),
    (lambda t: None, lambda t: None, {}),
    (lambda t: 1.0, lambda t: 1.0, {"rtol": 1.0}),
]


@pytest.mark.parametrize(("actual", "expected", "options"), PAIRS)
def test_assert_close_agrees_with_pytorchs(actual, expected, options):
    def outcome(library):
        try:
            library.testing.assert_close(actual(library), expected(library), **options)
        except (AssertionError, ValueError) as error:
            return type(error)
        return None

    assert outcome(minidl) is outcome(torch)


def test_assert_close_says_where_and_how_much():
    with pytest.raises(AssertionError, match=r"^\['w'\]: \[1\]: 2 of 4 entries .*; the worst: 3.0 and 5.0 at \(1, 0\)"):
        minidl.testing.assert_close({"w": [1, minidl.tensor([[1.0, 2], [3, 4]])]},
                                    {"w": [1, minidl.tensor([[1.0, 2], [5, 5]])]})  # fmt: skip
    with pytest.raises(AssertionError, match=r"^mine$"):
        minidl.testing.assert_close(1, 2, msg="mine")
    with pytest.raises(AssertionError, match=r"^mine: 1 of 1"):
        minidl.testing.assert_close(1, 2, msg=lambda text: f"mine: {text}")


# -- random numbers --------------------------------------------------------------------------------------------------


def test_the_stream_goes_back_to_a_state_with_its_seed():
    minidl.manual_seed(7)
    minidl.randint(5, (3,))  # leaves half a number in NumPy's generator
    state = minidl.get_rng_state()
    assert isinstance(state, minidl.Tensor) and state.dtype == minidl.uint8
    first = [minidl.randint(5, (3,)).tolist(), minidl.randn(3).tolist()]
    minidl.manual_seed(8)
    minidl.set_rng_state(state)
    assert [minidl.randint(5, (3,)).tolist(), minidl.randn(3).tolist()] == first and minidl.initial_seed() == 7
    with rng.fork_rng():
        inside = minidl.rand(1).item()
    assert minidl.rand(1).item() == inside and minidl.seed() == minidl.initial_seed() != 7
    generator = minidl.Generator(1)
    state, number = generator.get_state(), minidl.rand(1, generator=generator).item()
    assert minidl.rand(1, generator=minidl.Generator().set_state(state)).item() == number


def test_a_thread_may_have_a_stream_of_its_own():
    drawn = []

    def draw():
        minidl.backend.use_in_this_thread(minidl.Generator(3))
        drawn.append(minidl.rand(1).item())

    minidl.manual_seed(5)
    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    assert drawn == [minidl.rand(1, generator=minidl.Generator(3)).item()]
    assert minidl.rand(1).item() == minidl.rand(1, generator=minidl.Generator(5)).item()


# -- the rest --------------------------------------------------------------------------------------------------------


def test_without_a_gpu_there_is_nothing_to_wait_for(monkeypatch):
    if cuda.is_available():
        pytest.skip("there is a GPU")
    assert cuda.device_count() == cuda.memory_allocated() == cuda.memory_reserved() == 0
    cuda.synchronize()
    cuda.empty_cache()
    cuda.manual_seed_all(3)
    assert minidl.initial_seed() == 3
    for call in (cuda.current_device, cuda.get_device_name, lambda: cuda.set_device(0)):
        with pytest.raises(RuntimeError, match='device "cuda'):
            call()


@pytest.mark.parametrize("name", ["expit", "ndtr", "entr", "xlogy", "sinc", "logit", "round", "erfc"])
def test_special_functions(name):
    x = np.array([0.1, 0.25, 0.5, 0.9])
    both = [getattr(t.special, name)(*[t.tensor(x)] * (1 + (name == "xlogy"))).tolist() for t in (minidl, torch)]
    np.testing.assert_allclose(*both, rtol=1e-12)
    assert special.softmax(minidl.zeros(2), 0).tolist() == [0.5, 0.5]


def test_names_for_programs_that_import_minidl_as_torch():
    assert minidl.inf == math.inf and minidl.pi == math.pi and minidl.Size((2, 3)) == minidl.ones(2, 3).shape
    assert isinstance(minidl.float32, minidl.dtype) and minidl.clone(minidl.ones(1)).tolist() == [1]
    assert minidl.utils.data.DataLoader is minidl.data.DataLoader
    from minidl.utils.data import Dataset

    assert Dataset is minidl.data.Dataset
    with pytest.raises(AttributeError, match="has no attribute 'nothere'"):
        print(minidl.nothere)
