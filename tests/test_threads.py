"""minidl.threads: who shares long arrays, and that nobody sees it in the numbers."""

import gc
import os
import subprocess
import sys
import time
import weakref
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import blas, nn, optim, threads


@pytest.fixture(autouse=True)
def as_before():
    before = minidl.get_num_threads()
    yield
    minidl.set_num_threads(before)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_long_step_has_the_same_bits_for_any_number_of_threads(name):
    found = []
    for count in (1, 2, 3):
        minidl.set_num_threads(count)
        w = minidl.tensor(np.random.default_rng(0).standard_normal(1_000_003).astype("f"), requires_grad=True)
        optimizer = getattr(optim, name)([w], lr=0.1)
        for _ in range(2):
            w.grad = w.detach() * w.detach()
            optimizer.step()
        found.append(w.detach().numpy().tobytes())
    assert found[0] == found[1] == found[2]


IMAGES = {
    "one channel": (1, 6, 5, 2, 1), "many rows": (16, 32, 3, 1, 1), "groups": (8, 8, 3, 1, 4), "odd": (5, 7, 3, 1, 1),
}  # fmt: skip


def trained_twice(model, x):
    found = []
    for _ in range(2):
        model.zero_grad()
        leaf = x.clone().requires_grad_()
        out = model(leaf)
        (out * out * out).sum().backward()  # the squares of what is normalised have a sum that never changes
        found += [out.detach().numpy(), leaf.grad.numpy(), *[p.grad.numpy() for p in model.parameters()]]
    return found


def assert_close(found):
    """The same up to rounding: BLAS may add up otherwise in a thread of minidl's than in its own."""
    for first, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_allclose(other, first, rtol=1e-5, atol=2e-6 * np.abs(first).max())


@pytest.mark.parametrize("shape", IMAGES.values(), ids=IMAGES)
def test_a_long_convolution_is_as_good_as_the_same_for_any_number_of_threads(shape):
    c, o, kernel, padding, groups = shape
    model = nn.Conv2d(c, o, kernel, padding=padding, groups=groups)
    x = minidl.randn(64, c, 20, 20)
    found = []
    for count in (1, 2, 3):
        minidl.set_num_threads(count)
        found.append(trained_twice(model, x))
    assert_close(found)


@pytest.mark.parametrize("count", [2, 3, 5])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_gradients_of_windows_shared_by_channels_or_groups_are_pytorchs(count, data):
    groups, k, stride, dilation = (data.draw(st.integers(1, most)) for most in (5, 3, 2, 2))
    channels, outputs = groups * data.draw(st.integers(1, 5)), groups * data.draw(st.integers(1, 2))
    random = np.random.default_rng(0)
    x = random.integers(-2, 3, (2, channels, 7, 6)).astype(float)  # many are equally large
    w = random.standard_normal((outputs, channels // groups, k, k))
    minidl.set_num_threads(count)

    def gradients(m):
        given = [m.tensor(array, requires_grad=True) for array in (x, w, x)]
        F = m.nn.functional
        y = F.conv2d(*given[:2], stride=stride, padding=k // 2, dilation=dilation, groups=groups)
        z = F.max_pool2d(given[2], k, stride, k // 2)
        ((y * y).sum() + (z * z * z).sum()).backward()
        return [tensor.grad.numpy() for tensor in given]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "LONG", 16)
        for ours, theirs in zip(gradients(minidl), gradients(torch), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("make", "shape"), [
    (lambda m: m.BatchNorm2d(7), (80, 7, 28, 28)), (lambda m: m.LayerNorm(64), (9000, 64)),
    (lambda m: m.InstanceNorm2d(7, affine=True), (80, 7, 28, 28)), (lambda m: m.GroupNorm(2, 8), (60, 8, 32, 32)),
], ids=["batch", "layer", "instance", "group"])  # fmt: skip
def test_long_arrays_are_standardized_in_slices(make, shape, monkeypatch):
    model, x = make(nn), minidl.randn(*shape)
    found = []
    shared = list[int]()
    in_threads = threads.in_threads

    def noted(work, parts, *given, **words):
        shared.append(len(parts))
        in_threads(work, parts, *given, **words)

    monkeypatch.setattr(threads, "in_threads", noted)
    for count in (1, 2, 3):
        minidl.set_num_threads(count)
        found.append(trained_twice(model, x))
    assert_close(found)
    assert {2, 3} <= set(shared)


ENTRIES = np.random.default_rng(0).standard_normal((6, 5, 7))
LYING = {
    "rows": ENTRIES, "columns": ENTRIES.T, "batch last": np.moveaxis(ENTRIES, -1, 0), "backwards": ENTRIES[::-1],
    "every other": ENTRIES[:, ::2], "spread": np.broadcast_to(ENTRIES[:, :1], ENTRIES.shape),
    "whole": ENTRIES.astype(int), "line": ENTRIES.ravel(), "number": ENTRIES[0, 0, 0], "none": ENTRIES[:0],
}  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("lying", LYING)
def test_long_arrays_are_treated_entry_by_entry(lying, count, monkeypatch):
    monkeypatch.setattr(threads, "LONG", 16)
    minidl.set_num_threads(count)
    x = np.asarray(LYING[lying])
    for function, others in [
        (np.exp, ()), (np.maximum, (0,)), (np.add, (x,)), (np.divide, (x.T.copy().T,)),
        (np.multiply, (np.float32(0.5),)), (np.greater, (x[::-1] if x.ndim else x,)),
        (np.add, (x[..., :1] if x.ndim else x,)), (np.add, (x[None],)),
    ]:  # fmt: skip
        with np.errstate(all="ignore"):
            found, expected = threads.by_entry(function, x, *others), function(x, *others)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_what_is_treated_entry_by_entry_keeps_its_layout(monkeypatch):
    monkeypatch.setattr(threads, "LONG", 16)
    minidl.set_num_threads(2)
    for x in (ENTRIES, ENTRIES.T, np.moveaxis(ENTRIES, -1, 0)):
        assert threads.by_entry(np.maximum, x, 0).strides == np.maximum(x, 0).strides


@pytest.mark.parametrize("pool", ["max_pool2d", "avg_pool2d"])
def test_long_images_are_pooled_alike_by_any_number_of_threads(pool):
    found, x = [], minidl.randn(64, 5, 30, 32)
    for count in (1, 2, 3):
        minidl.set_num_threads(count)
        found.append(getattr(nn.functional, pool)(x, 3, 2, 1).numpy().tobytes())
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_every_part_is_worked_on_once(count, n):
    minidl.set_num_threads(count)
    seen = np.zeros(n, int)

    def work(k, array):
        array[k] += 1

    threads.in_threads(work, [(k,) for k in range(n)], seen)
    assert (seen == 1).all()


def test_after_an_error_nobody_works_on():
    minidl.set_num_threads(3)
    done = []

    def work(k, _):
        if k == 1:
            raise ValueError("in the second")
        time.sleep(0.1 * k)
        done.append(k)

    with pytest.raises(ValueError, match="in the second"):
        threads.in_threads(work, [(0,), (1,), (2,)], np.zeros(1))
    assert done == [0, 2]


def test_halves_do_not_overflow_in_slices():
    layer = nn.LayerNorm(64).half()
    x = minidl.randn(4500, 1, 64).half().expand(4500, 2, 64).reshape(9000, 64)
    g = minidl.tensor([30000.0, -30000.0]).half().repeat(4500).reshape(9000, 1).expand(9000, 64)
    layer(x).backward(g)
    assert (layer.weight.grad == 0).all().item()


def test_an_error_in_any_thread_is_seen():
    minidl.set_num_threads(2)

    def work(k, _):
        if k == 1:
            raise ValueError("in the second")

    with pytest.raises(ValueError, match="in the second"):
        threads.in_threads(work, [(0,), (1,)], np.zeros(1))


@pytest.mark.parametrize("failing", [0, 1, None])
def test_nothing_is_kept_of_what_was_worked_on(failing):
    minidl.set_num_threads(2)
    seen = []

    def share():
        array = np.zeros(3)
        seen.append(weakref.ref(array))
        threads.in_threads(lambda k, x: 1 / (k != failing), [(0,), (1,)], array)

    gc.disable()  # what is found must go with the last reference
    try:
        with nullcontext() if failing is None else pytest.raises(ZeroDivisionError) as caught:
            share()
        del caught
        end = time.time() + 5
        while seen[0]() is not None and time.time() < end:  # a helper lets go a moment after it has answered
            time.sleep(0.01)
        assert seen[0]() is None
    finally:
        gc.enable()


def test_numpys_settings_hold_in_every_thread():
    minidl.set_num_threads(3)
    parts = [(0,), (1,), (2,)]

    def work(k, x):
        np.divide(x[k], x[k])

    with np.errstate(invalid="ignore"):
        threads.in_threads(work, parts, np.zeros(3))
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        threads.in_threads(work, parts, np.zeros(3))


def test_work_that_is_shared_may_share_its_own():
    minidl.set_num_threads(2)
    seen = np.zeros((4, 4))

    def inner(k, row):
        row[k] += 1

    def outer(k, array):
        threads.in_threads(inner, [(i,) for i in range(4)], array[k])

    threads.in_threads(outer, [(k,) for k in range(4)], seen)
    assert (seen == 1).all()


@pytest.mark.skipif(blas.library() is None, reason="NumPy's products are not computed by OpenBLAS here")
def test_threads_that_multiply_do_so_alone_and_blas_has_its_own_again():
    minidl.set_num_threads(2)
    before = blas.library().get_num_threads()
    inside = []

    def work(k, _):
        inside.append(blas.library().get_num_threads())

    threads.in_threads(work, [(0,), (1,)], np.zeros(1), multiply=True)
    with pytest.raises(ZeroDivisionError):
        threads.in_threads(lambda k, _: 1 / k, [(0,), (1,)], np.zeros(1), multiply=True)
    assert inside == [1, 1] and blas.library().get_num_threads() == before


@pytest.mark.skipif(blas.library() is None, reason="NumPy's products are not computed by OpenBLAS here")
@pytest.mark.parametrize("said", [None, "20"])
def test_blas_waits_less_once_long_arrays_are_shared(said):
    code = """
import minidl, os, numpy as np
from minidl import blas, threads
def waits(): return blas.library().library.openblas_thread_timeout()
minidl.set_num_threads(2)
x = np.random.rand(300, 300)
before, product = waits(), x @ x
threads.in_threads(lambda k, _: None, [(0,), (1,)], x)
print(before, waits(), os.environ.get("OPENBLAS_THREAD_TIMEOUT"), (x @ x == product).all())
"""
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    environment |= {"OPENBLAS_THREAD_TIMEOUT": said} if said else {}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [said or "0", said or blas.TIMEOUT, str(said), "True"]


def test_less_than_a_thread_is_refused():
    for number in (0, -1, 1.5, True, None):
        with pytest.raises(RuntimeError, match="from 1, got"):
            minidl.set_num_threads(number)
    minidl.set_num_threads(np.int64(2))
    assert minidl.get_num_threads() == 2


def output_of(code, *options):
    """What a program prints that shares convolutions between two threads; it fails where it hangs."""
    start = """
import os, threading, time, minidl, numpy as np
from minidl import blas, nn, threads
minidl.set_num_threads(2)
conv, x = nn.Conv2d(4, 16, 3), minidl.randn(64, 4, 28, 28)
"""
    command = [sys.executable, "-W", "ignore", *options, "-c", start + code]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not found.returncode, found.stderr
    return found.stdout.split()


@pytest.mark.skipif(blas.library() is None, reason="NumPy's products are not computed by OpenBLAS here")
@pytest.mark.parametrize("target", ["lambda: [a @ a for _ in range(10**6)]", "multiply", "np.dot, args=(b, b)"])
def test_a_thread_that_multiplies_meanwhile_is_not_left_waiting(target):
    assert output_of(f"""
a, b = np.random.rand(400, 400), np.random.rand(6000, 6000)
def multiply():
    while True: np.dot(a, a)
for _ in range(2):
    threading.Thread(target={target}, daemon=True).start()
time.sleep(0.2)
for _ in range(5):
    conv(x)
a @ a
print(blas.library().library.openblas_thread_timeout(), flush=True)
os._exit(0)
""") == ["0"]


def test_blas_sleeps_although_there_are_threads_that_only_wait():
    assert output_of("""
from concurrent.futures import ThreadPoolExecutor
from tqdm import tqdm
with ThreadPoolExecutor(1) as pool:
    pool.submit(len, ()).result()
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    bar = tqdm(total=1, file=open(os.devnull, "w"))
    conv(x)
    bar.close()
print(blas.library().library.openblas_thread_timeout())
""") == [blas.TIMEOUT]


def test_work_is_done_although_the_program_is_ending():
    assert output_of("""
import atexit
def late(): print(conv(x).shape[0], flush=True)
atexit.register(late)
threading.Thread(target=lambda: (time.sleep(0.5), late())).start()
""") == ["64", "64"]


def test_the_number_of_threads_may_change_at_any_time():
    assert output_of("""
end = time.time() + 2
def change():
    while time.time() < end:
        for count in (1, 2, 3):
            minidl.set_num_threads(count)
            time.sleep(0.0005)
changing = threading.Thread(target=change)
changing.start()
expected = conv(x).array
while time.time() < end:
    np.testing.assert_allclose(conv(x).array, expected, rtol=1e-5, atol=1e-6)
changing.join()
time.sleep(0.3)
print(sum(thread.name.startswith("minidl") for thread in threading.enumerate()) < 4)
""") == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork") or blas.library() is None, reason="there is no fork, or no OpenBLAS")
def test_a_process_forked_while_others_multiply_has_blas_as_it_was():
    assert output_of("""
before = blas.library().get_num_threads()
with blas.one_thread():
    if not (child := os.fork()):
        with blas.one_thread():
            pass
        os._exit(blas.library().get_num_threads() != before)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""") == ["0"]


@pytest.mark.parametrize(("said", "expected"), [("3", 3), ("", None), ("two", None)])
def test_the_environment_says_how_many(said, expected):
    command = [sys.executable, "-c", "import minidl; print(minidl.get_num_threads())"]
    environment = {**os.environ, "OMP_NUM_THREADS": said}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) == (expected or len(os.sched_getaffinity(0)))


@pytest.mark.filterwarnings("ignore:This process")  # of the danger that the test is about
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, minidl, numpy as np
from minidl.threads import in_threads
minidl.set_num_threads(2)
def share(): in_threads(lambda k, x: x @ x, [(0,), (1,)], np.ones((99, 99)), multiply=True)
share()
child = os.fork()
if not child:
    share()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == "7"
