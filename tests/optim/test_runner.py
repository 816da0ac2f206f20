"""The fast way to run a rule gives, for every rule and every size, the bits that the rule itself gives."""

import numpy as np
import pytest
from optimizer_cases import ELEMENTWISE, make, parameters

import minidl
from minidl import optim
from minidl.backend import aligned
from minidl.optim.runner import CHUNK, SHARE, Update, record

FLOAT32 = np.dtype("float32")


def arrays_for(update, n, dtype=FLOAT32, seed=0):
    random = np.random.default_rng(seed)
    signed = random.standard_normal((2, n))
    return [x.astype(dtype) for x in (*signed, *random.random((len(update.memory), n)))]


def numbers_for(update, seed=0):
    random = np.random.default_rng(seed)
    return {letter: random.uniform(0.1, 0.9) for letter in update.letters}


def numbers_of(optimizer, update):
    """Those of the first step."""
    return optimizer._numbers(update, optimizer._letters(optimizer.param_groups[0], optimizer._flats[0], 0))


def assert_same_bits(update, given, letters, run):
    names = ("w", "g", *update.memory)
    with np.errstate(all="ignore"):
        expected = update(np, *[x.copy() for x in given], **letters)
        expected["g"] = given[1].copy()
        run(given)
    for name, found in zip(names, given, strict=True):
        assert found.tobytes() == np.asarray(expected[name]).tobytes(), name


@pytest.mark.parametrize(("name", "options"), ELEMENTWISE, ids=str)
def test_in_chunks_as_on_whole_arrays(name, options):
    optimizer = make(name, parameters(), options)
    update = optimizer._update(optimizer.param_groups[0])
    letters = numbers_of(optimizer, update)
    run = update.runner(np, FLOAT32, letters)
    assert run is not None
    for n in (0, 1, 63, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17, 4 * SHARE, 5 * SHARE + 17):
        assert_same_bits(update, arrays_for(update, n), letters, run)


@pytest.mark.parametrize(("name", "options"), ELEMENTWISE, ids=str)
def test_as_one_kernel(name, options):
    # What a GPU runs is made of the same calls; its function works on NumPy's arrays as well.
    optimizer = make(name, parameters(), options)
    update = optimizer._update(optimizer.param_groups[0])
    letters = numbers_of(optimizer, update)
    program = record(update, np, FLOAT32, letters)
    numbers = program.numbers(letters)
    assert all(type(number) is float for number in numbers)
    kernel = program.kernel(np)
    assert_same_bits(update, arrays_for(update, 100), letters, lambda arrays: kernel(*arrays, *numbers))


OPERATIONS = [
    lambda xp, x, y: x + y,
    lambda xp, x, y: x - y,
    lambda xp, x, y: x * y,
    lambda xp, x, y: x / (1 + y * y),
    lambda xp, x, y: xp.maximum(x, y),
    lambda xp, x, y: xp.sqrt(xp.abs(x)),
    lambda xp, x, y: -x,
    lambda xp, x, y: x**2,
]


def random_rule(seed):
    """A rule of 12 random operations on two memories and two numbers, which returns any three results."""
    random = np.random.default_rng(seed)
    plan = [(OPERATIONS[random.integers(len(OPERATIONS))], *random.integers(0, 8 + i, 2)) for i in range(12)]
    chosen = random.integers(0, 20, 3)

    def rule(xp, w, g, m, v, *, lr, rho):
        known = [w, g, m, v, lr * w, (1 - rho) * g, 2 * m, rho - v]
        for operation, i, j in plan:
            known.append(operation(xp, known[i], known[j]))
        w, m, v = (known[i] for i in chosen)
        return {"w": w, "m": m, "v": v}

    return rule


@pytest.mark.parametrize("seed", range(150))
def test_any_rule_of_ufuncs(seed):
    update = Update(random_rule(seed), maximize=bool(seed % 2), decay=("", "gradient", "weights")[seed % 3])
    letters = numbers_for(update)
    run = update.runner(np, FLOAT32, letters)
    assert run is not None
    assert_same_bits(update, arrays_for(update, 1000), letters, run)


def test_only_what_is_needed_is_computed():
    update = Update(optim.SGD.rule)
    assert len(record(update, np, FLOAT32, numbers_for(update))._calls) == 2  # lr * g and w - ...


def test_few_buffers_are_used_again():
    update = Update(optim.Adam.rule)
    program = record(update, np, FLOAT32, numbers_for(update))
    assert (len(program._calls), len(program._buffers[0])) == (14, 2)


@pytest.mark.parametrize("rule", [
    lambda xp, w, g: {"w": xp.where(g > 0, w, -w)},
    lambda xp, w, g: {"w": w - g / xp.sqrt((g * g).sum())},
    lambda xp, w, g: {"w": w - g * (g > 0)},
    lambda xp, w, g: {"w": w - g / g[0]},
    lambda xp, w, g: {"w": w - xp.add.reduce(g)},
    lambda xp, w, g: {"w": w - xp.linalg.norm(g)},
    lambda xp, w, g: {"w": w - xp.cumsum(g)},
    lambda xp, w, g: {"w": w - xp.full(g.shape, 0.5)},
    lambda xp, w, g: {"w": w - g.astype("float64")},
    lambda xp, w, g: {"w": xp.float64(2) * w - g},
    lambda xp, w, g: {"w": xp.multiply(w, g, out=None, dtype="float64")},
    lambda xp, w, g, *, lr: {"w": w - g if lr > 0.5 else w + g},
    lambda xp, w, g, *, lr: {"w": w - xp.sqrt(lr) * g},
    lambda xp, w, g, m: {"w": w - g, "m": 0.0},
    lambda xp, w, g: {"w": w - g * np.random.default_rng().random()},
    lambda xp, w, g: {"w": w + np.ones(257, "float32") * g},
])  # fmt: skip
def test_what_cannot_be_repeated_is_not(rule):
    update = Update(rule)
    assert record(update, np, FLOAT32, numbers_for(update)) is None


def test_an_array_starts_with_a_line_of_the_cache():
    for n in (1, 3, 1000, 100_000):
        array = aligned(np, n, FLOAT32)
        assert array.shape == (n,) and array.dtype == FLOAT32 and not array.any()
        assert array.ctypes.data % 64 == 0


def test_a_rule_that_reads_its_object_is_not_recorded():
    class Scaled(optim.Optimizer):
        k = 1.0

        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})

        def rule(self, xp, w, g, *, lr):
            return dict(w=w - self.k * lr * g)

    w = minidl.ones(2, requires_grad=True)
    optimizer = Scaled([w])
    for optimizer.k in (1.0, 0.0, 2.0):
        w.grad = minidl.ones(2)
        expected = optimizer.preview(w)["w"]
        optimizer.step()
        np.testing.assert_array_equal(w.array, expected)
