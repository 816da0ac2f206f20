"""The kernel that is written from the rule of each optimizer: what it computes, for how many parameters, and how."""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from kernels_on_cpu import COMPILER
from optimizer_cases import ELEMENTWISE, make, parameters
from stand_in import StandInArray, cupy

from minidl.kernels import parts, updates
from minidl.optim.runner import Program, Update, record

PLAIN = [(name, options) for name, options in ELEMENTWISE if not {"maximize", "weight_decay"} & options.keys()]
on_cpu = pytest.mark.skipif(COMPILER is None, reason="g++ is missing, which builds the kernels for the CPU")


def recorded(name: str, options: Any, dtype: str) -> tuple[Update, dict[str, float], Program]:
    optimizer = make(name, parameters(), options)
    (group,) = optimizer.param_groups
    update = optimizer._update(group)
    letters = optimizer._numbers(update, optimizer._letters(group, optimizer._flats[0], 0))
    program = record(update, cupy, np.dtype(dtype), letters)
    assert program is not None
    return update, letters, program


@on_cpu
@pytest.mark.parametrize(("name", "options", "dtype"), [
    *[(*case, "float32") for case in PLAIN], ("Adam", {"maximize": True, "weight_decay": 0.1}, "float64"),
], ids=str)  # fmt: skip
def test_the_kernel_gives_the_numbers_of_the_rule(name: str, options: Any, dtype: str) -> None:
    update, letters, program = recorded(name, options, dtype)
    random = np.random.default_rng(0)
    sizes = (5, 0, 300, 1, 257)
    starts = [0, 5, 16, 316, 317]  # a gap before the large one
    ws, gs = ([random.standard_normal(n).astype(dtype) for n in sizes] for _ in "wg")
    memory = [random.random(574).astype(dtype) for _ in update.memory]
    ours, theirs = [StandInArray(w.copy()) for w in ws], [StandInArray(x.copy()) for x in memory]
    gradients = [StandInArray(g) for g in gs]
    updates.update(cupy, program.code, program.numbers(letters), ours, gradients, theirs, starts)
    untouched = np.ones(574, bool)
    for w, g, our, start in zip(ws, gs, ours, starts, strict=True):
        place = slice(start, start + w.size)
        untouched[place] = False
        with np.errstate(invalid="ignore"):
            expected = update(np, w, g, *[x[place] for x in memory], **letters)
        found = our.numbers, *[x.numbers[place] for x in theirs]
        for letter, numbers in zip(("w", *update.memory), found, strict=True):
            np.testing.assert_allclose(numbers, expected[letter], rtol=1e-6, err_msg=letter)
    for old, new in zip(memory, theirs, strict=True):
        np.testing.assert_array_equal(old[untouched], new.numbers[untouched])


@pytest.mark.parametrize(("name", "options"), ELEMENTWISE, ids=str)
def test_the_kernel_computes_in_the_dtype_of_the_weights(name: str, options: Any) -> None:
    code = recorded(name, options, "float32")[2].code
    head, body = code.split("{", 1)
    assert set(re.findall(r"\b(?:float|double|half|T)\b", body)) == {"T"}
    assert set(re.findall(r"double (\w+)_", head)) == set(re.findall(r"\(T\)(\w+)_;", body))  # given in full precision


@on_cpu
@pytest.mark.parametrize("count", [1, 2, parts.PARTS, parts.PARTS + 1, 2 * parts.PARTS + 5])
def test_any_number_of_parameters(count: int) -> None:
    _, letters, program = recorded("SGD", {"lr": 0.5, "momentum": 0.5}, "float32")
    sizes = [1 + i % 7 for i in range(count)]
    starts = [0, *itertools.accumulate(sizes)][:-1]
    ws, gs = ([StandInArray(np.full(n, value, "float32")) for n in sizes] for value in (1.0, 2.0))
    memory = [StandInArray(np.zeros(sum(sizes), "float32"))]
    updates.update(cupy, program.code, program.numbers(letters), ws, gs, memory, starts)
    assert all((w.numbers == 0).all() for w in ws)
    assert (memory[0].numbers == 2).all()


def test_what_no_kernel_can_be_written_of() -> None:
    with pytest.raises(TypeError, match="float16"):
        updates.written(lambda xp: lambda *given: None, 0, 0, np.dtype("float16"))
    with pytest.raises(AttributeError, match="arctan"):
        updates.written(lambda xp: lambda w, g: xp.arctan(w), 0, 0, np.dtype("float32"))


@on_cpu
def test_formulas_are_those_of_numpy() -> None:
    x = np.array([-2.0, -0.0, 0.0, 0.5, 3.0, np.inf, -np.inf, np.nan])
    y = np.array([1.5, np.nan, -1.0, 2.0])
    pairs = np.array(list(itertools.product(x, y))).T.copy()
    functions = {name: getattr(np, name) for name in updates._FORMULAS}

    def every_function(xp: Any) -> Any:
        def update(w: Any, g: Any, *results: Any) -> None:
            for result, (name, ufunc) in zip(results, functions.items(), strict=True):
                result[...] = getattr(xp, name)(*(w, g)[: ufunc.nin])

        return update

    code = updates.written(every_function, len(functions), 0, np.dtype("float64"))
    results = [StandInArray(np.zeros(32)) for _ in functions]
    updates.update(cupy, code, (), [StandInArray(pairs[0])], [StandInArray(pairs[1])], results, [0])
    for (name, ufunc), found in zip(functions.items(), results, strict=True):
        with np.errstate(all="ignore"):
            expected = ufunc(*pairs[: ufunc.nin])
        np.testing.assert_allclose(found.numbers, expected, rtol=1e-15, err_msg=name)
