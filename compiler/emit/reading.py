"""The parsed text around a place: its block, its statements and expressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache
from typing import Any, cast

from ...dsl import ast
from ...dsl.parser import ParsedFile, parse
from ...dsl.source import Source, Span


@lru_cache(maxsize=64)
def _read(source: Source) -> ParsedFile:
    return parse(source)


def item_at(span: Span) -> Any:
    """Return the block, model or function at a place; None outside of all."""
    return next((item.tree for item in _read(span.source).items if item.span.start <= span.start < item.span.end), None)


def around(span: Span) -> list[Any]:
    """Return the statements around a place, the outermost first."""
    found: list[Any] = []
    level = getattr(item_at(span), "body", ())
    while True:
        inside = next((one for one in level if one.span.start <= span.start < one.span.end), None)
        if inside is None:
            return found
        found.append(inside)
        level = _below(inside)


def statements(item: Any) -> Iterator[Any]:
    """Yield the statements of an item, those inside others too."""
    return _all(getattr(item, "body", ()))


def _all(level: tuple[Any, ...]) -> Iterator[Any]:
    for statement in level:
        yield statement
        yield from _all(_below(statement))


def _below(statement: Any) -> tuple[Any, ...]:
    if isinstance(statement, ast.If):
        return (*statement.then, *(statement.otherwise or ()))
    return statement.body if isinstance(statement, (ast.For, ast.Repeat, ast.Task, ast.Entry)) else ()


def nodes(tree: Any) -> Iterator[ast.Node]:
    """Yield the nodes of an expression or statement, the outer ones first."""
    if isinstance(tree, ast.Node):
        yield tree
    for part in children(tree):
        yield from nodes(part)


def children(tree: Any) -> tuple[Any, ...]:
    """Return the parts of a node, or of several together."""
    if isinstance(tree, ast.Node):
        return tuple(getattr(tree, one.name) for one in fields(cast("Any", tree)) if one.name != "span")
    return cast("tuple[Any, ...]", tree) if isinstance(tree, tuple) else ()


def meant(statement: ast.Assign, place: int) -> ast.Expr | None:
    """Return the expression of one of the names that a statement binds; None where it gives several at once."""
    if len(statement.goals) == 1:
        return statement.value
    items = statement.value.items if isinstance(statement.value, ast.Tuple) else ()
    return items[place] if len(items) == len(statement.goals) else None


def bound_names(span: Span) -> tuple[str, ...]:
    """Return the names that the expression at a place is given by its statement; several where it is taken apart."""
    inside = around(span)
    statement = inside[-1] if inside else None
    if not isinstance(statement, ast.Assign):
        return ()
    whole = (statement.value.then, statement.value.otherwise) if isinstance(statement.value, ast.Ternary) else (statement.value,)
    return tuple(goal.name for goal in statement.goals) if any(value.span == span for value in whole) else ()


def file_definitions(span: Span) -> Iterator[ast.Definition]:
    """Yield the static values that the file around a place names."""
    trees = (item.tree for item in _read(span.source).items if item.word == "definition")
    return (tree for tree in trees if isinstance(tree, ast.Definition))
