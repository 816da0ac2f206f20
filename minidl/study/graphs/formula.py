"""The formula of a derivative, as the rule that is called says it: read from its own source, never written twice.

A rule multiplies the upstream gradient g by the derivative of its op.  Where g is such a factor, the derivative is
what is left of the rule without it.
"""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Mapping
from functools import lru_cache, partial
from types import CodeType
from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.study.graphs.notation import meanings, parts, simplified, text, written
from minidl.study.text import entries, is_small, on_host, setting

_ONE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
SIZES = ("shape", "ndim", "size")
LONG = 64  # letters of a formula with numbers, beyond which nobody reads it


class Formula:
    """What one rule does for one input of an op, when it is called with these `arguments`.

    - `letter`: what the rule calls the input.
    - `rule`: the gradient of the input, as the source says it, with "upstream" for g.
    - `derivative`: the derivative of the op by that input, or "" where the rule is no product with g.
    - `numbers`: the rule with the numbers put in, or "" where they are too many.
    - `meanings`: what names in the rule stand for, where that has to be said.

    >>> import minidl
    >>> rule, _ = minidl.multiply.rules
    >>> formula = Formula(minidl.multiply, rule, 0, (np.array(1.0), np.array(6.0), np.array(2.0), np.array(3.0)), {})
    >>> formula.derivative, formula.rule, formula.numbers
    ('d(x · y)/dx = y', 'upstream · y', '1 · 3')
    """

    def __init__(self, op: Any, rule: Any, place: int, arguments: tuple[Any, ...], settings: dict[str, Any]) -> None:
        given, letters = _bound(op, rule, arguments, settings)
        self.letter = letters[place] if place < len(letters) else f"x{place + 1}"
        self.rule = self.derivative = self.numbers = ""
        self.meanings: dict[str, str] = {}
        expression = _returned_to(op, place) if isinstance(op, type) else _expression(rule, place)
        if expression is None:
            return
        known = {**_globals(rule), **given}
        constants = {name: value for name, value in given.items() if type(value) in (int, float)}
        chosen = ast.fix_missing_locations(_Constant(constants, known).visit(_Decided(known).visit(expression)))
        self.rule = written(_Renamed({"g": "upstream"}).visit(_copied(chosen)))
        self.meanings = _steps_to(chosen, rule) | meanings(chosen, known)
        left = without_g(chosen)
        if left is not None:
            names = {name: str(constants.get(name, name)) for name in letters}
            self.derivative = f"d({forward_text(op, given, names)})/d{self.letter} = {text(simplified(left))}"
        words, found = parts(_WorkedOut(known).visit(_copied(chosen)))
        needed = set[str]().union(*map(_numbers, found.values()))
        if needed <= known.keys() and all(_fits(given[name]) for name in needed & given.keys()):
            numbers = words.format_map({name: text(_PutIn(given).visit(part)) for name, part in found.items()})
            if len(numbers) <= LONG:
                self.numbers = numbers.strip("()") if isinstance(chosen, ast.Name) else numbers


def _bound(op: Any, rule: Any, arguments: Any, settings: Any) -> tuple[dict[str, Any], list[str]]:
    """The arguments of a rule by name, and the names of the inputs among them."""
    if isinstance(op, type):  # the forward of a Function
        return {}, list(op_letters(op))
    first = rule.args if isinstance(rule, partial) and _shared(rule) is None else ()  # the position, if it serves all
    call = inspect.signature(_function(rule)).bind(*first, *arguments, **settings)
    call.apply_defaults()
    names = [name for name, parameter in call.signature.parameters.items() if parameter.kind in _ONE]
    letters = names[len(first) + 2 : len(first) + len(arguments)]
    return {name: value for name, value in call.arguments.items() if name not in ("arrays", "settings")}, letters


def forward_text(op: Any, given: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """What an op computes of inputs with these names: "x · y" where operators say it, "tanh(x)" otherwise.

    `given` are the arguments, for an op that asks for them in a condition.

    >>> import minidl
    >>> forward_text(minidl.multiply, {}, {"x": "a", "y": "b"}), forward_text(minidl.tanh, {}, {"x": "a"})
    ('a · b', 'tanh(a)')
    """
    function: Any = getattr(op, "function", None)
    found = None if function is None else _returned(function)
    if found is not None:
        chosen = _Decided({**_globals(function), **(function.__kwdefaults__ or {}), **given}).visit(found)
        if not any(isinstance(node, (ast.Call, ast.Attribute, ast.IfExp)) for node in ast.walk(chosen)):
            return text(_Renamed(names).visit(chosen))
    return f"{op.__name__}({', '.join(names.values())})"


def op_letters(op: Any) -> tuple[str, ...]:
    """What an op calls its inputs."""
    if isinstance(op, type):  # a Function
        return tuple(inspect.signature(op.forward).parameters)[1:]  # type: ignore[attr-defined]
    code = op.function.__code__
    return code.co_varnames[1 : code.co_argcount]


# -- the source ---------------------------------------------------------------------------------------------------


def _function(rule: Any) -> Any:
    return _shared(rule) or (rule.func if isinstance(rule, partial) else rule)


def _shared(rule: Any) -> Any:
    """The function that gives the gradients of all inputs together, if the rule is a part of such a one."""
    together = getattr(getattr(rule, "func", None), "__wrapped__", None)
    return together and inspect.unwrap(together)


def _globals(rule: Any) -> dict[str, Any]:
    function = _function(rule)
    closed = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    return {**getattr(function, "__globals__", {}), **closed}


@lru_cache(maxsize=1024)
def _definitions(code: CodeType) -> list[ast.Lambda | ast.FunctionDef]:
    """The definitions in the source that begin on the line where that of a function does."""
    nodes = ast.walk(tree) if (tree := _tree("".join(linecache.getlines(code.co_filename)))) else ()
    return [
        node for node in nodes
        if isinstance(node, (ast.Lambda, ast.FunctionDef))
        and code.co_firstlineno in (node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", ())))
    ]  # fmt: skip


@lru_cache(maxsize=64)
def _tree(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def _expression(rule: Any, place: int) -> ast.expr | None:
    """The expression that a rule computes for the input at this place, if its source is known."""
    function = _function(rule)
    if not inspect.isfunction(function):
        return None
    if function.__name__ != "<lambda>":
        return _returned(function, None if _shared(rule) is None else place)
    places = [place for place in function.__code__.co_positions() if None not in place and place[3] > 0]  # type: ignore[operator]
    for node in _definitions(function.__code__):
        if isinstance(node, ast.Lambda) and all(_lies_in(place, node) for place in places):
            return _copied(node.body)
    return None


def _lies_in(place: Any, node: ast.Lambda) -> bool:
    first, last, start, end = place
    return (node.lineno, node.col_offset) <= (first, start) and (last, end) <= (node.end_lineno, node.end_col_offset)


def _returned(function: Any, place: int | None = None) -> ast.expr | None:
    """What a function of one statement returns; with `place`, that part of a tuple returned at the end of any."""
    found = [node for node in _definitions(function.__code__) if isinstance(node, ast.FunctionDef)]
    if not found:
        return None
    body = [node for node in found[0].body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if not isinstance(body[-1], ast.Return) or body[-1].value is None or (place is None and len(body) > 1):
        return None
    value = body[-1].value
    parts = value.elts if isinstance(value, ast.Tuple) and place is not None else []
    whole = any(isinstance(part, ast.Starred) for part in parts) or place is None or not parts
    return _copied(value if whole else parts[place])  # type: ignore[index]


def _steps_to(expression: ast.expr, rule: Any) -> dict[str, str]:
    """What a rule of several lines calls by the names in an expression, and in those in turn."""
    function = _shared(rule)
    lines = [node for found in (_definitions(function.__code__) if function else ()) for node in ast.walk(found)]
    values: dict[str, ast.expr] = {}
    for line in lines:
        match line:
            case ast.Assign([ast.Name(name)], value):
                values.setdefault(name, value)
            case ast.Assign([ast.Tuple(names)], ast.Tuple(parts)) if len(names) == len(parts):
                for target, value in zip(names, parts, strict=True):
                    values.setdefault(ast.unparse(target), value)
    steps: dict[str, str] = {}
    waiting = sorted(_names(expression) & values.keys())
    while waiting:
        value = _Renamed({"g": "upstream"}).visit(_copied(values[name := waiting.pop(0)]))
        if not isinstance(value, ast.List):  # which is filled later
            steps[name] = text(simplified(value))
            waiting += sorted((_names(value) & values.keys()) - steps.keys() - set(waiting))
    return steps


def _returned_to(op: Any, place: int) -> ast.expr | None:
    """What the backward of a Function returns for one input."""
    found = _returned(op.backward, place)
    upstream = list(inspect.signature(op.backward).parameters)[1:]
    names = {name: f"upstream{k}" for k, name in enumerate(upstream, 1)} if len(upstream) > 1 else {upstream[0]: "g"}
    return None if found is None else _Renamed(names).visit(found)


def _copied(expression: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(expression), mode="eval").body


def _names(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def _numbers(expression: ast.expr) -> set[str]:
    """The names whose values a formula needs, more than their shapes."""
    if isinstance(expression, ast.Attribute) and expression.attr in SIZES:
        return set()
    own = {expression.id} if isinstance(expression, ast.Name) else set()
    return own.union(*map(_numbers, ast.iter_child_nodes(expression)))  # type: ignore[arg-type]


# -- changes to an expression -------------------------------------------------------------------------------------


class _Decided(ast.NodeTransformer):
    """Put the branch that is taken in the place of a condition, and leave out settings that are only handed on."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        try:
            taken = bool(_value(node.test, self.known))
        except Exception:  # it needs what only the op itself has: both branches stay
            return node
        return self.visit(node.body if taken else node.orelse)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        node.keywords = [keyword for keyword in node.keywords if keyword.arg is not None]
        is_cast = isinstance(node.func, ast.Name) and node.func.id == "astype"  # of which a formula says nothing
        return node.args[0] if is_cast else node


class _Constant(ast.NodeTransformer):
    """Put plain numbers, such as the 2 of x ** 2, in the place of their names, and work out what is made of them."""

    def __init__(self, constants: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        self.constants, self.known = constants, known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self.constants[node.id]) if node.id in self.constants else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        own_helper = isinstance(node.func, ast.Name) and node.func.id.startswith("_") and not node.keywords
        if own_helper and all(isinstance(x, ast.Constant) for x in node.args):
            return ast.Constant(_value(node, self.known))
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        to_the_first = isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant) and node.right.value == 1
        return node.left if to_the_first else node


class _WorkedOut(ast.NodeTransformer):
    """Before numbers are put in: what only counts is counted, and of what is spread over a tensor the shape is said."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name("count")):
                return ast.Constant(_value(node, self.known))
            case ast.Call(ast.Name("_kept")) if _fits(value := _value(node, self.known)):
                return ast.Name(_number_text(value))
            case ast.Call(ast.Name("spread"), [x, like]):
                return ast.Call(node.func, [x, ast.Attribute(like, "shape")], [])
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        match node.value:
            case ast.Attribute(ast.Name(), "shape"):
                return ast.Constant(_value(node, self.known))
        return self.generic_visit(node)  # type: ignore[return-value]


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id))


class _PutIn(ast.NodeTransformer):
    """Put numbers in the place of names."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id not in self.given:
            return node
        return ast.Name(_number_text(self.given[node.id]))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self.given and node.attr in SIZES:
            return ast.Name(repr(_value(node, self.given)))
        return self.generic_visit(node)  # type: ignore[return-value]


def _number_text(value: Any) -> str:
    if isinstance(value, (np.ndarray, np.generic, Tensor, float)):
        words = entries(on_host(value))
        return f"({words})" if words.startswith("-") else words
    return setting(value)


def _fits(value: Any) -> bool:
    """Whether the numbers of a value can be put into a formula."""
    if isinstance(value, (np.ndarray, np.generic)):
        return is_small(np.asarray(value)) and value.size <= 4
    return isinstance(value, (int, float, str, tuple, type(None)))


def _value(expression: ast.expr, known: Mapping[str, Any]) -> Any:
    code = compile(ast.fix_missing_locations(ast.Expression(_copied(expression))), "<rule>", "eval")
    return eval(code, dict(known))


def without_g(expression: ast.expr) -> ast.expr | None:
    """What is left of a rule without its factor g; None if g is no factor.

    >>> def left(rule): return text(without_g(ast.parse(rule, mode="eval").body))
    >>> left("g"), left("g * y"), left("-g * out / y"), left("where(x > 0, g, 0.0)")
    ('1', 'y', '-out / y', 'where(x > 0, 1, 0.0)')
    """
    one = ast.Constant(1)
    match expression:
        case ast.Name("g"):
            return one
        case ast.UnaryOp(ast.USub(), operand) if (left := without_g(operand)) is not None:
            return ast.UnaryOp(ast.USub(), left)
        case ast.BinOp(first, ast.Mult(), second) if "g" not in _names(second):
            return _times(without_g(first), second)
        case ast.BinOp(first, ast.Mult(), second) if "g" not in _names(first):
            return _times(without_g(second), first)
        case ast.BinOp(first, ast.Div(), second) if "g" not in _names(second) and (left := without_g(first)):
            return ast.BinOp(left, ast.Div(), second)
        case ast.Call(ast.Name("where"), [condition, *choices]) if "g" not in _names(condition):
            parts = [without_g(choice) if "g" in _names(choice) else choice for choice in choices]
            return None if None in parts else ast.Call(expression.func, [condition, *parts], [])  # type: ignore[list-item]
    return None


def _times(left: ast.expr | None, factor: ast.expr) -> ast.expr | None:
    match left:
        case None:
            return None
        case ast.Constant(1):
            return factor
        case ast.UnaryOp(ast.USub(), ast.Constant(1)):
            return ast.UnaryOp(ast.USub(), factor)
    return ast.BinOp(left, ast.Mult(), factor)
