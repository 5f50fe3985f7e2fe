"""The names that statements bind, and those that they would have bound with other arguments."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ast
from ..parse.pythonisms import walk
from .scope import Frame


def bound_names(statement: ast.Statement) -> list[str]:
    """Return the names that a statement binds in the frame it stands in."""
    if isinstance(statement, ast.Assign):
        return [goal.name for goal in statement.goals]
    if isinstance(statement, (ast.In, ast.Target, ast.Draw, ast.Out)):
        return [declared.name for declared in statement.names]
    if isinstance(statement, (ast.IndexSet, ast.State)):
        return [statement.name.name]
    if isinstance(statement, ast.Loss):
        return [statement.name]
    if isinstance(statement, (ast.For, ast.Repeat)):
        return [name for inner in statement.body for name in bound_names(inner)]
    if isinstance(statement, ast.If):
        return [name for inner in (*statement.then, *(statement.otherwise or ())) for name in bound_names(inner)]
    return []


def note_absent(statements: Sequence[ast.Statement], frame: Frame) -> None:
    """Keep the names that only statements bind that don't run with these arguments: a selector of one matches nothing, and is no misspelling."""
    for statement in statements:
        for inner in walk(statement):
            names = [inner.name] if isinstance(inner, ast.Task) else bound_names(inner) if isinstance(inner, ast.Statement) else []
            frame.builder.body.absent.update(name for name in names if frame.owner(name) is None)
