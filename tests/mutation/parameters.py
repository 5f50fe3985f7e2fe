# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's parameters of blocks: what each declared type takes."""

from __future__ import annotations

from typing import Any

from archloom.dsl import ast

from .arithmetic import as_set, is_number, truth
from .checks import need
from .conversions import Start
from .expressions import arm, evaluate, look_up, loosely
from .scopes import Frame, Steps
from .values import Choice, Family, Made, Maker, Set, now, plain, whole


def typed(type_: Any, node: Any, frame: Frame) -> Any:
    """Evaluate an argument whose type says how a bare word is meant."""
    if isinstance(type_, ast.EnumType) and isinstance(node, ast.Ternary):
        return typed(type_, arm(node, frame), frame)
    if isinstance(type_, ast.EnumType) and isinstance(node, ast.Name):
        words = tuple(m.id for m in type_.members)
        if node.id in words:
            return Choice(node.id, words)
        need(frame.owner(node.id) is not None, f"{node.id} is no choice")
    if isinstance(node, ast.SetLiteral) and not node.items and isinstance(type_, ast.TypeRef) and type_.name == "map":
        return {}
    if isinstance(node, ast.Name):
        value = look_up(node, frame)
        if isinstance(value, Steps):
            assert value.frame.loop is not None
            need(value.frame.kind != "for", "another step's")
            return Family(value.frame.loop.set, dict(value.frame.loop.born[node.id]))
        return value
    return evaluate(node, frame)


def checked(value: Any, type_: Any, frame: Frame, what: str) -> Any:
    """Return a value as a parameter's declared type."""
    if isinstance(type_, ast.EnumType):
        words = tuple(m.id for m in type_.members)
        word = plain(value)
        need(isinstance(word, str) and word in words, f"{what} is no choice")
        return Choice(word, words)
    if isinstance(type_, ast.TypeChoice):
        return checked(value, type_.then if truth(evaluate(type_.condition, frame)) else type_.otherwise, frame, what)
    if value is None:
        return None
    need(type_.name in TYPES, f"no parameter type {type_.name}")
    need(type_.arguments is None or type_.name in ("list", "map", "set"), f"{type_.name}[] is no parameter type")
    return TYPES[type_.name](value, type_, frame, what)


def _of_int(value: Any, type_: Any, frame: Frame, what: str) -> int:
    return len(value.members) if isinstance(value, Set) else whole(value, what)


def _of_float(value: Any, type_: Any, frame: Frame, what: str) -> Any:
    value = now(value, what)
    need(is_number(value), f"{what} is no number")
    return value


def _element(node: Any) -> Any:
    if isinstance(node, ast.Name):
        return ast.TypeRef(node.span, node.id, None)
    if isinstance(node, ast.Index) and isinstance(node.object, ast.Name):
        return ast.TypeRef(node.span, node.object.id, node.items)
    need(isinstance(node, (ast.TypeRef, ast.EnumType, ast.TypeChoice)), "no type")
    return node


def _of_list(value: Any, type_: Any, frame: Frame, what: str) -> list[Any]:
    if isinstance(value, Set):
        value = list(value.members)
    need(isinstance(value, (list, tuple)), f"{what} is no list")
    return [checked(v, _element(type_.arguments[0]), frame, what) for v in value] if type_.arguments else list(value)


def _of_map(value: Any, type_: Any, frame: Frame, what: str) -> dict[Any, Any]:
    value = dict(value.members) if isinstance(value, Family) else value
    need(isinstance(value, dict), f"{what} is no map")
    if not type_.arguments:
        return value
    keys = type_.arguments[0]
    if isinstance(keys, ast.Name) and frame.owner(keys.id) is None and keys.id in ("str", "int"):
        need(all(isinstance(k, str if keys.id == "str" else int) for k in value), "other keys")
    elif isinstance(keys, ast.Name) and frame.owner(keys.id) is None:
        frame.body.maps.append((keys.id, tuple(value)))
    else:
        need(set(as_set(loosely(keys, frame)).members) == set(value), f"{what} has other keys")
    return {k: checked(v, _element(type_.arguments[1]), frame, what) for k, v in value.items()} if len(type_.arguments) > 1 else dict(value)


def _only(*kinds: type) -> Any:
    def check(value: Any, type_: Any, frame: Frame, what: str) -> Any:
        need(isinstance(value, kinds), f"{what} is of the wrong kind")
        return value

    return check


def _of_block(value: Any, type_: Any, frame: Frame, what: str) -> Any:
    if isinstance(value, Made) and value.path is None and value.maker.name != "Sequential":
        return Maker(value.maker.name, value.maker.file, value.maker.tree, tuple(value.arguments.items()), value.maker.leaf, ())
    need(isinstance(value, Maker), f"{what} is no block")
    return value


def _of_fn(value: Any, type_: Any, frame: Frame, what: str) -> Any:
    need(isinstance(value, Maker) or (isinstance(value, Made) and value.path is None), f"{what} is no operation")
    return value


def _of_module(value: Any, type_: Any, frame: Frame, what: str) -> Any:
    need(isinstance(value, Made) and value.path is not None, f"{what} is no module")
    return value


def _of_set(value: Any, type_: Any, frame: Frame, what: str) -> Set:
    return as_set(value)


TYPES = {
    "int": _of_int, "float": _of_float, "bool": _only(bool), "str": _only(str), "list": _of_list, "map": _of_map, "index": _of_set, "set": _of_set,
    "block": _of_block, "fn": _of_fn, "module": _of_module, "dtype": _only(Maker), "init": _only(Start, int, float),
}  # fmt: skip
