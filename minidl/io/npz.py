"""Weights, and all else that a training run goes on from, as a NumPy archive: never a pickle.

Each tensor is an array under its key, which `numpy.load` opens, too, on any machine, with or without minidl.  What is
more than a flat dictionary of tensors has its structure beside them, in an entry `structure.json`.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minidl import backend
from minidl.autograd import Tensor
from minidl.io.files import replacing

_STRUCTURE = "structure.json"


def save(obj: Any, f: str | os.PathLike[str] | BinaryIO) -> None:
    """Write `obj` to the file `f`: a state dictionary, or any nest of dictionaries, lists, tuples, numbers and strings.

    The same numbers give the same bytes.  A file is replaced only when the new one is whole; an open binary file is
    written to.  Anything else in the nest, such as a model itself, raises TypeError.

    >>> import tempfile, minidl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save({"epoch": 3, "model": {"weight": minidl.tensor([1.0, 2.0])}}, folder + "/checkpoint.npz")
    ...     load(folder + "/checkpoint.npz")
    {'epoch': 3, 'model': {'weight': tensor([1., 2.])}}
    """
    arrays: dict[str, np.ndarray] = {}
    structure = _taken_apart(obj, "", arrays)
    flat = isinstance(obj, Mapping) and list(obj) == list(arrays)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for key, array in arrays.items():  # numpy.savez has no room for keys such as "file"
            with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
        if not flat:
            with archive.open(_STRUCTURE, "w") as entry:
                entry.write(json.dumps(structure).encode())
    if hasattr(f, "write"):
        f.write(content.getvalue())
        return
    with replacing(f) as temporary:
        temporary.write_bytes(content.getvalue())


def load(f: str | os.PathLike[str] | BinaryIO, map_location: Any = "cpu", *, weights_only: bool = True) -> Any:
    """What `save` wrote to the file `f`, or the dictionary of tensors that `numpy.savez` wrote, on a device.

    Nothing but weights and plain values is ever loaded, whatever `weights_only` says.
    Raises FileNotFoundError if there is no such file, RuntimeError if it is damaged or another kind of file, or if
    there is no such device.
    """
    device = backend.as_device(map_location or "cpu")
    content = f.read() if hasattr(f, "read") else Path(f).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if any(name.endswith("data.pkl") for name in names):
                raise ValueError("it is PyTorch's format, a pickle, which minidl never opens")
            structure = json.loads(archive.read(_STRUCTURE)) if _STRUCTURE in names else None
            arrays = {name.removesuffix(".npy"): _read(archive, name) for name in names if name != _STRUCTURE}
            tensors = {key: Tensor(backend.to_device(array, device)) for key, array in arrays.items()}
            return tensors if structure is None else _put_together(structure, tensors)
    except Exception as error:  # zipfile and NumPy answer damage with a dozen classes
        raise RuntimeError(
            f"{getattr(f, 'name', f)} is damaged, or is not an .npz file of numbers: {error}; "
            "write it again with minidl.save"
        ) from error


def _taken_apart(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """The structure of a nest for JSON; its tensors go to `arrays`, under their place in the nest."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str | int)]:
            raise TypeError(f"save: keys are strings or whole numbers, got {strange[0]!r}{_at(place)}")
        parts = [[key, _taken_apart(part, f"{place}/{key}", arrays)] for key, part in value.items()]
        return {"dict": parts}
    if isinstance(value, tuple | list):
        parts = [_taken_apart(part, f"{place}/{i}", arrays) for i, part in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": parts}
    array = value.array if isinstance(value, Tensor) else value
    if type(array) in backend.modules:
        array = backend.to_device(array, "cpu")
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "biuf":
        raise TypeError(
            f"save takes tensors, numbers, strings, and dictionaries and lists of them, as model.state_dict(), got "
            f"{type(value).__name__}{_at(place)}"
        )
    key = place[1:] or "array"
    while key in arrays:  # of {"a/b": ...} and {"a": {"b": ...}} in one nest
        key += "'"
    arrays[key] = np.asarray(array)
    return {"tensor": key}


def _at(place: str) -> str:
    return f" at {place[1:]!r}" if place else ""


def _put_together(structure: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(structure, dict):
        return structure
    ((kind, parts),) = structure.items()
    if kind == "tensor":
        return tensors[parts]
    if kind == "dict":
        return {key: _put_together(part, tensors) for key, part in parts}
    return {"list": list, "tuple": tuple}[kind](_put_together(part, tensors) for part in parts)


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as entry:
        array = np.lib.format.read_array(entry, allow_pickle=False)
        if entry.read(1):  # reading to the end also compares the checksum
            raise ValueError(f"the entry {name} goes on after its array")
    return array
