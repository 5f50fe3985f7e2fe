"""Literals, ranges and comprehensions: lists, tuples, maps and index sets as they are written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import ast
from ..dims import Dim
from ..limits import exceeded
from . import statics
from .bulk import bounded
from .context import WIDTH, Problem, fail
from .expressions import evaluate, evaluate_whole, register
from .scope import Frame
from .values import IndexSet, MemberOf, Value, describe, is_list


def _range(node: ast.Range, frame: Frame) -> IndexSet:
    if node.start is None or node.stop is None:
        fail("A208", "an open range stands only inside `[ ]`", node.span, "write both ends, `0..n`")
    start, stop = (whole(evaluate(end, frame), end) for end in (node.start, node.stop))
    stop += 1 if node.inclusive else 0
    if stop < start:
        fail(
            "A406",
            f"the range `{node.span.text}` runs backwards, from {start} to {stop}",
            node.span,
            "`reversed(a..b)` counts down; an empty range is `n..n`",
        )
    limit = frame.builder.context.limits.members
    if stop - start > limit:
        message = f"`{node.span.text}` has {stop - start:,} members, more than {limit:,}"
        raise Problem(exceeded("members", message, node.span, "an index set is unrolled: use a tensor dimension instead"))
    return IndexSet.of(node.span.text, tuple(range(start, stop)))


def whole(value: Value, node: ast.Expr) -> int:
    """Return a static whole number."""
    value = statics.tidy(statics.number(value))
    if isinstance(value, bool) or not isinstance(value, int):
        if isinstance(value, Dim):
            help = "give the model a parameter for it, `H: int = 224`; a size that is only known at run time can't steer a loop or a module"
            fail("A206", f"`{node.span.text}` must be a number that is known here", node.span, help)
        fail("A203", f"`{node.span.text}` must be a whole number, not {describe(value)}", node.span)
    return value


def _list(node: ast.List, frame: Frame) -> list[Value]:
    return bounded([evaluate(item, frame) for item in node.items], frame.builder.context, node.span)


def _tuple(node: ast.Tuple, frame: Frame) -> tuple[Value, ...]:
    return bounded(tuple(evaluate(item, frame) for item in node.items), frame.builder.context, node.span)


def _set(node: ast.SetLiteral, frame: Frame) -> IndexSet:
    members: dict[Any, None] = {}
    for item in node.items:
        member = literal_member(item, frame)
        statics.check_member(member, item.span)
        if member in members:
            fail("A412", f"`{item.span.text}` stands twice in this set", item.span, "the members of an index set are different")
        members[member] = None
    return IndexSet.of(node.span.text, tuple(members))


def literal_member(node: ast.Expr, frame: Frame) -> Any:
    """Return a member of a set literal or a key of a map: a bare word is its own name, unless a loop or clause around runs over it."""
    if isinstance(node, ast.Name):
        return statics.key_of(frame.find(node.id)) if runs(node.id, frame) else node.id
    if isinstance(node, ast.Tuple):
        return tuple(literal_member(item, frame) for item in node.items)
    value = evaluate(node, frame)
    return statics.key_of(value) if isinstance(value, MemberOf) or is_list(value) else statics.number(value)


def _key(node: ast.Expr, frame: Frame) -> Any:
    """Return a key of a map."""
    key = literal_member(node, frame)
    if not statics.is_key(key):
        fail("A408", f"the keys of a map are names, numbers, truths or tuples of them, not {describe(key)}", node.span)
    return key


def runs(name: str, frame: Frame) -> bool:
    """Say whether `name` is the variable of a loop or clause around."""
    home = frame.owner(name)
    return home is not None and (home.kind == "comprehension" or (home.loop is not None and name in home.loop.names))


def _map(node: ast.MapLiteral, frame: Frame) -> dict[Any, Value]:
    result: dict[Any, Value] = {}
    for key_node, value_node in node.items:
        key = _key(key_node, frame)
        if key in result:
            fail("A412", f"the key `{key}` stands twice in this map", key_node.span, "keep one of them")
        result[key] = evaluate(value_node, frame)
    return bounded(result, frame.builder.context, node.span)


def _comprehension(node: ast.Comprehension, frame: Frame) -> Value:
    if node.where is not None:
        fail(
            "A414",
            "`where` stands only in a `sum` over a family",
            node.span,
            "write `sum(... for e in experts where keep[:, e])`, or `if` for a static condition",
        )
    steps = clauses(node.clauses, frame)
    frame.builder.context.step(node.span, len(steps) * (node.span.end - node.span.start) // WIDTH)
    if node.kind == "map":
        assert node.value is not None
        made = {_key(node.element, inner): evaluate(node.value, inner) for inner in steps}
        return bounded(made, frame.builder.context, node.span)
    if node.kind == "set":
        found = [literal_member(node.element, inner) for inner in steps]
        for member in found:
            statics.check_member(member, node.element.span)
        members = dict.fromkeys(found)
        return IndexSet.of(node.span.text, tuple(members))
    return bounded([evaluate(node.element, inner) for inner in steps], frame.builder.context, node.span)


def clauses(items: tuple[ast.Clause, ...], frame: Frame) -> list[Frame]:
    """Return one frame for each step of a comprehension's clauses."""
    frames = [frame]
    cost = 2 + sum(clause.span.end - clause.span.start for clause in items) // WIDTH
    for clause in items:
        following: list[Frame] = []
        for outer in frames:
            for value in statics.elements(evaluate_whole(clause.iterable, outer), clause.iterable.span):
                frame.builder.context.step(clause.span, cost)
                inner = outer.child("comprehension")
                unpack(clause.names, value, inner, clause)
                if clause.condition is None or statics.truth(evaluate(clause.condition, inner), clause.condition.span):
                    following.append(inner)
                    if len(following) > frame.builder.context.limits.members:
                        message = f"this comprehension has more than {frame.builder.context.limits.members:,} elements"
                        raise Problem(exceeded("members", message, clause.span, "make the sets that it runs over smaller"))
        frames = following
    return frames


def unpack(names: tuple[str, ...], value: Value, frame: Frame, node: ast.Node) -> None:
    """Bind the names of a loop or clause to one element."""
    if len(names) == 1:
        frame.names[names[0]] = value
        return
    parts = value.key if isinstance(value, MemberOf) else value
    if not is_list(parts) or len(parts) != len(names):
        fail("A208", f"can't unpack {describe(value)} into {len(names)} names", node.span, "the set must hold tuples of that length")
    for name, part in zip(names, parts, strict=True):
        frame.names[name] = part


register(ast.Range, _range)
register(ast.List, _list)
register(ast.Tuple, _tuple)
register(ast.SetLiteral, _set)
register(ast.MapLiteral, _map)
register(ast.Comprehension, _comprehension)


def members(node: ast.Expr, frame: Frame) -> Value:
    """Evaluate what an index set is said to be."""
    try:
        return evaluate_whole(node, frame)
    except Problem as problem:
        if isinstance(node, ast.List) and problem.diagnostic.code == "A102":
            help = f"names of members stand in braces: `{{{node.span.text[1:-1]}}}`"
            raise Problem(replace(problem.diagnostic, help=help)) from None
        raise
