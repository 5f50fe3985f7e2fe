"""Equal steps of a long loop: the first ones are elaborated, the others copied with their own paths.

A step may be copied when it read neither its loop's variable nor an earlier member, ended with the types that it started with, and
appended nothing but nodes, modules, their caches and names.  What it was handed must be the work of the step before, each value another one: then
whatever reads such a value means what is carried.  A copy differs from it in paths and in the carried values that it starts from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..members import member_text
from ..program import Body, Member, ModuleDecl, Node, Operand, Part, Ref
from .builder import Builder
from .scope import Frame, Loop
from .values import Family, Function, Module, ModuleChain, Record, Template, Tensor, Value, is_list, is_map

LEAST = 6
"""Shorter loops are elaborated step by step."""


@dataclass(slots=True)
class Mark:
    """How far a body had got before a step."""

    nodes: int
    modules: int
    inputs: int
    states: int
    others: tuple[int, ...]
    carried: dict[str, Value]

    @staticmethod
    def of(builder: Builder, carried: dict[str, Value]) -> Mark:
        body = builder.body
        return Mark(len(body.nodes), len(body.modules), len(body.inputs), len(body.states), _others(builder), carried)


def _others(builder: Builder) -> tuple[int, ...]:
    body = builder.body
    lists = (body.outputs, body.losses, body.updates, body.parameters, body.symbols, builder.tasks, builder.asserts)
    return (*map(len, lists), len(builder.entries), len(builder.selected), builder.anonymous, len(builder.context.diagnostics))


def carried(frame: Frame, loop: Loop) -> dict[str, Value]:
    """Return the carried values as they are now."""
    return {name: frame.find(name) for name in loop.carry}


def is_repeatable(frame: Frame, loop: Loop, last: Mark, before: Mark) -> bool:
    """Say whether the step since `before` may be copied; the step before it began at `last`."""
    if _others(frame.builder) != before.others or frame.builder.poisoned or loop.varied or not _only_caches(frame.builder, before):
        return False
    if _build(carried(frame, loop)) != _build(before.carried):
        return False
    handed = list(_tensors(before.carried))
    return len(set(handed)) == len(handed) and all(ref.node >= last.nodes for ref in handed)


def _tensors(value: Value) -> Iterator[Ref]:
    """Yield the tensors of a carried value, in order."""
    if isinstance(value, Tensor):
        yield value.ref
    else:
        for part in _parts(value) or ():
            yield from _tensors(part)


def _parts(value: Value) -> Iterable[Value] | None:
    if isinstance(value, Family):
        return value.members.values()
    if isinstance(value, Record):
        return value.fields.values()
    return value.values() if is_map(value) else value if is_list(value) else None


def _build(value: Value) -> tuple[object, ...]:
    """Return what a carried value is apart from which tensors it holds; of a kind that may differ from step to step, what equals nothing."""
    inside = tuple(map(_build, _parts(value) or ()))
    if isinstance(value, Tensor):
        return (value.type,)
    if isinstance(value, Family):
        set_ = value.set
        return (value.name, value.loop_born, set_.name, set_.members, set_.declared, tuple(set_.parts.items()), tuple(value.members), inside)
    if isinstance(value, Record):
        return (value.origin, tuple(value.fields), inside)
    if is_map(value):
        return (tuple(value), inside)
    return (value.__class__, inside) if is_list(value) else (object(),)


def _only_caches(builder: Builder, before: Mark) -> bool:
    """Say whether all inputs since a mark are caches of modules that were made since, each of its first call."""
    body = builder.body
    born = tuple(f"{path}." for path in list(body.modules)[before.modules :])
    states = body.states[before.states :]
    return len(states) == len(body.inputs) - before.inputs and all(not state.members and state.name.startswith(born) for state in states)


class Copier:
    """Copies one step of a loop for its further members."""

    def __init__(self, frame: Frame, loop: Loop, before: Mark, inner: Frame) -> None:
        self.builder = frame.builder
        self.body: Body = frame.builder.body
        self.frame, self.loop, self.inner = frame, loop, inner
        self.start = before.nodes
        self.nodes = self.body.nodes[before.nodes :]
        self.modules = list(self.body.modules.values())[before.modules :]
        self.depth = len(inner.members())
        self.entering = tuple(_tensors(before.carried))
        self.doors = {ref.node for ref in self.entering}
        self.born = tuple(m.path for m in self.modules)
        self.last = carried(frame, loop)
        self.moving = [(node, self._moving(node), self._is_born(node.target)) for node in self.nodes]
        self.asking = [c for c in self.body.conditions if c.module is not None and self._is_born(c.module)]
        self.caches = list(zip(self.body.inputs[before.inputs :], self.body.states[before.states :], strict=True))
        self.handing = [(module, {k: v for k, v in module.modules.items() if self._is_born(v)}) for module in self.modules]
        self._cuts: dict[str, tuple[str, str | None]] = {}  # paths before and behind the step's member
        self._movers: dict[int, tuple[Mapping[Any, Value], tuple[Any, ...]]] = {}
        self.binding = {name: value for name, value in inner.names.items() if name not in loop.names}
        self.homes = [(frame.owner(name), name, value) for name, value in self.last.items()]

    def copy(self, member: Member) -> dict[str, Value]:
        """Append the step for `member`; return the names that it binds."""
        text = member_text(member)
        shift = len(self.body.nodes) - self.start
        now = dict(zip(self.entering, _tensors(carried(self.frame, self.loop)), strict=True))
        for module, born in self.handing:
            self._module(module, born, member, text)
        for node, moving, born in self.moving:
            self._node(node, moving, self._path(node.target, text) if born else node.target, self._part(node.part, text), shift, now)
        self._caches(text, shift, now)
        for condition in self.asking:
            assert condition.module is not None
            self.builder.condition(replace(condition, module=self._path(condition.module, text)))
        for home, name, value in self.homes:
            assert home is not None
            home.names[name] = self._value(value, shift, now, text)
        return dict(self._each(self.binding, shift, now, text))

    def _moving(self, node: Node) -> dict[str, Operand]:
        """Return the operands that are not the same for every step."""
        return {name: operand for name, operand in node.inputs.items() if self._moves(operand)}

    def _moves(self, operand: Operand) -> bool:
        refs = (operand,) if isinstance(operand, Ref) else operand or ()
        return any(ref.node >= self.start or ref in self.entering for ref in refs)

    def _path(self, path: str, text: str) -> str:
        """Return a path that was born in the step as this step has it, and any other as it is."""
        known = self._cuts.get(path)
        if known is None:
            parts = path.split(".")
            born = self._is_born(path) or self._holds_born(path)
            start = ".".join((*parts[: self.depth], ""))
            known = self._cuts[path] = (start, path[len(start) + len(parts[self.depth]) :]) if born else (path, None)
        start, end = known
        return start if end is None else f"{start}{text}{end}"

    def _is_born(self, target: str) -> bool:
        return any(target == p or target.startswith(f"{p}.") for p in self.born)

    def _holds_born(self, path: str) -> bool:
        """Tell whether the parts of a Sequential were born in the step."""
        return any(p.startswith(f"{path}.") for p in self.born)

    def _part(self, part: Part | None, text: str) -> Part | None:
        return Part(self._path(part.path, text), part.places) if part is not None else None

    def _module(self, module: ModuleDecl, born: Mapping[str, str], member: Member, text: str) -> None:
        members = (*module.members[: self.depth - 1], member, *module.members[self.depth :])
        path = self._path(module.path, text)
        handed = {**module.modules, **{name: self._path(inner, text) for name, inner in born.items()}} if born else module.modules
        self.builder.module(
            ModuleDecl(
                path,
                module.name,
                members,
                module.span,
                module.kind,
                self._each(module.arguments, 0, {}, text) if born else module.arguments,
                module.primitive,
                module.bodies,
                handed,
                module.task,
                module.extern,
                module.sets,
            )
        )
        if module.path in self.builder.used:
            self.builder.used.add(path)
        if module.path in self.builder.calls:
            self.builder.calls[path] = self.builder.calls[module.path]

    def _caches(self, text: str, shift: int, now: Mapping[Ref, Ref]) -> None:
        for declared, state in self.caches:
            name = self._path(state.name, text)
            self.body.inputs.append(replace(declared, name=name, node=declared.node + shift))
            self.builder.state(replace(state, name=name, node=state.node + shift, result=self._ref(state.result, shift, now)))

    def _node(self, node: Node, moving: Mapping[str, Operand], target: str, part: Part | None, shift: int, now: Mapping[Ref, Ref]) -> None:
        inputs = dict(node.inputs)
        for name, operand in moving.items():
            inputs[name] = self._operand(operand, shift, now)
        self.builder.context.count_node(node.span)
        made = Node(node.kind, target, inputs, node.attributes, node.outputs, node.span, node.name, node.primitive, node.body, part)
        self.body.nodes.append(made)

    def _operand(self, operand: Operand, shift: int, now: Mapping[Ref, Ref]) -> Operand:
        if isinstance(operand, Ref):
            return self._ref(operand, shift, now)
        return operand and tuple([self._ref(ref, shift, now) for ref in operand])

    def _ref(self, ref: Ref, shift: int, now: Mapping[Ref, Ref]) -> Ref:
        number = ref.node
        if number in self.doors and ref in now:
            return now[ref]
        return Ref(number + shift, ref.index) if number >= self.start else ref

    def _value(self, value: Value, shift: int, now: Mapping[Ref, Ref], text: str) -> Value:
        if isinstance(value, Tensor):
            return Tensor(self._ref(value.ref, shift, now), value.type)
        if isinstance(value, Module):
            return Module(self._path(value.path, text), value.template, self._each(value.arguments, shift, now, text), value.span)
        if isinstance(value, ModuleChain):
            chain = tuple(self._value(p, shift, now, text) for p in value.parts)
            return ModuleChain(self._path(value.path, text), chain, value.span)
        if isinstance(value, (Function, Template)):
            return replace(value, given=dict(self._each(value.given, shift, now, text))) if value.given else value
        if isinstance(value, Family):
            return Family(value.set, {k: self._value(v, shift, now, text) for k, v in value.members.items()}, value.name, value.loop_born)
        if isinstance(value, Record):
            return Record({k: self._value(v, shift, now, text) for k, v in value.fields.items()}, value.origin)
        if is_list(value):
            parts = [self._value(v, shift, now, text) for v in value]
            return tuple(parts) if isinstance(value, tuple) else parts
        return dict(self._each(value, shift, now, text)) if is_map(value) else value

    def _each(self, values: Mapping[Any, Value], shift: int, now: Mapping[Ref, Ref], text: str) -> Mapping[Any, Value]:
        """Return the values of this step; what is the same in every step, such as a module's sizes, is looked at once."""
        known = self._movers.get(id(values))
        if known is None:
            known = self._movers[id(values)] = (values, tuple(key for key, value in values.items() if self._differs(value)))
        moving = known[1]
        return {**values, **{key: self._value(values[key], shift, now, text) for key in moving}} if moving else values

    def _differs(self, value: Value) -> bool:
        """Say whether a value is another one in each step."""
        if isinstance(value, Tensor):
            return self._moves(value.ref)
        if isinstance(value, Module):
            return self._is_born(value.path) or any(map(self._differs, value.arguments.values()))
        if isinstance(value, ModuleChain):
            return any(p.startswith(f"{value.path}.") for p in self.born) or any(map(self._differs, value.parts))
        if isinstance(value, (Function, Template)):
            return any(map(self._differs, value.given.values()))
        if isinstance(value, (Family, Record)):
            return any(map(self._differs, (value.members if isinstance(value, Family) else value.fields).values()))
        if is_list(value):
            return any(map(self._differs, value))
        return is_map(value) and any(map(self._differs, value.values()))
