# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's borders: declared types, inputs, draws, states, outputs, losses, tasks and requirements."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from archloom.dsl import ast
from archloom.dsl.parse.pythonisms import walk

from .alone import declares_alone
from .arithmetic import is_number, truth
from .calls import evaluate
from .checks import equal, need
from .conversions import DTYPES
from .facts import stated
from .scopes import MISSING, Frame, Steps
from .specials import Empty
from .statements import RUNNERS, _text, family, path_of, run, spread
from .values import Family, Late, Member, Outside, Set, Wrong, plain, size, tidy

# -------------------------------------------------------------------------------------------------------------- borders


def tensor_axes(type_: Any, frame: Frame) -> tuple[torch.dtype, tuple[Any, ...]]:
    """Return the dtype and the entries of a tensor type."""
    if isinstance(type_, ast.TypeChoice):
        return tensor_axes(type_.then if truth(evaluate(type_.condition, frame)) else type_.otherwise, frame)
    need(isinstance(type_, ast.TypeRef) and type_.name in DTYPES and type_.arguments is not None, "no tensor type")
    return DTYPES[type_.name], type_.arguments


def root(frame: Frame) -> Frame:
    return frame.chain()[-1]


def fresh(name: str, frame: Frame) -> bool:
    return name[0].isupper() and frame.find(name) is MISSING


def names_in(node: Any) -> list[str]:
    return [n.id for n in walk(node) if isinstance(n, ast.Name)]


def dimension(node: Any, frame: Frame, actual: int | None, allow: bool = True) -> int:
    """Return one axis of a declared type; a new capital name takes the size at hand, or the model's."""
    need(not isinstance(node, (ast.TypeRef, ast.EnumType, ast.TypeChoice)), "no dimension")
    if isinstance(node, ast.Index) and isinstance(node.object, ast.Name) and node.object.id[0].isupper():
        found = frame.find(node.object.id)
        if found is MISSING or (isinstance(found, Family) and not found.loop):
            return _member_dimension(node, node.object.id, frame, actual)
    unknown = sorted({n for n in names_in(node) if fresh(n, frame)})
    need(allow or not unknown, f"{unknown} are not introduced")
    need(len(unknown) <= 1, "several new sizes in one dimension")
    if unknown:
        name = unknown[0]
        _introduce(name, node, frame, actual)
        if isinstance(node, ast.Name):
            return size(root(frame).names[name], name)
    value = evaluate(node, frame)
    found = len(value.members) if isinstance(value, Set) else size(value, "a dimension")
    need(found >= 0, "a negative dimension", "run" if isinstance(value, Late) else "text")
    return found


def _introduce(name: str, node: Any, frame: Frame, actual: int | None) -> None:
    names = root(frame).names
    if actual is None:
        names[name] = Late(frame.body.world.size_of(name))
        return
    if isinstance(node, ast.Name):
        names[name] = Late(actual) if frame.body.world.moves(actual) else actual
        return
    for guess in range(actual * 4 + 8):
        names[name] = Late(guess)
        value = tidy(evaluate(node, frame))
        if isinstance(value, Late) and value.value == actual:
            names[name] = Late(guess) if frame.body.world.moves(actual) else guess
            return
    raise Wrong(f"no {name} fits {actual}", "run")


def _member_dimension(node: ast.Index, name: str, frame: Frame, actual: int | None) -> int:
    need(len(node.items) == 1, "a family of sizes has one index")
    names = root(frame).names
    value = evaluate(node.items[0], frame)
    if name not in names:
        need(isinstance(value, Member), "a family of sizes needs a member")
        names[name] = Family(Set(value.set.declared, value.set.declared), {})
    held = names[name]
    member = plain(value)
    if member not in held.set.members:
        declared = (
            (*held.set.members, *(m for m in value.set.declared if m not in held.set.members)) if isinstance(value, Member) else held.set.members
        )
        held = names[name] = Family(Set(declared, declared), held.members)
    if member not in held.members:
        held.members[member] = Late(frame.body.world.size_of(f"{name}[{member}]") if actual is None else actual)
    return size(held.members[member], name)


def fit(value: Any, type_: Any, frame: Frame, what: str) -> Tensor:
    """Require that a tensor has a declared type, binding the sizes that the type introduces."""
    need(isinstance(value, Tensor), f"{what} is no tensor")
    dtype, entries = tensor_axes(type_, frame)
    same = value.dtype == dtype or (dtype == torch.float64 and value.dtype.is_floating_point)
    need(same, f"{what} is {value.dtype}")
    dots = [i for i, e in enumerate(entries) if isinstance(e, ast.Ellipsis)]
    shape = list(value.shape)
    if dots:
        need(len(shape) >= len(entries) - 1, f"{what} has too few axes")
        covered = shape[dots[0] : len(shape) - (len(entries) - 1 - dots[0])]
        if frame.body.dots:
            need(len(frame.body.dots[0]) == len(covered), "... stands for other axes")
            for a, b in zip(frame.body.dots[0], covered, strict=True):
                equal(a, b, "...")
        else:
            frame.body.dots.append(tuple(covered))
        shape = [*shape[: dots[0]], *shape[dots[0] + len(covered) :]]
        entries = tuple(e for e in entries if not isinstance(e, ast.Ellipsis))
    need(len(shape) == len(entries), f"{what} has other axes")
    for entry, actual in zip(entries, shape, strict=True):
        equal(dimension(entry, frame, actual), actual, what)
    return value


def _in(statement: Any, frame: Frame) -> None:
    body = frame.body
    need(body.kind != "fn", "a fn's inputs are its parameters")
    target = isinstance(statement, ast.Target)
    for declared in statement.names:
        if statement.condition is not None and not truth(evaluate(statement.condition, frame)):
            need(body.given.get(declared.name) is None or body.kind == "model", f"{declared.name} is not taken here")
            frame.bind(declared.name, None)
            continue

        def make(inner: Frame, keys: tuple[Any, ...], name: str = declared.name) -> Tensor:
            return _input(name, (*frame.members(), *keys), statement, inner, target)

        frame.bind(declared.name, family(declared.binders, (), frame, make))


def _input(name: str, keys: tuple[Any, ...], statement: Any, frame: Frame, target: bool) -> Tensor:
    body = frame.body
    label = ".".join([name, *map(str, keys)])
    for other, task in body.inputs:
        need((other, task) != (label, frame.task), f"{label} is declared twice")
    body.inputs.append((label, frame.task))
    if body.kind == "model":
        dtype, entries = tensor_axes(statement.type, frame)
        need(not any(isinstance(e, ast.Ellipsis) for e in entries), "a model's border names its axes")
        shape = [dimension(e, frame, None) for e in entries]
        made = frame.body.world.make(label, dtype, shape, statement, frame, target)
        made.alone = declares_alone(entries, frame)
        return made
    value = body.given.get(name)
    for key in keys:
        need(isinstance(value, Family) and key in value.members, f"{name} lacks {key}")
        value = value.members[key]
    need(not isinstance(value, Family), f"{name} is a family")
    need(value is not None, f"{name} is not given")
    need(not isinstance(value, Empty), "a state holds nothing")
    if body.apart and isinstance(value, Tensor):
        value = body.world.stranger(value, statement.type, frame)
    found = fit(value, statement.type, frame, name)
    frame.body.world.border(statement, found, frame)
    return found


def _draw(statement: ast.Draw, frame: Frame) -> None:
    need(frame.body.kind != "fn", "a fn draws nothing")
    for declared in statement.names:
        frame.bind(declared.name, family(declared.binders, (), frame, lambda inner, keys, d=declared: _drawn(d.name, keys, statement, inner)))


def _drawn(name: str, keys: tuple[Any, ...], statement: ast.Draw, frame: Frame) -> Tensor:
    given = frame.body.given.get(name) if frame.body.kind == "block" else None
    if given is not None:
        for key in keys:
            given = given.members[key]
        return fit(given, statement.type, frame, name)
    dtype, entries = tensor_axes(statement.type, frame)
    shape = [dimension(e, frame, None, allow=False) for e in entries]
    return frame.body.world.draw(dtype, shape, statement.distribution, frame)


def _state(statement: ast.State, frame: Frame) -> None:
    need(frame.body.kind != "fn", "a fn keeps nothing")
    need(isinstance(statement.initial, ast.Name) and statement.initial.id == "empty", "a state starts empty")
    dtype, entries = tensor_axes(statement.type, frame)
    for entry in entries:
        if isinstance(entry, ast.Name) and fresh(entry.id, frame):
            root(frame).names[entry.id] = Late(frame.body.world.size_of(entry.id)) if frame.body.world.cached else 0

    def make(inner: Frame, keys: tuple[Any, ...]) -> Empty:
        return Empty(tuple(dimension(e, inner, None, allow=False) for e in entries), dtype, frame.body.world.cached)

    frame.bind(statement.name.name, family(statement.name.binders, (), frame, make))


def _out(statement: ast.Out, frame: Frame) -> None:
    if statement.type is not None:
        raise Wrong("only an extern block declares what comes out")
    if statement.value is None:
        values = [frame.find(d.name) for d in statement.names]
        need(all(v is not MISSING and not isinstance(v, Steps) for v in values), "an output is not defined")
    else:
        value = evaluate(statement.value, frame)
        values = [value] if len(statement.names) == 1 else spread(value, len(statement.names))
    for declared, value in zip(statement.names, values, strict=True):
        _enter(declared.name, value, frame)
        if statement.value is not None and frame.owner(declared.name) is None:
            frame.bind(declared.name, value)


def _tensors(value: Any) -> bool:
    return all(map(_tensors, value.members.values())) if isinstance(value, Family) else isinstance(value, Tensor)


def scope_members(frame: Frame) -> list[tuple[Set, Any]]:
    """Return the loops between a statement and its task or block."""
    found = []
    for level in frame.chain():
        if level.kind == "task":
            break
        if level.loop is not None:
            found.append((level.loop.set, level.member))
    return found[::-1]


def _enter(name: str, value: Any, frame: Frame) -> None:
    need(_tensors(value), f"{name} can't be an output")
    outs = frame.body.world.outs(frame)
    members = scope_members(frame)
    if not members:
        need(name not in outs, f"the output {name} is declared twice")
        outs[name] = value
        return
    level = outs.setdefault(name, Family(members[0][0], {}))
    for depth, (_, member) in enumerate(members):
        need(isinstance(level, Family), f"the output {name} is declared twice")
        if depth == len(members) - 1:
            need(member not in level.members, f"the output {name} is declared twice")
            level.members[member] = value
        else:
            level = level.members.setdefault(member, Family(members[depth + 1][0], {}))


# --------------------------------------------------------------------------------------------------- losses, tasks, facts


def _loss(statement: ast.Loss, frame: Frame) -> None:
    need(frame.body.kind != "fn", "a fn has no losses")
    if frame.body.world.cached:
        return
    value = evaluate(statement.value, frame)
    if is_number(value) and value == 0:
        return
    need(isinstance(value, Tensor) and value.dim() == 0 and value.dtype.is_floating_point, "a loss is one number")
    path = ".".join([*([frame.task] if frame.task else []), statement.name, *(_text(m) for _, m in scope_members(frame))])
    need(path not in frame.body.losses, f"the loss {path} is declared twice")
    frame.body.made.lost.add(statement.name)
    frame.body.losses[path] = (value, frame.task)
    frame.body.parts[path] = (((statement.name, tuple(m for _, m in scope_members(frame))),), ())
    if frame.owner(statement.name) is None:
        frame.bind(statement.name, value)


def _update(statement: ast.Update, frame: Frame) -> None:
    need(frame.body.kind != "fn", "a fn keeps nothing")
    path = path_of(statement.name, frame.members(), frame)
    buffer: Any = frame.body.made.own.get(path)
    need(buffer is not None and buffer.buffer, f"{statement.name} is no buffer")
    value = evaluate(statement.value, frame)
    if is_number(value):
        value = torch.full(buffer.shape, float(value), dtype=buffer.dtype) if buffer.dim() == 0 else value
    need(isinstance(value, Tensor) and value.dtype == buffer.dtype and value.dim() == buffer.dim(), "a buffer keeps its type")
    for a, b in zip(value.shape, buffer.shape, strict=True):
        equal(a, b, "a buffer keeps its type")
    need(path not in frame.body.updated, "a buffer is updated twice")
    frame.body.updated.add(path)


def _task(statement: ast.Task, frame: Frame) -> None:
    body = frame.body
    need(body.kind == "model", "a task stands in a model")
    bound = frame.find(statement.name)
    name = str(bound.key) if isinstance(bound, Member) else statement.name
    need(frame.task is None and name not in body.tasks, f"the task {name} stands twice")
    inner = frame.child("task")
    inner.task = name
    body.tasks[name] = inner
    run(statement.body, inner)


def _require(statement: ast.Require, frame: Frame) -> None:
    value = stated(statement.condition, frame)
    if isinstance(value, Late):
        need(isinstance(value.value, bool), "a size is no condition")
        if not value.value:
            if frame.body.kind == "model":
                raise Outside(statement.span.text)
            raise Wrong("a requirement isn't met", "run")
        return
    need(truth(value), "a requirement isn't met")


def _later(statement: Any, frame: Frame) -> None:
    frame.body.claims.append((statement, frame))


RUNNERS.update({
    ast.In: _in, ast.Target: _in, ast.Draw: _draw, ast.State: _state, ast.Out: _out, ast.Loss: _loss, ast.Update: _update, ast.Task: _task,
    ast.Require: _require, ast.Assert: _later, ast.Freeze: _later, ast.Tie: _later, ast.Renamed: _later, ast.Entry: _later,
    ast.Reserved: lambda s, f: need(False, "reserved"),
})  # fmt: skip
