"""The command `minidl`: train on MNIST, run a script for PyTorch, compare the optimizers, measure the speed.

What a command needs is imported when it runs; a mistake on the command line costs one line and exit code 2.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import shlex
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from minidl.data import MNIST
    from minidl.train import Trainer

MOST_LINES = 6  # in a cell of a table
STOPPED = 130  # the exit code of a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (by default this program's own), and return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without the letter ε shows a question mark
    options, unknown = build_parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unknown arguments: {' '.join(unknown)}")
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print(f"{options.parser.prog}: stopped", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # the reader of our output has gone, as in `minidl optimizers | head -3`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, FloatingPointError, MemoryError) as error:
        print(f"{options.parser.prog}: {error}", file=sys.stderr)
        return 1


# -- the command line ----------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a single line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from minidl import __version__, optim
    from minidl.bench import add_options
    from minidl.train import models

    # Muon takes only matrices, L-BFGS calls the loss itself: these do not fit the loop of a Trainer.
    ready = [name for name in optim.by_name if name not in ("muon", "lbfgs")]
    parser = Parser(prog="minidl", description="Train small neural networks, and see how they learn.")
    parser.add_argument("--version", action="version", version=f"minidl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run, parser=added)
        return added

    train_parser = command("train", train, "train a network and print its accuracy on the test set")
    add = train_parser.add_argument
    add("dataset", choices=["mnist"], help="what to learn: mnist, 70,000 handwritten digits")
    add("--model", choices=list(models.by_name), default="mlp", help="the network (default: mlp)")
    add("--optimizer", choices=ready, default="adam", help="how it learns (default: adam)")
    add("--lr", type=_positive_number, help="learning rate (default: the one recommended for the optimizer)")
    add("--batch-size", type=_whole_number(1), default=64, metavar="N", help="examples a step (default: 64)")
    add("--epochs", type=_whole_number(1), default=5, metavar="N", help="passes over the data (default: 5)")
    add("--seed", type=_whole_number(0), default=0, metavar="N", help="same seed, same weights (default: 0)")
    add("--device", type=_device, default="cpu", metavar="cpu|cuda", help="where to compute (default: cpu)")
    add("--out", type=_folder, metavar="DIR", help="write weights, history and pictures into this folder")

    torch_parser = command("torch", torch, "run a script for PyTorch on minidl, as it is")
    torch_parser.add_argument("script", help="a Python file that imports torch")
    torch_parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the script's own arguments")

    command("optimizers", optimizers, "print the optimizers side by side")
    add_options(command("bench", bench, "time minidl beside PyTorch and other libraries that are installed"))
    command("info", info, "print versions, libraries and devices")
    return parser


def _positive_number(text: str) -> float:
    value = _number(float, text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return value


def _whole_number(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = _number(int, text)
        if not value >= least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}, got {text}")
        return int(value)

    return convert


def _number(kind: type, text: str) -> float:
    """`text` as a number, nan if it is none."""
    try:
        return kind(text)
    except ValueError:
        return math.nan


def _folder(text: str) -> Path:
    if not text or (Path(text).exists() and not Path(text).is_dir()):
        raise argparse.ArgumentTypeError(f"must name a folder, got {text!r}")
    return Path(text)


def _device(text: str) -> str:
    from minidl.backend import as_device

    try:
        return as_device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# -- minidl train --------------------------------------------------------------------------------------------


def train(options: argparse.Namespace) -> int:
    """Train on MNIST as the options say; the test set is looked at after each epoch."""
    started = time.perf_counter()
    if options.out is not None:
        _prepare(options.out, options.parser)
    from minidl.data import MNIST, DataLoader

    try:
        train_set, test_set = MNIST(), MNIST(train=False)
    except RuntimeError as error:  # a damaged file
        print(f"{options.parser.prog}: {error}", file=sys.stderr)
        return 1
    trainer = _trainer(options)
    stopped = False
    try:
        trainer.fit(
            DataLoader(train_set, options.batch_size, shuffle=True, seed=options.seed),
            options.epochs,
            validation=DataLoader(test_set, 1000),
            unit="images",
            on_epoch=lambda row: print(_epoch_line(row, options.epochs), flush=True),
        )
    except KeyboardInterrupt:
        stopped = True
    where = ""
    if options.out is not None and trainer.history:
        _write_results(options.out, trainer, test_set)
        where = f", written to {options.out}"
    if stopped:
        done = f"stopped after {len(trainer.history)} of {options.epochs} epochs{where}"
        print(f"{options.parser.prog}: {done}", file=sys.stderr)
        return STOPPED
    accuracy = 100 * trainer.history[-1]["val_accuracy"]
    print(f"test accuracy {accuracy:.2f} %, {time.perf_counter() - started:.1f} s{where}")
    return 0


def _trainer(options: argparse.Namespace) -> Trainer:
    """The network and its optimizer, and a line that says what they are."""
    from minidl import optim
    from minidl.backend import manual_seed
    from minidl.train import Trainer, models

    manual_seed(options.seed)
    model = models.by_name[options.model]().to(options.device)
    kind: Any = optim.by_name[options.optimizer]
    optimizer = kind(model.parameters(), lr=options.lr or kind.recommended_lr)
    print(
        f"{options.model} ({sum(weight.numel() for weight in model.parameters()):,} weights), "
        f"{options.optimizer}, learning rate {optimizer.param_groups[0]['lr']:g}, "
        f"batch size {options.batch_size}, {options.device}",
        flush=True,
    )
    return Trainer(model, optimizer)


def _epoch_line(row: dict[str, float], epochs: int) -> str:
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.4f}  accuracy {100 * row['accuracy']:.2f} %  "
        f"test loss {row['val_loss']:.4f}  test accuracy {100 * row['val_accuracy']:.2f} %  "
        f"{row['examples_per_second']:,.0f} images/s"
    )


def _prepare(folder: Path, parser: argparse.ArgumentParser) -> None:
    """Find out before training, not after it, whether the results can be written."""
    if find_spec("matplotlib") is None:
        parser.error('--out draws pictures, which needs matplotlib: pip install "minidl[study]"')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        parser.error(f"cannot write into --out {folder}: {error.strerror}")


def _write_results(folder: Path, trainer: Trainer, test_set: MNIST) -> None:
    """Weights, history, the learning curve, and digits: the first of the test set, then mistakes."""
    import numpy as np

    from minidl.io import replacing, save
    from minidl.train import digits, learning_curve

    save(trainer.model.state_dict(), folder / "weights.npz")
    with replacing(folder / "history.csv") as path:
        trainer.history.to_csv(path)
    with replacing(folder / "learning_curve.png") as path:
        learning_curve(trainer.history, validation="test").savefig(path)
    images, labels = test_set[:1000]
    guesses = trainer.predict(images).argmax(1)
    guesses = guesses.cpu()
    mistakes = np.flatnonzero(guesses.numpy() != labels.numpy())
    shown = np.concatenate([np.arange(20), mistakes[mistakes >= 20][:20]])
    with replacing(folder / "digits.png") as path:
        figure = digits(images[shown], labels[shown], guesses[shown])
        figure.suptitle("the first 20 test images, then mistakes among the first 1,000")
        figure.savefig(path)


# -- minidl torch --------------------------------------------------------------------------------------------


def torch(options: argparse.Namespace) -> int:
    """Run a script in which `import torch` gives minidl; what it prints, raises and exits with is its own."""
    if not Path(options.script).is_file():
        options.parser.error(f"there is no script {options.script}")
    from minidl.compat import run_script, traceback_of

    try:
        run_script(options.script, options.arguments)
    except Exception as error:
        traceback = traceback_of(error, options.script)
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        return 1
    return 0


# -- minidl optimizers ---------------------------------------------------------------------------------------


def optimizers(options: argparse.Namespace) -> int:
    """Print what each optimizer fixes, what it is good and bad at, and when to use it."""
    from minidl.optim import describe

    print(table(describe(), shutil.get_terminal_size((120, 24)).columns))
    return 0


def table(rows: Sequence[dict[str, str]], width: int) -> str:
    """Rows with the same keys as a table of at most `width` characters, its columns wrapped.

    Where that would make columns of many short lines, each key becomes a section of its own instead.

    >>> print(table([{"name": "sgd", "when": "the data is small"}, {"name": "adam", "when": "?"}], 20))
    name  when
    ----  --------------
    sgd   the data is
          small
    <BLANKLINE>
    adam  ?
    """
    names = list(rows[0])
    columns = [[name, *(row[name] for row in rows)] for name in names]
    widest = [max(map(len, column)) for column in columns]
    words = [max(len(word) for text in column for word in text.split()) for column in columns]
    narrowest = [max(word, wide // MOST_LINES) for word, wide in zip(words, widest, strict=True)]
    spare = width - sum(narrowest) - 2 * (len(names) - 1)
    if spare < 0:
        return "\n\n".join(_section(rows, names[0], name, width) for name in names[1:])
    share = min(1.0, spare / max(1, sum(widest) - sum(narrowest)))
    widths = [low + int((high - low) * share) for low, high in zip(narrowest, widest, strict=True)]
    heading = [_wrapped(names, widths), "  ".join("-" * width for width in widths)]
    return "\n".join(heading) + "\n" + "\n\n".join(_wrapped(list(row.values()), widths) for row in rows)


def _wrapped(texts: Sequence[str], widths: Sequence[int]) -> str:
    """One row of a table: each text in its column, in as many lines as the longest needs."""
    columns = [textwrap.wrap(text, width) for text, width in zip(texts, widths, strict=True)]
    lines = zip_longest(*columns, fillvalue="")
    return "\n".join(
        "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _section(rows: Sequence[dict[str, str]], key: str, name: str, width: int) -> str:
    """One column of a table under its name, each line headed by the row's `key`."""
    margin = max(len(row[key]) for row in rows)
    lines = [_wrapped([row[key], row[name]], [margin, max(20, width - margin - 2)]) for row in rows]
    return "\n".join([name.upper(), *lines])


# -- minidl bench --------------------------------------------------------------------------------------------


def bench(options: argparse.Namespace) -> int:
    """Time the same work in minidl, in other libraries and in bare NumPy, and print the ratios."""
    from minidl.bench.compare import run

    return run(options, shlex.join(["minidl", *sys.argv[1:]]))


# -- minidl info ---------------------------------------------------------------------------------------------


def info(options: argparse.Namespace) -> int:
    """Print what decides how minidl runs here."""
    import platform

    import numpy as np

    from minidl import __version__

    blas: Any = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {
        "minidl": f"{__version__} in {Path(__file__).parent}",
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "NumPy": np.__version__,
        "BLAS": f"{blas['name']} {blas.get('version', '')}",
        "cores": f"{cores}; limit BLAS with OMP_NUM_THREADS or OPENBLAS_NUM_THREADS",
        "GPU": _gpu(),
        "matplotlib": "installed" if find_spec("matplotlib") else 'no: pip install "minidl[study]"',
    }
    for name, fact in facts.items():
        print(f"{name:10}  {fact}")
    return 0


def _gpu() -> str:
    """CuPy and the GPUs it finds, or what is missing."""
    from minidl import backend, cuda

    try:
        version = backend.gpu_module().__version__
    except RuntimeError as error:
        return f"no: {error}"
    return f"{', '.join(map(cuda.get_device_name, range(cuda.device_count())))}, with CuPy {version}"
