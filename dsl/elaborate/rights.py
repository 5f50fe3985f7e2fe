"""The right side of a rule in a weights map: stored tensors and what is done to them, or an initialiser."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import ast
from ..diagnostics import shortened
from ..inspector import Owned
from ..primitive import Initialiser
from . import statics
from .arguments import Slot, bind, initialiser
from .context import fail, suggest
from .expressions import evaluate
from .scope import Frame
from .templates import Scope, fill
from .values import IndexSet, MemberOf, Value, describe, is_list, is_map

Step = tuple[str, Mapping[str, Any]]
Right = tuple[tuple[str, ...], tuple[Step, ...]]
"""Names of stored tensors, and the steps by which they become one."""


def right(node: ast.Expr, scope: Scope) -> Right:
    """Return what the right side of a rule means for one choice of its index variables; raises Problem for what it can't be."""
    if isinstance(node, ast.String):
        return (fill(node.value, scope, node.span),), ()
    if isinstance(node, ast.Index):
        names, steps = right(node.object, scope)
        return names, (*steps, ("slice", {"items": [_item(item, scope.frame) for item in node.items], "on": 0}))
    if isinstance(node, ast.Call) and isinstance(node.function, ast.Name) and node.function.id in _FORMS:
        return _FORMS[node.function.id](node, scope)
    made = _made(node, scope.frame)
    return (), (("init", {"name": made.name, "arguments": dict(made.arguments)}),)


def _made(node: ast.Expr, frame: Frame) -> Initialiser:
    """Return the initialiser, or the number, that a tensor without a source is made by."""
    table = frame.builder.context.library.initialisers()
    function = node.function if isinstance(node, ast.Call) else node
    if isinstance(function, ast.Name) and function.id not in table and frame.find(function.id) is None:
        help = suggest(function.id, [*table, *_FORMS], _ALLOWED)
        fail("A606", f"`{function.id}` is nothing that a tensor can come from", function.span, help)
    value = initialiser(node, frame)
    if isinstance(value, Initialiser):
        return value
    number = statics.number(value)
    if statics.is_number(number):
        return Initialiser("constant", {"value": float(number)})
    fail("A606", f"a tensor can't come from {describe(value)}", node.span, _ALLOWED)


# ------------------------------------------------------------------------------------------------------------ forms


def _transpose(node: ast.Call, scope: Scope) -> Right:
    given = bind("transpose", node.arguments, [Slot("x", True), Slot("a", False), Slot("b", False)], node.span).given
    names, steps = _source(given["x"], scope)
    dims = [_whole(given[key], scope.frame) if key in given else default for key, default in (("a", 0), ("b", 1))]
    return names, (*steps, ("transpose", {"dims": dims, "on": 0}))


def _rearrange(node: ast.Call, scope: Scope) -> Right:
    sizes = {a.name: _whole(a.value, scope.frame) for a in node.arguments if a.name is not None and a.name not in ("x", "pattern")}
    plain = [a for a in node.arguments if a.name is None or a.name in ("x", "pattern")]
    given = bind("rearrange", plain, [Slot("x", True), Slot("pattern", True)], node.span).given
    names, steps = _source(given["x"], scope)
    pattern = evaluate(given["pattern"], scope.frame)
    if not isinstance(pattern, str) or pattern.count("->") != 1:
        fail("A606", "`rearrange` takes a pattern with one `->`", given["pattern"].span, 'write `rearrange("kernel", "c h k -> (h k) c")`')
    return names, (*steps, ("rearrange", {"pattern": pattern, "sizes": sizes, "on": 0}))


def _reshape(node: ast.Call, scope: Scope) -> Right:
    given = bind("reshape", node.arguments, [Slot("x", True), Slot("shape", True)], node.span).given
    names, steps = _source(given["x"], scope)
    shape = evaluate(given["shape"], scope.frame)
    if not is_list(shape):
        fail("A606", f"`reshape` takes a list of sizes, not {describe(shape)}", given["shape"].span, 'write `reshape("kernel", [heads, -1])`')
    return names, (*steps, ("reshape", {"shape": [_number(size, given["shape"]) for size in shape], "on": 0}))


def _concat(node: ast.Call, scope: Scope) -> Right:
    named = [a for a in node.arguments if a.name is not None]
    unknown = next((a for a in named if a.name != "dim"), None)
    if unknown is not None:
        fail("A201", f"`concat` takes no `{unknown.name}` here", unknown.span, 'write `concat("a", "b", dim = 0)`')
    parts = [a.value for a in node.arguments if a.name is None]
    if len(parts) == 1 and isinstance(parts[0], ast.List):
        parts = list(parts[0].items)
    if len(parts) < 2:
        fail("A606", "`concat` joins two stored tensors or more", node.span, 'write `concat("a", "b", dim = 0)`')
    names: list[str] = []
    steps: list[Step] = []
    for place, part in enumerate(parts):
        inner, done = _source(part, scope)
        if len(inner) != 1:
            fail("A606", "a `concat` stands inside another one", part.span, "join all parts at once")
        names.append(inner[0])
        steps += [(word, {**arguments, "on": place}) for word, arguments in done]
    dim = _whole(named[0].value, scope.frame) if named else 0
    return tuple(names), (*steps, ("concat", {"dim": dim}))


def _source(node: ast.Expr, scope: Scope) -> Right:
    names, steps = right(node, scope)
    if not names:
        fail("A606", f"`{node.span.text}` is an initialiser, no stored tensor", node.span, "give the name of a stored tensor in quotes")
    return names, steps


_FORMS: dict[str, Callable[[ast.Call, Scope], Right]] = {"transpose": _transpose, "rearrange": _rearrange, "reshape": _reshape, "concat": _concat}


_ALLOWED = f"the right side is a name in quotes, one of {statics.listed(_FORMS)} of names, or an initialiser"


# ----------------------------------------------------------------------------------------------------------- slices


def _item(node: ast.Expr, frame: Frame) -> Any:
    """Return one entry of a slice as plain data: an index, `[start, stop, step]`, positions to take, None for `...`."""
    if isinstance(node, ast.Ellipsis):
        return None
    if isinstance(node, ast.Slice):
        return [None if end is None else _whole(end, frame) for end in (node.start, node.stop, node.step)]
    if isinstance(node, ast.Range):
        start, stop = (None if end is None else _whole(end, frame) for end in (node.start, node.stop))
        return [start, stop + 1 if stop is not None and node.inclusive else stop, None]
    value = evaluate(node, frame)
    if isinstance(value, IndexSet):
        places = [value.declared.index(m) if not isinstance(m, int) else m for m in value.members]
        return _run(places)
    if is_list(value):
        return _run([_number(entry, node) for entry in value])
    return _number(value, node)


def _run(places: list[int]) -> Any:
    if places and places == list(range(places[0], places[0] + len(places))):
        return [places[0], places[-1] + 1, None]
    return {"take": places}


def _whole(node: ast.Expr, frame: Frame) -> int:
    return _number(evaluate(node, frame), node)


def _number(value: Value, node: ast.Expr) -> int:
    number = value.position if isinstance(value, MemberOf) and not isinstance(value.key, int) else statics.tidy(statics.number(value))
    if isinstance(number, bool) or not isinstance(number, int):
        what = f"`{node.span.text}` must be a whole number that is known here, not {describe(value)}"
        fail("A606", what, node.span, "sizes and positions are whole numbers")
    return number


# ----------------------------------------------------------------------------------------------- what can't come out


def impossible(own: Owned, steps: Sequence[Step]) -> str | None:
    """Say why the last step can't give a tensor of this shape, where that is sure without the file."""
    if not steps:
        return None
    word, given = steps[-1]
    shape = list(own.shape)
    if word == "transpose" and not all(-len(shape) <= d < len(shape) for d in given["dims"]):
        return f"a transposed tensor has more dimensions than {shape}"
    if word == "rearrange" and (rank := _rank(given["pattern"])) is not None and rank != len(shape):
        return f'the pattern "{shortened(given["pattern"])}" gives {_counted(rank, "dimension")}'
    if word == "reshape":
        sizes: list[int] = given["shape"]
        if len(sizes) != len(shape) or any(size not in (-1, own_size) for size, own_size in zip(sizes, shape, strict=True)):
            return f"the new shape is {sizes}"
    if word == "slice":
        return _cut(given["items"], shape)
    if word == "concat" and not -len(shape) <= given["dim"] < len(shape):
        return f"there is no dimension {given['dim']}"
    return None


def _rank(pattern: str) -> int | None:
    side = pattern.split("->")[1]
    return None if "..." in side else len(re.findall(r"\([^)]*\)|[^\s()]+", side))


def _cut(items: Sequence[Any], shape: Sequence[int]) -> str | None:
    kept = [item for item in items if not isinstance(item, int)]
    if None in items:
        return None
    if len(kept) > len(shape):
        return f"the slice keeps {_counted(len(kept), 'dimension')}"
    for axis, item in enumerate(kept):
        size = len(item["take"]) if is_map(item) else _length(item)
        if size is not None and size != shape[axis]:
            return f"the slice gives {size} entries in dimension {axis}"
    return None


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _length(item: Sequence[int | None]) -> int | None:
    start, stop, step = item
    if stop is None or stop < 0 or (start or 0) < 0:
        return None
    return len(range(start or 0, stop, step or 1))


__all__ = ["Right", "Step", "impossible", "right"]
