"""The whole vocabulary on the stand-in for a GPU: every function and layer gives PyTorch's results there, too.

The cases are those of tests/parity; `pytest -m gpu` runs them on a real device.
"""

import pytest
from gpu_cases import no_device
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernels_on_cpu import COMPILER
from parity import comparing
from parity.every_case import CASES, LAYERS
from stand_in import install

HERE = {"Tensor.numpy": "NumPy cannot see what is on a GPU"}  # stays on the CPU
few = settings(max_examples=3, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
               suppress_health_check=list(HealthCheck))  # fmt: skip


def compared(name: str) -> None:
    """A few draws of the case, with minidl's tensors and layers on the GPU."""

    @few
    @given(st.data())
    def run(data: st.DataObject) -> None:
        if name in CASES:
            comparing.compare_function(CASES[name], data)
        else:
            comparing.compare_layer(LAYERS[name], data)

    run()


every_name = pytest.mark.parametrize("name", [name for name in [*CASES, *LAYERS] if name not in HERE])


@pytest.mark.skipif(COMPILER is None, reason="g++ is missing, which builds the kernels for the CPU")
@every_name
def test_on_the_stand_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    monkeypatch.setattr(comparing, "DEVICE", "cuda")
    compared(name)


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(no_device() is not None, reason=str(no_device()))
@every_name
def test_on_a_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "DEVICE", "cuda")
    compared(name)
