"""Names of stored tensors as templates: `"model.layers.{i - m}.{n}"`, with `*` and `**` for what the left side captured.

An index set in a hole is its members, joined by commas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from .. import ast
from ..members import member_text
from ..parser import parse_expression
from ..record import entity
from ..source import Source, Span
from . import statics
from .context import Problem, fail, suggest
from .expressions import evaluate
from .scope import Frame
from .values import EnumValue, IndexSet, MemberOf, Value, describe

_HOLE = re.compile(r"\{([^{}]*)\}")
_WILD = re.compile(r"\*\*|\*")


@dataclass(slots=True, eq=False)
class Scope:
    """What a template may name: the index variables of its rule, the maps after `where`, what `*` and `**` captured, and what the frame
    `around` the rule holds."""

    around: Frame
    variables: Mapping[str, MemberOf]
    maps: dict[str, Any] = field(default_factory=dict[str, Any])
    captures: tuple[str, ...] = ()
    used: set[str] = field(default_factory=set[str])
    texts: dict[tuple[object, ...], str] = field(default_factory=dict[tuple[object, ...], str])  # of holes, for all matches of one rule
    _frame: Frame | None = None

    @property
    def frame(self) -> Frame:
        """The names that expressions may read; made when the first one does, as most holes hold a variable alone."""
        if self._frame is None:
            self._frame = self.around.child("comprehension")
            for name, value in (*self.variables.items(), *self.maps.items()):
                self._frame.names[name] = value
        return self._frame

    def map(self, name: str, table: Any) -> None:
        """Add a map, which the next one may read."""
        self.frame.names[name] = self.maps[name] = table


def fill(text: str, scope: Scope, span: Span, file: bool = False) -> str:
    """Return a name with its holes filled in; raises Problem for a hole that says nothing."""
    filled = "".join(part if isinstance(part, str) else _hole(part, scope, span, file) for part in _parts_of(text, span))
    if "*" not in filled and not scope.captures:
        return filled
    wild = _WILD.findall(filled)
    if file or (not wild and not scope.captures):
        return filled
    if len(wild) != len(scope.captures):
        left = f"{len(scope.captures)} `*` or `**` on the left" if scope.captures else "no `*` or `**` on the left"
        help = "what `*` and `**` stand for on the left is put in for them on the right, in order"
        fail("A607", f"{left}, {len(wild) or 'none'} in `{text}`", span, help)
    captured = iter(scope.captures)
    return re.sub(r"\.{2,}", ".", _WILD.sub(lambda _: next(captured), filled)).strip(".")


def _parts_of(text: str, span: Span) -> tuple[str | _Hole, ...]:
    """Return the words of a template and what stands in its holes; raises Problem for a hole that can't be read."""
    parts, wrong = _parts(text)
    if wrong is not None:
        fail("A604", wrong, span, "a hole holds an index variable or arithmetic on one: `{i - 1}`")
    return parts


@entity
class _Hole:
    """What stands in a hole, and the names that it reads."""

    tree: ast.Expr
    names: tuple[str, ...]


@lru_cache(maxsize=1024)
def _parts(text: str) -> tuple[tuple[str | _Hole, ...], str | None]:
    """Return the words of a template and what stands in its holes, or what is wrong with one of them."""
    parts: list[str | _Hole] = []
    end = 0
    for match in _HOLE.finditer(text):
        tree, diagnostics = parse_expression(Source(f'"{text}"', match[1]))
        if tree is None:
            reason = diagnostics[0].message if diagnostics else "nothing is written in it"
            return (), f"`{{{match[1]}}}` can't be read: {reason}"
        parts += [text[end : match.start()], _Hole(tree, tuple(name.id for name in names(tree)))]
        end = match.end()
    return (*parts, text[end:]), None


def _hole(hole: _Hole, scope: Scope, span: Span, file: bool) -> str:
    node = hole.tree
    scope.used.update(hole.names)
    if isinstance(node, ast.Name) and node.id in scope.maps:
        return _text(_mapped(node, scope, span), node, span)
    if isinstance(node, ast.Name) and node.id in scope.variables:
        return _text(scope.variables[node.id], node, span)
    chosen = [scope.variables.get(name) for name in hole.names]
    key = (id(hole), file, *[(id(one.set.members), one.key) for one in chosen if one is not None])
    text = scope.texts.get(key) if scope.maps.keys().isdisjoint(hole.names) else None
    if text is None:
        text = scope.texts[key] = _computed(node, scope, span, file)
    return text


def _computed(node: ast.Expr, scope: Scope, span: Span, file: bool) -> str:
    try:
        value = evaluate(node, scope.frame)
    except Problem as problem:
        code = "A609" if file else "A604"
        known = [*scope.variables, *scope.maps]
        word = next((name.id for name in names(node) if name.id not in known), node.span.text)
        there = f"the index variables of this rule are {statics.listed(known)}" if known else "the left side of this rule has no index variable"
        help = suggest(word, known, there)
        raise Problem(type(problem.diagnostic)(code, f"`{{{node.span.text}}}`: {problem.diagnostic.message}", span, (), help)) from problem
    return _text(value, node, span)


def _mapped(node: ast.Name, scope: Scope, span: Span) -> Value:
    """Return what a map after `where` gives for the one index variable whose member it has."""
    table = scope.maps[node.id]
    found = [name for name, member in scope.variables.items() if member.key in table]
    if len(found) != 1:
        members = ", ".join(f"{name} = {member.key}" for name, member in scope.variables.items())
        if not found:
            what = members or "this rule: it has no index variable"
            fail("A608", f"the map `{node.id}` has nothing for {what}", span, f"its keys are {statics.listed(table)}")
        fail("A608", f"`{{{node.id}}}` may mean any of {statics.listed(found)}", span, f"say which: `{{{node.id}[{found[0]}]}}`")
    scope.used.add(found[0])
    return table[scope.variables[found[0]].key]


def _text(value: Value, node: ast.Expr, span: Span) -> str:
    if isinstance(value, IndexSet):
        return ",".join(map(member_text, value.members))
    if isinstance(value, MemberOf):
        value = value.key
    if value.__class__ is str:
        return value
    if value.__class__ is int and value >= 0:
        return str(value)
    value = value.name if isinstance(value, EnumValue) else statics.tidy(value)
    if isinstance(value, int) and value < 0:
        fail("A604", f"`{{{node.span.text}}}` is {value}", span, "check the arithmetic: names of stored tensors hold no negative numbers")
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    help = "a hole holds an index variable or arithmetic on one: `{i - 1}`"
    fail("A604", f"`{{{node.span.text}}}` is {describe(value)}, no text or whole number", span, help)


def names(node: Any) -> list[ast.Name]:
    """Return the names that an expression reads, in order."""
    if isinstance(node, ast.Name):
        return [node]
    if isinstance(node, tuple):
        return [name for item in cast("tuple[object, ...]", node) for name in names(item)]
    if isinstance(node, ast.Node):
        return [name for slot in node.__dataclass_fields__ if slot != "span" for name in names(getattr(node, slot))]
    return []


__all__ = ["Scope", "fill", "names"]
