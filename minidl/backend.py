"""Where arrays live: NumPy in main memory or CuPy on a GPU, and the few things that differ between them.

No other file imports cupy.  Whatever works on raw arrays takes `xp`, the module (numpy or cupy) that owns
them, as its first parameter.
"""

from __future__ import annotations

import json
import math
import threading
from functools import cache
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray

# The module that owns each type of array.  CuPy's entry is made when a GPU is first asked for.
modules: dict[type, Any] = {np.ndarray: np}


def array_module(*values: Any) -> Any:
    """The module (numpy or cupy) that owns the first array among `values`; numpy if there is none.

    >>> array_module(2.0, np.ones(3)).__name__
    'numpy'
    """
    for value in values:
        if (xp := modules.get(type(value))) is not None:
            return xp
    return np


# -- devices --------------------------------------------------------------------------------------------------


class device(str):
    """The name of a place for arrays: "cpu", "cuda" (the current GPU) or "cuda:1"; "gpu" is an alias of "cuda".

    It is a string with two parts, `type` and `index` (None where the name has no number).  Another name raises
    RuntimeError.

    >>> device("cuda:1").type, device("cuda:1").index
    ('cuda', 1)
    """

    def __new__(cls, name: str) -> device:
        kind, colon, number = str(name).replace("gpu", "cuda").partition(":")
        if kind not in ("cpu", "cuda") or (colon and not number.isdecimal()):
            raise RuntimeError(f'unknown device {str(name)!r}: expected "cpu", "cuda" or "cuda:N"')
        return super().__new__(cls, f"{kind}:{number}" if number and kind == "cuda" else kind)

    @property
    def type(self) -> str:
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        number = self.partition(":")[2]
        return int(number) if number else None


CPU = device("cpu")


class OutOfMemoryError(RuntimeError, MemoryError):
    """The memory of a device, or that of the computer, has no room for the result of an op."""


def gpu_module() -> Any:
    """CuPy with a working GPU, imported and registered; a RuntimeError of one line says what is missing."""
    try:
        import cupy
    except ModuleNotFoundError:
        raise RuntimeError(
            'device "cuda" needs CuPy, which is not installed: '
            'pip install "minidl[cuda13]" (CUDA 13) or "minidl[cuda12]" (CUDA 12)'
        ) from None
    except ImportError as error:  # its message is a page, which quotes what the loader said
        raise RuntimeError(
            f'device "cuda": CuPy is installed, but does not load ({" ".join(str(error.__cause__ or error).split())}); '
            "install it anew, for the CUDA version that nvidia-smi shows"
        ) from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own classes for "no driver", "wrong version", ...
        raise RuntimeError(
            f'device "cuda": CuPy {cupy.__version__} finds no usable GPU ({error}); '
            "check the NVIDIA driver with nvidia-smi, and that the CuPy wheel fits its CUDA version"
        ) from None
    if not count:
        raise RuntimeError('device "cuda": CuPy is installed, but this machine has no GPU')
    modules[cupy.ndarray] = cupy
    return cupy


def as_device(name: str) -> device:
    """Check that arrays can be placed on the device `name`, and return it; RuntimeError says what is missing."""
    place = device(name)
    if place.type == "cuda":
        count = gpu_module().cuda.runtime.getDeviceCount()
        if place.index is not None and place.index >= count:
            raise RuntimeError(f'device "{place}" does not exist: this machine has {count} GPU(s), from cuda:0')
    return place


def device_of(array: Array) -> device:
    """The device on which `array` lies."""
    return CPU if isinstance(array, np.ndarray) else _gpu(array.device.id)


@cache
def _gpu(number: int) -> device:
    return device(f"cuda:{number}")


def to_device(array: Array, name: str) -> Array:
    """`array` on the device `name`: itself if it lies there already, otherwise a copy."""
    place = as_device(name)
    if place.type == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    cupy = gpu_module()
    with cupy.cuda.Device(place.index):
        return cupy.asarray(array)


def on_gpu(array: Array) -> bool:
    """Whether `array` lies on a GPU, where looking at its numbers would make the host wait."""
    return array_module(array) is not np


def address(array: Array) -> int:
    """Where the memory of `array` begins."""
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


# -- numbers ---------------------------------------------------------------------------------------------------

_default_dtype = np.dtype(np.float32)


def get_default_dtype() -> np.dtype[Any]:
    """The dtype of tensors made from Python floats: float32, unless `set_default_dtype` changed it."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Make `dtype` (a floating dtype, otherwise TypeError) that of tensors made from Python floats."""
    global _default_dtype
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"the default dtype must be a floating one, got {np.dtype(dtype)}")
    _default_dtype = np.dtype(dtype)


def promote_types(type1: Any, type2: Any) -> np.dtype[Any]:
    """The dtype of the sum of two tensors of these dtypes: a float stays as it is beside a whole number.

    >>> promote_types("int64", "float32")
    dtype('float32')
    """
    dtypes = [np.dtype(type1), np.dtype(type2)]
    return np.result_type(*([dtype for dtype in dtypes if dtype.kind == "f"] or dtypes))


def can_cast(from_: Any, to: Any) -> bool:
    """Whether an in-place change may store results of the first dtype in the second: no fractions in whole numbers."""
    return np.can_cast(from_, to, "same_kind") or {np.dtype(from_).kind, np.dtype(to).kind} == {"i", "u"}


print_options: dict[str, Any] = {}  # of NumPy, which prints the numbers of tensors
_PROFILES: dict[str, dict[str, Any]] = {
    "default": {},
    "short": dict(precision=2, edgeitems=2),
    "full": dict(threshold=2**62),
}


def set_printoptions(
    precision: int | None = None, threshold: int | None = None, edgeitems: int | None = None,
    linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """How tensors are printed, NumPy's arrays staying as they are; what is left out does not change.

    `precision` counts digits after the point; of more than `threshold` numbers only `edgeitems` at each end of each
    dimension are shown, in lines of `linewidth` characters; `sci_mode` writes all floats with an exponent, or none.
    `profile`, which comes before the rest, is "default", "short" or "full" (otherwise ValueError).
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: expected a profile of {list(_PROFILES)}, got {profile!r}")
        print_options.clear()
        print_options.update(_PROFILES[profile])
    chosen = dict(precision=precision, threshold=threshold, edgeitems=edgeitems, linewidth=linewidth)
    print_options.update({name: value for name, value in chosen.items() if value is not None})
    if sci_mode is not None:
        digits = print_options.get("precision", 4)
        print_options["suppress"] = not sci_mode
        print_options["formatter"] = {"float_kind": lambda x: f"{x:.{digits}e}"} if sci_mode else None


class Generator:
    """A stream of random numbers with a seed of its own; PyTorch's `Generator` over `numpy.random.Generator`.

    Numbers are drawn on the host, so that a seed means the same on every device.  `.numpy` is NumPy's generator.

    >>> Generator().manual_seed(3).numpy.integers(10)
    np.int64(8)
    """

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(int(np.random.SeedSequence().entropy) % 2**63 if seed is None else seed)  # type: ignore[arg-type]

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream anew from `seed` (a whole number from 0), and return the generator."""
        if seed < 0:
            raise ValueError(f"a seed must be 0 or larger, got {seed}")
        self._seed = int(seed)
        self.numpy = np.random.default_rng(self._seed)
        return self

    def initial_seed(self) -> int:
        """The seed from which the stream started."""
        return self._seed

    def get_state(self) -> Array:
        """The place in the stream, as an array of bytes; `set_state` goes back there."""
        return np.frombuffer(json.dumps([self._seed, self.numpy.bit_generator.state]).encode(), np.uint8).copy()

    def set_state(self, new_state: Any) -> Generator:
        """Go to the place that `get_state` gave, an array or a tensor of bytes."""
        self._seed, self.numpy.bit_generator.state = json.loads(bytes(np.asarray(new_state, np.uint8)))
        return self


class _Thread(threading.local):
    generator: Generator | None = None


_default_generator: Generator | None = None
_this_thread = _Thread()


def use_in_this_thread(generator: Generator) -> None:
    """Make `generator` the default one of this thread, which then takes no numbers away from the others."""
    _this_thread.generator = generator


def default_generator() -> Generator:
    """The generator used wherever none is given; made, with a seed from the system, when first asked for."""
    global _default_generator
    if _this_thread.generator is not None:
        return _this_thread.generator
    if _default_generator is None:
        _default_generator = Generator()
    return _default_generator


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew from `seed`: initial weights, shuffles and dropout then repeat exactly."""
    return default_generator().manual_seed(seed)


def random_stream(generator: Generator | None = None) -> np.random.Generator:
    """NumPy's generator behind `generator`, or behind the default one."""
    return (generator or default_generator()).numpy


# -- what NumPy and CuPy do differently ---------------------------------------------------------------------------


LINE = 64  # bytes in a line of the cache


def aligned(xp: Any, n: int, dtype: np.dtype[Any]) -> Array:
    """A flat array of n zeros that starts with a line of the cache.

    NumPy's own start anywhere; products and sums of such arrays, when they stay in the cache, take up to twice as long.
    """
    if xp is not np:
        return xp.zeros(n, dtype)  # CuPy's are aligned
    memory = np.zeros(n * dtype.itemsize + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + n * dtype.itemsize].view(dtype)


allow_tf32 = False  # on a GPU, whether products of float32 may round their factors to TF32, which has 10 bits


def erf(xp: Any, x: Array) -> Array:
    """The error function, 2/sqrt(pi) times the integral of exp(-t²) from 0 to x, element by element.

    NumPy has none: rational approximations from W. J. Cody, "Rational Chebyshev approximations for the error
    function", Mathematics of Computation 23 (1969), with a relative error of about 1e-16.
    """
    if xp is not np:
        from cupyx.scipy.special import erf as cupy_erf

        return cupy_erf(x)
    size = np.abs(x)
    return np.copysign(np.where(size <= 0.46875, _erf_near_0(size), 1.0 - _erfc_beyond(size)), x)


def erfc(xp: Any, x: Array) -> Array:
    """1 - erf(x), from the same source; as precise where it is tiny: erfc(10) = 2.088e-45."""
    if xp is not np:
        from cupyx.scipy.special import erfc as cupy_erfc

        return cupy_erfc(x)
    far = _erfc_beyond(np.abs(x))
    return np.where(np.abs(x) <= 0.46875, 1.0 - _erf_near_0(x), np.where(x < 0, 2.0 - far, far))


def _erf_near_0(x: Array) -> Array:
    """erf up to 0.46875."""
    x = np.clip(x, -0.46875, 0.46875)  # each formula sees only arguments that it is made for
    return x * _ratio(x * x, _ERF_NEAR)


def _erfc_beyond(x: Array) -> Array:
    """erfc from 0.46875 on."""
    middle = np.clip(x, 0.46875, 4.0)
    large = np.clip(x, 4.0, 28.0)  # erfc(28) is 0 in float64
    series = (1.0 / math.sqrt(math.pi) - _ratio(1.0 / (large * large), _ERF_FAR) / (large * large)) / large
    x = np.clip(x, 0.46875, 28.0)
    short = np.trunc(x * 16.0) / 16.0  # its square is exact, where x * x would be rounded, and exp would magnify that
    gauss = np.exp(-short * short) * np.exp((short - x) * (short + x))
    return gauss * np.where(x <= 4.0, _ratio(middle, _ERF_CENTRE), series)


def _ratio(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    """Numerator over denominator, two polynomials in x whose coefficients start at the highest power."""
    top, bottom = (coefficient[0] * x + coefficient[1] for coefficient in coefficients)
    for above, below in zip(coefficients[0][2:], coefficients[1][2:], strict=True):
        top, bottom = top * x + above, bottom * x + below
    return top / bottom


# Cody's tables: (numerator, denominator), highest power first.
_ERF_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_ERF_CENTRE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_ERF_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip
