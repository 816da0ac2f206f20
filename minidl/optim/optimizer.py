"""The optimizer: parameters in groups with options, a step that applies a rule to them, and its state.

A kind of optimizer is a class with a `rule`, the update as its paper prints it.  `step` runs that rule fast,
`preview` runs it as it stands and shows every quantity.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.backend import Array
from minidl.optim.flat import Flat, Parameter, arrange, labels, places
from minidl.optim.runner import Rule, Update
from minidl.worked import Explanation, Line, Walk, place

Group = dict[str, Any]

# Options that are finite numbers from 0, whichever optimizer has them, and the largest value allowed.
_LARGEST = {
    "lr": math.inf, "lr_decay": math.inf, "weight_decay": math.inf, "eps": math.inf, "momentum": math.inf, "rho": 1,
    "alpha": math.inf, "initial_accumulator_value": math.inf, "momentum_decay": math.inf, "ns_steps": 99,
}  # fmt: skip

# What the `locals()` of a constructor hold besides options; PyTorch's words for how to compute a step change nothing.
_NO_OPTIONS = ("self", "params", "foreach", "fused", "capturable", "differentiable", "__class__")


class _State(dict[Any, dict[str, Any]]):
    """The state of each parameter; that of one without any is made when it is asked for, and is its `own`."""

    def __init__(self, own: dict[Any, dict[str, Any]], states: dict[Any, dict[str, Any]]) -> None:
        super().__init__(states)
        self._own = own

    def __missing__(self, p: Any) -> dict[str, Any]:
        return self.setdefault(p, self._own.setdefault(p, {}))


class Optimizer:
    """Base of all optimizers: what a method does not say itself, it does as every other.

    A method of your own needs an `__init__` that hands its options to this one, and a `rule`, a pure function on
    arrays: `rule(xp, w, g, *memory, **letters)`.  What it remembers between steps is positional, starts at 0 if
    not in `starts`, and is returned under the same names with the new `w`; the numbers it needs are keyword-only:
    options of the group, the number `t` of the step (from 1), numbers `kept` from the step before, or what `letters`
    adds.  A rule made of arithmetic and NumPy's ufuncs runs in reused buffers, with the same bits as if it were called,
    or as one kernel on a GPU; one that does more (conditions, sums, products of matrices) is called with each parameter
    in its shape.

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
    starts: ClassVar[dict[str, str | float]] = {}  # letter: the number before the first step, or the option that is it
    kept: ClassVar[tuple[str, ...]] = ()  # letters of numbers that are remembered of each parameter, as arrays are
    decoupled = False  # weight decay apart from the gradient, unless an option says otherwise
    stepped = False  # whether `step` was ever called: a schedule asks
    recommended_lr: ClassVar[float]  # for the MNIST network 784-128-10; the class says at which batch size

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if defaults.get("differentiable"):
            raise RuntimeError(f"{type(self).__name__}: a step is not recorded, so differentiable=True cannot be had")
        if isinstance(params, (Parameter, str, set, frozenset)) or not isinstance(params, Iterable):
            came = type(params).__name__
            raise TypeError(f"params must be an iterable of tensors in a fixed order, or a list of groups; got {came}")
        given = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list: has the net no weights? is a generator used up?")
        self.defaults = {name: value for name, value in defaults.items() if name not in _NO_OPTIONS}
        self.param_groups: list[Group] = []
        self._flats: list[Flat] = []  # one for each group, dtype and device
        self._updates: dict[Any, Update] = {}
        self._own: dict[Any, dict[str, Any]] = {}  # what a `step` of the user's own has put into `state`
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
        value = self.starts.get(letter, 0.0)
        return float(group[value] if isinstance(value, str) else value)

    def keep(self, letters: dict[str, Any]) -> dict[str, float]:
        """The numbers `kept` for the next step, from the letters of this one."""
        return {letter: float(letters[letter]) for letter in self.kept}

    def check(self, group: Group) -> None:
        """Raise ValueError if an option is out of its range, or does not go with another."""
        for name in [name for name in self.defaults if name in _LARGEST]:
            value, most = group[name], _LARGEST[name]
            if not hasattr(value, "__float__"):
                raise TypeError(f"{type(self).__name__}: {name} must be a number, got {value!r}")
            if not (0 <= float(value) <= most and math.isfinite(value)):
                allowed = f"0 <= {name} <= {most}" if most < math.inf else f"a finite {name} >= 0"
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
        for p, label in zip(params, labels(group, k), strict=True):
            if not isinstance(p, Parameter):
                hint = ": use model.parameters()" if hasattr(p, "parameters") else ""
                raise TypeError(f"an optimizer changes tensors, but {label} is of type {type(p).__name__}{hint}")
            if p.array.dtype.kind != "f":
                raise TypeError(f"an optimizer changes floating-point numbers, but {label} is {p.array.dtype}")
            if not p.is_leaf:
                raise ValueError(f"{label} was computed from other tensors: optimize those instead, or detach() it")
        self.check(group)
        return group

    def _add(self, groups: list[Group]) -> None:
        """Take up checked groups, unless a parameter of theirs is in two groups or twice in one."""
        known = {id(p): "an earlier group" for group in self.param_groups for p in group["params"]}
        for k, group in enumerate(groups, len(self.param_groups)):
            for p, label in zip(group["params"], labels(group, k), strict=True):
                if id(p) in known:
                    raise ValueError(f"{label} appears twice: it is {known[id(p)]} already")
                known[id(p)] = label
        self.param_groups += groups
        self._flats = arrange(self.param_groups, self._flats)

    def _settled(self) -> list[Flat]:
        """The flat arrays, after a look whether a parameter was given another array."""
        if any(flat.moved() for flat in self._flats):
            self._flats = arrange(self.param_groups, self._flats)
        return self._flats

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; with `set_to_none=False` they become new zeros."""
        for p in [p for group in self.param_groups for p in group["params"] if p.grad is not None]:
            p.grad = None if set_to_none else type(p.grad)(backend.array_module(p.array).zeros_like(p.array))

    # -- steps

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient by one step of the rule; returns what `closure()` returns.

        `closure`, if given, is called first, to compute the loss and the gradients.  A gradient that does not fit
        its parameter raises RuntimeError before anything is changed.
        """
        self.stepped = True
        loss = None if closure is None else closure()
        work = [(flat, [flat.gradient(i) for i in range(len(flat.params))]) for flat in self._settled()]
        for flat, grads in work:
            group = self.param_groups[flat.group]
            for first, last in flat.runs(grads):
                t = flat.steps[first] + 1
                update, letters = self._update(group, t), self._letters(group, flat, first)
                for letter in update.memory:
                    if t == 1 or letter not in flat.memory:
                        start = self.start(group, letter)
                        flat.remember(letter, start)[flat.span(first, last)] = start
                numbers = self._numbers(update, letters)
                for watch in self.watchers:
                    watch(flat, update, numbers, grads, first, last)
                flat.apply(update, numbers, grads, first, last)
                flat.kept[first:last] = [self.keep(letters)] * (last - first)
        return loss

    def preview(self, param: Any) -> dict[str, Any]:
        """Every quantity of the next step of `param` by name, as new arrays of its shape; nothing is changed.

        `w` is what the weights will be (on the CPU bit for bit), `rate` the effective learning rate of each
        weight; the others are those of the rule.  ValueError if `param` has no gradient, or is not optimized here.
        """
        _, update, xp, given, numbers = self._next(param)
        results, w = update(xp, *given, **numbers), param.array
        return {name: xp.broadcast_to(xp.asarray(value, w.dtype), w.shape).copy() for name, value in results.items()}

    def explain(self, param: Any, index: int | tuple[int, ...] = 0) -> Explanation:
        """The next step of one entry of `param`, to be printed: each line of the rule with the numbers put in.

        `index` is a tuple, or a number that counts the entries row by row; nothing is changed.  ValueError as in
        `preview`, IndexError if there is no such entry.
        """
        title, update, xp, given, numbers = self._next(param)
        walk = Walk(given[0].shape, place(index, given[0].shape))
        start = {name: walk.entry(x) for name, x in zip(("w", "g", *update.memory), given, strict=True)}
        try:
            prepared = walk.run(partial(update.prepared, *given[:2], **numbers))
            walk.run(partial(update.rule, xp, *prepared, *given[2:], **update.of_rule(numbers)))
        except OSError:  # a rule that was typed at a prompt
            for name, result in update(xp, *given, **numbers).items():
                walk.lines.append(Line(name, "", "", walk.entry(result), "the source is not at hand"))
        return Explanation(f"{title}, entry {list(walk.index)}", start | numbers, walk.lines)

    def _next(self, param: Any) -> tuple[str, Update, Any, list[Array], dict[str, float]]:
        """The next step of `param`: its name, and what it is made of; [w, g, *memory] are copies."""
        where = places(self._settled())
        if id(param) not in where:
            raise ValueError("a tensor that this optimizer was not given: it is in none of its param_groups")
        flat, i = where[id(param)]
        group, g, t = self.param_groups[flat.group], flat.gradient(i), flat.steps[i] + 1
        if g is None:
            raise ValueError(f"{flat.labels[i]} has no gradient yet: call backward() first")
        update, xp, w = self._update(group, t), flat.xp, flat.arrays[i]
        memory = [
            xp.full_like(w, self.start(group, letter)) if t == 1 or letter not in flat.memory
            else flat.part(flat.memory[letter], i).copy()
            for letter in update.memory
        ]  # fmt: skip
        title = f"{type(self).__name__}, step {t} of {flat.labels[i]}"
        numbers = self._numbers(update, self._letters(group, flat, i))
        return title, update, xp, [w.copy(), g.copy(), *memory], numbers

    def _update(self, group: Group, t: int = 1) -> Update:
        apart = group.get("decoupled_weight_decay", self.decoupled)
        decay = ("weights" if apart else "gradient") if group.get("weight_decay") else ""
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
            message = f"asks for the number {missing}, which is neither an option nor given by letters()"
            raise TypeError(f"the rule of {type(self).__name__} {message}") from None

    # -- state

    @property
    def state(self) -> dict[Any, dict[str, Any]]:
        """What is remembered of each parameter that has taken a step, under PyTorch's names; arrays are views.

        For other parameters it is an empty dictionary, into which a `step` of your own may put what it likes.
        """
        own = {} if hasattr(self, "rule") else self._own
        return _State(own, {p: state for p, state in self._states() if state})

    def _states(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Every parameter, in order, with what is remembered of it."""
        where = places(self._flats)
        for p in [p for group in self.param_groups for p in group["params"]]:
            flat, i = where[id(p)]
            arrays = {letter: flat.part(memory, i) for letter, memory in flat.memory.items()}
            values = {"t": flat.steps[i], **flat.kept[i], **arrays} if flat.steps[i] else {}
            named = {self._state_name(letter): value for letter, value in values.items()}
            yield p, self._own.get(p) or {name: x for name, x in named.items() if name is not None}

    def _state_name(self, letter: str) -> str | None:
        return self.state_names.get(letter, "step" if letter == "t" else letter)

    def state_dict(self) -> dict[str, Any]:
        """A snapshot of state and options in PyTorch's layout; its arrays are copies.

        {"state": {0: {"step": 1, "exp_avg": array, ...}, ...}, "param_groups": [{"lr": 0.1, ..., "params": [0, ...]}]}
        """
        state = {i: copy.deepcopy(values) for i, (_, values) in enumerate(self._states()) if values}
        number = itertools.count()
        groups = [{**group, "params": [next(number) for _ in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over state and options from `state_dict()`, or from that of the same optimizer of PyTorch.

        Arrays, minidl's and PyTorch's tensors are accepted, and copied.  ValueError names what does not fit
        this optimizer; nothing is changed then.
        """
        groups = self._checked_options(state_dict)
        numbers = [i for group in state_dict["param_groups"] for i in group["params"]]
        if strangers := [i for i in state_dict["state"] if i not in numbers]:
            raise ValueError(f"the state holds entries {strangers}, which belong to no parameter of param_groups")
        params = [(group, p) for group in groups for p in group["params"]]
        saved = [state_dict["state"].get(i, {}) for i in numbers]
        states = [self._checked_state(group, p, state) for (group, p), state in zip(params, saved, strict=True)]
        where = places(self._settled())
        for group, new in zip(self.param_groups, groups, strict=True):
            group.update(new)
        for flat in self._flats:
            flat.memory.clear()
            flat.forget_plans()
        for (group, p), letters in zip(params, states, strict=True):
            flat, i = where[id(p)]
            if not hasattr(self, "rule"):
                self._own[p] = {name: x for name, x in letters.items() if name != "t"}
                continue
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
        if not hasattr(self, "rule"):
            return {**copy.deepcopy(saved), "t": 0}
        memory = (*self._update(group).memory, *self.kept)
        letters = {self._state_name(letter): letter for letter in ("t", *self.state_names, *memory)}
        state: dict[str, Any] = {}
        for name, value in saved.items():
            if name not in letters:
                raise ValueError(f"the state holds {name!r}, which {type(self).__name__} does not remember")
            x = getattr(value, "array", value)  # of a Tensor
            state[letters[name]] = x = x if backend.array_module(x) is not np else np.asarray(x)
            shape = () if letters[name] in ("t", *self.kept) else p.array.shape
            if x.shape != shape:
                raise ValueError(f"{name!r} has shape {x.shape}, but its parameter {shape}: they are in another order")
        if state and (missing := [self._state_name(letter) for letter in memory if letter not in state]):
            raise ValueError(f"the state of a parameter lacks {missing}, it has {list(saved)}")
        return {**state, "t": int(state.get("t", bool(state)))}  # SGD's state does not count steps

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for k, group in enumerate(self.param_groups):
            options = [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
            lines += [f"Parameter Group {k}", *options]
        return "\n".join([*lines, ")"])
