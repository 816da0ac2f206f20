"""The modules that a script finds when it imports torch or torchvision: minidl's own, under PyTorch's names.

A table at the end says what each is made of; a name that is in none of its parts is refused with the nearest ones.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import numpy as np

import minidl
from minidl import autograd, cuda, data, distributions, func, nn, optim, special, testing
from minidl.compat import saving, tensorboard, torchvision
from minidl.compat import stand_ins as s
from minidl.optim import lr_scheduler, swa_utils
from minidl.utils import checkpoint

# What to do instead, where no name that is spelled alike would help: for paths that begin so.
_INSTEAD = {
    "numpy.fft works on x.numpy()": "torch.fft torch.stft torch.istft",
    "numpy.linalg works on x.numpy()": """torch.svd torch.qr torch.eig torch.pinverse torch.lstsq torch.linalg.svd
        torch.linalg.qr torch.linalg.eig torch.linalg.pinv torch.linalg.lstsq torch.linalg.matrix_rank""",
    "a network runs as it is written": "torch.jit torch.fx torch.export torch.onnx torch.compiler torch._dynamo",
    "all tensors are dense": "torch.sparse torch.nested",
    "all tensors are real":
        "torch.complex torch.is_complex torch.view_as_complex torch.polar torch.angle torch.real torch.imag",
    "all weights are floats": "torch.quantization torch.ao",
    "it computes in one process": """torch.distributed torch.multiprocessing torch.nn.parallel torch.nn.DataParallel
        torch.nn.SyncBatchNorm torch.utils.data.distributed torch.utils.data.DistributedSampler""",
    "functions and layers take batches as they are; for the rest, torch.stack([f(x) for x in batch])":
        "torch.vmap torch.func.vmap",
    "give the layer the sizes that it would find out": "torch.nn.Lazy",
    "Normal, Bernoulli, Categorical, Uniform and Independent are there": "torch.distributions",
    "torch.nn.utils.weight_norm and spectral_norm are there": "torch.nn.utils.parametri",
    "cProfile, or torch.cuda.synchronize() and time.perf_counter(), measure the time":
        "torch.profiler torch.autograd.profiler torch.utils.bottleneck torch.utils.benchmark",
    "build the network of torch.nn's layers": "torchvision.models torch.hub torch.utils.model_zoo",
    "MNIST, FashionMNIST, KMNIST and FakeData are there": "torchvision.datasets",
    "its transforms are classes: torchvision.transforms": "torchvision.transforms.functional",
    "matplotlib.image reads pictures": "torchvision.io torchvision.transforms.ToPILImage",
    "it learns from tensors, however they were read": "torchaudio torchtext",
}  # fmt: skip
INSTEAD = {path: what for what, paths in _INSTEAD.items() for path in paths.split()}


class Namespace(ModuleType):
    """A module that looks a name up in its own attributes, then in each of `parts`, of which it shows no submodules."""

    def __init__(self, name: str, *parts: Any, **own: Any) -> None:
        super().__init__(name, f"minidl in the place of {name}")
        self.__path__: list[str] = []  # so that submodules can be imported
        self.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        self._parts = parts
        vars(self).update(own)

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":  # for `from torch.nn import *`
            return [word for word in dir(self) if not word.startswith("_")]
        if name.startswith("_"):
            raise AttributeError(f"{self.__name__} has no {name}")
        for part in self._parts:
            value = getattr(part, name, self)
            if value is not self and not isinstance(value, ModuleType):
                setattr(self, name, value)  # found sooner the next time
                return value
        # With `name=`, or Python would add a guess of its own.
        raise AttributeError(_refusal(f"{self.__name__}.{name}", name, dir(self)), name=name)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *(name for part in self._parts for name in _words(part))})


def _words(part: Any) -> list[str]:
    return [name for name in dir(part) if name[0] != "_" and not isinstance(getattr(part, name), ModuleType)]


def _refusal(path: str, name: str, known: Iterable[str]) -> str:
    """One line on the name at `path`, which minidl lacks, with what to do instead or the nearest `known` names."""
    near = get_close_matches(name, [word for word in known if not word.startswith("_")], n=3, cutoff=0.76)
    instead = next((what for lacking, what in INSTEAD.items() if path.startswith(lacking)), "")
    hint = instead or (f"the nearest names that it has: {', '.join(near)}" if near else "")
    return f"minidl has no {path}{'; ' if hint else ''}{hint}"


class _Refusing(importlib.abc.MetaPathFinder):
    """Answers the import of a module of torch's family that minidl does not have."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname.partition(".")[0] in ("torch", "torchvision", "torchaudio", "torchtext"):
            parent, _, name = fullname.rpartition(".")
            # Without `name=`, by which `from torch import fft` would take it for a name that is no module.
            raise ModuleNotFoundError(_refusal(fullname, name, dir(sys.modules[parent]) if parent else ()))


def _torch() -> Namespace:
    """The module torch itself: minidl's names, and those that only PyTorch's scripts need."""
    return Namespace(
        "torch", minidl, **s.tensor_types,
        __version__="2.13.0+minidl", dtype=np.dtype, Size=tuple, newaxis=None,
        save=saving.save, load=saving.load, inference_mode=autograd.inference_mode, Generator=s.Generator,
        preserve_format="preserve_format", contiguous_format="contiguous_format", channels_last="channels_last",
        compile=s.itself, autocast=s.autocast, GradScaler=s.GradScaler, is_autocast_enabled=s.no,
        bfloat16=s.Lacking("torch.bfloat16"), set_default_device=s.set_default_device,
        set_default_tensor_type=lambda kind: minidl.set_default_dtype(kind.dtype),
        **dict.fromkeys(["set_num_interop_threads", "use_deterministic_algorithms"], s.nothing),
    )  # fmt: skip


def _modules() -> dict[str, Namespace]:
    """Every module that `import` finds, by its full name."""
    amp = dict(autocast=s.autocast, GradScaler=s.GradScaler)
    alone = dict(is_available=s.no, is_initialized=s.no)
    modules = [
        _torch(),
        Namespace("torch.nn", nn, **s.lacking("torch.nn", "DataParallel")),
        Namespace("torch.nn.functional", nn.functional),
        Namespace("torch.nn.init", nn.init),
        Namespace("torch.nn.modules", nn),
        *(Namespace(f"torch.nn.modules.{name}", nn)
          for name in ("activation", "batchnorm", "container", "conv", "dropout", "linear", "loss", "module", "pooling",
                       "rnn", "transformer")),
        Namespace("torch.nn.parallel", **s.lacking("torch.nn.parallel", "DataParallel", "DistributedDataParallel")),
        Namespace("torch.nn.parameter", Parameter=nn.Parameter),
        Namespace("torch.nn.utils", nn.utils),
        Namespace("torch.nn.utils.rnn", nn.utils.rnn),
        Namespace("torch.optim", optim),
        Namespace("torch.optim.lr_scheduler", lr_scheduler, _LRScheduler=lr_scheduler.LRScheduler),
        Namespace("torch.optim.optimizer", Optimizer=optim.Optimizer),
        Namespace("torch.optim.swa_utils", swa_utils),
        Namespace("torch.autograd", autograd, Variable=s.Variable),
        Namespace("torch.autograd.function", autograd.function),
        Namespace("torch.autograd.functional", autograd.functional),
        Namespace("torch.linalg", minidl.linalg),
        Namespace("torch.utils"),
        *(Namespace(f"torch.utils.{name}", data)
          for name in ("data", "data.dataset", "data.dataloader", "data.sampler")),
        Namespace("torch.utils.checkpoint", checkpoint),
        Namespace("torch.utils.tensorboard", tensorboard),
        Namespace("torch.accelerator", cuda, current_accelerator=s.accelerator),
        Namespace("torch.amp", **amp),
        Namespace("torch.cuda", cuda, **s.cuda_tensor_types),
        Namespace("torch.cuda.amp", **amp),
        Namespace("torch.distributions", distributions),
        Namespace("torch.distributions.kl", kl_divergence=distributions.kl_divergence),
        *(Namespace(f"torch.distributions.{name}", distributions)
          for name in ("normal", "bernoulli", "categorical", "uniform")),
        Namespace("torch.func", func),
        Namespace("torch.mps", is_available=s.no),
        Namespace("torch.random", minidl.random),
        Namespace("torch.special", special),
        Namespace("torch.testing", testing),
        Namespace("torch.xpu", is_available=s.no),
        Namespace("torch.backends"),
        Namespace("torch.backends.cuda", **s.switches(), matmul=minidl.backends.cuda.matmul),
        *(Namespace(f"torch.backends.{name}", **s.switches()) for name in ("cudnn", "mkldnn", "mps")),
        Namespace(
            "torch.distributed", **alone,
            **s.lacking("torch.distributed", "init_process_group", "destroy_process_group"),
        ),
        Namespace("torch.onnx"),
        Namespace("torch.version", cuda=None),
        Namespace("torchvision", __version__="0.28.0+minidl"),
        Namespace("torchvision.datasets", torchvision.datasets),
        Namespace("torchvision.transforms", torchvision.transforms),
        Namespace("torchvision.transforms.v2", torchvision.transforms_v2),
        Namespace("torchvision.utils", torchvision.utils),
    ]  # fmt: skip
    return {module.__name__: module for module in modules}


def install_as_torch() -> None:
    """From here on, `import torch` and `import torchvision` give minidl in this process.

    A second call changes nothing.  RuntimeError if torch itself has been imported before.

    >>> import subprocess, sys
    >>> script = "import minidl.compat; minidl.compat.install_as_torch(); import torch; print(torch.ones(2))"
    >>> subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    'tensor([1., 1.])\\n'
    """
    loaded = sys.modules.get("torch")
    if isinstance(loaded, Namespace):
        return
    if loaded is not None:
        raise RuntimeError("torch itself is imported already: call install_as_torch() before anything imports it")
    modules = _modules()
    for name, module in modules.items():
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.meta_path.insert(0, _Refusing())
    for kind, attributes in s.ATTRIBUTES.items():
        for name, attribute in attributes.items():
            setattr(kind, name, attribute)
