"""The computation graph as a thing to look at: what a tensor was computed from, with every value and every gradient.

It is the recorded graph itself that is read, and the engine's own backward pass that gives the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count
from typing import Any

import numpy as np

from minidl.autograd.engine import run_backward
from minidl.autograd.tensor import Tensor
from minidl.nn.parameter import Parameter
from minidl.study.graphs.formula import forward_text, op_letters
from minidl.study.graphs.parts import Part, parts
from minidl.study.text import on_host, setting, settings_text

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LONG, PIECES = 60, 40  # more members of a group are folded into so many groups of those that follow each other


@dataclass(eq=False, repr=False)
class Group:
    """What one call of a module (or a named block of lines) computed: nodes, and groups inside it."""

    name: str
    kind: str
    parent: Group | None = None
    members: list[Node | Group] = field(default_factory=list)
    key: str = ""
    given: frozenset[int] = frozenset()  # the ids of the tensors that came from outside

    @property
    def title(self) -> str:
        return f"{self.name} ({self.kind})" if self.name and self.kind else self.name or self.kind

    @property
    def path(self) -> list[Group]:
        """The groups from the outermost to this one."""
        return [*(self.parent.path if self.parent else ()), self]

    @property
    def result(self) -> Node:
        """What it computed last."""
        return [node for node in self.nodes() if node.op][-1]

    def nodes(self) -> Iterator[Node]:
        """All nodes in it and in the groups inside it."""
        for member in self.members:
            yield from member.nodes() if isinstance(member, Group) else (member,)

    def groups(self) -> Iterator[Group]:
        """The groups inside it, each before those inside that."""
        for member in self.members:
            if isinstance(member, Group):
                yield member
                yield from member.groups()


@dataclass(eq=False, repr=False)
class Node:
    """A tensor of the graph: the result of an op, or a leaf."""

    tensor: Tensor
    key: str
    name: str
    inputs: list[Node]
    value: np.ndarray
    gradient: np.ndarray | None = None
    group: Group = field(default_factory=lambda: Group("", ""))
    layer: str = ""  # the module that computed this one node

    @property
    def op(self) -> str:
        """The name of the op, "" for a leaf."""
        return self.tensor.op.__name__ if self.tensor.op else ""

    def __repr__(self) -> str:
        return f"<Node {self.computed or self.name}>"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the op that are not its usual ones."""
        x = self.tensor
        usual = getattr(getattr(x.op, "function", None), "__kwdefaults__", None) or {}
        given = {} if isinstance(x.op, type) else x.settings or {}
        return {name: value for name, value in given.items() if value is not usual.get(name)}

    @cached_property
    def formula(self) -> str:
        """What was computed: "a · b", or "sum(x, axis=0)"; "" for a leaf."""
        x = self.tensor
        if x.op is None:
            return ""
        tensors = iter(self.inputs)
        names = [next(tensors).name if isinstance(y, Tensor) else setting(y) for y in x.inputs or () if y is not None]
        letters = op_letters(x.op)
        given = dict(zip(letters, x.arrays or (), strict=False)) | (x.settings or {})
        every = chain(letters, (f"x{i}" for i in count(1)))
        formula = forward_text(x.op, given, dict(zip(every, names, strict=False)))
        settings = settings_text(self.settings)
        return f"{formula[:-1]}, {settings})" if settings and formula.endswith(")") else formula

    @property
    def computed(self) -> str:
        """What was computed, under its name: "c = a · b"; "" for a leaf."""
        says_it = self.name == self.op and self.formula.endswith(")")  # sum(x), and not sum = sum(x)
        return self.formula if says_it or not self.op else f"{self.name} = {self.formula}"

    @property
    def kind(self) -> str:
        """op; or, for a leaf: parameter, leaf (it requires a gradient, too) or data."""
        if self.tensor.op is not None:
            return "op"
        return "parameter" if isinstance(self.tensor, Parameter) else "leaf" if self.tensor.requires_grad else "data"


@dataclass(eq=False, repr=False)
class Graph:
    """All that a tensor was computed from, in the order in which it was computed; the tensor itself is the last."""

    nodes: list[Node]
    root: Group

    def __post_init__(self) -> None:
        self.of = {node.tensor: node for node in self.nodes}


def read(result: Tensor, names: dict[int, str] | None = None, gradients: dict[Tensor, Any] | None = None) -> Graph:
    """The graph behind `result`; `names` are those of variables, by the id of the tensor.

    Unless they are known already, gradients are those of `result`; if that is no single number, there are none.
    """
    tensors = behind(result)
    if gradients is None:
        gradients = gradients_of(result, tensors) if result.array.size == 1 else {}
    used: dict[str, int] = {}
    nodes: dict[Tensor, Node] = {}
    letters = _letters(tensors)
    for place, x in enumerate(tensors, 1):
        name = x.name or (names or {}).get(id(x)) or (x.op.__name__ if x.op else letters.get(x, "data"))
        gradient = gradients.get(x)
        value = array_of(x.array)
        nodes[x] = Node(
            tensor=x,
            key=f"n{place}",
            name=_unused(name, used, lambda k: str(k).translate(SUBSCRIPTS)),
            inputs=[nodes[y] for y in inputs_of(x)],
            value=value if x.op else value.copy(),  # a step of an optimizer changes leaves
            gradient=None if gradient is None else array_of(gradient),
        )
    root = _grouped(list(nodes.values()), sorted(parts, key=lambda part: part.start))
    return Graph(list(nodes.values()), root)


def inputs_of(x: Tensor) -> list[Tensor]:
    """The tensors from which x was computed."""
    return [y for y in x.inputs or () if isinstance(y, Tensor)]


def _letters(tensors: list[Tensor]) -> dict[Tensor, str]:
    """What the first op that uses a parameter calls it, such as w, where that is another letter than x, of inputs."""
    found: dict[Tensor, str] = {}
    for user in tensors:
        for letter, x in zip(op_letters(user.op) if user.op else (), user.inputs or (), strict=False):
            if isinstance(x, Parameter):
                found.setdefault(x, "parameter" if letter == "x" else letter)
    return found


def array_of(value: Any) -> np.ndarray:
    """An array as NumPy's; several outputs of one Function as a single array."""
    if isinstance(value, dict):
        return np.concatenate([on_host(part).reshape(-1) for part in value.values()])
    return on_host(value)


def gradients_of(result: Tensor, tensors: list[Tensor]) -> dict[Tensor, Any]:
    """The gradients of `result`, a single number, at those of `tensors` that have any; the graph and `.grad` stay."""
    wanted = [x for x in tensors if x.tracked]
    kept = [(x, x.grad) for x in wanted]
    try:
        return run_backward([result], [None], retain_graph=True, wanted=wanted)
    finally:
        for x, grad in kept:  # a hook of `retain_grad` has written to it
            x.grad = grad


def behind(result: Tensor) -> list[Tensor]:
    """Every tensor behind `result`, in the order of computation, each leaf just before it is first used.

    RuntimeError if `result` was not computed by recorded operations, or if their record was freed.
    """
    if not isinstance(result, Tensor):
        raise TypeError(f"expected a tensor that was computed, such as a loss, got {type(result).__name__}")
    if result.op is None:
        raise RuntimeError(
            "this tensor has no graph: it is a leaf, or was computed under no_grad(), or from tensors none of which "
            "has requires_grad=True"
        )
    found, stack = {result}, [result]
    while stack:
        x = stack.pop()
        if x.op is not None and x.inputs is None:
            raise RuntimeError(
                f"the graph behind {x.op.__name__} was freed by backward(): look at it before that, or call "
                "backward(retain_graph=True)"
            )
        new = [y for y in inputs_of(x) if y not in found]
        found.update(new)
        stack.extend(new)
    ordered: dict[Tensor, None] = {}
    for x in sorted((x for x in found if x.op is not None), key=lambda x: x.order):
        ordered.update(dict.fromkeys(y for y in inputs_of(x) if y.op is None))
        ordered[x] = None
    return list(ordered)


def _unused(name: str, used: dict[str, int], ending: Callable[[int], str]) -> str:
    """`name`, with the ending of a number behind it if it is among the `used`, which say how often each was."""
    while (chosen := name + (ending(used[name] + 1) if name in used else "")) in used:
        used[name] += 1
    used[chosen] = 1
    if chosen != name:
        used[name] += 1
    return chosen


# -- groups -------------------------------------------------------------------------------------------------------


def _grouped(nodes: list[Node], found: list[Part]) -> Group:
    """Put every node into the group of the part that computed it; the group around them all."""
    root = Group("", "")
    ops = [node for node in nodes if node.op]
    _place_ops(ops, root, found)
    _fill(root, ops)
    _fold(root)
    _place_leaves(nodes, root)
    _fill(root, nodes)
    _dissolve(root)
    for number, group in enumerate(root.groups(), 1):
        group.key = f"g{number}"
    return root


def _place_ops(ops: list[Node], root: Group, found: list[Part]) -> None:
    """The result of an op belongs to the innermost part during which it was made; `found` are in order of starts."""
    made: dict[Part, Group] = {}
    used: dict[str, int] = {}
    waiting, around = iter([*found, None]), list[Part]()
    upcoming = next(waiting)
    for node in ops:
        order = node.tensor.order
        while upcoming is not None and upcoming.start < order:
            around = [part for part in around if part.end > upcoming.start] + [upcoming]
            upcoming = next(waiting)
        around = [part for part in around if part.end > order]
        node.group = root
        for part in around:
            if part not in made:
                name = _unused(part.name or part.kind, used, lambda k: f", call {k}")
                made[part] = Group(name, part.kind if part.name else "", node.group, given=part.given)
            node.group = made[part]


def _fold(group: Group) -> None:
    """Put what follows each other in a long group into groups, so that no picture holds too much."""
    members = group.members
    if len(members) > LONG:
        size = max(LONG // 6, -(-len(members) // PIECES))
        group.members = []
        for start in range(0, len(members), size):
            chunk = members[start : start + size]
            inner = Group(f"{group.name} {start + 1} to {start + len(chunk)}".strip(), "", group, chunk)
            group.members.append(inner)
            for member in chunk:
                if isinstance(member, Group):
                    member.parent = inner
                else:
                    member.group = inner
    for member in group.members:
        if isinstance(member, Group):
            _fold(member)


def _place_leaves(nodes: list[Node], root: Group) -> None:
    """A leaf belongs to the innermost group that has all of its uses, unless that was given it from outside."""
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for x in node.inputs:
            users.setdefault(x, []).append(node)
    for leaf in nodes:
        if not leaf.op:
            paths = [node.group.path for node in users[leaf]]
            common = [groups[0] for groups in zip(*paths, strict=False) if len(set(groups)) == 1]
            outside = [k for k, group in enumerate(common) if id(leaf.tensor) in group.given]
            leaf.group = common[min(outside, default=len(common)) - 1]


def _fill(root: Group, nodes: list[Node]) -> None:
    """Make nodes, in their order, the members of their groups, and groups those of the ones around them."""
    for group in [root, *root.groups()]:
        group.members = []
    placed = {root}
    for node in nodes:
        node.group.members.append(node)
        for group in reversed(node.group.path):
            if group not in placed and group.parent is not None:
                placed.add(group)
                group.parent.members.append(group)


def _dissolve(group: Group) -> None:
    """Put a node that is alone in its group in the place of that group, whose title it takes."""
    for place, member in enumerate(group.members):
        if isinstance(member, Group):
            _dissolve(member)
            if len(member.members) == 1 and isinstance(only := member.members[0], Node):
                only.layer, only.group = only.layer or member.title, group
                group.members[place] = only
