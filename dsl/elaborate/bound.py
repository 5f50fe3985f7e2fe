"""The names that statements bind, those that they would have bound with other arguments, and those that items read."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ast
from ..parse.pythonisms import walk
from .files import Files
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
            for name, kind in _kinds(inner):
                frame.builder.body.absent.setdefault(name, set()).add(kind)


def _kinds(node: ast.Node) -> list[tuple[str, str]]:
    """Return the names that a statement itself gives, each with what it is: a part has a path."""
    if isinstance(node, ast.Task):
        return [(node.name, "task")]
    if isinstance(node, ast.Loss):
        return [(node.name, "loss")]
    if isinstance(node, ast.Assign):
        return [(goal.name, assigned(node.value)) for goal in node.goals]
    if isinstance(node, (ast.In, ast.Target, ast.Draw)):
        return [(declared.name, "input") for declared in node.names]
    return [(declared.name, "output") for declared in node.names] if isinstance(node, ast.Out) else []


def assigned(value: ast.Expr) -> str:
    """Say what a statement makes of a name: a part, where its value may be a module or a parameter, else a value."""
    return "part" if _may_make(value) else "value"


def _may_make(node: ast.Expr) -> bool:
    if isinstance(node, ast.Ternary):
        return _may_make(node.then) or _may_make(node.otherwise)
    if isinstance(node, (ast.Tuple, ast.List)):
        return any(map(_may_make, node.items))
    if not isinstance(node, ast.Call):
        return False
    function = node.function
    return function.id[0].isupper() if isinstance(function, ast.Name) else not isinstance(function, ast.Call) or _may_make(function)


def names_read(item: ast.Item, files: Files) -> frozenset[str]:
    """Return the names that an item reads anywhere, in arms that are not taken too; an item is gone through once."""
    found = files.read.get(id(item))
    if found is None:
        found = files.read[id(item)] = frozenset(name for node in walk(item) for name in _read_in(node))
    return found


def _read_in(node: ast.Node) -> list[str]:
    """Return the names that one node reads by itself: `y`, `out y`, the family of `y[t] = ...`."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Out):
        return [declared.name for declared in node.names] if node.value is None and node.type is None else []
    return [node.name] if isinstance(node, ast.Goal) and node.items else []
