"""Where the layers of a model are in a graph: the ops that use their parameters, and what each layer returned.

A graph knows ops, not modules.  What a layer returned is known where its call was recorded (`study.record`); of the
layers of `minidl.nn` one can tell without, because it is known what comes after the last op with a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from minidl.autograd.tensor import Tensor
from minidl.nn import Module, MultiheadAttention, PReLU
from minidl.nn.cells import RNNCellBase
from minidl.nn.rnn import RNNBase
from minidl.study.graphs.graph import Graph, Node
from minidl.study.graphs.parts import parts


@dataclass
class Use:
    """What a layer computed: the ops in which its parameters, or what was made of them alone, met something else.

    `output` is what it returned, in the last of its `calls`; `note` says what one has to know about that.
    """

    ops: list[Node] = field(default_factory=list)
    parameters: dict[Node, int] = field(default_factory=dict)  # and how often each was used
    output: Node | None = None
    calls: int = 1
    note: str = ""

    @property
    def end(self) -> Node:
        """The output, or else the last op with a parameter."""
        return self.output or self.ops[-1]


def uses(model: Module, graph: Graph, users: dict[Node, list[Node]]) -> dict[str, Use]:
    """What each layer computed, in the order of the network, by its path; `users` are those of each node."""
    owners, modules = _owners(model), dict(model.named_modules())
    found = _found(owners, graph)
    if not found:
        raise RuntimeError("the loss was not computed with this model: none of its parameters is in the graph")
    recorded = _recorded(graph)
    for name, use in found.items():
        module = modules.get(name, model)
        if name in recorded:
            use.output, use.calls = recorded[name][-1], len(recorded[name])
        elif " = " not in name:
            use.calls = min(use.parameters.values())
            if type(module).__module__.startswith("minidl.nn.") and not isinstance(module, RNNCellBase):
                use.output = _output(module, use.ops, users)
            else:
                use.note = "seen at the last op with its parameters: study.record(model) knows its output"
        else:
            use.calls = sum(use.parameters.values())
            use.note = "one weight, counted once; seen at its last use"
        for own, p in module.named_parameters(recurse=False):
            if len(owners[p]) > 1 and " = " not in name:
                use.note = f"{own} is that of {' and '.join(owners[p])}, counted in both rows"
    return found


def _owners(model: Module) -> dict[Tensor, list[str]]:
    """The layers that have each parameter; an attention does itself what its `out_proj` is there for."""
    owners: dict[Tensor, list[str]] = {}
    heads = {f"{path}.out_proj".lstrip(".") for path, x in model.named_modules() if isinstance(x, MultiheadAttention)}
    for path, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            name = path.removesuffix("out_proj").removesuffix(".") if path in heads else path
            owners.setdefault(parameter, []).append(name or type(model).__name__)
    return owners


def _found(owners: dict[Tensor, list[str]], graph: Graph) -> dict[str, Use]:
    """The ops of each layer and the parameters that it used."""
    made: dict[Node, list[Node]] = {}  # of which parameters alone: those that were reshaped, and the like
    met, alone = dict[str, Use](), dict[str, Use]()
    for node in graph.nodes:
        if node.tensor in owners:
            made[node] = [node]
        elif inputs := [x for x in node.inputs if x in made]:
            used = list(dict.fromkeys(p for x in inputs if not _is_penalty(x, made[x]) for p in made[x]))
            if len(inputs) == len(node.inputs) and not _is_given_arrays(node):
                made[node] = list(dict.fromkeys(p for x in inputs for p in made[x]))
            own = [p for p in used if len(owners[p.tensor]) == 1] or used  # its bias says who uses a shared weight
            for name in dict.fromkeys(" = ".join(owners[p.tensor]) for p in own):
                use = (alone if node in made else met).setdefault(name, Use())
                use.ops.append(node)
                for p in used:
                    use.parameters[p] = use.parameters.get(p, 0) + 1
    return {**met, **{name: use for name, use in alone.items() if name not in met}}


def _is_given_arrays(node: Node) -> bool:
    """Whether an op was given more than tensors and plain settings: the indices of an embedding, say."""
    given = (*(node.tensor.inputs or ()), *(node.tensor.settings or {}).values())
    values = [value for x in given for value in (x if isinstance(x, tuple) else (x,))]
    return any(getattr(value, "ndim", 0) for value in values if not isinstance(value, Tensor))


def _is_penalty(x: Node, parameters: list[Node]) -> bool:
    """Whether x is one number of many parameters, such as their sum of squares."""
    return x.value.size == 1 and any(p.value.size > 1 for p in parameters)


def _recorded(graph: Graph) -> dict[str, list[Node]]:
    """What each call of a module returned that computed a part of this graph, by the path of the module."""
    nodes = {node.tensor.order: node for node in graph.nodes if node.op}
    found: dict[str, list[Node]] = {}
    for part in sorted(parts, key=lambda part: part.end):
        if part.result in nodes:
            found.setdefault(part.name or part.kind, []).append(nodes[part.result])
    return found


def _output(module: Module, ops: list[Node], users: dict[Node, list[Node]]) -> Node:
    """What a layer of `minidl.nn` returned: what it makes of the last op with a parameter, but for the shape."""
    end = ops[-1]
    if isinstance(module, PReLU):  # slope · min(x, 0), to which max(x, 0) is added
        return users[end][0]
    if isinstance(module, RNNBase):  # of the states at all times those after the start
        later = [x for x in users[end] if len(x.value) == len(end.value) - 1] or [end]
        return users[later[0]][0] if module.bidirectional and users[later[0]] else later[0]
    return end
