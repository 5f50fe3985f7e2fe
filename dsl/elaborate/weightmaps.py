"""`weights NAME for MODEL from SOURCE { rules }`: which stored tensor becomes which parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import ast
from ..diagnostics import Diagnostic, Label, Severity
from ..inspector import Owned
from ..members import member_text
from ..pickles import is_pickle, refusal
from ..plans import WeightMap, WeightSource
from ..program import Program
from ..selection import Tree, matches, select
from ..selector_steps import Match
from ..selectors import Deep, Either, Except, Miss, OfKind, Path, Selector
from ..source import Span
from ..types import SetAxis
from . import statics
from .context import Poisoned, Problem, fail, suggest
from .expressions import evaluate_whole
from .literals import clauses
from .rights import impossible, right
from .scope import Frame
from .selecting import fail_miss, selector, tree_of
from .stored import Stored, stored_model
from .templates import Scope, fill
from .values import IndexSet, MemberOf, describe, is_map


@dataclass(slots=True, eq=False)
class Maps:
    """The weights maps of one model."""

    program: Program
    frame: Frame
    spans: dict[str, Span] = field(default_factory=dict[str, Span])

    def add(self, item: ast.Weights) -> None:
        """Check a map and put it into the program."""
        context = self.frame.builder.context
        try:
            if item.name in self.spans:
                first = [(self.spans[item.name], "the first one")]
                fail("A612", f"the weights map `{item.name}` is declared twice", item.span, "rename one of them", first)
            self.spans[item.name] = item.span
            self.program.weights[item.name] = _Map(self, item).made()
        except Problem as problem:
            context.report(problem.diagnostic)
        except Poisoned:
            pass


class _Map:
    """One map while its rules are read."""

    def __init__(self, maps: Maps, item: ast.Weights) -> None:
        self.item, self.program = item, maps.program
        self.frame = maps.frame
        self.tree = tree_of(maps.frame, *dict.fromkeys((maps.program.eval, maps.program.training)))
        self.frame.builder.context.step(item.span, len(self.tree) // 16)  # each of them is looked at
        self.family: ast.String | None = None
        self.stored: Stored | None = None
        self.sources = tuple(self._source(node) for node in item.sources)
        self.hits: dict[int, tuple[WeightSource, ast.WeightRule]] = {}

    def made(self) -> WeightMap:
        for rule in self.item.rules:
            if isinstance(rule, ast.WeightRule):
                try:
                    self._rule(rule)
                except Problem as problem:
                    self.frame.builder.context.report(problem.diagnostic)
        missed = tuple(own.path for n, own in enumerate(self.tree.entries) if self.tree.one(n) not in self.hits)
        if self.item.complete and missed and not self.frame.builder.context.failed:
            help = "write a rule for them, or leave `complete` out: they keep their initialisation then"
            fail("A603", f"no rule of `{self.item.name}` fills {statics.listed(missed, 6)}", self.item.span, help)
        drops = tuple(rule.pattern.value for rule in self.item.rules if isinstance(rule, ast.Drop))
        rules = tuple(self.hits[n][0] for n in sorted(self.hits))
        return WeightMap(self.item.name, self.program.name, self.sources, self.item.complete, rules, drops, missed, self.item.span)

    def _source(self, node: ast.Expr) -> str:
        if isinstance(node, ast.String):
            return stored_file(node, self.frame)
        function = node.function if isinstance(node, ast.Call) else node
        if isinstance(function, ast.Name):
            if function.id == "family" and isinstance(node, ast.Call) and isinstance(node.arguments[0].value, ast.String):
                if len(self.item.sources) > 1:
                    fail("A609", "a `family` source stands beside another", node.span, "write a map for each")
                self.family = node.arguments[0].value
                stored_file(self.family, self.frame)
                return f"family:{self.family.value}"
            file = self.frame.file
            named = self.frame.builder.context.files.find(file, function.id) if function.id in file.items else None
            if named is not None and isinstance(named[1], (ast.Model, ast.ModelAlias)):
                if len(self.item.sources) == 1:
                    self.stored = stored_model(node, named[1], self.frame, self.program.arguments)
                return f"model:{' '.join(node.span.text.split())}"
        models = self.frame.file.models()
        help = suggest(function.span.text, models, 'write a folder, file or hub name in quotes, `family "adapters/{s}"`, or a model of this file')
        fail("A609", f"`{node.span.text}` is no source of weights", node.span, help)

    # --------------------------------------------------------------------------------------------------------- rules

    def _rule(self, rule: ast.WeightRule) -> None:
        used: set[str] = set()
        bound: dict[str, SetAxis | None] = {}
        matched = fills = False
        for inner in clauses(rule.clauses, self.frame):
            _members(rule, inner)
            filled, texts = set[int](), dict[tuple[object, ...], str]()
            for match, deep, without in hits(selector(rule.target, inner, variables=True), self.tree):
                self.frame.builder.context.step(rule.span)
                scope = scope_of(match, inner, rule.where, used, texts)
                for name, (_, set_) in match.bindings.items():
                    bound.setdefault(name, set_)
                self._fill(rule, match, deep, without, scope, filled)
                matched = True
            fills = fills or bool(filled)
        if matched and not fills:
            message = f"`{rule.target.span.text}` fills nothing: `except` takes away all of it"
            fail("A601", message, rule.target.span, "leave the rule out, or the `except`")
        _suspicious(rule, bound, used)

    def _fill(self, rule: ast.WeightRule, match: Match, deep: bool, without: frozenset[int], scope: Scope, filled: set[int]) -> None:
        start = len(match.branch.path) + 1
        made: dict[str, tuple[tuple[str, ...], tuple[tuple[str, Mapping[str, object]], ...]]] = {}
        file = fill(self.family.value, scope, self.family.span, file=True) if self.family is not None else None
        entries = self.tree.entries
        for number in match.branch.leaves:
            own = entries[number]
            if number in filled or self.tree.one(number) in without or (match.task is not None and match.task not in own.tasks):
                continue
            filled.add(number)  # `**` may lead to one tensor in several ways
            rest = own.path[start:] if match.branch.path else own.path
            key = rest if deep else ""
            if key not in made:
                scope.captures = (*match.captures[:-1], ".".join(filter(None, (match.captures[-1], rest)))) if deep else match.captures
                made[key] = right(rule.value, scope)
            names, steps = made[key]
            if not deep and rest:
                names = tuple([f"{name}.{rest}" for name in names])
            self._enter(number, own, WeightSource(own.path, names, steps, file if names else None, rule.span), rule)

    def _enter(self, number: int, own: Owned, source: WeightSource, rule: ast.WeightRule) -> None:
        reason = impossible(own, source.steps) if source.steps else None
        if reason is not None:
            fail("A610", f"`{own.path}` has the shape {list(own.shape)}, but {reason}", rule.value.span, "check the pattern and the sizes")
        if self.stored is not None:
            source = self.stored.check(own, source, rule.value.span)
        one = self.tree.one(number)
        if one not in self.hits:
            self.hits[one] = source, rule
            return
        first, other = self.hits[one]
        if first.target != own.path and other is rule:
            return  # tied parameters below one module are one tensor
        if first.target == own.path:
            text = " ".join(other.target.span.text.split())
            help = f"a tensor is filled once: narrow one of the rules, as in `{text} except {' '.join(rule.target.span.text.split())}`"
            if other is rule:
                fail("A602", f"this rule fills `{own.path}` more than once", rule.span, "write the variable of its `for` on the left, too")
            fail("A602", f"two rules fill `{own.path}`", rule.target.span, help, [(other.target.span, "this rule fills it, too")])
        message = f"`{own.path}` is tied to `{first.target}`, which another rule fills: this rule is not used for it"
        labels = (Label(other.target.span, "this rule fills it"),)
        self.frame.builder.context.report(Diagnostic("A614", message, rule.target.span, labels, "leave one of the rules out", Severity.WARNING))


def stored_file(node: ast.String, frame: Frame) -> str:
    """Return the name of a file of weights; reports that of a pickle."""
    if is_pickle(node.value):
        frame.builder.context.report(refusal(node.value, node.span))
    return node.value


Where = Sequence[tuple[str, ast.Expr]]


def _members(rule: ast.WeightRule, inner: Frame) -> None:
    """Require that the variables of a rule's own loops stand for members."""
    for clause in rule.clauses:
        for name in clause.names:
            value = inner.find(name)
            if not statics.is_static(value):
                what = f"can't run over `{clause.iterable.span.text}`: `{name}` would be {describe(value)}, no member"
                fail("A208", what, clause.iterable.span, "the loop of a rule runs over members: `for i in 0..2`, or over an index set")


def scope_of(match: Match, inner: Frame, where: Where, used: set[str], texts: dict[tuple[object, ...], str] | None = None) -> Scope:
    """Return what the right side of a rule may name for one match of its left side; raises Problem for a `where` that is no map."""
    variables = _bound(inner)
    for name, (member, set_) in match.bindings.items():
        variables[name] = _member(name, member, set_)
    scope = Scope(inner, variables, {}, match.captures, used, {} if texts is None else texts)
    for name, node in where:
        table = evaluate_whole(node, scope.frame)
        if not is_map(table):
            fail("A608", f"`{name}` is no map", node.span, f'write `where {name} = {{first: "a", second: "b"}}`')
        scope.map(name, table)
    return scope


def hits(read: Selector, tree: Tree, code: str = "A601") -> Iterator[tuple[Match, bool, frozenset[int]]]:
    """Yield each match of a rule's left side, whether it ends in `**`, and what `except` takes away; raises Problem where there is none."""
    if isinstance(read, Path):
        found = matches(read, tree)
        if isinstance(found, Miss):
            fail_miss(found, code)
        last = read.parts[-1] if read.parts else None
        yield from ((match, isinstance(last, Deep), frozenset()) for match in found)
    elif isinstance(read, Either):
        for option in read.options:
            yield from hits(option, tree, code)
    elif isinstance(read, Except):
        taken = select(read.right, tree)
        if isinstance(taken, Miss):
            fail_miss(taken, code)
        yield from ((match, deep, without | taken) for match, deep, without in hits(read.left, tree, code))
    else:
        assert isinstance(read, OfKind)
        fail("A606", "a rule can't select by kind", read.span, "name the parts: a rule says where each tensor comes from")


def _member(name: str, member: Any, set_: SetAxis | None) -> MemberOf:
    members: tuple[Any, ...] = set_.members if set_ is not None else (member,)
    return MemberOf(IndexSet.of(set_.name if set_ is not None else name, members), member)


def _bound(frame: Frame) -> dict[str, MemberOf]:
    """Return the variables of a rule's own clauses, `for i in layers[..m]`."""
    found: dict[str, MemberOf] = {}
    walk: Frame | None = frame
    while walk is not None and walk.kind == "comprehension":
        found = {name: member for name, member in walk.names.items() if isinstance(member, MemberOf)} | found
        walk = walk.parent
    return found


def _suspicious(rule: ast.WeightRule, bound: Mapping[str, SetAxis | None], used: set[str]) -> None:
    """Refuse an index variable that looks like a misspelt member: it would run over all of them."""
    for name, set_ in bound.items():
        unused = set_ is not None and name not in used and len(name) > 2
        near = suggest(name, map(member_text, set_.members)) if set_ is not None and unused else None
        if near:
            message = f"`{name}` is no member here, so it is an index variable that runs over all members"
            fail("A613", message, rule.target.span, f"{near} (if it is meant as a variable, use a short name: `t`)")
