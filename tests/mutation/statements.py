# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's statements: binding, loops, borders, tasks and losses, each with real tensors at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from archloom.dsl import ast
from archloom.dsl.parse.pythonisms import walk

from .arithmetic import as_set, elements, truth
from .calls import build_leaf, evaluate
from .checks import need
from .expressions import loosely, unpack
from .indexing import _key, _member_of
from .scopes import MISSING, Frame, Loop, close
from .specials import Declared
from .values import Family, Made, Member, Result, Set, Wrong

WORDS = {"loss", "out", "target", "draw", "state", "index", "task", "update", "freeze", "require", "assert", "tie", "entry", "repeat", "renamed"}

TAKEN = frozenset([
    "type", "train", "training", "forward", "eval", "half", "float", "double", "bfloat16", "to", "cpu", "cuda", "apply", "parameters", "buffers",
    "modules", "children", "state_dict", "named_parameters", "named_modules", "register_buffer", "register_parameter", "requires_grad_", "zero_grad",
    "share_memory", "compile", "add_module", "get_parameter", "get_submodule", "extra_repr",
])  # fmt: skip


def run(statements: Sequence[Any], frame: Frame) -> None:
    for statement in statements:
        frame.body.world.step(statement)
        frame.body.made.ran.add(id(statement))
        RUNNERS[type(statement)](statement, frame)


# ------------------------------------------------------------------------------------------------------------- binding


def _assign(statement: ast.Assign, frame: Frame) -> None:
    goals = statement.goals
    if len(goals) == 1:
        _one(goals[0], statement.value, frame)
        return
    if isinstance(statement.value, ast.Tuple):
        need(len(statement.value.items) == len(goals), "as many names as values")
        values = [evaluate(item, frame) for item in statement.value.items]
    else:
        values = spread(evaluate(statement.value, frame), len(goals))
    for goal, value in zip(goals, values, strict=True):
        store(goal, value, frame)


def spread(value: Any, count: int) -> list[Any]:
    if isinstance(value, Result):
        parts = list(value.fields.values())
    elif isinstance(value, Family):
        parts = list(value.members.values())
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    else:
        raise Wrong(f"{value!r} is given to {count} names")
    need(len(parts) == count, "as many names as values")
    return parts


def _one(goal: ast.Goal, node: Any, frame: Frame) -> None:
    binders = [i for i in goal.items if isinstance(i, ast.Binder)]
    if binders:
        need(len(binders) == len(goal.items), "binders and members are mixed")
        frame.bind(goal.name, family(binders, (), frame, lambda inner, keys: named(evaluate(node, inner), goal.name, inner, keys)))
        return
    frame.body.slot = goal.name if not goal.items else None
    value = evaluate(node, frame)
    frame.body.slot = None
    store(goal, value, frame)


def family(binders: Sequence[ast.Binder], keys: tuple[Any, ...], frame: Frame, make: Callable[[Frame, tuple[Any, ...]], Any]) -> Any:
    """Return one value for each member of the binders' sets."""
    if not binders:
        return make(frame, keys)
    home = as_set(loosely(binders[0].set, frame))
    members: dict[Any, Any] = {}
    for member in home.members:
        inner = frame.child("clause")
        inner.names[binders[0].name] = Member(member, home)
        members[member] = family(binders[1:], (*keys, member), inner, make)
    return Family(home, members)


def store(goal: ast.Goal, value: Any, frame: Frame) -> None:
    if goal.items:
        _write(goal, value, frame)
        return
    frame.bind(goal.name, named(value, goal.name, frame))
    if goal.name in WORDS:
        frame.body.words.setdefault(goal.name, None)


def named(value: Any, name: str, frame: Frame, extra: tuple[Any, ...] = ()) -> Any:
    """Return what a value becomes under a name: modules and parameters get their path."""
    if isinstance(value, Declared):
        return declare(value, name, frame, extra)
    if isinstance(value, Made) and value.path is None:
        return bear(value, name, frame, (*frame.members(), *extra))
    if isinstance(value, (list, tuple)) and any(isinstance(v, Declared) or (isinstance(v, Made) and v.path is None) for v in value):
        raise Wrong("blocks in a list have no names")
    return value


def path_of(name: str, members: tuple[Any, ...], frame: Frame) -> tuple[str, ...]:
    parts = (name, *(str(m).replace(".", "_") if isinstance(m, float) else _text(m) for m in members))
    for part in parts:
        need(bool(part) and "." not in part and part not in TAKEN, f"{part} names no module")
    return parts


def _text(member: Any) -> str:
    return "_".join(map(_text, member)) if isinstance(member, tuple) else str(member)


def apart(path: tuple[str, ...], frame: Frame) -> None:
    """Require that nothing is born twice, or inside another."""
    births = frame.body.births
    for other in births:
        n = min(len(other), len(path))
        need(other[:n] != path[:n], f"{path} and {other} share a path")
    births.add(path)


def bear(made: Made, name: str, frame: Frame, members: tuple[Any, ...]) -> Made:
    """Give a module its path; a later call of the same body finds it again."""
    body = frame.body
    need(body.kind != "fn", "a fn owns nothing")
    path = path_of(name, members, frame)
    apart(path, frame)
    found = _born(made, path, body.made.children.get(path))
    found.words = ((name, members),)
    found.sets = frame.sets()
    found.task = frame.task
    body.made.children[path] = found
    return found


def _born(made: Made, path: tuple[str, ...], old: Made | None) -> Made:
    if made.maker.name == "Sequential":
        made.path = path
        parts = []
        for i, part in enumerate(made.parts):
            if isinstance(part, Made) and part.path is None:
                inner = Made(part.maker, dict(part.arguments), parts=list(part.parts))
                part = _born(inner, (*path, str(i)), old.parts[i] if old is not None and i < len(old.parts) else None)
                part.words = ((str(i), ()),)
                made.children[(str(i),)] = part
            parts.append(part)
        made.parts = parts
        return made
    fresh = Made(made.maker, dict(made.arguments), path)
    if made.maker.leaf:
        fresh.module = build_leaf(fresh)
        if old is not None and old.module is not None:
            shapes = [[(n, t.shape) for n, t in m.state_dict().items()] for m in (fresh.module, old.module)]
            need(shapes[0] == shapes[1], "one module, two sets of parameters")
            fresh.module = old.module
    elif old is not None:
        fresh.children, fresh.own, fresh.calls, fresh.lost, fresh.ran = old.children, old.own, old.calls, old.lost, old.ran
    return fresh


def declare(value: Declared, name: str, frame: Frame, extra: tuple[Any, ...]) -> Tensor:
    body = frame.body
    need(body.kind != "fn", "a fn owns nothing")
    path = path_of(name, (*frame.members(), *extra), frame)
    apart(path, frame)
    old = body.made.own.get(path)
    if old is not None:
        need(tuple(old.shape) == value.shape and old.dtype == value.dtype, "one parameter, two shapes")
        return old
    made = body.world.guarded(torch.zeros, value.shape, dtype=value.dtype)
    found: Any = made if value.buffer else torch.nn.Parameter(torch.randn(value.shape, dtype=value.dtype) * 0.3)
    found.own, found.buffer, found.words, found.task = True, value.buffer, ((name, (*frame.members(), *extra)),), frame.task
    found.sets, found.alone = frame.sets(), value.alone
    body.made.own[path] = found
    return found


def _write(goal: ast.Goal, value: Any, frame: Frame) -> None:
    """Write `x[t] = value`, a member of a family that exists."""
    level = frame.find(goal.name)
    need(isinstance(level, Family), f"{goal.name} has no members to write")
    root = level
    path = []
    for item in goal.items:
        need(isinstance(level, Family) and not isinstance(item, ast.Binder), "fewer loops than entries")
        member = _key(_member_of(item, level.set, frame), level.set)
        path.append(member)
        level = level.members.get(member)
    home = frame.owner(goal.name)
    words = {i.id for i in goal.items if isinstance(i, ast.Name)}
    for between in frame.chain():
        if between is home:
            break
        if between.loop is not None:
            need(between.kind != "for" or bool(words & set(between.loop.names)), "a for writes its own member alone")
            need(between.kind != "repeat" or goal.name in between.loop.carry, f"{goal.name} is changed and not carried")
    assert home is not None
    home.names[goal.name] = _replaced(root, path, value)


def _replaced(level: Family, path: list[Any], value: Any) -> Family:
    inner = value if len(path) == 1 else _replaced(level.members[path[0]], path[1:], value)
    return Family(level.set, {**level.members, path[0]: inner}, level.loop)


# --------------------------------------------------------------------------------------------------------------- loops


def _loop_set(value: Any) -> tuple[Set, list[Any]]:
    if isinstance(value, Set):
        return value, elements(value)
    if isinstance(value, dict):
        keys = Set.of(tuple(value))
        return keys, elements(keys)
    items = elements(value)
    if all(isinstance(v, (int, str, float)) and not isinstance(v, bool) for v in items) and len(set(items)) == len(items):
        home = Set.of(tuple(items))
        return home, elements(home)
    return Set.of(tuple(range(len(items)))), items


def _for(statement: ast.For, frame: Frame) -> None:
    _loop("for", statement.names, statement, frozenset(), statement.condition, frame)


def _repeat(statement: ast.Repeat, frame: Frame) -> None:
    for name in statement.carry:
        need(frame.find(name.id) is not MISSING, f"{name.id} is carried and not bound")
    _loop("repeat", (statement.name,), statement, frozenset(n.id for n in statement.carry), None, frame)


def _loop(kind: str, names: Sequence[str], statement: Any, carry: frozenset[str], condition: Any, frame: Frame) -> None:
    home, values = _loop_set(loosely(statement.set, frame))
    inside = [part for inner in statement.body for part in walk(inner)]
    goals = [g for part in inside if isinstance(part, ast.Assign) for g in part.goals]
    written = frozenset(g.name for g in goals if g.items and not isinstance(g.items[0], ast.Binder))
    loop = Loop(home, tuple(names), carry, written)
    for member, value in zip(home.members, values, strict=True):
        inner = frame.child(kind, loop, member)
        unpack(names, value, inner)
        if condition is not None and not truth(evaluate(condition, inner)):
            continue
        run(statement.body, inner)
        for name, found in inner.names.items():
            if name not in names:
                loop.born.setdefault(name, {})[member] = found
    bound = set(binds(statement.body))
    if kind == "repeat" and home.members:
        need(carry <= bound, "a carried name is never rebound")
    close(frame, loop)
    for name in bound - carry - loop.born.keys():
        if frame.owner(name) is None:
            frame.names[name] = Family(home, {}, loop=True)
    _outputs_without_members(statement.body, home, frame)


def _outputs_without_members(statements: Sequence[Any], home: Set, frame: Frame) -> None:
    """Give what no step of a loop gave: families without members."""
    from .borders import scope_members

    for statement in statements:
        if isinstance(statement, ast.If):
            _outputs_without_members((*statement.then, *(statement.otherwise or ())), home, frame)
        elif isinstance(statement, (ast.For, ast.Repeat)):
            _outputs_without_members(statement.body, home, frame)
        elif isinstance(statement, ast.Out):
            for declared in statement.names:
                level: Any = frame.body.world.outs(frame)
                around = scope_members(frame)
                for key, (inner, _) in zip((declared.name, *(m for _, m in around)), (*around, (home, None)), strict=True):
                    found = level.setdefault(key, Family(inner, {}))
                    if not isinstance(found, Family):
                        break
                    level = found.members


def binds(statements: Sequence[Any]) -> list[str]:
    """Return the names that statements bind, in all their arms and loops but those of tasks."""
    found: list[str] = []
    for statement in statements:
        if isinstance(statement, ast.Assign):
            found += [g.name for g in statement.goals]
        elif isinstance(statement, (ast.In, ast.Target, ast.Draw, ast.Out)):
            found += [d.name for d in statement.names]
        elif isinstance(statement, (ast.IndexSet, ast.State)):
            found.append(statement.name.name)
        elif isinstance(statement, ast.Loss):
            found.append(statement.name)
        elif isinstance(statement, ast.If):
            found += binds(statement.then) + binds(statement.otherwise or ())
        elif isinstance(statement, (ast.For, ast.Repeat)):
            found += binds(statement.body)
    return found


def _if(statement: ast.If, frame: Frame) -> None:
    condition = evaluate(statement.condition, frame)
    need(not isinstance(condition, Tensor), "a condition is a tensor")
    then, otherwise = statement.then, statement.otherwise or ()
    chosen, other = (then, otherwise) if truth(condition) else (otherwise, then)
    for left in other:
        frame.body.world.untaken(left, frame)
    run(chosen, frame)


def _index_set(statement: ast.IndexSet, frame: Frame) -> None:
    name, binders = statement.name.name, statement.name.binders
    if binders:
        frame.bind(name, family(binders, (), frame, lambda inner, keys: _named_set(loosely(statement.value, inner), "")))
        return
    frame.bind(name, _named_set(loosely(statement.value, frame), name))
    for keys in [k for n, k in frame.body.maps if n == name]:
        need(set(keys) == set(frame.find(name).members), "a map has other keys")
    frame.body.maps = [m for m in frame.body.maps if m[0] != name]


def _named_set(value: Any, name: str) -> Set:
    found = as_set(value)
    return Set(found.members, found.members if isinstance(value, (dict, list, tuple)) else found.declared, name)


def _bare(statement: ast.Bare, frame: Frame) -> None:
    need(isinstance(statement.value, ast.String), "an expression does nothing")


RUNNERS: dict[type, Callable[[Any, Frame], None]] = {
    ast.Assign: _assign, ast.For: _for, ast.Repeat: _repeat, ast.If: _if, ast.IndexSet: _index_set, ast.Bare: _bare,
}  # fmt: skip
