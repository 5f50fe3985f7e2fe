# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""Forms that look like calls and need more than values: parameters, Sequential, splits into families, caches, counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from archloom.dsl import ast

from .alone import is_alone
from .calls import SPECIAL
from .checks import axis, equal, need
from .conversions import DTYPES, Slot, bind, initialiser, start_of
from .expressions import evaluate, loosely, operate
from .scopes import Frame
from .values import Family, Late, Made, Maker, Member, Result, Set, Unknown, Wrong, tidy


class Declared:
    """A parameter or buffer without a name."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, buffer: bool, alone: bool) -> None:
        self.shape, self.dtype, self.buffer, self.alone = shape, dtype, buffer, alone


class Empty:
    """A cache before a call: nothing yet in the plain forward, something of a known form in an entry."""

    def __init__(self, shape: tuple[Any, ...], dtype: torch.dtype, full: bool) -> None:
        self.shape, self.dtype, self.full = shape, dtype, full


def _declared(buffer: bool) -> Any:
    def make(node: ast.Call, frame: Frame) -> Declared:
        given, _ = bind(node.arguments, [Slot("shape", True), Slot("init", False, True), Slot("dtype", False, True)])
        sizes = evaluate(given["shape"], frame)
        shape = tuple(_fixed(s) for s in (sizes if isinstance(sizes, (list, tuple)) else [sizes]))
        dtype = torch.float64
        if "dtype" in given:
            word = evaluate(given["dtype"], frame)
            need(isinstance(word, Maker) and word.name in DTYPES, "no dtype")
            dtype = DTYPES[word.name]
        need(buffer or dtype.is_floating_point, "a parameter is trained")
        if "init" in given:
            start = initialiser(given["init"], frame)
            start_of(float(start) if isinstance(start, bool) else start).fits(shape, dtype)
        return Declared(shape, dtype, buffer, is_alone(sizes))

    return make


def _fixed(value: Any) -> int:
    if isinstance(value, Set):
        return len(value.members)
    value = tidy(
        value.position if isinstance(value, Member) and not isinstance(value.key, int) else value.key if isinstance(value, Member) else value
    )
    need(isinstance(value, int) and not isinstance(value, bool), "a parameter's shape is known", "late" if isinstance(value, Late) else "text")
    need(value >= 0, "a negative size")
    return value


def _sequential(node: ast.Call, frame: Frame) -> Made:
    parts: list[Any] = []
    for argument in node.arguments:
        need(argument.name is None, "a Sequential's parts have no names")
        value = evaluate(argument.value, frame)
        if isinstance(value, (list, tuple)):
            parts.extend(value)
            continue
        need(isinstance(value, Made) or (isinstance(value, Maker) and not value.makes and value.tree is None), "no part of a Sequential")
        parts.append(value)
    return Made(Maker("Sequential"), {}, parts=parts)


def _split(node: ast.Call, frame: Frame) -> Any:
    given, _ = bind(node.arguments, [Slot("x", True), Slot("sizes", True), Slot("dim", True)])
    x, sizes, dim = evaluate(given["x"], frame), loosely(given["sizes"], frame), evaluate(given["dim"], frame)
    family = sizes if isinstance(sizes, Family) else None
    home = family.set if family is not None else sizes if isinstance(sizes, Set) else None
    if family is not None:
        sizes = list(family.members.values())
    elif isinstance(sizes, Set):
        sizes = len(sizes.members)
    whole = isinstance(sizes, int) and not isinstance(sizes, bool)
    parts = operate(frame, "chunk", x, sizes, dim) if whole else operate(frame, "split", x, sizes, dim)
    parts = list(parts)
    return parts if home is None else Family(home, dict(zip(home.members, parts, strict=True)))


def _stack(node: ast.Call, frame: Frame) -> Any:
    given, _ = bind(node.arguments, [Slot("tensors", True, several=True), Slot("dim", False)])
    first = given["tensors"]
    family = [evaluate(n, frame) for n in first] if isinstance(first, list) else evaluate(first, frame)
    return operate(frame, "stack", family, evaluate(given["dim"], frame) if "dim" in given else 0)


def _detach(node: ast.Call, frame: Frame) -> Any:
    need(len(node.arguments) == 1, "detach takes one value")

    def each(value: Any) -> Any:
        if isinstance(value, Tensor):
            return operate(frame, "detach", value)
        if isinstance(value, Result):
            return Result({k: each(v) for k, v in value.fields.items()})
        if isinstance(value, Family):
            return Family(value.set, {k: each(v) for k, v in value.members.items()})
        raise Wrong("detach of no tensor")

    return each(evaluate(node.arguments[0].value, frame))


def _size(node: ast.Call, frame: Frame) -> Any:
    given, _ = bind(node.arguments, [Slot("x", True), Slot("dim", True)])
    x, dim = evaluate(given["x"], frame), evaluate(given["dim"], frame)
    need(isinstance(x, Tensor) and isinstance(dim, int), "size of no tensor")
    found = x.shape[axis(dim, x.dim())]
    return Late(found) if frame.body.world.moves(found) else found


def _inverse(node: ast.Call, frame: Frame) -> str:
    value = evaluate(node.arguments[0].value, frame) if len(node.arguments) == 1 else None
    need(isinstance(value, str) and value.count("->") == 1, "inverse of no pattern")
    left, right = (side.strip() for side in value.split("->"))
    return f"{right} -> {left}"


def _given(node: ast.Call, frame: Frame) -> bool:
    need(len(node.arguments) == 1 and isinstance(node.arguments[0].value, ast.Name), "given names an input")
    name = node.arguments[0].value.id
    if frame.body.kind == "model":
        return True
    return frame.body.given.get(name) is not None


def _append(node: ast.Call, frame: Frame) -> Any:
    given, _ = bind(node.arguments, [Slot("state", True), Slot("new", True), Slot("dim", True)])
    state, new, dim = loosely(given["state"], frame), evaluate(given["new"], frame), evaluate(given["dim"], frame)
    need(isinstance(new, Tensor) and isinstance(dim, int) and not isinstance(dim, bool), "append takes a tensor and an axis")
    need(isinstance(state, Empty), "append needs a state")
    need(len(state.shape) == new.dim() and state.dtype == new.dtype, "another type is appended")
    at = axis(dim, new.dim()) if new.dim() else 0
    need(state.full or state.shape[at] == 0, "this axis doesn't grow")
    for i, (a, b) in enumerate(zip(new.shape, state.shape, strict=True)):
        if i != at:
            equal(a, b, "append")
    return operate(frame, "concat", [torch.zeros(state.shape, dtype=state.dtype), new], at) if state.full else new


def _losses(node: ast.Call, frame: Frame) -> Family:
    from .paths import Holdings, Selection
    from .stages import loss_entries

    selection = Selection(Holdings(lambda: loss_entries(frame.body)), list(frame.body.tasks), frame, losses=True)
    chosen = {id(o.value) for argument in node.arguments for o in selection.select(argument.value)}
    found = {path: value for path, (value, _) in frame.body.losses.items() if id(value) in chosen}
    return Family(Set.of(tuple(found)), found)


def _params(node: ast.Call, frame: Frame) -> int:
    from .paths import count

    need(all(a.name is None for a in node.arguments), "params takes paths alone")
    return count([a.value for a in node.arguments], frame)


def _grad(node: ast.Call, frame: Frame) -> Any:
    raise Unknown("grad is reserved")


SPECIAL.update({
    "Parameter": _declared(False), "Buffer": _declared(True), "Sequential": _sequential, "split": _split, "stack": _stack, "detach": _detach,
    "size": _size, "inverse": _inverse, "given": _given, "append": _append, "losses": _losses, "params": _params, "grad": _grad,
})  # fmt: skip
