"""Running statements: each reports its own error and poisons what it would have bound, so that all errors are found in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ast
from ..limits import exceeded
from ..parse.pythonisms import ALONE, walk
from ..program import Member
from ..source import Span
from . import statics
from .arguments import check_maps
from .births import bear, declare
from .bound import assigned, bind_empty, bound_names, introduced, note_absent, note_below
from .bulk import check_parts
from .context import WIDTH, Poisoned, Problem, fail, too_deep, too_long
from .expressions import evaluate, evaluate_whole, lookup
from .fitting import looped, of_operand
from .indexing import member_key
from .literals import members, unpack
from .replicate import LEAST, Copier, Mark, carried, is_repeatable
from .scope import Frame, Loop, close_loop
from .values import Chain, Declared, Family, IndexSet, Record, Tensor, Unborn, Value, describe, is_list, is_map, place

Runner = Callable[[Any, Frame], None]

WORDS = {
    "loss": "loss NAME = ...", "out": "out NAME = ...", "target": "target NAME: int[B]", "draw": "draw NAME: float[B] ~ normal(0, 1)",
    "state": "state NAME: float[B, P, d] = empty", "index": "index NAME = {a, b}", "task": "task NAME { ... }", "update": "update NAME = ...",
    "freeze": "freeze NAME", "require": "require CONDITION", "assert": "assert FACT", "tie": "tie a.weight, b.weight",
    "entry": "entry NAME { ... }", "repeat": "repeat i in 0..n { ... }", "renamed": "renamed old -> new",
}  # fmt: skip
"""Words of statements that a value could be bound to by mistake, with the statement meant."""


def run(statements: Sequence[ast.Statement], frame: Frame) -> None:
    """Run statements in order; raises Poisoned where a limit was reached."""
    context = frame.builder.context
    for statement in statements:
        if context.spent.exhausted:
            frame.builder.poisoned = True
            raise Poisoned
        try:
            context.step(statement.span, 1 + (statement.span.end - statement.span.start) // WIDTH)
            RUNNERS[type(statement)](statement, frame)
        except Problem as problem:
            context.report(of_operand(problem, statement, frame).diagnostic)
            _poison(statement, frame)
        except OverflowError as error:
            context.report(too_long(error, statement.span))
            _poison(statement, frame)
        except RecursionError:
            context.report(too_deep(statement.span))
            _poison(statement, frame)
        except Poisoned:
            _poison(statement, frame)


def _poison(statement: ast.Statement, frame: Frame) -> None:
    frame.builder.poisoned = True
    for name in (*bound_names(statement), *(size for size in introduced(statement) if frame.owner(size) is None)):
        frame.poison(name)


# ----------------------------------------------------------------------------------------------------- assignment


def _assign(statement: ast.Assign, frame: Frame) -> None:
    goals = statement.goals
    if len(goals) == 1:
        _one(goals[0], statement.value, frame)
        return
    if isinstance(statement.value, ast.Tuple):
        if len(statement.value.items) != len(goals):
            message = f"{len(goals)} names on the left, {len(statement.value.items)} values on the right"
            fail("A215", message, statement.span, "write one value for each name")
        made = [evaluate(item, frame) for item in statement.value.items]
        for goal, value in zip(goals, made, strict=True):
            _store(goal, value, frame)
        return
    for goal, value in zip(goals, spread(evaluate(statement.value, frame), len(goals), statement.value.span), strict=True):
        _store(goal, value, frame)


def spread(value: Value, count: int, span: Span) -> list[Value]:
    """Return the parts of a record, list or family that several names take."""
    if isinstance(value, Record):
        parts = list(value.fields.values())
    elif isinstance(value, Family):
        parts = list(value.members.values())
    elif is_list(value):
        parts = list(value)
    else:
        help = "cut a tensor with `chunk(x, n, dim)` or `unbind(x, dim)`; several results, a list and a family can be given to several names"
        fail("A215", f"{describe(value)} can't be given to {count} names", span, help)
    if len(parts) != count:
        fail("A215", f"{count} names on the left, {len(parts)} values on the right", span, "write one name for each value")
    return parts


def _one(goal: ast.Goal, node: ast.Expr, frame: Frame) -> None:
    binders = [item for item in goal.items if isinstance(item, ast.Binder)]
    if binders:
        _bound_family(goal, binders, node, frame)
        return
    builder = frame.builder
    builder.slot = goal.name if not goal.items else None
    try:
        value = evaluate_whole(node, frame) if isinstance(node, ast.Name) else evaluate(node, frame)
    finally:
        builder.slot = None
    if isinstance(node, ast.Name) and isinstance(value, Family) and value.loop_born:
        value = evaluate(node, frame)  # reports that a family is read whole as `x[*]`
    _store(goal, value, frame)


def _store(goal: ast.Goal, value: Value, frame: Frame) -> None:
    if goal.items:
        _store_member(goal, value, frame)
        return
    value = named(value, goal.name, frame, goal.span)
    frame.bind(goal.name, value, goal.span)
    if goal.name in WORDS:
        frame.builder.words.setdefault(goal.name, goal.span)
    _note(value, goal.name, frame)


def named(value: Value, name: str, frame: Frame, span: Span, extra: tuple[Member, ...] = ()) -> Value:
    """Return what a value becomes under a name: blocks become modules, declarations parameters, words of sets get their name."""
    if isinstance(value, (Unborn, Chain)):
        return bear(value, name, frame, span, extra)
    if isinstance(value, Declared):
        return declare(value, name, frame, span, extra)
    if is_list(value) and any(isinstance(v, (Unborn, Chain, Declared)) for v in value):
        fail("A108", "blocks in a list have no names of their own", span, "make each with `name[i in set] = ...`")
    return value


def _note(value: Value, name: str, frame: Frame) -> None:
    """Give a fresh node the name that the text gives its value."""
    if isinstance(value, Tensor):
        node = frame.builder.body.nodes[value.ref.node]
        node.name = node.name or name


def _store_member(goal: ast.Goal, value: Value, frame: Frame) -> None:
    """Write `x[t] = value`: one member of a family that exists."""
    family = frame.find(goal.name)
    if not isinstance(family, Family):
        if family is None:
            help = f"bind `{goal.name}` in the loop, or write `{goal.name}[i in set] = ...`"
            fail("A102", f"`{goal.name}` is not defined, so it has no members to write", goal.span, help)
        fail(
            "A417",
            f"`{goal.name}` is {describe(family)}, and only members of families can be written",
            goal.span,
            "bind the changed value to a new name",
        )
    key, path = _keys(goal, family, frame)
    replaced = _replaced(family, path, value)
    _check_own(goal, key, frame)
    home = frame.owner(goal.name)
    crossing = _loops_between(frame, home)
    for loop_frame in crossing:
        loop = loop_frame.loop
        assert loop is not None
        if loop_frame.kind == "repeat" and goal.name not in loop.carry:
            carry = ", ".join([*sorted(loop.carry), goal.name])
            fail(
                "A401",
                f"`{goal.name}` is bound before the loop and changed inside, but not carried",
                goal.span,
                f"write `carry {carry}` before the brace",
            )
    assert home is not None
    home.names[goal.name] = replaced


def _keys(goal: ast.Goal, family: Family, frame: Frame) -> tuple[ast.Expr, list[Member]]:
    path: list[Member] = []
    level: Value = family
    for item in goal.items:
        if not isinstance(level, Family) or isinstance(item, ast.Binder):
            help = "a tensor's entries can't be written: build the tensor with `where` or `concat`"
            fail("A417", f"`{goal.name}` has fewer loops around it than this index has entries", goal.span, help)
        own = isinstance(item, ast.Name) and place(level.set.declared, item.id) is not None
        key = member_key(item, None if own else evaluate(item, frame), level.set, frame)
        path.append(key)
        level = level.members.get(key)
    first = goal.items[0]
    assert not isinstance(first, ast.Binder)
    return first, path


def _replaced(family: Family, path: list[Member], value: Value) -> Family:
    if len(path) == 1:
        return family.replaced(path[0], value)
    inner = family.members[path[0]]
    return family.replaced(path[0], _replaced(inner, path[1:], value))


def _check_own(goal: ast.Goal, key: ast.Expr, frame: Frame) -> None:
    """In a `for`, only this step's own member may be written."""
    home = frame.owner(goal.name)
    for loop_frame in _loops_between(frame, home):
        if loop_frame.kind != "for":
            continue
        loop = loop_frame.loop
        assert loop is not None
        names = {n for item in goal.items if isinstance(item, ast.Name) for n in (item.id,)}
        if not names & set(loop.names):
            help = f"write `{goal.name}[{loop.names[0]}] = ...`; steps of a `for` are independent"
            fail("A402", f"this `for` may only write its own member of `{goal.name}`", key.span, help)


def _loops_between(frame: Frame, home: Frame | None) -> list[Frame]:
    found: list[Frame] = []
    walk: Frame | None = frame
    while walk is not None and walk is not home:
        if walk.loop is not None:
            found.append(walk)
        walk = walk.parent
    return found


def _bound_family(goal: ast.Goal, binders: list[ast.Binder], node: ast.Expr, frame: Frame) -> None:
    """Run `head[c in chains] = e`: one value for each member."""
    if len(binders) != len(goal.items):
        fail("A417", "binders and members can't be mixed on the left", goal.span, "write `x[i in a, j in b] = ...`")
    frame.bind(goal.name, _family(goal.name, binders, (), node, frame, goal.span), goal.span)


def _family(name: str, binders: Sequence[ast.Binder], keys: tuple[Member, ...], node: ast.Expr, frame: Frame, span: Span) -> Value:
    if not binders:
        return named(evaluate(node, frame), name, frame, span, keys)
    set_ = statics.as_set(evaluate_whole(binders[0].set, frame), binders[0].set.span)
    members: dict[Member, Value] = {}
    for member in set_:
        inner = frame.child("comprehension")
        inner.names[binders[0].name] = member
        members[member.key] = _family(name, binders[1:], (*keys, member.key), node, inner, span)
    if not members:
        frame.builder.body.absent.setdefault(name, set()).add(assigned(node))
        note_below(node, frame)
    return Family(set_, members, name)


# --------------------------------------------------------------------------------------------------------- loops


def _loop_set(value: Value, node: ast.Expr) -> tuple[IndexSet, list[Value]]:
    """Return the set of a loop and what its variable is in each step."""
    if isinstance(value, IndexSet):
        return value, list(value)
    if is_map(value):
        keys = IndexSet.of(node.span.text, tuple(value))
        return keys, list(keys)
    items = statics.elements(value, node.span)
    plain = all(isinstance(v, (int, str, float)) and not isinstance(v, bool) for v in items)
    if plain and len(set(items)) == len(items):
        named_set = IndexSet.of(node.span.text, tuple(items))
        return named_set, list(named_set)
    return IndexSet.of(node.span.text, tuple(range(len(items)))), items


def _for(statement: ast.For, frame: Frame) -> None:
    _loop("for", statement.names, statement, frozenset(), statement.condition, frame)


def _repeat(statement: ast.Repeat, frame: Frame) -> None:
    for name in statement.carry:
        if frame.find(name.id) is None:
            help = f"bind `{name.id}` before the loop; a value that needs no start is read as `{name.id}[{statement.name} - 1]`"
            fail("A416", f"`{name.id}` is carried but not bound before the loop", name.span, help)
    _loop("repeat", (statement.name,), statement, frozenset(n.id for n in statement.carry), None, frame)


def _loop(
    kind: Any, names: tuple[str, ...], statement: ast.For | ast.Repeat, carry: frozenset[str], condition: ast.Expr | None, frame: Frame
) -> None:
    set_, values = _loop_set(looped(statement.set, frame), statement.set)
    once = frame.builder.context.files.once
    loop = Loop(set_, names, carry, writes=once(_writes, statement))
    copier: Copier | None = None
    before: Mark | None = None
    ran = False
    for key, value in zip(set_.members, values, strict=True):
        if copier is not None:
            bound = copier.copy(key)
        else:
            last, before = before, Mark.of(frame.builder, carried(frame, loop)) if len(values) >= LEAST else None
            loop.varied = False
            inner = frame.child(kind, loop, key)
            unpack(names, value, inner, statement)
            if condition is not None and not statics.truth(evaluate(condition, inner), condition.span):
                continue
            ran = True
            run(statement.body, inner)
            bound = {name: found for name, found in inner.names.items() if name not in names}
            if last is not None and before is not None and is_repeatable(frame, loop, last, before):
                copier = Copier(frame, loop, before, inner)
        for name, found in bound.items():
            loop.born.setdefault(name, {})[key] = found
    _check_carried(statement, loop, frame)
    close_loop(frame, loop)
    if not ran:
        note_absent(statement.body, frame)
    bind_empty(statement.body, loop, frame)


def _writes(statement: ast.For | ast.Repeat) -> frozenset[str]:
    """Return the families whose members a loop writes."""
    goals = (goal for inner in statement.body for part in walk(inner) if isinstance(part, ast.Assign) for goal in part.goals)
    return frozenset(goal.name for goal in goals if goal.items and not isinstance(goal.items[0], ast.Binder))


def _binds(statement: ast.For | ast.Repeat) -> dict[str, None]:
    """Return the names that the steps of a loop bind, in order."""
    return dict.fromkeys(bound_names(statement))


def _check_carried(statement: ast.For | ast.Repeat, loop: Loop, frame: Frame) -> None:
    if isinstance(statement, ast.Repeat) and loop.set.members:
        for name in statement.carry:
            if name.id not in frame.builder.context.files.once(_binds, statement):
                help = "leave it out of `carry`: names from outside can be read without it"
                fail("A418", f"`{name.id}` is carried but never rebound in the loop", name.span, help)


def _if(statement: ast.If, frame: Frame) -> None:
    value = evaluate(statement.condition, frame)
    if isinstance(value, Tensor):
        fail("A207", "a condition must be static, not a tensor", statement.condition.span, "choose between tensors with `where(condition, a, b)`")
    then, otherwise = statement.then, statement.otherwise or ()
    chosen, other = (then, otherwise) if statics.truth(value, statement.condition.span) else (otherwise, then)
    if other:
        from .unreached import check_arm  # which reads what statements bind

        check_arm(other, frame)
        note_absent(other, frame)
    run(chosen, frame)


def _index_set(statement: ast.IndexSet, frame: Frame) -> None:
    name, binders = statement.name.name, statement.name.binders
    if binders:
        frame.bind(name, _set_family(name, binders, statement.value, frame), statement.name.span)
        return
    found = _named_set(name, members(statement.value, frame), statement.value.span, frame)
    frame.bind(name, found, statement.name.span)
    check_maps(name, found, frame)


def _named_set(name: str, value: Value, span: Span, frame: Frame) -> IndexSet:
    found = statics.as_set(value, span, name)
    if len(found) > frame.builder.context.limits.members:
        most = frame.builder.context.limits.members
        message = f"`{name}` has {len(found):,} members, more than {most:,}"
        raise Problem(exceeded("members", message, span, "an index set is unrolled: use a tensor dimension instead"))
    return IndexSet(name, found.members, found.members if isinstance(value, (dict, list, tuple)) else found.declared, found.parts)


def _set_family(name: str, binders: Sequence[ast.Binder], node: ast.Expr, frame: Frame) -> Family:
    set_ = statics.as_set(evaluate_whole(binders[0].set, frame), binders[0].set.span)
    members: dict[Member, Value] = {}
    for member in set_:
        inner = frame.child("comprehension")
        inner.names[binders[0].name] = member
        inner.names[name] = Family(set_, dict(members), name)  # earlier members may be read: sets built level by level
        members[member.key] = (
            _set_family(name, binders[1:], node, inner)
            if len(binders) > 1
            else _named_set(f"{name}[{member.key}]", evaluate_whole(node, inner), node.span, frame)
        )
    return Family(set_, members, name)


def _bare(statement: ast.Bare, frame: Frame) -> None:
    if isinstance(statement.value, ast.String):
        return
    if isinstance(statement.value, ast.Call) and isinstance(statement.value.function, ast.Name):
        lookup(statement.value.function, frame)  # that it is unknown is the better thing to say
    text = statement.span.text
    help = f"write `name = {text}` or `out y = {text}`"
    if isinstance(statement.value, ast.Name):
        help = ALONE.get(statement.value.id, help)
    elif isinstance(statement.value, ast.Binary) and statement.value.op == "==":
        help = f"a value is given with one `=`, `{statement.value.left.span.text} = ...`; a claim is `assert {text}`"
    fail("A112", f"`{text}` does nothing: its value is not bound", statement.span, help)


def _reserved(statement: ast.Reserved, frame: Frame) -> None:
    fail("A901", f"`{statement.what}` is reserved and not available yet", statement.span, "see `archloom explain A901` for what to write instead")


RUNNERS: dict[type, Runner] = {
    ast.Assign: _assign, ast.For: _for, ast.Repeat: _repeat, ast.If: _if, ast.IndexSet: _index_set, ast.Bare: _bare, ast.Reserved: _reserved,
}  # fmt: skip
"""What each statement does; declarations and facts are added by their own files."""

FINISHERS: list[Callable[[Frame, Any], None]] = []


def finish(frame: Frame, item: Any) -> None:
    """Do what waits for the whole body: asserted facts, words bound by mistake, outputs."""
    check_parts(frame.builder.body, frame.builder.context, item.span)
    for finisher in FINISHERS:
        finisher(frame, item)
