"""Weights as a NumPy archive: one array for each key of a state dictionary, and never a pickle.

`numpy.load` opens such a file too, on any machine, with or without minidl.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd import Tensor
from minidl.io.files import replacing


def save(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a flat dictionary of tensors or arrays, such as `model.state_dict()`, to the file `path`.

    The same numbers give the same bytes.  The file is replaced only when the new one is whole.  Anything but
    a flat dictionary of numbers raises TypeError.

    >>> import tempfile, minidl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save({"weight": minidl.tensor([1.0, 2.0])}, folder + "/weights.npz")
    ...     load(folder + "/weights.npz")["weight"].tolist()
    [1.0, 2.0]
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"save takes a dictionary such as model.state_dict(), got {type(state).__name__}")
    arrays = {key: _as_array(key, value) for key, value in state.items()}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for key, array in arrays.items():  # numpy.savez has no room for keys such as "file"
            with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def load(path: str | os.PathLike[str], device: str = "cpu") -> dict[str, Tensor]:
    """The dictionary of tensors in the file `path`, as written by `save` or `numpy.savez`, on `device`.

    Raises FileNotFoundError if there is no such file, RuntimeError if it is damaged or another kind of file.
    """
    content = io.BytesIO(Path(path).read_bytes())
    try:
        with zipfile.ZipFile(content) as archive:
            arrays = {name.removesuffix(".npy"): _read(archive, name) for name in archive.namelist()}
    except Exception as error:  # zipfile and NumPy answer damage with a dozen classes
        raise RuntimeError(
            f"{os.fspath(path)} is damaged, or is not an .npz file of numbers: {error}; "
            "write it again with minidl.save"
        ) from error
    return {key: Tensor(backend.to_device(array, device)) for key, array in arrays.items()}


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as entry:
        array = np.lib.format.read_array(entry, allow_pickle=False)
        if entry.read(1):  # reading to the end also compares the checksum
            raise ValueError(f"the entry {name} goes on after its array")
    return array


def _as_array(key: Any, value: Any) -> np.ndarray:
    """A value of a state dictionary as an array in main memory."""
    array = value.array if isinstance(value, Tensor) else value
    if type(array) in backend.modules:
        array = backend.to_device(array, "cpu")
    array = np.asarray(array)
    if not isinstance(key, str) or array.dtype.kind not in "biuf":
        raise TypeError(
            f"save takes a flat dictionary from names to tensors, got {type(value).__name__} at {key!r}"
        )
    return array
