"""Facts that a file states or needs: `require`, `assert`, conditions of called blocks, frozen and tied parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import ast
from ..dims import Dim
from ..facts import Truth
from ..inspector import Inspector
from ..program import Condition
from . import statics
from .conditions import judge
from .context import Poisoned, Problem, fail, suggest
from .contracts import check_relation
from .expressions import SPECIAL, combined, evaluate, of_enum, sides
from .literals import clauses
from .marks import count_parameters
from .operations import REFUSED, axis
from .scope import Frame
from .statements import FINISHERS, RUNNERS
from .values import Value

# -------------------------------------------------------------------------------------------------------- require


def _require(statement: ast.Require, frame: Frame) -> None:
    for part, inner in _conjuncts(statement.condition, frame):
        _require_one(part, inner)


def _conjuncts(node: ast.Expr, frame: Frame) -> Iterator[tuple[ast.Expr, Frame]]:
    """Yield the parts of `a and b and c` and of `all(e for m in set)`, each with the frame it is read in."""
    every = _every(node, frame)
    if isinstance(node, ast.Binary) and node.op == "and":
        yield from _conjuncts(node.left, frame)
        yield from _conjuncts(node.right, frame)
    elif every is not None:
        for inner in clauses(every.clauses, frame):
            yield from _conjuncts(every.element, inner)
    else:
        yield node, frame


def _every(node: ast.Expr, frame: Frame) -> ast.Comprehension | None:
    """Return what `all` runs over, if it stands here before a comprehension."""
    if not isinstance(node, ast.Call) or len(node.arguments) != 1 or not isinstance(node.function, ast.Name):
        return None
    inner = node.arguments[0].value
    if not isinstance(inner, ast.Comprehension) or inner.kind not in ("bare", "list") or inner.where is not None:
        return None
    return inner if node.function.id == "all" and frame.owner("all") is None else None


def _require_one(node: ast.Expr, frame: Frame) -> None:
    condition = _fact(node, frame)
    if not isinstance(condition, Condition):
        if not statics.truth(condition, node.span):
            fail("A701", f"`{node.span.text}` does not hold", node.span, _values(node, frame))
        return
    builder = frame.builder
    verdict = judge(builder, condition)
    if verdict.truth is Truth.TRUE:
        return
    facts = builder.facts.require(condition.kind, condition.left, condition.right)
    if facts.contradiction:
        fail("A701", f"`{node.span.text}` can never hold", node.span, "check the sizes that it compares, and what is required above")
    builder.condition(condition)
    builder.facts = facts


def _fact(node: ast.Expr, frame: Frame) -> Condition | Value:
    """Return a comparison of sizes as a condition, and the value of what is static."""
    if not isinstance(node, ast.Binary) or node.op not in ("==", "!=", "<", "<=", ">", ">=") or of_enum(node, frame) is not None:
        return evaluate(node, frame)
    compared = sides(node, frame)
    left, right = map(_size, compared)
    if not (isinstance(left, Dim) or isinstance(right, Dim)):
        return combined(node, *compared, frame)
    for side, value in ((node.left, left), (node.right, right)):
        if not isinstance(value, (int, Dim)):
            fail("A203", f"`{side.span.text}` is no size", side.span, "compare sizes with whole numbers or sizes")
    given = frame.builder.model
    if node.op == "==" and isinstance(node.left, ast.Binary) and node.left.op == "%" and right == 0:
        number, by = (_size(evaluate(side, frame)) for side in (node.left.left, node.left.right))
        return Condition("divides", by, number, node.span, "required", given)
    if node.op in ("<", "<=", ">", ">="):
        low, high = (left, right) if node.op in ("<", "<=") else (right, left)
        return Condition(">=", high, low + 1 if node.op in ("<", ">") else low, node.span, "required", given)
    return Condition(node.op, left, right, node.span, "required", given)


def _size(value: Value) -> Any:
    size = axis(value)
    return value if size is REFUSED else getattr(size, "size", size)


def _values(node: ast.Expr, frame: Frame) -> str | None:
    """Say what the two sides of a failed comparison are."""
    if isinstance(node, ast.Binary) and node.op in ("==", "!=", "<", "<=", ">", ">=") and of_enum(node, frame) is None:
        left, right = sides(node, frame)
        return f"the left side is {_shown(left)}, the right side {_shown(right)}"
    return None


def _shown(value: Value) -> str:
    value = statics.number(value)
    return f"{value:_}" if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 100_000 else f"{value}"


# --------------------------------------------------------------------------------------------------------- asserts


def _assert(statement: ast.Assert, frame: Frame) -> None:
    frame.builder.asserts.append((statement, frame))


def _check_asserts(frame: Frame, item: Any) -> None:
    """Check what was asserted, now that the whole body is known."""
    builder, context = frame.builder, frame.builder.context
    asserts, builder.asserts = builder.asserts, []
    if builder.poisoned:
        return
    preset: ast.Preset | None = builder.preset
    claims = [(fact, frame) for fact in (preset.settings if preset is not None else ()) if isinstance(fact, ast.Assert) and fact.relation]
    for statement, inner in (*asserts, *claims):
        try:
            check_assert(statement, inner)
        except Problem as problem:
            context.report(problem.diagnostic)
        except Poisoned:
            continue


def check_assert(statement: ast.Assert, frame: Frame) -> None:
    """Check one asserted fact; raises Problem where it doesn't hold."""
    if statement.relation is not None:
        check_relation(statement, frame)
        return
    for part, inner in _conjuncts(statement.fact, frame):
        condition = _fact(part, inner)
        if isinstance(condition, Condition):
            if judge(frame.builder, condition).truth is not Truth.TRUE:
                fail("A702", f"`{part.span.text}` is not proved", part.span, "an `assert` must follow from what is known: `require` it instead")
        elif not statics.truth(condition, part.span):
            fail("A702", f"`{part.span.text}` does not hold", part.span, _values(part, inner))


def _inspector(node: ast.Call, frame: Frame) -> Inspector:
    inspector = frame.builder.context.inspector
    if inspector is None:
        help = "write it in an `assert` of a model, a block or a preset"
        fail("A203", f"there is nothing here for `{node.function.span.text}` to count", node.span, help)
    return inspector


def _params(node: ast.Call, frame: Frame) -> int:
    """`params(path, ...)`: how many numbers the parameters hold that the selectors match; of all without any."""
    _inspector(node, frame)
    for argument in node.arguments:
        if argument.name is not None:
            fail("A201", f"`params` takes no `{argument.name}`", argument.span, "it takes selectors")
    number = count_parameters([a.value for a in node.arguments], frame)
    frame.builder.counts[", ".join(a.value.span.text for a in node.arguments)] = number
    return number


def _multiply_adds(node: ast.Call, frame: Frame) -> int:
    """`multiply_adds(B = 1)`: what one evaluation of all outputs multiplies and adds, at these sizes of the inputs."""
    body, inspector = frame.builder.body, _inspector(node, frame)
    axes = [axis for declared in body.inputs for axis in declared.type.shape if isinstance(axis, Dim)]
    symbols = list(dict.fromkeys(symbol.name for axis in axes for symbol in axis.symbols()))
    sizes: dict[str, int] = {}
    for argument in node.arguments:
        name, size = argument.name, statics.number(evaluate(argument.value, frame))
        if name not in symbols:
            help = suggest(name or "", symbols, f"its sizes are {statics.listed(symbols)}" if symbols else "all its sizes are known")
            fail("A201", f"`multiply_adds` takes no `{name or argument.value.span.text}`", argument.span, help)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            fail("A203", f"`{argument.value.span.text}` is no size", argument.span, "a size is a whole number")
        sizes[name or ""] = size
    work = inspector.work(body, sizes)
    if work.missing:
        given = ", ".join([f"{name} = {size}" for name, size in sizes.items()] + [f"{name} = 1" for name in work.missing])
        fail("A202", f"`multiply_adds` needs a size for {statics.listed(work.missing)}", node.span, f"write `multiply_adds({given})`")
    if work.unknown:
        fail("A203", f"nobody knows what {statics.listed(work.unknown)} costs", node.span, "what is `extern` is not counted")
    return work.multiply_adds


SPECIAL.update({"params": _params, "multiply_adds": _multiply_adds})


# ----------------------------------------------------------------------------------------------- freeze, tie, renamed


def _freeze(statement: ast.Freeze, frame: Frame) -> None:
    frame.builder.selected.append(("freeze", statement, frame))


def _tie(statement: ast.Tie, frame: Frame) -> None:
    frame.builder.selected.append(("tie", statement, frame))


def _renamed(statement: ast.Renamed, frame: Frame) -> None:
    frame.builder.selected.append(("renamed", statement, frame))


RUNNERS.update({ast.Require: _require, ast.Assert: _assert, ast.Freeze: _freeze, ast.Tie: _tie, ast.Renamed: _renamed})
FINISHERS.append(_check_asserts)
