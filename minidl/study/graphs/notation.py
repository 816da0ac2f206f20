"""How a rule is written as a formula: what its helpers stand for, in the signs that people use.

A helper that is not in these tables keeps its name, and the formula is explained by the helper's own docstring.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from typing import Any

# What a call of a helper says in a formula: the names of its arguments, and an expression of them.  A formula says
# nothing of what is only layout, as of dimensions of length 1 that are put back.
WRITTEN = {
    "_kept": ("reduced x axis", "reduced"),
    "_one_less": ("y", "y - 1"),
    "_rows": ("x", "x"),
    "_t": ("x", "x.T"),
    "count": ("x axis", "n"),
    "inner": ("x y axis", "(x * y).sum(axis=axis)"),
    "linear": ("x w", "x @ w.T"),
    "matrix_product": ("x y", "x @ y"),
    "one_hot_float": ("target", "one_hot(target)"),
    "product": ("x y", "x @ y"),
    "swapaxes": ("x i j", "x.T"),
    "total": ("x axis", "x.sum(axis=axis)"),
}
# The same for calls of which a whole rule consists, in words.
PHRASES = {
    "put": ("x index shape", "{x} at x[{index}], 0 elsewhere"),
    "replaced": ("x value index", "{value} at x[{index}], {x} elsewhere"),
    "spread": ("x like", "{x}, spread over {like}"),
}
NAMES = {"out": "The result of the op.", "n": "How many entries share one sum or mean."}


def text(expression: ast.expr) -> str:
    """An expression as a formula.

    >>> text(ast.parse("g * 2 * x ** 3", mode="eval").body)
    'g · 2 · x^3'
    """
    written = re.sub(r"\b_(?=[a-z])|\bmath\.", "", ast.unparse(expression))  # helpers' names without their underscore
    return re.sub(r"\.T\b", "ᵀ", written).replace(" ** ", "^").replace(" * ", " · ")


def written(rule: ast.expr) -> str:
    """A rule as a formula, its helpers as in the tables.

    >>> def formula(rule): return written(ast.parse(rule, mode="eval").body)
    >>> formula("linear(g, w.T)"), formula("kernels.product(_rows(g).T, _rows(x))")
    ('g @ w', 'gᵀ @ x')
    >>> formula("spread(_kept(g, x, axis), x)")
    'g, spread over x'
    """
    words, found = parts(rule)
    return words.format_map({name: text(part) for name, part in found.items()})


def parts(rule: ast.expr) -> tuple[str, dict[str, ast.expr]]:
    """The words for a rule, and the expressions that go into them; those of most rules are one expression."""
    names, words = PHRASES.get(_called(rule), ("", ""))
    if not words:
        return "{rule}", {"rule": simplified(rule)}
    return words, {name: simplified(x) for name, x in _arguments(rule, names).items() if f"{{{name}}}" in words}


def simplified(expression: ast.expr) -> ast.expr:
    """A copy in which the expressions of the table stand for helpers."""
    return _Transposed().visit(_Written().visit(ast.parse(ast.unparse(expression), mode="eval").body))


def meanings(rule: ast.expr, known: Mapping[str, Any]) -> dict[str, str]:
    """What the names in the formula of a rule mean; helpers, by the docstrings of those among the `known`."""
    nodes = [node for part in parts(rule)[1].values() for node in ast.walk(part)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    found = {name: NAMES.get(name) or _docstring(known.get(name)) for name in sorted(names)}
    return {name.lstrip("_"): meaning for name, meaning in found.items() if meaning}


def _docstring(helper: Any) -> str:
    """The first line of the docstring of one of our functions or ops."""
    function = getattr(helper, "function", helper)
    ours = inspect.isfunction(function) and function.__module__.startswith("minidl.")
    return (inspect.getdoc(function) or "").partition("\n")[0] if ours else ""


def _called(expression: ast.expr) -> str:
    """The name of the function of a call; "" for what is none."""
    match expression:
        case ast.Call(ast.Name(name) | ast.Attribute(ast.Name("kernels"), name)):
            return name
    return ""


def _arguments(call: Any, names: str) -> dict[str, ast.expr]:
    """The arguments of a call by name."""
    return dict(zip(names.split(), call.args, strict=False)) | {word.arg: word.value for word in call.keywords}


class _Written(ast.NodeTransformer):
    """Put what the table says in the place of helpers."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if _called(node) not in WRITTEN:
            return node
        names, template = WRITTEN[_called(node)]
        return _Filled(_arguments(node, names)).visit(ast.parse(template, mode="eval").body)


class _Filled(ast.NodeTransformer):
    """Put arguments in the place of their names."""

    def __init__(self, arguments: Mapping[str, ast.expr]) -> None:
        self.arguments = arguments

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.arguments.get(node.id, node)


class _Transposed(ast.NodeTransformer):
    """What was transposed twice is what it was."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Attribute(ast.Attribute(inner, "T"), "T"):
                return inner
        return node
