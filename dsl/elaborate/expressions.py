"""Evaluation of expressions: static values stay static, tensors become nodes of the body at hand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from .. import ast
from ..limits import exceeded
from ..parse.pythonisms import WORDS
from ..source import Span
from ..types import DType
from . import statics
from .bulk import bounded, spend
from .context import Poisoned, Problem, fail, suggest
from .files import File
from .functions import CONSTANTS, FUNCTIONS
from .operations import operation
from .scope import UNSET, Earlier, Frame
from .values import (
    EnumValue,
    Family,
    Function,
    IndexSet,
    LiveState,
    MemberOf,
    Record,
    Template,
    Tensor,
    TypeWord,
    Value,
    describe,
    place,
)

DTYPES = {d.value: d for d in DType}


def evaluate(node: ast.Expr, frame: Frame) -> Value:
    """Return the value of an expression, appending the nodes it needs; raises Problem or Poisoned."""
    handler = _HANDLERS.get(type(node)) or _HANDLERS.get(type(node).__base__ or object)
    if handler is None:
        fail("A208", f"`{node.span.text}` can't stand here", node.span, "it belongs inside `[ ]` or in a selector")
    return handler(node, frame)


# ---------------------------------------------------------------------------------------------------------- names


def _name(node: ast.Name, frame: Frame) -> Value:
    value = lookup(node, frame)
    if isinstance(value, Earlier):
        loop = value.family.set.name
        step = f"or read an earlier step as `{node.id}[i - 1]` with the loop's variable"
        help = f"bind `{node.id}` before reading it here, {'or use a `repeat`' if value.independent else step}"
        fail("A403", f"`{node.id}` is not bound yet in this step of the loop over `{loop}`", node.span, help)
    if isinstance(value, Family) and value.loop_born:
        help = f"write `{node.id}[*]` for the whole family, or `{node.id}[i]` for one member"
        fail("A404", f"`{node.id}` is a family over `{value.set.name}` here, not one value", node.span, help)
    return value


def lookup(node: ast.Name, frame: Frame, items: Sequence[ast.Expr] = ()) -> Value:
    """Return what a name stands for, families and not-yet-bound names of a loop included; `items` are the index that it is read by."""
    value = frame.find(node.id)
    if value is not None:
        writer = frame.writer(node.id, items) if frame.parent is not None else None
        if writer is not None:
            help = f"steps of a `for` are independent: read `{node.id}[{writer.names[0]}]`, or write the changed members under a new name"
            fail("A402", f"this `for` writes its own member of `{node.id}`, so it can't read those of other steps", node.span, help)
        return None if value is UNSET else value
    for finder in (_member, _item, _builtin, _task):
        value = finder(node, frame)
        if value is not None:
            return value
    if frame.file.brings(node.id):
        raise Poisoned
    fail("A102", *undefined(node, lambda: visible(frame), frame))


def stands(node: ast.Name, frame: Frame) -> bool:
    """Tell whether a name stands for anything; what was meant is not asked, which takes longer, and no definition is evaluated."""
    file = frame.file
    if frame.find(node.id) is not None or node.id in file.imports or frame.builder.context.files.find(file, node.id) is not None:
        return True
    return file.brings(node.id) or any(finder(node, frame) is not None for finder in (_member, _builtin, _task))


def undefined(node: ast.Name, known: Callable[[], Iterable[str]], frame: Frame) -> tuple[str, Span, str | None]:
    """Return the message, place and help for a name that stands for nothing; `known` gives the names that may have been meant."""
    offered = " or ".join(f"`import {name}`" for name in frame.builder.context.library.offers(node.id))
    help = WORDS.get(node.id) or (f"the library has it: write {offered}" if offered else _hint(node.id))
    plain = len(node.id) == 1 or node.id in WORDS or offered
    return f"`{node.id}` is not defined", node.span, help if plain else suggest(node.id, known(), help)


def _hint(name: str) -> str:
    if len(name) == 1 and name.isupper():
        return f"a dimension is introduced by a type in `in`, `target` or `state`, for instance `in x: float[B, {name}]`"
    return "bind it above, make it a parameter, or import it"


def visible(frame: Frame) -> set[str]:
    """Return all names that an expression in `frame` could mean."""
    names: set[str] = set(FUNCTIONS) | set(frame.builder.context.library.primitive_names()) | set(frame.file.items) | set(frame.file.imports)
    walk: Frame | None = frame
    while walk is not None:
        names |= set(walk.names)
        walk = walk.parent
    return names


def sets_in_scope(frame: Frame) -> list[IndexSet]:
    """Return the index sets whose members may be written bare, innermost first."""
    found: list[IndexSet] = []
    walk: Frame | None = frame
    while walk is not None:
        found.extend(walk.names.sets.values())
        walk = walk.parent
    return found


def _member(node: ast.Name, frame: Frame) -> Value:
    owners = [s for s in sets_in_scope(frame) if place(s.members, node.id) is not None]
    if not owners:
        return None
    declared = {s.declared for s in owners}
    if len(declared) > 1:
        options = ", ".join(f"`{n}.{node.id}`" for n in dict.fromkeys(s.name for s in owners))
        fail("A410", f"`{node.id}` is a member of several index sets", node.span, f"say which: {options}")
    return MemberOf(owners[0], node.id)


def _item(node: ast.Name, frame: Frame) -> Value:
    found = frame.builder.context.files.find(frame.file, node.id)
    if found is None:
        if node.id in frame.file.imports:
            primitive = frame.builder.context.library.primitive(frame.file.imports[node.id][1].name)
            return None if primitive is None else _primitive(primitive)
        return None
    file, item = found
    if isinstance(item, (ast.Block, ast.Model, ast.ExternBlock)):
        return Template(item.name, file, item, None)
    if isinstance(item, (ast.Fn, ast.ExternFn)):
        return Function(item.name, None, file, item)
    if isinstance(item, ast.Definition):
        return _definition(item, file, frame)
    if isinstance(item, ast.Transform):
        fail("A901", f"`transform {item.name}` is reserved and not available yet", item.span, "do this step in Python for now")
    return None


def _definition(item: ast.Definition, file: File, frame: Frame) -> Value:
    """Return the static value of a definition, evaluated once."""
    builder, context = frame.builder, frame.builder.context
    key = (id(item), context.training)
    found = context.memo.get(key)
    if found is None:
        if len(context.active) >= context.limits.blocks:
            message = f"more than {context.limits.blocks} definitions and blocks are made of each other"
            raise Problem(exceeded("blocks", message, item.span, "compute with fewer names", "A805"))
        if any(at is item for _, at in context.active):
            fail("A905", f"`{item.name}` is defined by itself", item.span, "a definition is computed from what stands above it")
        before, builder.body.uses_training = builder.body.uses_training, False
        context.enter(item.name, item)
        try:
            value = evaluate(item.value, Frame("block", builder, file))
        finally:
            context.active.pop()
            uses, builder.body.uses_training = builder.body.uses_training, builder.body.uses_training or before
        if isinstance(value, (Tensor, Record)):
            fail("A203", f"`{item.name}` is a static value for the whole file, not {describe(value)}", item.value.span, "compute it in a block")
        found = context.memo[key] = (value, uses)
    builder.body.uses_training = builder.body.uses_training or found[1]
    return found[0]


def _primitive(primitive: Any) -> Value:
    if primitive.is_leaf:
        return Template(primitive.name, None, None, primitive)
    return Function(primitive.name, primitive)


def _builtin(node: ast.Name, frame: Frame) -> Value:
    if node.id == "training":
        frame.builder.body.uses_training = True
        return frame.builder.context.training
    if node.id in CONSTANTS:
        return CONSTANTS[node.id]
    primitive = frame.builder.context.library.primitive(node.id)
    if primitive is not None:
        return _primitive(primitive)
    if node.id in FUNCTIONS or node.id in SPECIAL:
        return Function(node.id)
    if node.id in DTYPES:
        return TypeWord(node.id)
    if node.id in frame.builder.context.library.initialisers():
        return Function(node.id)
    return None


SPECIAL: dict[str, Callable[..., Value]] = {}
"""Forms that look like calls and need more than values: `Parameter`, `Sequential`, `params` and so on (filled by their modules)."""


def _task(node: ast.Name, frame: Frame) -> Value:
    return frame.builder.tasks.get(node.id)


# ------------------------------------------------------------------------------------------------------ operators

OPERATORS = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floor_divide", "%": "remainder", "**": "pow", "@": "matmul",
    "&": "bitwise_and", "|": "bitwise_or", "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
}  # fmt: skip


def _binary(node: ast.Binary, frame: Frame) -> Value:
    if node.op in ("and", "or"):
        return _logic(node, frame)
    if node.op in ("==", "!=", "in", "not in"):
        found = of_enum(node, frame)
        if found is not None:
            return found
    return combined(node, *sides(node, frame), frame)


def combined(node: ast.Binary, left: Value, right: Value, frame: Frame) -> Value:
    """Apply the operator of a node to the values of its sides."""
    if left.__class__ is int and right.__class__ is int and node.op in statics.WHOLE:
        return statics.whole(node.op, left, right, node.span)
    if node.op in ("==", "!=") and (left is None or right is None):
        return (left is right) is (node.op == "==")  # whether an optional input is there
    if isinstance(left, (Tensor, LiveState)) or isinstance(right, (Tensor, LiveState)):
        name = OPERATORS.get(node.op)
        if name is None:
            fail("A203", f"`{node.op}` does not take tensors", node.span, "use `&`, `|`, `~` between tensors of bool")
        return operation(frame, name, (left, right), node.span)
    for value in (left, right):
        if isinstance(value, Family) and node.op not in ("in", "not in"):
            help = f"operators do not lift over families: write `for m in {value.set.name} {{ ... }}`"
            fail("A411", f"`{node.op}` does not take {describe(value)}", node.span, help)
    spend(frame.builder.context, node.span, left, right)
    return bounded(statics.binary(node.op, left, right, node.span), frame.builder.context, node.span)


def sides(node: ast.Binary, frame: Frame) -> tuple[Value, Value]:
    """Evaluate both sides; a word that is compared with a member, or looked for in a set, is first of all a member of that set."""
    if node.op in ("==", "!=", "in", "not in"):
        if _is_word(node.left, frame):
            right = evaluate(node.right, frame)
            return _beside(node.left, right, frame), right
        if _is_word(node.right, frame):
            left = evaluate(node.left, frame)
            return left, _beside(node.right, left, frame)
    return evaluate(node.left, frame), evaluate(node.right, frame)


def _is_word(node: ast.Expr, frame: Frame) -> bool:
    return isinstance(node, ast.Name) and frame.owner(node.id) is None


def _beside(node: ast.Expr, other: Value, frame: Frame) -> Value:
    set_ = other.set if isinstance(other, MemberOf) else other
    if isinstance(node, ast.Name) and isinstance(set_, IndexSet):
        owner = next((s for s in (set_, *sets_in_scope(frame)) if place(s.declared, node.id) is not None), None)
        if owner is not None:
            return MemberOf(owner, node.id)
    return evaluate(node, frame)


def of_enum(node: ast.Binary, frame: Frame) -> bool | None:
    """Compare an enum's value with its choices, written as bare words; None where neither side is one."""
    for side, other in ((node.left, node.right), (node.right, node.left)):
        value = frame.find(side.id) if isinstance(side, ast.Name) and frame.owner(side.id) is not None else None
        if isinstance(value, EnumValue):
            if node.op in ("==", "!="):
                return (value.name == _choice(value, other, frame)) is (node.op == "==")
            if isinstance(other, (ast.SetLiteral, ast.List)) and side is node.left:
                return (value.name in [_choice(value, item, frame) for item in other.items]) is (node.op == "in")
    return None


def _choice(value: EnumValue, node: ast.Expr, frame: Frame) -> str:
    if isinstance(node, ast.Name) and node.id in value.choices:
        return node.id
    listed = f"they are {statics.listed(value.choices)}, without quotes"
    if isinstance(node, ast.Name) and frame.owner(node.id) is None:
        fail("A213", f"`{node.id}` is not one of the choices", node.span, suggest(node.id, value.choices, listed))
    other = evaluate(node, frame)
    word = other.name if isinstance(other, EnumValue) else other.key if isinstance(other, MemberOf) else None
    if word is None:
        fail("A213", f"{describe(other)} is not one of the choices", node.span, listed)
    return str(word)


def _logic(node: ast.Binary, frame: Frame) -> Value:
    left = evaluate(node.left, frame)
    if isinstance(left, Tensor):
        fail(
            "A203", f"`{node.op}` is for static facts, not tensors", node.span, f"write `{'&' if node.op == 'and' else '|'}` between tensors of bool"
        )
    if statics.truth(left, node.left.span) is (node.op == "or"):
        return node.op == "or"
    right = evaluate(node.right, frame)
    if isinstance(right, Tensor):
        fail(
            "A203", f"`{node.op}` is for static facts, not tensors", node.span, f"write `{'&' if node.op == 'and' else '|'}` between tensors of bool"
        )
    return statics.truth(right, node.right.span)


def _unary(node: ast.Unary, frame: Frame) -> Value:
    value = evaluate(node.operand, frame)
    if isinstance(value, Tensor):
        if node.op == "not":
            fail("A203", "`not` is for static facts, not tensors", node.span, "write `~x` for a tensor of bool")
        return operation(frame, "neg" if node.op == "-" else "bitwise_not", (value,), node.span)
    if node.op == "not":
        return not statics.truth(value, node.operand.span)
    if node.op == "~":
        fail("A203", f"`~` needs a tensor of bool, not {describe(value)}", node.span, "write `not` for static facts")
    return statics.binary("-", 0, value, node.span)


def _ternary(node: ast.Ternary, frame: Frame) -> Value:
    return evaluate(chosen_arm(node, frame), frame)


def chosen_arm(node: ast.Ternary, frame: Frame, known: Collection[str] = ()) -> ast.Expr:
    """Return the arm that the condition chooses; names in the other that nothing could bind are reported, unless they are `known`."""
    condition = evaluate(node.condition, frame)
    if isinstance(condition, Tensor):
        fail("A207", "a condition must be static, not a tensor", node.condition.span, "choose between tensors with `where(condition, a, b)`")
    chosen, other = (node.then, node.otherwise) if statics.truth(condition, node.condition.span) else (node.otherwise, node.then)
    from .unreached import check_arm  # which reads what statements bind

    check_arm((other,), frame, known)
    return chosen


# ------------------------------------------------------------------------------------------------------- families


def evaluate_whole(node: ast.Expr, frame: Frame) -> Value:
    """Evaluate where a family may stand bare: as the thing that is run over or indexed."""
    if isinstance(node, ast.Name):
        value = lookup(node, frame)
        return earlier(value, node) if isinstance(value, Earlier) else value
    return evaluate(node, frame)


def earlier(value: Earlier, node: ast.Name) -> Family:
    """Return what the steps of a `repeat` before this one have bound to a name."""
    if value.independent:
        help = f"bind `{node.id}` before reading it here, or hand it from step to step in a `repeat`"
        fail("A402", f"`{node.id}` is another step's, and the steps of a `for` are independent", node.span, help)
    return value.family


_HANDLERS: dict[type, Callable[[Any, Frame], Value]] = {
    ast.Name: _name, ast.Number: lambda n, f: n.value, ast.String: lambda n, f: n.value, ast.Constant: lambda n, f: n.value, ast.Unary: _unary,
    ast.Binary: _binary, ast.Ternary: _ternary,
    ast.With: lambda n, f: fail("A901", "`with { ... }` is reserved and not available yet", n.span, "write the changed model out for now"),
}  # fmt: skip


def register(kind: type, handler: Callable[[Any, Frame], Value]) -> None:
    """Add the evaluation of one kind of node (literals, indexing and calls live in files of their own)."""
    _HANDLERS[kind] = handler
