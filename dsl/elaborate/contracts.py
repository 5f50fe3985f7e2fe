"""`assert a ignores b` and `assert a uses b`: claims about what depends on what, proved on the body at hand.

A claim about parts of tensors that paths between whole values leave open goes into the body, to be tested on values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from .. import ast
from ..inspector import Inspector
from ..program import Claim, ClaimPart, NodeKind, Ref
from ..record import record
from ..selectors import Miss
from ..source import Span
from .aside import aside
from .context import Problem, fail
from .expressions import evaluate_whole, sets_in_scope
from .scope import Frame
from .selecting import owned_tree, selector
from .templates import names
from .values import Family, LiveState, MemberOf, Module, ModuleChain, Record, Tensor, Value, describe, is_list


@record
class _Side:
    """What one side of a claim names: values of the body, and paths of modules and parameters; `items` index the one value or path."""

    node: ast.Expr
    values: tuple[Ref, ...]
    paths: tuple[str, ...]
    items: tuple[Any, ...]


def check_relation(statement: ast.Assert, frame: Frame) -> None:
    """Prove a claim, or keep it open; raises Problem where it is wrong, or where its sides name nothing that can depend on something."""
    assert statement.other is not None
    left, right = _side(statement.fact, frame), _side(statement.other, frame)
    if left.paths and not left.values:
        help = f"name a value on the left, such as an output: `assert y {statement.relation} {right.node.span.text}`"
        fail("A705", f"`{left.node.span.text}` is a module or parameter, not a value", left.node.span, help)
    for value in left.values:
        met = _met(value, right, frame)
        if left.items or right.items:
            _keep(statement, left, value, right, met, frame)
        elif (not met) is not (statement.relation == "ignores"):
            _broken(statement, left, value, right, met, frame)


def _keep(statement: ast.Assert, left: _Side, value: Ref, right: _Side, others: Sequence[Ref | str], frame: Frame) -> None:
    """Keep a claim about parts of tensors, unless no path leads from one side to the other."""
    if others:
        parts = tuple(ClaimPart(source, right.items, right.node.span) for source in others)
        for path in (source for source in others if isinstance(source, str)):
            _holds_tensors(path, right, frame)
        frame.builder.body.claims.append(Claim(statement.relation or "", ClaimPart(value, left.items, left.node.span), parts, statement.span))
    elif statement.relation == "uses":
        _broken(statement, left, value, right, (), frame)


def _holds_tensors(path: str, side: _Side, frame: Frame) -> None:
    """Require that a module has something that a test can change; what came as an argument is known to its maker."""
    if not path.startswith("@") and not any(f"{own.path}.".startswith(f"{path}.") for own in _inspector(frame).owned(frame.builder.body)):
        help = "name a value, such as what it gives"
        fail("A706", f"`{side.node.span.text}` has no parameters, so a claim about a part can't be tested on it", side.node.span, help)


def _mixing(value: Ref, source: Ref | str, other: str, statement: ast.Assert, frame: Frame) -> list[tuple[Span, str]]:
    """Label the lines by which a value comes to depend on what it should ignore."""
    spans = _inspector(frame).mixing(frame.builder.body, value, source)
    lines = {(span.source.name, span.line): span for span in reversed(spans) if span.line != statement.span.line}
    found = [*reversed(lines.values())][:3]
    return [(span, f"`{other}` comes in here" if place == 0 else "and goes on here") for place, span in enumerate(found)]


def _broken(statement: ast.Assert, left: _Side, value: Ref, right: _Side, met: Sequence[Ref | str], frame: Frame) -> NoReturn:
    """Say what a value depends on though it should not (`met`), or that it depends on nothing of the other side."""
    one, other = left.node.span.text, right.node.span.text
    labels = [(left.node.span, "this value"), (right.node.span, "depends on this" if met else "does not depend on this")]
    if not met:
        fail("A704", f"`{one}` does not use `{other}`", statement.span, "no path leads from one to the other: check what it is computed from", labels)
    labels += _mixing(value, met[0], other, statement, frame)
    steps = _inspector(frame).dependence(frame.builder.body, value, met[0]) or ()
    way = ", which reads ".join(steps if len(steps) <= 6 else [*steps[:3], f"{len(steps) - 5} more steps", *steps[-2:]])
    fail("A703", f"`{one}` does not ignore `{other}`", statement.span, f"it reads it by this way: {way}", labels)


def _met(value: Ref, source: _Side, frame: Frame) -> Sequence[Ref | str]:
    """Return what of the other side a value depends on."""
    sources = (*source.values, *source.paths)
    frame.builder.context.step(source.node.span, len(sources) + len(frame.builder.body.nodes) // 4)  # a walk over the body
    return _inspector(frame).met(frame.builder.body, value, sources)


def _inspector(frame: Frame) -> Inspector:
    inspector = frame.builder.context.inspector
    assert inspector is not None
    return inspector


# ---------------------------------------------------------------------------------------------------------- operands


def _side(node: ast.Expr, frame: Frame) -> _Side:
    """Return what a side names; a claim in loops is read once for each choice of the variables that the side reads."""
    sides = frame.builder.sides
    key = (id(node), _choice(node, frame))
    found = sides.get(key)
    if found is None:
        found = sides[key] = _read_side(node, frame)  # a node's id is its own as long as the side lives, which holds it
    return found


def _choice(node: ast.Expr, frame: Frame) -> tuple[object, ...]:
    """Return what tells apart the places where an expression of a whole body is read: its loops' variables, and whatever else is not the
    body's own."""
    found: list[object] = []
    for name in frame.builder.context.files.once(_names, node):
        walk: Frame = frame
        while name not in walk.names and walk.parent is not None:
            if walk.loop is not None and name in walk.loop.born:
                found.append(id(walk))
            walk = walk.parent
        value = walk.names.get(name)
        if value is None:
            found.extend(map(id, sets_in_scope(frame)))
        found.append((id(value.set), value.key) if isinstance(value, MemberOf) else id(walk))
    return tuple(found)


def _names(node: ast.Expr) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.id for name in names(node)))


def _read_side(node: ast.Expr, frame: Frame) -> _Side:
    with aside(frame):
        body = frame.builder.body
        mark = len(body.nodes)
        try:
            value, items = _evaluated(node, frame)
        except Problem as problem:
            return _Side(node, (), _paths(node, frame, problem), ())
        refs: list[Ref] = []
        paths: list[str] = []
        for leaf in _leaves(value, node):
            if isinstance(leaf, str):
                paths.append(leaf)
            elif body.nodes[leaf.node].kind is NodeKind.PARAMETER:
                paths.append(body.nodes[leaf.node].target)
            elif leaf.node >= mark:
                fail("A705", f"`{node.span.text}` is computed by the claim itself", node.span, "name a value of the model: bind it first, `y = ...`")
            else:
                refs.append(leaf)
    return _Side(node, tuple(refs), tuple(paths), items)


def _evaluated(node: ast.Expr, frame: Frame) -> tuple[Value, tuple[Any, ...]]:
    """Evaluate a side; a part of a tensor gives the whole tensor, and the entries of its index."""
    if isinstance(node, ast.Index):
        base = evaluate_whole(node.object, frame)
        if isinstance(base, (Tensor, LiveState)):
            part: Tensor = evaluate_whole(node, frame)
            if 0 in part.type.shape:
                fail("A706", f"`{node.span.text}` is empty, so nothing can be tested on it", node.span, "name at least one position")
            return base, tuple(frame.builder.body.nodes[part.ref.node].attributes["items"])
    return evaluate_whole(node, frame), ()


def _leaves(value: Value, node: ast.Expr) -> Iterator[Ref | str]:
    """Yield the values and the module paths that something holds."""
    if isinstance(value, Tensor):
        yield value.ref
    elif isinstance(value, LiveState):
        yield value.tensor.ref
    elif isinstance(value, (Module, ModuleChain)):
        yield value.path
    elif isinstance(value, (Family, Record)) or is_list(value):
        parts = value.members.values() if isinstance(value, Family) else value.fields.values() if isinstance(value, Record) else value
        for part in parts:
            yield from _leaves(part, node)
    else:
        fail("A705", f"`{node.span.text}` is {describe(value)}: nothing depends on it", node.span, "name a value, an input, a module or a parameter")


def _paths(node: ast.Expr, frame: Frame, problem: Problem) -> tuple[str, ...]:
    """Return the paths that a selector matches; where it is none, the problem of reading it as a value is what counts."""
    try:
        read = selector(node, frame)
    except Problem:
        raise problem from None
    tree = owned_tree(frame)
    found = tree.named_by(read)
    if isinstance(found, Miss):
        root = node
        while isinstance(root, (ast.Attribute, ast.Index)):
            root = root.object
        if isinstance(root, ast.Name) and root.id not in tree.root.level.named:
            raise problem
        fail("A705", found.message, found.span, found.help)
    return found
