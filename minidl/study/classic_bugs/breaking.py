"""`break_it`: the classic bugs, to be switched on for a lesson: minidl's own source, with a line or two of it changed.

What is changed is read from the source when a bug is asked for, compiled, put in the place of the original, and taken
out again: nothing is written twice, and a program without `break_it` runs not one instruction more.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable
from contextlib import ContextDecorator, ExitStack
from functools import reduce
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from minidl.study.calls import replace
from minidl.study.classic_bugs.classics import Bug, bugs
from minidl.study.text import named


class Change(NamedTuple):
    """A line of minidl that a bug changes: where it stands, as it is, and as it becomes."""

    place: str
    right: str
    wrong: str


class break_it(ContextDecorator):
    """Let minidl have a bug, by its name in `study.bugs`, in a `with` block or a function that this decorates.

    Everything that runs meanwhile has it, in all threads: the engine, layers, optimizers, and what explains them.
    Afterwards, also after an error, everything is as it was.  Blocks may stand in each other.  ValueError for a bug
    that there is not.

    >>> import minidl
    >>> from minidl import study
    >>> x = minidl.tensor(3.0, requires_grad=True)
    >>> with study.break_it("forget_accumulation"):
    ...     (x * x).backward()
    >>> x.grad  # of the two uses of x only the last, instead of 2 x
    tensor(3.)
    """

    def __init__(self, bug: str) -> None:
        self.bug = named("bug", bug, bugs)
        self._undo: list[ExitStack] = []

    def __enter__(self) -> break_it:
        with ExitStack() as stack:  # if one place fails, those before it are mended
            for place, edits in self.bug.edits.items():
                replace(stack, *_swap(place, edits, f"<minidl with {self.bug.name}>"))
            self._undo.append(stack.pop_all())
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.pop().close()


def changes(bug: Bug) -> list[Change]:
    """The lines of minidl that a bug changes."""
    found = []
    for place, edits in bug.edits.items():
        source = _Source(place)
        pairs = zip(source.text.splitlines(), source.edited(edits).splitlines(), strict=True)
        found += [Change(place, old.strip(), new.strip()) for old, new in pairs if old != new]
    return found


# -- the source -----------------------------------------------------------------------------------------------------


class _Source:
    """A function, the method of a class, or the rules of an op, in the text of its whole file.

    `place` says which: "minidl.autograd.engine:run_backward", "minidl.optim.adaptive:Adam.rule", and for the rules
    "minidl.ops.reductions:mean.vjps".
    """

    def __init__(self, place: str) -> None:
        module, _, path = place.partition(":")
        self.place, self.module = place, import_module(module)
        *self.path, self.name = path.split(".")
        self.owner: Any = reduce(getattr, self.path, self.module)
        self.text = "".join(linecache.getlines(self._code().co_filename))
        self.node = self._node(ast.parse(self.text))

    def _code(self) -> CodeType:
        """The code as it is now, which is that of the bug outside if there are two."""
        found = next(iter(self.owner.rules)) if self.name == "vjps" else getattr(self.owner, self.name)
        return getattr(found, "function", found).__code__

    def _node(self, tree: ast.Module) -> Any:
        """The definition in the tree of its file."""
        if self.name == "vjps":
            start = f"{self.path[0]}.vjps("
            return next(x for x in tree.body if isinstance(x, ast.Expr) and ast.unparse(x.value).startswith(start))
        node: Any = tree
        for name in (*self.path, self.name):
            node = next(x for x in node.body if isinstance(x, (ast.ClassDef, ast.FunctionDef)) and x.name == name)
        return node

    def edited(self, edits: tuple[tuple[str, str], ...]) -> str:
        """The text of the file with the edits in the definition; RuntimeError where there is nothing to edit."""
        lines = self.text.splitlines(keepends=True)
        first, last = self.node.lineno - 1, self.node.end_lineno
        body = "".join(lines[first:last])
        for right, wrong in edits:
            if right not in body:
                raise RuntimeError(
                    f"{self.place} has no {right!r} any more: it has the bug already, or that has to be planted anew"
                )
            body = body.replace(right, wrong)
        return "".join([*lines[:first], body, *lines[last:]])


def _swap(place: str, edits: tuple[tuple[str, str], ...], file: str) -> tuple[Any, str, Any]:
    """What is to be set for a bug: the owner and the name of an attribute, and its new value."""
    source = _Source(place)
    text = source.edited(edits)
    node = source._node(ast.parse(text))
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # for whoever shows source
    scope, owner = vars(source.module), source.owner
    if source.name == "vjps":
        rules = [_compiled(ast.Expression(rule), file, scope) for rule in node.value.args]
        return owner, "rules", tuple(rules)
    node.decorator_list = []
    made = _compiled(ast.Module([node], []), file, scope, source.name)
    if isinstance(owner, type):  # an optimizer knows a rule by the function, so it has to be another
        static = isinstance(vars(owner)[source.name], staticmethod)
        return owner, source.name, staticmethod(made) if static else made
    function: Any = getattr(owner, source.name)  # others hold this very object, so it gets another code
    function = getattr(function, "function", function)
    return function, "__code__", made.__code__


def _compiled(tree: Any, file: str, scope: dict[str, Any], name: str = "") -> FunctionType | Any:
    """The function that a tree is or defines, among the names of its module."""
    if isinstance(tree, ast.Expression):
        return eval(compile(tree, file, "eval"), scope)
    defined: dict[str, Callable[..., Any]] = {}
    exec(compile(tree, file, "exec"), scope, defined)
    return defined[name]
