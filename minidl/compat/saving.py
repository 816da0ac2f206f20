"""torch.save and torch.load without pickle: minidl's files, and whole modules as far as one process goes.

A file never holds code.  Of a module it holds the weights, and a number by which the program that saved it knows the
module again; another program needs `model.state_dict()`.
"""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np

from minidl import io
from minidl.autograd import Tensor, tensor
from minidl.nn import Module

_MODULE, _ARRAY = "a whole module of program", "a NumPy array"
_program = os.urandom(16).hex()
_saved: list[Module] = []  # the modules that were saved whole; their places in this list are their numbers


def save(obj: Any, f: Any, *arguments: Any, **options: Any) -> None:
    """Write `obj` as `minidl.save` does; NumPy arrays come back as arrays, modules only in this program.

    PyTorch's further arguments change nothing.  TypeError for what is neither numbers nor text.
    """
    io.save(_packed(obj), f)


def load(f: Any, map_location: Any = None, *arguments: Any, **options: Any) -> Any:
    """What `save` wrote; of a whole module, a copy with the weights that it had.

    RuntimeError for a module of another program.
    """
    device = map_location if isinstance(map_location, str) else "cpu"
    return _unpacked(io.load(f, device), getattr(f, "name", f))


def _packed(value: Any) -> Any:
    if isinstance(value, Module):
        if not any(value is module for module in _saved):
            _saved.append(value)
        number = next(number for number, module in enumerate(_saved) if module is value)
        return {_MODULE: _program, "number": number, "name": type(value).__name__, "state": value.state_dict()}
    if isinstance(value, np.ndarray):
        return {_ARRAY: tensor(value)}
    if type(value) in (list, tuple):
        return type(value)(map(_packed, value))
    return {key: _packed(part) for key, part in value.items()} if isinstance(value, dict) else value


def _unpacked(value: Any, file: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_unpacked(part, file) for part in value)
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return value[_ARRAY].cpu().numpy()
    if _MODULE not in value:
        return {key: _unpacked(part, file) for key, part in value.items()}
    if value[_MODULE] != _program:
        raise RuntimeError(
            f"{file} holds the weights of a {value['name']}, which another program saved whole; minidl keeps no code "
            "in files: save model.state_dict(), and give it to model.load_state_dict() of a new model"
        )
    model = copy.deepcopy(_saved[value["number"]])
    device: Any = next((x.device for x in value["state"].values() if isinstance(x, Tensor)), "cpu")
    model.to(device).load_state_dict(value["state"])
    return model
