# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's selectors: paths with holes over the tensors that a body owns, or over its losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from archloom.blocks.registry import primitives
from archloom.dsl import ast

from .arithmetic import is_static, key
from .checks import need
from .expressions import _is_word, evaluate, look_up, loosely
from .members import holds, kinds_unborn, lacks, pick, text, unborn
from .scopes import MISSING, Frame, Steps
from .values import Family, Made, Member, Set, Wrong, plain

Part = tuple[str, tuple[Any, ...]]


@dataclass(slots=True, eq=False)
class Owned:
    """A tensor or loss: its path as words with members, the kinds of the modules around it, the tasks that it was born in."""

    parts: tuple[Part, ...]
    kinds: tuple[str, ...]
    value: Tensor
    tasks: tuple[str, ...] = ()
    buffer: bool = False
    sets: tuple[tuple[Set, ...], ...] = ()

    @property
    def path(self) -> str:
        return ".".join(".".join([name, *map(text, members)]) for name, members in self.parts)


@dataclass(slots=True, eq=False)
class Node:
    """A place in the tree of paths."""

    name: str = ""
    members: tuple[Any, ...] = ()
    kind: str | None = None
    sets: tuple[Set, ...] = ()
    children: dict[tuple[str, tuple[str, ...]], Node] = field(default_factory=dict[tuple[str, tuple[str, ...]], "Node"])
    owned: list[Owned] = field(default_factory=list[Owned])

    def below(self) -> Iterator[Node]:
        for child in self.children.values():
            yield child
            yield from child.below()

    def all(self) -> Iterator[Owned]:
        yield from self.owned
        for child in self.children.values():
            yield from child.all()


def planted(entries: Sequence[Owned]) -> Node:
    root = Node()
    for entry in entries:
        node = root
        for place, (name, members) in enumerate(entry.parts):
            at = (name, tuple(map(text, members)))
            node = node.children.setdefault(at, Node(name, members))
            node.kind = node.kind or (entry.kinds[place] if place < len(entry.kinds) else None)
            node.sets = node.sets or (entry.sets[place] if place < len(entry.sets) else ())
        node.owned.append(entry)
    return root


def owned(made: Made) -> list[Owned]:
    """Return every tensor that a module owns."""
    return list(_walk(made, Owned((), (), torch.zeros(()))))


def _walk(made: Made, above: Owned) -> Iterator[Owned]:
    for tensor in made.own.values():
        extra = (tensor.task,) if tensor.task else ()
        parts, sets = (*above.parts, *tensor.words), (*above.sets, tensor.sets)
        yield Owned(parts, above.kinds, tensor, above.tasks + extra, tensor.buffer, sets)
    for child in made.children.values():
        extra = (child.task,) if child.task else ()
        parts, kinds = (*above.parts, *child.words), (*above.kinds, child.maker.name)
        yield from _walk(child, Owned(parts, kinds, above.value, above.tasks + extra, False, (*above.sets, child.sets)))
    if made.module is not None:
        buffers = dict(made.module.named_buffers())
        for name, tensor in made.module.state_dict(keep_vars=True).items():
            yield Owned((*above.parts, (name, ())), above.kinds, tensor, above.tasks, name in buffers, above.sets)


class Holdings:
    """What selectors choose from, with the tree of its paths; both are found when they are asked for, once."""

    def __init__(self, found: Callable[[], Sequence[Owned]]) -> None:
        self._found = found
        self._siblings: dict[tuple[int, str, int], list[Any]] = {}

    @staticmethod
    def of(made: Made) -> Holdings:
        """Return what a module owns by now."""
        return Holdings(lambda: owned(made))

    @cached_property
    def entries(self) -> list[Owned]:
        return list(self._found())

    @cached_property
    def root(self) -> Node:
        return planted(self.entries)

    def siblings(self, at: int, name: str, place: int) -> list[Any]:
        """Return the members that stand at one place behind a word, at one depth of the paths."""
        key = (at, name, place)
        if key not in self._siblings:
            alike = (o.parts[at][1] for o in self.entries if len(o.parts) > at and o.parts[at][0] == name)
            self._siblings[key] = list(dict.fromkeys(members[place] for members in alike if len(members) > place))
        return self._siblings[key]


# ------------------------------------------------------------------------------------------------------------- selecting


class Selection:
    """Selectors of one body, evaluated where they stand."""

    def __init__(self, holdings: Holdings, tasks: Sequence[str], frame: Frame, variables: bool = False, losses: bool = False) -> None:
        self.holdings, self.tasks, self.frame, self.variables = holdings, tasks, frame, variables
        self.root, self.entries, self.losses = holdings.root, holdings.entries, losses
        self.emptied = False  # a range that is not written with two numbers may be empty

    def select(self, node: Any) -> list[Owned]:
        """Return what a selector matches; raises Wrong for one that matches nothing and names nothing that there could be."""
        if isinstance(node, ast.Name) and node.id == "all" and self.frame.owner("all") is None:
            need(bool(self.entries) or lacks(self.frame.body.made, self.losses), "a selector matches nothing")
            return self.entries
        if isinstance(node, ast.Binary) and node.op == "except":
            left, right = self.select(node.left), self.select(node.right)
            gone = {id(o.value) for o in right}
            kept = [o for o in left if id(o.value) not in gone]
            need(bool(kept) or not left, "except takes away all")
            return kept
        if isinstance(node, ast.OfKind):
            return self._kinds(node)
        if isinstance(node, ast.SetLiteral) and node.items:
            return [o for item in node.items for o in self.select(item)]
        found: list[Owned] = []
        for path in self.paths(node):
            found += self._path(path)
        return found

    def _kinds(self, node: ast.OfKind) -> list[Owned]:
        inner = node.selector
        if isinstance(inner, ast.Binary) and inner.op == "except" and not inner.span.text.startswith("("):
            right = ast.OfKind(node.span, inner.right, node.kinds)
            return self.select(ast.Binary(node.span, "except", inner.left, right))
        known = {n.kind for n in self.root.below() if n.kind}
        absent = {k for k in kinds_unborn(self.frame.body.made) if not self.losses or k not in primitives()}  # a leaf has no losses
        need(all(k.id in known or k.id in absent for k in node.kinds), "no such kind")
        wanted = {k.id for k in node.kinds}
        held = {id(o) for n in self.root.below() if n.kind in wanted for o in n.all()}
        base = self.select(inner)
        found = [o for o in base if id(o) in held]
        need(bool(found) or not base or not wanted & known, "nothing of that kind")
        return found

    def _path(self, parts: Sequence[Any]) -> list[Owned]:
        task = None
        first = parts[0]
        names = {n.name for n in self.root.children.values()}
        if first[0] == "word" and first[1] not in names and not first[2] and first[1] in self.tasks:
            task, parts = first[1], parts[1:]
        nodes, self.emptied = [self.root], False
        for place, part in enumerate(parts):
            nodes = self._step(nodes, part, place == len(parts) - 1)
            if not nodes:
                if self.emptied or unborn([self.frame.body.made], parts, self.losses):
                    return []
                raise Wrong("a selector matches nothing")
        found = {id(o): o for n in nodes for o in n.all() if task is None or task in o.tasks}
        need(bool(found) or (not self.entries and lacks(self.frame.body.made, self.losses)), "a selector matches nothing")
        return list(found.values())

    def _step(self, nodes: Sequence[Node], part: Any, last: bool) -> list[Node]:
        if part[0] == "anchor":
            return [n for n in self.root.below() if n.owned and id(n.owned[0].value) in part[1]]
        found: list[Node] = []
        for node in nodes:
            if part[0] == "deep":
                found += self._deep(node, part[1], last)
            else:
                by_name: dict[str, list[Node]] = {}
                for child in node.children.values():
                    if part[1] in (None, child.name):
                        by_name.setdefault(child.name, []).append(child)
                for children in by_name.values():
                    found += self._chosen(children, part[2], 0)
        return list({id(n): n for n in found}.values())

    def _deep(self, node: Node, items: Sequence[Any], last: bool) -> list[Node]:
        if not items:
            return [node] if last else [node, *node.below()]
        holding = [n for n in node.below() if holds(n.members, n.sets, items)]
        return holding if last else [b for n in holding for b in (n, *n.below())]

    def _chosen(self, nodes: list[Node], items: Sequence[Any], depth: int) -> list[Node]:
        if not items:
            return nodes
        groups: dict[str, list[Node]] = {}
        for node in nodes:
            if depth < len(node.members):
                groups.setdefault(text(node.members[depth]), []).append(node)
        inner = False
        if not groups and all(n.kind == "Sequential" for n in nodes):
            inner = True
            for node in nodes:
                for child in node.children.values():
                    groups.setdefault(child.name, []).append(child)
        present = {t: int(t) if inner else g[0].members[depth] for t, g in groups.items()}
        chosen = pick(items[0], present, not inner)
        if chosen is None:
            return []
        self.emptied |= not chosen and items[0][0] == "between" and not items[0][4]
        return [n for t in chosen for n in self._chosen(groups[t], items[1:], 0 if inner else depth + 1)]

    # --------------------------------------------------------------------------------------------------- reading

    def paths(self, node: Any) -> list[tuple[Any, ...]]:
        if isinstance(node, ast.Name):
            return [(self._first(node, node),)]
        if isinstance(node, ast.AnyPath):
            return [(("deep", ()),)]
        if isinstance(node, ast.Whole):
            return [(("word", None, ()),)]
        if isinstance(node, ast.SetLiteral) and node.items:
            return [p for item in node.items for p in self.paths(item)]
        if isinstance(node, ast.Attribute):
            return [(*p, *t) for p in self.paths(node.object) for t in self._tails(node.part)]
        if isinstance(node, ast.Index):
            if isinstance(node.object, ast.Name):
                first = self._first(node.object, node)
                if first[0] == "anchor":
                    return [(first,)]
            items = tuple(self._item(i) for i in node.items)
            return [(*p[:-1], (*p[-1][:-1], (*p[-1][-1], *items))) for p in self.paths(node.object)]
        raise Wrong("no selector")

    def _tails(self, part: Any) -> list[tuple[Any, ...]]:
        if isinstance(part, str):
            return [(("word", part, ()),)]
        if isinstance(part, ast.Whole):
            return [(("word", None, ()),)]
        if isinstance(part, ast.AnyPath):
            return [(("deep", ()),)]
        return [t for item in part.items for t in self._inner(item)]

    def _inner(self, node: Any) -> list[tuple[Any, ...]]:
        if isinstance(node, ast.Name):
            return [(("word", node.id, ()),)]
        if isinstance(node, ast.Index):
            items = tuple(self._item(i) for i in node.items)
            return [(*p[:-1], (*p[-1][:-1], (*p[-1][-1], *items))) for p in self._inner(node.object)]
        if isinstance(node, ast.Attribute):
            return [(*p, *t) for p in self._inner(node.object) for t in self._tails(node.part)]
        return self.paths(node)

    def _first(self, name: ast.Name, whole: Any) -> Any:
        bound = self.frame.find(name.id)
        if isinstance(bound, Member) and isinstance(bound.key, str) and not isinstance(whole, ast.Index):
            return ("word", bound.key, ())
        names = _called(bound)
        if names is None or all(n == name.id for n in names):
            return ("word", name.id, ())
        value = loosely(whole, self.frame) if isinstance(whole, ast.Index) else bound
        return ("anchor", {id(o.value) for made in _modules(value) for o in ([Owned((), (), made)] if isinstance(made, Tensor) else owned(made))})

    def _item(self, node: Any) -> Any:
        if isinstance(node, ast.Whole) or (isinstance(node, ast.Range) and node.start is None and node.stop is None):
            return ("every",)
        if isinstance(node, ast.Range):
            fixed = isinstance(node.start, ast.Number) and isinstance(node.stop, ast.Number)
            return ("between", self._edge(node.start), self._edge(node.stop), node.inclusive, fixed)
        need(not isinstance(node, (ast.Slice, ast.Ellipsis)) and not (isinstance(node, ast.Constant) and node.value is None), "a slice of a tensor")
        if isinstance(node, ast.Name):
            return self._word(node)
        return _exactly(evaluate(node, self.frame), None)

    def _word(self, node: ast.Name) -> Any:
        try:
            value = look_up(node, self.frame)
        except Wrong:
            return ("variable", node.id) if self.variables else ("exactly", [node.id], node.id, None)
        if isinstance(value, (bool, Steps)) or not is_static(value) or value is None:
            return ("variable", node.id) if self.variables else ("exactly", [node.id], node.id, None)
        if isinstance(value, Member) and self.frame.owner(node.id) is not None:
            return _exactly(value, None)
        return _exactly(value, node.id)

    def _edge(self, node: Any) -> Any:
        if node is None:
            return None
        item = self._word(node) if isinstance(node, ast.Name) else _exactly(evaluate(node, self.frame), None)
        return item[1][0] if item[0] == "exactly" and item[1] else None


def _called(value: Any) -> list[str] | None:
    """Return the names of modules and parameters that a value is; None for another one."""
    if isinstance(value, Made):
        return [value.words[0][0]] if value.words else None
    if isinstance(value, Tensor) and getattr(value, "own", False):
        return [value.words[0][0]]
    if isinstance(value, Family):
        found = [_called(v) for v in value.members.values()]
        return [n for f in found if f for n in f] if found and all(f is not None for f in found) else None
    return None


def _modules(value: Any) -> Iterator[Any]:
    if isinstance(value, Family):
        for member in value.members.values():
            yield from _modules(member)
    else:
        yield value


def _exactly(value: Any, literal: str | None) -> Any:
    if isinstance(value, Set):
        return ("exactly", list(value.members), literal, value) if value.members else ("empty",)
    if isinstance(value, Member):
        return ("exactly", [value.key], literal, value.set)
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    values = [key(v) for v in values]
    need(all(isinstance(v, (int, str, float, tuple)) and not isinstance(v, bool) for v in values), "no member of a family")
    return ("exactly", values, literal, None) if values else ("empty",)


# ------------------------------------------------------------------------------------------------------------- in a body


def matched(selectors: Sequence[Any], frame: Frame) -> list[Owned]:
    """Return what selectors match in the body at hand; each must match something."""
    selection = Selection(frame.body.holdings or Holdings.of(frame.body.made), list(frame.body.tasks), frame)
    return [o for s in selectors for o in selection.select(s)]


def count(selectors: Sequence[Any], frame: Frame) -> int:
    """Return how many numbers the selected parameters hold; all of them without a selector."""
    chosen = matched(selectors, frame) if selectors else owned(frame.body.made)
    tied = frame.body.world.tied
    return sum(o.value.numel() for o in {id(o.value): o for o in chosen if not o.buffer and id(o.value) not in tied}.values())


def select_made(selectors: Sequence[Any], frame: Frame) -> list[Any]:
    """Return the tensors that a side of a claim selects."""
    return [o.value for o in matched(selectors, frame)]


Predicate = Callable[[Owned], bool]
__all__ = ["MISSING", "_is_word", "plain"]
