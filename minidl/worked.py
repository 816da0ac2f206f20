"""A function worked through as a textbook does it: for one entry of its arrays, every line with the numbers put in.

The lines are read from the function's own source and run one after the other, so that they cannot say anything else.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import numpy as np

FUNCTIONS = (max, min, abs, float, int, dict)  # shown with what they are given, as ufuncs are
PARTED = (ast.UnaryOp, ast.Compare, ast.Tuple, ast.Dict)  # and so are these
Span = tuple[int, int]  # where a text starts and ends in the source


class Line(NamedTuple):
    """`name` = `formula`, which with `numbers` put in is `value`; `remark` is the comment beside the formula."""

    name: str
    formula: str
    numbers: str
    value: Any
    remark: str

    def __str__(self) -> str:
        steps = [step for step in dict.fromkeys([self.formula, self.numbers, number(self.value)]) if step]
        steps[0] += f"  # {self.remark}" if self.remark else ""
        return f"{self.name} = " + f"\n{'':{len(self.name)}} = ".join(steps)


class Explanation:
    """What a function does with one entry: `print` shows it, `values` holds every result by name with all its digits.

    `given` is what it starts from, `lines` are its lines; here those of an optimizer's rule.

    >>> import minidl
    >>> w = minidl.tensor([0.5, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> print(minidl.optim.Adagrad([w], lr=0.1).explain(w, 1))
    Adagrad, step 1 of parameter 0 of group 0, entry [1]
    given w = 2, g = 4, s = 0, t = 1, lr = 0.1, lr_decay = 0, eps = 1e-10
    s = s + g * g  # every squared gradient so far
      = 0 + 4 * 4
      = 16
    rate = lr / (1 + (t - 1) * lr_decay) / (xp.sqrt(s) + eps)
         = 0.1 / (1 + (1 - 1) * 0) / (sqrt(16) + 1e-10)
         = 0.025
    w = w - rate * g
      = 2 - 0.025 * 4
      = 1.9
    """

    def __init__(self, title: str, given: dict[str, Any], lines: Sequence[Line]) -> None:
        self.title, self.given, self.lines = title, given, list(lines)
        self.values = {line.name: line.value for line in lines}

    def __str__(self) -> str:
        given = "given " + ", ".join(f"{name}\0=\0{number(value)}" for name, value in self.given.items())
        lines = [line.replace("\0", " ") for line in textwrap.wrap(given, 100)]  # with no break in name = value
        for _, same in groupby(self.lines, lambda line: (line.name, line.formula)):
            first, *others = same  # the rounds of a loop
            lines.append(str(first))
            if len(others) > 1:
                lines.append(f"{'':{len(first.name)}} … {len(others) - 1} more rounds of this line, and then the last:")
            lines += map(str, others[-1:])
        return "\n".join([self.title, *lines])

    __repr__ = __str__


def number(value: float) -> str:
    """Six significant digits."""
    return f"{value:.6g}"


def place(index: int | tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of one entry as a tuple; a number counts the entries row by row.  IndexError if there is none such."""
    entries = np.arange(int(np.prod(shape)))
    try:
        flat = entries[index] if isinstance(index, int) else entries.reshape(shape)[index]
        return tuple(int(i) for i in np.unravel_index(int(flat), shape))
    except (IndexError, TypeError):
        raise IndexError(f"{index} is no entry of a parameter of shape {shape}") from None


class Walk:
    """Runs functions statement by statement; `lines` says what each did to the entry `index` of arrays of `shape`."""

    def __init__(self, shape: tuple[int, ...], index: tuple[int, ...]) -> None:
        self.shape, self.index = shape, index
        self.lines: list[Line] = []

    def entry(self, value: Any) -> Any:
        """What a value is for our entry: a number, None if it is none."""
        if isinstance(value, (int, float)):
            return value
        shape = getattr(value, "shape", None)
        return value[self.index if shape else ()].item() if shape in ((), self.shape) else None

    def run(self, call: partial[Any], name: str = "") -> Any:
        """What `call()` returns; `name` is how the lines are to call that, unless it is a dictionary.

        OSError if the source of the function cannot be found.
        """
        function: Any = call.func
        plain, given = getattr(function, "__func__", function), call.args
        around = inspect.getclosurevars(plain).nonlocals
        self.source, body = _parsed(plain)
        self.scope = {**plain.__globals__, **around, "_note": self._note}
        if plain is not function:  # a method
            given = (function.__self__, *given)
            self.scope["super"] = partial(super, around.get("__class__", object), given[0])
        self.scope |= inspect.signature(plain).bind(*given, **call.keywords).arguments
        self.name, self.result = name, None
        self._block(body)
        return self.result

    # -- statements

    def _block(self, statements: list[ast.stmt]) -> bool:
        """Run the statements, up to a return; whether there was one."""
        return any(self._statement(statement) for statement in statements)

    def _statement(self, statement: ast.stmt) -> bool:
        self.notes: dict[Span, str] = {}  # the values of parts of the statement
        jumps = any(isinstance(node, (ast.Break, ast.Continue)) for node in ast.walk(statement))
        match statement:
            case ast.If(test, body, orelse) if not jumps:
                return self._block(body if self._value(test) else orelse)
            case ast.For(target, every, body, []) if not jumps:
                for item in list(self._value(every)):
                    self.scope["_item"] = item
                    self._execute(ast.Assign([target], ast.Name("_item", ast.Load())))
                    if self._block(body):
                        return True
            case ast.Assign([target], formula) | ast.AnnAssign(target, _, ast.expr() as formula):
                self._execute(ast.Assign([target], self._noted(formula)))
                for one, part, ending in _pairs(target, formula):
                    name = self._text(one)
                    result = self._value(ast.parse(name, mode="eval").body)
                    if _items(part) or not isinstance(result, dict):
                        self._show(name, part, result, ending)
            case ast.Return(ast.expr() as formula):
                self.result = self._value(self._noted(formula))
                self._show(self.name, formula, self.result)
                return True
            case _:
                self._execute(statement)
                names = [x.id for x in ast.walk(statement) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store)]
                for name in dict.fromkeys(names):
                    self._show(name, None, self.scope[name])
        return False

    def _execute(self, statement: ast.stmt) -> None:
        exec(compile(ast.fix_missing_locations(ast.Module([statement], [])), "<worked>", "exec"), self.scope)

    def _value(self, expression: ast.expr) -> Any:
        return eval(compile(ast.fix_missing_locations(ast.Expression(expression)), "<worked>", "eval"), self.scope)

    # -- formulas

    def _show(self, name: str, formula: ast.expr | None, result: Any, ending: str = "") -> None:
        """Add the line `name` = `formula` + `ending`; for a dictionary one for each item, but none that is no news."""
        value = self.entry(result)
        if isinstance(result, dict):
            for key, item in result.items():
                self._show(key, _items(formula).get(key), item)
        elif not name or value is None:
            return
        elif formula is None:
            if not any((line.name, line.value) == (name, value) for line in self.lines):
                self.lines.append(Line(name, "", "", value, ""))
        elif (text := self._text(formula)) != name:
            remark = re.match(r"[\s,)}\]]*#\s*(.*)", self.source[self._span(formula)[1] :])
            numbers = self._text(formula, self.notes) + ending
            self.lines.append(Line(name, text + ending, numbers, value, remark[1] if remark else ""))

    def _noted(self, node: Any) -> Any:
        """A copy of an expression that, when it is evaluated, notes the value of each of its parts."""
        if not isinstance(node, (ast.expr, ast.keyword)) or isinstance(node, ast.Constant):
            return node
        if isinstance(node, ast.expr) and not self._has_parts(node):
            span: Any = self._span(node)
            return ast.Call(ast.Name("_note", ast.Load()), [ast.Constant(span), node], [])
        node = copy.copy(node)
        for field, value in [(field, value) for field, value in ast.iter_fields(node) if field != "func"]:
            setattr(node, field, [self._noted(x) for x in value] if isinstance(value, list) else self._noted(value))
        return node

    def _has_parts(self, node: ast.AST) -> bool:
        """Whether an expression can be read with numbers in it, because it works number by number."""
        match node:
            case ast.BinOp():
                return not isinstance(node.op, ast.MatMult)
            case ast.Call(ast.Name() | ast.Attribute(ast.Name()) as function):
                called = self._value(function)
                return called in FUNCTIONS or type(called).__name__ == "ufunc"
        return isinstance(node, PARTED)

    def _note(self, span: Span, value: Any) -> Any:
        if (entry := self.entry(value)) is not None:
            self.notes[span] = number(entry)
        return value

    def _span(self, node: Any) -> Span:
        lines = self.source.splitlines(keepends=True)
        starts = list(accumulate(map(len, lines), initial=0))
        ends = (node.lineno - 1, node.col_offset), (node.end_lineno - 1, node.end_col_offset)
        start, end = (starts[i] + len(lines[i].encode()[:column].decode()) for i, column in ends)
        return start, end

    def _text(self, node: ast.AST, notes: Mapping[Span, str] | None = None) -> str:
        """The source of a node on one line, as it stands or with the numbers of the `notes`."""
        start, end = self._span(node)
        text = ""
        for (first, last), note in sorted((notes or {}).items()):
            if start <= first and last <= end:
                text += self.source[start:first]
                power = self.source[last:].lstrip().startswith("**")
                text += f"({note})" if note[0] == "-" and (power or text.rstrip()[-1:] not in ("", "(", ",")) else note
                start = last
        text = " ".join(re.sub(r"#.*", "", text + self.source[start:end]).split())
        text = re.sub(r"""\bletters\["(\w+)"\]""", r"\1", text)  # a letter of the rule, by its name
        return text if notes is None else re.sub(r"\bxp\.", "", text)


def _parsed(function: Callable[..., Any]) -> tuple[str, list[ast.stmt]]:
    """The source of a function, and its statements."""
    source = textwrap.dedent(inspect.getsource(function))
    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:
        raise OSError(f"the source of {function.__qualname__} is only a piece of a statement") from None
    node = next(node for node in nodes if isinstance(node, (ast.FunctionDef, ast.Lambda)))
    return source, node.body if isinstance(node, ast.FunctionDef) else [ast.Return(node.body)]


def _pairs(target: ast.expr, formula: ast.expr) -> list[tuple[ast.expr, ast.expr, str]]:
    """Names, what is assigned to them, and which part of that: "[0]" of what is taken apart."""
    match target, formula:
        case ast.Tuple(names), ast.Tuple(parts):
            return [(name, part, "") for name, part in zip(names, parts, strict=True)]
        case ast.Tuple(names), _:
            return [(name, formula, f"[{i}]") for i, name in enumerate(names)]
    return [(target, formula, "")]


def _items(formula: ast.expr | None) -> dict[str, ast.expr]:
    """What stands in `dict(name=expression, ...)` or `{"name": expression, ...}`; nothing if it is something else."""
    match formula:
        case ast.Call(ast.Name("dict"), [], keywords):
            return {keyword.arg or "": keyword.value for keyword in keywords}
        case ast.Dict(keys, parts):
            return {str(k.value): part for k, part in zip(keys, parts, strict=True) if isinstance(k, ast.Constant)}
    return {}
