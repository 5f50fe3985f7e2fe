"""Statements that declare the border of a body: inputs, targets, draws, states, outputs, losses, tasks, entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ast
from ..members import member_text
from ..parse.gaps import NAME
from ..program import InputDecl, LossDecl, Member, NodeKind, OutputDecl, Ref, UpdateDecl
from ..types import DType, TensorType
from . import statics
from .births import path_of
from .bound import members_in_scope, outs_of
from .context import Poisoned, fail
from .expressions import SPECIAL, evaluate, evaluate_whole
from .inputs import Pattern, refuse_new, settle, tensor_type
from .roles import distribution, role, value_range
from .scope import Frame
from .statements import RUNNERS, run, spread
from .values import Family, IndexSet, LiveState, MemberOf, TaskScope, Tensor, Value, describe

# --------------------------------------------------------------------------------------------------------- inputs


def _in(statement: ast.In, frame: Frame) -> None:
    _inputs(statement.names, statement, frame, is_target=False)


def _target(statement: ast.Target, frame: Frame) -> None:
    _inputs(statement.names, statement, frame, is_target=True)


def _inputs(names: Sequence[ast.Declared], statement: ast.In | ast.Target, frame: Frame, is_target: bool) -> None:
    frame.builder.owner("`in` or `target`", statement.span)
    for declared in names:
        if statement.condition is not None and not _present(declared, statement.condition, frame):
            frame.bind(declared.name, None, declared.span)
            frame.builder.body.absent.setdefault(declared.name, set()).add("input")
            continue
        value = family_of(declared.binders, (), frame, lambda inner, keys, d=declared: _input(d, keys, statement, inner, is_target), declared)
        frame.bind(declared.name, value, declared.span)


def _present(declared: ast.Declared, condition: ast.Expr, frame: Frame) -> bool:
    value = evaluate(condition, frame)
    return statics.truth(value, condition.span)


def family_of(
    binders: Sequence[ast.Binder], keys: tuple[Member, ...], frame: Frame, make: Callable[[Frame, tuple[Member, ...]], Value], declared: ast.Declared
) -> Value:
    if not binders:
        return make(frame, keys)
    set_ = statics.as_set(evaluate_whole(binders[0].set, frame), binders[0].set.span)
    members: dict[Member, Value] = {}
    for member in set_:
        inner = frame.child("comprehension")
        inner.names[binders[0].name] = member
        members[member.key] = family_of(binders[1:], (*keys, member.key), inner, make, declared)
    return Family(set_, members, declared.name)


def _input(declared: ast.Declared, keys: tuple[Member, ...], statement: ast.In | ast.Target, frame: Frame, is_target: bool) -> Value:
    builder = frame.builder
    members = (*frame.members(), *keys)
    key = ".".join([declared.name, *map(str, members)])
    given: Pattern | None = None
    if builder.given is not None:
        given = builder.given.get(key)
        if given is None and not builder.model:
            given = (DType.FLOAT, tuple(None for _ in _plain_axes(statement.type)))
    stated = builder.overrides.get(declared.name, statement)
    type_ = tensor_type(stated.type, frame, given, declared.name)
    if (key, frame.task) in builder.declared:
        fail("A105", f"the input `{key}` is declared twice", declared.span, "rename one of them")
    builder.declared.add((key, frame.task))
    number = builder.node(NodeKind.INPUT, key, {}, {}, (type_,), declared.span)
    what = role(stated.role, type_, frame) if isinstance(stated, ast.In) and stated.role is not None else None
    bounds = value_range(stated.range, type_, frame) if stated.range is not None else None
    builder.body.inputs.append(InputDecl(declared.name, members, type_, number, declared.span, what, bounds, frame.task, is_target))
    return builder.tensor(number)


def _plain_axes(node: ast.Type) -> Sequence[Any]:
    return node.arguments or () if isinstance(node, ast.TypeRef) else ()


def _given(node: ast.Call, frame: Frame) -> bool:
    """`given(mask)`: whether the caller hands in this optional input; a model's border always does."""
    if len(node.arguments) != 1 or not isinstance(node.arguments[0].value, ast.Name):
        fail("A202", "`given` takes the name of one input", node.span, "write `in mask: bool[B, S] if given(mask)`")
    builder = frame.builder
    if builder.given is None:
        return True
    name = node.arguments[0].value.id
    return any(key == name or key.startswith(f"{name}.") for key in builder.given)


SPECIAL["given"] = _given


# ---------------------------------------------------------------------------------------------------------- draws


def _draw(statement: ast.Draw, frame: Frame) -> None:
    frame.builder.owner("draws", statement.span)
    for declared in statement.names:
        value = family_of(declared.binders, (), frame, lambda inner, keys, d=declared: _one_draw(d, keys, statement, inner), declared)
        frame.bind(declared.name, value, declared.span)


def _one_draw(declared: ast.Declared, keys: tuple[Member, ...], statement: ast.Draw, frame: Frame) -> Value:
    builder = frame.builder
    key = ".".join([declared.name, *map(str, (*frame.members(), *keys))])
    given = builder.given.get(key) if builder.given is not None else None
    refuse_new(statement.type, frame)
    type_ = tensor_type(statement.type, frame, given, declared.name)
    for size in type_.shape:
        settle(builder, lambda rule, size=size: rule.at_least(size, 0, f"a size of `{declared.name}`"), declared.span)
    attributes = {"distribution": distribution(statement.distribution, type_, frame)}
    number = builder.node(NodeKind.DRAW, key, {}, attributes, (type_,), declared.span)
    members = (*frame.members(), *keys)
    builder.body.inputs.append(InputDecl(declared.name, members, type_, number, declared.span, None, None, frame.task, False, optional=True))
    return builder.tensor(number)


# -------------------------------------------------------------------------------------------------------- outputs


def _out(statement: ast.Out, frame: Frame) -> None:
    if statement.type is not None:
        if not isinstance(frame.builder.context.active[-1][1], ast.ExternBlock):
            name = statement.names[0].name
            message = f"the output `{name}` is declared by its type alone, as only those of an `extern block` are"
            fail("A504", message, statement.span, f"say what it is: `out {name} = ...`, or declare a `target`")
        _extern_out(statement, frame)
        return
    if statement.value is None:
        values = [existing(declared, frame) for declared in statement.names]
    else:
        value = evaluate(statement.value, frame)
        values = [value] if len(statement.names) == 1 else spread(value, len(statement.names), statement.value.span)
    for declared, value in zip(statement.names, values, strict=True):
        _one_out(declared, value, frame, bind_name=statement.value is not None)


def existing(declared: ast.Declared, frame: Frame) -> Value:
    """Return the value that `out y` gives."""
    value = frame.find(declared.name)
    if value is None:
        fail("A102", f"`{declared.name}` is not defined, so it can't be an `out`", declared.span, f"write `out {declared.name} = ...`")
    return value


def _one_out(declared: ast.Declared, value: Value, frame: Frame, bind_name: bool) -> None:
    builder = frame.builder
    if not isinstance(value, (Tensor, Family, LiveState)):
        help = "name the results that you mean: `out y = r.y`" if hasattr(value, "fields") else "an output is a tensor or a family of tensors"
        fail("A504", f"`{declared.name}` can't be an output: it is {describe(value)}", declared.span, help)
    if isinstance(value, LiveState):
        value = value.tensor
    members = members_in_scope(frame)
    _enter(outs_of(frame), declared, members, value, frame)
    for keys, tensor in _tensors(value, declared, ()):
        if builder.inline:
            continue  # a result of a `fn` is a value of its caller
        builder.body.outputs.append(OutputDecl(declared.name, (*(m for _, m in members), *keys), tensor.ref, declared.span, frame.task, None))
    if bind_name and frame.owner(declared.name) is None:
        frame.bind(declared.name, value, declared.span)


def _enter(outs: dict[str, Value], declared: ast.Declared, members: list[tuple[IndexSet, Member]], value: Value, frame: Frame) -> None:
    """Put an output into the record of its scope, as a family member when a loop is around."""
    if not members:
        if declared.name in outs:
            fail("A105", f"the output `{declared.name}` is declared twice", declared.span, "rename one of them")
        outs[declared.name] = value
        return
    level = outs.setdefault(declared.name, Family(members[0][0], {}, declared.name))
    for depth, (_, member) in enumerate(members):
        if not isinstance(level, Family):
            fail("A105", f"the output `{declared.name}` is declared twice", declared.span, "rename one of them")
        if depth == len(members) - 1:
            if member in level.members:
                fail("A105", f"the output `{declared.name}` is declared twice for `{member}`", declared.span, "rename one of them")
            level.members[member] = value
        else:
            level = level.members.setdefault(member, Family(members[depth + 1][0], {}, declared.name))


def _tensors(value: Value, declared: ast.Declared, keys: tuple[Member, ...]) -> list[tuple[tuple[Member, ...], Tensor]]:
    if isinstance(value, Tensor):
        return [(keys, value)]
    if isinstance(value, Family):
        return [found for key, member in value.members.items() for found in _tensors(member, declared, (*keys, key))]
    fail("A504", f"`{declared.name}` can't be an output: it holds {describe(value)}", declared.span, "an output is a tensor or a family of tensors")


def _extern_out(statement: ast.Out, frame: Frame) -> None:
    """`out y: float[B]` of an extern block: its type is declared, its value comes from the wrapped module."""
    builder = frame.builder
    assert statement.type is not None
    for declared in statement.names:
        refuse_new(statement.type, frame)
        type_ = tensor_type(statement.type, frame, None, declared.name)
        number = builder.node(NodeKind.EXTERN, declared.name, {i.key: Ref(i.node) for i in builder.body.inputs}, {}, (type_,), declared.span)
        _one_out(declared, builder.tensor(number), frame, bind_name=True)


# --------------------------------------------------------------------------------------------------------- losses


def _loss(statement: ast.Loss, frame: Frame) -> None:
    frame.builder.body.differs_in_entries = True
    if frame.builder.context.entry is not None:
        return  # an entry is called for its outputs, and its inputs may be shorter than the targets
    frame.builder.owner("losses", statement.span)
    weight = _leading(statement.value, frame)
    value = evaluate(statement.value, frame)
    if statics.is_number(value) and value == 0:  # a sum over an empty family: with other arguments it is a loss
        frame.builder.body.absent.setdefault(statement.name, set()).add("loss")
        return
    if not isinstance(value, Tensor):
        fail("A505", f"the loss `{statement.name}` must be a scalar tensor, not {describe(value)}", statement.value.span, "reduce it: `mean(...)`")
    if value.type.rank != 0 or not value.type.dtype.is_float:
        fail(
            "A505",
            f"the loss `{statement.name}` must be a scalar float, not `{value.type}`",
            statement.value.span,
            "reduce it: `mean(...)` or `sum(...)`",
        )
    path = ".".join([*([frame.task] if frame.task else []), statement.name, *(member_text(m) for _, m in members_in_scope(frame))])
    if not frame.builder.is_new("loss", path):
        fail("A105", f"the loss `{path}` is declared twice", statement.span, "rename one of them")
    frame.builder.body.losses.append(LossDecl(path, value.ref, weight, statement.span, frame.task))
    if frame.owner(statement.name) is None:
        frame.bind(statement.name, value, statement.span)


def _leading(node: ast.Expr, frame: Frame) -> float:
    """Return the leading static factor of `0.5 * expr`."""
    while isinstance(node, ast.Binary) and node.op == "*":
        if not isinstance(node.left, ast.Binary):
            value = _static_factor(node.left, frame)
            return float(value) if value is not None else 1.0
        node = node.left
    return 1.0


def _static_factor(node: ast.Expr, frame: Frame) -> Any:
    if isinstance(node, (ast.Number, ast.Name, ast.Unary, ast.Attribute)):
        value = statics.number(evaluate_whole(node, frame)) if not isinstance(node, ast.Attribute) else None
        return value if statics.is_number(value) else None
    return None


def _update(statement: ast.Update, frame: Frame) -> None:
    frame.builder.owner("buffers", statement.span)
    body = frame.builder.body
    path = path_of(statement.name, frame.members(), statement.span)
    declared = body.parameters.get(path)
    if declared is None or not declared.buffer:
        fail(
            "A506", f"`{statement.name}` is no buffer of this block", statement.span, f"declare it: `{statement.name} = Buffer([...], init = zeros)`"
        )
    value = evaluate(statement.value, frame)
    if statics.is_number(value):
        value = frame.builder.constant(value, declared.dtype, statement.value.span)
    if not isinstance(value, Tensor) or value.type != TensorType(declared.dtype, declared.shape):
        message = f"`{statement.name}` is `{TensorType(declared.dtype, declared.shape)}`, its next value is {describe(value)}"
        fail("A506", message, statement.value.span, "a buffer keeps its type")
    if not frame.builder.is_new("update", path):
        fail("A105", f"`{path}` is updated twice", statement.span, "write its next value once")
    body.updates.append(UpdateDecl(path, value.ref, statement.span))


# ------------------------------------------------------------------------------------------------ tasks and entries


def _task(statement: ast.Task, frame: Frame) -> None:
    builder = frame.builder
    if not builder.model:
        fail(
            "A507",
            "a `task` stands in a model, not in a block",
            statement.span,
            "let the block return its value by `out`, and declare the task in the model",
        )
    bound = frame.find(statement.name)
    key = bound.key if isinstance(bound, MemberOf) else None
    name = str(key) if key is not None else statement.name
    if frame.task is not None:
        fail("A507", f"the task `{name}` stands inside the task `{frame.task}`", statement.span, "tasks stand beside each other")
    if name in builder.tasks:
        fail("A105", f"the task `{name}` is declared twice", statement.span, "a task is written once")
    inner = frame.child("task")
    inner.task = name
    builder.tasks[name] = TaskScope(name, inner.names, statement.span)
    run(statement.body, inner)


def _entry(statement: ast.Entry, frame: Frame) -> None:
    if not frame.builder.is_new("entry", statement.name):
        fail("A105", f"the entry `{statement.name}` is declared twice", statement.span, "rename one of them")
    frame.builder.entries.append(statement)


def _broken(statement: ast.Broken, frame: Frame) -> None:
    """What it binds and reads is unknown: no error may come of that."""
    frame.builder.read.update(NAME.findall(statement.span.text))
    raise Poisoned


RUNNERS.update({
    ast.In: _in, ast.Target: _target, ast.Draw: _draw, ast.Out: _out, ast.Loss: _loss, ast.Update: _update, ast.Task: _task,
    ast.Entry: _entry, ast.Broken: _broken,
})  # fmt: skip
