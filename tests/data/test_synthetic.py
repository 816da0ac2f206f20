"""The made-up datasets: their shapes, that they are what their names say, and that a seed repeats them."""

import numpy as np
import pytest

import minidl
from minidl.data import synthetic

CLASSES = {"moons": 2, "circles": 2, "spirals": 3, "blobs": 3, "xor": 2}


@pytest.mark.parametrize(("name", "classes"), CLASSES.items())
def test_points_and_labels(name: str, classes: int) -> None:
    make = getattr(synthetic, name)
    x, y = make(300, generator=minidl.Generator(1)).tensors
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((300, 2), np.float32, (300,), np.int64)
    counts = np.bincount(y.array)
    assert len(counts) == classes and counts.min() >= 100 * 2 // classes
    again, other = make(300, generator=minidl.Generator(1)).tensors[0], make(300).tensors[0]
    assert (again.array == x.array).all() and not (other.array == x.array).all()


def test_without_noise_the_figures_are_exact() -> None:
    x, y = synthetic.circles(100, noise=0.0, factor=0.3).tensors
    np.testing.assert_allclose(np.hypot(*x.array.T), np.where(y.array == 0, 1, 0.3), rtol=1e-6)
    x, y = synthetic.moons(100, noise=0.0).tensors
    middle = np.where(y.array[:, None] == 0, [0, 0], [1, 0.5])
    np.testing.assert_allclose(np.hypot(*(x.array - middle).T), 1, rtol=1e-5)
    x, y = synthetic.xor(100).tensors
    assert ((x.array.prod(1) < 0) == y.array).all()


def test_regression_is_a_plane_and_noise() -> None:
    x, y = synthetic.regression(500, features=3, noise=0.01, generator=minidl.Generator(0)).tensors
    design = np.hstack([x.array, np.ones((500, 1))])
    _, residual, _, _ = np.linalg.lstsq(design, y.array, rcond=None)
    assert np.sqrt(residual / 500) == pytest.approx(0.01, rel=0.15)


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one example"):
        synthetic.moons(0)
