"""Static expressions of the language as Python: numbers, lists of numbers, and what is reckoned with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from itertools import product
from typing import Any, cast

from ...dsl import ast
from ...dsl.record import entity

OPERATORS = ("+", "-", "*", "/", "//", "%", "**")
ARMS = 8
"""How many arms of conditions are looked at."""

DEEPEST = 20
"""How far a name is followed through definitions."""

Arms = tuple[str, ...]
"""What an expression may be, each as Python: one text for each arm of an `if`; nothing where it isn't arithmetic."""


@entity
class Definitions:
    """What static names stand for: the expressions of all, None where there isn't one; as Python those that keep their name."""

    values: Mapping[str, ast.Expr | None] = field(default_factory=dict[str, "ast.Expr | None"])
    kept: Mapping[str, str] = field(default_factory=dict[str, str])

    def get(self, name: str) -> ast.Expr | None:
        """Return the expression of a name."""
        return self.values.get(name)

    def without(self, name: str) -> Definitions:
        """Return the definitions where a variable hides one."""
        return Definitions({known: value for known, value in self.values.items() if known != name}, self.kept)


def arithmetic(expr: ast.Node, known: Definitions, depth: int = 0) -> Arms:
    """Return an expression of numbers, lists and names as Python; names of numbers are written out, those of lists stand."""
    translate = _TRANSLATORS.get(type(expr))
    return translate(cast("Any", expr), known, depth)[:ARMS] if translate is not None and depth < DEEPEST else ()


def _name(expr: ast.Name, known: Definitions, depth: int) -> Arms:
    if expr.id not in known.values or expr.id in known.kept:
        return (expr.id,)
    value = known.get(expr.id)
    return arithmetic(value, known, depth + 1) if value is not None else ()


def _is_list(expr: ast.Expr) -> bool:
    if isinstance(expr, ast.Binary):
        return expr.op == "+" and (_is_list(expr.left) or _is_list(expr.right))
    return isinstance(expr, ast.List) or isinstance(expr, ast.Comprehension) and expr.kind == "list"


def _joined(form: str, parts: list[Arms]) -> Arms:
    """Put parts into a form, in each way."""
    return tuple(form.format(*chosen) for chosen in product(*parts))[:ARMS]


def _binary(expr: ast.Binary, known: Definitions, depth: int) -> Arms:
    if expr.op not in OPERATORS:
        return ()
    sides = [arithmetic(side, known, depth) for side in (expr.left, expr.right)]
    return _joined("[*{}, *{}]" if _is_list(expr) else f"({{}} {expr.op} {{}})", sides)


def _call(expr: ast.Call, known: Definitions, depth: int) -> Arms:
    word = expr.function.id if isinstance(expr.function, ast.Name) else ""
    values = [one.value for one in expr.arguments if one.name is None]
    if word == "len" and len(values) == 1:
        return length(values[0], known)
    if word not in ("min", "max", "sum") or len(values) < len(expr.arguments) or not values:
        return ()
    return _joined(f"{word}({', '.join('{}' for _ in values)})", [arithmetic(one, known, depth) for one in values])


def _comprehension(expr: ast.Comprehension, known: Definitions, depth: int) -> Arms:
    if len(expr.clauses) != 1 or expr.kind not in ("list", "bare") or expr.where is not None:
        return ()
    [clause] = expr.clauses
    if len(clause.names) != 1 or clause.condition is not None:
        return ()
    over = clause.iterable
    element = arithmetic(expr.element, known.without(clause.names[0]), depth)
    members = _range(over, known, depth) if isinstance(over, ast.Range) else arithmetic(over, known, depth)
    return _joined(f"[{{}} for {clause.names[0]} in {{}}]", [element, members])


def _range(over: ast.Range, known: Definitions, depth: int) -> Arms:
    if over.start is None or over.stop is None:
        return ()
    form = "range({}, {} + 1)" if over.inclusive else "range({}, {})"
    found = _joined(form, [arithmetic(over.start, known, depth), arithmetic(over.stop, known, depth)])
    return tuple(text.replace("range(0, ", "range(") for text in found)


def _index(expr: ast.Index, known: Definitions, depth: int) -> Arms:
    if len(expr.items) != 1:
        return ()
    base, [item] = arithmetic(expr.object, known, depth), expr.items
    if not isinstance(item, ast.Range):
        return _joined("{}[{}]", [base, arithmetic(item, known, depth)])
    bounds = [("",) if bound is None else arithmetic(bound, known, depth) for bound in (item.start, item.stop)]
    return _joined("{}[{}:{} + 1]" if item.inclusive else "{}[{}:{}]", [base, *bounds])


def length(expr: ast.Expr, known: Definitions) -> Arms:
    """Return the number of members of a set, or of items of a list."""
    for _ in range(DEEPEST):
        value = known.get(expr.id) if isinstance(expr, ast.Name) and expr.id not in known.kept else None
        expr = value or expr
    if isinstance(expr, ast.Range) and expr.start is not None and expr.stop is not None:
        form = "({1} + 1 - {0})" if expr.inclusive else "({1} - {0})"
        found = _joined(form, [arithmetic(expr.start, known), arithmetic(expr.stop, known)])
        return tuple(text[: -len(" - 0)")] + ")" if text.endswith(" - 0)") else text for text in found)
    if isinstance(expr, (ast.SetLiteral, ast.MapLiteral)):
        return (str(len(expr.items)),)
    return _joined("len({})", [arithmetic(expr, known)])


_TRANSLATORS: Mapping[type[ast.Node], Callable[[Any, Definitions, int], Arms]] = {
    ast.Number: lambda expr, known, depth: (repr(expr.value),),
    ast.Name: _name,
    ast.Ternary: lambda expr, known, depth: (*arithmetic(expr.then, known, depth), *arithmetic(expr.otherwise, known, depth)),
    ast.Unary: lambda expr, known, depth: _joined("(-{})", [arithmetic(expr.operand, known, depth)]) if expr.op == "-" else (),
    ast.Binary: _binary,
    ast.List: lambda expr, known, depth: _joined(f"[{', '.join('{}' for _ in expr.items)}]", [arithmetic(one, known, depth) for one in expr.items]),
    ast.Comprehension: _comprehension,
    ast.Call: _call,
    ast.Index: _index,
}
