"""What the static names of a block stand for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...dsl import ast
from ...dsl.source import Source, Span
from .arithmetic import Definitions, arithmetic
from .reading import file_definitions, item_at, meant, statements


def definitions(span: Span) -> Definitions:
    """Return what the static names that are known at a place stand for; those of parameters stand for nothing else."""
    item = item_at(span)
    return _of(span.source, item.span.start if item is not None else -1)


@lru_cache(maxsize=1024)
def _of(source: Source, start: int) -> Definitions:
    place = Span(source, max(start, 0), max(start, 0))
    item = item_at(place) if start >= 0 else None
    values: dict[str, ast.Expr | None] = {one.name: one.value for one in file_definitions(place)}
    outer = [*values]
    seen: set[str] = set()
    for statement in statements(item):
        if isinstance(statement, ast.IndexSet):
            values[statement.name.name] = statement.value
        if isinstance(statement, ast.Assign):
            for number, goal in enumerate(statement.goals):
                values[goal.name] = meant(statement, number) if not goal.items and goal.name not in seen else None
                seen.add(goal.name)
    for parameter in getattr(item, "parameters", ()):
        values.pop(parameter.name, None)
    kept: dict[str, str] = {}
    for name in (*outer, *(goal.name for one in getattr(item, "body", ()) if isinstance(one, ast.Assign) for goal in one.goals)):
        value = values.get(name)
        texts = arithmetic(value, Definitions(values, kept)) if value is not None and _is_reckoned(value) else ()
        kept.update({name: texts[0]} if len(texts) == 1 else {})
    return Definitions(values, kept)


def _is_reckoned(value: Any) -> bool:
    """Tell whether an expression is more than a number or another name."""
    return not isinstance(value, (ast.Number, ast.Name, ast.Ternary, ast.Index))
