"""Forms that need more than the values of their arguments: families in and out, records, patterns, collected losses."""

from __future__ import annotations

from typing import Any

from .. import ast
from ..selection import Tree
from ..types import SetAxis, extent
from .arguments import Slot, bind
from .context import Poisoned, Problem, fail
from .expressions import SPECIAL, evaluate, evaluate_whole
from .indexing import retyped
from .losses import loss_tree
from .operations import apply, operation
from .scope import Frame
from .selecting import selected
from .values import Family, IndexSet, Record, Tensor, Value, describe, is_list


def _split(node: ast.Call, frame: Frame) -> Value:
    """`split(x, T[*], dim)` and `split(x, tasks, dim)` give a family; by sizes or a number of parts, a list."""
    bound = bind("split", node.arguments, [Slot("x", True), Slot("sizes", True), Slot("dim", True)], node.span).given
    x = evaluate(bound["x"], frame)
    sizes = evaluate_whole(bound["sizes"], frame)
    dim = evaluate(bound["dim"], frame)
    given = {"x": x, "dim": dim}
    if isinstance(sizes, Family):
        parts = _plain_split(frame, {**given, "sizes": list(sizes.members.values())}, node)
        return Family(sizes.set, dict(zip(sizes.set.members, parts, strict=True)))
    if isinstance(sizes, IndexSet):
        parts = _plain_split(frame, {**given, "sizes": len(sizes)}, node)
        return Family(sizes, dict(zip(sizes.members, parts, strict=True)))
    return _plain_split(frame, {**given, "sizes": sizes}, node)


def _plain_split(frame: Frame, given: dict[str, Value], node: ast.Call) -> list[Value]:
    """Split into as many equal parts as a number says, or into parts of the listed sizes."""
    sizes = given["sizes"]
    name = "chunk" if isinstance(sizes, int) and not isinstance(sizes, bool) else "split"
    primitive = frame.builder.context.library.primitive(name)
    assert primitive is not None
    second = primitive.arguments[1].name
    value = apply(frame, primitive, {primitive.arguments[0].name: given["x"], second: sizes, "dim": given["dim"]}, node.span)
    return list(value) if is_list(value) else [value]


def _stack(node: ast.Call, frame: Frame) -> Value:
    """`stack(x[*], dim)`: the new axis of a family is its index set."""
    primitive = frame.builder.context.library.primitive("stack")
    assert primitive is not None
    names = [a.name for a in primitive.arguments]
    bound = bind("stack", node.arguments, [Slot(names[0], True, several=True), Slot("dim", False)], node.span).given
    family = evaluate(bound[names[0]], frame)
    dim = evaluate(bound["dim"], frame) if "dim" in bound else 0
    value = apply(frame, primitive, {names[0]: family, "dim": dim}, node.span)
    if isinstance(family, Family) and isinstance(value, Tensor) and isinstance(dim, int):
        shape = list(value.type.shape)
        shape[dim] = SetAxis(family.set.name, family.set.members)
        return retyped(value, tuple(shape), frame)
    return value


def _detach(node: ast.Call, frame: Frame) -> Value:
    """`detach(x)`: of a record or a family, each value in it."""
    if len(node.arguments) != 1:
        fail("A202", "`detach` takes one value", node.span)
    return _each(evaluate(node.arguments[0].value, frame), frame, node)


def _each(value: Value, frame: Frame, node: ast.Call) -> Value:
    if isinstance(value, Tensor):
        return operation(frame, "detach", (value,), node.span)
    if isinstance(value, Record):
        return Record({k: _each(v, frame, node) for k, v in value.fields.items()}, value.origin)
    if isinstance(value, Family):
        return Family(value.set, {k: _each(v, frame, node) for k, v in value.members.items()}, value.name)
    fail("A203", f"`detach` takes tensors, not {describe(value)}", node.span)


def _size(node: ast.Call, frame: Frame) -> Value:
    """`size(x, d)`: one size of a tensor, a number where it is known here."""
    bound = bind("size", node.arguments, [Slot("x", True), Slot("dim", True)], node.span).given
    x, dim = evaluate(bound["x"], frame), evaluate(bound["dim"], frame)
    if not isinstance(x, Tensor) or not isinstance(dim, int):
        fail("A203", "`size` takes a tensor and a dimension number", node.span, "write `size(x, 1)`; a set, list or family has `len(...)`")
    if not -x.type.rank <= dim < x.type.rank:
        fail("A304", f"`x` is `{x.type}` and has no dimension {dim}", bound["dim"].span, f"its dimensions are 0 to {x.type.rank - 1}")
    return extent(x.type.shape[dim])


def _inverse(node: ast.Call, frame: Frame) -> str:
    """`inverse("a b -> b a")`: the pattern with its sides swapped."""
    value = evaluate(node.arguments[0].value, frame) if len(node.arguments) == 1 else None
    if not isinstance(value, str) or value.count("->") != 1:
        fail("A203", "`inverse` takes a pattern with one `->`", node.span, 'write `inverse("b (h w) c -> b c h w")`')
    left, right = (side.strip() for side in value.split("->"))
    return f"{right} -> {left}"


def _losses(node: ast.Call, frame: Frame) -> Value:
    """`losses(**.balance)`: the losses declared above, and those of blocks called above, that the selectors match, as a family."""
    body = frame.builder.body
    tree = loss_tree(body, frame.builder.tasks)
    found: dict[Any, Value] = {}
    for argument in node.arguments:
        for number in sorted(_matching(argument.value, frame, tree)):
            loss = body.losses[number]
            found[loss.path] = Tensor(loss.ref, body.type(loss.ref))
    return Family(IndexSet.of("losses", tuple(found)), found, "losses")


def _matching(node: ast.Expr, frame: Frame, tree: Tree) -> frozenset[int]:
    try:
        return selected(node, frame, tree, "A508")
    except Problem:
        if frame.builder.poisoned:
            raise Poisoned from None  # a call that failed may have had it
        raise


def _grad(node: ast.Call, frame: Frame) -> Value:
    fail("A901", "`grad(loss, value)` is reserved and not available yet", node.span, "compute it in the training loop for now")


SPECIAL.update({"split": _split, "stack": _stack, "detach": _detach, "size": _size, "inverse": _inverse, "losses": _losses, "grad": _grad})
