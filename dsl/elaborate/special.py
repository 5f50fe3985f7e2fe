"""Forms that need more than the values of their arguments: families in and out, records, patterns, collected losses."""

from __future__ import annotations

from typing import Any

from .. import ast
from ..types import SetAxis, extent
from . import statics
from .arguments import Slot, bind
from .context import Poisoned, fail
from .expressions import SPECIAL, evaluate, evaluate_whole
from .indexing import retyped
from .operations import apply, operation
from .scope import Frame
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
    """`losses(**.balance)`: the block losses of all calls above that the selectors match, as a family."""
    body = frame.builder.body
    found: dict[Any, Value] = {}
    for argument in node.arguments:
        parts = _parts(argument.value)
        frame.builder.context.step(node.span, len(parts) * len(body.losses) // 8)
        for loss in body.losses:
            if _fits(parts, loss.path.split(".")):
                found[loss.path] = Tensor(loss.ref, body.type(loss.ref))
    if not found:
        if frame.builder.poisoned:
            raise Poisoned  # a call that failed may have had it
        paths = statics.listed([loss.path for loss in body.losses]) or "none"
        fail("A508", f"`{node.span.text}` matches no loss", node.span, f"losses above this line: {paths}")
    return Family(IndexSet.of("losses", tuple(found)), found, "losses")


def _parts(node: ast.Expr) -> list[str]:
    """Return the words of a selector of losses: `*` is one word of a path, `**` one or more, and `[]`, for an index, none or more."""
    if isinstance(node, ast.AnyPath):
        return ["**"]
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        part = node.part
        return [*_parts(node.object), part if isinstance(part, str) else "**" if isinstance(part, ast.AnyPath) else "*"]
    if isinstance(node, ast.Index):
        return [*_parts(node.object), "[]"]
    fail("A508", f"`{node.span.text}` is no selector of losses", node.span, "write a path, such as `**.balance`")


def _fits(parts: list[str], words: list[str]) -> bool:
    """Say whether a selector of losses matches a path; the time is the product of the lengths, whatever the selector."""
    ends = {0}  # how many words the parts so far may have taken
    for part in parts:
        if part in ("**", "[]"):
            ends = set(range(min(ends) + (part == "**"), len(words) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(words) and part in ("*", words[end])}
        if not ends:
            return False
    return len(words) in ends


def _grad(node: ast.Call, frame: Frame) -> Value:
    fail("A901", "`grad(loss, value)` is reserved and not available yet", node.span, "compute it in the training loop for now")


SPECIAL.update({"split": _split, "stack": _stack, "detach": _detach, "size": _size, "inverse": _inverse, "losses": _losses, "grad": _grad})
