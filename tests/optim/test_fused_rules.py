"""CuPy makes one kernel of each optimizer's rule, and computes it in the dtype of the weights throughout.

It takes CuPy's wheel, but neither a GPU nor its driver: the kernel is generated, not run.
"""

import re
from typing import Any

import numpy as np
import pytest
from optimizer_cases import ELEMENTWISE, make, parameters

from minidl.optim.runner import record

cupy = pytest.importorskip("cupy", reason="CuPy's wheel is not installed")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), ELEMENTWISE, ids=str)
def test_the_fused_kernel_computes_in_the_dtype_of_the_weights(name: str, options: Any, dtype: str) -> None:
    from cupy._core.fusion import _FusionHistory, _thread_local

    optimizer = make(name, parameters(), options)
    (group,) = optimizer.param_groups
    update = optimizer._update(group)
    letters = optimizer._numbers(update, optimizer._letters(group, optimizer._flats[0], 0))
    program = record(update, cupy, np.dtype(dtype), letters)
    assert program is not None
    nowhere = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(8, 8, None, device_id=0), 0)
    arrays = [cupy.ndarray((1,), dtype, nowhere) for _ in ("w", "g", *update.memory)]
    _thread_local.history, _thread_local.is_old_fusing = _FusionHistory(), True
    try:
        given = [*arrays, *program.numbers(letters)]
        kernel, _ = _thread_local.history.get_fusion(program.kernel(cupy), given, "update")
    finally:
        _thread_local.history, _thread_local.is_old_fusing = None, False
    numbers = {"float32": "float", "float64": "double"}[dtype]
    results = re.findall(r"__device__ void \w+\((.*)\)", kernel.preamble)
    assert results
    for parameters_of_call in results:  # what the ufuncs take and give
        assert {word.split()[0] for word in parameters_of_call.split(", ")} <= {numbers, "bool"}, parameters_of_call
