"""The optimizer: parameters in groups with options, a step that applies a rule to them, and its state.

A kind of optimizer is a class with a `rule`, the update as its paper prints it.  `step` runs that rule fast,
`preview` runs it as it stands and shows every quantity.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.backend import Array
from minidl.optim.explain import Explanation, explain
from minidl.optim.flat import Flat, Parameter, arrange, places
from minidl.optim.runner import Rule, Update

Group = dict[str, Any]

# The lowest and the highest value of an option, both allowed unless infinite, whichever optimizer has it.
_RANGES: dict[str, tuple[float, float]] = {
    "lr": (0, math.inf), "lr_decay": (0, math.inf), "weight_decay": (0, math.inf), "eps": (0, math.inf),
    "momentum": (0, math.inf), "alpha": (0, math.inf), "rho": (0, 1), "initial_accumulator_value": (0, math.inf),
    "momentum_decay": (0, math.inf), "ns_steps": (0, 99),
}  # fmt: skip


class Optimizer:
    """Base of all optimizers: what a method does not say itself, it does as every other.

    A method of your own needs an `__init__` that hands its options to this one, and a `rule`, a pure function on
    arrays: `rule(xp, w, g, *memory, **letters)`.  What it remembers between steps is positional, starts at 0, and
    is returned under the same names with the new `w`; the numbers it needs are keyword-only: options of the
    group, the number `t` of the step (from 1), numbers `kept` from the step before, or what `letters` adds.  A rule
    made of arithmetic and NumPy's ufuncs runs in reused buffers, with the same bits as if it were called, or as one
    kernel on a GPU; one that does more (conditions, sums, products of matrices) is called with each parameter in its
    shape.

    `params` is an iterable of tensors or (name, tensor) pairs, or a list of dictionaries, each with "params" and
    options of its own; `defaults` are the options of the others.  Weights are changed where they lie, so that
    whatever shares their memory (a state dict, a detached tensor) sees the change.

    >>> import minidl
    >>> class SignDescent(Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...     @staticmethod
    ...     def rule(xp, w, g, *, lr):
    ...         return dict(w=w - lr * xp.sign(g), rate=lr / xp.abs(g))
    >>> w = minidl.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([w])
    >>> (w * w).sum().backward()
    >>> optimizer.preview(w)
    {'w': array([ 0.9, -1.9], dtype=float32), 'rate': array([0.05 , 0.025], dtype=float32)}
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    rule: ClassVar[Rule]
    state_names: ClassVar[dict[str, str | None]] = {}  # letter: PyTorch's name in the state; None: not kept there
    kept: ClassVar[tuple[str, ...]] = ()  # letters of numbers that are remembered of each parameter, as arrays are
    decoupled = False  # weight decay apart from the gradient, unless an option says otherwise
    stepped = False  # whether `step` was ever called: a schedule asks
    recommended_lr: ClassVar[float]  # for the MNIST network 784-128-10; the class says at which batch size

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any], differentiable: bool = False) -> None:
        if differentiable:
            raise RuntimeError(f"{type(self).__name__}: a step is not recorded, so differentiable=True cannot be had")
        if isinstance(params, (Parameter, str, set, frozenset)) or not isinstance(params, Iterable):
            raise TypeError(
                "params must be an iterable of tensors in a fixed order, such as net.parameters() or [w, b], or a "
                f"list of dictionaries; got {type(params).__name__}"
            )
        given = list(params)
        if not given:
            raise ValueError(
                "optimizer got an empty parameter list: if it comes from net.parameters(), the net has no layers "
                "with weights, or the generator was used up before"
            )
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self._flats: list[list[Flat]] = []  # for each group, one for each dtype and device in it
        self._updates: dict[Any, Update] = {}
        self.watchers: list[Callable[..., None]] = []  # told of every part of a step before it is taken
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        self._add([self._checked_group(group, k) for k, group in enumerate(groups)])

    # -- what a kind of optimizer may say itself

    def select(self, group: Group, t: int) -> Rule:
        """The rule for these options in step t of a parameter (from 1), where either changes the rule."""
        return self.rule

    def letters(self, group: Group, t: int) -> dict[str, Any]:
        """The numbers that rules may ask for, by letter; `group` holds the options and the numbers `kept`."""
        return {**group, "t": t, **dict(zip(("b1", "b2"), group.get("betas", ()), strict=False))}

    def start(self, group: Group, letter: str) -> float:
        """The number that the memory `letter` holds before the first step."""
        return 0.0

    def keep(self, letters: dict[str, Any]) -> dict[str, float]:
        """The numbers `kept` for the next step, from the letters of this one."""
        return {letter: letters[letter] for letter in self.kept}

    def check(self, group: Group) -> None:
        """Raise ValueError if an option is out of its range, or does not go with another."""
        for name in [name for name in self.defaults if name in _RANGES]:
            value, (low, high) = group[name], _RANGES[name]
            if not hasattr(value, "__float__"):
                raise TypeError(f"{type(self).__name__}: {name} must be a number, got {value!r}")
            if not (low <= float(value) <= high and math.isfinite(value)):
                allowed = f"{low} <= {name} <= {high}" if high < math.inf else f"a finite {name} >= {low}"
                raise ValueError(f"{type(self).__name__}: {name} = {value} is out of range, expected {allowed}")
        betas = group.get("betas", (0, 0))
        if not isinstance(betas, (tuple, list)) or len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{type(self).__name__}: betas must be two numbers, 0 <= beta < 1, got {betas}")

    # -- parameters

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own, such as a layer that is unfrozen later.

        TypeError or ValueError for what is no parameter, belongs to a group already, or has a wrong option.
        """
        self._add([self._checked_group(param_group, len(self.param_groups))])

    def _checked_group(self, given: Group, k: int) -> Group:
        """The group with all its options, to become number k."""
        if not isinstance(given, dict) or "params" not in given:
            raise TypeError(f'a parameter group must be a dictionary with "params", got {given!r:.80}')
        params = given["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError('"params" is a set, which has no fixed order: use a list')
        params = [params] if isinstance(params, Parameter) else list(params)
        group = {**self.defaults, **given}
        if params and all(isinstance(p, tuple) for p in params):
            group["param_names"] = [name for name, _ in params]
            params = [p for _, p in params]
        group["params"] = params
        for p, label in zip(params, _labels(group, k), strict=True):
            if not isinstance(p, Parameter):
                hint = ": use model.parameters()" if hasattr(p, "parameters") else ""
                raise TypeError(f"an optimizer changes tensors, but {label} is of type {type(p).__name__}{hint}")
            if p.array.dtype.kind != "f":
                raise TypeError(f"an optimizer changes floating-point numbers, but {label} is {p.array.dtype}")
            if not p.is_leaf:
                raise ValueError(
                    f"{label} was computed from other tensors, and changing it would not change those: optimize "
                    "the tensors it was computed from, or detach() it"
                )
        self.check(group)
        return group

    def _add(self, groups: list[Group]) -> None:
        """Take up checked groups, unless a parameter of theirs is in two groups or twice in one."""
        labels = [label for k, group in enumerate(groups, len(self.param_groups)) for label in _labels(group, k)]
        known = {id(p): "an earlier group" for group in self.param_groups for p in group["params"]}
        for p, label in zip([p for group in groups for p in group["params"]], labels, strict=True):
            if id(p) in known:
                raise ValueError(f"{label} appears twice: it is {known[id(p)]} already")
            known[id(p)] = label
        for group in groups:
            self._flats.append(arrange(group["params"], _labels(group, len(self.param_groups)), []))
            self.param_groups.append(group)

    def _settled(self, k: int) -> list[Flat]:
        """The flat arrays of group k, after a look whether a parameter was given another array."""
        if any(flat.moved() for flat in self._flats[k]):
            group = self.param_groups[k]
            self._flats[k] = arrange(group["params"], _labels(group, k), self._flats[k])
        return self._flats[k]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; with `set_to_none=False` they become new zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad = type(p.grad)(backend.array_module(p.array).zeros_like(p.array))

    # -- steps

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient by one step of the rule; returns what `closure()` returns.

        `closure`, if given, is called first, to compute the loss and the gradients.  A gradient that does not fit
        its parameter raises RuntimeError before anything is changed.
        """
        self.stepped = True
        loss = None if closure is None else closure()
        work = []
        for k, group in enumerate(self.param_groups):
            for flat in self._settled(k):
                work.append((group, flat, [flat.gradient(i) for i in range(len(flat.params))]))
        for group, flat, grads in work:
            for first, last in flat.runs(grads):
                update, letters = self._update(group, flat.steps[first] + 1), self._letters(group, flat, first)
                for letter in update.memory:
                    flat.remember(letter, self.start(group, letter))
                kept = {letter: float(value) for letter, value in self.keep(letters).items()}
                numbers = self._numbers(update, letters)
                for watch in self.watchers:
                    watch(flat, update, numbers, grads, first, last)
                flat.apply(update, numbers, grads, first, last, kept)
        return loss

    def preview(self, param: Any) -> dict[str, Any]:
        """Every quantity of the next step of `param` by name, as new arrays of its shape; nothing is changed.

        `w` is what the weights will be (on the CPU bit for bit), `rate` the effective learning rate of each
        weight; the others are those of the rule.  ValueError if `param` has no gradient, or is not optimized here.
        """
        _, update, xp, given, numbers = self._next(param)
        results, w = update(xp, *given, **numbers), param.array
        for letter in ("w", *update.memory):  # in the dtype in which they will be kept
            results[letter] = xp.asarray(results[letter], dtype=w.dtype)
        return {name: xp.broadcast_to(xp.asarray(value, dtype=getattr(value, "dtype", w.dtype)), w.shape).copy()
                for name, value in results.items()}  # fmt: skip

    def explain(self, param: Any, index: int | tuple[int, ...] = 0) -> Explanation:
        """The next step of one entry of `param`, to be printed: each line of the rule with the numbers put in.

        `index` is a tuple, or a number that counts the entries row by row; nothing is changed.  ValueError as in
        `preview`, IndexError if there is no such entry.
        """
        return explain(*self._next(param), index)

    def _next(self, param: Any) -> tuple[str, Update, Any, list[Array], dict[str, float]]:
        """The next step of `param`: its name, and what it is made of; [w, g, *memory] are copies."""
        found = [(group, flat, i) for k, group in enumerate(self.param_groups) for flat in self._settled(k)
                 for i, p in enumerate(flat.params) if p is param]  # fmt: skip
        if not found:
            raise ValueError("a tensor that this optimizer was not given: it is in none of its param_groups")
        ((group, flat, i),) = found
        g, t = flat.gradient(i), flat.steps[i] + 1
        if g is None:
            raise ValueError(f"{flat.labels[i]} has no gradient yet: call backward() first")
        update, xp, w = self._update(group, t), flat.xp, flat.arrays[i]
        memory = [
            flat.part(flat.memory[letter], i).copy() if letter in flat.memory
            else xp.full_like(w, self.start(group, letter))
            for letter in update.memory
        ]  # fmt: skip
        title = f"{type(self).__name__}, step {t} of {flat.labels[i]}"
        numbers = self._numbers(update, self._letters(group, flat, i))
        return title, update, xp, [w.copy(), g.copy(), *memory], numbers

    def _update(self, group: Group, t: int = 1) -> Update:
        decay = ""
        if group.get("weight_decay", 0) != 0:
            decay = "weights" if group.get("decoupled_weight_decay", self.decoupled) else "gradient"
        key = (self.select(group, t), bool(group.get("maximize")), decay)
        if key not in self._updates:
            self._updates[key] = Update(*key)
        return self._updates[key]

    def _letters(self, group: Group, flat: Flat, i: int) -> dict[str, Any]:
        """The letters of the next step of parameter i."""
        kept = {letter: flat.kept[i].get(letter, self.start(group, letter)) for letter in self.kept}
        return self.letters({**group, **kept} if kept else group, flat.steps[i] + 1)

    def _numbers(self, update: Update, letters: dict[str, Any]) -> dict[str, float]:
        """Python numbers, for NumPy's scalars would turn float32 weights to float64."""
        try:
            return {name: float(letters[name]) for name in update.letters}
        except KeyError as missing:
            raise TypeError(
                f"the rule of {type(self).__name__} asks for the number {missing}, which is neither an option nor "
                "given by letters()"
            ) from None

    # -- state

    @property
    def state(self) -> dict[Any, dict[str, Any]]:
        """What is remembered of each parameter that has taken a step, under PyTorch's names; arrays are views."""
        return {p: state for p, state in self._states() if state}

    def _states(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Every parameter, in order, with what is remembered of it."""
        for group, flats in zip(self.param_groups, self._flats, strict=True):
            where = places(flats)
            for p in group["params"]:
                flat, i = where[id(p)]
                arrays = {letter: flat.part(memory, i) for letter, memory in flat.memory.items()}
                values = {"t": flat.steps[i], **flat.kept[i], **arrays}
                named = {self._state_name(letter): value for letter, value in values.items()}
                yield p, {name: x for name, x in named.items() if name is not None and flat.steps[i]}

    def _state_name(self, letter: str) -> str | None:
        return self.state_names.get(letter, "step" if letter == "t" else letter)

    def state_dict(self) -> dict[str, Any]:
        """A snapshot of state and options in PyTorch's layout; its arrays are copies.

        {"state": {0: {"step": 1, "exp_avg": array, ...}, ...}, "param_groups": [{"lr": 0.1, ..., "params": [0, ...]}]}
        """
        state = {i: copy.deepcopy(values) for i, (_, values) in enumerate(self._states()) if values}
        groups, count = [], 0
        for group in self.param_groups:
            numbers = list(range(count, count + len(group["params"])))
            groups.append({**{name: x for name, x in group.items() if name != "params"}, "params": numbers})
            count += len(numbers)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over state and options from `state_dict()`, or from that of the same optimizer of PyTorch.

        Arrays, minidl's and PyTorch's tensors are accepted, and copied.  ValueError names what does not fit
        this optimizer; nothing is changed then.
        """
        groups = self._checked_options(state_dict)
        numbers = [i for group in state_dict["param_groups"] for i in group["params"]]
        known = {i: dict(state_dict["state"].get(i, {})) for i in numbers}
        if strangers := [i for i in state_dict["state"] if i not in known]:
            raise ValueError(f"the state holds entries {strangers}, which belong to no parameter of param_groups")
        found = iter(known.values())
        states = [[self._checked_state(group, p, next(found)) for p in group["params"]] for group in groups]
        for k, (group, values) in enumerate(zip(groups, states, strict=True)):
            self.param_groups[k].update(group)
            flats = self._settled(k)
            where = places(flats)
            for flat in flats:
                flat.memory.clear()
                flat.forget_plans()
            for p, letters in zip(group["params"], values, strict=True):
                flat, i = where[id(p)]
                flat.steps[i] = letters.pop("t")
                flat.kept[i] = {letter: float(letters.pop(letter)) for letter in self.kept if letter in letters}
                for letter, value in letters.items():
                    memory = flat.part(flat.remember(letter, self.start(group, letter)), i)
                    memory[...] = backend.to_device(value, flat.device)

    def _checked_options(self, state_dict: dict[str, Any]) -> list[Group]:
        """The groups as they are to become; ValueError if those of `state_dict` are not for this optimizer."""
        if not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(f'a state dict has "state" and "param_groups", this one {sorted(state_dict)}')
        saved = state_dict["param_groups"]
        sizes, wanted = ([len(group["params"]) for group in groups] for groups in (saved, self.param_groups))
        if sizes != wanted:
            raise ValueError(f"the state dict has groups of {sizes} parameters, this optimizer of {wanted}")
        groups = []
        for new, group in zip(saved, self.param_groups, strict=True):
            if missing := [name for name in self.defaults if name not in new]:
                raise ValueError(f"the state dict lacks the options {missing}: it is not one of {type(self).__name__}")
            groups.append({**group, **new, "params": group["params"]})
            self.check(groups[-1])
        return groups

    def _checked_state(self, group: Group, p: Any, saved: dict[str, Any]) -> dict[str, Any]:
        """What `saved` says of parameter p by letter, `t` among them; ValueError if that is not what the rule needs."""
        memory = (*self._update(group).memory, *self.kept)
        letters = {self._state_name(letter): letter for letter in ("t", *self.state_names, *memory)}
        state: dict[str, Any] = {}
        for name, value in saved.items():
            if name is None or name not in letters:
                raise ValueError(f"the state holds {name!r}, which {type(self).__name__} does not remember")
            x = getattr(value, "array", value)  # of a Tensor
            state[letters[name]] = x = x if backend.array_module(x) is not np else np.asarray(x)
            if x.shape != (() if letters[name] in ("t", *self.kept) else p.array.shape):
                raise ValueError(
                    f"{name!r} has shape {x.shape}, but its parameter {p.array.shape}: the parameters must come in "
                    "the order in which they were saved"
                )
        if state and (missing := [self._state_name(letter) for letter in memory if letter not in state]):
            raise ValueError(f"the state of a parameter lacks {missing}, it has {list(saved)}")
        return {**state, "t": int(state.get("t", bool(state)))}  # SGD's state does not count steps

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for k, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {k}"]
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _labels(group: Group, k: int) -> list[str]:
    """How messages call the parameters of group k."""
    names = group.get("param_names") or [getattr(p, "name", None) for p in group["params"]]
    return [f"parameter {i} of group {k}" + (f" ({name})" if name else "") for i, name in enumerate(names)]
