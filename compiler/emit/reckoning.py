"""What static terms come to: arithmetic on numbers and lists of numbers, as text of Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Union, cast

Value = Union[int, float, str, tuple["Value", ...], "Table"]
"""A number, the name of a member, several as a list, or by members as a map."""


class Table(tuple[tuple[str, "Value"], ...]):
    """A map from members to values: pairs, so that it has a hash."""

    __slots__ = ()

    def at(self, member: str) -> Value:
        """Return the value of a member."""
        return dict(self)[member]


Values = tuple[Value, ...]
"""A value for each instance."""

LARGEST = 2**63
LONGEST = 10_000
"""Terms of larger powers and longer lists aren't reckoned."""


def _quotient(a: Any, b: Any) -> Any:
    """Divide as the language does: exactly."""
    return a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else a / b


def _power(a: Any, b: Any) -> Any:
    if abs(a) > LARGEST or abs(b) > 64:
        raise ValueError("too large for a size")
    return a**b


def _range(*bounds: int) -> tuple[int, ...]:
    found = range(*bounds)
    if len(found) > LONGEST:
        raise ValueError("too long")
    return tuple(found)


OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Div: _quotient,
    ast.Pow: _power,
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {"min": min, "max": max, "sum": sum, "len": len, "range": _range}


def evaluated(term: str, columns: Mapping[str, Values], variables: Mapping[str, Value] | None = None) -> Values | None:
    """Return the value of a term for each instance; nothing where it isn't made of known names alone.  `variables` are those of loops."""
    rows = len(next(iter(columns.values()), (0,)))
    try:
        tree = _parsed(term)
        return tuple(_value(tree, {**{name: column[i] for name, column in columns.items()}, **(variables or {})}) for i in range(rows))
    except (LookupError, ArithmeticError, ValueError, TypeError):
        return None


@cache
def _parsed(term: str) -> ast.expr:
    return ast.parse(term, mode="eval").body


def _value(tree: ast.expr, names: Mapping[str, Value]) -> Any:
    reckon = _READERS.get(type(tree))
    if reckon is None:
        raise ValueError(ast.dump(tree))
    return reckon(cast("Any", tree), names)


def _called(tree: ast.Call, names: Mapping[str, Value]) -> Any:
    return FUNCTIONS[cast("ast.Name", tree.func).id](*(_value(argument, names) for argument in tree.args))


def _listed(tree: ast.List, names: Mapping[str, Value]) -> tuple[Value, ...]:
    found: list[Value] = []
    for item in tree.elts:
        found += _value(item.value, names) if isinstance(item, ast.Starred) else [_value(item, names)]
    return tuple(found)


def _comprehended(tree: ast.ListComp, names: Mapping[str, Value]) -> tuple[Value, ...]:
    [clause] = tree.generators
    word = cast("ast.Name", clause.target).id
    return tuple(_value(tree.elt, {**names, word: value}) for value in _value(clause.iter, names))


def _taken(tree: ast.Subscript, names: Mapping[str, Value]) -> Any:
    found = _value(tree.value, names)
    if not isinstance(tree.slice, ast.Slice):
        place = _value(tree.slice, names)
        return found.at(place) if isinstance(found, Table) else found[place]
    bounds = [None if bound is None else _value(bound, names) for bound in (tree.slice.lower, tree.slice.upper)]
    return found[slice(*bounds)]


_READERS: Mapping[type[ast.expr], Callable[[Any, Mapping[str, Value]], Any]] = {
    ast.Name: lambda tree, names: names[tree.id],
    ast.Constant: lambda tree, names: tree.value,
    ast.UnaryOp: lambda tree, names: -_value(tree.operand, names),
    ast.BinOp: lambda tree, names: OPERATIONS[type(tree.op)](_value(tree.left, names), _value(tree.right, names)),
    ast.Call: _called,
    ast.List: _listed,
    ast.ListComp: _comprehended,
    ast.Subscript: _taken,
}


class _Whole(ast.NodeTransformer):
    """Writes exact quotients of ints as Python does."""

    def visit_Div(self, node: ast.Div) -> ast.FloorDiv:
        """Replace one sign."""
        return ast.FloorDiv()


class _Folded(ast.NodeTransformer):
    """Reckons what is made of whole numbers alone, and leaves out what changes nothing."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Replace one operation."""
        self.generic_visit(node)
        left, right = (side.value if isinstance(side, ast.Constant) and isinstance(side.value, int) else None for side in (node.left, node.right))
        sign = type(node.op)
        if left is not None and right is not None and sign in (ast.Add, ast.Sub, ast.Mult, ast.Pow):
            return ast.Constant(OPERATIONS[sign](left, right))
        nothing = 0 if sign in (ast.Add, ast.Sub) else 1
        if right == nothing and sign in (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv):
            return node.left
        return node.right if left == nothing and sign in (ast.Add, ast.Mult) else node


def folded(text: str) -> str:
    """Return a term in which `1 - 1` is 0."""
    return _styled(ast.unparse(_Folded().visit(ast.parse(text, mode="eval"))))


SLICE = re.compile(r"(?<=\[)([^\[\]:]*):([^\[\]:]*)(?=\])")


def _spaced(found: re.Match[str]) -> str:
    """Return a slice with spaces around the colon where a bound is more than a name or a number."""
    start, stop = found.groups()
    wide = any(not re.fullmatch(r"-?\w*", bound) for bound in (start, stop))
    return f"{start} : {stop}".strip() if wide else found[0]


def spelled(term: str, whole: bool) -> str:
    """Return a term as a person writes it; in a `whole` one quotients of ints are."""
    tree = ast.parse(term, mode="eval")
    return _styled(ast.unparse(_Whole().visit(tree) if whole else tree))


def _styled(text: str) -> str:
    """Return an expression with the spaces that formatters write."""
    text = SLICE.sub(_spaced, text)
    return re.sub(r"(?<![\w.)\]])(-?[\w.]+) \*\* (-?[\w.]+)(?![\w.(\[])", r"\1**\2", text)
