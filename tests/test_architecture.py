"""What holds for the source text as a whole: who imports whom, what a rule may say, how long things may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import minidl

ROOT = Path(minidl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

BELOW: dict[str, set[str]] = {  # what each part may import
    "backend": set(),
    "worked": set(),
    "wording": set(),
    "pinned": {"backend"},
    "autograd": {"backend", "sums", "wording"},
    "kernels": {"backend", "threads"},
    "ops": {"backend", "sums", "autograd", "kernels", "threads"},
    "functional": {"backend", "pinned", "autograd", "ops"},
    "linalg": {"autograd", "ops", "functional"},
    "nn": {"backend", "autograd", "kernels", "ops", "functional"},
    "blas": set(),
    "threads": {"blas"},
    "sums": {"backend"},
    "pages": set(),
    "optim": {"backend", "kernels", "threads", "worked"},
    "utils": {"backend", "autograd"},
    "data": {"backend", "pinned", "autograd", "cuda"},
    "train": {"backend", "autograd", "ops", "functional", "nn", "optim", "data", "io"},
    "io": {"backend", "autograd"},
    "backends": {"backend"},
    "cuda": {"backend"},
    "random": {"backend", "autograd"},
    "replay": {"backend", "threads", "kernels", "autograd", "ops", "functional", "nn", "optim"},
    "testing": {"backend", "autograd"},
    "func": {"autograd"},
    "bench": set(),  # its workers run other libraries without minidl
    "special": {"autograd", "ops", "functional"},
    "distributions": {"autograd", "ops", "functional", "nn"},
    "study": {"backend", "autograd", "ops", "nn", "optim", "data", "train", "worked", "replay"},
}
ABOVE = {"__init__", "__main__", "cli", "compat"}  # these may import everything, and nothing below imports them
ALIASES = {Path("optim/swa_utils.py"), Path("utils/data.py")}  # PyTorch's names for what stands in train and data
each_file = pytest.mark.parametrize("path", TREES, ids=str)


def part_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def imported(tree: ast.Module) -> set[str]:
    """The modules that a file names in its imports, wherever they stand: "minidl.ops", "numpy", ..."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@each_file
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part in ABOVE or path in ALIASES:
        return
    parts = {name.split(".")[1] for name in imported(TREES[path]) if name.startswith("minidl.")}
    assert parts - {part} <= BELOW[part], f"{path} may import only {BELOW[part] or 'nothing'} of minidl"


@each_file
def test_only_the_backend_knows_cupy(path: Path) -> None:
    gpu = {name for name in imported(TREES[path]) if name.partition(".")[0] in ("cupy", "cupyx")}
    assert not gpu or path == Path("backend.py")


def rules(tree: ast.Module) -> list[ast.expr]:
    """What is given to `.vjps(...)` in a file, and to `ufunc(name, ...)` after the name."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "vjps"]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "ufunc"]
    return [
        rule
        for rules in [call.args for call in given] + [call.args[1:] for call in named]
        for rule in rules
        if not isinstance(rule, ast.Starred)  # the rules that `ufunc` was given itself
    ] + [keyword.value for call in given for keyword in call.keywords]


def test_a_rule_is_a_pure_expression_of_what_it_is_given() -> None:
    found = [(path, rule) for path, tree in TREES.items() if path.parts[0] == "ops" for rule in rules(tree)]
    assert len(found) > 60
    for path, rule in found:
        place = f"{path}:{rule.lineno}"
        if isinstance(rule, ast.Name):  # the function that gives the gradients of all inputs together, on several lines
            (rule,) = [node for node in TREES[path].body if getattr(node, "name", None) == rule.id]
        assert isinstance(rule, (ast.Lambda, ast.FunctionDef)) or rule.value is None, place
        for node in ast.walk(rule):
            assert not isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield)), f"{place} assigns"
            assert not (isinstance(node, ast.Attribute) and node.attr == "array"), f"{place} looks at .array"
            assert not (isinstance(node, ast.Name) and node.id in ("xp", "np", "cupy")), f"{place} names a module"


@each_file
def test_a_file_fits_in_the_head(path: Path) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 400


@each_file
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(TREES[path])


def lines_of_code(path: Path) -> list[int]:
    """The numbers of the lines that are neither empty, nor a comment, nor in a docstring."""
    docstrings = {
        line
        for node in ast.walk(TREES[path])
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(node) is not None
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    lines = enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
    return [number for number, line in lines if number not in docstrings and line.strip()[:1] not in ("", "#")]


@each_file
def test_a_function_fits_on_a_screen(path: Path) -> None:
    code = lines_of_code(path)
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef):
            length = sum(node.lineno <= number <= (node.end_lineno or 0) for number in code)
            assert length <= 60, f"{path}: {node.name} has {length} lines of code"


def test_the_engine_its_ops_and_the_optimizers_stay_small() -> None:
    counts = dict.fromkeys(map(part_of, TREES), 0)
    for path in TREES:
        counts[part_of(path)] += len(lines_of_code(path))
    print("lines of code:", ", ".join(f"{part} {count}" for part, count in counts.items()))
    assert counts["autograd"] + counts["ops"] + counts["optim"] <= 3500


def test_importing_minidl_imports_nothing_heavy() -> None:
    code = "import sys, minidl; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    loaded = set(run.stdout.split())
    assert "minidl" in loaded
    heavy = {"tqdm", "matplotlib", "plotly", "igraph", "cupy", "torch", "scipy", "onnx", "safetensors", "http"}
    assert not loaded & heavy
