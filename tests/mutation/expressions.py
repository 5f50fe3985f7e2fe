# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's reading of expressions: static values as they are, tensors by plain calls of torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from torch import Tensor

from archloom.dsl import ast

from .arithmetic import binary, elements, key, truth
from .scopes import MISSING, Frame, Steps, sets
from .values import Choice, Family, Late, Member, Set, Wrong, number, plain, tidy, whole

INFIX = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floor_divide", "%": "remainder", "**": "pow", "@": "matmul",
    "&": "bitwise_and", "|": "bitwise_or", "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
}  # fmt: skip


def evaluate(node: Any, frame: Frame) -> Any:
    """Return the value of an expression; a family that a loop has bound can't stand bare."""
    handler = HANDLERS.get(type(node))
    if handler is None:
        raise Wrong(f"{type(node).__name__} stands where it means nothing")
    frame.body.world.touch(node.span)
    value = handler(node, frame)
    if isinstance(node, ast.Name):
        if isinstance(value, Steps):
            raise Wrong(f"{node.id} is not bound yet in this step")
        if isinstance(value, Family) and value.loop:
            raise Wrong(f"{node.id} is a family")
    return value


def loosely(node: Any, frame: Frame) -> Any:
    """Evaluate where a family may stand bare."""
    if isinstance(node, ast.Name):
        frame.body.world.touch(node.span)
        value = look_up(node, frame)
        return steps(value) if isinstance(value, Steps) else value
    return evaluate(node, frame)


def steps(value: Steps) -> Family:
    raise Wrong("steps without a name") if value.frame.loop is None else Wrong("another step's")


# --------------------------------------------------------------------------------------------------------------- names


def look_up(node: ast.Name, frame: Frame, items: Sequence[Any] = ()) -> Any:
    name = node.id
    found = frame.find(name)
    if found is not MISSING:
        words = {i.id for i in items if isinstance(i, ast.Name)}
        for level in frame.chain():
            if name in level.names:
                break
            if level.kind == "for" and level.loop is not None and name in level.loop.written and not words & set(level.loop.names):
                raise Wrong(f"a for writes its own member of {name}")
        return found
    owners = [s for s in sets(frame) if name in s.members]
    if len({s.declared for s in owners}) > 1:
        raise Wrong(f"{name} is a member of several sets")
    if owners:
        return Member(name, owners[0])
    found = frame.body.world.item(frame.body.file, name)
    if found is not MISSING:
        return found
    if name == "training":
        frame.body.world.modal = True
        return frame.body.world.training
    if name in frame.body.tasks:
        return frame.body.tasks[name]
    raise Wrong(f"{name} is not defined")


def _is_word(node: Any, frame: Frame) -> bool:
    return isinstance(node, ast.Name) and frame.owner(node.id) is None


# ------------------------------------------------------------------------------------------------------------ operators


def operate(frame: Frame, name: str, *values: Any) -> Any:
    """Apply an operation to values in the order of its arguments."""
    return frame.body.world.apply(name, dict(zip(frame.body.world.names(name), values, strict=False)), frame)


def _binary(node: ast.Binary, frame: Frame) -> Any:
    if node.op in ("and", "or"):
        return _logic(node, frame)
    if node.op in ("==", "!=", "in", "not in"):
        chosen = _of_choice(node, frame)
        if chosen is not None:
            return chosen
    left, right = _sides(node, frame)
    if node.op in ("==", "!=") and (left is None or right is None):
        return (left is right) is (node.op == "==")
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        if node.op not in INFIX:
            raise Wrong(f"{node.op} of tensors")
        return operate(frame, INFIX[node.op], left, right)
    if any(isinstance(v, Family) for v in (left, right)) and node.op not in ("in", "not in"):
        raise Wrong(f"{node.op} of a family")
    return binary(node.op, left, right)


def _sides(node: ast.Binary, frame: Frame) -> tuple[Any, Any]:
    if node.op in ("==", "!=", "in", "not in"):
        if _is_word(node.left, frame):
            right = evaluate(node.right, frame)
            return _beside(node.left, right, frame), right
        if _is_word(node.right, frame):
            left = evaluate(node.left, frame)
            return left, _beside(node.right, left, frame)
    return evaluate(node.left, frame), evaluate(node.right, frame)


def _beside(node: Any, other: Any, frame: Frame) -> Any:
    home = other.set if isinstance(other, Member) else other
    if isinstance(home, Set):
        owner = next((s for s in (home, *sets(frame)) if node.id in s.declared), None)
        if owner is not None:
            return Member(node.id, owner)
    return evaluate(node, frame)


def _of_choice(node: ast.Binary, frame: Frame) -> bool | None:
    for side, other in ((node.left, node.right), (node.right, node.left)):
        value = frame.find(side.id) if isinstance(side, ast.Name) and frame.owner(side.id) is not None else None
        if isinstance(value, Choice):
            if node.op in ("==", "!="):
                return (value.word == _word(value, other, frame)) is (node.op == "==")
            if isinstance(other, (ast.SetLiteral, ast.List)) and side is node.left:
                return (value.word in [_word(value, item, frame) for item in other.items]) is (node.op == "in")
    return None


def _word(value: Choice, node: Any, frame: Frame) -> str:
    if isinstance(node, ast.Name) and node.id in value.words:
        return node.id
    if isinstance(node, ast.Name) and frame.owner(node.id) is None:
        raise Wrong(f"{node.id} is not one of the choices")
    other = evaluate(node, frame)
    if not isinstance(other, (Choice, Member)):
        raise Wrong(f"{other!r} is not one of the choices")
    return str(plain(other))


def _logic(node: ast.Binary, frame: Frame) -> bool:
    left = evaluate(node.left, frame)
    if isinstance(left, Late) and isinstance(left.value, bool):
        if node.op == "or":
            raise Wrong("a size decides an `or`")
        right = evaluate(node.right, frame)
        return Late(left.value and (right.value if isinstance(right, Late) else truth(right)))
    if truth(left) is (node.op == "or"):
        return node.op == "or"
    right = evaluate(node.right, frame)
    return right if isinstance(right, Late) else truth(right)


def _unary(node: ast.Unary, frame: Frame) -> Any:
    value = evaluate(node.operand, frame)
    if isinstance(value, Tensor):
        if node.op == "not":
            raise Wrong("not of a tensor")
        return operate(frame, "neg" if node.op == "-" else "bitwise_not", value)
    if node.op == "not":
        return not truth(value)
    if node.op == "~":
        raise Wrong("~ of a static value")
    return binary("-", 0, value)


def arm(node: ast.Ternary, frame: Frame) -> Any:
    """Return the arm that a condition chooses; the other's names are looked at."""
    condition = evaluate(node.condition, frame)
    if isinstance(condition, Tensor):
        raise Wrong("a condition is a tensor")
    chosen, other = (node.then, node.otherwise) if truth(condition) else (node.otherwise, node.then)
    frame.body.world.untaken(other, frame)
    return chosen


# ------------------------------------------------------------------------------------------------------------- literals


def _range(node: ast.Range, frame: Frame) -> Set:
    if node.start is None or node.stop is None:
        raise Wrong("an open range")
    start, stop = whole(evaluate(node.start, frame), "a range"), whole(evaluate(node.stop, frame), "a range") + node.inclusive
    if stop < start:
        raise Wrong("a range runs backwards")
    if stop - start > 100_000:
        raise Wrong("a range is too long")
    return Set.of(tuple(range(start, stop)))


def runs(name: str, frame: Frame) -> bool:
    """Tell whether a name is the variable of a loop or clause around."""
    home = frame.owner(name)
    return home is not None and (home.kind == "clause" or (home.loop is not None and name in home.loop.names))


def literal_member(node: Any, frame: Frame) -> Any:
    """Return a member of a literal set or a key of a map: a bare word is itself unless a loop runs over it."""
    if isinstance(node, ast.Name):
        return key(frame.find(node.id)) if runs(node.id, frame) else node.id
    if isinstance(node, ast.Tuple):
        return tuple(literal_member(item, frame) for item in node.items)
    value = evaluate(node, frame)
    return key(value) if isinstance(value, (Member, list, tuple)) else tidy(number(value))


def _key(node: Any, frame: Frame) -> Any:
    """Return a key of a map."""
    found = literal_member(node, frame)
    if not _is_key(found):
        raise Wrong("is no key")
    return found


def _is_key(value: Any) -> bool:
    return all(map(_is_key, value)) if isinstance(value, tuple) else isinstance(value, (int, str, float, Fraction))


def _map(node: ast.MapLiteral, frame: Frame) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value in node.items:
        member = _key(key_node, frame)
        if member in found:
            raise Wrong(f"the key {member} stands twice")
        found[member] = evaluate(value, frame)
    return found


def clauses(items: Sequence[ast.Clause], frame: Frame) -> list[Frame]:
    """Return a frame for each step of a comprehension."""
    frames = [frame]
    for clause in items:
        following: list[Frame] = []
        for outer in frames:
            for value in elements(loosely(clause.iterable, outer)):
                inner = outer.child("clause")
                unpack(clause.names, value, inner)
                if clause.condition is None or truth(evaluate(clause.condition, inner)):
                    following.append(inner)
        frames = following
    return frames


def unpack(names: Sequence[str], value: Any, frame: Frame) -> None:
    if len(names) == 1:
        frame.names[names[0]] = value
        return
    parts = plain(value)
    if not isinstance(parts, (list, tuple)) or len(parts) != len(names):
        raise Wrong(f"{parts!r} is unpacked into {len(names)} names")
    frame.names.update(zip(names, parts, strict=True))


def _comprehension(node: ast.Comprehension, frame: Frame) -> Any:
    if node.where is not None:
        raise Wrong("where stands in a sum")
    inner = clauses(node.clauses, frame)
    if node.kind == "map":
        return {_key(node.element, f): evaluate(node.value, f) for f in inner}
    if node.kind == "set":
        return Set.of(tuple(dict.fromkeys(_key(node.element, f) for f in inner)))
    return [evaluate(node.element, f) for f in inner]


HANDLERS: dict[type, Callable[[Any, Frame], Any]] = {
    ast.Name: look_up, ast.Number: lambda n, f: n.value, ast.String: lambda n, f: n.value, ast.Constant: lambda n, f: n.value,
    ast.Binary: _binary, ast.Unary: _unary, ast.Ternary: lambda n, f: evaluate(arm(n, f), f), ast.Range: _range,
    ast.List: lambda n, f: [evaluate(i, f) for i in n.items], ast.Tuple: lambda n, f: tuple(evaluate(i, f) for i in n.items),
    ast.SetLiteral: lambda n, f: Set.of(tuple(literal_member(i, f) for i in n.items)), ast.MapLiteral: _map,
    ast.Comprehension: _comprehension,
}  # fmt: skip
