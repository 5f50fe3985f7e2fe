"""Puts a `Broken` into a tree for each statement that was blanked because it doesn't parse, so that the rest of its item can be elaborated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from .. import ast
from ..source import Span
from .vocabulary import STATEMENT_WORDS

NAME: Final = re.compile(r"[A-Za-z_]\w*")
ASSIGNED: Final = re.compile(r"(?:[\w\s,=]|\[[^\]\n]*\])+=(?!=)")
"""The left side of an assignment, or of what begins like one: `loss a =`."""
PLACE: Final = re.compile(r"\s*[A-Za-z_]\w*(?:\[[^\]\n]*\])?\s*[,=]")
"""One name at its start: no word of a statement stands before it."""
ARM: Final = ("then", "otherwise")
ELSE: Final = re.compile(r"\belse\b")


def with_gaps(item: ast.Item, gaps: Iterable[Span]) -> ast.Item | None:
    """Return an item with a `Broken` at the place of each span, whose text is the one that was written; None where clauses may be missing."""
    for gap in gaps:
        if not isinstance(item, (ast.Model, ast.Block, ast.Fn)):
            return None
        item = replace(item, body=filled(item.body, gap))
    return item


def filled(statements: Sequence[ast.Statement], gap: Span) -> tuple[ast.Statement, ...]:
    """Return statements with a `Broken` among them, or in the one that it stands in; a header's stand-in goes with all that it holds."""
    for place, statement in enumerate(statements):
        span = statement.span
        if gap.start <= span.start < gap.end:
            last = max(i for i, other in enumerate(statements) if other.span.start < gap.end)  # an earlier gap and its stand-in may lie in it
            return (*statements[:place], broken(Span(gap.source, gap.start, statements[last].span.end)), *statements[last + 1 :])
        if span.start <= gap.start < span.end:
            return (*statements[:place], within(statement, gap), *statements[place + 1 :])
        if gap.start < span.start:
            return between(statements[:place], gap, statements[place:])
    return between(statements, gap, ())


def between(before: Sequence[ast.Statement], gap: Span, after: Sequence[ast.Statement]) -> tuple[ast.Statement, ...]:
    """Return statements with a `Broken` between them, together with what may belong to it: an expression on the line below, the line above."""
    if after and isinstance(after[0], ast.Bare):
        gap, after = Span(gap.source, gap.start, after[0].span.end), after[1:]
    if before and not NAME.match(gap.text):
        gap, before = Span(gap.source, before[-1].span.start, gap.end), before[:-1]
    return (*before, broken(gap), *after)


def within(statement: Any, gap: Span) -> Any:
    """Return a statement with a `Broken` in its body."""
    name = ARM[statement.otherwise is not None and is_below_else(statement, gap)] if isinstance(statement, ast.If) else "body"
    return replace(statement, **{name: filled(getattr(statement, name), gap)}) if hasattr(statement, name) else statement


def is_below_else(statement: ast.If, gap: Span) -> bool:
    """Return whether a place in an `if` lies in its second arm: no `else` of this `if` stands between it and that arm."""
    first = statement.otherwise[0].span.start if statement.otherwise else statement.span.end
    return first <= gap.start or ELSE.search(gap.source.text, gap.end, first) is None


def broken(span: Span) -> ast.Broken:
    """Return what stands for a statement, or for several in braces."""
    names = dict.fromkeys(name for line in re.split(r"[\n;{}]", span.text) for name in NAME.findall(left(line)))
    return ast.Broken(span, tuple(names), PLACE.match(span.text) is not None and assigned(span.text) is not None)


def left(line: str) -> str:
    """Return the part of a statement that may bind names: before its `=`, else all of it."""
    found = assigned(line)
    return found if found is not None else line


def assigned(line: str) -> str | None:
    """Return the left side of a statement that gives names values; None where it is another, or may be."""
    found = ASSIGNED.match(line)
    names = NAME.findall(found[0]) if found else ()
    return found[0] if found and names and not (len(names) == 1 and names[0] in STATEMENT_WORDS) else None
