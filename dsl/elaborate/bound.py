"""The names that statements bind, those that they would have bound with other arguments, and those that items read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from .. import ast
from ..parse.gaps import NAME
from ..parse.pythonisms import walk
from ..program import Member
from .context import Poisoned, Problem
from .files import File, Files
from .scope import Frame, Loop
from .values import Family, IndexSet, Template, Value

BRACES = re.compile(r"\{([^{}]*)\}")


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
    if isinstance(statement, ast.Broken):
        return list(statement.names)
    if isinstance(statement, (ast.For, ast.Repeat)):
        return [name for inner in statement.body for name in bound_names(inner)]
    if isinstance(statement, ast.If):
        return [name for inner in (*statement.then, *(statement.otherwise or ())) for name in bound_names(inner)]
    return []


def introduced(statement: ast.Statement) -> list[str]:
    """Return the sizes that the types of a statement may introduce."""
    types = (node for node in walk(statement) if isinstance(node, ast.TypeRef))
    names = (name for type_ in types for argument in type_.arguments or () for name in walk(argument) if isinstance(name, ast.Name))
    return [name.id for name in names if name.id[0].isupper()]


def bind_empty(statements: Sequence[ast.Statement], loop: Loop, frame: Frame) -> None:
    """Make families without members of the names and the outputs of a finished loop's statements that no step has bound."""
    for name in dict.fromkeys(name for statement in statements for name in bound_names(statement)):
        if name not in loop.carry and name not in loop.born and frame.owner(name) is None:
            frame.names[name] = Family(loop.set, {}, name, loop_born=True)
    around = members_in_scope(frame)
    for name in dict.fromkeys(name for statement in statements for name in _outputs(statement)):
        level: dict[Any, Value] | None = outs_of(frame)
        for key, (set_, _) in zip((name, *(member for _, member in around)), (*around, (loop.set, None)), strict=True):
            found = level.setdefault(key, Family(set_, {}, name)) if level is not None else None
            level = found.members if isinstance(found, Family) else None


def _outputs(statement: ast.Statement) -> list[str]:
    """Return the outputs that a statement gives to the task or block it stands in."""
    if isinstance(statement, ast.Out):
        return [declared.name for declared in statement.names]
    inner = statement.body if isinstance(statement, (ast.For, ast.Repeat)) else ()
    inner = (*statement.then, *(statement.otherwise or ())) if isinstance(statement, ast.If) else inner
    return [name for one in inner for name in _outputs(one)]


def outs_of(frame: Frame) -> dict[str, Value]:
    """Return the outputs so far of the task or block at hand."""
    builder = frame.builder
    return builder.outs if frame.task is None or builder.inline else builder.tasks[frame.task].outs


def members_in_scope(frame: Frame) -> list[tuple[IndexSet, Member]]:
    """Return the loops between this statement and its task or block, outermost first."""
    found: list[tuple[IndexSet, Member]] = []
    walk: Frame | None = frame
    while walk is not None and walk.kind != "task":
        if walk.loop is not None:
            found.append((walk.loop.set, walk.member))
        walk = walk.parent
    return list(reversed(found))


def note_absent(statements: Sequence[ast.Statement], frame: Frame) -> None:
    """Keep the names that only statements bind that don't run with these arguments: a selector of one matches nothing, and is no misspelling."""
    absent, files = frame.builder.body.absent, frame.builder.context.files
    for statement in statements:
        for name, kind in files.once(_all_kinds, statement):
            absent.setdefault(name, set()).add(kind)
        note_below(statement, frame)


def note_below(node: ast.Node, frame: Frame) -> None:
    """Keep the blocks that a node which doesn't run would make, as kinds, and the names that they bind."""
    below = frame.builder.body.absent_below
    for name, kind in _inside(node, frame.file, frame, set()):
        below.setdefault(name, set()).add(kind)


def _inside(node: ast.Node, file: File, frame: Frame, seen: set[int]) -> Iterator[tuple[str, str]]:
    files = frame.builder.context.files
    for word in files.once(_capitals, node):
        yield word, "kind"
        inner, item = _block(word, file, frame if not seen else None, files)
        if item is not None and id(item) not in seen:
            seen.add(id(item))
            yield from files.once(_all_kinds, item)
            yield from _inside(item, inner, frame, seen)


def _block(word: str, file: File, frame: Frame | None, files: Files) -> tuple[File, ast.Block | None]:
    """Return the block that a name stands for in a file, or in a frame whose block takes it as a parameter."""
    while frame is not None:
        value = frame.names.get(word)
        if isinstance(value, Template):
            return value.file or file, value.item if isinstance(value.item, ast.Block) else None
        frame = frame.parent
    try:
        found = files.find(file, word)
    except (Problem, Poisoned):
        return file, None
    return (found[0], found[1]) if found is not None and isinstance(found[1], ast.Block) else (file, None)


def _capitals(node: ast.Node) -> frozenset[str]:
    return frozenset(name.id for name in walk(node) if isinstance(name, ast.Name) and name.id[0].isupper())


def _all_kinds(statement: ast.Node) -> frozenset[tuple[str, str]]:
    return frozenset(found for inner in walk(statement) for found in _kinds(inner))


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


def names_read(item: ast.Item) -> frozenset[str]:
    """Return the names that an item reads anywhere, in arms that are not taken too."""
    return frozenset(name for node in walk(item) for name in _read_in(node))


def names_planned(item: ast.Item) -> frozenset[str]:
    """Return the names that a stage, map, preset or golden reads, those in the braces of its templates too."""
    templates = (node.value for node in walk(item) if isinstance(node, ast.String))
    return names_read(item).union(name for text in templates for inside in BRACES.findall(text) for name in NAME.findall(inside))


def parts_read(item: ast.Item) -> frozenset[str]:
    """Return the names that an item reads behind a dot, such as `y` in `topic.y`."""
    return frozenset(node.part for node in walk(item) if isinstance(node, ast.Attribute) and isinstance(node.part, str))


def _read_in(node: ast.Node) -> list[str]:
    """Return the names that one node reads by itself: `y`, `out y`, the family of `y[t] = ...`."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Broken):
        return NAME.findall(node.span.text)
    if isinstance(node, ast.Out):
        return [declared.name for declared in node.names] if node.value is None and node.type is None else []
    return [node.name] if isinstance(node, ast.Goal) and node.items else []
